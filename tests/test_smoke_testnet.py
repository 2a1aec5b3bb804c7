"""The testnet's smoke test: it passes at both loopback venues, each of its steps can fail, and it leaves nothing."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import ExecutionPipeline, ExecutionResult, OrderIntent
from router.executors.testnet.guard import HostGuard
from router.executors.testnet.profiles import profile_of
from router.settings import load_settings
from tools.loopback import LoopbackVenue, Rule
from tools.smoke_steps import Smoke
from tools.smoke_test_testnet_stack import Done, has_keys, main, run, settings_for

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "tools" / "smoke_test_testnet_stack.py"
STEPS = ["connect", "clock", "balances", "markets", "start reconciliation", "market order", "resting limit", "amend"]
STEPS += ["cancel", "partial fill", "expiry", "duplicate id", "live is refused", "reconciliation", "clean up", "stop"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No key of the caller's, and a place of its own for what a run leaves."""
    for name in [name for name in os.environ if "_TESTNET_API_" in name or name.startswith("ROUTER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def start(*arguments: str, script: Path = SCRIPT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", str(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


def venues() -> list[str]:
    """Return the loopback venues that run as processes of their own, started from this test's folder for files."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environ = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:  # gone, or not ours
            continue
        if b"venue.py" in command and f"TMPDIR={os.environ['TMPDIR']}".encode() in environ:
            found.append(folder.name)
    return found


# -- a whole run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", ["binance", "bybit"])
def test_it_succeeds_at_a_loopback_venue_and_leaves_nothing(exchange: str, tmp_path: Path) -> None:
    process = start("--exchange", exchange)
    out, _ = process.communicate(timeout=120)

    lines = out.splitlines()
    assert lines[0].startswith(f"Testnet smoke test: {exchange}, BTC/USDT, at a loopback venue")
    assert [line.split(": ")[0] for line in lines[1:-1]] == [f"✅ {step}" for step in STEPS]
    assert all(line.endswith(" ms)") for line in lines[1:-1])
    assert (lines[-1], process.returncode) == ("SUCCESS", 0)
    assert (venues(), list(tmp_path.iterdir())) == ([], [])


def test_a_venue_that_the_configuration_names_is_the_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER__TESTNET__BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("BINANCE_TESTNET_API_KEY", "k")  # of that venue: it must not go to the real sandbox
    monkeypatch.setenv("BINANCE_TESTNET_API_SECRET", "s")
    assert main(["--exchange", "binance", "--timeout", "2"]) == 1
    out = capsys.readouterr().out
    assert "at testnet.base_url = http://127.0.0.1:9 " in out
    assert "only http://127.0.0.1:9 can be reached" in out
    assert out.endswith("FAILED: clock\n")


def test_it_answers_as_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--exchange", "bybit", "--venue", "loopback", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["result"], found["failed"], found["venue"]) == ("SUCCESS", None, "loopback")
    assert [(step["step"], step["outcome"]) for step in found["steps"]] == [(name, "ok") for name in STEPS]


def test_a_run_that_is_ended_from_outside_cancels_its_orders_and_ends_its_venue() -> None:
    process = start("--exchange", "binance")
    assert process.stdout is not None
    seen = []
    for line in process.stdout:  # a partly filled order works now, and the next step takes 2 s
        seen.append(line)
        if "partial fill" in line:
            break
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)

    assert "✅ clean up: " in out
    assert "nothing of this run is left working" in out
    assert out.splitlines()[-1] == "FAILED: interrupted"
    assert process.returncode == 1
    assert venues() == []


# -- each step can fail --------------------------------------------------------------------------------------------


class Bench:
    """A run against a loopback venue in this process."""

    def __init__(self, venue: LoopbackVenue, home: Path, seconds: float) -> None:
        os.environ |= {"BINANCE_TESTNET_API_KEY": venue.key, "BINANCE_TESTNET_API_SECRET": venue.secret}
        profile = profile_of("binance")
        assert profile is not None
        base = load_settings(environ={}, overrides={"safety.duplicate_window_s": "off"})  # else it answers for the id
        settings = settings_for(base, "binance", venue.url, home)
        self.smoke = Smoke(settings, profile, "BTC/USDT", local=True, seconds=seconds)
        self.done: list[Done] = []

    def before(self, name: str, sabotage: Callable[[], object]) -> None:
        """Have something go wrong just before a step."""
        at = next(number for number, step in enumerate(self.smoke.steps) if step.name == name)
        step = self.smoke.steps[at]

        async def spoilt() -> str:
            sabotage()
            return await step.run()

        self.smoke.steps = (*self.smoke.steps[:at], step._replace(run=spoilt), *self.smoke.steps[at + 1 :])

    async def run(self) -> str | None:
        return await run(self.smoke, self.done.append)

    @property
    def failure(self) -> str:
        return next(done.text for done in self.done if done.outcome == "failed")


def rule(match: str, kind: Any, **fields: Any) -> Callable[[LoopbackVenue], None]:
    return lambda venue: venue.faults.add(Rule(match, kind, times=None, **fields))


def delist(venue: LoopbackVenue) -> None:
    venue.exchange.delist("BTCUSDT")


def silence(venue: LoopbackVenue) -> None:
    venue.faults.stream.silent = True


def deposit(venue: LoopbackVenue) -> None:
    venue.exchange.deposit("BTC", Decimal(1))


def empty(venue: LoopbackVenue) -> None:
    venue.exchange.deposit("USDT", Decimal(-1_000_000))


def nothing(venue: LoopbackVenue) -> None:
    pass


FAILING = {
    "clock": (rule("GET /api/v3/time", "status"), "could not be asked"),
    "balances": (rule("GET /api/v3/account", "code", code="-2015"), "refused the keys"),
    "markets": (delist, "does not list BTC/USDT"),
    "start reconciliation": (rule("GET /api/v3/openOrders", "status"), "takes no order before its first"),
    "market order": (rule("POST /api/v3/order", "code", code="-2010"), "REJECTED"),
    "resting limit": (rule("POST /api/v3/order", "code", code="-2010"), "REJECTED"),
    "amend": (rule("PUT /api/v3/order/amend", "code", code="-1013"), "REJECTED"),
    "cancel": (rule("DELETE /api/v3/order", "hang"), "no answer"),
    "partial fill": (silence, "it is still SUBMITTED"),
    "expiry": (rule("DELETE /api/v3/order", "hang"), "no answer"),
    "duplicate id": (rule("GET /api/v3/openOrders", "not_found_once"), "0 orders"),
    "reconciliation": (deposit, "+1 BTC more than the router's books"),
}
SLOW = {"start reconciliation": 12.0, "partial fill": 2.0, "cancel": 2.0, "expiry": 4.0, "reconciliation": 3.0}


@pytest.mark.asyncio
@pytest.mark.parametrize("step", FAILING)
async def test_each_step_fails_when_the_venue_does_not_play(step: str, tmp_path: Path) -> None:
    sabotage, said = FAILING[step]
    async with LoopbackVenue("binance", seed=1) as venue:
        bench = Bench(venue, tmp_path, SLOW.get(step, 10.0))
        bench.before(step, lambda: sabotage(venue))

        assert await bench.run() == step

    assert said in bench.failure
    assert f"❌ {step}: " in bench.failure
    assert "→ " in bench.failure
    assert "Traceback" not in bench.failure
    assert venue.secret not in bench.failure


@pytest.mark.asyncio
async def test_an_account_that_cannot_pay_is_told_so(tmp_path: Path) -> None:
    async with LoopbackVenue("binance", seed=1) as venue:
        empty(venue)
        venue.exchange.deposit("USDT", Decimal(10))
        bench = Bench(venue, tmp_path, 10.0)

        assert await bench.run() == "markets"

    assert "more than the account holds" in bench.failure
    assert "POST /api/v3/order" not in venue.requests


@pytest.mark.asyncio
async def test_a_guard_that_lets_a_live_address_pass_fails_the_first_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(HostGuard, "check_request", lambda guard, request: None)
    async with LoopbackVenue("binance", seed=1) as venue:
        bench = Bench(venue, tmp_path, 10.0)

        assert await bench.run() == "connect"

    assert "CRITICAL: the guard let a request to api.binance.com pass" in bench.failure
    assert sum(venue.requests.values()) == 0


def submitting(change: Callable[[OrderIntent], OrderIntent]) -> Callable[..., Awaitable[ExecutionResult]]:
    """Return a ``submit_order`` that does not send what it was given."""
    real = ExecutionPipeline.submit_order

    async def submit_order(pipeline: ExecutionPipeline, intent: OrderIntent) -> ExecutionResult:
        return await real(pipeline, change(intent))

    return submit_order


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("step", "forgotten", "said"),
    [("duplicate id", "intent_id", "answered otherwise"), ("live is refused", "environment", "env=live was answered")],
)
async def test_a_router_that_forgets_what_it_must_not_fails(
    step: str, forgotten: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def forget(intent: OrderIntent) -> OrderIntent:
        fields = {name: getattr(intent, name) for name in OrderIntent.__struct_fields__}
        return OrderIntent(**fields | {forgotten: None})

    async with LoopbackVenue("binance", seed=1) as venue:
        bench = Bench(venue, tmp_path, 10.0)
        bench.before(step, lambda: monkeypatch.setattr(ExecutionPipeline, "submit_order", submitting(forget)))

        assert await bench.run() == step

    assert said in bench.failure


@pytest.mark.asyncio
async def test_what_cannot_be_cancelled_is_named_and_fails_the_run(tmp_path: Path) -> None:
    async with LoopbackVenue("binance", seed=1) as venue:
        bench = Bench(venue, tmp_path, 4.0)
        bench.before("live is refused", lambda: rule("DELETE /api/v3/order", "hang")(venue))

        assert await bench.run() == "clean up"

    assert "by hand" in bench.failure


@pytest.mark.asyncio
async def test_orders_of_a_failed_run_are_cancelled(tmp_path: Path) -> None:
    async with LoopbackVenue("binance", seed=1) as venue:
        bench = Bench(venue, tmp_path, 10.0)
        bench.before("amend", lambda: rule("PUT /api/v3/order/amend", "code", code="-1013")(venue))

        assert await bench.run() == "amend"

        assert venue.exchange.open_orders(None) == []
        assert [order.status for order in venue.exchange.orders.values()] == ["FILLED", "CANCELED"]


# -- where it runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["BINANCE_TESTNET_API_KEY", "BINANCE_TESTNET_API_SECRET_FILE"])
def test_any_key_of_the_venue_means_its_sandbox(name: str) -> None:
    assert has_keys("binance", {name: ""})
    assert not has_keys("bybit", {name: ""})


@pytest.mark.parametrize("name", ["BINANCE_TESTNET_API_KEY", "binance_testnet_api_key"])
def test_a_key_among_systemds_credentials_means_the_sandbox(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert has_keys("binance", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert not has_keys("bybit", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_half_of_the_keys_fails_at_the_sandbox_and_never_falls_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BINANCE_TESTNET_API_KEY", "half-of-it")

    assert main([]) == 1

    out = capsys.readouterr().out
    assert "at its real sandbox (BINANCE_TESTNET_API_KEY is set)" in out
    assert "BINANCE_TESTNET_API_SECRET not set" in out
    assert "half-of-it" not in out
    assert out.endswith("FAILED: connect\n")


@pytest.mark.parametrize(
    ("arguments", "last", "said", "code"),
    [
        (["--exchange", "kraken"], "FAILED: connect", "kraken has no sandbox", 1),
        (["--exchange", "okx"], "FAILED: connect", "loopback venues for binance and bybit only", 1),
        (["--symbol", "BTC/ABC"], "FAILED: markets", "BTC/ABC is not in", 1),
        (["--config", "nowhere.toml"], "FAILED: configuration", "nowhere.toml: no such file", 4),
    ],
)
def test_what_cannot_run_is_refused_in_a_sentence(
    arguments: list[str], last: str, said: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code

    out = capsys.readouterr().out
    assert said in out
    assert out.splitlines()[-1] == last


# -- any Python ----------------------------------------------------------------------------------------------------

ENTRIES = ["bootstrap.py", "check_live_readiness.py", "smoke_test_testnet_stack.py"]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout whose Python has none of the packages."""
    (tmp_path / "a checkout" / "tools").mkdir(parents=True)
    for name in ENTRIES:
        shutil.copy(ROOT / "tools" / name, tmp_path / "a checkout" / "tools" / name)
    return tmp_path / "a checkout"


def run_bare(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-S", str(script), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ENTRIES[1:])
def test_without_packages_it_says_how_to_get_them(bare: Path, name: str) -> None:
    found = run_bare(bare / "tools" / name)

    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == "Run `sh tools/router --help` once: it sets up what this script needs.\n"


@pytest.mark.parametrize("name", ENTRIES[1:])
def test_another_python_hands_over_to_the_projects(bare: Path, name: str) -> None:
    python = bare / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s|" "$@"\nexit 7\n')
    python.chmod(0o755)

    found = run_bare(bare / "tools" / name, "--exchange", "a b")

    assert (found.returncode, found.stdout) == (7, f"{bare / 'tools' / name}|--exchange|a b|")


@pytest.mark.parametrize("name", ENTRIES)
def test_an_old_python_can_read_what_sends_it_away(name: str) -> None:
    ast.parse((ROOT / "tools" / name).read_text(encoding="utf-8"), feature_version=(3, 7))
