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
        if self._journal.error is not None and not result.executor_called:
            return result  # refused anyway; its record follows when the journal can be written again
        try:
            await self._journal.durable(patient=result.executor_called)
        except JournalError:
            return result
        return result

    def _error(self, submission: Submission, error: Exception) -> ExecutionResult:
        self._log.error(
            "submission_failed",
            run_id=submission.run_id,
            client_order_id=submission.client_order_id,
            exc_info=error,
        )
        order = self._tracker.current(submission.client_order_id or "")
        return submission.answer(
            ExecutionStatus.ERROR,
            order_status=order.status if order is not None else None,
            reason=f"{type(error).__name__}: {error}. Collect the logs, open an incident (run_id {submission.run_id}).",
            stacktrace="".join(traceback.format_exception(error)),
        )
