"""Where market data comes from: a feed writes into ``MarketData`` until it is exhausted or cancelled.

This package must not know who reads the quotes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from router.clock import Clock
from router.domain.market import Instrument
from router.errors import ConfigError
from router.market.feeds.replay import ReplayFeed
from router.market.feeds.static import StaticFeed
from router.market.feeds.synthetic import SyntheticFeed
from router.market.quotes import MarketData
from router.settings import MarketData as MarketDataSettings


class Feed(Protocol):
    """A source of updates."""

    async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
        """Feed ``market``; call ``ready`` once first quotes are there; return when exhausted.

        Raises:
            MarketDataError: what it reads is malformed; the message names where.
        """
        ...


def feed_from(
    settings: MarketDataSettings,
    instruments: Mapping[str, Instrument],
    clock: Clock,
    pace: Callable[[], Awaitable[None]] | None = None,
) -> Feed:
    """Return the feed that ``[market_data]`` asks for.

    Args:
        settings: the section of the configuration.
        instruments: what may be traded, by symbol.
        clock: what the feed sleeps on.
        pace: awaited by a replay after every slice of recorded time, so that others keep up with it.

    Raises:
        ConfigError: the section cannot make a feed; the key is named.
    """
    if settings.source == "static":
        return StaticFeed(settings.static, instruments, clock)
    if settings.source == "synthetic":
        return SyntheticFeed(instruments, clock, seed=settings.seed, interval_ms=settings.interval_ms)
    if settings.source == "replay":
        paths = [Path(name).expanduser() for name in settings.paths]
        return ReplayFeed(paths, speed=settings.speed_factor, clock=clock, pace=pace)
    raise ConfigError(
        f'market_data.source = "{settings.source}" comes with the testnet executor; '
        'use "static", "synthetic" or "replay"'
    )
