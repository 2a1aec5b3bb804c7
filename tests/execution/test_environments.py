"""Which environments have an account and an executor, why one cannot be had, and that live never has one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import run as run_process

import pytest

from router.clock import VirtualClock
from router.domain.enums import Severity
from router.domain.report import ExecutionReport
from router.errors import ConfigError
from router.execution.environments import EXECUTORS, Parts, accounts_for, executor_for, feed_for, refusals
from router.execution.venues import RemoteVenue
from router.logs import get_logger
from router.market.feeds.ccxt import CcxtFeed
from router.market.instruments import load_instruments
from router.market.quotes import MarketData
from router.risk.limits import limit_files, read_limits
from router.settings import Settings, load_settings

TESTNET = {"execution.environments": ["paper", "testnet"]}
LOOPBACK = TESTNET | {"testnet.base_url": "http://127.0.0.1:1"}
KEYS = ("BINANCE_TESTNET_API_KEY", "BINANCE_TESTNET_API_SECRET")


class Silent:
    """Is told things, and keeps them."""

    def __init__(self) -> None:
        self.alerts: list[tuple[Severity, str, str]] = []

    def report(self, report: ExecutionReport) -> None: ...

    def alert(self, severity: Severity, topic: str, message: str) -> str:
        self.alerts.append((severity, topic, message))
        return ""


def configured(tmp_path: Path, overrides: Mapping[str, object]) -> Settings:
    return load_settings(None, environ={}, overrides={"execution.home": str(tmp_path), **overrides})


def parts(tmp_path: Path, overrides: Mapping[str, object]) -> Parts:
    settings, clock = configured(tmp_path, overrides), VirtualClock()
    instruments = load_instruments(settings.instruments_path)
    return Parts(settings, instruments, MarketData(clock), clock, Silent(), get_logger())


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        for ending in ("", "_FILE"):
            monkeypatch.delenv(name + ending, raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def test_live_has_no_executor() -> None:
    assert set(EXECUTORS) == {"paper", "shadow", "testnet"}


def test_only_an_enabled_environment_gets_an_account_of_its_own(tmp_path: Path) -> None:
    settings = configured(tmp_path, {"execution.environments": ["shadow"]})
    accounts = accounts_for(settings, read_limits(limit_files(settings)), MarketData(VirtualClock()))

    assert list(accounts) == ["shadow"]
    assert accounts["shadow"].portfolio.cash == settings.paper.starting_balances


def test_a_testnets_account_is_empty_and_a_refused_environment_has_none(tmp_path: Path) -> None:
    settings, market = configured(tmp_path, TESTNET), MarketData(VirtualClock())
    limits = read_limits(limit_files(settings))
    accounts = accounts_for(settings, limits, market)
    assert list(accounts) == ["paper", "testnet"]
    assert accounts["testnet"].portfolio.cash == {}
    assert list(accounts_for(settings, limits, market, {"testnet": "no keys"})) == ["paper"]


@pytest.mark.parametrize(("environment", "is_venue"), [("paper", False), ("shadow", False), ("testnet", True)])
def test_each_executor_works_the_environment_it_was_made_for(tmp_path: Path, environment: str, is_venue: bool) -> None:
    executor = executor_for(environment, parts(tmp_path, LOOPBACK))
    assert (executor.environment, executor.remote) == (environment, is_venue)
    assert isinstance(executor, RemoteVenue) is is_venue


def test_what_a_venue_has_to_tell_is_alerted(tmp_path: Path) -> None:
    made = parts(tmp_path, LOOPBACK)
    executor = executor_for("testnet", made)
    executor._link.standing._on_change("binance is banned", Severity.CRITICAL)  # type: ignore[attr-defined]
    assert made.teller.alerts == [(Severity.CRITICAL, "venue", "binance is banned")]  # type: ignore[attr-defined]


# -- what cannot be had --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_keys")
def test_a_testnet_without_keys_is_refused_and_the_keys_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configured(tmp_path, TESTNET)
    assert list(refusals(settings)) == ["testnet"]
    for name in KEYS:
        assert name in refusals(settings)["testnet"]
        monkeypatch.setenv(name, "x" * 64)
    assert refusals(settings) == {}


@pytest.mark.usefixtures("no_keys")
def test_a_venue_without_a_sandbox_is_refused_with_those_that_have_one(tmp_path: Path) -> None:
    why = refusals(configured(tmp_path, LOOPBACK | {"testnet.venue": "kraken"}))["testnet"]
    assert "kraken" in why
    assert "bybit" in why


@pytest.mark.usefixtures("no_keys")
def test_nothing_is_refused_that_is_not_enabled_or_needs_no_keys(tmp_path: Path) -> None:
    assert refusals(configured(tmp_path, {})) == {}
    assert refusals(configured(tmp_path, LOOPBACK)) == {}


def test_without_a_testnet_nothing_of_it_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from router.execution.environments import *\n"
        "from router.execution import pipeline\n"
        "from router.settings import load_settings\n"
        "refusals(load_settings(None, environ={}))\n"
        "print([name for name in sys.modules if name == 'ccxt' or name.endswith('testnet.client')])\n"
    )
    done = run_process([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# -- the feed ------------------------------------------------------------------------------------------------------


def test_the_ccxt_feed_shows_the_testnets_venue(tmp_path: Path) -> None:
    made = parts(tmp_path, {"market_data.source": "ccxt", "testnet.base_url": "http://127.0.0.1:1"})
    assert isinstance(feed_for(made), CcxtFeed)
    assert not isinstance(feed_for(parts(tmp_path, {})), CcxtFeed)


@pytest.mark.parametrize("wrong", [{"testnet.venue": "kraken"}, {"testnet.base_url": "http://example.org"}])
def test_a_feed_of_a_venue_that_cannot_be_had_names_the_key(tmp_path: Path, wrong: dict[str, object]) -> None:
    made = parts(tmp_path, {"market_data.source": "ccxt", **wrong})
    with pytest.raises(ConfigError, match=r'^market_data\.source = "ccxt" shows the venue in testnet\.venue: '):
        feed_for(made)
