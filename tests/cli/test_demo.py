"""The demo as a newcomer runs it, on a made-up market and on recordings."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from router.cli import demo_run
from router.domain.events import Answered, Filled, decode_event
from router.journal.audit import export
from tests.cli.processes import Ended, Run, command, environment
from tests.recordings import QUOTES, START_NS, TRADES, write_csv


@pytest.fixture
def demo(run: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a quick demo in ``tmp_path/demo``."""
    monkeypatch.setattr(demo_run, "_RUN_S", 0.5)

    def call(*arguments: object) -> Ended:
        return run("demo", "--home", tmp_path / "demo", "--config", config, *arguments)

    return call


def answers(home: Path) -> list[Answered]:
    events = map(decode_event, export(home / "journal.db"))
    return [event for event in events if isinstance(event, Answered)]


def test_it_pushes_every_kind_of_intent_and_accounts_for_each(demo: Any, tmp_path: Path) -> None:
    ended = demo("--intents", 250, "--json")
    report = json.loads(ended.out)

    assert ended.code == 0
    assert str(tmp_path / "demo") in ended.err, "where the state is, said first"
    assert report["ok"] is True
    assert report["intents"] == 250 + 7, "garbage objects come on top"
    assert sum(report["answers"].values()) == report["intents"] == len(answers(tmp_path / "demo"))
    assert report["answers"]["BLOCKED_BY_GOVERNANCE"] == 1
    assert report["answers"]["BLOCKED_BY_ENVIRONMENT"] == 1
    assert report["answers"]["BLOCKED_BY_RISK"] >= 2
    assert report["orders"].keys() >= {"FILLED", "CANCELLED", "REJECTED"}
    assert not report["orders"].keys() & {"PENDING", "SUBMITTED", "PARTIALLY_FILLED"}, "nothing is left working"
    assert report["fills"] > 0
    assert report["fees"]["USD"]
    assert 0 < report["latency_p50_ms"] <= report["latency_p99_ms"]
    said = {answer.result.validation_error for answer in answers(tmp_path / "demo")}
    assert said >= {
        "Quantity must be > 0",
        "Quantity must be positive",
        "Quantity must be a finite number",
        "Quantity must be a number",
        "Symbol required",
        "Unknown symbol",
        "Invalid side",
        "Invalid order_type",
        "Invalid time_in_force",
        "Limit orders require price",
        "Price must be positive",
        "GTD orders require expire_at",
    }
    prefixes = ("Price is not a multiple", "Quantity is not a multiple", "Notional below", "Quantity above")
    assert all(any(str(text).startswith(prefix) for text in said) for prefix in prefixes)


def test_it_ends_with_tables_and_places(demo: Any, tmp_path: Path) -> None:
    text = demo("--intents", 40).out

    assert "✅ SUCCESS" in text
    assert "🔧 INVALID" in text
    assert "latency from push to durable answer: p50 " in text
    assert str(tmp_path / "demo" / "journal.db") in text
    assert str(tmp_path / "demo" / "logs" / "execution_") in text
    assert "every intent has exactly one answer" in text


def test_the_same_home_is_continued_where_it_ended(demo: Any, tmp_path: Path) -> None:
    demo("--intents", 30)
    first = {answer.client_order_id: answer.result for answer in answers(tmp_path / "demo")}
    report = json.loads(demo("--intents", 50, "--json").out)

    assert report["ok"] is True
    assert report["earlier"] == 30
    assert report["intents"] == 20 + 7
    now = answers(tmp_path / "demo")
    assert {answer.client_order_id: answer.result for answer in now}.items() >= first.items()
    assert len({answer.client_order_id for answer in now}) == len(now)


def test_a_mistake_follows_from_its_id(demo: Any, run: Run, config: Path, tmp_path: Path) -> None:
    def mistakes(home: Path) -> dict[str | None, Any]:
        return {
            answer.client_order_id: answer.result.order_intent
            for answer in answers(home)
            if answer.result.order_intent.strategy_key == "careless"
        }

    demo("--intents", 100)
    run("demo", "--home", tmp_path / "other", "--config", config, "--intents", 20)
    run("demo", "--home", tmp_path / "other", "--config", config, "--intents", 100)

    assert repr(mistakes(tmp_path / "demo")) == repr(mistakes(tmp_path / "other"))


def recordings(folder: Path, seconds: int) -> list[Path]:
    """Write a market that goes up and down, with trades that fill what rests at the touch."""
    quotes, trades = [], []
    for number in range(seconds * 20):
        at, bid = START_NS + number * 50_000_000, 50_000 + (number % 40) * 0.5
        quotes.append(f"{at},,BTC/USDT,{number + 1},{bid},1,{bid + 0.01},1")
        trades.append(f"{at + 1_000_000},{at // 1_000_000},BTC/USDT,{number + 1},sell,{bid},0.5")
    return [write_csv(folder / "q_quotes.csv.gz", QUOTES, quotes), write_csv(folder / "q_trades.csv", TRADES, trades)]


def test_recordings_are_traded_in_turns(demo: Any, tmp_path: Path) -> None:
    ended = demo("--replay", *recordings(tmp_path, 20), "--intents", 100, "--json")
    report = json.loads(ended.out)

    assert ended.code == 0, ended.err
    assert report["ok"] is True
    assert report["intents"] == 100 + 7
    assert report["fills"] > 0
    events = map(decode_event, export(tmp_path / "demo" / "journal.db"))
    times = [event.ts_event for event in events if isinstance(event, Filled) and event.ts_event]
    assert (max(times) - min(times)).total_seconds() > 10, "over the recording, not in its first moment"


def test_recordings_too_short_for_all_intents_are_no_failure(demo: Any, tmp_path: Path) -> None:
    report = json.loads(demo("--replay", *recordings(tmp_path, 2), "--intents", 1000, "--json").out)

    assert report["ok"] is True
    assert 20 < report["intents"] < 1000


LATE_DAMAGE = f"{QUOTES}\n{START_NS},,BTC/USDT,1,100,1,101,1\n{START_NS + 9_000_000_000},,BTC/USDT,x,,,,"


@pytest.mark.parametrize("text", ["not a recording", "", LATE_DAMAGE])
def test_a_bad_recording_is_named(demo: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad_quotes.csv"
    path.write_text(text)
    ended = demo("--replay", path)

    assert ended.code == 1
    assert "bad_quotes.csv" in ended.err
    assert "Traceback" not in ended.err
    assert "unexpected" not in ended.err
    assert "missing.csv" in demo("--replay", tmp_path / "missing.csv").err


def test_it_says_where_it_works_before_it_loads_the_rest(config: Path) -> None:
    process = subprocess.Popen(
        [*command()[:1], "-X", "importtime", *command()[1:], "demo", "--config", str(config), "--speed", "20"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    _, err = process.communicate(timeout=30)

    assert process.returncode == 0
    before, _, after = err.partition("router demo: ")
    for heavy in ("structlog", "aiosqlite", "router.execution.pipeline"):
        assert heavy not in before
        assert heavy in after
    assert "ccxt" not in err


def test_ctrl_c_ends_it_without_a_trace(config: Path) -> None:
    process = subprocess.Popen(
        command("demo", "--config", config),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    process.stderr.readline()
    home = config.parent / "home" / "demo"
    while not list(home.glob("*/logs/*")):  # the pipeline has started once it has written to its log
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert (out, err) == ("", "router: interrupted\n")


def test_a_replay_of_nothing_is_a_usage_error(demo: Any) -> None:
    ended = demo("--replay")
    assert (ended.code, "at least one recording" in ended.err) == (2, True)
