"""What every dialect can say of its venue, and the words they share: exact numbers, times, standings, refusals.

Reads go through ``ask`` and are checked to be what the venue documents, because ccxt makes an empty list, so a proof of
absence, of an empty or HTML body. Orders are built by ccxt and compared with what was meant before anything is sent.
This module must not know any venue, nor import ccxt: the ccxt object is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

from router.domain.enums import ExecutionStatus, Liquidity, OrderSide, OrderType, TimeInForce
from router.domain.market import Instrument
from router.domain.order import ZERO, Order, Replacement
from router.domain.venue import VenueOrder, VenueTrade
from router.errors import RouterError

S = ExecutionStatus
T = TypeVar("T")

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LEEWAY: Final = timedelta(days=1)
"""How far before our own time of an order the venue's lists are searched: our clock may have been wrong."""
TAKES_OR_ENDS: Final = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_SIDES: Final = MappingProxyType({str(side): side for side in OrderSide})
_NO_LIMIT: Final = Decimal(10**12)
_SENT_AS: Final = MappingProxyType({TimeInForce.DAY: TimeInForce.GTC, TimeInForce.GTD: TimeInForce.GTC})
_UNREADABLE: Final = "the venue's answer cannot be read, so it proves nothing"


class RefusedHereError(RouterError):
    """Nothing was sent: the venue could not do what was asked, or would have done something else."""


class NotExactError(RefusedHereError):
    """The venue would be sent another number than was decided."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class UnsupportedAmendError(RefusedHereError):
    """The venue cannot change this of a working order."""


class NoProofError(RouterError):
    """An answer came and proves nothing: it is unreadable, incomplete, or silent about what it cannot know."""


class UnreadableError(NoProofError):
    """An answer came that is none: a page, nothing, or something that the venue does not document."""


class Dialect(Protocol):
    """Speaks for one venue, through ccxt.

    Every call raises NoProofError when its answer proves nothing, and whatever ccxt raises.
    """

    @property
    def costs(self) -> Mapping[str, float]:
        """The weight of each call here, in the venue's units."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What an operator should know of this dialect."""
        ...

    async def load(self) -> None:
        """Read the venue's markets."""
        ...

    async def create(self, order: Order) -> tuple[VenueOrder, Sequence[VenueTrade]]:
        """Send the order and return what the answer shows; its venue_order_id is None when that is nothing.

        Raises:
            RefusedHereError: nothing was sent.
        """
        ...

    async def cancel(self, order: Order) -> VenueOrder | None:
        """Ask for the order's end; None: the answer shows nothing of it."""
        ...

    async def amend(self, order: Order, asked: Replacement) -> VenueOrder | None:
        """Ask for other terms; None: the answer shows nothing of them.

        Raises:
            RefusedHereError: nothing was sent.
        """
        ...

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        """Return every working order of the symbol."""
        ...

    async def find(self, order: Order) -> VenueOrder | None:
        """Look the order up by its client id, open ones first; None only when the venue says that it has none."""
        ...

    async def name_of(self, symbol: str, venue_order_id: str) -> str | None:
        """Return the client id of an order that only the venue's id is known of, or None."""
        ...

    async def trades_of(self, order: Order, venue_order_id: str) -> list[VenueTrade]:
        """Return every trade of the order."""
        ...

    async def trades_since(self, symbol: str, since: datetime) -> list[VenueTrade]:
        """Return every trade of the symbol from ``since`` on."""
        ...

    async def balances(self) -> dict[str, Decimal]:
        """Return what is held of each currency, free and in orders."""
        ...

    def instrument(self, symbol: str) -> Instrument | None:
        """Return the venue's own steps; None: it does not list the symbol, or not in steps."""
        ...

    async def watch_orders(self) -> list[VenueOrder]:
        """Await the stream's next word on orders."""
        ...

    async def watch_trades(self) -> list[VenueTrade]:
        """Await the stream's next trades."""
        ...

    async def hang_up(self) -> None:
        """Close the streams' connections; the next watch dials again."""
        ...


class Client(Protocol):
    """Whoever holds the ccxt object."""

    @property
    def ex(self) -> Any: ...


class CcxtDialect:
    """What is the same at every venue."""

    notes: Sequence[str] = ()

    def __init__(self, client: Client) -> None:
        self._ex = client.ex

    async def load(self) -> None:
        if not await self._ex.load_markets(True):  # anew; an empty or HTML body is no market list to ccxt either
            raise UnreadableError("the venue's list of markets is empty")

    async def hang_up(self) -> None:
        await self._ex.close_ws_clients()

    def instrument(self, symbol: str) -> Instrument | None:
        market = (self._ex.markets or {}).get(symbol)
        return None if market is None else instrument_of(market)

    def currency(self, name: str | None) -> str | None:
        """Return ccxt's code of what the venue calls ``name``."""
        code: str | None = self._ex.safe_currency_code(name) if name else None
        return code

    async def ask(self, method: str, path: str, params: Mapping[str, Any]) -> Any:
        """Return the venue's whole answer to a signed request."""
        return await self._ex.request(path, ["private"], method, dict(params))


# -- before anything is sent ------------------------------------------------------------------------------


def built(make: Callable[[], T]) -> T:
    """Return what ccxt makes of a request that is not sent yet, so that its refusal proves itself.

    Raises:
        RefusedHereError: ccxt will not make it.
    """
    try:
        return make()
    except Exception as error:
        raise RefusedHereError(f"{type(error).__name__}: {error}") from error


def check_exact(field: str, meant: Decimal | None, sent: object) -> None:
    """Raise NotExactError when ``sent`` is another number than ``meant``; ccxt cuts quantities and rounds prices."""
    if number(sent) != meant:
        raise NotExactError(field, f"{field} {plain(meant)} would be sent as {sent}: it is not in the venue's steps")


def check_takable(order: Order) -> None:
    """Refuse what no spot venue has: a market order that fills at once and wholly or not at all."""
    if order.order_type is OrderType.MARKET and order.time_in_force is TimeInForce.FOK:
        raise RefusedHereError("the venue has no market order that is fill-or-kill; send a limit order")


def time_in_force(order: Order) -> str:
    """Return what the venue is told: DAY and GTD are ended by the router itself."""
    return str(_SENT_AS.get(order.time_in_force, order.time_in_force))


def limit_price(order: Order) -> Decimal | None:
    """Return the price that is sent; a market order's is only the strategy's, and ccxt would make a cost of it."""
    return order.price if order.order_type is OrderType.LIMIT else None


def plain(value: Decimal | None) -> str | None:
    """Return the number's digits without an exponent."""
    return None if value is None else format(value, "f")


# -- what an answer says ----------------------------------------------------------------------------------


def unexplained(order: Order) -> VenueOrder:
    """Return what an answer without an order shows: nothing. It bears our oldest time, as it has none."""
    return VenueOrder(
        symbol=order.symbol,
        client_order_id=order.client_order_id,
        venue_order_id=None,
        status=None,
        at=order.created_at,
    )


def rows(answer: object) -> list[Any]:
    """Return the answer as the list that it must be."""
    if not isinstance(answer, list):
        raise UnreadableError(_UNREADABLE)
    return answer


def record(answer: object, key: str) -> dict[str, Any]:
    """Return the answer as the object that it must be, with something under ``key``."""
    if not has(answer, key):
        raise UnreadableError(_UNREADABLE)
    assert isinstance(answer, dict)
    return answer


def has(answer: object, key: str) -> bool:
    """Return whether the answer is an object with something under ``key``."""
    return isinstance(answer, dict) and answer.get(key) not in (None, "")


def number(value: object) -> Decimal | None:
    """Return the venue's number exactly, None when it says none."""
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise NoProofError(f"the venue's answer has {value!r} in the place of a number") from None
    if not found.is_finite():
        raise NoProofError(f"the venue's answer has {value!r} in the place of a number")
    return found


def positive(value: object) -> Decimal | None:
    """Return the venue's number, None also for the 0 that venues write for "none"."""
    return number(value) or None


def needed(value: object) -> Decimal:
    """Return a number without which the answer makes no sense."""
    found = number(value)
    if found is None:
        raise NoProofError("the venue's answer lacks a number")
    return found


def moment(*candidates: object) -> datetime:
    """Return the first of the times (ms) that is given; 1970 when none is, which is older than anything shown."""
    for each in candidates:
        if each not in (None, "", 0, "0"):
            return EPOCH + timedelta(milliseconds=int(needed(each)))
    return EPOCH


def milliseconds(at: datetime) -> int:
    """Return the time as venues want it."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def side_of(word: object) -> OrderSide | None:
    """Return the side that the venue names."""
    return _SIDES.get(str(word).lower())


def needed_side(word: object) -> OrderSide:
    """Return the side of a trade."""
    side = side_of(word)
    if side is None:
        raise NoProofError(f"the venue's answer has {word!r} in the place of a side")
    return side


def liquidity(*, maker: bool) -> Liquidity:
    """Return whether a trade made or took liquidity."""
    return Liquidity.MAKER if maker else Liquidity.TAKER


def standing(said: ExecutionStatus | None, filled: Decimal | None, quantity: Decimal | None) -> ExecutionStatus | None:
    """Return the status that the quantities and the venue's word prove together.

    Args:
        said: SUBMITTED for every word that means working, else how it ended; None: a word that no rule knows.
    """
    if said is None:
        return None
    if filled and quantity and filled >= quantity:
        return S.FILLED
    if said is S.FILLED:  # with less filled than it asks for it is a picture that contradicts itself
        return said if filled is None or quantity is None else None
    if filled and said is S.SUBMITTED:
        return S.PARTIALLY_FILLED
    return S.CANCELLED if filled and said is S.REJECTED else said  # what traded was placed


def is_named(error: BaseException, name: str) -> bool:
    """Return whether ``error`` is ccxt's error of that name or a special case of it."""
    return any(each.__name__ == name for each in type(error).__mro__)


def instrument_of(market: Mapping[str, Any]) -> Instrument | None:
    """Return a market of ccxt's as an instrument; None: in no known steps."""
    limits = market["limits"]
    lot, tick = positive(market["precision"]["amount"]), positive(market["precision"]["price"])
    if lot is None or tick is None:
        return None
    return Instrument(
        symbol=market["symbol"],
        base=market["base"],
        quote=market["quote"],
        tick_size=tick,
        lot_size=lot,
        min_quantity=max(number(limits["amount"]["min"]) or lot, lot),
        max_quantity=positive(limits["amount"]["max"]) or _NO_LIMIT,
        min_notional=number(limits["cost"]["min"]) or ZERO,
        tradable=market["active"] is not False,
    )
