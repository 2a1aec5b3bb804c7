"""The single writer of order state: report -> evidence -> table -> journal -> publish.

Replaying the journal goes through the same fold. What cannot be applied is quarantined with an alert, never
dropped, never guessed. This module must not know gates, executors or who listens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from router.clock import Clock
from router.domain import lifecycle
from router.domain.enums import ExecType, ExecutionStatus, Severity
from router.domain.events import (
    TRADES,
    AccountMark,
    AccountMarked,
    AccountOpened,
    AlertRaised,
    AmendmentAnswered,
    Answered,
    AnyEvent,
    Cancelled,
    Checkpoint,
    Errored,
    OrderEvent,
    OutcomeUnknown,
    Overdue,
    Pending,
    PendingCancel,
    PendingReplace,
    ReplaceRejected,
    ReportQuarantined,
)
from router.domain.evidence import Proof, judge
from router.domain.order import Order, Replacement
from router.domain.portfolio import Portfolio
from router.domain.report import ExecutionReport
from router.domain.result import ExecutionResult
from router.execution import checkpoints
from router.execution.ledger import Ledger
from router.execution.orders import Orders, order_of
from router.execution.standing import Standing
from router.ids import alert_id
from router.journal.base import Journal
from router.journal.checkpoints import CheckpointError
from router.logs import RouterLogger
from router.middleware import Submission
from router.risk.account import Account

_VENUE_AHEAD: Final = timedelta(seconds=60)
"""How far a venue's clock may run ahead of ours; a report from later than that is not believed."""


class Tracker:
    """Order state of all environments.

    Args:
        journal: where every change goes first.
        accounts: by environment; fills and holds are booked here.
        clock: for ``ts_recorded``.
        log: for what is not an order event.
        on_event: called with each order event once it is durable, in journal order.
        watch: called with each order that was changed or spoken about, and what is known of it then.
        market_time: the market's time: a recording's during a replay, else our clock's.
    """

    def __init__(
        self,
        journal: Journal,
        accounts: Mapping[str, Account],
        clock: Clock,
        log: RouterLogger,
        on_event: Callable[[OrderEvent, Order | None], None],
        *,
        watch: Callable[[Order, Proof], None],
        market_time: Callable[[], datetime],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._log = log
        self._on_event = on_event
        self._watch = watch
        self._market_time = market_time
        self._started = clock.now(), clock.monotonic()
        self._unpublished: deque[tuple[OrderEvent, Order | None]] = deque()
        self._deciding = 0
        self.ledger = Ledger(accounts)
        self.orders = Orders(journal)
        self.standing = Standing(journal, clock, log, self.alert, self.ledger)
        self.unanswered: dict[str, Pending] = {}
        """Submissions that have no answer yet, by client_order_id, oldest first."""

    def story(self, client_order_id: str) -> list[OrderEvent]:
        """Return every event of one submission, durable or not, oldest first; reads the journal."""
        waiting = [event for event, _ in self._unpublished if event.client_order_id == client_order_id]
        first = waiting[0].seq if waiting else None
        stored = self._journal.events_of_now(client_order_id)
        durable = [e for e in stored if isinstance(e, OrderEvent) and (first is None or e.seq < first)]
        return durable + waiting

    # -- what we do with an order --------------------------------------------------------------------------

    def pending(self, submission: Submission) -> None:
        """Record an order that passed every gate; durable before any executor hears of it."""
        order = submission.order
        assert order is not None, "only a validated order can be pending"
        event = Pending(
            seq=self._journal.next_seq,
            ts_recorded=order.created_at,
            ts_event=self._market_time(),
            run_id=order.run_id,
            status=ExecutionStatus.PENDING,
            client_order_id=order.client_order_id,
            leaves_quantity=order.quantity,
            intent=submission.intent,
            environment=submission.environment,
            session_id=submission.session_id,
            reference=submission.reference,
            risk_skipped=submission.skip_risk_check,
            account=self.ledger.mark(order.environment, order.created_at.date(), order.strategy_key),
        )
        self._record(event, order)
        self.orders.decide(order, event)
        self._begun(event)
        self._watch(order, Proof.NONE)

    def fail(self, client_order_id: str, reason: str) -> None:
        """End an order that never reached an executor because of our own failure."""
        self._own(client_order_id, Errored, reason)

    def stopped(self, client_order_id: str, reason: str) -> None:
        """End an order that passed the gates and was stopped on its way to the executor."""
        self._own(client_order_id, Cancelled, reason, handed_over=False)

    def unknown(self, client_order_id: str, reason: str) -> None:
        """Note that an order was handed over and nothing proves what became of it; evidence already given stays."""
        order = self.orders.current(client_order_id)
        if order is not None and order.status is ExecutionStatus.PENDING:
            self._own(client_order_id, OutcomeUnknown, reason)

    def cancel_asked(self, client_order_id: str, reason: str, *, expires: bool = False) -> None:
        """Note that the executor is asked to end the order."""
        self._own(client_order_id, PendingCancel, reason, expires=expires)

    def sent(self, client_order_id: str) -> None:
        """Note that a request about an order has left, whatever becomes of it."""
        order = self.orders.current(client_order_id)
        if order is not None:
            self._watch(order, Proof.SENT)

    def replace_asked(self, client_order_id: str, asked: Replacement, reason: str | None = None) -> None:
        """Note that the executor is asked for other terms; what they may add is held from now on."""
        self._own(
            client_order_id,
            PendingReplace,
            reason,
            request_id=asked.request_id,
            quantity=asked.quantity,
            price=asked.price,
        )

    def replace_failed(self, client_order_id: str, request_id: str, reason: str) -> None:
        """Note that terms that were asked for are proved not to come into force."""
        self._own(client_order_id, ReplaceRejected, reason, request_id=request_id)

    def overdue(self, client_order_id: str, reason: str) -> None:
        """Note that the executor gave no evidence of an open order inside its window, and alert."""
        order = self.orders.current(client_order_id)
        if order is not None and order.is_open:
            severity = Severity.HIGH if order.outcome_unknown else Severity.MEDIUM
            self.alert(severity, "watcher", reason, order)
            self._own(client_order_id, Overdue, reason)

    def alert(self, severity: Severity, topic: str, message: str, order: Order | None = None) -> str:
        """Record an alert and return its id; it is delivered from the journal, not from here."""
        now, seq = self._clock.now(), self._journal.next_seq
        about = {} if order is None else {"client_order_id": order.client_order_id, "run_id": order.run_id}
        event = AlertRaised(
            seq=seq,
            ts_recorded=now,
            alert_id=alert_id(now, topic, seq),
            severity=severity,
            topic=topic,
            message=message,
            **about,
        )
        self._journal.append(event)
        self._log.warning("alert_raised", alert_id=event.alert_id, severity=severity, reason=message, **about)
        return event.alert_id

    def answer(self, submission: Submission, result: ExecutionResult) -> None:
        """Record the one verdict on a submission, or on a request for other terms."""
        event = (Answered if submission.amends is None else AmendmentAnswered)(
            seq=self._journal.next_seq,
            ts_recorded=self._clock.now(),
            run_id=submission.run_id,
            status=result.status,
            client_order_id=submission.client_order_id,
            reason=result.reason,
            result=result,
        )
        self._record(event, None)
        self._answered(event)

    def open_account(self, environment: str, portfolio: Portfolio) -> None:
        """Record the balances an environment's account begins with."""
        self.ledger.open(environment, portfolio.cash)
        seq, now = self._journal.next_seq, self._clock.now()
        balances = dict(portfolio.cash)
        self._journal.append(AccountOpened(seq=seq, ts_recorded=now, environment=environment, balances=balances))

    # -- what an executor says -----------------------------------------------------------------------------

    def report(self, report: ExecutionReport) -> None:
        """Apply what an executor says; what cannot be applied is quarantined, never dropped, never guessed."""
        order = self.orders.recall(report.client_order_id)
        if order is None:
            self._quarantine(report, "no order with this client_order_id is known", None)
            return
        now = self._clock.now()
        try:
            self._check_time(report.ts_event, now)
            executions = self.orders.executions(order.client_order_id)
            verdict = judge(order, executions, report, seq=self._journal.next_seq, now=now)
            if verdict.event is not None:
                order = self._change(order, verdict.event)
        except lifecycle.InvalidTransitionError as error:
            self._quarantine(report, str(error), order)
            return
        if verdict.event is None:
            self._log.debug(
                "report_changes_nothing",
                client_order_id=order.client_order_id,
                exec_type=report.exec_type,
                reason=verdict.note,
            )
        proof = verdict.proof
        if proof is Proof.STANDS and report.exec_type is ExecType.ORDER_STATUS:
            proof = Proof.SHOWN
        elif proof is Proof.STANDS and verdict.event is None:
            proof = Proof.NONE  # it said nothing that was not known
        self._watch(order, proof)

    def _check_time(self, moment: datetime, now: datetime) -> None:
        """Refuse a time without a zone or of the future, which a wall clock set back makes of no report."""
        if moment.tzinfo is not None and moment <= now + _VENUE_AHEAD:
            return
        wall, monotonic = self._started
        elapsed = timedelta(seconds=self._clock.monotonic() - monotonic)
        if moment.tzinfo is None or moment > max(wall + elapsed, self._market_time()) + _VENUE_AHEAD:
            raise lifecycle.InvalidTransitionError(f"its time is of the future, or of no zone: {moment}")

    def _quarantine(self, report: ExecutionReport, reason: str, order: Order | None) -> None:
        self._journal.append(
            ReportQuarantined(seq=self._journal.next_seq, ts_recorded=self._clock.now(), report=report, reason=reason)
        )
        self._log.error("report_quarantined", client_order_id=report.client_order_id, reason=reason)
        what = f"A {report.exec_type} report for order {report.client_order_id} cannot be: {reason}."
        self.alert(Severity.HIGH, "quarantine", f"{what} Compare the order with the venue before anything else.", order)

    # -- from decided to visible ---------------------------------------------------------------------------

    def publish(self, seq: int) -> None:
        """Make everything up to ``seq`` visible, in journal order."""
        while self._unpublished and self._unpublished[0][0].seq <= seq:
            event, order = self._unpublished.popleft()
            if order is not None:
                self.orders.show(order)
            self._on_event(event, order)

    def replay(self, event: AnyEvent) -> None:
        """Fold one journaled event of an earlier run into the state."""
        if isinstance(event, AccountOpened):
            self.ledger.open(event.environment, event.balances)
        elif isinstance(event, AccountMarked):
            self.ledger.remember(event.environment, event.ts_recorded.date(), event.account, event.strategies)
        elif isinstance(event, Checkpoint):
            checkpoints.compare(self._journal.path, event, self.state)
        if not isinstance(event, OrderEvent) or event.client_order_id is None:
            self.standing.replay(event)
            return
        client_order_id = event.client_order_id
        if isinstance(event, Answered | AmendmentAnswered):
            self._answered(event)
            return
        if isinstance(event, Pending):
            order: Order | None = order_of(event)
            self._begun(event)
        else:
            order = self.orders.recall(client_order_id, before=event.seq)
            if order is not None:
                order = lifecycle.apply(order, event)
        if order is not None:
            self._remember(event, order)
            mark: AccountMark | None = getattr(event, "account", None)
            if mark is not None:
                about = {order.strategy_key: mark.strategy} if order.strategy_key else {}
                self.ledger.remember(order.environment, event.ts_recorded.date(), mark, about)
            self.orders.show(order)

    # -- checkpoints ---------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Return all that the events so far have led to, encoded; the same for the same journal."""
        orders, accounts = self.orders, self.ledger.state()
        unanswered, controls = list(self.unanswered), self.standing.state()
        state = checkpoints.State(orders.working_orders(), orders.open_executions(), accounts, unanswered, controls)
        return checkpoints.encode_state(state, orders.seen)

    def checkpoint(self) -> tuple[int, bytes] | None:
        """Record what the state is now; returns the event's sequence number and the state for ``Journal.keep``.

        None when a change broke off half-way, so that this state is not what the journal says.
        """
        seq = self._journal.checkpointed = self._journal.next_seq
        if self._deciding:
            self._log.error("checkpoint_refused", reason="a change of an order broke off: restart the router")
            return None
        state = self.state()
        self._journal.append(checkpoints.event_of(seq, self._clock.now(), state))
        return seq, state

    def load(self, event: Checkpoint, encoded: bytes) -> None:
        """Take over the state of a checkpoint instead of replaying what led to it; raises CheckpointError."""
        state, seen = checkpoints.decode_state(event, encoded)
        for client_order_id in state.unanswered:
            story = self._journal.events_of_now(client_order_id)
            pending = next((each for each in story if isinstance(each, Pending)), None)
            if pending is None:
                self.unanswered.clear()
                raise CheckpointError(f"it leaves {client_order_id} unanswered, which was never asked")
            self.unanswered[client_order_id] = pending
        self.orders.restore(state.orders, state.executions, seen)
        self.ledger.restore(state.accounts, state.orders)
        self.standing.restore(state.controls)
        for client_order_id in state.unanswered:
            self.orders.recall(client_order_id, before=event.seq)  # it may have ended, and its answer tells of it

    # -- inside --------------------------------------------------------------------------------------------

    def _own(self, client_order_id: str, kind: type[OrderEvent], reason: str | None, **fields: Any) -> None:
        """Record what we did, or found missing, ourselves."""
        order = self.orders.current(client_order_id)
        assert order is not None, "only a tracked order is worked on"
        event = kind(
            seq=self._journal.next_seq,
            ts_recorded=self._clock.now(),
            run_id=order.run_id,
            client_order_id=client_order_id,
            status=order.status,
            reason=reason,
            **fields,
        )
        changed = self._change(order, event)
        if kind is not Overdue:
            self._watch(changed, Proof.UNKNOWN if kind is OutcomeUnknown else Proof.NONE)

    def _change(self, order: Order, event: OrderEvent) -> Order:
        """Apply ``event`` by the table, book it, and record it; nothing is changed when the table refuses."""
        changed = lifecycle.apply(order, event)
        self._deciding += 1  # stays so if anything below raises
        self._remember(event, changed)
        fields: dict[str, Any] = {
            "status": changed.status,
            "filled_quantity": changed.filled_quantity,
            "leaves_quantity": changed.leaves_quantity,
        }
        if isinstance(event, TRADES):
            fields["account"] = self.ledger.mark(order.environment, event.ts_recorded.date(), order.strategy_key)
        self._record(msgspec.structs.replace(event, **fields), changed)
        self._deciding -= 1
        return changed

    def _remember(self, event: OrderEvent, order: Order) -> None:
        """Take the order's new state into memory: the decided view, its trades, the account and the holds."""
        self.ledger.book(order, event)
        self.orders.decide(order, event)

    def _begun(self, event: Pending) -> None:
        assert event.client_order_id is not None, "an order has an id"
        self.unanswered[event.client_order_id] = event
        self.orders.seen.add(event.client_order_id)

    def _answered(self, event: Answered | AmendmentAnswered) -> None:
        """An answer ends a submission; an id that is answered without an order is used up too."""
        key = event.client_order_id
        if isinstance(event, Answered) and key is not None and self.unanswered.pop(key, None) is None:
            self.orders.seen.add(key)

    def _record(self, event: OrderEvent, order: Order | None) -> None:
        self._journal.append(event)
        self._unpublished.append((event, order))
