"""Start, run, stop: what breaks is told, what was taken is released, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from router import ExecutionPipeline, ExecutionPipelineError
from router.errors import MarketDataError
from router.journal.lock import HomeLock
from router.market.quotes import MarketData
from tests.pipelines import intent, move, resting, settings

pytestmark = pytest.mark.asyncio


class BrokenFeed:
    """Breaks at once, or when the gate opens."""

    def __init__(self, error: Exception, *, at_start: bool) -> None:
        self.gate = anyio.Event()
        self._error = error
        self._at_start = at_start

    async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
        if not self._at_start:
            ready()
            await self.gate.wait()
        raise self._error


def assert_free(home: Path) -> None:
    lock = HomeLock(home)
    lock.acquire()
    lock.release()


async def test_a_feed_that_cannot_start_refuses_the_start_and_releases_everything(tmp_path: Path) -> None:
    feed = BrokenFeed(MarketDataError("file.csv:3: bad price"), at_start=True)
    with pytest.raises(MarketDataError, match=r"file\.csv:3"):
        await ExecutionPipeline("paper", settings(tmp_path), feed=feed).__aenter__()
    assert_free(tmp_path)
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        assert (await pipeline.submit_order(intent())).is_success


async def test_a_feed_that_ends_later_turns_health_red_and_orders_keep_their_answers(tmp_path: Path) -> None:
    feed = BrokenFeed(MarketDataError("cut"), at_start=False)
    async with ExecutionPipeline("paper", settings(tmp_path), feed=feed) as pipeline:
        feed.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert pipeline.health()["feed"] == {"ok": False, "detail": "cut"}
        assert (await pipeline.submit_order(intent())).is_blocked_by_safety


async def test_a_part_that_breaks_ends_the_engine_and_everybody_is_told(tmp_path: Path) -> None:
    feed = BrokenFeed(ZeroDivisionError("bug"), at_start=False)
    pipeline = ExecutionPipeline("paper", settings(tmp_path), feed=feed)
    await pipeline.__aenter__()
    move(pipeline, "BTC/USD", "49999.5", "50000.5")
    rests = await pipeline.submit_order(resting())
    waiting = asyncio.create_task(pipeline.wait_for(rests.client_order_id or ""))
    await anyio.wait_all_tasks_blocked()
    feed.gate.set()
    with anyio.fail_after(5):
        with pytest.raises(ExecutionPipelineError):
            await waiting
        with pytest.raises(ExecutionPipelineError):
            await pipeline.submit_order(intent())
        with pytest.raises(ExecutionPipelineError):
            await pipeline.idle()
    assert not pipeline.health()["pipeline"]["ok"]
    with pytest.raises(ExceptionGroup, match="unhandled") as raised:
        await pipeline.__aexit__(None, None, None)
    assert raised.group_contains(ZeroDivisionError)
    assert_free(tmp_path)


async def test_a_pipeline_runs_once(tmp_path: Path) -> None:
    pipeline = ExecutionPipeline("paper", settings(tmp_path))
    async with pipeline:
        pass
    with pytest.raises(ExecutionPipelineError, match="runs once"):
        async with pipeline:
            pass
    async with ExecutionPipeline("paper", settings(tmp_path)):
        pass


async def test_it_may_be_left_from_another_task_than_it_was_entered(tmp_path: Path) -> None:
    pipeline = ExecutionPipeline("paper", settings(tmp_path))
    await asyncio.create_task(pipeline.__aenter__())
    assert (await pipeline.submit_order(intent())).is_success
    await asyncio.create_task(pipeline.__aexit__(None, None, None))
    assert_free(tmp_path)


async def test_an_error_in_the_body_stops_it_cleanly_and_passes(tmp_path: Path) -> None:
    async def body() -> None:
        async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
            await pipeline.submit_order(resting())
            raise KeyError

    with pytest.raises(KeyError):
        await body()
    assert_free(tmp_path)
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        assert len(pipeline.open_orders()) == 1


async def test_a_body_that_is_cancelled_loses_nothing_that_was_sent(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
            for _ in range(50):
                pipeline.intents.send_nowait(resting())
            scope.cancel()
            await anyio.sleep_forever()
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        assert len(pipeline.open_orders()) == 50
