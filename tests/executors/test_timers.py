"""Two heaps of what is due, in the order of its time."""

from __future__ import annotations

import anyio
import pytest

from router.clock import VirtualClock
from router.executors.resting import OpenOrder
from router.executors.timers import Timers
from tests.executors.venue import BUY, Venue


@pytest.mark.asyncio
async def test_requests_arrive_after_the_latency_first_come_first_served() -> None:
    clock = VirtualClock()
    timers = Timers(clock, 0.5, lambda _: None)
    arrived: list[str] = []
    timers.travel(arrived.append, "a")
    timers.travel(arrived.append, "b")
    await clock.advance(0.25)
    timers.travel(arrived.append, "c")
    timers.process()
    assert arrived == []
    await clock.advance(0.25)
    timers.process()
    assert arrived == ["a", "b"]
    await clock.advance(0.25)
    timers.process()
    assert arrived == ["a", "b", "c"]


def test_only_open_orders_expire() -> None:
    venue = Venue()
    expired: list[OpenOrder] = []
    timers = Timers(venue.clock, 0, expired.append)
    orders = [OpenOrder(venue.order(BUY, 1, 100)) for _ in range(3)]
    for order in orders:
        timers.expire_at(venue.clock.now(), order)
    orders[1].leaves_quantity -= 1
    timers.process()
    assert expired == [orders[0], orders[2]]


@pytest.mark.asyncio
async def test_waiting_ends_when_the_first_is_due_and_when_an_earlier_one_comes() -> None:
    clock = VirtualClock()
    timers = Timers(clock, 2, lambda _: None)
    woken: list[float] = []

    async def wait() -> None:
        while True:
            await timers.wait()
            woken.append(clock.monotonic())
            timers.process()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await clock.advance(1)
        timers.travel(lambda: None)
        await clock.advance(0)
        await clock.advance(3)
        group.cancel_scope.cancel()
    assert woken == [1, 3]
