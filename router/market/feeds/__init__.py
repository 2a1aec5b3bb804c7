"""Where market data comes from: a feed writes into ``MarketData`` until it is exhausted or cancelled.

This package must not know who reads the quotes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from router.clock import Clock
from router.domain.market import Instrument
from router.logs import RouterLogger, get_logger
from router.market.feeds.replay import ReplayFeed
from router.market.feeds.static import StaticFeed
from router.market.feeds.synthetic import SyntheticFeed
from router.market.quotes import MarketData
from router.settings import MarketData as MarketDataSettings

if TYPE_CHECKING:
    from router.market.feeds.ccxt import PublicQuotes


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
    *,
    public: Callable[[], PublicQuotes] | None = None,
    log: RouterLogger | None = None,
) -> Feed:
    """Return the feed that ``[market_data]`` asks for.

    Args:
        settings: the section of the configuration.
        instruments: what may be traded, by symbol.
        clock: what the feed sleeps on.
        pace: awaited by a replay after every slice of recorded time, so that others keep up with it.
        public: makes whoever reaches the venue of ``source = "ccxt"``; called for that source only.
        log: where a feed tells of trouble that it gets over by itself.

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
    from router.market.feeds.ccxt import CcxtFeed  # noqa: PLC0415 -- nobody else needs it

    assert public is not None, "this source needs somebody who reaches its venue"
    return CcxtFeed(public(), instruments, clock, log or get_logger(), max_age_s=settings.max_age_s)
