"""What can be answered without a running router."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from router.domain.enums import ExecutionStatus
from router.domain.intent import OrderIntent
from router.execution.pipeline import ExecutionPipeline
from tests.cli.processes import Run


@pytest.mark.parametrize("status", list(ExecutionStatus))
def test_explain_tells_meaning_action_and_deadline(run: Run, status: ExecutionStatus) -> None:
    ended = run("explain", status.lower())

    assert ended.code == 0
    assert f" {status}: " in ended.out
    assert "action: " in ended.out
    assert "deadline: " in ended.out


def test_explain_speaks_german(run: Run) -> None:
    assert "Aktion: Log prüfen" in run("explain", "CANCELLED", "--lang", "de").out
    assert json.loads(run("explain", "INVALID", "--lang", "de", "--json").out)["sla_s"] == 900


def test_explain_without_status_tells_all_14(run: Run) -> None:
    text = run("explain").out
    assert all(status in text for status in ExecutionStatus)
    assert [entry["status"] for entry in json.loads(run("explain", "--json").out)] == list(ExecutionStatus)


def test_config_show_tells_values_and_where_they_are_from(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER__GATEWAY__PORT", "8123")
    text = run("config", "show", "--origin", "--config", config).out
    lines = {line.split(" ", 1)[0]: line for line in text.splitlines()}

    assert "= 8123   # env ROUTER__GATEWAY__PORT" in lines["gateway.port"]
    assert lines["market_data.source"].endswith('= "static"   # file')
    assert lines["paper.latency_ms"].endswith("= 0   # default")
    assert "#" not in run("config", "show", "--config", config).out.splitlines()[1]
    assert "planted-secret" not in text


def test_config_show_as_json(run: Run, config: Path) -> None:
    plain = json.loads(run("config", "show", "--json", "--config", config).out)
    assert plain["market_data"]["source"] == "static"
    both = json.loads(run("config", "show", "--json", "--origin", "--config", config).out)
    assert both["settings"] == plain
    assert both["origins"]["market_data.source"] == "file"


def test_config_schema_is_a_json_schema(run: Run) -> None:
    schema = json.loads(run("config", "schema").out)
    assert schema["$schema"].startswith("https://json-schema.org/")


class TestJournal:
    """The journal as a file."""

    def test_verify_a_whole_one(self, run: Run, config: Path) -> None:
        make_journal(config)
        ended = run("journal", "verify", "--config", config)
        report = json.loads(run("journal", "verify", "--config", config, "--json").out)

        assert ended.code == 0
        assert f"{report['events']} events" in ended.out
        assert report["events"] > 4
        assert report["ok"] is True

    def test_verify_names_the_first_event_that_does_not_hold(self, run: Run, config: Path) -> None:
        path = make_journal(config)
        with sqlite3.connect(path) as db:
            for trigger in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                db.execute(f"DROP TRIGGER {trigger[0]}")
            (seq,) = db.execute("SELECT min(seq) FROM events WHERE payload LIKE '%event_:_pending_,%'").fetchone()
            db.execute("UPDATE events SET payload = replace(payload, '0.01', '0.02') WHERE seq = ?", (seq,))
        db.close()
        ended = run("journal", "verify", "--journal", path)

        assert ended.code == 1
        assert f"event {seq}" in ended.err

    def test_verify_without_a_journal(self, run: Run, config: Path) -> None:
        ended = run("journal", "verify", "--config", config)

        assert ended.code == 1
        assert "journal.db" in ended.err

    def test_export_is_one_json_object_a_line(self, run: Run, config: Path) -> None:
        path = make_journal(config)
        ended = run("journal", "export", "--journal", path)
        events = [json.loads(line) for line in ended.out.splitlines()]

        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[-1]["event"] == "answered"


def make_journal(config: Path) -> Path:
    """Let a pipeline answer one intent."""

    async def answer() -> Path:
        async with ExecutionPipeline("paper", config) as pipeline:
            await pipeline.submit_order(OrderIntent(symbol="BTC/USD", side="buy", quantity="0.01"))
        return pipeline.journal_path

    return asyncio.run(answer())
