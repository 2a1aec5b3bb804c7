"""Which feed the configuration asks for."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from router.clock import VirtualClock
from router.domain.market import Instrument
from router.market.feeds import feed_from
from router.market.feeds.ccxt import Best, CcxtFeed
from router.market.feeds.replay import ReplayFeed
from router.market.feeds.static import StaticFeed
from router.market.feeds.synthetic import SyntheticFeed
from router.market.quotes import MarketData
from router.settings import MarketData as MarketDataSettings
from router.settings import StaticQuote
from tests.recordings import small_market

D = Decimal
INSTRUMENTS = {
    "BTC/USDT": Instrument(
        symbol="BTC/USDT",
        base="BTC",
        quote="USDT",
        tick_size=D(1),
        lot_size=D(1),
        min_quantity=D(1),
        max_quantity=D(1),
        min_notional=D(1),
    )
}


class Nobody:
    """Reaches no venue."""

    venue = "nowhere"
    streams = False

    async def load(self, symbols: Sequence[str]) -> Sequence[str]:
        return symbols

    async def quotes(self) -> Sequence[Best]:
        return ()

    async def poll(self, symbols: Sequence[str]) -> Sequence[Best]:
        return ()

    async def close(self) -> None:
        """Has nothing to close."""


def test_static() -> None:
    settings = MarketDataSettings(source="static", static={"BTC/USDT": StaticQuote(bid=D(1), ask=D(2))})
    assert isinstance(feed_from(settings, INSTRUMENTS, VirtualClock()), StaticFeed)


def test_synthetic() -> None:
    assert isinstance(feed_from(MarketDataSettings(), INSTRUMENTS, VirtualClock()), SyntheticFeed)


@pytest.mark.asyncio
async def test_replay(tmp_path: Path) -> None:
    paths = tuple(str(path) for path in small_market(tmp_path))
    settings = MarketDataSettings(source="replay", paths=paths, speed="max")
    paces: list[bool] = []

    async def pace() -> None:
        paces.append(True)

    feed = feed_from(settings, INSTRUMENTS, VirtualClock(), pace)
    assert isinstance(feed, ReplayFeed)
    market = MarketData(VirtualClock())
    await feed.run(market, lambda: None)
    assert market.quote("BTC/USDT") is not None
    assert paces


def test_ccxt_takes_whoever_reaches_the_venue() -> None:
    feed = feed_from(MarketDataSettings(source="ccxt"), INSTRUMENTS, VirtualClock(), public=Nobody)
    assert isinstance(feed, CcxtFeed)
