"""Checkpoint and tail lead where the whole journal leads, and where the router was; a wrong one is never believed.

The journal's own part (which state is believed) is in tests/journal; here are the state, the start and the kills.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from router import ExecutionPipeline, ExecutionResult, ExecutionStatus
from router.clock import VirtualClock
from router.domain.control import Closure, Controls, HaltScope
from router.domain.enums import ExecType, Severity
from router.domain.events import Answered, Checkpoint, Pending
from router.domain.executions import Execution
from router.domain.market import Quote
from router.domain.order import Order, Replacement
from router.domain.portfolio import Position
from router.errors import ExecutionPipelineError, JournalCorruptError
from router.execution import engine
from router.execution.checkpoints import VERSION, AccountState, State, encode_state
from router.execution.tracker import Tracker
from router.executors.base import Emit
from router.journal.audit import verify
from router.journal.base import Row
from router.journal.checkpoints import CheckpointError, pack, state_digest
from router.journal.memory import MemoryJournal
from router.journal.seen import Seen
from router.logs import get_logger
from router.market.quotes import MarketData
from tests.execution.checkpoint_child import EVERY
from tests.execution.world import NOON, World, report, trade
from tests.factories import PROPERTY
from tests.journal.events import MoodyDisk
from tests.pipelines import LOOSE, encoded, intent, resting, settings, stored

aio = pytest.mark.asyncio
S, X = ExecutionStatus, ExecType
ROOT = Path(__file__).resolve().parents[2]

# -- any story, checkpoints anywhere ---------------------------------------------------------------------------

Step: TypeAlias = tuple[str, int, Any]
which = st.integers(0, 9)
hundredths = st.integers(1, 120)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"),
            st.integers(0, 3),
            st.tuples(st.sampled_from(["market", "GTC", "DAY", "invalid", "reject"]), st.booleans()),
        ),
        st.tuples(st.just("fill"), which, st.tuples(st.just(0) | hundredths, st.integers(1, 3), st.booleans())),
        st.tuples(st.just("bust"), which, st.tuples(st.just(0), st.integers(1, 3))),
        st.tuples(st.just("bust"), which, st.tuples(hundredths, st.integers(1, 3))),
        st.tuples(st.just("say"), which, st.sampled_from([X.NEW, X.CANCELED, X.EXPIRED, X.CANCEL_REJECTED])),
        st.tuples(st.just("cancel"), which, st.booleans()),
        st.tuples(
            st.just("amend"), which, st.tuples(hundredths, st.sampled_from([None, X.REPLACED, X.REPLACE_REJECTED]))
        ),
        st.tuples(st.just("overdue"), which, st.none()),
        st.tuples(st.just("market"), st.integers(-20, 20), st.none()),
        st.tuples(st.just("time"), st.integers(1, 50_000), st.none()),
        st.tuples(st.just("write"), st.just(0), st.none()),
        st.tuples(st.just("checkpoint"), st.just(0), st.none()),
        st.tuples(st.just("stand"), st.integers(0, 2), st.sampled_from(["halt", "resume", "close", "open", "limit"])),
    ),
    max_size=40,
)


class Story:
    """A world that lives through steps; ``states`` are all its checkpoints, by the sequence number of their event."""

    def __init__(self) -> None:
        self.world = World(self._obeys)
        self.names: list[str] = []
        self.states: dict[int, bytes] = {}
        self._answers: list[asyncio.Future[ExecutionResult]] = []

    async def _obeys(self, order: Order, emit: Emit) -> None:
        if order.strategy_key == "reject":
            emit(report(order, X.REJECTED, reason="no"))
        else:
            emit(report(order, X.NEW, venue_order_id=f"V{order.client_order_id}"))

    async def live(self, story: list[Step]) -> None:
        """Go through ``story``, and leave everything durable and answered."""
        async with self.world.running():
            self.world.tracker.open_account("paper", self.world.account.portfolio)
            for what, number, detail in story:
                order = self._recalled(number)
                if what in {"fill", "bust", "say", "cancel", "amend", "overdue"}:
                    if order is not None:
                        getattr(self, f"_{what}")(order, detail)
                else:
                    await getattr(self, f"_{what}")(number, detail)
            await asyncio.gather(*self._answers)
            await self._write(0, None)

    def _recalled(self, number: int) -> Order | None:
        return self.world.tracker.orders.recall(self.names[number % len(self.names)]) if self.names else None

    async def _submit(self, number: int, detail: tuple[str, bool]) -> None:
        kind, waits = detail
        fields: dict[str, Any] = {"quantity": Decimal(number + 1) / 10, "side": "buy" if number % 2 else "sell"}
        fields |= {"strategy_key": kind, "intent_id": f"n{len(self.names)}"}
        fields |= {"quantity": 0} if kind == "invalid" else {}
        if kind in {"GTC", "DAY"}:
            fields |= {"order_type": "limit", "price": 50000.25, "time_in_force": kind}
        submission = self.world.submission(intent(**fields))
        self.names.append(submission.client_order_id or "")
        answer: asyncio.Future[ExecutionResult] = asyncio.get_running_loop().create_future()
        self.world.conductor.start(self.world.chain(submission), answer.set_result)
        self._answers.append(answer)
        if waits:
            await answer

    def _fill(self, order: Order, detail: tuple[int, int, bool]) -> None:
        size, tag, fee = detail
        paid, name = Decimal("0.125") if fee else Decimal(0), order.client_order_id
        price, quantity = Decimal(40000 + size), Decimal(size) / 100 if size else order.leaves_quantity
        self.world.tracker.report(trade(name, quantity, f"{name}-{tag}", fee=paid, last_price=price))

    def _bust(self, order: Order, detail: tuple[int, int]) -> None:
        size, tag = detail
        name = order.client_order_id
        if size:
            new = {"last_quantity": Decimal(size) / 100, "last_price": Decimal(41000), "corrects": f"{name}-{tag}"}
            self.world.tracker.report(report(name, X.TRADE_CORRECT, trade_id=f"{name}-{tag}-{size}", **new))
        else:
            self.world.tracker.report(report(name, X.TRADE_CANCEL, trade_id=f"{name}-{tag}"))

    def _say(self, order: Order, detail: ExecType) -> None:
        self.world.tracker.report(report(order, detail, reason="so"))

    def _cancel(self, order: Order, detail: bool) -> None:
        if order.is_open and order.pending_cancel is None:
            self.world.tracker.cancel_asked(order.client_order_id, "so", expires=detail)

    def _amend(self, order: Order, detail: tuple[int, ExecType | None]) -> None:
        size, said = detail
        asked = Replacement(f"r{self.world.disk.next_seq}", Decimal(size) / 100, order.price and Decimal(50000))
        if order.status in {S.SUBMITTED, S.PARTIALLY_FILLED}:
            self.world.tracker.replace_asked(order.client_order_id, asked)
            if said is not None:
                terms = {"quantity": asked.quantity, "price": asked.price} if said is X.REPLACED else {}
                self.world.tracker.report(report(order, said, request_id=asked.request_id, **terms))

    def _overdue(self, order: Order, _: None) -> None:
        if order.is_open:
            self.world.tracker.overdue(order.client_order_id, "late")

    async def _market(self, number: int, _: None) -> None:
        """Move the market, and mark the account as a risk check does: nothing of that is in the journal."""
        world, mid = self.world, Decimal(50000 + 500 * number)
        world.market.pin(Quote("BTC/USD", mid - 1, mid + 1, None, None, world.clock.now(), world.clock.monotonic()))
        world.account.account_mark(world.clock.now().date())

    async def _time(self, number: int, _: None) -> None:
        await self.world.clock.advance(number)

    async def _write(self, _: int, __: None) -> None:
        await self.world.disk.reached(self.world.disk.next_seq - 1)

    async def _stand(self, number: int, what: str) -> None:
        """Let an operator order something; what is refused changes nothing."""
        standing = self.world.tracker.standing
        who: dict[str, Any] = {"operator": "anna", "reason": "so"}
        scope, name = [(HaltScope.ALL, ""), (HaltScope.STRATEGY, "GTC"), (HaltScope.SYMBOL, "BTC/USD")][number]
        with suppress(ExecutionPipelineError):
            if what in {"halt", "resume"}:
                getattr(standing, what)(scope, name, **who)
            elif what == "close":
                standing.close_session("paper", **who, day=NOON.date() if number else None)
            elif what == "open":
                standing.open_session("paper", **who, peak_equity=Decimal(99000 + number) if number else None)
            else:
                standing.set_override("max_exposure", None, str(number), **who)

    async def _checkpoint(self, _: int, __: None) -> None:
        taken = self.world.tracker.checkpoint()
        assert taken is not None
        seq, state = taken
        self.states[seq] = pack(state)


async def started(rows: list[Row], states: Mapping[int, bytes] | None) -> World:
    """Return a world that was started on ``rows``, from a checkpoint if there are ``states``."""
    journal = MemoryJournal(VirtualClock(NOON))
    journal.rows, journal.states = list(rows), dict(states or {})
    world = World(journal=journal)
    await journal.open(world.tracker.replay, world.tracker.load if states is not None else None)
    return world


def whole(world: World) -> dict[str, object]:
    """Return all that a start brings back, besides orders that ended."""
    tracker, portfolio, working = world.tracker, world.account.portfolio, world.account.holds.working("BTC/USD")
    return {
        "state": state_digest(tracker.state()),
        "open": tracker.orders.open_orders(),
        "working": (tracker.orders.working_orders(), tracker.orders.open_count),
        "trades": tracker.orders.open_executions(),
        "unanswered": list(tracker.unanswered.items()),
        "account": (portfolio.cash, portfolio.fees, portfolio.positions),
        "marks": (portfolio.day, portfolio.day_start_equity, portfolio.peak_equity),
        "holds": (working.buys, working.sells, len(world.account.holds)),
        "journal": (world.disk.next_seq, world.disk.digest),
    }


@hypothesis_settings(PROPERTY, max_examples=150)
@given(steps, st.data())
def test_checkpoint_and_tail_lead_where_the_whole_journal_leads_and_where_the_router_was(
    story: list[Step], data: st.DataObject
) -> None:
    logging.disable()  # hundreds of alerts that nobody reads

    async def compare() -> None:
        lived = Story()
        await lived.live(story)
        rows, states = lived.world.disk.rows, lived.states
        full = await started(rows, None)  # which compares at each checkpoint on its way
        assert whole(full)["state"] == state_digest(lived.world.tracker.state())
        live = lived.world.tracker.orders
        assert (full.tracker.orders.open_orders(), full.tracker.orders.working_orders()) == (
            live.open_orders(),
            live.working_orders(),
        )
        cut = data.draw(st.integers(0, len(rows)), label="cut")
        for upto in {cut, len(rows)}:
            expected = whole(await started(rows[:upto], None))
            for seq in [seq for seq in states if seq <= upto] or [len(rows) + 1]:
                some = {key: state for key, state in states.items() if key <= seq or key > upto}
                world = await started(rows[:upto], some)
                assert world.disk.checkpointed == (seq if seq in states else 0)
                assert whole(world) == expected

    try:
        asyncio.run(compare())
    finally:
        logging.disable(logging.NOTSET)


def test_a_state_has_one_form_whatever_its_parts_were_entered_first() -> None:
    def encoded_state(turn: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
        numbers = turn({"BTC": Decimal(1), "USD": Decimal("2.50")})
        account = AccountState(numbers, numbers, turn({"B/U": Position(), "A/U": Position()}), None)
        deal = Execution(Decimal(1), Decimal(2), Decimal(0), None, None)
        deals = turn({"t1": deal, "t0": deal})
        accounts = turn({"paper": account, "shadow": account})
        closure = Closure(environment="paper", at=NOON, operator="anna", reason="so")
        values = turn({"max_exposure": "1", "max_drawdown": "2"})
        controls = Controls([], turn({"paper": closure, "shadow": closure}), values, values)
        return encode_state(State([], turn({"U1": deals, "U0": deals}), accounts, ["U2", "U1"], controls), Seen())

    assert encoded_state(lambda parts: parts) == encoded_state(lambda parts: dict(reversed(parts.items())))


# -- what a start without the old events still knows -----------------------------------------------------------


async def accepts(order: Order, emit: Emit) -> None:
    emit(report(order, X.NEW, venue_order_id="V"))


async def opened(world: World, **fields: Any) -> Order:
    result = await world.submit(intent(**{"quantity": 1, **fields}))
    order = world.tracker.orders.current(result.client_order_id or "")
    assert order is not None
    return order


async def checkpointed(world: World) -> World:
    """Take a checkpoint of ``world``, forget everything, and return the world that a start on it makes."""
    taken = world.tracker.checkpoint()
    assert taken is not None
    await world.disk.keep(*taken)
    again = await started(world.disk.rows, world.disk.states)
    assert again.disk.checkpointed == taken[0]
    return again


@aio
async def test_a_late_fill_of_an_order_that_ended_before_the_checkpoint_counts_once() -> None:
    world = World(accepts)
    async with world.running():
        world.tracker.open_account("paper", world.account.portfolio)
        order = await opened(world)
        world.tracker.report(trade(order, "0.4", "t1"))
        world.tracker.report(report(order, X.CANCELED))
        again = await checkpointed(world)
    assert again.tracker.orders.current(order.client_order_id) is None
    again.tracker.report(trade(order, "0.4", "t1"))  # known: the journal has it
    again.tracker.report(trade(order, "0.1", "t2"))
    late = again.tracker.orders.current(order.client_order_id)
    assert late is not None
    assert (late.status, late.filled_quantity) == (S.CANCELLED, Decimal("0.5"))
    assert again.account.portfolio.position("BTC/USD").quantity == Decimal("0.5")


@aio
async def test_a_bust_of_an_order_that_ended_before_the_checkpoint_opens_it_again_behind_the_others() -> None:
    world = World(accepts)
    async with world.running():
        world.tracker.open_account("paper", world.account.portfolio)
        first, second = await opened(world, quantity="0.2"), await opened(world, quantity="0.3")
        world.tracker.report(trade(first, "0.2", "t1"))
        again = await checkpointed(world)
    again.tracker.report(report(first, X.TRADE_CANCEL, trade_id="t1"))
    names = [order.client_order_id for order in again.tracker.orders.working_orders()]
    assert names == [second.client_order_id, first.client_order_id]
    assert not again.account.portfolio.position("BTC/USD").quantity
    assert again.held == 0.5


@aio
async def test_an_order_that_opens_again_before_its_end_is_durable_gets_the_place_that_a_replay_gives_it() -> None:
    world = World(accepts)
    async with world.running():
        world.tracker.open_account("paper", world.account.portfolio)
        first, second = await opened(world, quantity="0.2"), await opened(world, quantity="0.3")
        world.tracker.report(trade(first, "0.2", "t1"))
        world.tracker.report(report(first, X.TRADE_CANCEL, trade_id="t1"))
        names = [order.client_order_id for order in world.tracker.orders.working_orders()]
        assert names == [second.client_order_id, first.client_order_id]
        again = await checkpointed(world)
    assert whole(again) == whole(await started(world.disk.rows, None))


@aio
async def test_a_late_fill_between_checkpoint_and_end_is_replayed_from_the_journal() -> None:
    world = World(accepts)
    async with world.running():
        world.tracker.open_account("paper", world.account.portfolio)
        order = await opened(world)
        world.tracker.report(report(order, X.CANCELED))
        taken = world.tracker.checkpoint()
        assert taken is not None
        world.tracker.report(trade(order, "0.4", "t1"))
        world.tracker.report(trade(order, "0.5", "t2"))
        await world.disk.keep(*taken)
        await world.disk.reached(world.disk.next_seq - 1)
        again = await started(world.disk.rows, world.disk.states)
    assert again.disk.checkpointed == taken[0]
    assert again.account.portfolio.position("BTC/USD").quantity == Decimal("0.9")
    assert whole(again) == whole(await started(world.disk.rows, None))


@aio
async def test_an_account_outlives_a_run_and_a_checkpoint_without_its_environment() -> None:
    world = World(accepts)
    async with world.running():
        world.tracker.open_account("paper", world.account.portfolio)
        world.tracker.report(trade(await opened(world), "0.4"))
        await world.disk.reached(world.disk.next_seq - 1)
    without = Tracker(
        world.disk, {}, world.clock, get_logger(), lambda *_: None, watch=lambda *_: None, market_time=world.clock.now
    )
    await world.disk.open(without.replay)
    taken = without.checkpoint()
    assert taken is not None
    await world.disk.flush()
    await world.disk.keep(*taken)
    again = await started(world.disk.rows, world.disk.states)
    assert again.disk.checkpointed == taken[0]
    assert again.account.portfolio.cash == world.account.portfolio.cash != {"USD": Decimal(100000)}
    assert again.account.portfolio.position("BTC/USD").quantity == Decimal("0.4")
    assert again.held == pytest.approx(0.6)


# -- when one is taken, and when not ---------------------------------------------------------------------------


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine take a checkpoint every ten events, and none at a stop."""
    monkeypatch.setattr(engine, "CHECKPOINT_EVERY", 10)
    monkeypatch.setattr(engine, "_WORTH_IT", 1000)


def pipeline_on(home: Path, journal: MemoryJournal | None = None, **overrides: object) -> ExecutionPipeline:
    return ExecutionPipeline("paper", settings(home, overrides, limits=LOOSE), journal=journal)


@aio
@pytest.mark.usefixtures("often")
async def test_one_is_taken_every_so_many_events_and_a_start_goes_on_from_it(tmp_path: Path) -> None:
    async with pipeline_on(tmp_path) as pipeline:
        ended = await pipeline.submit_order(intent(intent_id="ended"))
        rests = await pipeline.submit_order(resting(intent_id="rests"))
        for number in range(11):
            await pipeline.submit_order(intent(intent_id=f"n{number}"))
        before = pipeline.positions(), pipeline.open_orders()
    named = [event.seq for event in stored(tmp_path) if isinstance(event, Checkpoint)]
    assert 4 <= len(named) <= 6
    assert all(later - earlier >= 10 for earlier, later in pairwise(named))
    async with pipeline_on(tmp_path) as pipeline:
        assert pipeline._journal.checkpointed == named[-1]
        assert (pipeline.positions(), pipeline.open_orders()) == before
        assert len(pipeline.recent_orders()) < 5  # those that ended before it are asked of the journal
        assert encoded(await pipeline.submit_order(intent(intent_id="ended"))) == encoded(ended)
        found = pipeline.order(ended.client_order_id or "")
        assert found is not None
        assert found.status is S.FILLED
        cancelled = await pipeline.cancel_order(rests.client_order_id or "")
        assert cancelled.status is S.CANCELLED
    answers = [event.client_order_id for event in stored(tmp_path) if isinstance(event, Answered)]
    assert len(set(answers)) == len(answers) == 13
    assert verify(tmp_path / "journal.db").events == len(stored(tmp_path))


@aio
async def test_a_clean_stop_takes_one_if_enough_has_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_WORTH_IT", 10)
    async with pipeline_on(tmp_path) as pipeline:
        await pipeline.submit_order(intent())
    assert not any(isinstance(event, Checkpoint) for event in stored(tmp_path))
    async with pipeline_on(tmp_path) as pipeline:
        await pipeline.submit_order(intent())
        await pipeline.submit_order(intent())
    assert isinstance(stored(tmp_path)[-1], Checkpoint)
    async with pipeline_on(tmp_path) as pipeline:
        assert pipeline._journal.checkpointed == len(stored(tmp_path))
        assert pipeline.positions()["BTC/USD"].quantity == Decimal("0.03")
    assert sum(isinstance(event, Checkpoint) for event in stored(tmp_path)) == 1


@aio
async def test_a_stop_after_something_broke_takes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_WORTH_IT", 1)
    gate = anyio.Event()

    class Broken:
        async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
            ready()
            await gate.wait()
            raise ZeroDivisionError

    pipeline = ExecutionPipeline("paper", settings(tmp_path), feed=Broken())
    await pipeline.__aenter__()
    await pipeline.submit_order(intent())
    gate.set()
    await anyio.wait_all_tasks_blocked()
    with pytest.raises(ExceptionGroup, match="unhandled"):
        await pipeline.__aexit__(None, None, None)
    assert not any(isinstance(event, Checkpoint) for event in stored(tmp_path))


@aio
@pytest.mark.usefixtures("often")
async def test_the_last_write_of_a_stop_begins_nothing_in_a_background_that_has_ended(tmp_path: Path) -> None:
    disk = MoodyDisk(VirtualClock())
    async with pipeline_on(tmp_path, disk) as pipeline:
        disk.full = True
        for number in range(20):
            pipeline._tracker.alert(Severity.LOW, "test", f"{number}")
        await anyio.wait_all_tasks_blocked()
        assert disk.error is not None  # and tried again too late for this run
        disk.full = False
    assert len(disk.rows) > 20


@aio
@pytest.mark.usefixtures("often")
async def test_orders_do_not_wait_while_a_state_is_stored(tmp_path: Path) -> None:
    class Slow(MemoryJournal):
        gate = anyio.Event()

        async def _keep(self, seq: int, packed: bytes) -> None:
            await self.gate.wait()
            await super()._keep(seq, packed)

    journal = Slow(VirtualClock())
    async with pipeline_on(tmp_path, journal) as pipeline:
        with anyio.fail_after(10):
            for _ in range(10):
                assert (await pipeline.submit_order(intent())).is_success
        assert journal.states == {}
        journal.gate.set()
    assert journal.states, "what was begun is stored, even by a router that stops"


@aio
async def test_none_is_taken_of_a_state_that_a_failure_left_half_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        with monkeypatch.context() as patch:
            patch.setattr(world.account, "exposure", lambda: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                world.tracker.report(trade(order, "0.4", "t1"))
        world.tracker.report(trade(order, "0.1", "t2"))
        assert world.tracker.checkpoint() is None
        await world.disk.reached(world.disk.next_seq - 1)
        assert "checkpoint" not in world.kinds


@aio
@pytest.mark.usefixtures("often")
async def test_a_state_that_cannot_be_stored_harms_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with pipeline_on(tmp_path) as pipeline:
        with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
            db.execute("DROP TABLE checkpoints")
        for number in range(5):
            assert (await pipeline.submit_order(intent(intent_id=f"n{number}"))).is_success
    assert "checkpoint_not_stored" in caplog.text
    assert pipeline.positions()["BTC/USD"].quantity == Decimal("0.05")


# -- what is wrong with one -----------------------------------------------------------------------------------


FAULTS = {
    "cut": "UPDATE checkpoints SET state = substr(state, 1, 100)",
    "another state": "UPDATE checkpoints SET state = (SELECT state FROM checkpoints ORDER BY seq LIMIT 1)",
    "no bytes": "UPDATE checkpoints SET state = 'text'",
    "missing": "DELETE FROM checkpoints",
    "event gone": "UPDATE checkpoints SET seq = seq + 1",
}


@aio
@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("newest_only", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_start_passes_over_what_is_wrong_with_a_warning_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str, newest_only: bool
) -> None:
    async with pipeline_on(tmp_path) as pipeline:
        for number in range(10):
            await pipeline.submit_order((intent if number % 2 else resting)(intent_id=f"n{number}"))
        before = pipeline.positions(), pipeline.open_orders()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        oldest, newest = (row[0] for row in db.execute("SELECT seq FROM checkpoints ORDER BY seq"))
        db.execute(FAULTS[fault] + (f" WHERE seq = {newest}" if newest_only else " WHERE 1 = 1"))
        db.commit()
    async with pipeline_on(tmp_path) as pipeline:
        assert (pipeline.positions(), pipeline.open_orders()) == before
        kept = newest_only or fault == "another state"
        assert pipeline._journal.checkpointed == (oldest if kept else 0)
    assert "checkpoint_passed_over" in caplog.text


def with_checkpoint(rows: list[Row], **fields: Any) -> tuple[MemoryJournal, Checkpoint]:
    """Return a journal of ``rows`` and one more event, a checkpoint that is not true."""
    journal = MemoryJournal(VirtualClock(NOON))
    journal.rows = rows
    seq = len(rows) + 1
    values: dict[str, Any] = {"at_seq": seq - 1, "state_digest": "00" * 32, "state_version": VERSION} | fields
    return journal, Checkpoint(seq=seq, ts_recorded=NOON, **values)


async def a_short_life() -> list[Row]:
    world = World(accepts)
    async with world.running():
        world.tracker.open_account("paper", world.account.portfolio)
        world.tracker.report(trade(await opened(world), "0.4"))
        await world.disk.reached(world.disk.next_seq - 1)
    return list(world.disk.rows)


@aio
async def test_a_replay_that_leads_elsewhere_than_its_checkpoint_says_is_refused_naming_the_event() -> None:
    journal, event = with_checkpoint(await a_short_life())
    await journal.open(World(journal=journal).tracker.replay)
    journal.append(event)
    await journal.flush()
    again = World(journal=journal)
    with pytest.raises(JournalCorruptError, match=f"event {event.seq} says"):
        await journal.open(again.tracker.replay)


@aio
async def test_a_checkpoint_of_another_version_is_neither_compared_nor_loaded() -> None:
    rows = await a_short_life()
    state = (await started(rows, None)).tracker.state()
    journal, event = with_checkpoint(rows, state_version=VERSION + 1, state_digest=state_digest(state))
    await journal.open(World(journal=journal).tracker.replay)
    journal.append(event)
    await journal.flush()
    await journal.keep(event.seq, state)
    world = await started(journal.rows, journal.states)
    assert world.disk.checkpointed == 0
    assert f"version {VERSION + 1}" in world.disk.passed_over[0]
    assert whole(world) == whole(await started(journal.rows, None))


@aio
@pytest.mark.parametrize("bad", ["rubbish", "empty", "unanswered"])
async def test_a_state_that_makes_no_sense_changes_nothing(bad: str) -> None:
    rows = await a_short_life()
    world = await started(rows, None)
    state = world.tracker.state()
    if bad == "unanswered":
        pending = next(event for event in world.events if isinstance(event, Pending))
        world.tracker.unanswered |= {pending.client_order_id or "": pending, "nobody": pending}
        state = world.tracker.state()
    else:
        state = b"\xc1" * len(state) if bad == "rubbish" else b""
    fresh = World(journal=world.disk)
    before = fresh.tracker.state()
    event = Checkpoint(seq=len(rows) + 1, ts_recorded=NOON, at_seq=len(rows), state_digest="", state_version=VERSION)
    with pytest.raises(CheckpointError):
        fresh.tracker.load(event, state)
    assert fresh.tracker.state() == before
    assert fresh.tracker.unanswered == {}


@aio
async def test_a_changed_event_that_a_checkpoint_refers_to_is_named_and_not_traded_on() -> None:
    world = World(accepts)
    async with world.running():
        world.tracker.open_account("paper", world.account.portfolio)
        answer = world.start(intent())
        taken = world.tracker.checkpoint()
        assert taken is not None
        await world.disk.keep(*taken)
        await answer
    pending = next(event for event in world.events if isinstance(event, Pending))
    assert pending.client_order_id in (await started(world.disk.rows[: taken[0]], world.disk.states)).tracker.unanswered
    rows = list(world.disk.rows)
    rows[pending.seq - 1] = rows[pending.seq - 1]._replace(payload="{")
    with pytest.raises(JournalCorruptError, match=f"event {pending.seq} "):
        await started(rows, world.disk.states)


# -- kill -9 around one ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "between", "during", "after"])
def test_kill_9_around_a_checkpoint_loses_nothing(tmp_path: Path, moment: str) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.execution.checkpoint_child", str(tmp_path), moment],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (child.returncode, child.stderr) == (-9, b"")
    printed = [msgspec.json.decode(line, type=ExecutionResult) for line in child.stdout.splitlines()]
    events = stored(tmp_path)
    named = [event.seq for event in events if isinstance(event, Checkpoint)]
    assert len(printed) > EVERY // 5
    assert bool(named) == (moment != "before")
    assert verify(tmp_path / "journal.db").events == len(events)

    async def start(*, full: bool) -> tuple[object, ...]:
        if full:
            with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
                db.execute("DELETE FROM checkpoints")
                db.commit()
        async with pipeline_on(tmp_path) as pipeline:
            loaded = pipeline._journal.checkpointed
            for result in printed:
                again = await pipeline.submit_order(result.order_intent)
                assert encoded(again) == encoded(result)
            state = state_digest(pipeline._tracker.state())
            return loaded, state, pipeline.positions(), pipeline.open_orders()

    loaded, *quick = asyncio.run(start(full=False))
    assert loaded == (named[0] if moment == "after" else 0)
    _, *slow = asyncio.run(start(full=True))
    assert quick == slow
    answers = [event.client_order_id for event in stored(tmp_path) if isinstance(event, Answered)]
    assert len(set(answers)) == len(answers)
    assert {result.client_order_id for result in printed} <= set(answers)
