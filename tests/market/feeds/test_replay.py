"""Playing recordings: order, speed, readiness, and what the real ones become."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from router.clock import VirtualClock
from router.domain.market import Trade
from router.errors import ConfigError, MarketDataError
from router.market.feeds.recording import read_recording
from router.market.feeds.replay import ReplayFeed
from router.market.quotes import MarketData
from tests.recordings import BARS, MARKETS, QUOTES, START_NS, TRADES, real_market, small_market, write_csv

D = Decimal
pytestmark = pytest.mark.asyncio


def quote_row(ms: int, number: int, symbol: str = "BTC/USDT") -> str:
    return f"{START_NS + ms * 1_000_000},,{symbol},{number},{100 + number},1,{101 + number},1"


async def test_all_files_come_in_the_order_of_receipt(tmp_path: Path) -> None:
    market = MarketData(VirtualClock())
    seen = []

    def see(_: str, trade: Trade | None) -> None:
        quote = market.quote("BTC/USDT")
        seen.append((trade.trade_id if trade else None, quote and (quote.bid_size, quote.ask_size)))

    market.listen(see)
    await ReplayFeed(small_market(tmp_path), speed=None, clock=VirtualClock()).run(market, lambda: None)
    assert seen == [
        (None, None),
        (None, None),
        (None, (2, 3)),
        (None, (2, 3)),
        ("1", (2, 3)),
        (None, (D("1.5"), 3)),
        (None, (D("1.5"), 3)),
        ("2", (D("1.5"), 3)),
        (None, (D("1.5"), D("2.75"))),
        (None, (D("1.5"), D("2.75"))),
    ]
    book = market.book("BTC/USDT")
    assert list(book.bids) == [(D(100), D("1.5")), (D(99), D(5)), (D(98), D(7))]
    assert list(book.asks) == [(D(101), D("2.75")), (D(102), D(4)), (D(103), D(1))]
    assert (book.gaps, market.refused.total()) == (0, 0)


async def test_real_time_takes_the_recorded_time_over_the_speed(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", QUOTES, [quote_row(ms, ms) for ms in (0, 1000, 3000)])
    clock = VirtualClock()
    market = MarketData(clock)
    done = anyio.Event()

    async def play() -> None:
        await ReplayFeed([path], speed=D(2), clock=clock).run(market, lambda: None)
        done.set()

    bids = []
    async with anyio.create_task_group() as group:
        group.start_soon(play)
        await clock.advance(0)
        for _ in range(4):
            await clock.advance(0.5)
            quote = market.quote("BTC/USDT")
            assert quote is not None
            bids.append((int(quote.bid), quote.received, done.is_set()))
    assert bids == [(1100, 0.5, False), (1100, 0.5, False), (3100, 1.5, True), (3100, 1.5, True)]
    assert market.time() - timedelta(seconds=3) == next(read_recording(path))[1].ts_event


async def test_it_is_ready_when_every_symbol_has_a_quote(tmp_path: Path) -> None:
    paths = [
        write_csv(tmp_path / "a.csv", QUOTES, [quote_row(0, 1), quote_row(50, 2)]),
        write_csv(tmp_path / "b.csv.gz", QUOTES, [quote_row(100, 3, "ETH/USDT"), quote_row(150, 4, "ETH/USDT")]),
    ]
    market = MarketData(VirtualClock())
    times = []
    await ReplayFeed(paths, speed=None, clock=VirtualClock()).run(market, lambda: times.append(market.time()))
    assert [moment - market.time() for moment in times] == [timedelta(milliseconds=-50)]


async def test_nobody_waits_for_quotes_that_cannot_come(tmp_path: Path) -> None:
    paths = [
        write_csv(tmp_path / "a.csv", TRADES, [f"{START_NS},1,ETH/USDT,1,buy,1,1"]),
        write_csv(tmp_path / "b.csv", QUOTES, [quote_row(0, 1), quote_row(50, 2)]),
    ]
    market = MarketData(VirtualClock())
    bids = []

    def ready() -> None:
        quote = market.quote("BTC/USDT")
        bids.append(None if quote is None else quote.bid)

    await ReplayFeed(paths, speed=None, clock=VirtualClock()).run(market, ready)
    assert bids == [101]


async def test_with_trades_alone_it_is_ready(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", TRADES, [f"{START_NS},1,BTC/USDT,1,buy,1,1"])
    calls: list[bool] = []
    feed = ReplayFeed([path], speed=None, clock=VirtualClock())
    await feed.run(MarketData(VirtualClock()), lambda: calls.append(True))
    assert calls == [True]


async def test_pace_is_awaited_after_every_slice(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", QUOTES, [quote_row(ms, ms) for ms in range(0, 1000, 10)])
    market = MarketData(VirtualClock())
    paces = []

    async def pace() -> None:
        paces.append(market.time())

    feed = ReplayFeed([path], speed=None, clock=VirtualClock(), pace=pace, slice_ms=250)
    await feed.run(market, lambda: None)
    assert [round((market.time() - at).total_seconds(), 2) for at in paces] == [0.75, 0.5, 0.25]


async def test_others_run_during_a_fast_replay(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", QUOTES, [quote_row(0, number) for number in range(2000)])
    seen = 0
    market = MarketData(VirtualClock())
    turns = []

    def see(*_: object) -> None:
        nonlocal seen
        seen += 1

    async def other() -> None:
        while True:
            turns.append(seen)
            await anyio.lowlevel.checkpoint()

    market.listen(see)
    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await ReplayFeed([path], speed=None, clock=VirtualClock()).run(market, lambda: None)
        group.cancel_scope.cancel()
    assert max(after - before for before, after in pairwise(turns)) <= 256


@pytest.mark.parametrize("speed", [D(0), D(-1)])
async def test_a_speed_must_be_positive(tmp_path: Path, speed: Decimal) -> None:
    with pytest.raises(ConfigError, match="speed"):
        ReplayFeed([tmp_path], speed=speed, clock=VirtualClock())


async def test_no_paths_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="paths is empty"):
        ReplayFeed([], speed=None, clock=VirtualClock())


async def test_a_wrong_file_stops_it_before_it_is_ready(tmp_path: Path) -> None:
    paths = [*small_market(tmp_path), write_csv(tmp_path / "bars.csv", BARS, [])]
    calls: list[bool] = []
    feed = ReplayFeed(paths, speed=None, clock=VirtualClock())
    with pytest.raises(MarketDataError, match="bars"):
        await feed.run(MarketData(VirtualClock()), lambda: calls.append(True))
    assert calls == []


@pytest.mark.parametrize("name", MARKETS)
async def test_a_real_recording_plays_without_a_gap(name: str) -> None:
    """With quotes and depth merged, quote and book never disagree and never cross."""
    paths = real_market(name)
    if not paths:
        return
    rows: Counter[str] = Counter()
    clock = VirtualClock()
    market = MarketData(clock)
    symbol = next(read_recording(paths[1]))[1].symbol
    book = market.book(symbol)

    def check(_: str, trade: Trade | None) -> None:
        rows["trades" if trade else "others"] += 1
        top, quote = book.top(), market.quote(symbol)
        if top is not None and quote is not None:
            assert top[0][0] < top[1][0]
            assert top == ((quote.bid, quote.bid_size), (quote.ask, quote.ask_size))

    market.listen(check)
    await ReplayFeed(paths, speed=None, clock=clock).run(market, lambda: None)
    assert (book.gaps, market.refused.total()) == (0, 0)
    assert rows["trades"] in {9757, 6106, 21313}
    assert rows["others"] > 20_000
