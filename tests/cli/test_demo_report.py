"""What the demo shows, when all is well and when it is not."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from router.cli.demo_report import Report, progress, show


def report(**changes: Any) -> Report:
    fields: dict[str, Any] = {
        "intents": 3,
        "seconds": 1.5,
        "answers": {"INVALID": 1, "SUCCESS": 2},
        "orders": {"FILLED": 2},
        "fees": {"USD": Decimal("1.2345")},
        "pnl": Decimal("-1.239"),
        "currency": "USD",
        "latency_p50_ms": 1.234,
        "latency_p99_ms": None,
        "journal": "home/journal.db",
        "log": "home/logs/execution_20251209.log",
        "events": 9,
    }
    return Report(**{**fields, **changes})


def test_a_clean_run(capsys: pytest.CaptureFixture[str]) -> None:
    show(report(), as_json=False)
    text = capsys.readouterr().out

    assert text.index("SUCCESS") < text.index("INVALID"), "in the runbook's order"
    assert "3 intents in 1.5 s (2/s)" in text
    assert "fees 1.23 USD · PnL -1.24 USD" in text
    assert "p50 1.23 ms, p99 –" in text
    assert "✅ journal verified: 9 events" in text
    assert "continued" not in text


def test_a_run_with_problems_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    show(report(problems=["demo-1-2 has 2"], earlier=5, fees={}), as_json=False)
    text = capsys.readouterr().out

    assert "🚨" in text
    assert "demo-1-2 has 2" in text
    assert "✅ journal" not in text
    assert "continued: 5 intents" in text
    assert "fees none" in text


def test_json_says_whether_it_is_ok(capsys: pytest.CaptureFixture[str]) -> None:
    show(report(problems=["x"]), as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert document["ok"] is False
    assert document["pnl"] == "-1.239"


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with progress(2) as advance:
        advance()
    assert capsys.readouterr() == ("", "")

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress(2) as advance:
        advance()
    assert "intents answered" in capsys.readouterr().err
