"""Puts the testnet executor together, or says why there is none: no sandbox, no keys, a host that is none of its own.

This module must not know the chain, or what an order is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from router.clock import Clock
from router.domain.enums import Severity
from router.errors import RouterError
from router.executors.base import Emit
from router.executors.testnet.binance import BinanceDialect
from router.executors.testnet.bybit import BybitDialect
from router.executors.testnet.client import SandboxClient
from router.executors.testnet.credentials import read_credentials
from router.executors.testnet.dialect import Dialect
from router.executors.testnet.executor import TestnetExchangeOrderExecutor
from router.executors.testnet.generic import GenericDialect
from router.executors.testnet.limiter import Limiter
from router.executors.testnet.link import Link
from router.executors.testnet.profiles import no_sandbox_reason, profile_of
from router.executors.testnet.standing import VenueStanding
from router.logs import RouterLogger
from router.settings import Testnet

DIALECTS: Final[Mapping[str, Callable[[SandboxClient], Dialect]]] = {
    "binance": BinanceDialect,
    "bybit": BybitDialect,
    "generic": GenericDialect,
}


def refusal(settings: Testnet, environ: Mapping[str, str]) -> str | None:
    """Return why there can be no testnet executor (BLOCKED_BY_ENVIRONMENT), or None."""
    profile = profile_of(settings.venue)
    if profile is None:
        return no_sandbox_reason(settings.venue)
    try:
        read_credentials(profile, environ, base_url=settings.base_url)
    except RouterError as error:
        return str(error)
    return None


def build(
    environment: str,
    settings: Testnet,
    environ: Mapping[str, str],
    clock: Clock,
    emit: Emit,
    log: RouterLogger,
    *,
    symbols: Iterable[str],
    alert: Callable[[str, Severity], None],
) -> TestnetExchangeOrderExecutor:
    """Return the executor of a venue that ``refusal`` has nothing against.

    Raises:
        RouterError: the guard refuses the venue's addresses.
    """
    profile = profile_of(settings.venue)
    assert profile is not None, "a venue without a sandbox is refused before"
    credentials = read_credentials(profile, environ, base_url=settings.base_url)
    for warning in credentials.warnings:
        log.warning("credentials", venue=profile.venue, reason=warning)
    client = SandboxClient(
        profile,
        credentials,
        base_url=settings.base_url,
        recv_window_ms=settings.recv_window_ms,
        clock=clock,
        timeout_ms=2 * settings.recv_window_ms,  # past recvWindow nothing is executed any more, so no news will come
    )
    limiter = Limiter(profile.budget, clock)
    client.on_weight = limiter.drain
    link = Link(client, limiter, VenueStanding(clock, on_change=alert), clock, log)
    return TestnetExchangeOrderExecutor(
        environment,
        link,
        DIALECTS[profile.dialect](client),
        clock,
        emit,
        log,
        symbols=symbols,
        recv_window_ms=settings.recv_window_ms,
    )
