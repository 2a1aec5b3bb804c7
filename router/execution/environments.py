"""What each enabled environment has: an account and an executor. There is no entry for live, and none for testnet
until it has an executor.

This module must not know the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from router.clock import Clock
from router.domain.enums import Environment
from router.domain.portfolio import Portfolio
from router.executors.base import Emit, OrderExecutor
from router.executors.paper import PaperExecutor
from router.executors.shadow import ShadowExecutor
from router.market.quotes import MarketData
from router.risk.account import Account
from router.risk.limits import LiveRiskLimits
from router.settings import Settings

EXECUTORS: Final[Mapping[str, Callable[..., OrderExecutor]]] = MappingProxyType(
    {Environment.PAPER.value: PaperExecutor, Environment.SHADOW.value: ShadowExecutor}
)


def accounts_for(settings: Settings, limits: LiveRiskLimits, market: MarketData) -> dict[str, Account]:
    """Return an account, with its starting balances, for every environment that is enabled and has an executor."""
    return {
        name: Account(Portfolio(settings.paper.starting_balances), market, limits.base_currency, limits.fixed_rates)
        for name in EXECUTORS
        if name in settings.execution.environments
    }


def executor_for(environment: str, settings: Settings, market: MarketData, clock: Clock, emit: Emit) -> OrderExecutor:
    """Return the executor of an environment that ``accounts_for`` named."""
    paper = settings.paper
    return EXECUTORS[environment](
        environment,
        market,
        clock,
        emit,
        maker_fee_bps=paper.maker_fee_bps,
        taker_fee_bps=paper.taker_fee_bps,
        latency_ms=paper.latency_ms,
        fill_model=paper.fill_model,
    )
