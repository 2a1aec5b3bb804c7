"""What an earlier run left without an answer, as submissions and reports of this one.

An order that was durable but never acknowledged by an in-process executor is proved not to be in its book: that
book is the journal. A remote executor may have it: its outcome is unknown until a look-up shows it.
This module must not know when recovery happens.
"""

from __future__ import annotations

from datetime import datetime

from router.domain.enums import ExecType
from router.domain.events import Pending
from router.domain.report import ExecutionReport
from router.middleware import Submission

UNKNOWN_AFTER_RESTART = "the router stopped between the hand-over and its answer: the venue is asked"
NOT_IN_FORCE = "the router stopped before the new terms came into force"
_REASON = (
    "The router stopped before the hand-over was recorded, and the executor's book does not hold the order: it was "
    "not placed. Send a new intent if it is still wanted."
)


def resumed(pending: Pending) -> Submission:
    """Return the submission that a journaled Pending belongs to."""
    return Submission(
        pending.intent,
        run_id=pending.run_id,
        session_id=pending.session_id,
        environment=pending.environment,
        client_order_id=pending.client_order_id,
        received_at=pending.ts_recorded,
    )


def never_received(pending: Pending, now: datetime) -> ExecutionReport:
    """Return the report that the executor never had the order."""
    assert pending.client_order_id is not None, "a pending order has an id"
    return ExecutionReport(
        exec_type=ExecType.REJECTED, client_order_id=pending.client_order_id, ts_event=now, reason=_REASON
    )
