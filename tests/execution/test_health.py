"""Each check can be red, and says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from router import ExecutionPipeline
from router.clock import VirtualClock
from router.market.quotes import MarketData
from tests.factories import quote
from tests.journal.events import MoodyDisk
from tests.pipelines import intent, resting, settings


@pytest.mark.asyncio
async def test_every_check_is_green_while_it_runs_and_names_its_trouble_when_it_does_not(tmp_path: Path) -> None:
    clock = VirtualClock()
    disk = MoodyDisk(clock)
    configured = settings(tmp_path, {"execution.intake_capacity": 1})
    async with ExecutionPipeline("paper", configured, clock=clock, journal=disk) as pipeline:
        assert {name for name, check in pipeline.health().items() if not check["ok"]} == set()
        disk.full = True
        await pipeline.submit_order(resting())
        for _ in range(2):  # one is taken at once, one waits
            pipeline.intents.send_nowait(intent())
        red = {name: check["detail"] for name, check in pipeline.health().items() if not check["ok"]}
        assert red == {"journal": "disk full", "intake": "1 intents waiting"}
        disk.full = False
    stopped = pipeline.health()
    assert (stopped["pipeline"]["detail"], stopped["lock"]["detail"]) == ("not running", "not held")
    assert not stopped["pipeline"]["ok"]


class NoFeed:
    """A feed that never says anything."""

    async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
        ready()


@pytest.mark.asyncio
async def test_without_quotes_the_feed_is_red(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path), feed=NoFeed()) as pipeline:
        assert pipeline.health()["feed"] == {"ok": False, "detail": "no symbol is quoted"}


@pytest.mark.asyncio
async def test_a_feed_that_has_fallen_silent_is_red_as_soon_as_its_quotes_block_orders(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with ExecutionPipeline("paper", settings(tmp_path), clock=clock, feed=OneQuote()) as pipeline:
        assert pipeline.health()["feed"]["ok"]
        await clock.advance(5.1)
        assert pipeline.health()["feed"] == {"ok": False, "detail": "1 symbols quoted, the oldest 5.1 s ago"}
        assert (await pipeline.submit_order(intent())).is_blocked_by_safety


class OneQuote:
    """A feed that says one thing and ends, as a recording does."""

    async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
        market.apply(quote("49999", "50001"))
        ready()
