"""Virtual time: sleepers wake in the order of their time, and only when it has come."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.clock import Clock, SystemClock, VirtualClock
from tests.factories import NOW, PROPERTY

durations = st.floats(0, 1e6, allow_nan=False)


async def sleepers(clock: VirtualClock, naps: list[float], steps: list[float]) -> list[tuple[int, float]]:
    """Let one task a nap sleep, advance by ``steps``, and return who woke when."""
    woken: list[tuple[int, float]] = []

    async def nap(number: int, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((number, clock.monotonic()))

    async with anyio.create_task_group() as group:
        for number, seconds in enumerate(naps):
            group.start_soon(nap, number, seconds)
        await clock.advance(0)
        for step in steps:
            await clock.advance(step)
        group.cancel_scope.cancel()
    return woken


@settings(PROPERTY, max_examples=50)
@given(st.lists(durations, max_size=8), st.lists(durations, max_size=3))
def test_sleepers_wake_in_the_order_of_their_time_and_never_early(naps: list[float], steps: list[float]) -> None:
    clock = VirtualClock()
    woken = asyncio.run(sleepers(clock, naps, steps))
    assert clock.monotonic() == sum(steps, 0.0)
    assert [when for _, when in woken] == sorted(when for _, when in woken)
    assert all(when == max(naps[number], 0.0) for number, when in woken)
    assert {number for number, _ in woken} == {n for n, seconds in enumerate(naps) if seconds <= clock.monotonic()}


@pytest.mark.asyncio
async def test_a_sleep_longer_than_the_advance_stays_asleep() -> None:
    assert await sleepers(VirtualClock(), [5.0, 1.0], [4.999]) == [(1, 1.0)]
    assert await sleepers(VirtualClock(), [5.0], [4.999, 0.001]) == [(0, 5.0)]


@pytest.mark.asyncio
async def test_sleepers_of_the_same_moment_wake_first_come_first_served() -> None:
    assert await sleepers(VirtualClock(), [1.0] * 20, [1.0]) == [(number, 1.0) for number in range(20)]


@pytest.mark.asyncio
async def test_who_sleeps_again_inside_the_same_advance_wakes_at_each_moment() -> None:
    clock = VirtualClock()
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await clock.sleep(10)
            ticks.append(clock.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await clock.advance(0)
        await clock.advance(35)
        group.cancel_scope.cancel()
    assert ticks == [10.0, 20.0, 30.0]
    assert clock.monotonic() == 35.0


@pytest.mark.asyncio
async def test_a_cancelled_sleeper_disturbs_nobody() -> None:
    clock = VirtualClock()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await clock.sleep(1)
    assert await sleepers(clock, [1.0], [2.0]) == [(0, 1.0)]


@pytest.mark.asyncio
@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_is_slept_at_once(seconds: float) -> None:
    clock = VirtualClock()
    await clock.sleep(seconds)
    assert clock.monotonic() == 0


@pytest.mark.asyncio
async def test_the_wall_clock_moves_with_it() -> None:
    clock = VirtualClock(NOW)
    assert clock.now() == NOW
    await clock.advance(86400.5)
    assert clock.now() == NOW + timedelta(days=1, seconds=0.5)


@pytest.mark.asyncio
async def test_the_wall_clock_can_be_set_wrong_and_no_sleeper_notices() -> None:
    clock = VirtualClock(NOW)
    clock.jump(86400)
    assert (clock.now(), clock.monotonic()) == (NOW + timedelta(days=1), 0)
    assert await sleepers(clock, [5.0, 1.0], [2.0]) == [(1, 1.0)]
    clock.jump(-2 * 86400)
    assert (clock.now(), clock.monotonic()) == (NOW + timedelta(days=-1, seconds=2), 2)


@pytest.mark.asyncio
@pytest.mark.parametrize("clock", [SystemClock(), VirtualClock()], ids=["system", "virtual"])
async def test_holding_a_clock_that_no_loop_moves_changes_nothing(clock: Clock) -> None:
    with clock.hold(), clock.hold():
        await clock.sleep(0)


def test_it_starts_at_a_fixed_moment() -> None:
    assert VirtualClock().now() == datetime(2025, 1, 1, tzinfo=UTC)
    assert VirtualClock().monotonic() == 0


def test_now_is_in_utc_wherever_the_start_was_written() -> None:
    """The UTC day, and with it the daily loss limit, hangs on it."""
    tokyo = datetime(2025, 1, 1, 3, tzinfo=timezone(timedelta(hours=9)))
    assert VirtualClock(tokyo).now().isoformat() == "2024-12-31T18:00:00+00:00"


@pytest.mark.asyncio
async def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        await VirtualClock().advance(-1)


@pytest.mark.asyncio
async def test_the_machines_clock_is_aware_and_never_goes_backwards() -> None:
    clock: Clock = SystemClock()
    before, wall = clock.monotonic(), clock.now()
    await clock.sleep(0)
    assert clock.monotonic() >= before
    assert wall.utcoffset() == timedelta(0)
