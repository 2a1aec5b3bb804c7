"""One log line for each durable order event: the log of an order alone tells its story (spec §12).

This module must not know how a line is rendered or where it goes.
"""

from __future__ import annotations

from typing import Final

from router.domain.enums import ExecutionStatus
from router.domain.events import Answered, OrderEvent, Pending
from router.domain.intent import OrderIntent
from router.domain.order import Order
from router.logs import RouterLogger

S = ExecutionStatus
_STAGE: Final = {
    S.INVALID: "validation",
    S.BLOCKED_BY_GOVERNANCE: "governance",
    S.BLOCKED_BY_ENVIRONMENT: "governance",
    S.BLOCKED_BY_SAFETY: "safety",
    S.BLOCKED_BY_RISK: "risk",
    S.PENDING: "dispatch",
    S.ERROR: "boundary",
}
"""Where a status is decided; everything else is the executor's word."""
_WARN: Final = frozenset({S.INVALID, S.REJECTED, S.BLOCKED_BY_RISK, S.BLOCKED_BY_SAFETY, S.BLOCKED_BY_ENVIRONMENT})


class EventLog:
    """Writes order events to ``log``."""

    def __init__(self, log: RouterLogger) -> None:
        self._log = log

    def write(self, event: OrderEvent, order: Order | None) -> None:
        """Write one line for ``event``; ``order`` is its state after it, None for an answer."""
        status = event.status
        level = "error" if status is S.ERROR else "warning" if status in _WARN else "info"
        if not self._log.enabled(level):
            return
        about: Order | OrderIntent | None = event.result.order_intent if isinstance(event, Answered) else order
        fields: dict[str, object] = {
            "run_id": event.run_id,
            "stage": _STAGE.get(status, "executor"),
            "client_order_id": event.client_order_id,
            "status": status,
            "seq": event.seq,
        }
        if about is not None:
            fields["env"] = event.result.environment if isinstance(event, Answered) else about.environment
            fields["symbol"] = about.symbol
            fields["strategy_key"] = about.strategy_key
        if event.last_quantity is not None:
            fields["last_quantity"], fields["last_price"] = event.last_quantity, event.last_price
            fields["filled_quantity"], fields["leaves_quantity"] = event.filled_quantity, event.leaves_quantity
        if event.reason is not None:
            fields["reason"] = event.reason
        if isinstance(event, Pending) and order is not None:
            fields["side"], fields["order_type"], fields["quantity"] = order.side, order.order_type, order.quantity
        self._log.log(level, event.event, fields)
