"""The orders in memory, in two views: what is decided (the next decision builds on it) and what is durable (all that
anyone else may see). Orders that ended leave memory after a while; the journal answers for them then.

This module must not know what changes an order, or why.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from router.domain import lifecycle
from router.domain.events import TRADES, AmendmentAnswered, Answered, AnyEvent, OrderEvent, Pending
from router.domain.executions import Executions, remember
from router.domain.order import Order
from router.execution.recovery import resumed
from router.execution.validation import order_from
from router.journal.base import Journal
from router.journal.seen import Seen

_ENDED_KEPT: Final = 10_000


class Orders:
    """All orders of all environments.

    Args:
        journal: answers for what is not in memory.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._decided: dict[str, Order] = {}
        self._durable: dict[str, Order] = {}
        self._ended: OrderedDict[str, Order] = OrderedDict()
        self._executions: dict[str, Executions] = {}
        self.open_count = 0
        """How many orders are decided to be open."""
        self.seen = Seen()
        """Every client_order_id that was ever used."""

    # -- views ---------------------------------------------------------------------------------------------

    def order(self, client_order_id: str) -> Order | None:
        """Return the order as far as it is durable; reads the journal for one that ended long ago."""
        found = self._durable.get(client_order_id) or self._ended.get(client_order_id)
        if found is None and self.seen.maybe(client_order_id) and client_order_id not in self._decided:
            found, _ = folded(self._journal.events_of_now(client_order_id))
        return found

    def open_orders(self) -> list[Order]:
        """Return every durable order that can still trade, oldest first."""
        return list(self._durable.values())

    def working_orders(self) -> list[Order]:
        """Return every order that is decided to be working, durable or not, longest open first."""
        return [order for order in self._decided.values() if order.is_open]

    def ended_orders(self) -> list[Order]:
        """Return the orders that ended lately, newest first."""
        return list(reversed(self._ended.values()))

    def current(self, client_order_id: str) -> Order | None:
        """Return the order as decided, durable or not; None when it is not in memory."""
        return self._decided.get(client_order_id) or self._ended.get(client_order_id)

    def recall(self, client_order_id: str, before: int | None = None) -> Order | None:
        """Return the order as decided, from the journal (only events ``before`` that seq) if it left memory."""
        order = self.current(client_order_id)
        if order is None and self.seen.maybe(client_order_id):
            events = self._journal.events_of_now(client_order_id)
            order, executions = folded([event for event in events if before is None or event.seq < before])
            if order is not None:
                self._executions[client_order_id] = executions
                self._keep_ended(order)
        return order

    def executions(self, client_order_id: str) -> Executions:
        """Return the order's trades by trade id."""
        return self._executions.get(client_order_id, {})

    # -- changes -------------------------------------------------------------------------------------------

    def decide(self, order: Order, event: OrderEvent) -> None:
        """Take the state that ``event`` has led to into the decided view."""
        if isinstance(event, TRADES):
            remember(self._executions.setdefault(order.client_order_id, {}), event)
        before = self.current(order.client_order_id)
        was_open = before is not None and before.is_open
        self.open_count += order.is_open - was_open
        if order.is_open and not was_open:
            self._decided.pop(order.client_order_id, None)  # its place is behind all that are open
        self._decided[order.client_order_id] = order

    def open_executions(self) -> dict[str, Executions]:
        """Return the trades of the orders that are decided to be open, by client_order_id."""
        traded = ((key, self._executions.get(key), order) for key, order in self._decided.items())
        return {key: executions for key, executions, order in traded if executions and order.is_open}

    def restore(self, orders: Iterable[Order], executions: Mapping[str, Executions], seen: bytes) -> None:
        """Take over the open orders, their trades and the used ids of a checkpoint."""
        self._decided.update((order.client_order_id, order) for order in orders)
        self._durable.update(self._decided)
        self.open_count = len(self._decided)
        self._executions.update(executions)
        self.seen.restore(seen)

    def show(self, order: Order) -> None:
        """Make a durable state visible; an order that has ended moves out of the working set."""
        client_order_id = order.client_order_id
        if order.is_open:
            self._durable[client_order_id] = order
            self._ended.pop(client_order_id, None)  # a bust or a granted replacement may open it again
            return
        self._durable.pop(client_order_id, None)
        if self._decided.get(client_order_id) is order:
            del self._decided[client_order_id]
        self._keep_ended(order)

    def _keep_ended(self, order: Order) -> None:
        self._ended[order.client_order_id] = order
        self._ended.move_to_end(order.client_order_id)
        if len(self._ended) > _ENDED_KEPT:
            forgotten, _ = self._ended.popitem(last=False)
            if forgotten not in self._decided:
                self._executions.pop(forgotten, None)


def order_of(event: Pending) -> Order:
    """Return the order that a journaled Pending began with: same intent, same order."""
    return order_from(resumed(event))


def folded(events: list[AnyEvent]) -> tuple[Order | None, Executions]:
    """Return the order that one submission's events lead to (None: it never became one), and its trades."""
    order: Order | None = None
    executions: Executions = {}
    for event in events:
        if isinstance(event, Pending):
            order = order_of(event)
        elif (
            order is not None and isinstance(event, OrderEvent) and not isinstance(event, Answered | AmendmentAnswered)
        ):
            order = lifecycle.apply(order, event)
            remember(executions, event)
    return order, executions
