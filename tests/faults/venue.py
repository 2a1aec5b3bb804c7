"""A small venue as a process of its own: it outlives every router that is killed, and its book is the truth.

    python -m tests.faults.venue SOCKET SEED

It ends when its standard input does. JSON lines on a Unix socket, request and answer paired by ``number``. What
arrived is executed, whoever is still there to hear of it; how and when is said by ``script``. A request that would be
executed later than ``SETTLE_S`` after it was sent is refused, as a recvWindow does. A second order with one
client_order_id is evidence, never an order. This module must not know the router.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from tests.faults.script import SETTLE_S, Script, script

ZERO: Final = Decimal(0)
MARKET_PRICE: Final = Decimal(50000)
SOME: Final = Decimal("0.23")
"""What a part fill takes of an order."""
_BUSY: Final = 0.2
"""How often a look-up is not answered."""


class Request(msgspec.Struct, omit_defaults=True):
    """What a client asks for; ``name`` is the order's client_order_id, ``sent_at`` the machine's monotonic clock."""

    number: int
    op: str
    name: str = ""
    names: list[str] = []
    sent_at: float = 0.0
    request_id: str = ""
    side: str = ""
    quantity: Decimal = ZERO
    price: Decimal | None = None


class Trade(msgspec.Struct, frozen=True):
    trade_id: str
    quantity: Decimal
    price: Decimal
    cumulative: Decimal
    at: float


class Booked(msgspec.Struct):
    """An order as the venue knows it; ``terms``: all that were ever in force; ``applied`` and ``refused``: the
    replacements asked for, by request id."""

    name: str
    venue_order_id: str
    side: str
    quantity: Decimal
    price: Decimal | None
    status: str = "SUBMITTED"
    filled: Decimal = ZERO
    trades: list[Trade] = []
    terms: list[tuple[Decimal, Decimal | None]] = []
    applied: list[str] = []
    refused: list[str] = []
    cancels: int = 0

    @property
    def works(self) -> bool:
        return self.status in {"SUBMITTED", "PARTIALLY_FILLED"}


class Answer(msgspec.Struct, omit_defaults=True):
    """``number`` 0: said unasked, on the stream. ``what``: done, refused, unknown, or the stream's kind of report.
    ``at`` is the venue's clock, seconds since 1970."""

    number: int
    what: str = "done"
    order: Booked | None = None
    orders: dict[str, Booked | None] = {}
    trade: Trade | None = None
    request_id: str = ""
    at: float = msgspec.field(default_factory=time.time)


class Dump(msgspec.Struct):
    """The whole book: orders by client_order_id, second submissions of one id, and ids that were refused."""

    orders: dict[str, Booked]
    doubles: list[str]
    refused: list[str]


class Book:
    """Orders and trades; ``tell`` hears of every change, ``later`` runs something after some seconds."""

    def __init__(self, tell: Callable[[Answer], None], later: Callable[[float, Callable[[], None]], object]) -> None:
        self.orders: dict[str, Booked] = {}
        self.doubles: list[str] = []
        self.refused: list[str] = []
        self._tell = tell
        self._later = later

    def submit(self, asked: Request, story: Script) -> Answer:
        if asked.name in self.orders or asked.name in self.refused:
            self.doubles.append(asked.name)
            return Answer(asked.number, "refused")
        if story.fate == "refuse":
            self.refused.append(asked.name)
            return Answer(asked.number, "refused")
        order = self.orders[asked.name] = Booked(
            asked.name,
            f"V{len(self.orders) + 1}",
            asked.side,
            asked.quantity,
            asked.price,
            terms=[(asked.quantity, asked.price)],
        )
        self._tell(Answer(0, "new", order))
        fate = story.fate if asked.price is not None else "fill"
        if fate == "fill":
            self._fill(order, order.quantity / 2)
            self._fill(order, order.quantity / 2)
        elif fate in {"part", "part later"}:
            self._fill(order, order.quantity * SOME)
        if fate.endswith("later"):
            self._later(story.delay_s / 3, lambda: self._fill(order, order.quantity * SOME))
            self._later(story.delay_s / 2, lambda: self._fill(order, order.quantity))
        return Answer(asked.number, "done", order)

    def _fill(self, order: Booked, quantity: Decimal) -> None:
        """Trade ``quantity``, or what is left."""
        quantity = min(quantity, order.quantity - order.filled)
        if not order.works or not quantity:
            return
        order.filled += quantity
        order.status = "FILLED" if order.filled == order.quantity else "PARTIALLY_FILLED"
        number = sum(len(each.trades) for each in self.orders.values()) + 1
        trade = Trade(f"T{number}", quantity, order.price or MARKET_PRICE, order.filled, time.time())
        order.trades = [*order.trades, trade]
        self._tell(Answer(0, "trade", order, trade=trade))

    def cancel(self, asked: Request, story: Script) -> Answer:
        del story
        order = self.orders.get(asked.name)
        if order is None or not order.works:
            return Answer(asked.number, "unknown" if order is None else "refused", order)
        order.status = "CANCELLED"
        self._tell(Answer(0, "canceled", order))
        return Answer(asked.number, "done", order)

    def amend(self, asked: Request, story: Script) -> Answer:
        order = self.orders.get(asked.name)
        if order is None or not order.works or asked.quantity <= order.filled:
            if order is not None:
                order.refused = [*order.refused, asked.request_id]
            return Answer(asked.number, "refused", order, request_id=asked.request_id)
        assert asked.request_id not in order.applied, "one replacement, asked for twice"
        order.quantity, order.price = asked.quantity, asked.price
        order.terms = [*order.terms, (order.quantity, order.price)]
        order.applied = [*order.applied, asked.request_id]
        self._tell(Answer(0, "replaced", order, request_id=asked.request_id))
        if story.chases:
            self._later(0.03, lambda: self._fill(order, order.quantity))
        return Answer(asked.number, "done", order, request_id=asked.request_id)

    def dump(self) -> Dump:
        return Dump(self.orders, self.doubles, self.refused)


class Venue:
    """The book, and everybody who is connected."""

    def __init__(self, seed: str) -> None:
        self.listeners: set[asyncio.Transport] = set()
        self.book = Book(self._tell, lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call))
        self._chance = random.Random(seed)

    def _tell(self, what: Answer) -> None:
        line = msgspec.json.encode(what) + b"\n"
        for listener in self.listeners:
            if not listener.is_closing():
                listener.write(line)

    def take(self, line: bytes, client: asyncio.Transport) -> None:
        """Do what a line asks for, now or as its script says."""
        asked = msgspec.json.decode(line, type=Request)
        if asked.op in {"submit", "cancel", "amend"}:
            self._order(asked, client)
        elif asked.op == "look_up":
            if self._chance.random() < _BUSY:
                _say(client, Answer(asked.number, "busy"))
            else:
                _say(client, Answer(asked.number, orders={name: self.book.orders.get(name) for name in asked.names}))
        elif asked.op == "stream":
            self.listeners.add(client)
        else:
            _say(client, self.book.dump())

    def _order(self, asked: Request, client: asyncio.Transport) -> None:
        name = {"submit": asked.name, "amend": asked.request_id}.get(asked.op)
        if name is None:  # the same cancel may be asked for again: each time is a story of its own
            order = self.book.orders.get(asked.name)
            tries = order.cancels if order is not None else 0
            name = f"cancel {asked.name} {tries}"
            if order is not None:
                order.cancels += 1
        story = script(name)

        def execute() -> None:
            late = time.monotonic() - asked.sent_at > SETTLE_S
            answer = Answer(asked.number, "late") if late else getattr(self.book, asked.op)(asked, story)
            if story.manner in {"prompt", "slow"}:
                _say(client, answer)

        if story.manner in {"prompt", "cut"}:
            execute()
        elif story.manner in {"slow", "cut slow"}:
            asyncio.get_running_loop().call_later(story.delay_s, execute)
        if story.manner not in {"prompt", "slow"}:
            client.close()


def _say(client: asyncio.Transport, what: Any) -> None:
    if not client.is_closing():
        client.write(msgspec.json.encode(what) + b"\n")


class Client(asyncio.Protocol):
    """A connection: whole lines go to the venue the moment they arrive, so a client's death takes none back."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._venue.take(line, self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._venue.listeners.discard(self._transport)


async def serve(path: str, seed: str) -> None:
    """Serve until whoever started this is gone."""
    venue, over, loop = Venue(seed), asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin, over.set)
    async with await loop.create_unix_server(lambda: Client(venue), path):
        await over.wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
