"""The hand-over: durable first, then only evidence counts."""

from __future__ import annotations

from decimal import Decimal

import anyio
import pytest

from router import ExecutionStatus
from router.domain.control import HaltScope
from router.domain.enums import ExecType
from router.domain.order import Order
from router.execution.dispatch import Dispatch
from router.executors.base import Emit
from router.logs import get_logger
from tests.execution.world import World, report, silent, trade
from tests.pipelines import intent

pytestmark = pytest.mark.asyncio
S = ExecutionStatus
BOTH = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])


async def breaks(order: Order, emit: Emit) -> None:
    raise ConnectionError("cut")


async def fills_then_breaks(order: Order, emit: Emit) -> None:
    emit(report(order, ExecType.NEW, venue_order_id="V1"))
    emit(trade(order, order.quantity))
    raise ConnectionError("cut")


@BOTH
@pytest.mark.parametrize("script", [silent, breaks])
async def test_without_evidence_the_outcome_stays_unknown_and_the_hold_stays(script: object, remote: bool) -> None:
    world = World(script, remote=remote)  # type: ignore[arg-type]
    async with world.running():
        result = await world.submit(intent())
        assert (result.status, result.order_status, result.outcome_unknown) == (S.SUBMITTED, S.SUBMITTED, True)
        assert result.executor_called
        assert "do not send it again" in (result.reason or "")
        assert world.held == 0.01
        assert world.kinds == ["pending", "outcome_unknown", "answered"]
        assert result.client_order_id is not None
        world.venue._emit(trade(result.client_order_id, "0.01"))  # the evidence, late
        order = world.tracker.orders.current(result.client_order_id)
        assert order is not None
        assert (order.status, order.outcome_unknown, world.held) == (S.FILLED, False, 0)


@BOTH
async def test_evidence_that_was_given_before_a_failure_counts(remote: bool) -> None:
    world = World(fills_then_breaks, remote=remote)
    async with world.running():
        result = await world.submit(intent())
    assert (result.status, result.order_status, result.outcome_unknown) == (S.SUCCESS, S.FILLED, False)
    assert (result.venue_order_id, result.average_price, world.held) == ("V1", Decimal(50000), 0)


@BOTH
@pytest.mark.parametrize("slow", [False, True])
async def test_a_rejection_says_why_and_releases_the_hold(remote: bool, slow: bool) -> None:
    async def rejects(order: Order, emit: Emit) -> None:
        emit(report(order, ExecType.REJECTED, reason="no margin"))
        if remote and slow:
            await world.disk.reached(world.disk.next_seq - 1)  # published before the call returns

    world = World(rejects, remote=remote)
    async with world.running():
        result = await world.submit(intent())
    assert (result.status, result.order_status, result.reason) == (S.REJECTED, S.REJECTED, "no margin")
    assert result.executor_called
    assert world.held == 0


async def test_an_order_that_ends_before_its_call_returns_is_answered_with_its_end() -> None:
    async def fills(order: Order, emit: Emit) -> None:
        emit(report(order, ExecType.NEW))
        emit(trade(order, order.quantity))
        await world.disk.reached(world.disk.next_seq - 1)

    world = World(fills, remote=True)
    async with world.running():
        result = await world.submit(intent())
    assert (result.status, result.order_status, result.filled_quantity) == (S.SUCCESS, S.FILLED, Decimal("0.01"))
    assert world.kinds == ["pending", "submitted", "filled", "answered"]


async def test_a_slow_venue_delays_nobody_else() -> None:
    gate = anyio.Event()

    async def first_is_slow(order: Order, emit: Emit) -> None:
        if len(world.venue.handed) == 1:
            await gate.wait()
        emit(report(order, ExecType.NEW))

    world = World(first_is_slow, remote=True)
    async with world.running():
        slow = world.start(intent())
        assert (await world.submit(intent())).is_success
        assert not slow.done()
        gate.set()
        with anyio.fail_after(5):
            assert (await slow).is_success


@BOTH
async def test_no_executor_hears_of_an_order_before_it_is_durable(remote: bool) -> None:
    seen: list[list[str]] = []

    async def looks(order: Order, emit: Emit) -> None:
        seen.append(world.kinds)
        emit(report(order, ExecType.NEW))

    world = World(looks, remote=remote)
    async with world.running():
        world.disk.shut_gate()  # type: ignore[attr-defined]
        waiting = world.start(intent())
        await anyio.wait_all_tasks_blocked()
        assert (seen, world.venue.handed, world.held) == ([], [], 0.01)
        world.disk.gate.set()  # type: ignore[attr-defined]
        assert (await waiting).is_success
    assert seen == [["pending"]]


async def test_a_disk_that_fails_hands_nothing_over_and_releases_the_hold() -> None:
    world = World()
    async with world.running():
        world.disk.full = True  # type: ignore[attr-defined]
        result = await world.submit(intent())
        assert (result.status, result.order_status, result.executor_called) == (S.ERROR, S.ERROR, False)
        assert (world.venue.handed, world.held, world.kinds) == ([], 0, [])
        assert "disk full" in (result.reason or "")
        world.disk.full = False  # type: ignore[attr-defined]
        await world.clock.advance(2)
        assert world.kinds == ["pending", "errored", "answered"]


async def test_a_disk_that_fails_after_the_hand_over_claims_nothing_and_is_written_up_afterwards() -> None:
    async def fills(order: Order, emit: Emit) -> None:
        emit(trade(order, order.quantity))
        world.disk.full = True  # type: ignore[attr-defined]

    world = World(fills)
    async with world.running():
        result = await world.submit(intent())
        assert (result.status, result.executor_called, result.outcome_unknown) == (S.SUBMITTED, True, True)
        assert (result.filled_quantity, world.kinds) == (Decimal(0), ["pending"])
        world.disk.full = False  # type: ignore[attr-defined]
        await world.clock.advance(2)
        assert world.kinds == ["pending", "filled", "answered"]
        assert world.events[-1].status is S.SUCCESS


async def test_an_environment_without_executor_is_blocked() -> None:
    world = World(stages=[])
    async with world.running():
        result = await world.submit(intent(environment="mars"))
    assert (result.status, result.executor_called, world.venue.handed) == (S.BLOCKED_BY_ENVIRONMENT, False, [])


async def test_live_can_have_no_executor() -> None:
    world = World()
    with pytest.raises(AssertionError, match="live has no executor"):
        Dispatch({"live": world.venue}, world.tracker, world.disk, get_logger(), halted=lambda _: None, leaving=str)


@BOTH
@pytest.mark.parametrize("allowed", [False, True])
async def test_what_was_halted_while_an_order_waited_for_its_commit_stops_it(remote: bool, allowed: bool) -> None:
    world = World(remote=remote)
    async with world.running():
        world.disk.shut_gate()  # type: ignore[attr-defined]
        waiting = world.start(intent())
        await anyio.wait_all_tasks_blocked()
        halt = world.tracker.standing.halt(
            HaltScope.SYMBOL, "BTC/USD", operator="anna", reason="enough", allow_reducing=allowed
        )
        world.disk.gate.set()  # type: ignore[attr-defined]
        with anyio.fail_after(5):
            result = await waiting
    assert (result.status, result.violation) == (S.BLOCKED_BY_SAFETY, "A04_kill_switch")
    assert (result.order_status, result.executor_called, result.alert_ids) == (S.CANCELLED, False, [halt.alert_id])
    assert "by anna: enough" in (result.reason or "")
    assert (world.venue.handed, world.held) == ([], 0)
    assert world.kinds == ["pending", "alert_raised", "halted", "cancelled", "answered"]
    again = World(journal=world.disk)
    await world.disk.open(again.tracker.replay)
    assert (again.held, again.tracker.orders.working_orders()) == (0, [])


async def test_a_remote_order_is_looked_at_when_its_task_runs_not_when_it_is_durable() -> None:
    world = World(remote=True)
    halted: list[object] = []

    def durable(seq: int) -> None:
        world._durable(seq)  # resumes the submission, whose own task has not run yet
        if not halted:
            halted.append(world.tracker.standing.halt(HaltScope.ALL, operator="anna", reason="enough"))

    world.disk.on_durable = durable
    async with world.running():
        result = await world.submit(intent())
    assert (result.status, world.venue.handed) == (S.BLOCKED_BY_SAFETY, [])
