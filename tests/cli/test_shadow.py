"""What a user is told about shadow orders, from the journal alone."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from router.clock import VirtualClock
from router.domain.intent import OrderIntent
from router.execution.pipeline import ExecutionPipeline
from tests.cli.processes import Run
from tests.pipelines import intent, settings


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a router that traded for two strategies in shadow, for one on paper; tests work on copies."""
    home = tmp_path_factory.mktemp("shadow")

    async def trade() -> Path:
        async with ExecutionPipeline("shadow", settings(home), clock=VirtualClock()) as pipeline:
            for strategy, fields in (
                ("taker", {"side": "buy"}),
                ("taker", {"side": "buy", "price": "50000"}),
                ("maker", {"side": "buy", "price": "40000", "order_type": "limit"}),
                ("maker", {"side": "sell", "symbol": "ETH/USD", "quantity": "1"}),
                ("on paper", {"side": "buy", "environment": "paper"}),
            ):
                wanted = OrderIntent(**{"symbol": "BTC/USD", "quantity": "0.01", "strategy_key": strategy, **fields})
                assert (await pipeline.submit_order(wanted)).is_success
        return pipeline.journal_path

    return asyncio.run(trade())


@pytest.fixture
def copy(journal: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(journal, tmp_path / "journal.db"))


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute(statement)
        db.commit()


def test_the_tables_tell_every_strategy_and_what_the_figures_mean(run: Run, journal: Path) -> None:
    ended = run("shadow", "report", "--journal", journal)

    assert (ended.code, ended.err) == (0, "")
    lines = [line.split() for line in ended.out.splitlines() if line.strip()]
    assert ["maker", "2", "1", "0", "1", "1", "0", "0", "0", "88.2%"] in lines
    assert ["taker", "BTC/USD", "buy", "2", "0.02", "50000.25", "50000.5", "+0.05", "at", "once"] in lines
    assert "on paper" not in ended.out
    assert "Nothing was routed" in ended.out
    assert "Decision price: the intent's own price, else the touch" in ended.out


def test_json_tells_every_order_and_strategy(run: Run, journal: Path) -> None:
    report = json.loads(run("shadow", "report", "--journal", journal, "--json").out)

    assert [each["strategy"] for each in report["strategies"]] == ["maker", "taker"]
    first, second, *_ = report["orders"]
    assert (first["decision_price"], first["average_price"], first["slippage_cost"]) == ("50000.5", "50000.5", "0.000")
    assert (second["decision_price"], second["slippage_cost"]) == ("50000", "0.005")
    assert report["strategies"][1]["slippage_worst_bps"].rstrip("0") == "0.1"


@pytest.mark.parametrize(
    ("chosen", "strategies"),
    [
        (["--strategy", "taker"], ["taker"]),
        (["--symbol", "ETH/USD"], ["maker"]),
        (["--environment", "paper"], ["on paper"]),
        (["--since", "2020-01-01"], ["maker", "taker"]),
        (["--since", "2020-01-01T12:30:00Z"], ["maker", "taker"]),
        (["--since", "2999-01-01"], []),
    ],
)
def test_a_choice_narrows_it(run: Run, journal: Path, chosen: list[str], strategies: list[str]) -> None:
    report = json.loads(run("shadow", "report", "--journal", journal, *chosen, "--json").out)

    assert [each["strategy"] for each in report["strategies"]] == strategies


def test_the_picture_is_written_and_named(run: Run, journal: Path, tmp_path: Path) -> None:
    file = tmp_path / "picture.html"
    ended = run("shadow", "report", "--journal", journal, "--html", file)

    assert ended.code == 0
    assert f"picture {file}" in ended.out
    page = file.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert str(journal) in page


def test_the_journal_of_the_configuration_is_read(run: Run, config: Path, journal: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    shutil.copy(journal, tmp_path / "home" / "journal.db")

    assert "taker" in run("shadow", "report", "--config", config).out


@pytest.mark.asyncio
async def test_a_running_router_does_not_mind(run: Run, tmp_path: Path) -> None:
    async with ExecutionPipeline("shadow", settings(tmp_path)) as pipeline:
        await pipeline.submit_order(intent(strategy_key="first"))
        assert "first" in run("shadow", "report", "--journal", pipeline.journal_path).out
        await pipeline.submit_order(intent(strategy_key="second"))
        assert "second" in run("shadow", "report", "--journal", pipeline.journal_path).out


def test_without_shadow_orders_it_says_what_to_do(run: Run, copy: Path, tmp_path: Path) -> None:
    change(copy, """UPDATE events SET payload = replace(payload, '"environment":"shadow"', '"environment":"paper"')""")
    ended = run("shadow", "report", "--journal", copy, "--html", tmp_path / "none.html")

    assert ended.code == 0
    assert "No shadow orders" in ended.out
    assert "execution.environments" in ended.out
    assert "--env shadow" in ended.out
    assert "No picture was drawn" in ended.out
    assert not (tmp_path / "none.html").exists()


def test_a_choice_that_nothing_matches_says_how_many_others_there_are(run: Run, journal: Path) -> None:
    ended = run("shadow", "report", "--journal", journal, "--strategy", "nobody")

    assert ended.code == 0
    assert "matches; 4 others are there" in ended.out


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("missing", "there is no journal"),
        ("text", "cannot be read"),
        ("cut", "cannot be read"),
        ("foreign", "cannot be read"),
        ("half an event", "event 9 cannot be read"),
        ("another event", "event 9 cannot be read"),
        ("bytes", "cannot be read"),
        ("a blob", "event 9 cannot be read"),
    ],
)
def test_a_file_that_is_no_whole_journal_is_named_without_a_trace(run: Run, copy: Path, what: str, told: str) -> None:
    if what == "missing":
        copy.unlink()
    elif what == "text":
        copy.write_text("hello\n" * 1000)
    elif what == "cut":
        copy.write_bytes(copy.read_bytes()[:6000])
    elif what == "foreign":
        change(copy, "DROP TABLE events")
    elif what == "half an event":
        change(copy, "UPDATE events SET payload = substr(payload, 1, 100) WHERE seq = 9")
    elif what == "another event":
        change(copy, """UPDATE events SET payload = '{"event":"party"}' WHERE seq = 9""")
    elif what == "a blob":
        change(copy, "UPDATE events SET payload = CAST(payload AS BLOB) WHERE seq = 9")
    else:
        change(copy, "UPDATE events SET payload = CAST(x'ff00' AS TEXT) WHERE seq = 9")
    ended = run("shadow", "report", "--journal", copy)

    assert ended.code == 1
    assert ended.out == ""
    assert str(copy) in ended.err
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) <= 2


@pytest.mark.parametrize("name", ["journal.db", "picture", "picture.svg"])
def test_a_picture_overwrites_nothing_but_a_picture(run: Run, copy: Path, tmp_path: Path, name: str) -> None:
    before = copy.read_bytes()
    ended = run("shadow", "report", "--journal", copy, "--html", tmp_path / name)

    assert ended.code == 2
    assert "ends in .html" in ended.err
    assert copy.read_bytes() == before


def test_a_picture_that_cannot_be_written_is_named(run: Run, journal: Path, tmp_path: Path) -> None:
    ended = run("shadow", "report", "--journal", journal, "--html", tmp_path / "nowhere" / "picture.html")

    assert ended.code == 1
    assert str(tmp_path / "nowhere" / "picture.html") in ended.err
    assert "folder" in ended.err


@pytest.mark.parametrize("wrong", [["--since", "yesterday"], ["--environment", "live"]])
def test_a_wrong_word_is_a_usage_error(run: Run, journal: Path, wrong: list[str]) -> None:
    ended = run("shadow", "report", "--journal", journal, *wrong)

    assert ended.code == 2
    assert wrong[1] in ended.err
