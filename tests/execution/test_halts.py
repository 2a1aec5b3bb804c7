"""Halts through the real pipeline: exactly their scope, what was queued too, and nothing ends one but an operator."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from router import ExecutionPipeline, ExecutionResult, ExecutionStatus, OrderIntent
from router.clock import VirtualClock
from router.domain.control import HaltScope
from router.domain.events import Answered, Pending, decode_event
from router.errors import ExecutionPipelineError, JournalError
from router.ids import client_order_id
from tests.journal.events import MoodyDisk
from tests.pipelines import intent, kinds, resting, settings

pytestmark = pytest.mark.asyncio
S = ExecutionStatus
WHO: dict[str, Any] = {"operator": "anna", "reason": "a test"}
A04 = "A04_kill_switch"


@pytest.fixture
def disk() -> MoodyDisk:
    return MoodyDisk(VirtualClock())


def started(home: Path, disk: MoodyDisk, **fields: Any) -> ExecutionPipeline:
    return ExecutionPipeline("paper", settings(home, fields), clock=disk.clock, journal=disk)


def stopped(result: ExecutionResult) -> bool:
    """Return whether a halt stopped it; anything else than that or a success is wrong."""
    if result.is_success:
        return False
    assert (result.status, result.violation, result.executor_called) == (S.BLOCKED_BY_SAFETY, A04, False)
    return True


def written(disk: MoodyDisk) -> list[Any]:
    return [decode_event(row.payload) for row in disk.rows]


MANY = {
    "mine": intent(),
    "strategy": intent(strategy_key="other"),
    "nobody": intent(strategy_key=None),
    "symbol": intent(symbol="ETH/USD"),
    "shadow": intent(environment="shadow"),
}


@pytest.mark.parametrize(
    ("scope", "name", "outside"),
    [
        ("all", "", set()),
        ("environment", "paper", {"shadow"}),
        ("strategy", "test", {"strategy", "nobody"}),
        ("symbol", "BTC/USD", {"symbol"}),
        ("venue", "paper", {"shadow"}),
    ],
)
async def test_a_halt_stops_exactly_its_scope(
    tmp_path: Path, disk: MoodyDisk, scope: str, name: str, outside: set[str]
) -> None:
    async with started(tmp_path, disk) as pipeline:
        done = await pipeline.halt(scope, name, **WHO)
        assert done.still_halted == pipeline.halts() == [done.halt]
        results = {key: await pipeline.submit_order(each) for key, each in MANY.items()}
        assert {key for key, result in results.items() if not stopped(result)} == outside
        reason = next(result.reason for result in results.values() if not result.is_success) or ""
        assert "by anna: a test" in reason
        assert "router resume" in reason
        await pipeline.resume(scope, name, **WHO)
        assert not any([stopped(await pipeline.submit_order(each)) for each in MANY.values()])


async def test_a_thousand_queued_intents_of_a_halted_strategy_stop_and_the_others_pass(
    tmp_path: Path, disk: MoodyDisk
) -> None:
    async with started(tmp_path, disk) as pipeline:
        for number in range(1000):
            name = "test" if number % 2 else "other"
            pipeline.intents.send_nowait(intent(quantity="0.0001", strategy_key=name, intent_id=f"{number}"))
        await pipeline.halt("strategy", "test", **WHO)  # nothing has looked at the queue yet
        await pipeline.idle()
    answers = [event.result for event in written(disk) if isinstance(event, Answered)]
    assert Counter((result.order_intent.strategy_key, stopped(result)) for result in answers) == {
        ("test", True): 500,
        ("other", False): 500,
    }
    assert {event.intent.strategy_key for event in written(disk) if isinstance(event, Pending)} == {"other"}


async def test_an_order_that_waits_for_its_commit_does_not_leave_after_a_halt(tmp_path: Path, disk: MoodyDisk) -> None:
    async with started(tmp_path, disk) as pipeline, anyio.create_task_group() as group:
        results: dict[str, ExecutionResult] = {}
        working = (await pipeline.submit_order(resting(strategy_key="other"))).client_order_id or ""

        async def send(wanted: OrderIntent) -> None:
            results[wanted.strategy_key] = await pipeline.submit_order(wanted)

        async def amend() -> None:
            results["amend"] = await pipeline.amend_order(working, price="41000")

        disk.shut_gate()
        for name in ("test", "other"):
            group.start_soon(send, intent(strategy_key=name, intent_id=name))
        group.start_soon(amend)
        for _ in range(10):
            await checkpoint()  # all three have passed the gates and wait
        group.start_soon(partial(pipeline.halt, "strategy", "test", **WHO))
        group.start_soon(partial(pipeline.halt, "symbol", "BTC/USD", **WHO))
        for _ in range(10):
            await checkpoint()
        disk.gate.set()
        with anyio.fail_after(5):
            while len(results) < 3:
                await checkpoint()
        for name in ("test", "other"):
            result = results[name]
            assert stopped(result)
            assert (result.order_status, result.leaves_quantity) == (S.CANCELLED, Decimal(0))
            assert len(result.alert_ids) == 1
            story = await pipeline.story(client_order_id(name))
            assert kinds(story) == ["pending", "cancelled", "answered"]  # type: ignore[arg-type]
            assert "anna" in (story[1].reason or "")
        assert stopped(results["amend"])
        assert results["amend"].order_status is S.SUBMITTED
        order = pipeline.order(working)
        assert order is not None
        assert (order.price, order.pending_replaces) == (Decimal(40000), ()), "the old terms stand"
        assert not pipeline.positions()
        assert pipeline.risk_snapshot().exposure == order.quantity * 50000 / 100000, "no hold is left but its own"


async def test_cancels_pass_the_kill_switch_and_amendments_only_downwards(tmp_path: Path, disk: MoodyDisk) -> None:
    async with started(tmp_path, disk) as pipeline:
        names = [(await pipeline.submit_order(resting())).client_order_id or "" for _ in range(3)]
        await pipeline.halt(**WHO)
        assert stopped(await pipeline.amend_order(names[0], price="41000"))
        assert stopped(await pipeline.amend_order(names[0], quantity="0.02"))
        assert not stopped(await pipeline.amend_order(names[0], quantity="0.005"))
        assert (await pipeline.cancel_order(names[0])).status is S.CANCELLED
        assert set(await pipeline.cancel_all()) == set(names[1:])
        assert pipeline.open_orders() == []


@pytest.mark.parametrize("allowed", [False, True])
async def test_only_what_reduces_passes_and_only_if_that_is_allowed(
    tmp_path: Path, disk: MoodyDisk, allowed: bool
) -> None:
    async with started(tmp_path, disk) as pipeline:
        await pipeline.submit_order(intent(quantity="1"))
        out = await pipeline.submit_order(resting(side="sell", price="60000", quantity="0.4", reduce_only=True))
        await pipeline.halt(**WHO, allow_reducing=allowed)
        assert stopped(await pipeline.submit_order(intent(quantity="0.1")))
        assert stopped(await pipeline.submit_order(intent(side="sell", quantity="0.7"))), "0.4 are on their way out"
        assert stopped(await pipeline.submit_order(intent(side="sell", quantity="2")))
        chased = await pipeline.amend_order(out.client_order_id or "", price="55000", quantity="0.5")
        assert stopped(chased) is not allowed
        for flagged in (True, False):
            reducing = await pipeline.submit_order(intent(side="sell", quantity="0.2", reduce_only=flagged))
            assert stopped(reducing) is not allowed
        assert pipeline.positions()["BTC/USD"].quantity == Decimal("0.6" if allowed else "1")


@pytest.mark.parametrize("restricted", ["nothing", "halt", "session"])
async def test_a_reduce_only_order_that_outgrew_its_position_ends_while_only_reducing_is_allowed(
    tmp_path: Path, disk: MoodyDisk, restricted: str
) -> None:
    """Or it would turn the position round under a kill switch."""
    async with started(tmp_path, disk) as pipeline:
        await pipeline.submit_order(intent(quantity="0.5"))
        for price in ("60000", "61000"):
            out = resting(side="sell", price=price, quantity="0.2", reduce_only=True)
            assert (await pipeline.submit_order(out)).is_success
        assert (await pipeline.submit_order(intent(side="sell", quantity="0.2", reduce_only=False))).is_success
        assert len(pipeline.open_orders()) == 2, "0.4 work to sell 0.3"
        if restricted == "halt":
            await pipeline.halt(**WHO, allow_reducing=True)
        elif restricted == "session":
            await pipeline.close_session("paper", **WHO)
        left = {order.price for order in pipeline.open_orders()}
        assert left == ({Decimal(60000), Decimal(61000)} if restricted == "nothing" else {Decimal(60000)})


async def orders(pipeline: ExecutionPipeline) -> dict[str, str]:
    """Send one resting order for each key, and return the keys by client_order_id."""
    await pipeline.submit_order(intent(quantity="1", strategy_key="seed"))
    wanted = {
        "mine": resting(),
        "other": resting(strategy_key="other"),
        "eth": resting(symbol="ETH/USD", price="2000"),
        "shadow": resting(environment="shadow"),
        "out": resting(side="sell", price="60000", reduce_only=True),
    }
    sent = {key: await pipeline.submit_order(each) for key, each in wanted.items()}
    return {result.client_order_id or "": key for key, result in sent.items()}


@pytest.mark.parametrize(
    ("scope", "name", "how", "ended"),
    [
        ("all", "", {}, set()),
        ("all", "", {"cancel": True}, {"mine", "other", "eth", "shadow", "out"}),
        ("all", "", {"cancel": True, "allow_reducing": True}, {"mine", "other", "eth", "shadow"}),
        ("environment", "paper", {"cancel": True}, {"mine", "other", "eth", "out"}),
        ("strategy", "test", {"cancel": True}, {"mine", "eth", "shadow", "out"}),
        ("symbol", "ETH/USD", {"cancel": True}, {"eth"}),
        ("venue", "shadow", {"cancel": True}, {"shadow"}),
    ],
)
async def test_what_works_inside_a_halt_is_asked_to_end_if_that_is_wanted(
    tmp_path: Path, disk: MoodyDisk, scope: str, name: str, how: dict[str, Any], ended: set[str]
) -> None:
    async with started(tmp_path, disk) as pipeline:
        keys = await orders(pipeline)
        done = await pipeline.halt(scope, name, **WHO, **how)
        assert {keys[each] for each in done.cancelled} == ended
        assert {keys[order.client_order_id] for order in pipeline.open_orders()} == set(keys.values()) - ended


async def test_a_halt_with_cancel_ends_an_order_that_is_still_on_its_way(tmp_path: Path, disk: MoodyDisk) -> None:
    async with started(tmp_path, disk) as pipeline:
        await pipeline.intents.send(resting(intent_id="late"))
        await checkpoint()
        await pipeline.halt(**WHO, cancel=True)
        order = pipeline.order(client_order_id("late"))
        assert order is None or order.status is S.CANCELLED
        assert pipeline.open_orders() == []


async def test_closing_a_session_ends_all_but_what_reduces_if_that_is_wanted(tmp_path: Path, disk: MoodyDisk) -> None:
    async with started(tmp_path, disk) as pipeline:
        keys = await orders(pipeline)
        assert (await pipeline.close_session("paper", **WHO)).cancelled == []
        done = await pipeline.close_session("paper", **WHO, cancel=True)
        assert {keys[each] for each in done.cancelled} == {"mine", "other", "eth"}
        assert [closure.environment for closure in pipeline.closed_sessions()] == ["paper"]
        await pipeline.open_session("paper", **WHO)
        assert pipeline.closed_sessions() == []


# -- nothing ends a halt but an operator -----------------------------------------------------------------------


async def test_restarts_and_a_week_lift_no_halt(tmp_path: Path, disk: MoodyDisk) -> None:
    clock = disk.clock
    assert isinstance(clock, VirtualClock)
    async with started(tmp_path, disk) as pipeline:
        await pipeline.halt(**WHO)
        await pipeline.halt("strategy", "test", **WHO, allow_reducing=True)
        await pipeline.close_session("paper", **WHO)
        before = pipeline.halts(), pipeline.closed_sessions()
    for _ in range(2):
        async with started(tmp_path, disk) as pipeline:
            assert (pipeline.halts(), pipeline.closed_sessions()) == before
            for _ in range(7):
                await clock.advance(86400)
                assert stopped(await pipeline.submit_order(intent(strategy_key="other")))
            assert (pipeline.halts(), pipeline.closed_sessions()) == before
    async with started(tmp_path, disk) as pipeline:
        done = await pipeline.resume("strategy", "test", **WHO)
        assert [halt.scope for halt in done.still_halted] == [HaltScope.ALL]
        assert stopped(await pipeline.submit_order(intent())), "the lower level does not override the higher"
        await pipeline.resume(**WHO)
        assert (await pipeline.submit_order(intent())).violation == "Session closed"
        await pipeline.open_session("paper", **WHO)
        assert not stopped(await pipeline.submit_order(intent()))
    async with started(tmp_path, disk) as pipeline:
        assert (pipeline.halts(), pipeline.closed_sessions()) == ([], [])


@pytest.mark.parametrize("change", [{"operator": ""}, {"reason": " "}, {"operator": "mallory"}])
async def test_nobody_resumes_without_a_name_that_counts_and_a_reason(
    tmp_path: Path, disk: MoodyDisk, change: dict[str, str]
) -> None:
    async with started(tmp_path, disk, **{"governance.operators": ["anna"]}) as pipeline:
        await pipeline.halt(**WHO)
        await pipeline.close_session("paper", **WHO)
        with pytest.raises(ExecutionPipelineError, match=next(iter(change))):
            await pipeline.resume(**WHO | change)
        with pytest.raises(ExecutionPipelineError, match=next(iter(change))):
            await pipeline.open_session("paper", **WHO | change)
        assert stopped(await pipeline.submit_order(intent()))
        assert len(pipeline.closed_sessions()) == 1


# -- what a crash or a bad disk leaves --------------------------------------------------------------------------


async def left(pipeline: ExecutionPipeline, keys: dict[str, str], expected: set[str]) -> None:
    """Wait until exactly the ``expected`` orders work, and see that it stays so."""
    with anyio.fail_after(5):
        while {keys[order.client_order_id] for order in pipeline.open_orders()} != expected:
            await checkpoint()
    for _ in range(50):
        await checkpoint()
    assert {keys[order.client_order_id] for order in pipeline.open_orders()} == expected


@pytest.mark.parametrize("cancel", [False, True])
async def test_a_start_ends_what_an_operator_wanted_ended_when_he_closed_the_session(
    tmp_path: Path, disk: MoodyDisk, cancel: bool
) -> None:
    async with started(tmp_path, disk) as pipeline:
        keys = await orders(pipeline)
        pipeline._tracker.standing.close_session("paper", **WHO, cancel=cancel)  # a crash came before the cancels
    async with started(tmp_path, disk) as pipeline:
        await left(pipeline, keys, {"shadow", "out"} if cancel else set(keys.values()) - {""})


async def test_a_start_asks_again_for_the_end_of_what_a_crash_left_working(tmp_path: Path, disk: MoodyDisk) -> None:
    async with started(tmp_path, disk) as pipeline:
        keys = await orders(pipeline)
        standing = pipeline._tracker.standing  # a crash came before the cancels
        standing.halt(HaltScope.SYMBOL, "ETH/USD", **WHO, cancel=True)
        standing.halt(HaltScope.ENVIRONMENT, "paper", **WHO)
    async with started(tmp_path, disk) as pipeline:
        await left(pipeline, keys, {"mine", "other", "shadow", "out"})
        pipeline._tracker.standing.close_session(
            "paper", operator="router", reason="lost", violation="Drawdown limit breached"
        )
    async with started(tmp_path, disk) as pipeline:
        await left(pipeline, keys, {"shadow", "out"})


async def test_while_the_disk_refuses_a_halt_is_in_force_cancels_and_says_that_a_restart_forgets_it(
    tmp_path: Path, disk: MoodyDisk
) -> None:
    clock = disk.clock
    assert isinstance(clock, VirtualClock)
    async with started(tmp_path, disk) as pipeline:
        name = (await pipeline.submit_order(resting())).client_order_id or ""
        disk.full = True
        with pytest.raises(
            JournalError, match=r"everything is in force in this process.*restart would forget.*disk full"
        ):
            await pipeline.halt(**WHO, cancel=True)
        assert len(pipeline.halts()) == 1
        ending = pipeline._orders.current(name)
        assert ending is not None
        assert ending.status is S.CANCELLED
        disk.full = False
        await clock.advance(2)
        assert stopped(await pipeline.submit_order(intent()))
        disk.full = True
        with pytest.raises(JournalError, match=r"not in force yet.*disk full"):
            await pipeline.resume(**WHO)
        assert len(pipeline.halts()) == 1, "a crash now would bring it back"
        disk.full = False
        await clock.advance(2)
        assert pipeline.halts() == []
        assert not stopped(await pipeline.submit_order(intent()))


async def test_a_pipeline_that_does_not_run_takes_no_orders_of_operators(tmp_path: Path, disk: MoodyDisk) -> None:
    pipeline = started(tmp_path, disk)
    for order in (pipeline.halt(**WHO), pipeline.resume(**WHO)):
        with pytest.raises(ExecutionPipelineError, match="not running"):
            await order
    for session in (pipeline.close_session("paper", **WHO), pipeline.open_session("paper", **WHO)):
        with pytest.raises(ExecutionPipelineError, match="not running"):
            await session
    assert disk.rows == []
