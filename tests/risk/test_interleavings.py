"""Any interleaving of concurrent intents, amendments, fills, late fills, cancels and refusals: no limit is exceeded by
what was let through, counted over all possible fills; nothing that fits, reduces or takes away is blocked; a restart
knows the same.

The router's answers are compared with a model that reads the journal's events and does its own sums. Submissions wait
between the gate and their answer until the journal is written, which is a step like any other.
"""

from __future__ import annotations

import logging
from collections import defaultdict
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
    Cancelled,
    Errored,
    Event,
    Expired,
    Filled,
    OrderEvent,
    PartiallyFilled,
    Pending,
    PendingReplace,
    Rejected,
    Replaced,
    ReplaceRejected,
    TradeBusted,
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

D = Decimal
S, X = ExecutionStatus, ExecType
CASH = D(100000)
PRICE = {"BTC/USD": D(50000), "ETH/USD": D(2500)}
UNIT = {"BTC/USD": D("0.1"), "ETH/USD": D(2)}
"""One unit is worth 5,000 USD, 5 % of the account."""
LIMITED: dict[str, dict[str, Any]] = {
    "": {"position": {"BTC/USD": D("0.8"), "ETH/USD": D(20)}, "exposure": D("0.65"), "share": D("0.45"), "orders": 7},
    "maker": {"position": {"BTC/USD": D("0.4"), "ETH/USD": D(10)}, "exposure": D("0.4"), "orders": 4},
    "taker": {"position": {"BTC/USD": D("0.6")}, "share": D("0.25")},
}
"""What the account and two strategies may, by "" and their names; "free" and None are bounded by the account only."""
NAMES = ["maker", "taker", "free", None]
ENDS = Cancelled | Rejected | Expired | Errored


def risk_limits(loss: str) -> LiveRiskLimits:
    """Return the limits as the router takes them."""

    def named(own: dict[str, Any]) -> dict[str, Any]:
        names = {"position": "max_position_size", "exposure": "max_exposure", "share": "max_concentration"}
        return {(names | {"orders": "max_open_orders"})[key]: value for key, value in own.items()}

    account = limits(max_drawdown=loss, max_daily_loss=loss, **named(LIMITED[""]))
    own = {name: StrategyLimits(**named(values)) for name, values in LIMITED.items() if name}
    return msgspec.structs.replace(account, strategies=own)


# -- the model --------------------------------------------------------------------------------------------------


class Working:
    """One order as its events tell it."""

    def __init__(self, asked: OrderIntent) -> None:
        assert isinstance(asked.quantity, Decimal)
        self.symbol, self.side, self.strategy = str(asked.symbol), str(asked.side), asked.strategy_key
        self.quantity, self.price = asked.quantity, asked.price if asked.order_type == "limit" else None
        self.asked: dict[str, tuple[Decimal, Any]] = {}
        self.filled = D(0)
        self.ended = False
        self.reduced: set[str] = set()
        """Whose positions it reduced when it came, or would have if it was flagged: no size was asked of it."""

    @property
    def leaves(self) -> Decimal:
        """What may still trade, whatever is granted of what was asked for."""
        most = max([self.quantity, *(quantity for quantity, _ in self.asked.values())])
        return D(0) if self.ended else most - self.filled

    @property
    def sign(self) -> int:
        return 1 if self.side == "buy" else -1


class Model:
    """Orders, positions and cash, by nothing but the events."""

    def __init__(self) -> None:
        self.orders: dict[str, Working] = {}
        self.positions: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        """By whose ("" is the account's) and symbol."""
        self.cash: dict[str, Decimal] = defaultdict(Decimal, {"": CASH})
        self.marks = dict(PRICE)

    def take(self, event: Event) -> None:
        if not isinstance(event, OrderEvent) or event.client_order_id is None:
            return
        if isinstance(event, Pending):
            self.orders[event.client_order_id] = Working(event.intent)
            return
        order = self.orders.get(event.client_order_id)
        match event:
            case _ if order is None:
                pass  # an answer to what never became an order
            case PartiallyFilled() | Filled():
                self._trade(order, event, 1)
            case TradeBusted():
                self._trade(order, event, -1)
            case PendingReplace(request_id=request, quantity=quantity, price=price):
                order.asked[request] = quantity, price
            case Replaced(request_id=request, quantity=quantity, price=price):
                order.asked.pop(request or "", None)
                order.quantity, order.price = quantity, price
            case ReplaceRejected(request_id=request):
                order.asked.pop(request, None)
            case _ if isinstance(event, ENDS):
                order.ended, order.asked = True, {}

    def _trade(self, order: Working, event: Any, way: int) -> None:
        order.filled += way * event.last_quantity
        for name in {"", order.strategy or ""}:
            self.positions[name, order.symbol] += way * order.sign * event.last_quantity
            self.cash[name] -= way * order.sign * event.last_quantity * event.last_price

    def working(self, name: str, symbol: str | None = None) -> list[Working]:
        """Return what works, of the account or of one strategy."""
        return [
            order
            for order in self.orders.values()
            if order.leaves and name in ("", order.strategy) and symbol in (None, order.symbol)
        ]

    def reachable(self, name: str, symbol: str) -> set[Decimal]:
        """Return every position that some of the working orders, filled whole or not at all, lead to."""
        found = {self.positions[name, symbol]}
        for order in self.working(name, symbol):
            found |= {position + order.sign * order.leaves for position in found}
        return found

    @property
    def equity(self) -> Decimal:
        return self.cash[""] + sum(self.positions["", symbol] * mark for symbol, mark in self.marks.items())

    def over(self, name: str, counted: int, wanted: Working | None = None) -> set[str]:
        """Return which of somebody's limits some fills would exceed; those by symbol or asset only for what is
        ``wanted``, and on its side."""
        own, reached = LIMITED[name], {symbol: self.reachable(name, symbol) for symbol in PRICE}
        side = wanted.sign if wanted is not None else 0
        looked_at = [wanted.symbol] if wanted is not None else list(PRICE)
        sizes = {symbol: max(each * side if side else abs(each) for each in reached[symbol]) for symbol in looked_at}
        values = {symbol: max(map(abs, reached[symbol])) * self.marks[symbol] / self.equity for symbol in PRICE}
        found = {
            "position": any(size > own["position"].get(symbol, 1000) for symbol, size in sizes.items()),
            "exposure": sum(values.values()) > own.get("exposure", 1000),
            "share": max(values[symbol] for symbol in looked_at) > own.get("share", 1000),
            "orders": counted > own.get("orders", 1000),
        }
        return {limit for limit, exceeded in found.items() if exceeded}

    def exceeded(self, name: str) -> set[str]:
        """Return which limits some fills would exceed now; orders that reduced when they came are not counted."""
        return self.over(name, sum(name not in order.reduced for order in self.working(name)))

    def reduces(self, name: str, wanted: Working) -> bool:
        """Whether it and what works on its side, all filled, leave something of a position, or nothing."""
        others = (order.leaves for order in self.working(name, wanted.symbol) if order.side == wanted.side)
        return self.positions[name, wanted.symbol] * -wanted.sign >= sum(others, wanted.leaves)

    def judged(self, wanted: Working, instead_of: str | None, *, flagged: bool) -> tuple[bool, set[str]]:
        """Return whether every limit is kept if ``wanted`` works too, or ``instead_of`` another; and whose position it
        reduces."""
        before = self.orders
        self.orders = {name: order for name, order in before.items() if name != instead_of}
        try:
            reduced = {name for name in LIMITED if self.reduces(name, wanted)}
            if flagged:
                return "" in reduced, set(LIMITED)
            self.orders["wanted"] = wanted
            owners = {name for name in LIMITED if name in ("", wanted.strategy)} - reduced
            return not any(self.over(name, len(self.working(name)), wanted) for name in owners), reduced
        finally:
            self.orders = before


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
                symbol, side = chance.choice(["BTC/USD", "BTC/USD", "ETH/USD"]), chance.choice(["buy", "buy", "sell"])
                how = chance.choice(SHARES), kind == "reduce", chance.choice(MOODS)
                yield "submit", chance.choice(NAMES), symbol, side, chance.randint(1, 5), *how
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


stories = given(st.integers(0, 2**32), st.integers(10, 80))


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
    Story(loss="0.05", exact=False).tell(steps(seed, count, [*USUAL, *["reduce"] * 6, *["move"] * 3]))
