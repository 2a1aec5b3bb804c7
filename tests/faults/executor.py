"""An executor for the venue process, with fault points before, during and after everything it does.

It is a remote executor as a real one would be: requests on one connection, reports on another, look-ups by client id
in batches. This module must not know how the router uses it.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from router.domain.enums import ExecType, ExecutionStatus
from router.domain.order import Order, Replacement
from router.domain.report import ExecutionReport
from router.executors.base import Emit
from tests.faults.points import Trap
from tests.faults.script import SETTLE_S, script
from tests.faults.venue import Answer, Booked, Request, Trade

X: Final = ExecType


class VenueError(Exception):
    """The venue did not do what it was asked for, or was not heard to."""


class VenueExecutor:
    """Works the orders of one environment at the venue behind ``socket``.

    Args:
        trap: asked at every fault point.
        streams: whether the venue's stream is listened to; without it only look-ups show what happens later.
    """

    remote = True
    look_up_batch = 20
    look_ups_per_s = 40.0
    settle_s = SETTLE_S

    def __init__(self, environment: str, emit: Emit, *, socket: Path, trap: Trap, streams: bool = True) -> None:
        self.environment = environment
        self._emit = emit
        self._socket = socket
        self._trap = trap
        self._streams = streams
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._first_look_up = False

    def restore(self, orders: Iterable[Order]) -> None:
        self._first_look_up = bool(list(orders))
        self._trap.passes("start.replayed")

    async def run(self) -> None:
        self._trap.passes("start.running")
        if not self._streams:
            await asyncio.Event().wait()
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        writer.write(msgspec.json.encode(Request(0, "stream")) + b"\n")
        try:
            while line := await reader.readline():
                self._trap.passes("stream.before")
                self._hear(msgspec.json.decode(line, type=Answer))
                self._trap.passes("stream.emitted")
        finally:
            writer.close()

    def _hear(self, said: Answer) -> None:
        order = said.order
        assert order is not None, "the stream is about orders"
        if said.what == "trade":
            assert said.trade is not None, "a trade is told with its numbers"
            self._traded(order, said.trade)
        elif said.what == "replaced":
            self._say(
                order, said.at, X.REPLACED, request_id=said.request_id, quantity=order.quantity, price=order.price
            )
        elif said.what == "canceled":
            self._say(order, said.at, X.CANCELED, filled_quantity=order.filled)
        else:
            self._say(order, said.at, X.NEW, venue_order_id=order.venue_order_id)

    # -- calls ---------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> None:
        await asyncio.sleep(script(order.client_order_id).held_s)  # the own limiter
        answer = await self._ask("submit", order, side=order.side, quantity=order.quantity, price=order.price)
        if answer.order is None:
            self._say(order, answer.at, X.REJECTED, reason=f"the venue's answer: {answer.what}")
        else:
            self._say(answer.order, answer.at, X.NEW, venue_order_id=answer.order.venue_order_id)
            for trade in answer.order.trades:
                self._traded(answer.order, trade)
        self._trap.passes("submit.emitted")

    async def cancel(self, order: Order, reason: str) -> None:
        answer = await self._ask("cancel", order)
        if answer.what == "done" and answer.order is not None:
            self._say(order, answer.at, X.CANCELED, reason=reason, filled_quantity=answer.order.filled)
        else:
            self._say(
                order, answer.at, X.NOT_FOUND if answer.what == "unknown" else X.CANCEL_REJECTED, reason=answer.what
            )
        self._trap.passes("cancel.emitted")

    async def amend(self, order: Order, asked: Replacement) -> None:
        answer = await self._ask(
            "amend", order, request_id=asked.request_id, quantity=asked.quantity, price=asked.price
        )
        if answer.what == "done":
            self._say(
                order, answer.at, X.REPLACED, request_id=asked.request_id, quantity=asked.quantity, price=asked.price
            )
        else:
            self._say(order, answer.at, X.REPLACE_REJECTED, request_id=asked.request_id, reason=answer.what)
        self._trap.passes("amend.emitted")

    async def look_up(self, orders: Sequence[Order]) -> None:
        if self._first_look_up:
            self._first_look_up = False
            self._trap.passes("start.looking")
        answer = await self._ask("look_up", None, names=[order.client_order_id for order in orders])
        if answer.what == "busy":
            raise VenueError("the venue is busy")
        for order in orders:
            self._shown(order, answer.at, answer.orders[order.client_order_id])
        self._trap.passes("look_up.emitted")

    def _shown(self, order: Order, at: float, booked: Booked | None) -> None:
        """Say what a look-up shows of one order."""
        if booked is None:
            self._say(order, at, X.NOT_FOUND)
            return
        for trade in booked.trades:
            self._traded(booked, trade)
        self._say(
            booked,
            at,
            X.ORDER_STATUS,
            venue_order_id=booked.venue_order_id,
            order_status=ExecutionStatus(booked.status),
            filled_quantity=booked.filled,
            quantity=booked.quantity,
            price=booked.price,
        )

    # -- inside --------------------------------------------------------------------------------------------

    def _traded(self, order: Booked, trade: Trade) -> None:
        self._say(
            order,
            trade.at,
            X.TRADE,
            trade_id=trade.trade_id,
            last_quantity=trade.quantity,
            last_price=trade.price,
            filled_quantity=trade.cumulative,
        )

    def _say(self, order: Order | Booked, at: float, exec_type: ExecType, **fields: Any) -> None:
        name, then = order.client_order_id if isinstance(order, Order) else order.name, datetime.fromtimestamp(at, UTC)
        self.say(ExecutionReport(exec_type=exec_type, client_order_id=name, ts_event=then, **fields))

    def say(self, report: ExecutionReport) -> None:
        """Say one thing to the router."""
        self._emit(report)

    async def _ask(self, call: str, order: Order | None, **fields: Any) -> Answer:
        """Send a request and return its answer; raises VenueError when the connection ends before it."""
        self._trap.passes(f"{call}.before")
        writer = await self._connected()
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        name = order.client_order_id if order is not None else ""
        request = Request(number, call, name, sent_at=time.monotonic(), **fields)
        writer.write(msgspec.json.encode(request) + b"\n")
        self._trap.passes(f"{call}.sent")
        try:
            line = await answer
        finally:
            self._waiting.pop(number, None)
        self._trap.passes(f"{call}.executed")
        said = msgspec.json.decode(line, type=Answer)
        self._trap.passes(f"{call}.read")
        return said

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_unix_connection(str(self._socket))
                self._reading = asyncio.create_task(self._listen(reader, self._writer))
            return self._writer

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand each answer to whoever waits for it; at the end tell the others that there is none."""
        with suppress(ConnectionError):
            while line := await reader.readline():
                waiting = self._waiting.get(msgspec.json.decode(line, type=Answer).number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(line)
        self._writer = None
        writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(VenueError("the venue closed the connection without an answer"))
