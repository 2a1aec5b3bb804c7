"""Quotes, their age, market time, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from router.clock import VirtualClock
from router.domain.enums import OrderSide
from router.domain.market import Quote, Trade
from router.market.book import DepthUpdate, Level
from router.market.quotes import MarketData, QuoteUpdate

RECORDED = datetime(2024, 8, 8, 23, 54, tzinfo=UTC)
D = Decimal


def quote(bid: str = "100", ask: str = "101", size: str | None = "1", received: float = 0.0) -> Quote:
    sizes = None if size is None else D(size)
    return Quote("BTC/USD", D(bid), D(ask), sizes, sizes, RECORDED, received)


def trade(price: str = "100", quantity: str = "1") -> Trade:
    return Trade("BTC/USD", OrderSide.SELL, D(price), D(quantity), "1", RECORDED)


def depth(last_id: int, bids: list[Level], asks: list[Level], *, snapshot: bool = False) -> DepthUpdate:
    return DepthUpdate(
        symbol="BTC/USD",
        snapshot=snapshot,
        first_id=last_id,
        last_id=last_id,
        prev_id=None,
        bids=bids,
        asks=asks,
        ts_event=RECORDED,
    )


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def market(clock: VirtualClock) -> MarketData:
    return MarketData(clock)


def test_nothing_is_known_at_first(market: MarketData) -> None:
    assert market.quote("BTC/USD") is None
    assert market.age("BTC/USD") is None
    assert market.book("BTC/USD").top() is None


@pytest.mark.asyncio
async def test_age_is_ours_whatever_the_venue_says_the_time_is(clock: VirtualClock, market: MarketData) -> None:
    market.apply(quote())
    await clock.advance(2.5)
    assert market.age("BTC/USD") == 2.5
    market.apply(QuoteUpdate("BTC/USD", D(100), D(1), D(101), D(1), 1, clock.now() + timedelta(hours=1)))
    assert market.age("BTC/USD") == 0.0


@pytest.mark.asyncio
async def test_a_pinned_quote_never_ages(clock: VirtualClock, market: MarketData) -> None:
    market.pin(quote(size=None))
    await clock.advance(1e6)
    assert market.age("BTC/USD") == 0.0
    pinned = market.quote("BTC/USD")
    assert pinned is not None
    assert pinned.bid_size is None


def test_market_time_is_ours_until_a_recording_plays(clock: VirtualClock, market: MarketData) -> None:
    market.apply(quote())
    assert market.time() == clock.now()
    market.follow_recording()
    assert market.time() == clock.now()
    market.apply(trade())
    assert market.time() == RECORDED


def test_listeners_hear_every_update(market: MarketData) -> None:
    heard: list[tuple[str, Trade | None]] = []
    market.listen(lambda symbol, trade: heard.append((symbol, trade)))
    printed = trade()
    market.apply(quote())
    market.apply(printed)
    market.apply(depth(1, [(D(100), D(1))], [(D(101), D(1))], snapshot=True))
    assert heard == [("BTC/USD", None), ("BTC/USD", printed), ("BTC/USD", None)]


@pytest.mark.asyncio
async def test_a_locked_market_is_a_market(market: MarketData) -> None:
    locked = quote("100", "100")
    market.apply(locked)
    assert market.quote("BTC/USD") is locked


@pytest.mark.parametrize(
    "impossible",
    [
        quote("101", "100"),
        quote("0", "1"),
        quote("-1", "1"),
        quote(size="0"),
        quote(size="-1"),
        quote("NaN", "1"),
        quote("100", "Infinity"),
        quote(size="NaN"),
        trade("0"),
        trade(quantity="-1"),
        trade("NaN"),
        QuoteUpdate("BTC/USD", D(5), D(1), D(4), D(1), 7, RECORDED),
    ],
)
@pytest.mark.asyncio
async def test_what_cannot_be_is_counted_and_changes_nothing(
    clock: VirtualClock, market: MarketData, impossible: Quote | QuoteUpdate | Trade
) -> None:
    good = quote()
    market.apply(good)
    await clock.advance(3)
    heard: list[str] = []
    market.listen(lambda symbol, trade: heard.append(symbol))
    market.apply(impossible)
    assert (heard, market.refused["BTC/USD"]) == ([], 1)
    assert market.quote("BTC/USD") is good
    assert market.age("BTC/USD") == 3
    assert market.book("BTC/USD").top() == ((D(100), D(1)), (D(101), D(1)))


def test_whichever_stream_is_newer_speaks(market: MarketData) -> None:
    market.apply(depth(10, [(D(100), D(1))], [(D(101), D(1))], snapshot=True))
    tops = [market.quote("BTC/USD")]
    market.apply(QuoteUpdate("BTC/USD", D(99), D(2), D(102), D(2), 12, RECORDED))
    tops.append(market.quote("BTC/USD"))
    market.apply(depth(11, [(D(100), D(9))], []))
    tops.append(market.quote("BTC/USD"))
    market.apply(depth(12, [(D(98), D(9))], []))
    tops.append(market.quote("BTC/USD"))
    market.apply(depth(13, [], [(D(101), D(5))]))
    tops.append(market.quote("BTC/USD"))
    market.apply(QuoteUpdate("BTC/USD", D(99), D(7), D(102), D(7), 12, RECORDED))
    tops.append(market.quote("BTC/USD"))
    seen = [[top.bid, top.bid_size, top.ask, top.ask_size] for top in tops if top is not None]
    assert seen == [
        [D(100), D(1), D(101), D(1)],
        [D(99), D(2), D(102), D(2)],
        [D(99), D(2), D(102), D(2)],
        [D(99), D(2), D(102), D(2)],
        [D(100), D(9), D(101), D(5)],
        [D(100), D(9), D(101), D(5)],
    ]


def test_a_crossed_depth_is_refused_and_not_trusted_any_more(market: MarketData) -> None:
    market.apply(depth(10, [(D(100), D(1))], [(D(101), D(1))], snapshot=True))
    before = market.quote("BTC/USD")
    market.apply(depth(11, [(D(102), D(1))], []))
    assert market.refused["BTC/USD"] == 1
    assert market.quote("BTC/USD") is before
    assert not market.book("BTC/USD").is_deep
