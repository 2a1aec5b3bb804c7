"""What the composed pipeline adds to its parts: configuration, views, health. Its promises are in the root's tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio
import pytest

from router import ExecutionPipeline, ExecutionStatus
from router.clock import VirtualClock
from router.errors import ConfigError
from router.journal.memory import MemoryJournal
from tests.execution.world import CONFIG
from tests.pipelines import intent, kinds, resting, settings

pytestmark = pytest.mark.asyncio
S = ExecutionStatus


async def test_a_missing_limit_refuses_to_start_and_makes_nothing(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    file = tmp_path / "risk_limits.toml"
    file.write_text(file.read_text().replace('max_exposure = "1.0"\n', ""))
    with pytest.raises(ConfigError, match="max_exposure missing"):
        ExecutionPipeline("paper", configured)
    assert not (tmp_path / "journal.db").exists()
    assert not (tmp_path / "journal.lock").exists()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the shipped configuration with a home of its own."""
    copy = Path(shutil.copytree(CONFIG, tmp_path / "config")) / "config.toml"
    copy.write_text(copy.read_text().replace('home = "var"', f'home = "{tmp_path}/home"'))
    return copy


async def test_the_configuration_may_be_a_file(tmp_path: Path, config: Path) -> None:
    async with ExecutionPipeline(config=str(config), clock=VirtualClock()) as pipeline:
        assert pipeline.env == "paper"
        assert (await pipeline.submit_order(intent(quantity="0.001"))).is_success
    assert (tmp_path / "home" / "journal.db").is_file()


async def test_a_memory_journal_leaves_no_file(tmp_path: Path) -> None:
    journal = MemoryJournal(VirtualClock())
    async with ExecutionPipeline("paper", settings(tmp_path), journal=journal) as pipeline:
        assert (await pipeline.submit_order(intent())).is_success
    assert not (tmp_path / "journal.db").exists()
    assert len(journal.rows) == 7


async def test_a_story_is_all_the_journal_holds_of_one_submission(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        await pipeline.submit_order(intent())
        result = await pipeline.submit_order(resting())
        assert result.client_order_id is not None
        assert kinds(await pipeline.story(result.client_order_id)) == ["pending", "submitted", "answered"]  # type: ignore[arg-type]
        assert await pipeline.story("nobody") == []


async def test_recent_orders_are_open_ones_and_ended_ones_newest_first(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        made = [await pipeline.submit_order(each()) for each in (intent, resting, intent, resting)]
        ids = [result.client_order_id for result in made]
        assert [order.client_order_id for order in pipeline.recent_orders()] == [ids[3], ids[1], ids[2], ids[0]]


async def test_health_names_what_is_red(tmp_path: Path) -> None:
    pipeline = ExecutionPipeline("paper", settings(tmp_path))
    assert {name for name, check in pipeline.health().items() if not check["ok"]} >= {"pipeline", "lock", "feed"}
    async with pipeline:
        assert all(check["ok"] for check in pipeline.health().values()), pipeline.health()
        assert {"pipeline", "journal", "lock", "feed", "intake"} <= set(pipeline.health())
    assert not pipeline.health()["pipeline"]["ok"]


async def test_fees_are_counted_by_currency(tmp_path: Path) -> None:
    fees = {"paper.taker_fee_bps": "10", "paper.maker_fee_bps": "10"}
    async with ExecutionPipeline("paper", settings(tmp_path, fees)) as pipeline:
        await pipeline.submit_order(intent())
        await pipeline.submit_order(intent(symbol="BTC/USDT"))
        assert {name: str(amount.normalize()) for name, amount in pipeline.fees().items()} == {
            "USD": "0.500005",
            "USDT": "0.500005",
        }


async def test_a_cancel_that_meets_its_order_on_the_way_ends_it(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        results: list[ExecutionStatus] = []

        async def submit() -> None:
            results.append((await pipeline.submit_order(resting(intent_id="x"))).status)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(submit)
                cancelled: list[str] = []
                while not cancelled:
                    await anyio.lowlevel.checkpoint()
                    cancelled = await pipeline.cancel_all()
        order = pipeline.order(cancelled[0])
        assert order is not None
        assert (results, order.status, pipeline.open_orders()) == ([S.SUCCESS], S.CANCELLED, [])


async def test_who_stops_waiting_for_an_answer_stops_nothing(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await pipeline.submit_order(resting(intent_id="x"))
        await pipeline.idle()
        assert (await pipeline.submit_order(resting(intent_id="x"))).is_success
        assert len(pipeline.open_orders()) == 1
