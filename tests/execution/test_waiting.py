"""Waiting for an order's end or for events: woken, timed out, abandoned, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import anyio
import pytest

from router import ExecutionPipelineError, ExecutionStatus, OrderSide, OrderType
from router.clock import VirtualClock
from router.domain.order import Order
from router.execution.waiting import Endings, order_events
from router.journal.memory import MemoryJournal
from tests.execution.world import NOON
from tests.journal.events import MoodyDisk, nothing, put, running

pytestmark = pytest.mark.asyncio
S = ExecutionStatus


def order(status: ExecutionStatus, name: str = "a") -> Order:
    from decimal import Decimal

    return Order(
        client_order_id=name,
        run_id="r",
        symbol="BTC/USD",
        side=OrderSide.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(1),
        environment="paper",
        created_at=NOON,
        updated_at=NOON,
        status=status,
    )


@pytest.mark.parametrize("status", [S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED, S.ERROR])
async def test_an_end_wakes_all_who_wait_for_that_order_and_nobody_else(status: ExecutionStatus) -> None:
    endings = Endings(VirtualClock())
    waiting = [asyncio.create_task(endings.of(name, None)) for name in "aab"]
    await anyio.wait_all_tasks_blocked()
    for open_status in (S.PENDING, S.SUBMITTED, S.PARTIALLY_FILLED):
        endings.tell(order(open_status))
    await anyio.wait_all_tasks_blocked()
    assert not any(task.done() for task in waiting)
    endings.tell(order(status))
    assert [(await task).status for task in waiting[:2]] == [status, status]
    assert not waiting[2].done()
    waiting[2].cancel()
    await asyncio.wait(waiting)


async def test_a_time_out_is_by_the_clock_and_leaves_nothing_behind() -> None:
    clock = VirtualClock()
    endings = Endings(clock)
    for _ in range(3):
        waiting = asyncio.create_task(endings.of("a", 10))
        await clock.advance(0)
        await clock.advance(11)
        with pytest.raises(TimeoutError, match="within 10 s"):
            await waiting
    assert endings._waiters == {}
    endings.tell(order(S.FILLED))


async def test_who_stopped_waiting_is_forgotten_and_never_complained_about() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    endings = Endings(VirtualClock())
    with anyio.move_on_after(0.01):
        await endings.of("a", None)
    endings.abandon(ExecutionPipelineError("stopped"))
    gc.collect()
    await anyio.lowlevel.checkpoint()
    assert (complaints, endings._waiters) == ([], {})


async def test_the_end_of_the_pipeline_is_told_to_everybody() -> None:
    endings = Endings(VirtualClock())
    waiting = [asyncio.create_task(endings.of(name, 10)) for name in "ab"]
    await anyio.wait_all_tasks_blocked()
    endings.abandon(ExecutionPipelineError("stopped"))
    for task in waiting:
        with pytest.raises(ExecutionPipelineError, match="stopped"):
            await task


async def test_events_come_in_order_without_a_gap_and_end_with_the_journal() -> None:
    journal = MemoryJournal(VirtualClock())
    seen: list[int] = []

    async def listen() -> None:
        seen.extend([event.seq async for event in order_events(journal, 3)])

    async with anyio.create_task_group() as group, running(journal):
        group.start_soon(listen)
        for _ in range(2500):
            put(journal)
        await journal.reached(2500)
        put(journal)
    assert seen == list(range(3, 2502))


async def test_an_event_is_not_yielded_before_it_is_durable() -> None:
    disk = MoodyDisk(VirtualClock())
    async with running(disk):
        disk.shut_gate()
        put(disk)
        events = order_events(disk, 1)
        first = asyncio.ensure_future(anext(events))
        await anyio.wait_all_tasks_blocked()
        assert not first.done()
        disk.gate.set()
        assert (await first).seq == 1
        await events.aclose()
    await disk.open(nothing)
