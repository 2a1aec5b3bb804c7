"""``router serve`` as a real process: one per home, a clean stop, nothing secret in what it writes."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.processes import Run, command, environment, serve, write_config


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_takes_orders_and_stops_cleanly(tmp_path: Path, run: Run, number: signal.Signals) -> None:
    router = serve(tmp_path)
    submitted = run("submit", "BTC/USD", "buy", "0.01", "--json", "--config", router.config)
    ended = router.stop(number)

    assert submitted.code == 0
    assert ended.code == 0
    assert ended.err == ""
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert lines[-1]["event"] == "pipeline_stopped"
    (log,) = (router.home / "logs").iterdir()
    assert [json.loads(line) for line in log.read_text().splitlines()] == lines, "stdout and file say the same"
    order_id = json.loads(submitted.out)["client_order_id"]
    assert order_id in {line.get("client_order_id") for line in lines}
    assert not (router.home / "router.sock").exists()
    assert run("journal", "verify", "--config", router.config).code == 0
    assert run("status", "--config", router.config).code == 3
    written = "".join(path.read_text() for path in (log, *(router.home / "snapshots").iterdir()))
    assert "planted-secret" not in written


def test_a_second_one_on_the_same_home_is_refused_with_the_pid(tmp_path: Path) -> None:
    router = serve(tmp_path)
    second = subprocess.run(
        command("serve", "--config", router.config),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=20,
        check=False,
    )

    assert second.returncode == 1
    assert str(router.process.pid) in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert router.stop().code == 0


def test_killed_and_started_again_it_knows_its_orders(tmp_path: Path, run: Run) -> None:
    router = serve(tmp_path)
    limit = ("submit", "BTC/USD", "buy", "0.01", "--type", "limit", "--price", "30000", "--intent-id", "kept", "--json")
    first = run(*limit, "--config", router.config).out
    router.stop(signal.SIGKILL)

    router = serve(tmp_path)
    (order,) = json.loads(run("orders", "--open", "--json", "--config", router.config).out)["orders"]
    assert order["client_order_id"] == json.loads(first)["client_order_id"]
    assert run(*limit, "--config", router.config).out == first, "the same intent_id, the first answer"
    assert router.stop().code == 0


def test_a_closed_stdout_does_not_stop_it(tmp_path: Path, run: Run) -> None:
    router = serve(tmp_path)
    assert router.process.stdout is not None
    router.process.stdout.close()
    for number in range(3):
        assert run("submit", "BTC/USD", "buy", "0.01", "--config", router.config).code == 0, number
    router.process.send_signal(signal.SIGTERM)

    assert router.process.wait(timeout=20) == 0
    assert router.process.stderr is not None
    with router.process.stderr as stderr:
        assert stderr.read().count("log lines are being lost: stdout") == 1
    assert "router stopping" in next((router.home / "logs").iterdir()).read_text()


def test_a_home_that_cannot_be_made_is_told_in_lines_without_a_trace(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    (tmp_path / "home").write_text("a file")
    ended = subprocess.run(
        command("serve", "--config", config),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=20,
        check=False,
    )

    assert ended.returncode == 1
    assert str(tmp_path / "home") in ended.stderr
    assert "Traceback" not in ended.stderr
