"""Any interleaving, duplication, reordering and loss of a venue's reports: the order's invariants hold after every
step, and look-ups lead to the venue's truth.

Longer: ``HYPOTHESIS_EXAMPLES=5000 .venv/bin/pytest tests/execution/test_report_machine.py``, which also looks at
other sequences each time.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router import ExecutionResult, ExecutionStatus, OrderIntent
from router.clock import VirtualClock
from router.domain.enums import TERMINAL, ExecType
from router.domain.events import (
    AlertRaised,
    AmendmentAnswered,
    Answered,
    OrderEvent,
    Pending,
    Replaced,
    ReportQuarantined,
    TradeBusted,
    TradeCorrected,
    decode_event,
)
from router.domain.order import Order
from router.domain.report import ExecutionReport
from router.execution.dispatch import accepted
from router.execution.recovery import resumed
from router.execution.upkeep import Upkeep
from router.execution.validation import intent_for
from router.journal.memory import MemoryJournal
from tests.execution.model_venue import Listed, ModelVenue, Style
from tests.execution.world import NOON, World

S, X = ExecutionStatus, ExecType
ZERO = Decimal(0)
CASH = Decimal(100000)
REOPENS = TradeBusted | TradeCorrected | Replaced
"""What may change the status of an order that has ended: of a FILLED one."""

ORDERS = 3
which = st.sampled_from([0, 0, 0, 1, 2])
hundredths = st.integers(1, 9).map(lambda n: Decimal(n) / 100)
PRICES = Decimal(49000), Decimal("50000.25")
prices = st.sampled_from(PRICES)
sides = st.sampled_from(["buy", "sell"])
moods = st.sampled_from(["answers", "says", "answers", "says", "breaks", "rejects", "lost"])
picks = st.lists(st.sampled_from([0, 0, 1, 2, 3, 5, 9, 30]), min_size=1, max_size=5)
deals = st.lists(st.integers(1, 4).map(lambda n: Decimal(n) / 100), max_size=3)
rarely = st.sampled_from([False, False, False, True])


def profile(examples: int) -> settings:
    """Return the settings of a machine: a few fixed sequences, or as many new ones as the environment asks for."""
    wanted = os.environ.get("HYPOTHESIS_EXAMPLES")
    return settings(
        max_examples=int(wanted) if wanted else examples,
        derandomize=not wanted,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def driven(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nobody else, without an event loop."""
    with suppress(StopIteration):
        while True:
            coroutine.send(None)


def dump(world: World, names: list[str]) -> dict[str, Any]:
    """Return all that is remembered, in a form that compares."""
    tracker, portfolio, working = world.tracker, world.account.portfolio, world.account.holds.working("BTC/USD")
    return {
        "orders": {name: tracker.orders.recall(name) for name in names},
        "trades": {name: dict(tracker.orders.executions(name)) for name in names},
        "open": (tracker.orders.open_count, sorted(order.client_order_id for order in tracker.orders.working_orders())),
        "account": (portfolio.cash, portfolio.fees, portfolio.positions),
        "holds": (working.buys, working.sells, len(world.account.holds)),
    }


GARBAGE: dict[str, dict[str, Any]] = {
    "overfill": {"last_quantity": Decimal(99)},
    "negative": {"last_quantity": Decimal(-1)},
    "nothing": {"last_quantity": ZERO},
    "NaN": {"last_quantity": Decimal("NaN")},
    "priceless": {"last_price": None},
    "NaN fee": {"fee": Decimal("NaN")},
    "other symbol": {"symbol": "ETH/USD"},
    "future": {},
    "negative count": {"filled_quantity": Decimal(-1)},
    "unknown order": {"client_order_id": "nobody"},
    "unknown bust": {"exec_type": X.TRADE_CANCEL},
    "unknown correction": {"exec_type": X.TRADE_CORRECT, "corrects": "never"},
    "negative terms": {"exec_type": X.REPLACED, "quantity": Decimal(-1)},
}


class Reports(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        logging.disable()  # thousands of alerts that nobody reads
        self.clock = VirtualClock(NOON)
        self.set_back = 0
        self.venue = ModelVenue(self.clock)
        self.names: list[str] = []
        self.asked_to_expire: set[str] = set()
        self.past: list[ExecutionReport] = []
        self.known: dict[str, tuple[ExecutionStatus, Decimal]] = {}
        self.pendings: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.world: World
        self._start(MemoryJournal(self.clock))

    def _start(self, journal: MemoryJournal) -> None:
        self.world = World(self.venue.submit, self.venue.amend, journal=journal, clock=self.clock)
        driven(journal.open(self.world.tracker.replay))
        self.began_at = journal.next_seq
        self.checked = 0

    def _written(self) -> None:
        driven(self.world.disk.flush())

    def _order(self, number: int) -> Order:
        order = self.world.tracker.orders.recall(self.names[number % len(self.names)])
        assert order is not None
        return order

    def _listed(self, number: int) -> Listed:
        return list(self.venue.book.values())[number % len(self.venue.book)]

    def _go_through(self, submission: Any, *, dies: bool) -> None:
        """Take a submission through the chain; the router dies before its answer is on disk, or does not."""
        results: list[ExecutionResult] = []
        self.world.conductor.start(self.world.chain(submission), results.append)
        if dies:
            driven(self.world.disk._write_batch())
            self.restart(dies=True)
        else:
            self._written()
            assert len(results) == 1

    # -- what we do ----------------------------------------------------------------------------------------

    @initialize(side=sides, quantity=hundredths, style=st.sampled_from(Style), trades=deals)
    def begin(self, side: str, quantity: Decimal, style: Style, trades: list[Decimal]) -> None:
        self.submit(side, quantity, PRICES[0], "says", style, trades, dies=False)

    @precondition(lambda self: len(self.names) < ORDERS)
    @rule(
        side=sides,
        quantity=hundredths,
        price=st.sampled_from([*PRICES, *PRICES, None]),
        mood=moods,
        style=st.sampled_from(Style),
        trades=deals,
        dies=rarely,
    )
    def submit(
        self,
        side: str,
        quantity: Decimal,
        price: Decimal | None,
        mood: str,
        style: Style,
        trades: list[Decimal],
        dies: bool,
    ) -> None:
        self.venue.mood.update(submit=mood, style=style)
        wanted = OrderIntent(
            symbol="BTC/USD",
            side=side,
            quantity=quantity,
            price=price,
            order_type="limit" if price else "market",
            intent_id=f"intent {len(self.names)}",
        )
        submission = self.world.submission(wanted)
        assert submission.client_order_id is not None
        self.names.append(submission.client_order_id)
        self._go_through(submission, dies=dies)
        if submission.client_order_id in self.venue.book:
            self.trade(len(self.venue.book) - 1, trades, PRICES[0])

    @precondition(lambda self: self.names)
    @rule(number=which, quantity=st.none() | hundredths, price=st.none() | prices, mood=moods, dies=rarely)
    def amend(self, number: int, quantity: Decimal | None, price: Decimal | None, mood: str, dies: bool) -> None:
        order = self._order(number)
        self.venue.mood["amend"] = mood
        self._go_through(self.world.submission(intent_for(order, quantity, price), order), dies=dies)

    @precondition(lambda self: self.names)
    @rule(number=which, arrives=st.booleans(), expires=st.booleans())
    def cancel(self, number: int, arrives: bool, expires: bool) -> None:
        order = self._order(number)
        if order.is_open:
            if order.pending_cancel is None:
                self.world.tracker.cancel_asked(order.client_order_id, "so", expires=expires)
                if expires:
                    self.asked_to_expire.add(order.client_order_id)
            if arrives:
                self.venue.cancel(order.client_order_id)

    @precondition(lambda self: self.names)
    @rule(number=which, late=st.booleans())
    def look_up(self, number: int, late: bool) -> None:
        """Look an order up; the answer may take long, and cross what happens meanwhile."""
        reports = self.venue.look_up(self.names[number % len(self.names)])
        if late:
            self.venue.network += reports
            return
        for report in reports:
            self.world.tracker.report(report)
            self.always()

    @precondition(lambda self: self.world.disk.next_seq > self.began_at)
    @rule(dies=rarely)
    def restart(self, dies: bool) -> None:
        """Start anew on the same rows; if the router dies, what was not yet on disk is gone."""
        self.clock.jump(-self.set_back)  # a start believes the wall clock
        self.set_back = 0
        if not dies:
            self._written()
            self.always()
        self._read_history()
        before, state = dump(self.world, self.names), self.world.tracker.state()
        journal = MemoryJournal(self.clock)
        journal.rows = list(self.world.disk.rows)
        self._start(journal)
        if not dies:
            assert dump(self.world, self.names) == before
            assert self.world.tracker.state() == state
        tracker = self.world.tracker
        for pending in list(tracker.unanswered.values()):  # as the engine does for a remote executor
            tracker.unknown(pending.client_order_id or "", "died")
            submission = resumed(pending)
            tracker.answer(submission, accepted(submission, tracker))
        tracker.unanswered.clear()
        self._written()

    @rule(seconds=st.integers(1, 100_000), set_back=st.sampled_from([0, -3600, 3600]))
    def time_passes(self, seconds: int, set_back: int) -> None:
        """Time passes, what waits is written, and somebody may set the wall clock."""
        driven(self.clock.advance(seconds))
        self._written()
        self.clock.jump(set_back - self.set_back)
        self.set_back = set_back

    # -- what the venue does -------------------------------------------------------------------------------

    @precondition(lambda self: self.venue.book)
    @rule(number=which, quantities=deals, price=prices)
    def trade(self, number: int, quantities: list[Decimal], price: Decimal) -> None:
        listed = self._listed(number)
        for quantity in quantities:
            if listed.leaves:
                self.venue.trade(listed, min(quantity, listed.leaves), price)

    @precondition(lambda self: self.venue.book)
    @rule(number=which, deal=st.integers(0, 2), new=st.none() | hundredths, price=prices)
    def bust_or_correct(self, number: int, deal: int, new: Decimal | None, price: Decimal) -> None:
        listed = self._listed(number)
        if not listed.deals or listed.style is Style.COUNTS:
            return
        name = list(listed.deals)[deal % len(listed.deals)]
        if new is None:
            self.venue.bust(listed, name)
        elif listed.deals[name].total:  # a correction is not corrected again
            room = listed.quantity - listed.filled + listed.deals[name].quantity
            self.venue.correct(listed, name, min(new, room), price)

    @precondition(lambda self: self.venue.book)
    @rule(number=which, how=st.sampled_from([X.CANCELED, X.EXPIRED, X.DONE_FOR_DAY]))
    def end(self, number: int, how: ExecType) -> None:
        listed = self._listed(number)
        if listed.leaves:
            self.venue.end(listed, how)

    @precondition(lambda self: self.venue.book)
    @rule(number=which, quantity=hundredths, price=prices)
    def restate(self, number: int, quantity: Decimal, price: Decimal) -> None:
        listed = self._listed(number)
        if listed.leaves and listed.price is not None:
            self.venue.restate(listed, quantity, price)

    # -- what the network does -----------------------------------------------------------------------------

    @precondition(lambda self: self.venue.network)
    @rule(numbers=st.none() | picks)
    def deliver(self, numbers: list[int] | None) -> None:
        """Deliver some reports, or all in their order."""
        for number in numbers or [0] * len(self.venue.network):
            if self.venue.network:
                report = self.venue.network.pop(number % len(self.venue.network))
                self.past.append(report)
                self.world.tracker.report(report)
                self.always()

    @precondition(lambda self: self.past)
    @rule(number=st.integers(0, 30), name=st.sampled_from([None, "again"]))
    def deliver_again(self, number: int, name: str | None) -> None:
        report = self.past[number % len(self.past)]
        self.world.tracker.report(self.venue.renamed(report, name and f"{name} {report.trade_id}"))

    @precondition(lambda self: self.venue.network)
    @rule(number=st.integers(0, 30), late=st.booleans())
    def lose(self, number: int, late: bool) -> None:
        """Lose a report, or think so: it may still be told again."""
        report = self.venue.network.pop(number % len(self.venue.network))
        if late:
            self.past.append(report)

    @precondition(lambda self: self.names)
    @rule(number=which, kind=st.sampled_from(sorted(GARBAGE)))
    def garbage(self, number: int, kind: str) -> None:
        self._written()
        before, seq = dump(self.world, self.names), self.world.disk.next_seq
        bad: dict[str, Any] = {
            "exec_type": X.TRADE,
            "client_order_id": self.names[number % len(self.names)],
            "ts_event": self.venue.now,
            "trade_id": "bad",
            "last_quantity": Decimal("0.001"),
            "last_price": Decimal(50000),
        }
        report = ExecutionReport(**(bad | GARBAGE[kind]))
        if kind == "future":
            report = msgspec.structs.replace(report, ts_event=self.venue.now + timedelta(hours=2))
        self.world.tracker.report(report)
        self._written()
        assert dump(self.world, self.names) == before
        kept, alert = (decode_event(row.payload) for row in self.world.disk.rows[seq - 1 :])
        assert isinstance(kept, ReportQuarantined)
        assert str(kept.report) == str(report)
        assert isinstance(alert, AlertRaised)

    # -- what always holds ---------------------------------------------------------------------------------

    @invariant()
    def always(self) -> None:
        self._check_orders()
        self._check_account()
        self._read_history()
        assert set(self.answers.values()) <= {1}
        assert set(self.pendings.values()) <= {1}
        assert self.pendings.keys() <= self.answers.keys()

    def _orders(self) -> list[Order]:
        found = (self.world.tracker.orders.recall(name) for name in self.names)
        return [order for order in found if order is not None]

    def _check_orders(self) -> None:
        orders = self._orders()
        for order in orders:
            self._check_end(order)
            assert ZERO <= order.filled_quantity <= order.quantity
            assert order.is_open is not (order.status in TERMINAL)
            assert order.leaves_quantity == (order.quantity - order.filled_quantity if order.is_open else 0)
            assert (order.status is S.FILLED) <= (order.filled_quantity == order.quantity)
            most = max([order.quantity, *(asked.quantity for asked in order.pending_replaces)])
            assert order.worst_leaves == (most - order.filled_quantity if order.is_open else 0)
            executions = self.world.tracker.orders.executions(order.client_order_id).values()
            assert order.filled_quantity == sum(each.quantity for each in executions)
            assert order.filled_notional == sum(each.quantity * each.price for each in executions)
        assert self.world.tracker.orders.open_count == sum(order.is_open for order in orders)
        assert len(self.world.tracker.orders.working_orders()) == sum(order.is_open for order in orders)

    def _check_end(self, order: Order) -> None:
        """An order ends only when all trades that the venue has counted are here."""
        listed = self.venue.book.get(order.client_order_id)
        counts = listed is not None and listed.style is not Style.IDS and not listed.amends
        if counts and order.status in (S.CANCELLED, S.EXPIRED):
            assert listed is not None
            assert order.filled_quantity == listed.filled

    def _check_account(self) -> None:
        position, cash, fees = ZERO, CASH, ZERO
        held = {"buy": ZERO, "sell": ZERO}
        for order in self._orders():
            sign = 1 if order.side == "buy" else -1
            held[order.side] += order.worst_leaves
            for each in self.world.tracker.orders.executions(order.client_order_id).values():
                if each.quantity:
                    position += sign * each.quantity
                    cash -= sign * each.quantity * each.price + each.fee
                    fees += each.fee
        account = self.world.account
        working = account.holds.working("BTC/USD")
        assert account.portfolio.position("BTC/USD").quantity == position
        assert account.portfolio.cash["USD"] == cash
        assert account.portfolio.fees.get("USD", ZERO) == fees
        assert (working.buys, working.sells) == (held["buy"], held["sell"])
        assert len(account.holds) == sum(order.worst_leaves > 0 for order in self._orders())

    def _read_history(self) -> None:
        for event in self.world.published[self.checked :]:
            name = event.client_order_id or ""
            if isinstance(event, AmendmentAnswered):
                self.answers[event.run_id] += 1
            elif isinstance(event, Answered):
                self.answers[name] += 1
            else:
                self._check_event(name, event)
        self.checked = len(self.world.published)

    def _check_event(self, name: str, event: OrderEvent) -> None:
        status, filled = self.known.get(name, (S.PENDING, ZERO))
        if isinstance(event, Pending):
            self.pendings[name] += 1
            return
        assert event.filled_quantity is not None
        if event.filled_quantity < filled:
            assert isinstance(event, TradeBusted | TradeCorrected)
        if status in TERMINAL and event.status is not status:
            assert status is S.FILLED
            assert isinstance(event, REOPENS)
        self.known[name] = event.status, event.filled_quantity

    def teardown(self) -> None:
        logging.disable(logging.NOTSET)
        self._reach_the_truth()

    def _reach_the_truth(self) -> None:
        """Look everything up until nothing changes: what we believe is then what the venue has."""
        for _ in range(60):
            before = dump(self.world, self.names)
            for order in self._orders():
                self._look_up_to_the_end(order)
            self._written()
            self.always()
            if dump(self.world, self.names) == before:
                break
        else:
            raise AssertionError("look-ups do not settle")
        for order in self._orders():
            self._check_truth(order)
        if self.world.disk.next_seq > self.began_at:
            self.restart(dies=False)

    def _look_up_to_the_end(self, order: Order) -> None:
        name = order.client_order_id
        for report in self.venue.look_up(name):
            self.world.tracker.report(report)
        current = self.world.tracker.orders.recall(name)
        if current is not None and current.is_open and name not in self.venue.book:
            Upkeep(self.world.tracker, cast(Any, None), self.clock).absent(current)

    def _check_truth(self, order: Order) -> None:
        listed = self.venue.book.get(order.client_order_id)
        if listed is None:
            assert (order.status, order.filled_quantity) == (S.REJECTED, ZERO)
            return
        right = {listed.status}
        if listed.end is S.CANCELLED and order.client_order_id in self.asked_to_expire:
            right.add(S.EXPIRED)  # the cancel was for the time in force, unless a crash forgot that
        if listed.end is not None and order.filled_quantity == order.quantity:
            right.add(S.FILLED)  # before its end was heard of it had all that we knew it was to have
        assert order.status in right
        assert order.filled_quantity == listed.filled
        executions = self.world.tracker.orders.executions(order.client_order_id)
        ours = {name: each[:3] for name, each in executions.items() if each.quantity}
        theirs = {name: deal[:3] for name, deal in listed.deals.items()}
        if listed.style is Style.COUNTS:
            assert sorted(ours.values()) == sorted(theirs.values())
        else:
            assert ours == theirs
        if order.is_open:
            assert (order.quantity, order.price) == (listed.quantity, listed.price)


TestReports = Reports.TestCase
TestReports.settings = profile(120)


# -- what it found, at its shortest ---------------------------------------------------------------------------------

CENT = Decimal("0.01")


def lost_terms(machine: Reports) -> None:
    """The venue makes the order larger, and nobody hears of it."""
    machine.restate(0, 5 * CENT, PRICES[1])


def lost_terms_of_a_filled_order(machine: Reports) -> None:
    """All that was asked for has traded, but the venue has granted more."""
    machine.amend(0, 5 * CENT, None, "says", dies=False)
    machine.trade(0, [4 * CENT], PRICES[0])
    machine.lose(1, late=False)
    machine.deliver(None)


def overtaken_terms(machine: Reports) -> None:
    """The later one of two restatements is heard first, and the earlier one twice."""
    machine.restate(0, 5 * CENT, PRICES[0])
    machine.restate(0, 6 * CENT, PRICES[0])
    machine.deliver([2, 1])
    machine.deliver_again(1, None)
    order = machine._order(0)
    assert (order.quantity, order.pending_replaces) == (6 * CENT, ())


def corrected_before_it_was_heard_of(machine: Reports) -> None:
    """A look-up tells what a trade was corrected to, then the trade itself comes."""
    machine.trade(0, [2 * CENT], PRICES[0])
    machine.bust_or_correct(0, 0, CENT, PRICES[1])
    machine.look_up(0, late=False)
    machine.deliver([1])


@pytest.mark.parametrize(
    "story", [lost_terms, lost_terms_of_a_filled_order, overtaken_terms, corrected_before_it_was_heard_of]
)
def test_look_ups_lead_to_the_truth_after(story: Callable[[Reports], None]) -> None:
    machine = Reports()
    try:
        machine.begin("buy", 4 * CENT, Style.BOTH, [])
        story(machine)
    finally:
        machine.teardown()
