"""Cancels in a lane of their own: past every gate, queue, limit and halt, and never held up by the journal (spec §5).

What was asked for is noted (pending cancel) and sent in the same breath; if the sending fails the cancel stays
pending and the watchers send it again. This module must not know why somebody wants an order ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import anyio

from router.clock import within
from router.domain.enums import ExecutionStatus
from router.domain.order import Order
from router.domain.result import ExecutionResult
from router.errors import ExecutionPipelineError, JournalError
from router.execution.dispatch import ANSWER_S
from router.execution.intake import Intake
from router.execution.tracker import Tracker
from router.execution.waiting import resolve
from router.executors.base import OrderExecutor
from router.journal.base import Journal
from router.logs import RouterLogger

_AT_ONCE: Final = 32
"""Cancels under way together; the executor's own limiter orders them further."""
EXPIRY_REASON: Final = "its time in force has passed"


class CancelLane:
    """Asks executors to end orders.

    Args:
        waiter: makes a future for an answer that the pipeline's end resolves too.
        spawn: starts a coroutine function in the background.
        leaving: told of every cancel that goes out.
    """

    def __init__(
        self,
        tracker: Tracker,
        executors: Mapping[str, OrderExecutor],
        journal: Journal,
        intake: Intake,
        log: RouterLogger,
        *,
        waiter: Callable[[], asyncio.Future[ExecutionResult]],
        spawn: Callable[..., None],
        leaving: Callable[[Order], None],
    ) -> None:
        self._tracker = tracker
        self._executors = executors
        self._journal = journal
        self._intake = intake
        self._log = log
        self._waiter = waiter
        self._spawn = spawn
        self._leaving = leaving

    async def cancel(self, client_order_ids: Sequence[str], reason: str) -> None:
        """Ask for the end of each order that is open, and wait for what the executors answered to be durable.

        While the journal cannot be written there is no waiting: the cancels were carried out, their record follows.

        Raises:
            ExecutionPipelineError: some orders' environment is not enabled; all others were asked for.
        """
        limiter = anyio.CapacityLimiter(_AT_ONCE)
        stuck: list[Order] = []

        async def one(client_order_id: str) -> None:
            async with limiter:
                order = await self.handed_over(client_order_id)
                if order is None or not order.is_open:
                    return
                if order.environment not in self._executors:
                    stuck.append(order)
                    return
                self._note(order, reason, expires=False)
                await self._send(order, reason)

        if len(client_order_ids) == 1:  # no task for what never suspends
            await one(client_order_ids[0])
        else:
            async with anyio.create_task_group() as group:
                for client_order_id in client_order_ids:
                    group.start_soon(one, client_order_id)
        with suppress(JournalError):
            await self._journal.reached(self._journal.next_seq - 1)
        if stuck:
            raise ExecutionPipelineError(
                f"{', '.join(order.client_order_id for order in stuck)}: not cancelled, for the environment "
                f"{stuck[0].environment} is not in execution.environments: enable it to cancel."
            )

    def expire(self, order: Order) -> None:
        """Ask, in the background, for the end of an order whose time in force has passed."""
        if order.environment in self._executors:
            self._note(order, EXPIRY_REASON, expires=True)
            self._spawn(self._send, order, EXPIRY_REASON)

    def again(self, order: Order) -> None:
        """Send a cancel that is pending once more, in the background."""
        self._log.warning("cancel_sent_again", client_order_id=order.client_order_id)
        self._spawn(self._send, order, "the cancel was not carried out: asked again")

    async def handed_over(self, client_order_id: str) -> Order | None:
        """Return the order as decided, once it is no longer on its way to an executor that could not find it yet."""
        order = self._tracker.orders.current(client_order_id)
        if order is not None and order.status is ExecutionStatus.PENDING:
            answer = self._waiter()
            if self._intake.attach(client_order_id, partial(resolve, answer)):
                await answer
                order = self._tracker.orders.current(client_order_id)
            else:
                answer.cancel()
        return order

    def _note(self, order: Order, reason: str, *, expires: bool) -> None:
        if order.pending_cancel is None:
            self._tracker.cancel_asked(order.client_order_id, reason, expires=expires)

    async def _send(self, order: Order, reason: str) -> None:
        try:
            executor = self._executors[order.environment]
            self._leaving(order)
            if executor.remote:
                await within(self._journal.clock, ANSWER_S, lambda: executor.cancel(order, reason))
            else:
                await executor.cancel(order, reason)
        except Exception as error:  # noqa: BLE001 -- what became of it is unknown: it stays pending, and is sent again
            self._log.error("cancel_failed", client_order_id=order.client_order_id, exc_info=error)
        finally:
            self._tracker.sent(order.client_order_id)
