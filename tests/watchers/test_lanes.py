"""Look-ups: in batches, the most urgent first, inside the budget; an answer that fails or hangs stops nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio
import pytest

from router.clock import VirtualClock
from router.domain.order import Order
from router.logs import get_logger
from router.watchers.lanes import Lane
from tests.factories import order

pytestmark = pytest.mark.asyncio
ORDERS = {name: order(client_order_id=name) for name in "abcdefgh"}


class Source:
    environment = "paper"
    settle_s = 0.0

    def __init__(self, clock: VirtualClock, *, batch: int = 2, per_s: float | None = None, remote: bool = True) -> None:
        self.look_up_batch, self.look_ups_per_s, self.remote = batch, per_s, remote
        self.calls: list[tuple[float, str]] = []
        self.fails: list[Exception | None] = []
        self._clock = clock

    async def look_up(self, orders: Sequence[Order]) -> None:
        self.calls.append((self._clock.monotonic(), "".join(each.client_order_id for each in orders)))
        failure = self.fails.pop(0) if self.fails else None
        if isinstance(failure, TimeoutError):
            await anyio.sleep_forever()
        if failure is not None:
            raise failure


def lane(clock: VirtualClock, source: Source, failed: list[str] | None = None) -> tuple[Lane, list[str]]:
    looked: list[str] = []
    unanswered: list[str] = [] if failed is None else failed
    made = Lane(
        source,
        clock,
        get_logger(),
        ORDERS.get,
        lambda orders, _: looked.append("".join(each.client_order_id for each in orders)),
        lambda orders: unanswered.extend(each.client_order_id for each in orders),
    )
    return made, looked


async def test_the_most_urgent_go_first_and_whoever_is_asked_for_twice_goes_once() -> None:
    clock = VirtualClock()
    source = Source(clock)
    made, looked = lane(clock, source)
    for name, until in (("a", 9.0), ("b", 3.0), ("gone", 1.0), ("c", 5.0), ("b", 1.0)):
        made.want(name, until)
    assert [made.busy, made.room] == [True, 0]
    async with anyio.create_task_group() as group:
        group.start_soon(made.run)
        await clock.advance(0)
        assert looked == ["bc", "a"]
        assert [made.busy, made.room] == [False, 0]
        made.want("a", 1.0)
        assert [made.busy, made.room] == [True, 1]
        await clock.advance(0)
        assert looked == ["bc", "a", "a"]
        made.want("gone", 1.0)
        await clock.advance(0)
        assert looked == ["bc", "a", "a"], "nothing is asked about orders that have ended"
        group.cancel_scope.cancel()


async def test_the_budget_is_kept_and_says_how_long_a_crowd_takes() -> None:
    clock = VirtualClock()
    source = Source(clock, per_s=0.5)
    made, _ = lane(clock, source)
    assert made.clears_in(10) == 10.0
    assert lane(clock, Source(clock))[0].clears_in(10) == 0.0
    for name in "abcdef":
        made.want(name, 1.0)
    async with anyio.create_task_group() as group:
        group.start_soon(made.run)
        await clock.advance(10)
        assert source.calls == [(0.0, "ab"), (2.0, "cd"), (4.0, "ef")]
        made.want("a", 1.0)  # the budget does not save up
        await clock.advance(0)
        made.want("b", 1.0)
        await clock.advance(5)
        assert source.calls[3:] == [(10.0, "a"), (12.0, "b")]
        group.cancel_scope.cancel()


@pytest.mark.parametrize("remote", [True, False])
async def test_a_look_up_that_fails_is_logged_and_the_next_goes_on(
    remote: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    source = Source(clock, batch=1, remote=remote)
    source.fails = [ConnectionError("cut")]
    failed: list[str] = []
    made, looked = lane(clock, source, failed)
    made.want("a", 1.0)
    made.want("b", 2.0)
    async with anyio.create_task_group() as group:
        group.start_soon(made.run)
        with caplog.at_level(logging.WARNING):
            await clock.advance(0)
        assert "look_up_failed" in caplog.text
        assert "ConnectionError: cut" in caplog.text
        assert looked == ["b"], "nothing is concluded from a look-up that failed"
        assert failed == ["a"]
        group.cancel_scope.cancel()


async def test_a_look_up_that_hangs_is_given_up_after_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    source = Source(clock, batch=1)
    source.fails = [TimeoutError()]
    made, looked = lane(clock, source)
    made.want("a", 1.0)
    made.want("b", 2.0)
    async with anyio.create_task_group() as group:
        group.start_soon(made.run)
        await clock.advance(9.9)
        assert looked == []
        await clock.advance(0.1)
        assert [names for _, names in source.calls] == ["a", "b"]
        assert looked == ["b"]
        assert "no answer within 10 s" in caplog.text
        group.cancel_scope.cancel()
