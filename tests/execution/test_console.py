"""What operators look at is what the journal holds, and an environment without an account says so."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from router import ExecutionPipeline
from router.clock import VirtualClock
from router.errors import ExecutionPipelineError
from router.journal.memory import MemoryJournal
from tests.pipelines import intent, resting, settings

pytestmark = pytest.mark.asyncio


async def test_it_shows_orders_positions_and_what_is_stopped(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with ExecutionPipeline("paper", settings(tmp_path), clock=clock, journal=MemoryJournal(clock)) as pipeline:
        filled = await pipeline.submit_order(intent())
        rests = await pipeline.submit_order(resting())
        assert [order.client_order_id for order in pipeline.open_orders()] == [rests.client_order_id]
        recent = [order.client_order_id for order in pipeline.recent_orders()]
        assert recent == [rests.client_order_id, filled.client_order_id]
        assert pipeline.positions()["BTC/USD"].quantity == Decimal("0.01")
        assert pipeline.fees() == {}
        assert pipeline.risk_snapshot().equity > 0
        assert pipeline.risk_report()["environments"]["paper"] == pipeline.risk_snapshot()
        assert pipeline.health()["pipeline"]["ok"]
        halt = (await pipeline.halt("symbol", "BTC/USD", operator="anna", reason="r")).halt
        closure = (await pipeline.close_session("shadow", operator="anna", reason="r")).closure
        assert (pipeline.halts(), pipeline.closed_sessions()) == ([halt], [closure])


async def test_an_environment_without_an_executor_has_no_account_to_show(tmp_path: Path) -> None:
    pipeline = ExecutionPipeline("live", settings(tmp_path))
    assert pipeline.risk_report()["environments"].keys() == {"paper", "shadow"}
    for look in (pipeline.positions, pipeline.fees, pipeline.risk_snapshot):
        with pytest.raises(ExecutionPipelineError, match="live has no account"):
            look()
