"""A library that leaves its host's logging alone; once configured, ordered JSON lines without secrets or locals."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog

from router import logs

NOW = datetime(2025, 12, 9, 14, 32, 45, 123456, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    logs.configure(tmp_path, lambda: NOW, level="info")
    yield tmp_path
    logs.shutdown()


def lines(home: Path) -> list[dict[str, Any]]:
    logs.flush()
    return [json.loads(line) for line in (home / "logs" / "execution_20251209.log").read_text().splitlines()]


def test_a_line_has_its_keys_in_order(home: Path) -> None:
    log = logs.get_logger(env="paper", session_id="session_paper_20251209")
    log.bind(strategy_key="momentum").info(
        "answered",
        latency=Decimal("0.10"),
        status="SUCCESS",
        client_order_id="U1",
        symbol="BTC/USD",
        stage="risk",
        run_id="run_1",
    )

    (line,) = lines(home)
    assert list(line) == [
        "ts", "level", "event", "run_id", "session_id", "env", "stage", "symbol", "strategy_key", "client_order_id",
        "status", "latency",
    ]  # fmt: skip
    assert line["ts"] == "2025-12-09T14:32:45.123456Z"
    assert line["latency"] == "0.10"


def test_lines_go_to_stdout_too(tmp_path: Path) -> None:
    stdout = io.BytesIO()
    logs.configure(tmp_path, lambda: NOW, stdout=stdout)
    logs.get_logger().info("hello")
    logs.shutdown()

    assert json.loads(stdout.getvalue())["event"] == "hello"


def test_lines_below_the_level_are_not_written(home: Path) -> None:
    log = logs.get_logger()
    log.debug("a")
    log.info("b")
    log.critical("c")

    assert [line["event"] for line in lines(home)] == ["b", "c"]


def test_secrets_are_blanked_everywhere(home: Path) -> None:
    logs.register_secret("pl4nted-k3y")
    logs.get_logger(session_id="pl4nted-k3y").error(
        "failed with pl4nted-k3y",
        exc_info=raised(ValueError("POST /order?signature=ab12cd&key=pl4nted-k3y")),
        api_key="x",
        config={"deep": [{"password": "hunter2"}]},
        stage="pl4nted-k3y",
        symbol={"passphrase": "hunter3"},
        strategy_key="token=hunter4",
        env=["secret:hunter5"],
    )

    text = json.dumps(lines(home))
    assert "ValueError" in text
    for secret in ("pl4nted-k3y", "ab12cd", "hunter", '"x"'):
        assert secret not in text


def raised(error: Exception) -> Exception:
    """Return ``error`` with a frame that has something to hide among its locals."""
    local_treasure = "do-not-show-me"
    try:
        raise error
    except type(error) as caught:
        assert local_treasure
        return caught


def test_an_exception_shows_its_frames_but_no_locals(home: Path) -> None:
    logs.get_logger().error("failed", exc_info=raised(RuntimeError("because")))

    (line,) = lines(home)
    assert line["exception"][0]["exc_type"] == "RuntimeError"
    assert line["exception"][0]["frames"][-1]["name"] == "raised"
    assert "do-not-show-me" not in json.dumps(line)
    assert "locals" not in json.dumps(line)


def test_no_value_can_cost_a_line_or_raise(home: Path) -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    logs.get_logger().info(
        "odd", a=Hostile(), b={1: float("nan")}, c="\ud800", d=b"\xff", e=10**400, status=Hostile(), run_id="\ud800"
    )

    (line,) = lines(home)
    assert "Hostile" in line["a"]
    assert "Hostile" in line["status"]


def test_other_libraries_warnings_join_with_the_same_redaction(home: Path) -> None:
    logging.getLogger("aiohttp.server").warning("bad %s", "token=abc123")
    logging.getLogger("aiohttp.server").info("not worth it")
    broken = logging.LogRecord("broken", logging.ERROR, "", 1, "%d", ("text",), (ValueError, ValueError("x"), None))
    logs._foreign.handle(broken)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)

    first, second, third = lines(home)
    assert (first["event"], first["stage"], first["level"]) == ("bad token=[redacted]", "aiohttp.server", "warning")
    assert second["event"] == "'%d'"
    assert "careful" in third["event"]


def test_configuring_again_moves_the_lines(tmp_path: Path) -> None:
    log = logs.get_logger()
    for name in ("first", "second"):
        logs.configure(tmp_path / name, lambda: NOW)
        log.info(name)
    logs.shutdown()

    for name in ("first", "second"):
        text = (tmp_path / name / "logs" / "execution_20251209.log").read_text()
        assert [json.loads(line)["event"] for line in text.splitlines()] == [name]


def test_log_health_tells_where_lines_go(home: Path) -> None:
    assert logs.log_health() == {"ok": True, "detail": str(home / "logs")}
    logs.shutdown()
    assert logs.log_health()["ok"]


class TestLibrary:
    """Nothing was configured: the host decides."""

    def test_importing_and_logging_configures_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        before = (logging.getLogger().handlers[:], logging.getLogger("router").handlers[:], structlog.get_config())
        logs.get_logger().info("quiet")
        assert (logging.getLogger().handlers, logging.getLogger("router").handlers, structlog.get_config()) == before
        assert logging.getLogger("router").propagate
        assert capsys.readouterr() == ("", "")

    def test_info_is_quiet_by_default_and_a_warning_reaches_the_host(self, caplog: pytest.LogCaptureFixture) -> None:
        log = logs.get_logger(env="paper")
        log.info("quiet")
        log.warning("careful", symbol="BTC/USD", percent="100%", token="abc")

        (record,) = caplog.records
        assert record.name == "router"
        assert record.getMessage() == "careful env=paper symbol=BTC/USD percent=100% token=[redacted]"
        assert record.__dict__["router"]["symbol"] == "BTC/USD"

    def test_the_host_may_turn_it_up(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, logger="router")
        logs.get_logger().debug("now seen")

        assert [record.getMessage() for record in caplog.records] == ["now seen"]

    def test_an_exception_is_redacted_for_the_host_too(self, caplog: pytest.LogCaptureFixture) -> None:
        treasure = "do-not-show-me"
        logs.get_logger().error("failed", exc_info=raised(ValueError(f"secret={treasure}")))

        assert "ValueError" in caplog.text
        assert treasure not in caplog.text
