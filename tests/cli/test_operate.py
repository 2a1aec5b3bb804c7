"""Halts and sessions from the command line, against a real process, and one that is killed right after its answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import Run, Served, serve

WHO = ("--operator", "anna", "--reason", "a test")
RESTING = ("submit", "BTC/USD", "buy", "0.01", "--type", "limit", "--price", "40000")


@pytest.fixture
def ask(run: Run, served: Served) -> Any:
    """Run a command against the running router, as JSON; returns its answer."""

    def call(*arguments: object, code: int = 0) -> Any:
        ended = run(*arguments, "--config", served.config, "--json")
        assert ended.code == code, ended.err
        return json.loads(ended.out)

    return call


def test_the_kill_switch_says_what_it_did_what_still_works_and_how_to_end_it(run: Run, served: Served) -> None:
    config = ("--config", served.config)
    resting = run(*RESTING, *config, "--json").out
    text = run("halt", *WHO, *config).out
    assert text.startswith("🚨 HALTED: everything, since ")
    assert "UTC by anna: a test" in text
    for said in ("Refused from now on", "Still works: cancels", "Working orders stay", "router resume --operator NAME"):
        assert said in text
    blocked = run("submit", "BTC/USD", "buy", "0.01", *config)
    assert (blocked.code, "BLOCKED_BY_SAFETY" in blocked.out, "by anna: a test" in blocked.out) == (10, True, True)
    lines = run("status", *config).out.splitlines()
    assert lines[1].startswith("🚨 HALTED: everything")
    again = run("halt", *WHO, "--cancel", "--allow-reducing", *config).out
    assert json.loads(resting)["client_order_id"] in again
    assert "1 working orders asked to end" in again
    assert "Still works: orders that strictly reduce a position" in again
    ended = run("resume", *WHO, *config)
    assert (ended.code, ended.out.startswith("✅ Resumed: everything")) == (0, True)
    assert "HALTED" not in run("status", *config).out


@pytest.mark.parametrize(
    ("option", "name"),
    [("environment", "paper"), ("strategy", "some one"), ("symbol", "BTC/USD"), ("venue", "paper")],
)
def test_a_halt_takes_one_scope(run: Run, ask: Any, served: Served, option: str, name: str) -> None:
    halt = ask("halt", f"--{option}", name, *WHO)["halt"]
    assert (halt["scope"], halt["name"]) == (option, name)
    wide = run("halt", *WHO, "--config", served.config)
    assert wide.code == 0
    still = run("resume", *WHO, "--config", served.config).out
    assert f"Still HALTED: {option} {name}" in still
    assert ask("resume", f"--{option}", name, *WHO)["still_halted"] == []


def test_how_to_resume_can_be_pasted(run: Run, ask: Any, served: Served) -> None:
    text = run("halt", "--strategy", "some one", *WHO, "--config", served.config).out
    assert "router resume --strategy 'some one' --operator NAME" in text
    assert "No order of strategy some one has been seen" in text
    ask("resume", "--strategy", "some one", *WHO)


def test_a_session_is_closed_and_opened(run: Run, ask: Any, served: Served) -> None:
    config = ("--config", served.config)
    text = run("session", "close", "--environment", "shadow", *WHO, *config).out
    assert text.startswith("🚨 SESSION CLOSED: shadow, since ")
    assert "router session open --environment shadow" in text
    assert "🚨 SESSION CLOSED: shadow" in run("status", *config).out
    assert ask("status")["closed_sessions"][0]["environment"] == "shadow"
    assert "shadow is open" in run("session", "open", "--environment", "shadow", "--reset-peak", *WHO, *config).out
    assert ask("session", "close", *WHO, "--cancel")["closure"]["environment"] == "paper"
    assert ask("session", "open", *WHO)["closure"]["operator"] == "anna"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("halt",), 2, "--operator"),
        (("halt", "--operator", "anna"), 2, "--reason"),
        (("resume", "--reason", "x"), 2, "--operator"),
        (("session", "open", "--operator", "anna"), 2, "--reason"),
        (("halt", *WHO, "--symbol", "BTC/USD", "--venue", "paper"), 2, "--symbol and --venue"),
        (("resume", *WHO, "--strategy", "a", "--environment", "paper"), 2, "--environment and --strategy"),
        (("halt", *WHO, "--symbol", "NOPE/USD"), 1, "BTC/USD"),
        (("halt", "--operator", "", "--reason", "x"), 1, "operator"),
        (("halt", *WHO, "--symbol", ""), 1, "symbol"),
        (("resume", *WHO, "--symbol", "BTC/USD"), 1, "no halt of symbol BTC/USD"),
        (("session", "open", *WHO), 1, "not closed"),
    ],
)
def test_what_is_wrong_is_said_and_halts_nothing(
    run: Run, ask: Any, served: Served, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ended = run(*arguments, "--config", served.config)
    assert (ended.code, says in ended.err, "Traceback" in ended.err) == (code, True, False), ended.err
    assert (ask("status")["halts"], ask("status")["closed_sessions"]) == ([], [])


def test_without_a_router_nothing_is_halted_and_that_is_said(run: Run, config: Path) -> None:
    ended = run("halt", *WHO, "--config", config)
    assert (ended.code, "No router listens" in ended.err) == (3, True)


def test_a_router_killed_right_after_the_answer_is_still_halted(run: Run, tmp_path: Path) -> None:
    router = serve(tmp_path)
    config = ("--config", router.config)
    order = json.loads(run(*RESTING, *config, "--json").out)["client_order_id"]
    try:
        assert run("session", "close", "--environment", "shadow", *WHO, *config).code == 0
        assert run("halt", *WHO, "--cancel", *config).code == 0
    finally:
        router.process.kill()
        router.process.communicate(timeout=20)

    router = serve(tmp_path)
    try:
        document = json.loads(run("status", *config, "--json").out)
        assert [halt["operator"] for halt in document["halts"]] == ["anna"]
        assert [closure["environment"] for closure in document["closed_sessions"]] == ["shadow"]
        assert run("submit", "BTC/USD", "buy", "0.01", *config).code == 10
        assert json.loads(run("order", order, *config, "--json").out)["order"]["status"] == "CANCELLED"
        assert run("resume", *WHO, *config).code == 0
        router.process.kill()
        router.process.communicate(timeout=20)
        router = serve(tmp_path)
        assert json.loads(run("status", *config, "--json").out)["halts"] == [], "resumed is durable too"
        assert run("submit", "BTC/USD", "buy", "0.01", *config).code == 0
    finally:
        assert router.stop().code == 0
