"""The venue's budget is never overspent, and what matters goes first."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clock import VirtualClock
from router.executors.testnet.limiter import Budget, BusyError, Limiter, Priority
from tests.factories import PROPERTY

P = Priority
BUDGET = Budget(weight_per_s=10, burst=20, reserve=5, orders_per_s=2, orders_burst=3, window_weight=600)


class Counting(VirtualClock):
    """Counts how often somebody slept."""

    sleeps = 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        await super().sleep(seconds)


def start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(coroutine)


def at_once(limiter: Limiter, priority: Priority, cost: float) -> bool:
    """Return whether it is this one's turn without giving the loop one."""
    coroutine = limiter.take(priority, cost, within_s=0)
    try:
        coroutine.send(None)
    except StopIteration:
        return True
    except BusyError:
        return False
    raise AssertionError("it waits")


def test_a_free_turn_costs_no_task_switch() -> None:
    limiter = Limiter(BUDGET, VirtualClock())
    assert at_once(limiter, P.POLL, 15)
    assert not at_once(limiter, P.POLL, 1)


def test_only_a_cancel_may_spend_the_reserve() -> None:
    limiter = Limiter(BUDGET, VirtualClock())
    assert at_once(limiter, P.POLL, 15)
    for priority in (P.POLL, P.CREATE, P.LOOK_UP):
        assert not at_once(limiter, priority, 1)
    assert at_once(limiter, P.CANCEL, 5)
    assert not at_once(limiter, P.CANCEL, 1)


@pytest.mark.asyncio
async def test_a_cancel_behind_ten_thousand_polls_goes_next() -> None:
    clock = VirtualClock()
    limiter = Limiter(BUDGET, clock)
    polls = [start(limiter.take(P.POLL, 1)) for _ in range(10_000)]
    await clock.advance(0)
    assert at_once(limiter, P.CANCEL, 5)  # the reserve is there for it
    cancel = start(limiter.take(P.CANCEL, 1))
    await clock.advance(0)
    done = sum(each.done() for each in polls)
    await clock.advance(0.1)
    assert cancel.done()
    assert sum(each.done() for each in polls) == done
    await clock.advance(1.0)
    assert sum(each.done() for each in polls) > done
    for each in polls:
        each.cancel()
    await asyncio.gather(*polls, return_exceptions=True)


@pytest.mark.asyncio
async def test_each_priority_goes_before_the_next_and_inside_of_it_the_first_comes_first() -> None:
    clock = VirtualClock()
    limiter = Limiter(BUDGET, clock)
    await limiter.take(P.CANCEL, 20)
    went: list[str] = []

    async def go(name: str, priority: Priority) -> None:
        await limiter.take(priority, 1)
        went.append(name)

    tasks = [start(go(f"{priority.name} {number}", priority)) for number in (1, 2) for priority in reversed(P)]
    await clock.advance(10)
    assert went == [f"{priority.name} {number}" for priority in P for number in (1, 2)]
    await asyncio.gather(*tasks)


@pytest.mark.asyncio
async def test_a_poll_passes_orders_that_wait_for_their_count_but_takes_nothing_they_will_need() -> None:
    clock = VirtualClock()
    limiter = Limiter(BUDGET, clock)
    for _ in range(3):
        await limiter.take(P.CREATE, 1)
    order = start(limiter.take(P.CREATE, 3))
    await clock.advance(0)
    assert not order.done()
    assert at_once(limiter, P.POLL, 9)  # 17 - 9 leaves the order's 3 and the reserve of 5
    assert not at_once(limiter, P.POLL, 1)
    await clock.advance(0.5)
    assert order.done()


@pytest.mark.asyncio
async def test_orders_have_a_count_of_their_own() -> None:
    clock = VirtualClock()
    limiter = Limiter(BUDGET, clock)
    orders = [start(limiter.take(P.CREATE, 1)) for _ in range(6)]
    counts: list[int] = []
    for _ in range(4):
        await clock.advance(0.5 if counts else 0)
        counts.append(sum(each.done() for each in orders))
    assert counts == [3, 4, 5, 6]


@pytest.mark.asyncio
async def test_a_waiter_that_is_cancelled_leaves_no_hole() -> None:
    clock = VirtualClock()
    limiter = Limiter(BUDGET, clock)
    await limiter.take(P.CANCEL, 20)
    gone = [start(limiter.take(P.LOOK_UP, 10)), start(limiter.take(P.CREATE, 15))]
    last = start(limiter.take(P.POLL, 1))
    await clock.advance(0.5)
    for each in gone:
        each.cancel()
    await clock.advance(0.05)
    assert not last.done()
    await clock.advance(0.05)
    assert last.done(), "6 have flowed in: 1 and the reserve"
    assert all(each.cancelled() for each in gone)
    await clock.advance(2)
    assert at_once(limiter, P.CANCEL, 20), "nothing was paid for those who left"


@pytest.mark.asyncio
async def test_nobody_looks_again_before_something_has_changed_for_it() -> None:
    clock = Counting()
    limiter = Limiter(BUDGET, clock)
    await limiter.take(P.CANCEL, 20)
    tasks = [start(limiter.take(P.POLL, 1)) for _ in range(100)]
    await clock.advance(100)
    await asyncio.gather(*tasks)
    assert clock.sleeps == 100


@pytest.mark.asyncio
async def test_whoever_would_wait_too_long_is_told_at_once_how_long() -> None:
    clock = VirtualClock()
    limiter = Limiter(BUDGET, clock)
    await limiter.take(P.CANCEL, 20)
    first = start(limiter.take(P.LOOK_UP, 15, within_s=2))  # the reserve of 5 and 15: just in time
    await clock.advance(0)
    with pytest.raises(BusyError, match=r"after 2\.10 s"):
        await limiter.take(P.LOOK_UP, 1, within_s=2)
    with pytest.raises(BusyError, match=r"its turn would have come after 3\.00 s, and it waits 2\.9 s at most"):
        await limiter.take(P.POLL, 10, within_s=2.9)
    await clock.advance(2)
    await first
    for _ in range(3):
        await limiter.take(P.CREATE, 0)
    with pytest.raises(BusyError, match=r"after 0\.50 s"):
        await limiter.take(P.CREATE, 0, within_s=0.4)
    order = start(limiter.take(P.CREATE, 0))
    await clock.advance(0)
    with pytest.raises(BusyError, match=r"after 1\.00 s"):
        await limiter.take(P.CREATE, 0, within_s=0.9)
    await clock.advance(0.5)
    await order


@pytest.mark.asyncio
async def test_whoever_is_overtaken_for_too_long_gives_up_in_time() -> None:
    clock = VirtualClock()
    limiter = Limiter(BUDGET, clock)
    await limiter.take(P.CANCEL, 20)
    poll = start(limiter.take(P.POLL, 10, within_s=2))
    behind = start(limiter.take(P.POLL, 1, within_s=2))
    await clock.advance(1)
    await limiter.take(P.CANCEL, 10)
    await clock.advance(0.999)
    assert not poll.done()
    await clock.advance(0.001)
    for each in (poll, behind):
        assert "Nothing was sent" in str(each.exception())
    await clock.advance(2)
    assert at_once(limiter, P.CANCEL, 20)


@pytest.mark.asyncio
async def test_the_venues_own_count_is_believed_when_it_leaves_less() -> None:
    clock = VirtualClock()
    limiter = Limiter(BUDGET, clock)
    limiter.drain(100)
    assert at_once(limiter, P.CANCEL, 20), "500 are left, which is more than we ever spend at once"
    await clock.advance(2)
    limiter.drain(590)
    assert not at_once(limiter, P.CANCEL, 11)
    assert at_once(limiter, P.CANCEL, 10)
    limiter.drain(700)
    task = start(limiter.take(P.CANCEL, 1))
    await clock.advance(0.1)
    assert task.done(), "more than the whole window is no debt: the window ends, and a ban is not our business"


@pytest.mark.parametrize(
    ("priority", "cost"), [(P.POLL, 15.1), (P.CANCEL, 20.1), (P.CANCEL, -1), (P.CANCEL, float("nan"))]
)
def test_a_cost_that_no_wait_could_pay_is_refused(priority: Priority, cost: float) -> None:
    with pytest.raises(ValueError, match="never fits"):
        at_once(Limiter(BUDGET, VirtualClock()), priority, cost)


# -- any schedule --------------------------------------------------------------------------------------------------

REQUEST = st.tuples(
    st.floats(0, 1.5),  # after the one before
    st.sampled_from(P),
    st.integers(1, 15),
    st.none() | st.floats(0, 4),  # patience
    st.none() | st.floats(0, 2),  # cancelled from outside after
)
Granted = tuple[float, Priority, int, int]


async def play(requests: Sequence[tuple[float, Priority, int, float | None, float | None]]) -> list[Granted]:
    """Return when which request went: (moment, priority, its number, cost)."""
    clock = VirtualClock()
    limiter = Limiter(BUDGET, clock)
    granted: list[Granted] = []
    waiting: dict[int, Priority] = {}

    async def ask(number: int, priority: Priority, cost: int, patience_s: float | None) -> None:
        waiting[number] = priority
        asked_at = clock.monotonic()
        try:
            await limiter.take(priority, cost, within_s=patience_s)
        except BusyError:
            assert patience_s is not None
            assert clock.monotonic() <= asked_at + patience_s + 1e-5
        else:
            ahead = {other for other in waiting.values() if other < priority}
            assert ahead <= {P.CREATE}, "an order may wait for its count; nobody else is overtaken"
            assert patience_s is None or clock.monotonic() <= asked_at + patience_s + 1e-5
            granted.append((clock.monotonic(), priority, number, cost))
        finally:
            del waiting[number]

    async def leave(task: asyncio.Task[None], after_s: float) -> None:
        await clock.sleep(after_s)
        task.cancel()

    tasks = []
    for number, (gap, priority, cost, patience_s, leaves_after) in enumerate(requests):
        await clock.advance(gap)
        tasks.append(start(ask(number, priority, cost, patience_s)))
        if leaves_after is not None:
            tasks.append(start(leave(tasks[-1], leaves_after)))
    await clock.advance(1000)
    assert not waiting, "everybody had a turn, gave up or left"
    await asyncio.gather(*tasks, return_exceptions=True)
    failures = [each.exception() for each in tasks if not each.cancelled()]
    assert failures == [None] * len(failures)
    assert at_once(limiter, P.CANCEL, BUDGET.burst), "the bucket is full again"
    return granted


@PROPERTY
@given(requests=st.lists(REQUEST, max_size=25))
def test_over_any_schedule_the_budget_holds_and_the_first_of_a_priority_comes_first(requests: Any) -> None:
    granted = asyncio.run(play(requests))
    for begin in range(len(granted)):
        spent, kept, orders = 0.0, 0.0, 0
        for at, priority, _, cost in granted[begin:]:
            passed = at - granted[begin][0]
            spent += cost
            kept += 0 if priority is P.CANCEL else cost
            orders += priority is P.CREATE
            assert spent <= BUDGET.burst + BUDGET.weight_per_s * passed + 1e-3
            assert kept <= BUDGET.burst - BUDGET.reserve + BUDGET.weight_per_s * passed + 1e-3
            assert orders <= BUDGET.orders_burst + BUDGET.orders_per_s * passed + 1e-3
    for priority in P:
        numbers = [number for _, its, number, _ in granted if its is priority]
        assert numbers == sorted(numbers)
