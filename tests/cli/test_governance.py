"""The register and the control report, as people and programs read them, without a running router."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from router.domain.enums import ExecutionStatus, Severity
from router.domain.events import AlertRaised, AmendmentAnswered
from router.governance import go_no_go
from router.governance.catalogue import catalogue
from tests.cli.processes import Run
from tests.journal.stories import answer, changed, closure, halt, write

S = ExecutionStatus


def report(run: Run, config: Path, *more: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("governance", "controls", "--config", config, "--json", *more).out)
    return document


def rows(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in document["controls"]}


def add(config: Path, text: str) -> None:
    config.write_text(config.read_text() + text)


# -- the register ---------------------------------------------------------------------------------------------


def test_the_register_says_who_signed_what_off_when_and_why(run: Run, config: Path) -> None:
    text = run("governance", "--config", config).out
    assert [word for word in ("Status", "Reason", "Signed off by", "Date") if word not in text] == []
    live = next(line for line in text.splitlines() if "live_order_execution" in line)
    assert live.startswith("🔒")
    assert [word for word in ("locked", "Runbook", "2025-12") if word not in live] == []
    assert "✅ paper_order_execution" in text


def test_the_register_is_whole_as_json(run: Run, config: Path) -> None:
    document = json.loads(run("governance", "--config", config, "--json").out)
    assert document.keys() == go_no_go._FEATURE_STATUS_MAP.keys()
    live = document["live_order_execution"]
    assert live.keys() == {"key", "status", "reason", "signed_off_by", "date"}
    assert live["status"] == "locked"


def test_what_the_environment_unlocks_is_said_with_its_variable(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "ROUTER__GOVERNANCE__RISK_CHECK_OVERRIDE"
    monkeypatch.setenv(variable, "approved")
    entry = json.loads(run("governance", "--config", config, "--json").out)["risk_check_override"]
    assert (entry["status"], entry["signed_off_by"]) == ("approved", "configuration")
    assert variable in entry["reason"]


def test_what_nobody_signed_off_stands_out(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, "live_order_execution", "approved")
    assert "⚠ nobody" in run("governance", "--config", config).out


# -- the control report ---------------------------------------------------------------------------------------


def test_without_a_journal_every_count_is_zero_and_that_is_said(run: Run, config: Path) -> None:
    document = report(run, config)
    assert list(rows(document)) == list(catalogue())
    assert document["journal"] is None
    assert "There is no journal yet" in document["note"]
    assert {number for row in document["controls"] for number in row["triggered"].values()} == {0}
    assert "There is no journal yet" in run("governance", "controls", "--config", config).out


def test_a_journal_that_is_named_and_not_there_is_an_error(run: Run, config: Path, tmp_path: Path) -> None:
    ended = run("governance", "controls", "--config", config, "--journal", tmp_path / "none.db")
    assert ended.code == 1
    assert "there is no journal" in ended.err


def test_controls_are_counted_from_the_journal(run: Run, config: Path, tmp_path: Path) -> None:
    alert = (AlertRaised, {"alert_id": "a", "severity": Severity.HIGH, "topic": "venue", "message": "look"})
    path = write(
        tmp_path / "journal.db",
        *[answer(S.BLOCKED_BY_SAFETY, "P03_price_collar")] * 2,
        answer(S.BLOCKED_BY_SAFETY, "P03_price_collar", AmendmentAnswered),
        answer(S.BLOCKED_BY_RISK, "Max exposure exceeded"),
        answer(S.INVALID),
        answer(S.SUCCESS),
        halt("P11_repeated_execution"),
        closure("Drawdown limit breached"),
        *[alert] * 4,
    )
    found = rows(report(run, config, "--journal", path))
    assert found["P03"]["triggered"] == {"P03_price_collar": 3}
    assert found["P01"]["triggered"] == {"Max exposure exceeded": 1}
    assert found["P11"]["triggered"] == {"P11_repeated_execution": 0, "halted:P11_repeated_execution": 1}
    assert found["P14"]["triggered"]["session_closed:Drawdown limit breached"] == 1
    assert found["P16"]["triggered"]["INVALID"] == 1
    assert found["A08"]["triggered"] == {"alert:": 4}
    assert sum(number for row in found.values() for number in row["triggered"].values()) == 11
    text = run("governance", "controls", "--config", config, "--journal", path).out
    assert "3 × P03_price_collar" in text
    assert f"Counted in {path} since it began." in text


def test_only_what_happened_since_a_day_is_counted(run: Run, config: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    write(path, halt(None), at=datetime(2025, 12, 8, 23, 59, 59, tzinfo=UTC))
    write(path, halt(None), at=datetime(2025, 12, 9, tzinfo=UTC))
    counts = [
        rows(report(run, config, "--journal", path, *since))["A04"]["triggered"]["halted:operator"]
        for since in ((), ("--since", "2025-12-09"), ("--since", "2025-12-10"))
    ]
    assert counts == [2, 1, 0]
    ended = run("governance", "controls", "--config", config, "--since", "yesterday")
    assert ended.code == 2
    assert "2025-12-09" in ended.err


def test_a_limit_is_the_one_in_force_with_the_scopes_where_it_is_another(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER__SAFETY__PRICE_COLLAR_PCT", "3")
    add(
        config,
        '\n[safety.environments.testnet]\nprice_collar_pct = "2"\n'
        '[strategies.maker]\nowner = "A. Trader"\nsafety = { price_collar_pct = "off" }\n',
    )
    found = rows(report(run, config))
    assert found["P03"]["limits"] == {"safety.price_collar_pct": "3; testnet: 2; strategy maker: ⚠ off"}
    assert found["P03"]["state"] == "implemented"
    assert "maker: owner A. Trader" in found["A03"]["limits"]["strategies"]
    assert found["P05"]["limits"] == {"risk.max_order_notional": "50000"}


def test_a_control_that_is_switched_off_or_has_nobody_registered_is_shown_so(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {
        "DUPLICATE_WINDOW_S": "off",
        "MAX_ORDERS_PER_SECOND": "off",
        "MAX_ORDERS_PER_SECOND_PER_STRATEGY": "5",
        "SELF_MATCH": "off",
    }.items():
        monkeypatch.setenv(f"ROUTER__SAFETY__{key}", value)
    found = rows(report(run, config))
    assert {key: found[key]["state"] for key in ("P08", "P09", "P13", "P20")} == {
        "P08": "off",
        "P09": "partly off",
        "P13": "off",
        "P20": "off",
    }
    assert found["P13"]["limits"] == {"strategies": "⚠ off"}
    text = run("governance", "controls", "--config", config, "--markdown").out
    assert "safety.duplicate_window_s = ⚠ off" in text


def test_the_limits_of_an_environment_and_of_a_strategy_are_shown_beside_the_accounts(run: Run, config: Path) -> None:
    add(config, '\n[strategies.maker]\nowner = "A. Trader"\n')
    preset = config.parent / "presets" / "smaller_orders.toml"
    add(preset, "strategies.maker.max_exposure = 0.2\nenvironments.testnet.max_exposure = 0.5\n")
    found = rows(report(run, config))
    shown = found["P01"]["limits"]
    assert shown["risk.max_exposure"].startswith("1; ")
    assert "; strategies.maker.max_exposure = 0.2" in shown["risk.max_exposure"]
    assert "; environments.testnet.max_exposure = 0.5" in shown["risk.max_exposure"]
    assert found["P18"]["limits"]["risk.max_position_size"].startswith("default 1, BTC/USD 5, ")


def test_a_limit_that_an_operator_set_is_shown_beside_the_files(run: Run, config: Path, tmp_path: Path) -> None:
    path = write(
        tmp_path / "journal.db",
        changed("max_exposure", "0.5", is_override=True),
        changed("strategy.maker.max_daily_loss", "0.01", is_override=True),
    )
    found = rows(report(run, config, "--journal", path))
    assert found["P01"]["limits"]["risk.max_exposure"].endswith("; max_exposure = 0.5 by an operator")
    assert "strategy.maker.max_daily_loss = 0.01" in found["T07"]["limits"]["risk.max_daily_loss"]


def test_what_does_not_apply_says_why_and_what_is_left_is_said(run: Run, config: Path) -> None:
    found = rows(report(run, config))
    assert found["P24"]["state"] == "not applicable"
    assert "Spot only" in found["P24"]["not_applicable"]
    assert found["A14"]["state"] == "partly"
    assert found["A14"]["missing"]
    text = run("governance", "controls", "--config", config).out
    assert "not applicable: Spot only" in text
    assert "People: Review this report" in text


def test_the_markdown_is_one_whole_table(run: Run, config: Path) -> None:
    add(config, '\n[strategies."a|b"]\nowner = "A. Trader"\n')
    lines = run("governance", "controls", "--config", config, "--markdown").out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert lines[0] == "# Controls"
    assert len(table) == 2 + len(catalogue())
    assert {line.replace("\\|", "").count("|") for line in table} == {8}
    assert any("a\\|b" in line for line in table)


def test_one_form_at_a_time(run: Run, config: Path) -> None:
    ended = run("governance", "controls", "--config", config, "--markdown", "--json")
    assert ended.code == 2
    assert "--markdown and --json" in ended.err


def test_a_journal_that_cannot_be_read_is_named(run: Run, config: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "journal.db", halt(None))
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE events")
    ended = run("governance", "controls", "--config", config, "--journal", path)
    assert ended.code == 1
    assert str(path) in ended.err
