"""Waiting for what the journal will say: the end of one order, or every event from some point on.

This module must not know how events come about.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

import anyio

from router.clock import Clock
from router.domain.enums import TERMINAL
from router.domain.events import OrderEvent
from router.domain.order import Order
from router.domain.result import ExecutionResult
from router.errors import JournalError, RouterError
from router.journal.base import Journal

Answer = TypeVar("Answer")


def resolve(answer: asyncio.Future[Answer], result: Answer) -> None:
    """Give ``answer`` its result, unless whoever waited has gone or been told otherwise."""
    if not answer.done():
        answer.set_result(result)


class Answers:
    """Who waits for the answer to a submission; the pipeline's end answers them all."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[ExecutionResult]] = set()

    def new(self) -> asyncio.Future[ExecutionResult]:
        """Return a future for an answer."""
        answer: asyncio.Future[ExecutionResult] = asyncio.get_running_loop().create_future()
        self._waiting.add(answer)
        answer.add_done_callback(self._waiting.discard)
        return answer

    def abandon(self, error: RouterError) -> None:
        """Raise ``error`` in everybody who still waits."""
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(error)


class Endings:
    """Who waits for which order to end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiters: dict[str, list[asyncio.Future[Order]]] = {}

    async def of(self, client_order_id: str, seconds: float | None) -> Order:
        """Return the order once it has ended; raises TimeoutError after ``seconds`` of the clock."""
        ended: asyncio.Future[Order] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(client_order_id, [])
        waiters.append(ended)
        try:
            async with anyio.create_task_group() as waiting:
                if seconds is not None:
                    waiting.start_soon(self._time_out, ended, client_order_id, seconds)
                await asyncio.wait({ended})
                waiting.cancel_scope.cancel()
            return ended.result()
        finally:  # nobody waits any longer, whatever the reason
            ended.cancel()
            waiters.remove(ended)
            if not waiters and self._waiters.get(client_order_id) is waiters:
                del self._waiters[client_order_id]

    async def _time_out(self, ended: asyncio.Future[Order], client_order_id: str, seconds: float) -> None:
        await self._clock.sleep(seconds)
        if not ended.done():
            ended.set_exception(TimeoutError(f"Order {client_order_id} has not ended within {seconds:g} s."))

    def tell(self, order: Order) -> None:
        """Wake those who wait for ``order``, if it has ended."""
        if order.status in TERMINAL:
            for waiter in self._waiters.pop(order.client_order_id, ()):
                resolve(waiter, order)

    def abandon(self, error: RouterError) -> None:
        """Raise ``error`` in everybody who still waits."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(error)
        self._waiters.clear()


async def order_events(journal: Journal, seq: int) -> AsyncGenerator[OrderEvent, None]:
    """Yield every durable order event from ``seq`` on, in journal order, until the journal is closed."""
    while True:
        try:
            batch = await journal.read(seq)
        except JournalError:
            if journal.closed:  # the pipeline stopped; whoever wants the rest resumes from its last seq
                return
            raise
        for event in batch:
            seq = event.seq + 1
            if isinstance(event, OrderEvent):
                yield event
        if not batch:
            if journal.closed:
                return
            await journal.moved()
