"""``router bench recovery`` measures real starts on a real journal and states the bound."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from router.cli import bench_recovery as bench
from router.cli.common import CommandError
from router.domain.events import Checkpoint, decode_event
from router.execution.engine import CHECKPOINT_EVERY
from router.journal.audit import export, verify


@pytest.fixture(scope="module")
def report() -> bench.Report:
    return bench.run(2000)


def test_each_start_replays_what_it_must(report: bench.Report) -> None:
    killed, stopped, full = report.starts
    assert (report.checkpoints, report.interval) == (1, CHECKPOINT_EVERY)
    assert 900 < killed.replayed <= 1000
    assert killed.replayed <= stopped.replayed < 1100  # too little for a stop to take one
    assert full.replayed >= report.events
    assert all(start.seconds > 0 and start.peak_mb >= start.before_mb > 0 for start in report.starts)
    assert report.bound_s > killed.seconds


def test_some_orders_stay_open_and_are_in_the_checkpoint(report: bench.Report) -> None:
    assert 10 <= report.open_orders <= 20
    assert 0 < report.stored_mb < report.state_mb


def test_the_table_states_the_bound(report: bench.Report) -> None:
    text = bench.table(report)
    assert all(start.name in text for start in report.starts)
    assert f"at most {CHECKPOINT_EVERY:,} events are replayed" in text
    assert "ms pause on the loop" in text
    assert msgspec.json.decode(msgspec.json.encode(report), type=bench.Report) == report


def test_the_journal_is_one_that_holds_and_has_orders_of_every_kind(tmp_path: Path) -> None:
    builder = bench.Builder(tmp_path, 20)
    asyncio.run(builder.fill(2000))
    path = tmp_path / "journal.db"
    assert 2000 <= verify(path).events < 2010
    events = [decode_event(line) for line in export(path)]
    assert sum(isinstance(event, Checkpoint) for event in events) == builder.checkpoints == 1
    kinds = {event.event for event in events}
    assert {"pending", "submitted", "filled", "partially_filled", "cancelled", "trade_busted", "answered"} <= kinds
    assert not kinds & {"report_quarantined", "alert_raised"}


def test_too_few_events_are_a_usage_error() -> None:
    with pytest.raises(CommandError, match="--events"):
        bench.bench_recovery(events=10)
