"""One log line an event, and an order's lines alone tell its story."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from router import ExecutionPipeline
from tests.pipelines import intent, resting, settings, stored


def lines(caplog: pytest.LogCaptureFixture, run_id: str) -> list[tuple[str, dict[str, Any]]]:
    found = [(record.levelname, vars(record)["router"]) for record in caplog.records if hasattr(record, "router")]
    return [(level, fields) for level, fields in found if fields.get("run_id") == run_id]


@pytest.mark.asyncio
async def test_an_orders_lines_tell_its_story_in_journal_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "router")
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(resting())
        assert result.client_order_id is not None
        await pipeline.cancel_order(result.client_order_id, reason="no more")
    found = lines(caplog, result.run_id)
    assert [fields["event"] for _, fields in found] == [
        "pending",
        "submitted",
        "answered",
        "pending_cancel",
        "cancelled",
    ]
    assert [fields["seq"] for _, fields in found] == [event.seq for event in stored(tmp_path)[3:]]
    for _, fields in found:
        assert (fields["env"], fields["symbol"], fields["strategy_key"]) == ("paper", "BTC/USD", "test")
        assert fields["client_order_id"] == result.client_order_id
    assert {fields["reason"] for _, fields in found[3:]} == {"no more"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fields", "level", "stage"),
    [
        ({"quantity": 0}, "WARNING", "validation"),
        ({"environment": "mars"}, "WARNING", "governance"),
        ({"environment": "live"}, "INFO", "governance"),
        ({"quantity": 100}, "WARNING", "risk"),
        ({"symbol": "ETH/EUR"}, "WARNING", "safety"),
        ({}, "INFO", "executor"),
    ],
)
async def test_an_answer_names_the_stage_that_gave_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fields: dict[str, Any], level: str, stage: str
) -> None:
    caplog.set_level(logging.INFO, "router")
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(intent(**fields), raise_on_governance_violation=False)
    found, line = lines(caplog, result.run_id)[-1]
    assert (line["event"], line["status"], line["stage"], found) == ("answered", result.status, stage, level)
