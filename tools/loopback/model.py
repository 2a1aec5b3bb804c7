"""The words of a loopback venue: markets, orders, trades, events, refusals and the rules in which venues differ.

This module must not know how orders are matched, or any venue's names and codes for these words.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Literal

import msgspec

Side = Literal["BUY", "SELL"]
OrderType = Literal["LIMIT", "MARKET"]
TimeInForce = Literal["GTC", "IOC", "FOK"]
Status = Literal["NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"]
EventKind = Literal["new", "trade", "canceled", "expired", "amended"]

OPEN: frozenset[Status] = frozenset({"NEW", "PARTIALLY_FILLED"})


class Refusal(enum.Enum):
    """Why the exchange does nothing; a dialect has a code and a text for each."""

    UNKNOWN_SYMBOL = enum.auto()
    MARKET_CLOSED = enum.auto()
    PRICE_STEP = enum.auto()
    QUANTITY_STEP = enum.auto()
    QUANTITY_RANGE = enum.auto()
    MIN_NOTIONAL = enum.auto()
    INSUFFICIENT = enum.auto()
    DUPLICATE = enum.auto()
    WOULD_TAKE = enum.auto()
    NOT_FOUND = enum.auto()
    NOT_OPEN = enum.auto()
    NO_CHANGE = enum.auto()
    BAD_AMEND = enum.auto()


class RefusedError(Exception):
    """The exchange refuses, and nothing has changed."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why.name)
        self.why = why


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """In what venues differ.

    ``client_ids``: unique among open orders only, or for ever. ``post_only``: an order that would take is refused, or
    accepted and cancelled at once. ``amend``: only a smaller quantity, keeping its place, or any price and quantity.
    """

    client_ids: Literal["open", "ever"]
    post_only: Literal["refuse", "cancel"]
    amend: Literal["decrease", "any"]
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    first_order_id: int = 1001
    first_trade_id: int = 501


class Market(msgspec.Struct, kw_only=True):
    """A symbol; ``status`` TRADING, or BREAK and HALT in which nothing new is taken. ``mid`` is where the book is."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_qty: Decimal
    max_qty: Decimal
    min_notional: Decimal
    mid: Decimal
    level_size: Decimal
    status: Literal["TRADING", "BREAK", "HALT"] = "TRADING"


class Order(msgspec.Struct, kw_only=True):
    """An order of the account; ``locked`` is what it holds of the currency it would pay with."""

    id: int
    client_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    quantity: Decimal
    price: Decimal | None
    created_ms: int
    updated_ms: int
    quote_quantity: Decimal | None = None
    filled: Decimal = Decimal(0)
    quote_filled: Decimal = Decimal(0)
    status: Status = "NEW"
    locked: Decimal = Decimal(0)
    reason: str = ""
    foreign: bool = False

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled


class Trade(msgspec.Struct, kw_only=True, frozen=True):
    """One execution; the fee is in the currency that was received."""

    id: int
    order_id: int
    client_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    maker: bool
    at_ms: int


class Event(msgspec.Struct, kw_only=True, frozen=True):
    """What has just happened to ``order``, which is the live object: a listener writes down what it needs at once.

    ``request_id`` is the client id of the cancel or amend request, where the venue has such a thing; ``old_client_id``
    the order's id before an amendment gave it another.
    """

    kind: EventKind
    order: Order
    at_ms: int
    trade: Trade | None = None
    request_id: str = ""
    old_client_id: str = ""


class Placed(msgspec.Struct, kw_only=True, frozen=True):
    """An accepted order and what it traded at once."""

    order: Order
    trades: tuple[Trade, ...]


def _market(symbol: str, base: str, quote: str, *, lot: str, mid: int, level: str) -> Market:
    return Market(
        symbol=symbol,
        base=base,
        quote=quote,
        tick=Decimal("0.01"),
        lot=Decimal(lot),
        min_qty=Decimal(lot),
        max_qty=Decimal(9000),
        min_notional=Decimal(5),
        mid=Decimal(mid),
        level_size=Decimal(level),
    )


def default_markets() -> dict[str, Market]:
    """Return the symbols of config/instruments.toml with the same steps."""
    markets = [
        *(
            _market(f"BTC{quote}", "BTC", quote, lot="0.00001", mid=50_000, level="2")
            for quote in ("USDT", "USD", "EUR")
        ),
        *(_market(f"ETH{quote}", "ETH", quote, lot="0.0001", mid=3_000, level="20") for quote in ("USDT", "USD")),
    ]
    return {market.symbol: market for market in markets}


def default_balances() -> dict[str, Decimal]:
    return {
        "BTC": Decimal(100),
        "ETH": Decimal(1_000),
        "USDT": Decimal(1_000_000),
        "USD": Decimal(1_000_000),
        "EUR": Decimal(1_000_000),
    }
