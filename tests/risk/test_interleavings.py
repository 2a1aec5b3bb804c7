"""Any interleaving of concurrent intents, amendments, fills, late fills, cancels and refusals: no limit is exceeded by
what was let through, counted over all possible fills; nothing that fits, reduces or takes away is blocked; a restart
knows the same.

The router's answers are compared with a model that reads the journal's events and does its own sums. Submissions wait
between the gate and their answer until the journal is written, which is a step like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from random import Random
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import ExecutionResult, ExecutionStatus, OrderIntent
from router.clock import VirtualClock
from router.domain.enums import ExecType
from router.domain.events import (
    AmendmentAnswered,
    Answered,
)
from router.domain.market import Quote
from router.domain.order import Order, Replacement
from router.execution import checkpoints
from router.execution.alarm import Alarm
from router.execution.validation import intent_for
from router.executors.base import Emit
from router.journal.memory import MemoryJournal
from router.middleware import Next, Submission
from router.risk.account import Account
from router.risk.consequences import Consequences
from router.risk.gate import RiskGate
from router.risk.limits import LiveRiskLimits, StrategyLimits
from tests.execution.test_report_machine import driven
from tests.execution.world import NOON, World, report, trade
from tests.factories import BUY, PROPERTY, SELL, limits
from tests.risk.model import CASH, LIMITED, PRICE, UNIT, Model, Working

D = Decimal
S, X = ExecutionStatus, ExecType
NAMES = ["maker", "taker", "free", None]


def risk_limits(loss: str) -> LiveRiskLimits:
    """Return the limits as the router takes them."""

    def named(own: dict[str, Any]) -> dict[str, Any]:
        names = {"position": "max_position_size", "exposure": "max_exposure", "share": "max_concentration"}
        return {(names | {"orders": "max_open_orders"})[key]: value for key, value in own.items()}

    account = limits(max_drawdown=loss, max_daily_loss=loss, **named(LIMITED[""]))
    own = {name: StrategyLimits(**named(values)) for name, values in LIMITED.items() if name}
    return msgspec.structs.replace(account, strategies=own)


# -- the router -------------------------------------------------------------------------------------------------


class Tape(MemoryJournal):
    """Hands every event on in the moment in which it is decided."""

    def __init__(self, clock: VirtualClock, model: Model) -> None:
        super().__init__(clock)
        self.model = model
        self.tape: list[Any] = []

    def append(self, event: Any) -> None:
        super().append(event)
        self.tape.append(event)
        self.model.take(event)


class Stage:
    """Notes the quote of the order's symbol, as safety does, and asks a gate that is made after its world."""

    gate: RiskGate
    world: World

    async def __call__(self, submission: Submission, call_next: Next) -> ExecutionResult:
        assert submission.order is not None
        submission.reference = self.world.market.quote(submission.order.symbol)
        return await self.gate(submission, call_next)


class Router:
    """The real chain, ledger and tracker around a venue that answers as the steps say."""

    def __init__(self, model: Model, *, loss: str = "1", journal: MemoryJournal | None = None) -> None:
        self.model, self.clock = model, VirtualClock(NOON)
        stage = Stage()
        disk = journal or Tape(self.clock, model)
        self.world = World(self._submitted, self._amending, journal=disk, clock=self.clock, stages=[stage])
        stage.world = self.world
        for symbol in PRICE:
            self.mark(symbol, model.marks[symbol])
        tracker, today = self.world.tracker, self.world._today
        in_force = risk_limits(loss)
        alarm = Alarm(tracker.alert, self.clock)
        stage.gate = RiskGate(
            in_force.for_environment,
            {"paper": self.account},
            today,
            Consequences(tracker.standing, alarm, today, lambda: None),
        )
        self.account.limits_losses = lambda name: name == "maker"
        tracker.ledger.open("paper", {"USD": CASH})
        driven(disk.open(tracker.replay))
        self.moods: dict[str, str] = {}
        self.answers: list[ExecutionResult] = []
        self.trades = 0

    @property
    def account(self) -> Account:
        return self.world.account

    def mark(self, symbol: str, price: Decimal) -> None:
        self.model.marks[symbol] = price
        self.world.market.pin(Quote(symbol, price, price, None, None, NOON, 0.0))

    async def _submitted(self, order: Order, emit: Emit) -> None:
        match self.moods[order.client_order_id]:
            case "acks":
                emit(report(order, X.NEW))
            case "refuses":
                emit(report(order, X.REJECTED, reason="no"))
            case "breaks":
                raise OSError("the connection broke")

    async def _amending(self, order: Order, asked: Replacement, emit: Emit) -> None:
        match self.moods[asked.request_id]:
            case "acks":
                emit(report(order, X.REPLACED, request_id=asked.request_id, quantity=asked.quantity, price=asked.price))
            case "refuses":
                emit(report(order, X.REPLACE_REJECTED, request_id=asked.request_id, reason="no"))
            case "breaks":
                raise OSError("the connection broke")

    def send(self, submission: Submission, mood: str) -> list[Any]:
        """Send one through the gates, and return what was decided; it then waits for the journal."""
        name = submission.client_order_id if submission.amends is None else submission.run_id
        self.moods[name or ""] = mood
        tape = cast(Tape, self.world.disk).tape
        before = len(tape)
        self.world.conductor.start(self.world.chain(submission), self.answers.append)
        return tape[before:]

    def write(self) -> None:
        driven(self.world.disk.flush())

    def named(self, number: int, *, open_only: bool = True) -> Order | None:
        """Return one of the orders that the venue has got."""
        handed = [self.world.tracker.orders.recall(each.client_order_id) for each in self.world.venue.handed]
        known = [each for each in handed if each is not None and (each.is_open or not open_only)]
        return known[number % len(known)] if known else None

    # -- steps ----------------------------------------------------------------------------------------------

    def fill(self, number: int, units: int, price: Decimal | None = None, *, late: bool = False) -> None:
        order = self.named(number, open_only=not late)
        if order is None or order.status is S.REJECTED:
            return
        quantity = min(UNIT[order.symbol] * units / 2, order.quantity - order.filled_quantity)
        if quantity > 0:
            self.trades += 1
            at = self.model.marks[order.symbol] if price is None else price
            self.world.tracker.report(trade(order, quantity, f"t{self.trades}", last_price=at))

    def bust(self, number: int) -> None:
        order = self.named(number, open_only=False)
        if order is None:
            return
        for name, each in self.world.tracker.orders.executions(order.client_order_id).items():
            if each.quantity:
                self.world.tracker.report(report(order, X.TRADE_CANCEL, trade_id=name))
                return

    def tell(self, number: int, what: ExecType) -> None:
        """Let the venue say something about a working order: an end, or the answer to what was asked for."""
        order = self.named(number)
        if order is None:
            return
        if what in (X.REPLACED, X.REPLACE_REJECTED):
            for asked in order.pending_replaces:
                terms = {"quantity": asked.quantity, "price": asked.price} if what is X.REPLACED else {}
                self.world.tracker.report(report(order, what, request_id=asked.request_id, **terms))
            return
        if what is not X.REJECTED or not order.filled_quantity:
            self.world.tracker.report(report(order, what))

    def cancel(self, number: int) -> None:
        order = self.named(number)
        if order is not None and order.pending_cancel is None:
            self.world.tracker.cancel_asked(order.client_order_id, "enough")
            after = self.world.tracker.orders.current(order.client_order_id)
            assert after is not None
            assert after.pending_cancel is S.CANCELLED, "a cancel is never blocked"


# -- what is compared -------------------------------------------------------------------------------------------


def held(account: Account) -> dict[str, Any]:
    """Return all that risk knows of an account but marks of the moment, in a form that compares."""
    books = {"": account} | {
        name: book for name, book in account.strategies.items() if len(book.holds) or book.portfolio.positions
    }
    return {
        name: (
            dict(book.portfolio.cash),
            {symbol: each.quantity for symbol, each in book.portfolio.positions.items() if each.quantity},
            {
                symbol: (each.buys, each.sells)
                for symbol, each in book.holds.by_symbol.items()
                if each.buys or each.sells
            },
            len(book.holds),
            {(symbol, side): book.holds.best(symbol, side) for symbol in PRICE for side in (BUY, SELL)},
        )
        for name, book in books.items()
    }


def expected(model: Model) -> dict[str, Any]:
    """Return the same by the model."""
    names = {"", *model.cash, *(order.strategy for order in model.orders.values() if order.strategy and order.leaves)}
    found = {}
    for name in names:
        working: dict[str, tuple[Decimal, Decimal]] = {}
        best: dict[Any, Any] = {}
        for symbol in PRICE:
            by_side = {BUY: D(0), SELL: D(0)}
            prices: dict[Any, list[Any]] = {BUY: [], SELL: []}
            for order in model.working(name, symbol):
                side = BUY if order.side == "buy" else SELL
                by_side[side] += order.leaves
                prices[side] += [each for each in (order.price, *(p for _, p in order.asked.values())) if each]
            if any(by_side.values()):
                working[symbol] = by_side[BUY], by_side[SELL]
            best |= {(symbol, BUY): max(prices[BUY], default=None), (symbol, SELL): min(prices[SELL], default=None)}
        positions = {symbol: model.positions[name, symbol] for symbol in PRICE if model.positions[name, symbol]}
        cash = {"USD": model.cash[name]} if name in model.cash else {}
        found[name] = cash, positions, working, len(model.working(name)), best
    return found


def same_after_a_restart(router: Router, loss: str) -> None:
    """Replay what is on disk into a fresh router, and load a checkpoint into another: both know the same."""
    router.write()
    rows = list(router.world.disk.rows)
    journal = MemoryJournal(router.clock)
    journal.rows = list(rows)
    replayed = Router(Model(), loss=loss, journal=journal)
    assert held(replayed.account) == held(router.account)
    state = router.world.tracker.state()
    assert replayed.world.tracker.state() == state
    loaded = Router(Model(), loss=loss, journal=MemoryJournal(router.clock))
    loaded.world.tracker.load(checkpoints.event_of(len(rows) + 1, NOON, state), state)
    assert held(loaded.account) == held(router.account)
    assert loaded.world.tracker.state() == state


# -- the steps --------------------------------------------------------------------------------------------------

SHARES = [None, *(D(each) for each in ("1", "0.98", "0.99", "1.01", "1.02"))]
"""Of the price; None: at the market, or as it is."""
MOODS = ["acks", "acks", "acks", "silent", "refuses", "breaks"]
SAID = [X.CANCELED, X.EXPIRED, X.REJECTED, X.NEW, X.NEW, X.REPLACED, X.REPLACED, X.REPLACE_REJECTED]
USUAL = ["submit"] * 6 + ["fill"] * 6 + ["amend"] * 4 + ["cancel", "tell", "tell"] + ["write"] * 4


def steps(seed: int, count: int, kinds: list[str]) -> Iterator[tuple[Any, ...]]:
    """Yield a story of ``count`` steps; a shorter one of the same seed is its beginning."""
    chance = Random(seed)
    for _ in range(count):
        kind, which = chance.choice(kinds), chance.randrange(10)
        match kind:
            case "submit" | "reduce":
                symbol, flagged = chance.choice(["BTC/USD", "BTC/USD", "ETH/USD"]), kind == "reduce"
                side = chance.choice(["out", "out", "buy"] if flagged else ["buy", "buy", "sell", "out"])
                how = chance.randint(1, 4 if flagged else 5), chance.choice(SHARES), flagged, chance.choice(MOODS)
                yield "submit", chance.choice(NAMES), symbol, side, *how
            case "amend":
                size = chance.choice([None, 1, 2, 3, 4, 6])
                yield kind, which, size, chance.choice(SHARES[:4]), chance.choice(MOODS)
            case "fill" | "late":
                yield kind, which, chance.randint(1, 5)
            case "tell":
                yield kind, which, chance.choice(SAID)
            case "move":
                yield kind, chance.choice(sorted(PRICE)), D(chance.choice(["0.8", "0.9", "1.1", "1.2"]))
            case _:
                yield kind, which


stories = given(st.integers(0, 2**32), st.integers(20, 80))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of refusals that nobody reads."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


class Story:
    """Takes steps, and compares the router with the model after each.

    Args:
        loss: what may be lost of the account, a fraction.
        exact: whether the model tells every decision of the gate; else losses may have closed the session.
        always: the limits that nothing but time or the venue can make be exceeded.
    """

    def __init__(self, *, loss: str = "1", exact: bool = True, always: Collection[str] = ()) -> None:
        self.model = Model()
        self.router = Router(self.model, loss=loss)
        self.loss, self.exact, self.always = loss, exact, always
        self.sent = 0

    def tell(self, story: Iterable[tuple[Any, ...]]) -> None:
        for step in story:
            self.take(step)
            assert held(self.router.account) == expected(self.model)
            for name in LIMITED:
                assert not self.model.exceeded(name) & set(self.always), f"{name}: {step}"
        same_after_a_restart(self.router, self.loss)

    def take(self, step: tuple[Any, ...]) -> None:
        router = self.router
        match step:
            case ("submit", *rest):
                self.submit(*rest)
            case ("amend", *rest):
                self.amend(*rest)
            case ("fill", which, size):
                router.fill(which, size)
            case ("late", which, size):
                router.fill(which, size, late=True)
            case ("bust", which):
                router.bust(which)
            case ("cancel", which):
                router.cancel(which)
            case ("tell", which, what):
                router.tell(which, what)
            case ("move", symbol, share):
                router.mark(symbol, (self.model.marks[symbol] * share).quantize(D("0.01")))
            case _:
                router.write()

    def submit(self, strategy: str | None, symbol: str, side: str, size: int, *how: Any) -> None:
        share, reduce_only, mood = how
        if side == "out":
            side = "sell" if self.model.positions["", symbol] > 0 else "buy"
        self.sent += 1
        wanted = OrderIntent(
            symbol=symbol,
            side=side,
            quantity=UNIT[symbol] * size / 2,
            order_type="market" if share is None else "limit",
            price=None if share is None else PRICE[symbol] * share,
            strategy_key=strategy,
            reduce_only=reduce_only,
            intent_id=f"i{self.sent}",
        )
        self.judge(self.router.world.submission(wanted), mood)

    def amend(self, which: int, size: int | None, share: Decimal | None, mood: str) -> None:
        order = self.router.named(which)
        if order is not None and order.price is not None:
            quantity = None if size is None else order.filled_quantity + UNIT[order.symbol] * size / 2
            price = None if share is None else PRICE[order.symbol] * share
            self.judge(self.router.world.submission(intent_for(order, quantity, price), order), mood)

    def judge(self, submission: Submission, mood: str) -> None:
        """Send it; the gate must decide what the model does."""
        wanted, amended = Working(submission.intent), submission.amends
        name = submission.client_order_id or ""
        flagged = bool(submission.intent.reduce_only)
        before = self.model.orders.get(name)
        if before is not None:
            wanted.filled = before.filled
        allowed, reduced = self.model.judged(wanted, name, flagged=flagged)
        takes_away = before is not None and (wanted.price == before.price and wanted.quantity <= before.quantity)
        decided = self.router.send(submission, mood)
        answers = [event.result for event in decided if isinstance(event, Answered | AmendmentAnswered)]
        blocked = any(result.status is S.BLOCKED_BY_RISK for result in answers)
        if answers and not blocked:
            assert answers[0].status is S.INVALID, answers[0].reason
            assert amended is not None, "only an amendment can come at a bad moment"
            return
        if takes_away or (flagged and allowed):
            assert not blocked, "what takes away or reduces is never blocked"
        elif self.exact or not allowed:
            assert blocked is not allowed, (reduced, answers)
        if blocked:
            assert all(result.alert_ids and result.risk_violation_details for result in answers)
        elif not takes_away:
            self.model.orders[name].reduced = reduced


@settings(PROPERTY, max_examples=120)
@stories
def test_what_is_let_through_exceeds_no_limit_whatever_fills(seed: int, count: int) -> None:
    Story(always=["position", "exposure", "share", "orders"]).tell(steps(seed, count, USUAL))


@settings(PROPERTY, max_examples=100)
@stories
def test_whatever_a_venue_does_every_order_is_measured_as_it_stands_then(seed: int, count: int) -> None:
    Story().tell(steps(seed, count, [*USUAL, "reduce", "reduce", "reduce", "late", "bust"]))


@settings(PROPERTY, max_examples=80)
@stories
def test_positions_and_open_orders_stay_inside_whatever_the_market_does(seed: int, count: int) -> None:
    Story(always=["position", "orders"]).tell(steps(seed, count, [*USUAL, "move", "move"]))


@settings(PROPERTY, max_examples=80)
@stories
def test_what_reduces_and_what_takes_away_leaves_whatever_was_lost(seed: int, count: int) -> None:
    Story(loss="0.01", exact=False).tell(steps(seed, count, [*USUAL, *["reduce"] * 6, *["move"] * 3]))
