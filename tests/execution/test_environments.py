"""Which environments have an account and an executor, and that live never has one."""

from __future__ import annotations

from pathlib import Path

from router.clock import VirtualClock
from router.execution.environments import EXECUTORS, accounts_for, executor_for
from router.market.quotes import MarketData
from router.risk.limits import limit_files, read_limits
from router.settings import load_settings


def test_neither_live_nor_testnet_has_an_executor() -> None:
    assert set(EXECUTORS) == {"paper", "shadow"}


def test_only_an_enabled_environment_gets_an_account_of_its_own(tmp_path: Path) -> None:
    settings = load_settings(None, overrides={"execution.home": str(tmp_path), "execution.environments": ["shadow"]})
    accounts = accounts_for(settings, read_limits(limit_files(settings)), MarketData(VirtualClock()))

    assert list(accounts) == ["shadow"]
    assert accounts["shadow"].portfolio.cash == settings.paper.starting_balances


def test_each_executor_works_the_environment_it_was_made_for(tmp_path: Path) -> None:
    settings = load_settings(None, overrides={"execution.home": str(tmp_path)})
    clock = VirtualClock()
    for name in EXECUTORS:
        executor = executor_for(name, settings, MarketData(clock), clock, lambda report: None)
        assert (executor.environment, executor.remote) == (name, False)
