"""The control routes of a loopback venue under /_venue/: make faults, do what others do, read the whole truth.

``Deed`` is everything that can be asked for in ``POST /_venue/do``; each has ``run``. This module must not know HTTP's
bytes or any venue.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from tools.loopback.faults import Rule, StreamFaults
from tools.loopback.model import Order, OrderType, Refusal, RefusedError, Side, TimeInForce
from tools.loopback.wire import Answer

if TYPE_CHECKING:
    from tools.loopback.server import LoopbackVenue


class _Deed(msgspec.Struct, tag_field="do", forbid_unknown_fields=True, kw_only=True):
    pass


class _OfOrder(_Deed):
    """Something that happens to the order of this venue id or client id."""

    order_id: int | None = None
    client_id: str | None = None

    def order(self, venue: LoopbackVenue) -> Order:
        order = venue.exchange.find(order_id=self.order_id, client_id=self.client_id)
        if order is None:
            raise RefusedError(Refusal.NOT_FOUND)
        return order


class Fill(_OfOrder, tag="fill"):
    """A counterparty trades against a resting order; no quantity: all that is left."""

    quantity: Decimal | None = None

    def run(self, venue: LoopbackVenue) -> None:
        venue.exchange.fill(self.order(venue), self.quantity)


class Cancel(_OfOrder, tag="cancel"):
    """The account's owner cancels an order elsewhere."""

    def run(self, venue: LoopbackVenue) -> None:
        venue.exchange.cancel(self.order(venue), reason="cancelled elsewhere")


class Expire(_OfOrder, tag="expire"):
    """The venue ends an order by itself."""

    reason: str = "ended by the venue"

    def run(self, venue: LoopbackVenue) -> None:
        venue.exchange.expire(self.order(venue), self.reason)


class Move(_Deed, tag="move"):
    """The price moves, and resting orders that it crosses are filled."""

    symbol: str
    mid: Decimal

    def run(self, venue: LoopbackVenue) -> None:
        venue.exchange.move_price(self.symbol, self.mid)


class PlaceForeign(_Deed, tag="place_foreign"):
    """The account's owner places an order elsewhere."""

    symbol: str
    side: Side
    quantity: Decimal
    type: OrderType = "LIMIT"
    price: Decimal | None = None
    time_in_force: TimeInForce = "GTC"
    client_id: str = "foreign-1"

    def run(self, venue: LoopbackVenue) -> None:
        venue.exchange.place(foreign=True, **{name: getattr(self, name) for name in self.__struct_fields__})


class Deposit(_Deed, tag="deposit"):
    """Something arrives in the account; a negative amount is taken out."""

    currency: str
    amount: Decimal

    def run(self, venue: LoopbackVenue) -> None:
        venue.exchange.deposit(self.currency, self.amount)


class HaltSymbol(_Deed, tag="halt_symbol"):
    symbol: str
    status: Literal["TRADING", "BREAK", "HALT"] = "BREAK"

    def run(self, venue: LoopbackVenue) -> None:
        venue.exchange.market(self.symbol).status = self.status


class Delist(_Deed, tag="delist"):
    symbol: str

    def run(self, venue: LoopbackVenue) -> None:
        venue.exchange.delist(self.symbol)


class Maintenance(_Deed, tag="maintenance"):
    """Every request is answered with the venue's maintenance, and the websockets are cut."""

    def run(self, venue: LoopbackVenue) -> None:
        venue.maintenance = True
        venue.cut()


class Resume(_Deed, tag="resume"):
    """End maintenance and every halt."""

    def run(self, venue: LoopbackVenue) -> None:
        venue.maintenance = False
        for market in venue.exchange.markets.values():
            market.status = "TRADING"


class Clock(_Deed, tag="clock"):
    """The venue's clock is wrong by this much."""

    offset_ms: int

    def run(self, venue: LoopbackVenue) -> None:
        venue.exchange.clock_offset_ms = self.offset_ms


class Stream(_Deed, tag="stream"):
    """Set the stream's switches (those not named are off); ``cut`` ends the open websockets, ``terminate`` only the
    account's subscriptions on them."""

    switches: StreamFaults = msgspec.field(default_factory=StreamFaults)
    cut: bool = False
    terminate: bool = False

    def run(self, venue: LoopbackVenue) -> None:
        venue.faults.stream = self.switches
        if self.terminate:
            venue.dialect.terminate()
        if self.cut:
            venue.cut()


Deed = (
    Fill | Cancel | Expire | Move | PlaceForeign | Deposit | HaltSymbol | Delist | Maintenance | Resume | Clock | Stream
)


def answer(venue: LoopbackVenue, method: str, path: str, body: bytes) -> Answer:
    """Answer a control request; a wrong one gets 400 and a sentence."""
    try:
        match method, path.removeprefix("/_venue/"):
            case "POST", "faults":
                venue.faults.add(msgspec.json.decode(body, type=Rule))
            case "POST", "clear":
                venue.clear()
            case "POST", "do":
                msgspec.json.decode(body, type=Deed).run(venue)
            case "GET", "book":
                return Answer(truth(venue))
            case _:
                return Answer({"error": f"{method} {path}: there are POST faults, clear, do and GET book"}, 404)
    except msgspec.MsgspecError as error:
        return Answer({"error": f"not understood: {error}"}, 400)
    except RefusedError as error:
        return Answer({"error": f"the exchange refuses: {error}"}, 400)
    return Answer({"ok": True})


def truth(venue: LoopbackVenue) -> dict[str, Any]:
    """Return everything the venue knows, as plain data."""
    exchange = venue.exchange
    balances = exchange.balances().items()
    return {
        "time_ms": exchange.time(),
        "orders": msgspec.to_builtins(list(exchange.orders.values())),
        "trades": msgspec.to_builtins(exchange.trades),
        "balances": {currency: {"free": str(free), "locked": str(locked)} for currency, (free, locked) in balances},
        "markets": msgspec.to_builtins(exchange.markets),
        "duplicates": exchange.duplicates(),
        "requests": dict(venue.requests),
        "faults": dict(venue.faults.hits),
        "peers": len(venue.peers),
    }
