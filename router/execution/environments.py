"""What each enabled environment has: an account, an executor and, where a venue keeps a book of its own, a reconciler.

There is no entry for live. The testnet's parts are imported only when one is configured: they cost 0.7 s and 100 MB.
This module must not know the chain.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from router.clock import Clock
from router.domain.enums import Environment, Severity
from router.domain.market import Instrument
from router.domain.portfolio import Portfolio
from router.domain.report import ExecutionReport
from router.errors import ConfigError, RouterError
from router.executors.base import OrderExecutor
from router.executors.paper import PaperExecutor
from router.executors.shadow import ShadowExecutor
from router.logs import RouterLogger
from router.market.feeds import Feed, feed_from
from router.market.quotes import MarketData
from router.risk.account import Account
from router.risk.limits import LiveRiskLimits
from router.settings import Settings

if TYPE_CHECKING:
    from router.market.feeds.ccxt import PublicQuotes


class Teller(Protocol):
    """Who an executor tells what it learns: the tracker."""

    def report(self, report: ExecutionReport) -> None: ...

    def alert(self, severity: Severity, topic: str, message: str) -> str: ...


class Parts(NamedTuple):
    """What an executor is made of."""

    settings: Settings
    instruments: Mapping[str, Instrument]
    market: MarketData
    clock: Clock
    teller: Teller
    log: RouterLogger


def _simulated(executor: Callable[..., OrderExecutor]) -> Callable[[str, Parts], OrderExecutor]:
    def build(environment: str, parts: Parts) -> OrderExecutor:
        paper = parts.settings.paper
        return executor(
            environment,
            parts.market,
            parts.clock,
            parts.teller.report,
            maker_fee_bps=paper.maker_fee_bps,
            taker_fee_bps=paper.taker_fee_bps,
            latency_ms=paper.latency_ms,
            fill_model=paper.fill_model,
        )

    return build


def _testnet(environment: str, parts: Parts) -> OrderExecutor:
    def alert(text: str, severity: Severity) -> None:
        parts.teller.alert(severity, "venue", text)

    from router.executors.testnet.build import build  # noqa: PLC0415 -- see the module's docstring

    return build(
        environment,
        parts.settings.testnet,
        os.environ,
        parts.clock,
        parts.teller.report,
        parts.log,
        symbols=parts.instruments,
        alert=alert,
    )


EXECUTORS: Final[Mapping[str, Callable[[str, Parts], OrderExecutor]]] = MappingProxyType(
    {
        Environment.PAPER.value: _simulated(PaperExecutor),
        Environment.SHADOW.value: _simulated(ShadowExecutor),
        Environment.TESTNET.value: _testnet,
    }
)


def feed_for(parts: Parts) -> Feed:
    """Return the feed that ``[market_data]`` asks for.

    Raises:
        ConfigError: there can be none; the key is named.
    """

    def public() -> PublicQuotes:
        from router.executors.testnet.public import sandbox_quotes  # noqa: PLC0415 -- see the module's docstring

        try:
            return sandbox_quotes(parts.settings.testnet, parts.clock)
        except RouterError as error:
            raise ConfigError(f'market_data.source = "ccxt" shows the venue in testnet.venue: {error}') from None

    return feed_from(parts.settings.market_data, parts.instruments, parts.clock, public=public, log=parts.log)


def refusals(settings: Settings) -> dict[str, str]:
    """Return the enabled environments that have no executor here, and why."""
    if Environment.TESTNET not in settings.execution.environments:
        return {}
    from router.executors.testnet.build import refusal  # noqa: PLC0415 -- see the module's docstring

    why = refusal(settings.testnet, os.environ)
    return {} if why is None else {Environment.TESTNET.value: why}


def venue_names(settings: Settings) -> dict[str, str]:
    """Return the name of each enabled environment's venue; a simulated one is called like its environment."""
    real = {Environment.TESTNET.value: settings.testnet.venue}
    return {name: real.get(name, name) for name in settings.execution.environments}


def accounts_for(
    settings: Settings, limits: LiveRiskLimits, market: MarketData, refused: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Account]:
    """Return an account for every environment that is enabled, has an executor and is not ``refused``; a testnet's is
    empty until its venue has told what it holds."""
    balances: dict[str, dict[str, Any]] = {Environment.TESTNET.value: {}}
    return {
        name: Account(
            Portfolio(balances.get(name, settings.paper.starting_balances)),
            market,
            limits.base_currency,
            limits.fixed_rates,
        )
        for name in EXECUTORS
        if name in settings.execution.environments and name not in refused
    }


def executor_for(environment: str, parts: Parts) -> OrderExecutor:
    """Return the executor of an environment that ``accounts_for`` named."""
    return EXECUTORS[environment](environment, parts)
