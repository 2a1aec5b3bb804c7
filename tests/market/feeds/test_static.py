"""Quotes from the configuration."""

from __future__ import annotations

from decimal import Decimal

import anyio
import pytest

from router.clock import VirtualClock
from router.domain.market import Instrument
from router.errors import ConfigError
from router.market.feeds.static import StaticFeed
from router.market.quotes import MarketData
from router.settings import StaticQuote

D = Decimal
INSTRUMENTS = {
    "BTC/USD": Instrument(
        symbol="BTC/USD",
        base="BTC",
        quote="USD",
        tick_size=D("0.01"),
        lot_size=D("0.00001"),
        min_quantity=D("0.00001"),
        max_quantity=D(100),
        min_notional=D(5),
    )
}


@pytest.mark.asyncio
async def test_it_quotes_once_and_never_ages() -> None:
    clock = VirtualClock()
    market = MarketData(clock)
    feed = StaticFeed({"BTC/USD": StaticQuote(bid=D(1), ask=D(2), ask_size=D(3))}, INSTRUMENTS, clock)
    ready = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(feed.run, market, ready.set)
        await ready.wait()
        await clock.advance(1e5)
        quote = market.quote("BTC/USD")
        assert quote is not None
        assert (quote.bid, quote.ask, quote.bid_size, quote.ask_size) == (D(1), D(2), None, D(3))
        assert market.age("BTC/USD") == 0.0
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("quotes", "complaint"),
    [
        ({}, r"needs a table"),
        ({"BTC/USDD": StaticQuote(bid=D(1), ask=D(2))}, r'did you mean "BTC/USD"\?'),
        ({"DOGE/GBP": StaticQuote(bid=D(1), ask=D(2))}, r"is not in the instruments$"),
    ],
)
def test_a_mistake_names_the_key(quotes: dict[str, StaticQuote], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        StaticFeed(quotes, INSTRUMENTS, VirtualClock())
