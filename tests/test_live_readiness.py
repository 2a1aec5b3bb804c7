"""The readiness check passes where a session could start, and every single check of it can fail."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from router.execution import environments
from router.executors.testnet.guard import HostGuard
from router.governance import go_no_go
from router.market.instruments import load_instruments
from tests.pipelines import intent
from tests.pipelines import settings as pipeline_settings
from tools import check_live_readiness
from tools.check_live_readiness import examine, main
from tools.loopback import LoopbackVenue, Rule
from tools.sandbox_checks import differences

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ["risk limits", "instruments", "configuration files", "governance lock", "home", "disk", "journal"]
REMOTE = ["sandbox", "keys", "host guard", "clock", "account", "symbols"]


class Place(NamedTuple):
    """A configuration of its own that may be spoilt."""

    config: Path
    home: Path

    def write(self, name: str, old: str, new: str) -> None:
        file = self.config.parent / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in [name for name in os.environ if "_TESTNET_API_" in name or name.startswith("ROUTER_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    for file in (tmp_path / "config").rglob("*.toml"):
        file.chmod(0o644)
    monkeypatch.setenv("ROUTER_HOME", str(tmp_path / "var"))
    return Place(tmp_path / "config" / "config.toml", tmp_path / "var")


class Answer(NamedTuple):
    code: int
    lines: list[str]

    def of(self, check: str) -> str:
        return next(line for line in self.lines if line.split(": ")[0].split()[1:] == check.split())


def check(place: Place, capsys: pytest.CaptureFixture[str], *arguments: str) -> Answer:
    code = main(["--config", str(place.config), *arguments])
    return Answer(code, capsys.readouterr().out.splitlines())


def fails(answer: Answer, name: str, said: str, *, code: int = 1) -> None:
    """Assert that one check, and only that one, has failed and says why."""
    assert answer.of(name).startswith(f"❌ {name}: ")
    assert said in answer.of(name)
    assert (answer.lines[-1], answer.code) == (f"❌ 1 check failed: {name}", code)


# -- this machine --------------------------------------------------------------------------------------------------


def test_the_shipped_configuration_is_ready_and_nothing_is_made(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = check(place, capsys)

    assert (answer.lines[-1], answer.code) == ("✅ All checks passed", 0)
    names = [" ".join(line.split(": ")[0].split()[1:]) for line in answer.lines[:-1]]
    assert names == ["configuration", *LOCAL, "paper", "shadow"]
    assert not place.home.exists()


def test_the_answer_as_json(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write("risk_limits.toml", "max_drawdown", "# max_drawdown")

    assert main(["--config", str(place.config), "--stage", "paper", "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["stages"], found["failed"]) == (False, ["paper"], ["risk limits"])
    assert [each["check"] for each in found["checks"]] == ["configuration", *LOCAL, "paper"]


@pytest.mark.parametrize(
    ("new", "said"), [('api_key = "k"\nhome =', "credential"), ("hom =", "did you mean"), ("home", "not valid TOML")]
)
def test_wrong_settings_are_bad_configuration(
    new: str, said: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.write("config.toml", "home =", new)
    answer = check(place, capsys)

    assert len(answer.lines) == 2
    fails(answer, "configuration", said, code=4)


def test_a_missing_limit_fails(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write("risk_limits.toml", "max_daily_loss", "# max_daily_loss")
    fails(check(place, capsys), "risk limits", "max_daily_loss missing", code=4)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [('base = "BTC"', 'base = "ETH"', "contradicts"), ("tradable = true", "tradable = false", "nothing in it")],
)
def test_wrong_instruments_fail(
    old: str, new: str, said: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.write("instruments.toml", old, new)
    fails(check(place, capsys), "instruments", said, code=4)


@pytest.mark.parametrize("name", ["config.toml", "risk_limits.toml", "presets/conservative_crypto.toml"])
def test_a_file_that_everybody_may_change_fails(name: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.config.parent / name).chmod(0o666)
    fails(check(place, capsys), "configuration files", f"{name}: chmod o-w it")


@pytest.mark.parametrize("status", ["approved", "unknown"])
def test_a_live_feature_that_is_not_locked_fails(
    status: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, "live_order_execution", status)
    fails(check(place, capsys), "governance lock", f"live_order_execution is {status}")


def test_a_live_executor_fails(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = environments.EXECUTORS["paper"]
    monkeypatch.setattr(check_live_readiness, "EXECUTORS", {**environments.EXECUTORS, "live": paper})
    fails(check(place, capsys), "governance lock", "there is an executor for live")


def test_a_home_that_is_a_file_fails(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.home.touch()
    fails(check(place, capsys), "home", f"{place.home} cannot be written: Not a directory")


def test_a_full_disk_fails(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 5 << 20))
    fails(check(place, capsys), "disk", "only 5 MiB free")


@pytest.mark.asyncio
async def test_a_journal_that_was_changed_fails(place: Place) -> None:
    from router import ExecutionPipeline

    settings = pipeline_settings(place.home)
    async with ExecutionPipeline("paper", settings) as pipeline:
        assert (await pipeline.submit_order(intent())).is_success
    journal = {each.check: each for each in await examine(settings, ["paper"], {})}["journal"]
    assert journal.ok
    assert "the chain holds" in journal.detail

    with closing(sqlite3.connect(place.home / "journal.db")) as db:
        db.execute("UPDATE events SET payload = payload || ' ' WHERE seq = 2")
        db.commit()

    failed = [each for each in await examine(settings, ["paper"], {}) if not each.ok]
    assert [each.check for each in failed] == ["journal"]
    assert str(place.home / "journal.db") in failed[0].detail


def test_a_stage_that_is_not_enabled_fails(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write("config.toml", 'environments = ["paper", "shadow"]', 'environments = ["paper"]')
    fails(check(place, capsys, "--stage", "shadow"), "shadow", "add it to execution.environments (now: paper)")


def test_invented_prices_are_no_market_for_shadow(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    answer = check(place, capsys, "--stage", "shadow")

    assert answer.of("shadow").startswith("⚠️  shadow: enabled, but on invented prices")
    assert answer.lines[-1] == "✅ All checks passed"


# -- the sandbox ---------------------------------------------------------------------------------------------------


class Testnet:
    """A loopback venue and the settings that point at it."""

    __test__ = False

    def __init__(self, venue: LoopbackVenue, home: Path, **overrides: object) -> None:
        self.venue = venue
        base: dict[str, object] = {"execution.environments": ["testnet"], "market_data.source": "static"}
        named = {"testnet.venue": venue.name, "testnet.base_url": venue.url}
        self.settings = pipeline_settings(
            home, base | named | {key.replace("__", "."): overrides[key] for key in overrides}
        )
        prefix = venue.name.upper()
        self.environ = {f"{prefix}_TESTNET_API_KEY": venue.key, f"{prefix}_TESTNET_API_SECRET": venue.secret}

    async def failed(self, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        findings = await examine(self.settings, ["testnet"], self.environ if environ is None else environ)
        assert [each.check for each in findings] == [*LOCAL, "testnet", *REMOTE]
        assert not any(self.venue.secret in each.detail or "Traceback" in each.detail for each in findings)
        return {each.check: each.detail for each in findings if not each.ok}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["binance", "bybit"])
async def test_a_sandbox_that_is_ready_passes_and_sees_no_order(name: str, place: Place) -> None:
    async with LoopbackVenue(name, seed=1) as venue:
        assert await Testnet(venue, place.home).failed() == {}
        assert venue.exchange.orders == {}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("check_name", "fault", "said"),
    [
        ("clock", Rule("GET /api/v3/time", "status", times=None), "could not be asked"),
        ("account", Rule("GET /api/v3/account", "code", times=None, code="-2015"), "refused the keys"),
        ("symbols", Rule("GET /api/v3/exchangeInfo", "status", times=None), "could not be asked"),
    ],
)
async def test_a_venue_that_does_not_answer_fails(check_name: str, fault: Any, said: str, place: Place) -> None:
    async with LoopbackVenue("binance", seed=1) as venue:
        venue.faults.add(fault)
        failed = await Testnet(venue, place.home).failed()

    assert check_name in failed
    assert said in failed[check_name]


@pytest.mark.asyncio
async def test_a_clock_that_is_wrong_by_more_than_the_window_fails(place: Place) -> None:
    async with LoopbackVenue("binance", seed=1) as venue:
        venue.exchange.clock_offset_ms = -5000
        failed = await Testnet(venue, place.home).failed()

    assert list(failed) == ["clock"]
    assert "more than testnet.recv_window_ms = 5000. Set this machine's clock" in failed["clock"]


@pytest.mark.asyncio
async def test_missing_keys_fail(place: Place) -> None:
    async with LoopbackVenue("binance", seed=1) as venue:
        testnet = Testnet(venue, place.home)
        failed = await testnet.failed({"BINANCE_TESTNET_API_KEY": venue.key})

    assert list(failed) == ["keys", "account"]
    assert "BINANCE_TESTNET_API_SECRET not set" in failed["keys"]
    assert failed["account"] == "not checked: there are no keys"


@pytest.mark.asyncio
async def test_a_key_file_that_everybody_may_read_fails(place: Place, tmp_path: Path) -> None:
    async with LoopbackVenue("binance", seed=1) as venue:
        testnet, file = Testnet(venue, place.home), tmp_path / "secret"
        file.write_text(venue.secret)
        file.chmod(0o644)
        environ = {"BINANCE_TESTNET_API_KEY": venue.key, "BINANCE_TESTNET_API_SECRET_FILE": str(file)}
        failed = await testnet.failed(environ)
        file.chmod(0o600)
        assert await testnet.failed(environ) == {}

    assert list(failed) == ["keys"]
    assert "chmod it to 600" in failed["keys"]


@pytest.mark.asyncio
async def test_an_empty_account_fails(place: Place) -> None:
    async with LoopbackVenue("binance", seed=1) as venue:
        for currency, (free, _) in venue.exchange.balances().items():
            venue.exchange.deposit(currency, -free)
        failed = await Testnet(venue, place.home).failed()

    assert list(failed) == ["account"]
    assert "the account is empty" in failed["account"]


@pytest.mark.asyncio
@pytest.mark.parametrize("broken", ["check_request", "check_url"])
async def test_a_guard_that_lets_a_live_address_pass_fails_and_nothing_leaves(
    broken: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HostGuard, broken, lambda *_: None)
    async with LoopbackVenue("binance", seed=1) as venue:
        failed = await Testnet(venue, place.home).failed()

    assert list(failed) == ["host guard"]
    assert failed["host guard"].startswith("CRITICAL: the guard let a request to api.binance.com pass")


def test_a_venue_without_a_sandbox_fails(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUTER__TESTNET__VENUE", "kraken")
    monkeypatch.setenv("ROUTER__EXECUTION__ENVIRONMENTS", "testnet")
    answer = check(place, capsys)

    assert "kraken has no sandbox that can be used" in answer.of("sandbox")
    assert answer.of("clock") == "❌ clock: not checked: there is no sandbox"
    assert (answer.lines[-1], answer.code) == (f"❌ {len(REMOTE)} checks failed: {', '.join(REMOTE)}", 1)


@pytest.mark.asyncio
async def test_a_venue_that_is_not_verified_is_a_warning(place: Place) -> None:
    settings = pipeline_settings(
        place.home,
        {"testnet.venue": "bitget", "testnet.base_url": "http://127.0.0.1:1", "execution.environments": ["testnet"]},
    )
    found = {each.check: each for each in await examine(settings, ["testnet"], {})}

    assert (found["sandbox"].ok, found["sandbox"].warning) == (True, True)
    assert "not verified" in found["sandbox"].detail


@pytest.mark.asyncio
async def test_symbols_that_the_venue_has_otherwise_fail(place: Place) -> None:
    async with LoopbackVenue("binance", seed=1) as venue:
        venue.exchange.market("ETHUSDT").status = "BREAK"
        failed = await Testnet(venue, place.home).failed()
        assert list(failed) == ["symbols"]
        assert "ETH/USDT does not trade there now" in failed["symbols"]

        for symbol in list(venue.exchange.markets)[1:]:
            venue.exchange.delist(symbol)
        settings = Testnet(venue, place.home)
        assert await settings.failed() == {}  # one is left: the others are a warning
        venue.exchange.delist(*venue.exchange.markets)
        assert "list of markets is empty" in (await settings.failed())["symbols"]


@pytest.mark.parametrize(
    ("name", "theirs", "ok"),
    [
        ("tick_size", "0.1", False),
        ("tick_size", "0.001", True),
        ("lot_size", "0.0001", False),
        ("lot_size", "0.000001", True),
        ("min_quantity", "0.0001", False),
        ("min_quantity", "0.000001", True),
        ("max_quantity", "10", False),
        ("max_quantity", "10000", True),
        ("min_notional", "10", False),
        ("min_notional", "1", True),
    ],
)
def test_steps_fit_when_the_venue_would_take_all_of_ours(name: str, theirs: str, *, ok: bool) -> None:
    ours = load_instruments(ROOT / "config" / "instruments.toml")["BTC/USDT"]
    venue = msgspec.structs.replace(ours, **{name: type(ours.tick_size)(theirs)})

    found = differences(ours, venue)

    assert found == ([] if ok else [f"BTC/USDT {name} is {getattr(ours, name)}, there {theirs}"])
