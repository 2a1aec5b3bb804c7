"""A venue's quotes: what the stream says at once, polls where it is quiet, and nothing raised whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Self

import anyio
import pytest

from router.clock import VirtualClock
from router.logs import get_logger
from router.market.feeds.ccxt import READY_S, Best, CcxtFeed, QuotesError
from router.market.quotes import MarketData

pytestmark = pytest.mark.asyncio

D = Decimal
BTC, ETH = "BTC/USDT", "ETH/USDT"
MAX_AGE_S = 4.0  # so a second without a word is quiet
FOR_EVER_S = 10_000.0


def best(symbol: str = BTC, bid: int = 100, **fields: Any) -> Best:
    return Best(symbol, D(bid), D(bid + 1), fields.get("bid_size"), fields.get("ask_size"), fields.get("ts_event"))


class Venue:
    """A venue whose stream says what is put into ``said``, and which answers polls with what is in ``shown``.

    ``broken`` is what its markets and polls fail with; ``slow_s`` is how long it takes to answer a poll.
    """

    venue = "binance"

    def __init__(self, clock: VirtualClock, *, streams: bool = True) -> None:
        self.streams = streams
        self.listed = {BTC, ETH}
        self.said: asyncio.Queue[Sequence[Best] | Exception] = asyncio.Queue()
        self.shown: dict[str, Best] = {}
        self.broken: QuotesError | None = None
        self.slow_s = 0.0
        self.asked: list[str] = []
        self.polls: list[tuple[str, ...]] = []
        self.listeners = self.dialled = self.closed = 0
        self._clock = clock

    async def load(self, symbols: Sequence[str]) -> set[str]:
        self.asked.append("markets")
        self._check()
        return self.listed & set(symbols)

    async def quotes(self) -> Sequence[Best]:
        self.listeners += 1
        self.dialled += 1
        assert self.listeners == 1, "two readers share one future in ccxt"
        try:
            word = await self.said.get()
        finally:
            self.listeners -= 1
        if isinstance(word, Exception):
            raise word
        return word

    async def poll(self, symbols: Sequence[str]) -> Sequence[Best]:
        self.polls.append(tuple(sorted(symbols)))
        await self._clock.sleep(self.slow_s)
        self._check()
        return [self.shown[symbol] for symbol in symbols if symbol in self.shown]

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken

    async def close(self) -> None:
        await anyio.lowlevel.checkpoint()  # sockets take their time
        self.closed += 1


class World:
    """A feed that runs on virtual time."""

    def __init__(self, *symbols: str, streams: bool = True) -> None:
        self.clock = VirtualClock()
        self.venue = Venue(self.clock, streams=streams)
        self.market = MarketData(self.clock)
        self.feed = CcxtFeed(self.venue, symbols or (BTC, ETH), self.clock, get_logger(), max_age_s=MAX_AGE_S)
        self.ready = 0

    def _ready(self) -> None:
        self.ready += 1

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.feed.run(self.market, self._ready))
        await self.clock.advance(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        assert self.venue.closed == 1

    async def say(self, *words: Best | Exception) -> None:
        for word in words:
            self.venue.said.put_nowait(word if isinstance(word, Exception) else [word])
        await self.clock.advance(0)

    def show(self, *quotes: Best) -> None:
        self.venue.shown |= {quote.symbol: quote for quote in quotes}

    def bid(self, symbol: str = BTC) -> Decimal | None:
        quote = self.market.quote(symbol)
        return None if quote is None else quote.bid


# -- what the stream says ------------------------------------------------------------------------------------


async def test_what_the_stream_says_is_there_at_once_and_exactly() -> None:
    at = datetime(2025, 6, 1, tzinfo=UTC)
    async with World() as world:
        await world.say(best(bid=100, bid_size=D("0.10"), ask_size=D(3), ts_event=at), best(ETH, 20))
        quote = world.market.quote(BTC)
        assert quote is not None
        assert (quote.bid, quote.ask, quote.bid_size, quote.ask_size) == (D(100), D(101), D("0.10"), D(3))
        assert quote.ts_event == at
        untimed = world.market.quote(ETH)
        assert untimed is not None
        assert untimed.ts_event == world.clock.now(), "a venue that tells no time spoke just now"


async def test_a_cut_stream_is_dialled_again_after_pauses_that_grow(caplog: pytest.LogCaptureFixture) -> None:
    async with World(BTC) as world:
        await world.say(*[QuotesError("NetworkError: cut")] * 3)
        dialled = []
        for _ in range(8):
            dialled.append(world.venue.dialled)
            await world.clock.advance(0.5)
        assert dialled == [1, 2, 2, 3, 3, 3, 3, 4], "after 0.5, 1 and 2 s"
        assert caplog.text.count("feed_interrupted") == 3
        assert "NetworkError: cut" in caplog.text
        await world.say(best(bid=7))
        assert world.bid() == 7


async def test_the_venues_own_pause_is_kept() -> None:
    async with World(BTC) as world:
        await world.say(QuotesError("DDoSProtection: 429", again_s=20))
        await world.clock.advance(19)
        assert world.venue.dialled == 1
        await world.clock.advance(2)
        assert world.venue.dialled == 2


async def test_what_a_listener_raises_is_not_taken_for_trouble_at_the_venue() -> None:
    def fail(symbol: str, _: object) -> None:
        raise ZeroDivisionError(symbol)

    world = World()
    world.market.listen(fail)
    running = asyncio.create_task(world.feed.run(world.market, lambda: None))
    await world.clock.advance(0)
    await world.say(best())
    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert caught.group_contains(ZeroDivisionError)
    assert world.venue.closed == 1


# -- polls ---------------------------------------------------------------------------------------------------


async def test_a_quiet_market_never_grows_stale() -> None:
    async with World() as world:
        await world.say(best(BTC), best(ETH, 20))
        world.show(best(BTC), best(ETH, 20))
        for _ in range(100):
            await world.clock.advance(0.25)
            ages = [world.market.age(symbol) for symbol in (BTC, ETH)]
            assert all(age is not None and age <= MAX_AGE_S / 2 for age in ages)


async def test_only_symbols_that_the_stream_leaves_out_are_asked_for() -> None:
    async with World() as world:
        world.show(best(BTC), best(ETH, 20))
        await world.clock.advance(1)
        world.venue.polls.clear()
        for bid in range(40):
            await world.say(best(BTC, bid + 1))
            await world.clock.advance(0.25)
        assert set(world.venue.polls) == {(ETH,)}


async def test_an_answer_does_not_undo_what_the_stream_said_while_it_came() -> None:
    async with World(BTC) as world:
        await world.say(best(bid=100))
        world.show(best(bid=99))
        world.venue.slow_s = 0.5
        await world.clock.advance(1.25)
        assert len(world.venue.polls) == 2, "one is under way"
        await world.say(best(bid=101))
        await world.clock.advance(0.5)
        assert world.bid() == 101


async def test_a_stream_that_died_silently_is_found_out_and_dialled_again(caplog: pytest.LogCaptureFixture) -> None:
    async with World(BTC) as world:
        await world.say(best(bid=100))
        for bid in range(101, 121):
            world.show(best(bid=bid))
            await world.clock.advance(1)
            assert world.market.age(BTC) is not None
        assert world.bid() == 120
        assert "polls find prices that it does not tell" in caplog.text
        assert 3 <= world.venue.dialled <= 6, "again, and after pauses that grow"
        await world.say(best(bid=7))
        await world.clock.advance(8)
        assert world.venue.said.empty(), "it is listened to again"


async def test_a_poll_that_is_faster_than_the_stream_once_proves_nothing() -> None:
    async with World(BTC) as world:
        for bid in range(100, 120):
            world.show(best(bid=bid))
            await world.clock.advance(2)
            await world.say(best(bid=bid))
        assert world.venue.dialled == 21, "one watch for each word and the next"
        assert world.venue.polls


async def test_a_venue_without_a_stream_is_only_polled(caplog: pytest.LogCaptureFixture) -> None:
    async with World(BTC, streams=False) as world:
        for bid in range(100, 110):
            world.show(best(bid=bid))
            await world.clock.advance(1)
            assert world.bid() == bid
        assert world.venue.dialled == 0
        assert "feed_interrupted" not in caplog.text


async def test_polls_fail_go_on_and_are_not_waited_for_longer_than_they_are_worth(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with World(BTC) as world:
        world.venue.slow_s = FOR_EVER_S
        await world.clock.advance(4)
        assert "no answer within 2 s" in caplog.text
        world.venue.slow_s, world.venue.broken = 0.0, QuotesError("ExchangeNotAvailable: 503")
        await world.clock.advance(20)
        assert "ExchangeNotAvailable: 503" in caplog.text
        world.venue.broken = None
        world.show(best(bid=5))
        await world.clock.advance(15)
        assert world.bid() == 5


@pytest.mark.parametrize(("max_age_s", "every_s"), [(0.1, 0.5), (5.0, 1.25), (3600.0, 15.0)])
async def test_polls_are_neither_a_burden_nor_forgotten(max_age_s: float, every_s: float) -> None:
    world = World(BTC)
    world.feed = CcxtFeed(world.venue, [BTC], world.clock, get_logger(), max_age_s=max_age_s)
    async with world:
        await world.clock.advance(10 * every_s)
        assert 10 <= len(world.venue.polls) <= 11


# -- the start -----------------------------------------------------------------------------------------------


async def test_it_is_ready_when_every_listed_symbol_has_a_quote_by_stream_or_poll() -> None:
    async with World() as world:
        assert world.venue.polls == [(BTC, ETH)], "without waiting for the stream"
        await world.say(best(BTC))
        assert world.ready == 0
        world.show(best(ETH))
        await world.clock.advance(1)
        assert world.ready == 1
        await world.clock.advance(2 * READY_S)
        assert world.ready == 1


async def test_a_quote_that_cannot_be_is_not_a_first_quote() -> None:
    async with World(BTC) as world:
        await world.say(Best(BTC, D(2), D(1), None, None, None))
        assert (world.ready, world.bid()) == (0, None)


async def test_a_dead_venue_holds_up_the_start_for_ten_seconds_and_no_longer(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.venue.broken = QuotesError("NetworkError: connection refused")
    async with world:
        await world.clock.advance(READY_S - 0.1)
        assert world.ready == 0
        await world.clock.advance(0.1)
        assert world.ready == 1
        assert "connection refused" in caplog.text
        attempts = len(world.venue.asked)
        assert 4 <= attempts <= 6, "again, and after pauses that grow"
        world.venue.broken = None
        world.show(best(BTC), best(ETH))
        await world.clock.advance(16)
        assert (world.bid(BTC), world.bid(ETH), world.ready) == (D(100), D(100), 1), "it comes back by itself"


async def test_a_listed_symbol_without_a_market_holds_up_the_start_no_longer_than_a_dead_venue() -> None:
    async with World() as world:
        await world.say(best(BTC))
        await world.clock.advance(READY_S - 0.1)
        assert world.ready == 0
        await world.clock.advance(0.1)
        assert world.ready == 1


async def test_a_symbol_that_the_venue_does_not_list_is_told_of_once_and_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.venue.listed = {BTC}
    async with world:
        await world.say(best(BTC))
        await world.clock.advance(60)
        assert world.ready == 1
        assert {symbol for asked in world.venue.polls for symbol in asked} == {BTC}
        assert caplog.text.count("feed_symbol_not_listed") == 1
        assert ETH in caplog.text


async def test_a_venue_that_lists_nothing_is_ready_and_left_alone() -> None:
    world = World()
    world.venue.listed = set()
    async with world:
        await world.clock.advance(60)
        assert (world.ready, world.venue.polls, world.venue.dialled) == (1, [], 0)


# -- the end -------------------------------------------------------------------------------------------------


async def test_whenever_it_is_cancelled_the_sockets_are_closed_first() -> None:
    for moment in (0.0, 0.25, 1.0, 30.0):
        world = World()
        world.show(best(BTC), best(ETH))
        async with anyio.create_task_group() as group:  # as the engine does: whatever is awaited is cancelled too
            group.start_soon(world.feed.run, world.market, lambda: None)
            await world.clock.advance(moment)
            group.cancel_scope.cancel()
        assert (world.venue.closed, world.venue.listeners) == (1, 0)
