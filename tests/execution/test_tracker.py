"""Order state: reports become events by the table, nonsense is quarantined, a replay gives the same state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from router import ExecutionStatus, OrderIntent
from router.domain.enums import ExecType, Severity
from router.domain.events import AlertRaised, ReportQuarantined
from router.domain.evidence import Proof
from router.domain.order import Order
from router.domain.report import ExecutionReport
from router.execution.tracker import Tracker
from router.executors.base import Emit
from router.journal.memory import MemoryJournal
from tests.execution.world import NOON, World, report, trade
from tests.pipelines import intent, resting

aio = pytest.mark.asyncio
S = ExecutionStatus
NAN = Decimal("NaN")


async def accepts(order: Order, emit: Emit) -> None:
    emit(report(order, ExecType.NEW, venue_order_id="V"))


async def opened(world: World, wanted: OrderIntent | None = None) -> Order:
    """Return an order that works at the venue."""
    result = await world.submit(wanted or intent(quantity=1))
    order = world.tracker.orders.current(result.client_order_id or "")
    assert order is not None
    assert order.status is S.SUBMITTED
    return order


def state(world: World) -> tuple[object, ...]:
    return (
        world.tracker.orders.working_orders(),
        dict(world.account.portfolio.cash),
        dict(world.account.portfolio.positions),
        world.held,
    )


BAD: dict[str, Callable[[Order], ExecutionReport]] = {
    "overfill": lambda order: trade(order, "0.60001", "t2"),
    "NaN quantity": lambda order: trade(order, NAN, "t2"),
    "infinite quantity": lambda order: trade(order, "Infinity", "t2"),
    "zero quantity": lambda order: trade(order, 0, "t2"),
    "negative quantity": lambda order: trade(order, "-0.5", "t2"),
    "no quantity": lambda order: report(order, ExecType.TRADE, last_price=Decimal(1), trade_id="t2"),
    "NaN price": lambda order: trade(order, "0.1", "t2", last_price=NAN),
    "zero price": lambda order: trade(order, "0.1", "t2", last_price=Decimal(0)),
    "no price": lambda order: trade(order, "0.1", "t2", last_price=None),
    "NaN fee": lambda order: trade(order, "0.1", "t2", fee=NAN),
    "infinite fee": lambda order: trade(order, "0.1", "t2", fee=Decimal("Infinity")),
    "another symbol": lambda order: trade(order, "0.1", "t2", symbol="ETH/USD"),
    "another symbol's end": lambda order: report(order, ExecType.CANCELED, symbol="ETH/USD"),
    "the future": lambda order: later(trade(order, "0.1", "t2"), 61),
    "a far future end": lambda order: later(report(order, ExecType.EXPIRED), 86_400 * 365),
    "a time of no zone": lambda order: naive(trade(order, "0.1", "t2")),
    "an endless fee": lambda order: trade(order, "0.1", "t2", fee=Decimal("1E+400")),
    "negative cumulative": lambda order: trade(order, "0.1", "t2", filled_quantity=Decimal(-1)),
    "NaN cumulative": lambda order: report(order, ExecType.CANCELED, filled_quantity=NAN),
    "negative leaves": lambda order: trade(order, "0.1", "t2", leaves_quantity=Decimal("-0.1")),
    "an end below what has traded": lambda order: report(order, ExecType.CANCELED, filled_quantity=Decimal("0.2")),
    "bust of an unknown trade": lambda order: report(order, ExecType.TRADE_CANCEL, trade_id="t2"),
    "bust of no trade": lambda order: report(order, ExecType.TRADE_CANCEL),
    "correction of an unknown trade": lambda order: correction(order, "t2", "0.1"),
    "correction of a busted trade": lambda order: correction(order, "t0", "0.1"),
    "correction to more than was asked for": lambda order: correction(order, "t1", "1.1"),
    "correction to NaN": lambda order: correction(order, "t1", "NaN"),
    "correction to nothing": lambda order: correction(order, "t1", "0"),
    "negative replacement": lambda order: report(order, ExecType.REPLACED, quantity=Decimal(-1)),
    "infinite replacement": lambda order: report(order, ExecType.REPLACED, quantity=Decimal("Infinity")),
    "unknown order": lambda order: trade("nobody", 1),
    "unknown order's end": lambda order: report("nobody", ExecType.CANCELED),
    "unknown order, looked up": lambda order: report("nobody", ExecType.NOT_FOUND),
}


def later(what: ExecutionReport, seconds: float) -> ExecutionReport:
    return msgspec.structs.replace(what, ts_event=what.ts_event + timedelta(seconds=seconds))


def naive(what: ExecutionReport) -> ExecutionReport:
    return msgspec.structs.replace(what, ts_event=what.ts_event.replace(tzinfo=None))


def correction(order: Order, corrects: str, quantity: str) -> ExecutionReport:
    return report(
        order,
        ExecType.TRADE_CORRECT,
        trade_id="t3",
        corrects=corrects,
        last_quantity=Decimal(quantity),
        last_price=Decimal(50000),
    )


@aio
@pytest.mark.parametrize("name", BAD)
async def test_a_report_that_cannot_be_is_quarantined_whole_and_never_applied(name: str) -> None:
    """The order has traded 0.4 of 1 as t1; t0 was busted."""
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        world.tracker.report(trade(order, "0.3", "t0"))
        world.tracker.report(report(order, ExecType.TRADE_CANCEL, trade_id="t0"))
        world.tracker.report(trade(order, "0.4", "t1"))
        before, seq, bad = state(world), world.disk.next_seq, BAD[name](order)
        world.tracker.report(bad)
        assert state(world) == before
        await world.disk.reached(world.disk.next_seq - 1)
        kept, alert = world.events[seq - 1 :]
        assert isinstance(kept, ReportQuarantined)
        assert str(kept.report) == str(bad)  # NaN is not equal to itself
        assert isinstance(alert, AlertRaised)
        assert (alert.severity, alert.topic) == (Severity.HIGH, "quarantine")
        assert alert.alert_id.endswith(f"_quarantine_{alert.seq:03d}")
        assert kept.reason in alert.message
        known = bad.client_order_id == order.client_order_id
        assert (alert.client_order_id, alert.run_id) == (
            (order.client_order_id, order.run_id) if known else (None,) * 2
        )
        world.tracker.report(trade(order, "0.6", "t4"))
        done = world.tracker.orders.current(order.client_order_id)
        assert done is not None
        assert done.status is S.FILLED
        assert world.account.equity().is_finite()


@aio
@pytest.mark.parametrize("seconds", [-3600, 60, 3600])
async def test_a_wall_clock_that_is_set_makes_no_report_a_thing_of_the_future(seconds: float) -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        await world.clock.advance(10)
        world.clock.jump(seconds)
        world.tracker.report(later(trade(order, 1), 10 + 60))  # the venue's clock may run ahead by this much
        done = world.tracker.orders.current(order.client_order_id)
        assert done is not None
        assert done.status is S.FILLED


@aio
async def test_a_replacement_below_what_has_traded_ends_the_order_at_what_has_traded() -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        world.tracker.report(trade(order, "0.4", "t1"))
        world.tracker.report(report(order, ExecType.REPLACED, quantity=Decimal("0.1")))
        done = world.tracker.orders.current(order.client_order_id)
        assert done is not None
        assert (done.status, done.quantity, done.filled_quantity) == (S.FILLED, Decimal("0.4"), Decimal("0.4"))
        assert world.held == 0


@aio
async def test_a_duplicate_trade_changes_nothing() -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        world.tracker.report(trade(order, "0.4", "t1"))
        before, seq = state(world), world.disk.next_seq
        world.tracker.report(trade(order, "0.4", "t1"))
        assert (state(world), world.disk.next_seq) == (before, seq)
        world.tracker.report(trade(order, "0.4", "t2"))
        now = world.tracker.orders.current(order.client_order_id)
        assert now is not None
        assert (now.filled_quantity, now.leaves_quantity, now.status) == (
            Decimal("0.8"),
            Decimal("0.2"),
            S.PARTIALLY_FILLED,
        )


@aio
async def test_a_trade_is_recognised_as_a_duplicate_after_a_restart_and_after_the_end() -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        world.tracker.report(trade(order, "0.4", "t1"))
        world.tracker.report(report(order, ExecType.CANCELED))
        world.tracker.report(trade(order, "0.4", "t1"))
        await world.disk.reached(world.disk.next_seq - 1)
    again = World(journal=reopened(world))
    async with again.running():
        again.tracker.report(trade(order, "0.4", "t1"))
        assert again.disk.next_seq == world.disk.next_seq
        assert again.account.portfolio.position("BTC/USD").quantity == Decimal("0.4")


@aio
@pytest.mark.parametrize("end", [ExecType.CANCELED, ExecType.EXPIRED])
async def test_a_late_fill_counts_and_the_status_stays(end: ExecType) -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        world.tracker.report(report(order, end, reason="x"))
        assert world.held == 0
        await world.disk.reached(world.disk.next_seq - 1)
        world.tracker.report(trade(order, "0.3"))
        await world.disk.reached(world.disk.next_seq - 1)
        late = world.tracker.orders.order(order.client_order_id)
        assert late is not None
        assert late.status.value == ("CANCELLED" if end is ExecType.CANCELED else "EXPIRED")
        assert (late.filled_quantity, late.leaves_quantity, world.held) == (Decimal("0.3"), Decimal(0), 0)
        assert world.account.portfolio.position("BTC/USD").quantity == Decimal("0.3")
        assert world.tracker.orders.working_orders() == []


@aio
@pytest.mark.parametrize("again", [ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED, ExecType.NEW])
async def test_nothing_reopens_or_ends_again_what_has_ended(again: ExecType) -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        world.tracker.report(trade(order, 1))
        before = state(world)
        world.tracker.report(report(order, again))
        ended = world.tracker.orders.current(order.client_order_id)
        assert ended is not None
        assert (ended.status, state(world)) == (S.FILLED, before)


@aio
async def test_a_change_is_visible_only_once_it_is_durable() -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        seen = len(world.published)
        world.disk.shut_gate()  # type: ignore[attr-defined]
        world.tracker.report(trade(order, 1))
        visible = world.tracker.orders.order(order.client_order_id)
        assert visible is not None
        assert visible.status is S.SUBMITTED
        assert len(world.tracker.orders.open_orders()) == 1
        assert len(world.published) == seen
        world.disk.gate.set()  # type: ignore[attr-defined]
        await world.disk.reached(world.disk.next_seq - 1)
        visible = world.tracker.orders.order(order.client_order_id)
        assert visible is not None
        assert visible.status is S.FILLED
        assert world.tracker.orders.open_orders() == []
        assert [order.client_order_id for order in world.tracker.orders.ended_orders()] == [order.client_order_id]
        assert [event.event for event in world.published[seen:]] == ["filled"]


@aio
async def test_quantities_in_events_are_the_orders_after_them() -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        world.tracker.report(trade(order, "0.4", "t1"))
        world.tracker.report(report(order, ExecType.CANCELED))
        await world.disk.reached(world.disk.next_seq - 1)
    numbers = [(e.event, e.filled_quantity, e.leaves_quantity) for e in world.published if e.event != "answered"]
    assert numbers == [
        ("pending", None, Decimal(1)),
        ("submitted", 0, Decimal(1)),
        ("partially_filled", Decimal("0.4"), Decimal("0.6")),
        ("cancelled", Decimal("0.4"), Decimal(0)),
    ]


@aio
async def test_a_cancel_that_was_rejected_leaves_the_order_working() -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        before, seq = state(world), world.disk.next_seq
        world.tracker.report(report(order, ExecType.CANCEL_REJECTED, reason="too late"))
        assert (state(world), world.disk.next_seq) == (before, seq)


@aio
@pytest.mark.parametrize(
    ("kind", "first", "again"),
    [
        (ExecType.ORDER_STATUS, Proof.SHOWN, Proof.SHOWN),
        (ExecType.RESTATED, Proof.STANDS, Proof.NONE),
    ],
)
async def test_only_a_picture_that_was_asked_for_counts_as_a_look_up(
    kind: ExecType, first: Proof, again: Proof
) -> None:
    world = World(accepts)
    async with world.running():
        order = await opened(world)
        terms = {"order_status": S.SUBMITTED, "quantity": Decimal(2)}
        for proof in (first, again):
            world.tracker.report(report(order, kind, **terms))
            assert world.noted[-1] == (order.client_order_id, proof)
        lacks = {"order_status": S.PARTIALLY_FILLED, "filled_quantity": Decimal("0.4")}
        world.tracker.report(report(order, kind, **lacks))
        assert world.noted[-1] == (order.client_order_id, Proof.INCOMPLETE)


@aio
async def test_a_day_order_keeps_its_end_when_it_was_recorded_after_midnight() -> None:
    world = World(accepts)
    async with world.running():
        await world.clock.advance((datetime(2025, 12, 10, tzinfo=UTC) - NOON - timedelta(seconds=1)).total_seconds())
        submission = world.submission(resting(time_in_force="DAY"))
        await world.clock.advance(2)  # a slow look-up, say
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        world.conductor.start(world.chain(submission), answer.set_result)
        order = world.tracker.orders.current((await answer).client_order_id)
    again = World(journal=reopened(world))
    async with again.running():
        assert order is not None
        assert again.tracker.orders.current(order.client_order_id) == order


# -- replay ---------------------------------------------------------------------------------------------------


def reopened(world: World) -> MemoryJournal:
    """Return a new journal on what ``world`` made durable."""
    journal = MemoryJournal(world.clock)
    journal.rows = list(world.disk.rows)
    return journal


def whole(tracker: Tracker, world: World) -> dict[str, object]:
    """Return everything that a restart must bring back."""
    portfolio = world.account.portfolio
    return {
        "open": {order.client_order_id: order for order in tracker.orders.open_orders()},
        "ended": {order.client_order_id: order for order in tracker.orders.ended_orders()},
        "working": {order.client_order_id for order in tracker.orders.working_orders()},
        "cash": portfolio.cash,
        "fees": portfolio.fees,
        "positions": portfolio.positions,
        "peak": portfolio.peak_equity if portfolio.positions else None,
        "day": (portfolio.day, portfolio.day_start_equity) if portfolio.positions else None,
        "buys": world.account.holds.working("BTC/USD").buys,
        "sells": world.account.holds.working("BTC/USD").sells,
        "held": len(world.account.holds),
    }


Step: TypeAlias = tuple[str, int, Any]
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("order"),
            st.integers(0, 3),
            st.sampled_from(["market", "GTC", "IOC", "DAY", "invalid", "over", "silent", "reject"]),
        ),
        st.tuples(st.just("fill"), st.integers(0, 9), st.tuples(st.integers(1, 120), st.integers(1, 3), st.booleans())),
        st.tuples(
            st.just("say"),
            st.integers(0, 9),
            st.sampled_from([ExecType.NEW, ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED]),
        ),
        st.tuples(st.just("time"), st.integers(1, 50_000), st.none()),
    ),
    max_size=25,
)


async def play(story: list[Step]) -> World:
    """Let a world live through ``story`` and stop it with everything durable."""

    async def obeys(order: Order, emit: Emit) -> None:
        if order.strategy_key == "reject":
            emit(report(order, ExecType.REJECTED, reason="no"))
        elif order.strategy_key != "silent":
            emit(report(order, ExecType.NEW, venue_order_id=f"V{order.client_order_id}"))

    world, names = World(obeys), list[str]()
    async with world.running():
        for what, number, detail in story:
            if what == "order":
                fields: dict[str, Any] = {"quantity": Decimal(number + 1) / 10, "side": "buy" if number % 2 else "sell"}
                fields |= {"strategy_key": detail, "intent_id": f"n{len(names)}"}
                fields |= {"quantity": 0} if detail == "invalid" else {"quantity": 99} if detail == "over" else {}
                if detail in {"GTC", "IOC", "DAY"}:
                    fields |= {"order_type": "limit", "price": 50000.25, "time_in_force": detail}
                result = await world.submit(intent(**fields))
                names.append(result.client_order_id or "")
            elif what == "time":
                await world.clock.advance(number)
            elif names:
                name = names[number % len(names)]
                if what == "say":
                    world.tracker.report(report(name, detail, reason="so"))
                else:
                    hundredths, tag, fee = detail
                    paid = Decimal("0.125") if fee else Decimal(0)
                    price = Decimal(40000 + hundredths)
                    world.tracker.report(
                        trade(name, Decimal(hundredths) / 100, f"{name}-{tag}", fee=paid, last_price=price)
                    )
        await world.disk.reached(world.disk.next_seq - 1)
    return world


async def replayed(world: World) -> World:
    again = World(journal=reopened(world))
    async with again.running():
        pass
    return again


@hypothesis_settings(max_examples=60, deadline=None)
@given(steps)
def test_a_replay_gives_the_same_orders_positions_cash_and_holds(story: list[Step]) -> None:
    async def both() -> tuple[World, World]:
        world = await play(story)
        return world, await replayed(world)

    world, again = asyncio.run(both())
    assert whole(again.tracker, again) == whole(world.tracker, world)
    assert (again.disk.next_seq, again.disk.digest) == (world.disk.next_seq, world.disk.digest)
    filled = Decimal(0)
    for order in [*world.tracker.orders.open_orders(), *world.tracker.orders.ended_orders()]:
        assert order.filled_quantity <= order.quantity
        filled += order.filled_quantity if order.side == "buy" else -order.filled_quantity
    assert world.account.portfolio.position("BTC/USD").quantity == filled
