"""How much of each limit is used, and a limit set from the command line, against a real process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router.cli.risk import _measured
from router.domain.result import Limit
from tests.cli.processes import ROOT, Run, Served, serve, write_config

WHO = ("--operator", "anna", "--reason", "a test")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """A router of its own, with one registered strategy and a limits file that a test may change."""
    config = write_config(tmp_path)
    shutil.copy(ROOT / "config" / "risk_limits.toml", tmp_path / "limits.toml")
    text = config.read_text().replace(f"{ROOT / 'config'}/risk_limits.toml", "limits.toml")
    config.write_text(f'{text}\n[strategies."some one"]\nowner = "A. Trader"\n')
    router = serve(tmp_path)
    yield router
    router.process.kill()
    router.process.communicate()


def test_it_says_for_every_account_what_is_used_and_for_every_limit_what_it_is(run: Run, own: Served) -> None:
    config = ("--config", own.config)
    assert run("submit", "BTC/USD", "buy", "0.8", "--strategy", "some one", *config).code == 0
    assert run("risk", "set", "max_exposure", "0.15", *WHO, *config).code == 0
    assert run("risk", "set", 'strategies."some one".max_exposure', "0.15", *WHO, *config).code == 0
    assert run("session", "close", "--environment", "shadow", *WHO, *config).code == 0
    lines = run("risk", *config).out.splitlines()
    assert lines[0].startswith("🚨 SESSION CLOSED: shadow")
    paper, shadow = (next(line for line in lines if line.startswith(name)) for name in ("paper ·", "shadow ·"))
    for word in ("equity 307959", "USD", "peak 308000", "drawdown 0.000", "today -40.", "exposure 0.1298"):
        assert word in paper
    assert "exposure 0" in shadow
    words = {line.split("  ")[0]: line.split() for line in lines if line}
    assert words["max_exposure"] == ["max_exposure", "0.15", "⚠", "an", "operator"], "the last table: in force"
    used = [line.split() for line in lines if line.startswith(("max_exposure", "strategies.some one"))]
    assert used[0][2] == "0.15"
    assert [row[-2:] for row in used[:2]] == [["⚠", "87%"]] * 2, "the account's, and the strategy's part of it"
    assert words["max_drawdown"][-1] == "files"
    only = run("risk", "--environment", "shadow", *config).out
    assert only.startswith("🚨 SESSION CLOSED: shadow")
    assert "paper ·" not in only
    assert "SESSION CLOSED" not in run("risk", "--environment", "paper", *config).out
    document = json.loads(run("risk", *config, "--json").out)
    assert document["environments"].keys() == {"paper", "shadow"}
    assert document["overrides"]["max_exposure"] == document["limits"]["max_exposure"] == "0.15"
    assert json.loads(run("risk", "--environment", "paper", *config, "--json").out)["environments"].keys() == {"paper"}


def test_a_limit_that_was_answered_for_survives_a_kill_until_the_file_changes(run: Run, own: Served) -> None:
    config = ("--config", own.config)
    said = run("risk", "set", "max_position_size.BTC/USD", "0.5", *WHO, *config)
    assert (said.code, said.out.splitlines()[0]) == (0, "✅ max_position_size.BTC/USD is 0.5; it was 5.")
    answer = json.loads(run("risk", "set", "environments.paper.max_exposure", "0.3", *WHO, *config, "--json").out)
    assert answer == {"key": "environments.paper.max_exposure", "old": None, "new": "0.3"}
    own.process.kill()
    own.process.communicate()
    limits = own.config.parent / "limits.toml"
    for changed, overridden in ((False, True), (True, False)):
        if changed:
            limits.write_text(limits.read_text().replace('"BTC/USD" = "5"', '"BTC/USD" = "4"'))
        again = serve(own.config.parent)
        report = json.loads(run("risk", *config, "--json").out)
        again.process.kill()
        again.process.communicate()
        assert report["limits"]['max_position_size."BTC/USD"'] == ("0.5" if overridden else "4")
        assert ('max_position_size."BTC/USD"' in report["overrides"]) is overridden
        assert report["overrides"]["environments.paper.max_exposure"] == "0.3"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("set", "max_exposure", "0.5"), 2, "--operator"),
        (("set", "max_exposure", "0.5", "--operator", "anna"), 2, "--reason"),
        (("set", "max_exposure", *WHO), 2, "--value"),
        (("set", "max_exposur", "0.5", *WHO), 1, "did you mean max_exposure?"),
        (("set", "max_exposure", "-1", *WHO), 1, "must be a number above 0"),
        (("set", "max_exposure", "ten", *WHO), 1, "must be a number above 0"),
        (("set", "strategies.nobody.max_exposure", "0.5", *WHO), 1, "strategies.nobody is no registered strategy"),
        (("set", "max_exposure", "0.5", "--operator", "", "--reason", "x"), 1, "operator"),
        (("--environment", "moon"), 1, "moon has no account here; there are paper, shadow"),
    ],
)
def test_what_cannot_be_says_why(run: Run, served: Served, arguments: tuple[str, ...], code: int, says: str) -> None:
    ended = run("risk", *arguments, "--config", served.config)
    assert (ended.code, ended.out) == (code, "")
    assert says in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("arguments", [(), ("set", "max_exposure", "1", *WHO)])
def test_without_a_router_there_is_nothing_to_see(run: Run, config: Path, arguments: tuple[str, ...]) -> None:
    ended = run("risk", *arguments, "--config", config)
    assert (ended.code, ended.out) == (3, "")
    assert "router serve" in ended.err


@pytest.mark.parametrize(
    ("value", "used"),
    [("0.79", "79%"), ("0.8", "⚠ 80%"), ("1", "⚠ 100%"), ("-0.1", "0%"), ("Infinity", "⚠ ∞"), ("0", "0%")],
)
def test_what_is_nearly_used_up_is_marked(value: str, used: str) -> None:
    number = Decimal(value)
    row: Any = _measured(Limit("max_exposure", number, Decimal(1), 1 - number))
    assert row[-1] == used
    assert row[0] == "max_exposure"
    assert ("∞" in row[1]) == (not number.is_finite())
