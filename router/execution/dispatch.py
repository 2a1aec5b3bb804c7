"""Stage 5, the last: environment -> executor, with the order durable before the hand-over (spec §8).

The registry has no ``live`` key, so even an edited governance register finds no executor here. After the
hand-over only evidence counts: an executor that fails leaves the outcome unknown. This module must not know how
any executor works.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from router.clock import within
from router.domain.control import Halt
from router.domain.enums import OPEN, Environment, ExecutionStatus
from router.domain.events import Cancelled, Errored, Replaced, ReplaceRejected
from router.domain.order import Order, Replacement
from router.domain.result import ExecutionResult
from router.errors import JournalError
from router.execution.conductor import OWN_TASK
from router.execution.tracker import Tracker
from router.executors.base import OrderExecutor
from router.journal.base import Journal
from router.logs import RouterLogger
from router.middleware import Submission
from router.safety.kill_switch import KillSwitch, told
from router.safety.out_versus_in import OutVersusIn

ANSWER_S: Final = 30.0
"""How long a remote executor may take over one request; after that nothing is known of it."""
_Call: TypeAlias = Callable[[], Awaitable[None]]


class Dispatch:
    """Makes the order durable, hands it over, and answers with what the executor said.

    Args:
        executors: by environment; never contains live.
        halted: the last look: what must stop a submission that has passed every gate, or None.
        leaving: counts what leaves; returns why it must not, when nobody has asked for it (``controls.md`` A12).
    """

    def __init__(
        self,
        executors: Mapping[str, OrderExecutor],
        tracker: Tracker,
        journal: Journal,
        log: RouterLogger,
        *,
        halted: Callable[[Submission], Halt | None],
        leaving: Callable[[Submission], str | None],
    ) -> None:
        assert Environment.LIVE not in executors, "live has no executor"
        self._executors = executors
        self._tracker = tracker
        self._journal = journal
        self._log = log
        self._halted = halted
        self._leaving = leaving

    async def __call__(self, submission: Submission) -> ExecutionResult:
        executor = self._executors.get(submission.environment)
        if executor is None:
            return submission.answer(
                ExecutionStatus.BLOCKED_BY_ENVIRONMENT,
                reason=f"There is no executor for environment {submission.environment}. Nothing was sent.",
            )
        order = submission.order
        assert order is not None, "validation runs before dispatch"
        excess = self._leaving(submission)
        if excess is not None:  # what it may double is not touched
            return submission.answer(ExecutionStatus.BLOCKED_BY_SAFETY, reason=excess, violation=OutVersusIn.id)
        if submission.amends is not None:
            return await self._amend(submission, executor, order)
        self._tracker.pending(submission)
        try:
            await self._journal.durable()
        except JournalError as error:
            self._tracker.fail(order.client_order_id, f"not handed over: {error}")
            raise
        halt = await self._last_look(submission, executor)
        if halt is not None:
            self._tracker.stopped(order.client_order_id, _stopped(halt))
            return self._refused(submission, halt)
        silence = await self._hand_over(executor, order.client_order_id, lambda: executor.submit(order))
        self._tracker.unknown(order.client_order_id, silence or "the executor gave no answer")
        return accepted(submission, self._tracker)

    async def _amend(self, submission: Submission, executor: OrderExecutor, order: Order) -> ExecutionResult:
        """Ask for the terms that ``order`` carries; they are in force when the executor says so, not before."""
        asked = Replacement(submission.run_id, order.quantity, order.price)
        self._tracker.replace_asked(order.client_order_id, asked)
        try:
            await self._journal.durable()
        except JournalError as error:
            self._tracker.replace_failed(order.client_order_id, asked.request_id, f"not handed over: {error}")
            raise
        halt = await self._last_look(submission, executor)
        current = self._tracker.orders.current(order.client_order_id) or order
        if halt is not None:
            if asked in current.pending_replaces:  # else the order has ended meanwhile
                self._tracker.replace_failed(order.client_order_id, asked.request_id, _stopped(halt))
            return self._refused(submission, halt)
        if asked in current.pending_replaces:  # else the order has ended meanwhile
            await self._hand_over(executor, order.client_order_id, lambda: executor.amend(current, asked))
            self._tracker.sent(order.client_order_id)
        return amended(submission, self._tracker, asked)

    async def _last_look(self, submission: Submission, executor: OrderExecutor) -> Halt | None:
        """Return what came into force while the order waited, as late as it can be seen."""
        if executor.remote:
            await OWN_TASK
        return self._halted(submission)

    def _refused(self, submission: Submission, halt: Halt) -> ExecutionResult:
        """Answer for what passed the gates and was stopped before the hand-over."""
        order = self._tracker.orders.recall(submission.client_order_id or "")
        assert order is not None, "what passed the gates is tracked"
        return submission.answer(
            ExecutionStatus.BLOCKED_BY_SAFETY,
            venue_order_id=order.venue_order_id,
            order_status=order.status,
            filled_quantity=order.filled_quantity,
            leaves_quantity=order.leaves_quantity,
            average_price=order.average_price,
            reason=_stopped(halt),
            violation=KillSwitch.id,
            alert_ids=[halt.alert_id] if halt.alert_id is not None else [],
        )

    async def _hand_over(self, executor: OrderExecutor, client_order_id: str, call: _Call) -> str | None:
        """Await ``call``; returns what went wrong, which proves nothing about the outcome."""
        try:
            if executor.remote:
                await within(self._journal.clock, ANSWER_S, call)
            else:
                await call()
        except Exception as error:  # noqa: BLE001 -- after the hand-over, any failure means unknown
            self._log.error("executor_failed", client_order_id=client_order_id, exc_info=error)
            return f"{type(error).__name__} from the executor: {error}"
        return None


def _stopped(halt: Halt) -> str:
    return f"Stopped before the hand-over. {told(halt)}"


def accepted(submission: Submission, tracker: Tracker) -> ExecutionResult:
    """Return the verdict on an order that was handed over, from what is known of it now."""
    assert submission.client_order_id is not None
    order = tracker.orders.recall(submission.client_order_id)
    assert order is not None, "an order that was handed over is tracked"
    verdict, reason = ExecutionStatus.SUCCESS, None
    if order.status not in OPEN and order.status is not ExecutionStatus.FILLED:
        last = tracker.story(order.client_order_id)[-1]
        reason = last.reason
        if isinstance(last, Errored) or (isinstance(last, Cancelled) and not last.handed_over):
            verdict = ExecutionStatus.ERROR if isinstance(last, Errored) else ExecutionStatus.BLOCKED_BY_SAFETY
            return _answer(submission, order, verdict, reason, executor_called=False)
    if order.status is ExecutionStatus.REJECTED:
        verdict = ExecutionStatus.REJECTED
    elif order.outcome_unknown or order.status is ExecutionStatus.PENDING:
        verdict, reason = ExecutionStatus.SUBMITTED, _UNPROVED
    return _answer(submission, order, verdict, reason, outcome_unknown=order.outcome_unknown)


def amended(submission: Submission, tracker: Tracker, asked: Replacement) -> ExecutionResult:
    """Return the verdict on terms that were asked for, from what is known of the order now."""
    client_order_id = submission.client_order_id or ""
    order = tracker.orders.recall(client_order_id)
    assert order is not None, "an order that is amended is tracked"
    if asked in order.pending_replaces:
        return _answer(submission, order, ExecutionStatus.SUBMITTED, _UNPROVED, outcome_unknown=True)
    story = tracker.story(client_order_id)
    if any(isinstance(event, Replaced) and event.request_id == asked.request_id for event in story):
        return _answer(submission, order, ExecutionStatus.SUCCESS, None)
    refused = (e.reason for e in story if isinstance(e, ReplaceRejected) and e.request_id == asked.request_id)
    reason = next(refused, f"the order is {order.status}")
    return _answer(submission, order, ExecutionStatus.REJECTED, reason)


_UNPROVED: Final = "Handed over, outcome not proved yet. It is being looked up; do not send it again."


def _answer(
    submission: Submission,
    order: Order,
    verdict: ExecutionStatus,
    reason: str | None,
    *,
    outcome_unknown: bool = False,
    executor_called: bool = True,
) -> ExecutionResult:
    return submission.answer(
        verdict,
        venue_order_id=order.venue_order_id,
        order_status=order.status,
        filled_quantity=order.filled_quantity,
        leaves_quantity=order.leaves_quantity,
        average_price=order.average_price,
        executor_called=executor_called,
        outcome_unknown=outcome_unknown,
        reason=reason,
        violation=KillSwitch.id if verdict is ExecutionStatus.BLOCKED_BY_SAFETY else None,
    )
