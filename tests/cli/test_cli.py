"""Every failure ends in one or two lines and a documented exit code, and small answers come fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from router.cli import governance, main
from router.cli.common import ExitCode
from tests.cli.processes import Run, command, environment


def test_help_names_every_command_and_exit_code(run: Run) -> None:
    ended = run("--help")

    assert ended.code == 0
    for word in ("serve", "demo", "submit", "orders", "order", "cancel", "status", "governance", "explain", "journal",
                 "config", "bench"):  # fmt: skip
        assert word in ended.out
    assert "10 answered but not" in ended.out
    assert run("--version").out.startswith("router ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "nonsense"),
        (["explain", "--nonsense"], "--nonsense"),
        (["submit", "BTC/USD", "buy"], "--quantity"),
        (["submit", "BTC/USD", "buy", "a lot"], '"a lot" is not a number'),
        (["submit", "BTC/USD", "buy", "1", "--price", "cheap"], '"cheap" is not a number'),
        (["submit", "BTC/USD", "buy", "1", "--timeout", "soon"], "soon"),
        (["explain", "FILED"], "did you mean FILLED"),
        (["explain", "FILLED", "--lang", "fr"], "fr"),
        (["cancel"], "--all"),
        (["cancel", "U1", "--all"], "--all"),
        (["cancel", "U1", "--symbol", "BTC/USD"], "--all"),
        (["demo", "--intents", "0"], "above 0"),
        (["demo", "--speed", "NaN"], "above 0"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(run: Run, arguments: list[str], said: str) -> None:
    ended = run(*arguments)

    assert ended.code == ExitCode.USAGE
    assert said in ended.err
    assert 1 <= len(ended.err.splitlines()) <= 2
    assert ended.out == ""


@pytest.mark.parametrize("name", ["submit BTC/USD buy 1", "orders", "order U1", "cancel --all", "status"])
def test_no_router_is_3_and_names_the_socket(run: Run, config: Path, name: str) -> None:
    ended = run(*name.split(), "--config", config)

    assert ended.code == ExitCode.NOT_RUNNING
    assert "router.sock" in ended.err
    assert "router serve" in ended.err


@pytest.mark.parametrize("name", ["serve", "demo", "status", "config show", "governance", "journal verify"])
def test_a_bad_configuration_is_4_and_names_file_and_key(run: Run, config: Path, name: str) -> None:
    config.write_text("[execution]\nhoem = 1\n")
    ended = run(*name.split(), "--config", config)

    assert ended.code == ExitCode.CONFIGURATION
    assert str(config) in ended.err
    assert "home" in ended.err, "the nearest known key"
    assert len(ended.err.splitlines()) <= 2


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 1, "interrupted"),
        (TimeoutError(), 5, "no answer in time"),
        (ExceptionGroup("many", [ExceptionGroup("one", [TimeoutError("too slow")])]), 5, "too slow"),
        (BrokenPipeError(), 1, ""),
        (SystemExit(7), 7, ""),
    ],
)
def test_expected_failures_have_their_codes(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    monkeypatch.setattr("router.cli.common._silence", lambda _: None)
    ended = failing(run, monkeypatch, error)

    assert ended.code == code
    assert said in ended.err
    assert len(ended.err.splitlines()) == bool(said)


def failing(run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, *more: object):  # type: ignore[no-untyped-def]
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(governance, "register", fail)
    return run("governance", *more)


def test_an_unexpected_failure_is_1_with_its_trace_in_the_log_only(
    run: Run, monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    ended = failing(run, monkeypatch, ZeroDivisionError("inside"), "--config", config)

    assert ended.code == 1
    assert "Traceback" not in ended.err
    first, second = ended.err.splitlines()
    assert first == "router: unexpected ZeroDivisionError: inside"
    log = Path(second.rpartition(" in ")[2])
    assert log.parent == config.parent / "home" / "logs"
    assert '"exc_type":"ZeroDivisionError"' in log.read_text()


def test_a_reader_that_has_seen_enough_ends_it_quietly(config: Path) -> None:
    process = subprocess.Popen(
        command("config", "schema"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=20)

    assert err == b""
    assert process.returncode == 1


def test_a_full_disk_behind_stdout_is_told(config: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            command("config", "schema", "--config", config),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            timeout=20,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr.startswith("router: [Errno 28] No space left on device")
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


LOADED = """
import sys
from router.cli import main
main(sys.argv[1:])
print(*sorted(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["explain", "FILLED"], ["--help"], ["governance"]])
def test_a_small_answer_loads_nothing_heavy(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=20,
        check=True,
    )

    loaded = set(ended.stderr.split())
    assert "router.cli" in loaded
    assert not loaded & {"aiohttp", "aiosqlite", "ccxt", "structlog", "router.execution.pipeline"}


def test_main_without_arguments_reads_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["router", "explain", "FILLED"])

    assert main() == 0
    assert "FILLED" in capsys.readouterr().out
