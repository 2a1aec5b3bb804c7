"""The single writer of order state: report -> table -> journal -> publish.

Two views of every order: what is decided (the next decision builds on it) and what is durable (all that anyone
else may see). Terminal orders leave memory after a while; the journal answers for them. Replaying the journal
goes through the same fold. This module must not know gates, executors or who listens.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from router.clock import Clock
from router.domain import lifecycle
from router.domain.enums import ExecType, ExecutionStatus
from router.domain.events import (
    AccountMark,
    AccountOpened,
    Answered,
    AnyEvent,
    Cancelled,
    Errored,
    Expired,
    Filled,
    OrderEvent,
    OutcomeUnknown,
    PartiallyFilled,
    Pending,
    Rejected,
    ReportQuarantined,
    Submitted,
)
from router.domain.order import ZERO, Order
from router.domain.portfolio import Portfolio
from router.domain.report import ExecutionReport
from router.domain.result import ExecutionResult
from router.execution.recovery import resumed
from router.execution.validation import order_from
from router.journal.base import Journal
from router.journal.seen import Seen
from router.logs import RouterLogger
from router.middleware import Submission
from router.risk.account import Account, quote_of

_ENDED_KEPT: Final = 10_000
_KINDS: Final[Mapping[ExecType, type[OrderEvent]]] = {
    ExecType.NEW: Submitted,
    ExecType.CANCELED: Cancelled,
    ExecType.EXPIRED: Expired,
    ExecType.REJECTED: Rejected,
}


class Tracker:
    """Order state of all environments.

    Args:
        journal: where every change goes first.
        accounts: by environment; fills and holds are booked here.
        clock: for ``ts_recorded``.
        log: for what is not an order event.
        on_event: called with each order event once it is durable, in journal order.
    """

    def __init__(
        self,
        journal: Journal,
        accounts: Mapping[str, Account],
        clock: Clock,
        log: RouterLogger,
        on_event: Callable[[OrderEvent, Order | None], None],
    ) -> None:
        self._journal = journal
        self._accounts = accounts
        self._clock = clock
        self._log = log
        self._on_event = on_event
        self._orders: dict[str, Order] = {}
        self._durable: dict[str, Order] = {}
        self._ended: OrderedDict[str, Order] = OrderedDict()
        self._trades: dict[str, set[str]] = {}
        self._unpublished: deque[tuple[OrderEvent, Order | None]] = deque()
        self.seen = Seen()
        self.unanswered: dict[str, Pending] = {}
        """Submissions of an earlier run that have no answer yet; empty once recovery is done."""

    # -- what others may see -------------------------------------------------------------------------------

    def order(self, client_order_id: str) -> Order | None:
        """Return the order as far as it is durable; reads the journal for one that ended long ago."""
        found = self._durable.get(client_order_id) or self._ended.get(client_order_id)
        if found is None and self.seen.maybe(client_order_id) and client_order_id not in self._orders:
            found = folded(self._journal.events_of_now(client_order_id))
        return found

    def open_orders(self) -> list[Order]:
        """Return every durable order that can still trade, oldest first."""
        return list(self._durable.values())

    def working_orders(self) -> list[Order]:
        """Return every order that is decided to be working, durable or not."""
        return [order for order in self._orders.values() if order.is_open]

    def ended_orders(self) -> list[Order]:
        """Return the orders that ended lately, newest first."""
        return list(reversed(self._ended.values()))

    def current(self, client_order_id: str) -> Order | None:
        """Return the order as decided, durable or not; None when it is not in memory."""
        return self._orders.get(client_order_id) or self._ended.get(client_order_id)

    def reason(self, client_order_id: str) -> str | None:
        """Return the reason of the order's last event, if it gave one; reads the journal for a published one."""
        for event, _ in reversed(self._unpublished):
            if event.client_order_id == client_order_id:
                return event.reason
        published = self._journal.events_of_now(client_order_id)
        return next((event.reason for event in reversed(published) if isinstance(event, OrderEvent)), None)

    # -- what changes an order -----------------------------------------------------------------------------

    def pending(self, submission: Submission) -> None:
        """Record an order that passed every gate; durable before any executor hears of it."""
        order = submission.order
        assert order is not None, "only a validated order can be pending"
        self._orders[order.client_order_id] = order
        event = Pending(
            seq=self._journal.next_seq,
            ts_recorded=order.created_at,
            run_id=order.run_id,
            status=ExecutionStatus.PENDING,
            client_order_id=order.client_order_id,
            leaves_quantity=order.quantity,
            intent=submission.intent,
            environment=submission.environment,
            session_id=submission.session_id,
            reference=submission.reference,
            account=self._accounts[order.environment].account_mark(order.created_at.date()),
        )
        self._record(event, order)

    def report(self, report: ExecutionReport) -> None:
        """Apply what an executor says; what cannot be applied is quarantined, never dropped, never guessed."""
        if report.exec_type is ExecType.CANCEL_REJECTED:
            self._log.warning("cancel_rejected", client_order_id=report.client_order_id, reason=report.reason)
            return
        order = self.current(report.client_order_id)
        if order is None:
            self._quarantine(report, "no order with this client_order_id is known")
            return
        if report.exec_type is ExecType.TRADE and report.trade_id in self._trades.get(order.client_order_id, ()):
            self._log.info("duplicate_trade", client_order_id=order.client_order_id, trade_id=report.trade_id)
            return
        try:
            self._apply(order, report)
        except lifecycle.InvalidTransitionError as error:
            self._quarantine(report, str(error))

    def fail(self, client_order_id: str, reason: str) -> None:
        """End an order that never reached an executor because of our own failure."""
        self._transition(client_order_id, Errored, reason)

    def unknown(self, client_order_id: str, reason: str) -> None:
        """Note that an order was handed over and nothing proves what became of it; evidence already given stays."""
        order = self.current(client_order_id)
        if order is not None and order.status is ExecutionStatus.PENDING:
            self._transition(client_order_id, OutcomeUnknown, reason)

    def answer(self, submission: Submission, result: ExecutionResult) -> None:
        """Record the one verdict on a submission."""
        event = Answered(
            seq=self._journal.next_seq,
            ts_recorded=self._clock.now(),
            run_id=submission.run_id,
            status=result.status,
            client_order_id=submission.client_order_id,
            reason=result.reason,
            result=result,
        )
        if submission.client_order_id is not None:
            self.seen.add(submission.client_order_id)
        self._record(event, None)

    def open_account(self, environment: str, portfolio: Portfolio) -> None:
        """Record the balances an environment's account begins with."""
        self._journal.append(
            AccountOpened(
                seq=self._journal.next_seq,
                ts_recorded=self._clock.now(),
                environment=environment,
                balances=dict(portfolio.cash),
            )
        )

    def publish(self, seq: int) -> None:
        """Make everything up to ``seq`` visible, in journal order."""
        while self._unpublished and self._unpublished[0][0].seq <= seq:
            event, order = self._unpublished.popleft()
            if order is not None:
                self._show(order)
            self._on_event(event, order)

    # -- replay --------------------------------------------------------------------------------------------

    def replay(self, event: AnyEvent) -> None:
        """Fold one journaled event of an earlier run into the state."""
        if isinstance(event, AccountOpened):
            account = self._accounts.get(event.environment)
            if account is not None:
                account.portfolio.cash = dict(event.balances)
        if not isinstance(event, OrderEvent) or event.client_order_id is None:
            return
        client_order_id = event.client_order_id
        self.seen.add(client_order_id)
        if isinstance(event, Answered):
            self.unanswered.pop(client_order_id, None)
            return
        order = order_of(event) if isinstance(event, Pending) else self.current(client_order_id)
        if isinstance(event, Pending):
            self.unanswered[client_order_id] = event
        elif order is not None:
            order = lifecycle.apply(order, event)
        if order is not None:
            self._remember(event, order, getattr(event, "account", None))
            self._show(order)

    # -- inside --------------------------------------------------------------------------------------------

    def _apply(self, order: Order, report: ExecutionReport) -> None:
        if report.exec_type is ExecType.TRADE:
            self._fill(order, report)
            return
        ends = report.exec_type is not ExecType.NEW
        extra: dict[str, Any] = {} if ends else {"venue_order_id": report.venue_order_id}
        event = _KINDS[report.exec_type](
            **self._common(order),
            status=lifecycle.transition(order.status, _KINDS[report.exec_type]),
            ts_event=report.ts_event,
            filled_quantity=order.filled_quantity,
            leaves_quantity=ZERO if ends else order.leaves_quantity,
            reason=report.reason,
            **extra,
        )
        self._change(order, event)

    def _fill(self, order: Order, report: ExecutionReport) -> None:
        lifecycle.check_fill(order, report.last_quantity, report.last_price)
        if report.fee is not None and not report.fee.is_finite():
            raise lifecycle.InvalidTransitionError(f"a fee of {report.fee} cannot be (order {order.client_order_id})")
        filled = order.filled_quantity + (report.last_quantity or ZERO)
        kind = Filled if filled >= order.quantity else PartiallyFilled
        status = lifecycle.transition(order.status, kind)
        event = kind(
            **self._common(order),
            status=status,
            ts_event=report.ts_event,
            filled_quantity=filled,
            leaves_quantity=order.quantity - filled if status is ExecutionStatus.PARTIALLY_FILLED else ZERO,
            last_quantity=report.last_quantity,
            last_price=report.last_price,
            trade_id=report.trade_id or f"{order.client_order_id}-{filled}",
            fee=report.fee or ZERO,
            fee_currency=report.fee_currency,
            liquidity=report.liquidity,
        )
        self._change(order, event)

    def _transition(self, client_order_id: str, kind: type[OrderEvent], reason: str) -> None:
        order = self._orders[client_order_id]
        event = kind(
            **self._common(order),
            status=lifecycle.transition(order.status, kind),
            filled_quantity=order.filled_quantity,
            leaves_quantity=ZERO if kind is Errored else order.leaves_quantity,
            reason=reason,
        )
        self._change(order, event)

    def _common(self, order: Order) -> dict[str, Any]:
        return {
            "seq": self._journal.next_seq,
            "ts_recorded": self._clock.now(),
            "run_id": order.run_id,
            "client_order_id": order.client_order_id,
        }

    def _change(self, order: Order, event: OrderEvent) -> None:
        """Apply ``event`` by the table, book it, and record it; nothing is changed when the table refuses."""
        changed = lifecycle.apply(order, event)
        self._remember(event, changed, None)
        if isinstance(event, PartiallyFilled | Filled):
            account = self._accounts[order.environment]
            event = msgspec.structs.replace(event, account=account.account_mark(event.ts_recorded.date()))
        self._record(event, changed)

    def _remember(self, event: OrderEvent, order: Order, mark: AccountMark | None) -> None:
        """Take the order's new state into memory: the decided view, its trades, the account and the holds."""
        client_order_id = order.client_order_id
        account = self._accounts.get(order.environment)
        if isinstance(event, PartiallyFilled | Filled):
            self._trades.setdefault(client_order_id, set()).add(event.trade_id)
            if account is not None:
                _book(account.portfolio, order, event)
        if account is not None:
            if mark is not None:
                account.portfolio.restore(event.ts_recorded.date(), mark)
            account.holds.set(order, order.leaves_quantity)
        self._orders[client_order_id] = order

    def _show(self, order: Order) -> None:
        """Make a durable state visible; an order that has ended moves out of the working set."""
        client_order_id = order.client_order_id
        if order.is_open:
            self._durable[client_order_id] = order
            return
        self._durable.pop(client_order_id, None)
        if self._orders.get(client_order_id) is order:
            del self._orders[client_order_id]
        self._ended[client_order_id] = order
        self._ended.move_to_end(client_order_id)
        if len(self._ended) > _ENDED_KEPT:
            forgotten, _ = self._ended.popitem(last=False)
            self._trades.pop(forgotten, None)

    def _record(self, event: OrderEvent, order: Order | None) -> None:
        self._journal.append(event)
        self._unpublished.append((event, order))

    def _quarantine(self, report: ExecutionReport, reason: str) -> None:
        self._log.error("report_quarantined", client_order_id=report.client_order_id, reason=reason)
        self._journal.append(
            ReportQuarantined(seq=self._journal.next_seq, ts_recorded=self._clock.now(), report=report, reason=reason)
        )


def order_of(event: Pending) -> Order:
    """Return the order that a journaled Pending began with: same intent, same order."""
    return order_from(resumed(event))


def folded(events: list[AnyEvent]) -> Order | None:
    """Return the order that one submission's events lead to, or None when it never became one."""
    order = None
    for event in events:
        if isinstance(event, Pending):
            order = order_of(event)
        elif order is not None and isinstance(event, OrderEvent) and not isinstance(event, Answered):
            order = lifecycle.apply(order, event)
    return order


def _book(portfolio: Portfolio, order: Order, fill: PartiallyFilled | Filled) -> None:
    assert fill.last_quantity is not None, "the table admits no empty fill"
    assert fill.last_price is not None, "the table admits no fill without a price"
    fee_currency = fill.fee_currency or quote_of(order.symbol)
    portfolio.fill(order.symbol, order.side, fill.last_quantity, fill.last_price, fill.fee, fee_currency)
