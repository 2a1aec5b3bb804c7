"""The outermost stage: no exception passes it, and no answer is seen before it is durable.

Any exception becomes ERROR with its stack trace in the answer, for the incident (runbook §5.3), and in the log.
This module must not know what the stages do.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

import msgspec

from router.domain.enums import ExecutionStatus
from router.domain.result import ExecutionResult
from router.errors import JournalError
from router.execution.tracker import Tracker
from router.journal.base import Journal
from router.logs import RouterLogger
from router.middleware import Next, Submission
from router.operations.actions import explain


class Boundary:
    """Answers ERROR for whatever the chain raises; records every answer, with the whole governance register."""

    def __init__(
        self, tracker: Tracker, journal: Journal, log: RouterLogger, register: Callable[[], dict[str, str]]
    ) -> None:
        self._tracker = tracker
        self._journal = journal
        self._log = log
        self._register = register

    async def __call__(self, submission: Submission, call_next: Next) -> ExecutionResult:
        try:
            result = await call_next(submission)
        except Exception as error:  # noqa: BLE001 -- nothing passes the boundary
            result = self._error(submission, error)
        if result.status is not ExecutionStatus.SUCCESS:
            result = msgspec.structs.replace(
                result,
                category=explain(result.status).category,
                governance_status=result.governance_status or self._register(),
            )
        self._tracker.answer(submission, result)
        try:
            await self._recorded()
        except JournalError as error:
            return _unrecorded(submission, error) if result.executor_called else result
        return result

    async def _recorded(self) -> None:
        """Wait for the record; raises JournalError, at once while the journal is known to fail."""
        if self._journal.error is not None:
            raise JournalError(*self._journal.error.args)
        await self._journal.durable()

    def _error(self, submission: Submission, error: Exception) -> ExecutionResult:
        self._log.error(
            "submission_failed",
            run_id=submission.run_id,
            client_order_id=submission.client_order_id,
            exc_info=error,
        )
        order = self._tracker.orders.current(submission.client_order_id or "")
        return submission.answer(
            ExecutionStatus.ERROR,
            order_status=order.status if order is not None else None,
            reason=f"{type(error).__name__}: {error}. Collect the logs, open an incident (run_id {submission.run_id}).",
            stacktrace="".join(traceback.format_exception(error)),
        )


def _unrecorded(submission: Submission, error: JournalError) -> ExecutionResult:
    """Answer with no more than what is durable: the order was handed over, its outcome is not recorded yet."""
    assert submission.order is not None, "only a validated order is handed over"
    return submission.answer(
        ExecutionStatus.SUBMITTED,
        order_status=ExecutionStatus.PENDING,
        leaves_quantity=submission.order.quantity,
        executor_called=True,
        outcome_unknown=True,
        reason=f"Handed over, but the executor's answer cannot be recorded: {error} Ask again with the same intent_id.",
    )
