"""The process around the pipeline: it starts whole or not at all, and stops in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from router import app, logs
from router.errors import ExecutionPipelineError, JournalLockedError
from router.execution.pipeline import ExecutionPipeline
from router.gateway.client import RouterClient
from router.journal.lock import HomeLock
from router.settings import Settings, load_settings

pytestmark = pytest.mark.asyncio


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings(
        environ={},
        overrides={
            "execution.home": str(home),
            "market_data.source": "static",
            "market_data.static": {"BTC/USD": {"bid": "49999.5", "ask": "50000.5"}},
            "alerts.urls": {"CRITICAL": ["json://user:hunter2@127.0.0.1:9"]},
        },
    )


def stop(_: Path | None = None, number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


def log_lines(home: Path) -> list[dict[str, Any]]:
    (path,) = (home / "logs").iterdir()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal_and_stops_in_order(
    settings: Settings, home: Path, number: signal.Signals
) -> None:
    seen = []

    def started(path: Path) -> None:
        seen.append((path, stat.S_IMODE(path.stat().st_mode)))
        stop(path, number)

    await app.serve(settings, started=started)

    assert seen == [(home / "router.sock", 0o600)]
    assert not (home / "router.sock").exists()
    events = [(line["event"], line.get("reason")) for line in log_lines(home)]
    assert [event for event, _ in events] == [
        "pipeline_started", "settings_not_enforced_yet", "router started", "controls_off", "controls_off",
        "router stopping", "pipeline_stopped",
    ]  # fmt: skip
    assert ("router stopping", number.name) in events
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "a second one would end the process at once"
    HomeLock(home).acquire()


async def test_the_settings_are_kept_without_their_secrets(settings: Settings, home: Path) -> None:
    await app.serve(settings, started=stop)

    (snapshot,) = (home / "snapshots").glob("config_*.json")
    assert json.loads(snapshot.read_text())["execution"]["environment"] == "paper"
    assert "hunter2" not in snapshot.read_text()
    assert "hunter2" not in json.dumps(log_lines(home))


async def test_a_dead_socket_is_replaced(settings: Settings, home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / "router.sock"))
    started = []

    def note(path: Path) -> None:
        started.append(path)
        stop()

    await app.serve(settings, started=note)

    assert started == [home / "router.sock"]


async def test_a_live_socket_is_an_error_that_names_it_and_leaves_it_alone(settings: Settings, home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(home / "router.sock"))
        other.listen()
        with pytest.raises(ExecutionPipelineError, match=r"router\.sock: another router"):
            await app.serve(settings, started=stop)

        assert (home / "router.sock").exists()
    HomeLock(home).acquire()


async def test_a_path_too_long_for_a_socket_says_so(tmp_path: Path) -> None:
    deep = load_settings(environ={}, overrides={"execution.home": str(tmp_path / ("x" * 100))})
    with pytest.raises(ExecutionPipelineError, match="shorter"):
        await app.serve(deep, started=stop)


async def test_a_locked_journal_is_told_in_one_line_and_logged_without_a_trace(settings: Settings, home: Path) -> None:
    holder = HomeLock(home)
    holder.acquire()
    with pytest.raises(JournalLockedError, match=str(os.getpid())):
        await app.serve(settings, started=stop)

    failed = log_lines(home)[-1]
    assert failed["event"] == "router failed"
    assert str(os.getpid()) in failed["reason"]
    assert "exception" not in failed
    assert logs.log_health()["detail"] == "logging is the host's", "logging is given back"


async def test_a_pipeline_that_ends_by_itself_ends_the_process(
    settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        monkeypatch.setattr(ExecutionPipeline, "health", lambda _: {"pipeline": {"ok": False, "detail": "gone"}})

    with pytest.raises(BaseExceptionGroup) as caught:
        await app.serve(settings, started=broken)

    assert caught.group_contains(ExecutionPipelineError, match="ended by itself")
    assert not (home / "router.sock").exists()


async def test_answers_come_over_the_socket_while_it_serves(settings: Settings) -> None:
    answers = []

    async def ask(path: Path) -> None:
        async with RouterClient(path) as client:
            answers.append(await client.health())
        stop()

    tasks: list[asyncio.Task[None]] = []
    await app.serve(settings, started=lambda path: tasks.append(asyncio.get_running_loop().create_task(ask(path))))

    assert [answer["status"] for answer in answers] == ["OK"]
