"""What the watchers do to orders, said in the tracker's and the cancel lane's words.

This module must not know when any of it is due.
"""

from __future__ import annotations

from collections.abc import Iterable

from router.clock import Clock
from router.domain.enums import ExecType
from router.domain.order import Order
from router.domain.report import ExecutionReport
from router.execution.cancels import CancelLane
from router.execution.tracker import Tracker

NOT_PLACED = (
    "The venue does not know the order, asked again after the request could no longer be executed: it was not placed. "
    "Send a new intent if it is still wanted."
)
OLD_TERMS = "the venue still shows the old terms, asked after the request could no longer be executed"
GONE = "The venue does not know the order any more, asked repeatedly; what had traded stays."


class Upkeep:
    """The watchdog's ``Keeper``."""

    def __init__(self, tracker: Tracker, cancels: CancelLane, clock: Clock) -> None:
        self._tracker = tracker
        self._cancels = cancels
        self._clock = clock

    def current(self, client_order_id: str) -> Order | None:
        return self._tracker.orders.current(client_order_id)

    def open_count(self) -> int:
        return self._tracker.orders.open_count

    def open_orders(self) -> Iterable[Order]:
        return self._tracker.orders.working_orders()

    def expire(self, order: Order) -> None:
        self._cancels.expire(order)

    def cancel_again(self, order: Order) -> None:
        self._cancels.again(order)

    def not_replaced(self, order: Order) -> None:
        for asked in order.pending_replaces:
            self._tracker.replace_failed(order.client_order_id, asked.request_id, OLD_TERMS)

    def overdue(self, order: Order, reason: str) -> None:
        self._tracker.overdue(order.client_order_id, reason)

    def absent(self, order: Order) -> None:
        """End an order that is proved to be absent: never placed, or (once acknowledged or traded) gone."""
        placed = not order.outcome_unknown
        self._tracker.report(
            ExecutionReport(
                exec_type=ExecType.CANCELED if placed else ExecType.REJECTED,
                client_order_id=order.client_order_id,
                ts_event=self._clock.now(),
                reason=GONE if placed else NOT_PLACED,
            )
        )
