"""Stage 5, the last: environment -> executor, with the order durable before the hand-over (spec §8).

The registry has no ``live`` key, so even an edited governance register finds no executor here. After the
hand-over only evidence counts: an executor that fails leaves the outcome unknown. This module must not know how
any executor works.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.domain.enums import Environment, ExecutionStatus
from router.domain.result import ExecutionResult
from router.errors import JournalError
from router.execution.conductor import OWN_TASK
from router.execution.tracker import Tracker
from router.executors.base import OrderExecutor
from router.journal.base import Journal
from router.logs import RouterLogger
from router.middleware import Submission


class Dispatch:
    """Makes the order durable, hands it over, and answers with what the executor said.

    Args:
        executors: by environment; never contains live.
    """

    def __init__(
        self,
        executors: Mapping[str, OrderExecutor],
        tracker: Tracker,
        journal: Journal,
        log: RouterLogger,
    ) -> None:
        assert Environment.LIVE not in executors, "live has no executor"
        self._executors = executors
        self._tracker = tracker
        self._journal = journal
        self._log = log

    async def __call__(self, submission: Submission) -> ExecutionResult:
        executor = self._executors.get(submission.environment)
        if executor is None:
            return submission.answer(
                ExecutionStatus.BLOCKED_BY_ENVIRONMENT,
                reason=f"There is no executor for environment {submission.environment}. Nothing was sent.",
            )
        order = submission.order
        assert order is not None, "validation runs before dispatch"
        self._tracker.pending(submission)
        try:
            await self._journal.durable()
        except JournalError as error:
            self._tracker.fail(order.client_order_id, f"not handed over: {error}")
            raise
        if executor.remote:
            await OWN_TASK
        silence = "the executor gave no answer"
        try:
            await executor.submit(order)
        except Exception as error:  # noqa: BLE001 -- after the hand-over, any failure means unknown
            self._log.error("executor_failed", client_order_id=order.client_order_id, exc_info=error)
            silence = f"{type(error).__name__} from the executor: {error}"
        self._tracker.unknown(order.client_order_id, silence)
        return accepted(submission, self._tracker)


def accepted(submission: Submission, tracker: Tracker) -> ExecutionResult:
    """Return the verdict on an order that was handed over, from what is known of it now."""
    assert submission.client_order_id is not None
    order = tracker.current(submission.client_order_id)
    assert order is not None, "an order that was handed over is tracked"
    verdict, reason = ExecutionStatus.SUCCESS, None
    if order.status in (ExecutionStatus.REJECTED, ExecutionStatus.EXPIRED):
        reason = tracker.reason(order.client_order_id)
    if order.status is ExecutionStatus.REJECTED:
        verdict = ExecutionStatus.REJECTED
    elif order.outcome_unknown or order.status is ExecutionStatus.PENDING:
        verdict = ExecutionStatus.SUBMITTED
        reason = "Handed over, outcome not proved yet. It is being looked up; do not send it again."
    return submission.answer(
        verdict,
        venue_order_id=order.venue_order_id,
        order_status=order.status,
        filled_quantity=order.filled_quantity,
        leaves_quantity=order.leaves_quantity,
        average_price=order.average_price,
        executor_called=True,
        outcome_unknown=order.outcome_unknown,
        reason=reason,
    )
