"""Cancels have a lane of their own: no full queue, broken limit, full disk or failing venue holds them up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from router import ExecutionPipeline, ExecutionStatus
from router.clock import VirtualClock
from router.domain.order import Order
from router.errors import ExecutionPipelineError
from router.ids import client_order_id
from router.journal.memory import MemoryJournal
from tests.journal.events import MoodyDisk
from tests.pipelines import intent, move, resting, settings
from tests.watchers.world import World

pytestmark = pytest.mark.asyncio
S = ExecutionStatus


def memory(tmp_path: Path, **fields: object) -> ExecutionPipeline:
    clock = VirtualClock()
    return ExecutionPipeline("paper", settings(tmp_path, fields), clock=clock, journal=MemoryJournal(clock))


async def test_a_cancel_passes_a_full_queue(tmp_path: Path) -> None:
    async with memory(tmp_path, **{"execution.intake_capacity": 1}) as pipeline:
        result = await pipeline.submit_order(resting())
        for _ in range(2):  # one is taken at once, one waits
            pipeline.intents.send_nowait(intent())
        with pytest.raises(anyio.WouldBlock):
            pipeline.intents.send_nowait(intent())
        order = await pipeline.cancel_order(result.client_order_id or "")
        assert order.status is S.CANCELLED


async def test_a_cancel_passes_a_breached_limit(tmp_path: Path) -> None:
    async with memory(tmp_path) as pipeline:
        await pipeline.submit_order(intent(quantity="1"))
        result = await pipeline.submit_order(resting(side="sell", price="60000"))
        move(pipeline, "BTC/USD", "1000", "1001")  # equity collapses: drawdown, daily loss, exposure
        blocked = await pipeline.submit_order(resting())
        assert blocked.status is S.BLOCKED_BY_RISK
        assert (await pipeline.cancel_order(result.client_order_id or "")).status is S.CANCELLED


async def test_a_cancel_is_carried_out_while_the_disk_refuses_and_its_record_follows(tmp_path: Path) -> None:
    clock = VirtualClock()
    disk = MoodyDisk(clock)
    async with ExecutionPipeline("paper", settings(tmp_path), clock=clock, journal=disk) as pipeline:
        result = await pipeline.submit_order(resting())
        disk.full = True
        order = await pipeline.cancel_order(result.client_order_id or "")
        assert order.status is S.SUBMITTED, "what is not on disk is not shown"
        assert (await pipeline.submit_order(intent())).status is S.ERROR
        disk.full = False
        await clock.advance(2)
        ended = pipeline.order(result.client_order_id or "")
        assert ended is not None
        assert ended.status is S.CANCELLED


async def test_a_cancel_waits_for_an_order_that_is_on_its_way(tmp_path: Path) -> None:
    async with memory(tmp_path) as pipeline:
        await pipeline.intents.send(resting(intent_id="late"))
        await anyio.lowlevel.checkpoint()
        order = await pipeline.cancel_order(client_order_id("late"))
        assert order.status is S.CANCELLED


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({}, set()),
        ({"symbol": "BTC/USD"}, {"eth"}),
        ({"strategy_key": "b"}, {"a", "shadow", "eth"}),
        ({"environment": "shadow"}, {"a", "b", "eth"}),
        ({"environment": "paper", "symbol": "BTC/USD", "strategy_key": "a"}, {"b", "shadow", "eth"}),
        ({"symbol": "XRP/USD"}, {"a", "b", "shadow", "eth"}),
    ],
)
async def test_cancel_all_is_scoped_by_symbol_strategy_and_environment(
    tmp_path: Path, filters: dict[str, Any], left: set[str]
) -> None:
    async with memory(tmp_path) as pipeline:
        await pipeline.submit_order(resting(strategy_key="a"))
        await pipeline.submit_order(resting(strategy_key="b"))
        await pipeline.submit_order(resting(strategy_key="shadow", environment="shadow"))
        await pipeline.submit_order(resting(strategy_key="eth", symbol="ETH/USD", price="2000"))
        before = {order.client_order_id: order.strategy_key for order in pipeline.open_orders()}
        cancelled = await pipeline.cancel_all(**filters, reason="scoped")
        assert {order.strategy_key for order in pipeline.open_orders()} == left
        assert {before[name] for name in cancelled} == set(before.values()) - left


async def test_an_order_that_cannot_be_cancelled_here_is_named_and_the_others_are_cancelled(tmp_path: Path) -> None:
    clock = VirtualClock()
    journal = MemoryJournal(clock)
    async with ExecutionPipeline("paper", settings(tmp_path), clock=clock, journal=journal) as pipeline:
        stuck = await pipeline.submit_order(resting(environment="shadow"))
        await pipeline.submit_order(resting())
    only_paper = settings(tmp_path, {"execution.environments": ["paper"]})
    async with ExecutionPipeline("paper", only_paper, clock=clock, journal=journal) as pipeline:
        with pytest.raises(ExecutionPipelineError, match=f"^{stuck.client_order_id}: not cancelled.*shadow") as raised:
            await pipeline.cancel_all()
        assert "execution.environments" in str(raised.value)
        assert [order.client_order_id for order in pipeline.open_orders()] == [stuck.client_order_id]


async def test_a_cancel_that_fails_at_the_venue_stays_pending_and_names_no_end() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.broken = ConnectionError("cut")
        await world.cancels.cancel(["U1"], "enough")
        order = world.order("U1")
        assert (order.status, order.pending_cancel) == (S.SUBMITTED, S.CANCELLED)


async def test_asking_twice_is_noted_once_and_sent_twice() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.ignores_cancels = 9
        await world.cancels.cancel(["U1"], "enough")
        await world.cancels.cancel(["U1"], "enough, I said")
        assert world.venue.cancels == ["U1", "U1"]
        assert world.kinds() == ["pending_cancel"]


async def test_an_order_that_has_ended_is_left_alone() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.fill("U1", 1)
        await world.venue.look_up([world.order("U1")])
        await world.cancels.cancel(["U1", "nobody"], "enough")
        assert world.venue.cancels == []


async def test_a_thousand_cancels_share_their_writes() -> None:
    async with World().running() as world:
        names = [f"U{number}" for number in range(1_000)]
        for name in names:
            await world.opened(name)
        writes = 0
        plain = world.journal._write

        async def counted(rows: Any) -> None:
            nonlocal writes
            writes += 1
            await plain(rows)

        world.journal._write = counted  # type: ignore[method-assign]
        await world.cancels.cancel(names, "all")
        assert world.kinds("U7") == ["pending_cancel"]
        assert writes < 64


async def test_a_cancel_that_hangs_at_the_venue_is_given_up_and_sent_again() -> None:
    async with World().running() as world:
        await world.opened("U1")
        plain, hung = world.venue.cancel, 0

        async def hangs(order: Order, reason: str) -> None:
            nonlocal hung
            hung += 1
            if hung == 1:
                await anyio.sleep_forever()
            await plain(order, reason)

        world.venue.cancel = hangs  # type: ignore[method-assign]
        async with anyio.create_task_group() as group:
            group.start_soon(world.cancels.cancel, ["U1"], "enough")
            await world.advance(100)
        assert (hung, world.order("U1").status) == (2, S.CANCELLED)
