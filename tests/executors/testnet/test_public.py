"""Public quotes through the real ccxt, from loopback venues: exact, whole, and no socket is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from router import ExecutionPipeline, virtual
from router.clock import SystemClock
from router.errors import ConfigError
from router.executors.testnet.guard import LiveHostError
from router.executors.testnet.public import SandboxQuotes, sandbox_quotes
from router.market.feeds.ccxt import READY_S, Best, QuotesError
from router.settings import Settings, Testnet
from router.virtual import LoopClock
from tests.pipelines import intent, settings
from tools.loopback import LoopbackVenue, Rule

D = Decimal
BTC, ETH = "BTC/USDT", "ETH/USDT"
VENUES = pytest.mark.parametrize("name", ["binance", "bybit"])
POLL: Mapping[str, str] = {"binance": "GET /api/v3/ticker/bookTicker", "bybit": "GET /v5/market/tickers"}
MARKETS: Mapping[str, str] = {"binance": "GET /api/v3/exchangeInfo", "bybit": "GET /v5/market/instruments-info"}
SOCKET: Mapping[str, str] = {"binance": "WS /ws/0", "bybit": "WS /v5/public/spot"}
PATIENCE_S = 10.0


@asynccontextmanager
async def world(name: str, *symbols: str) -> AsyncIterator[tuple[LoopbackVenue, SandboxQuotes]]:
    """Yield a venue and its quotes, loaded for ``symbols``."""
    async with LoopbackVenue(name, seed=1) as it, asyncio.timeout(PATIENCE_S):
        quotes = sandbox_quotes(Testnet(venue=name, base_url=it.url), SystemClock())
        try:
            if symbols:
                await quotes.load(symbols)
            yield it, quotes
        finally:
            await quotes.close()


async def heard(quotes: SandboxQuotes, *symbols: str) -> dict[str, Best]:
    """Return the stream's last word on each of ``symbols``."""
    found: dict[str, Best] = {}
    while not set(symbols) <= found.keys():
        found |= {each.symbol: each for each in await quotes.quotes()}
    return found


def move(it: LoopbackVenue, mid: str, symbol: str = "BTCUSDT") -> None:
    it.exchange.move_price(symbol, D(mid))


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 -- nothing tells it
        await asyncio.sleep(0.01)


@VENUES
@pytest.mark.asyncio
async def test_stream_and_poll_say_exactly_what_the_venue_shows(name: str) -> None:
    async with world(name, BTC, ETH) as (it, quotes):
        move(it, "43210.12")
        streamed = (await heard(quotes, BTC))[BTC]
        (polled,) = await quotes.poll([BTC])
        for seen in (streamed, polled):
            assert (seen.bid, seen.ask) == (D("43210.11"), D("43210.13"))
            assert (seen.bid_size, seen.ask_size) == (D(2), D(2))
        assert {each.symbol for each in await quotes.poll([BTC, ETH])} == {BTC, ETH}


@VENUES
@pytest.mark.asyncio
async def test_a_word_on_one_symbol_does_not_make_another_look_fresh(name: str) -> None:
    async with world(name, BTC, ETH) as (it, quotes):
        await heard(quotes, BTC, ETH)
        move(it, "43210.12")
        assert [each.symbol for each in await quotes.quotes()] == [BTC]


@pytest.mark.parametrize(
    ("name", "like", "requests"),
    [("binance", "binance", 1), ("bybit", "bybit", 2), ("binanceus", "binance", 1), ("bybiteu", "bybit", 1)],
)
@pytest.mark.asyncio
async def test_a_poll_is_one_request_or_as_many_as_there_are_symbols(name: str, like: str, requests: int) -> None:
    async with LoopbackVenue(like, seed=1) as it, asyncio.timeout(PATIENCE_S):
        quotes = sandbox_quotes(Testnet(venue=name, base_url=it.url), SystemClock())
        try:
            await quotes.load([BTC, ETH])
            assert {each.symbol for each in await quotes.poll([BTC, ETH])} == {BTC, ETH}
            assert it.requests[POLL[like]] == requests
        finally:
            await quotes.close()


@VENUES
@pytest.mark.asyncio
async def test_only_what_is_listed_is_followed(name: str) -> None:
    async with world(name) as (it, quotes):
        assert list(await quotes.load([BTC, "DOGE/EUR"])) == [BTC]
        await heard(quotes, BTC)
        assert it.requests[MARKETS[name]] == 1


@VENUES
@pytest.mark.parametrize("kind", ["empty", "html"])
@pytest.mark.asyncio
async def test_an_answer_without_markets_does_not_say_that_nothing_is_listed(name: str, kind: Literal["empty"]) -> None:
    async with world(name) as (it, quotes):
        it.faults.add(Rule(match=MARKETS[name], kind=kind))
        with pytest.raises(QuotesError):
            await quotes.load([BTC])
        assert list(await quotes.load([BTC])) == [BTC]


@VENUES
@pytest.mark.asyncio
async def test_of_many_changes_at_once_every_symbol_is_told_and_as_it_is_last(name: str) -> None:
    async with world(name, BTC, ETH) as (it, quotes):
        await heard(quotes, BTC, ETH)
        word = asyncio.create_task(quotes.quotes())
        await asyncio.sleep(0)
        for step in range(5):
            move(it, str(40_000 + step))
            move(it, str(2_000 + step), "ETHUSDT")
        found = {each.symbol: each.bid for each in await word}
        while found.get(BTC) != D("40003.99") or found.get(ETH) != D("2003.99"):
            found |= {each.symbol: each.bid for each in await quotes.quotes()}
        assert not await _says_more(quotes)


async def _says_more(quotes: SandboxQuotes) -> bool:
    try:
        async with asyncio.timeout(0.2):
            return bool(await quotes.quotes())
    except TimeoutError:
        return False


@VENUES
@pytest.mark.asyncio
async def test_a_cut_stream_fails_once_and_then_says_what_is_so_now(name: str) -> None:
    async with world(name, BTC) as (it, quotes):
        await heard(quotes, BTC)
        word = asyncio.create_task(quotes.quotes())
        await until(lambda: it.peers)
        it.cut()
        move(it, "43210.12")
        with pytest.raises(QuotesError, match="NetworkError"):
            await word
        assert (await heard(quotes, BTC))[BTC].bid == D("43210.11")
        assert it.requests[SOCKET[name]] == 2


@VENUES
@pytest.mark.asyncio
async def test_a_watch_that_was_left_leaves_no_connection_and_the_next_one_dials(name: str) -> None:
    async with world(name, BTC) as (it, quotes):
        await heard(quotes, BTC)
        word = asyncio.create_task(quotes.quotes())
        await asyncio.sleep(0.05)
        word.cancel()
        with pytest.raises(asyncio.CancelledError):
            await word
        await until(lambda: not it.peers)
        move(it, "43210.12")
        assert (await heard(quotes, BTC))[BTC].bid == D("43210.11")


@VENUES
@pytest.mark.asyncio
async def test_a_stream_that_is_closed_under_the_reader_is_trouble_and_not_the_readers_end(name: str) -> None:
    async with world(name, BTC) as (_, quotes):
        await heard(quotes, BTC)
        word = asyncio.create_task(quotes.quotes())
        await asyncio.sleep(0.05)
        await quotes._ex.close_ws_clients()
        with pytest.raises(QuotesError, match="closed"):
            await word


@VENUES
@pytest.mark.parametrize(
    "fault",
    [
        Rule(match="", kind="drop_before"),
        Rule(match="", kind="truncate"),
        Rule(match="", kind="empty"),
        Rule(match="", kind="html"),
        Rule(match="", kind="status", status=200, body="{}"),
        Rule(match="", kind="status", status=503, body="<html>\n" + "later " * 1000),
    ],
    ids=["cut", "truncated", "empty", "html", "nothing", "down"],
)
@pytest.mark.asyncio
async def test_whatever_becomes_of_an_answer_it_is_trouble_in_a_line_or_no_quote(name: str, fault: Rule) -> None:
    async with world(name, BTC) as (it, quotes):
        it.faults.add(msgspec.structs.replace(fault, match=POLL[name], times=None))
        found: list[Best] = []
        reason = ""
        try:
            found.extend(await quotes.poll([BTC]))
        except QuotesError as error:
            reason = str(error)
        assert found == []
        assert len(reason) <= 200
        assert "\n" not in reason
        it.clear()
        assert await quotes.poll([BTC])


@pytest.mark.asyncio
async def test_the_pause_that_a_venue_asks_for_is_passed_on() -> None:
    async with world("binance", BTC) as (it, quotes):
        it.faults.add(Rule(match=POLL["binance"], kind="status", status=429, headers={"Retry-After": "17"}, body="{}"))
        with pytest.raises(QuotesError) as caught:
            await quotes.poll([BTC])
        assert caught.value.again_s == 17


@pytest.mark.parametrize(
    ("bid", "bid_size", "ask", "ask_size"),
    [
        ("0.00000000", "0.00000000", "50000.01", "1"),
        ("50000.00", "1", "0.00000000", "0.00000000"),
        ("50000.02", "1", "50000.01", "1"),
        ("50000.00", "0.00000000", "50000.01", "1"),
        ("NaN", "1", "50000.01", "1"),
        ("50000.00", "1", "x", "1"),
    ],
)
@pytest.mark.asyncio
async def test_a_missing_or_crossed_side_is_no_quote(bid: str, bid_size: str, ask: str, ask_size: str) -> None:
    ticker = {"symbol": "BTCUSDT", "bidPrice": bid, "bidQty": bid_size, "askPrice": ask, "askQty": ask_size}
    locked = {"symbol": "ETHUSDT", "bidPrice": "1", "bidQty": "2", "askPrice": "1", "askQty": "4"}
    async with world("binance", BTC, ETH) as (it, quotes):
        it.faults.add(Rule(match=POLL["binance"], kind="status", status=200, body=json.dumps([ticker, locked])))
        assert list(await quotes.poll([BTC, ETH])) == [Best(ETH, D(1), D(1), D(2), D(4), None)]


@pytest.mark.parametrize(
    ("testnet", "key"), [(Testnet(venue="kraken"), "testnet.venue"), (Testnet(base_url="https://a.b"), "base_url")]
)
def test_there_is_no_way_to_anything_but_a_sandbox(testnet: Testnet, key: str) -> None:
    with pytest.raises(LiveHostError, match=key):
        sandbox_quotes(testnet, SystemClock())


# -- in the router -------------------------------------------------------------------------------------------


def followed(home: Path, name: str, url: str) -> Settings:
    """Return settings of a paper pipeline on the quotes of a venue."""
    overrides = {"market_data.source": "ccxt", "testnet.venue": name, "testnet.base_url": url}
    return settings(home, overrides)


@VENUES
@pytest.mark.asyncio
async def test_paper_orders_trade_at_the_venues_quotes(name: str, tmp_path: Path) -> None:
    async with LoopbackVenue(name, seed=1) as it, asyncio.timeout(PATIENCE_S):
        move(it, "43210.12")
        async with ExecutionPipeline(config=followed(tmp_path, name, it.url)) as pipeline:
            result = await pipeline.submit_order(intent(symbol=BTC))
            assert (result.status, result.average_price) == ("SUCCESS", D("43210.13"))
            move(it, "43000")
            await until(lambda: pipeline.market.quote(BTC).mid == 43_000)  # type: ignore[union-attr]
            assert pipeline.health()["feed"]["ok"]
        await until(lambda: not it.peers)


@VENUES
def test_while_its_streams_are_refused_a_venue_is_polled_and_then_listened_to_again(name: str, tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        async with LoopbackVenue(name, seed=1, clock=clock) as it:
            it.faults.stream.refuse = True
            async with ExecutionPipeline(config=followed(tmp_path, name, it.url), clock=clock) as pipeline:
                for mid in range(40_000, 40_010):
                    move(it, str(mid))
                    await clock.sleep(3)
                    quote, age = pipeline.market.quote(BTC), pipeline.market.age(BTC)
                    assert quote is not None
                    assert quote.mid == mid
                    assert age is not None
                    assert age < 3
                it.faults.stream.refuse = False
                await clock.sleep(40)
                assert it.peers
                move(it, "43210.12")
                await clock.sleep(0.1)
                quote = pipeline.market.quote(BTC)
                assert quote is not None
                assert quote.bid == D("43210.11")

    virtual.run(main)


def test_a_dead_venue_delays_the_start_and_blocks_orders_and_nothing_else(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        config = followed(tmp_path, "binance", "http://127.0.0.1:1")
        async with ExecutionPipeline(config=config, clock=clock) as pipeline:
            assert clock.monotonic() == pytest.approx(READY_S, abs=1)
            assert not pipeline.health()["feed"]["ok"]
            result = await pipeline.submit_order(intent(symbol=BTC))
            assert result.status != "SUCCESS"
            assert await pipeline.cancel_all() == []

    virtual.run(main)


def test_a_venue_without_a_sandbox_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'market_data\.source = "ccxt".*testnet\.venue'):
        ExecutionPipeline(config=followed(tmp_path, "kraken", ""))
