"""Best bids and asks of a venue as it shows them to everybody: its stream, and polls where the stream is quiet.

A stream that says nothing may be that of a quiet market or one that has died, and nothing in it tells which. So every
symbol that was not spoken of for a while is asked for: an answer that is as before refreshes the quote, and answers
that move while the stream does not are the proof that it has died. Trouble at the venue is logged and never raised;
its quotes grow stale, and that is what blocks orders.
This module must not know ccxt, nor who reaches the venue: it is handed whoever does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeVar

import anyio

from router.clock import Clock, within
from router.domain.market import Quote
from router.errors import RouterError
from router.logs import RouterLogger
from router.market.quotes import MarketData

T = TypeVar("T")

READY_S: Final = 10.0
"""A venue without an answer holds up a start no longer: orders can be cancelled without quotes."""
_POLLS_IN_AN_AGE: Final = 4  # a quiet quote is asked for at half of the age at which it blocks, if not before
_POLL_S: Final = (0.5, 15.0)
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 15.0
_SILENT: Final = "polls find prices that it does not tell"


class QuotesError(RouterError):
    """The venue gave no quotes.

    Args:
        again_s: how long the venue wants to be left alone.
    """

    def __init__(self, reason: str, again_s: float = 0.0) -> None:
        super().__init__(reason)
        self.again_s = again_s


class Best(NamedTuple):
    """A best bid and ask; sizes and time are None where the venue does not tell them."""

    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: Decimal | None
    ask_size: Decimal | None
    ts_event: datetime | None


class PublicQuotes(Protocol):
    """Whoever reaches the venue. Every call but ``close`` raises QuotesError for whatever is wrong there."""

    @property
    def venue(self) -> str:
        """The venue's name."""
        ...

    @property
    def streams(self) -> bool:
        """Whether ``quotes`` can be called at all."""
        ...

    async def load(self, symbols: Sequence[str]) -> Collection[str]:
        """Read the venue's markets; return those of ``symbols`` that it lists, which ``quotes`` then follows."""
        ...

    async def quotes(self) -> Sequence[Best]:
        """Await the stream's next word; dial first when there is no connection, and leave none when it fails."""
        ...

    async def poll(self, symbols: Sequence[str]) -> Sequence[Best]:
        """Ask for the quotes of ``symbols`` now."""
        ...

    async def close(self) -> None:
        """Close every socket."""
        ...


class CcxtFeed:
    """Follows a venue until cancelled.

    Args:
        symbols: what to quote; what the venue does not list is left without a quote.
        max_age_s: the age at which a quote blocks orders.
    """

    def __init__(
        self, venue: PublicQuotes, symbols: Iterable[str], clock: Clock, log: RouterLogger, *, max_age_s: float
    ) -> None:
        self._venue = venue
        self._symbols = tuple(symbols)
        self._clock = clock
        self._log = log
        self._every_s = min(max(max_age_s / _POLLS_IN_AN_AGE, _POLL_S[0]), _POLL_S[1])
        self._market: MarketData
        self._ready: Callable[[], None] | None = None
        self._waiting: set[str] = set()
        self._unheard: set[str] = set()  # a poll has found a new price of these, and the stream was silent since
        self._round: anyio.CancelScope | None = None

    async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
        """Write quotes into ``market``; ``ready`` is called when every listed symbol has one, or after ``READY_S``."""
        self._market, self._ready = market, ready
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._ready_at_last)
                listed = await self._answer("markets", partial(self._venue.load, self._symbols))
                for symbol in self._symbols:
                    if symbol not in listed:
                        self._log.warning("feed_symbol_not_listed", symbol=symbol, venue=self._venue.venue)
                self._waiting.update(listed)
                self._ready_if_complete()
                if listed and self._venue.streams:
                    group.start_soon(self._listen)
                while True:
                    self._polled(*await self._answer("poll", partial(self._poll, listed)))
                    await self._clock.sleep(self._every_s)
        finally:
            with anyio.CancelScope(shield=True):
                await self._venue.close()

    async def _answer(self, via: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the venue's answer, however often it takes; the pauses between two attempts grow."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return await ask()
            except (QuotesError, TimeoutError) as error:
                again_s = max(pause, error.again_s) if isinstance(error, QuotesError) else pause
                self._interrupted(via, str(error), again_s)
            await self._clock.sleep(again_s)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _interrupted(self, via: str, reason: str, again_s: float) -> None:
        self._log.warning("feed_interrupted", venue=self._venue.venue, via=via, reason=reason, again_s=again_s)

    # -- the stream ------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Apply what the stream says; dial again when it keeps something to itself, each time after a longer pause."""
        pause = _FIRST_PAUSE_S
        while True:
            self._unheard.clear()
            with anyio.CancelScope() as self._round:
                while True:
                    for quote in await self._answer("stream", self._venue.quotes):
                        self._unheard.discard(quote.symbol)
                        self._apply(quote)
            self._interrupted("stream", _SILENT, pause)
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    # -- polls -----------------------------------------------------------------------------------------------

    async def _poll(self, listed: Collection[str]) -> tuple[float, list[Best]]:
        """Ask for every symbol that was not spoken of lately; return when that was, and the answers."""
        asked = self._clock.monotonic()
        ages = [(symbol, self._market.age(symbol)) for symbol in listed]
        quiet = [symbol for symbol, age in ages if age is None or age >= self._every_s]
        answers: list[Best] = []

        async def ask() -> None:
            answers.extend(await self._venue.poll(quiet))

        if quiet:
            await within(self._clock, 2 * self._every_s, ask)
        return asked, answers

    def _polled(self, asked: float, answers: Iterable[Best]) -> None:
        """Apply the answers, but to a symbol that the stream has spoken of meanwhile."""
        for quote in answers:
            known = self._market.quote(quote.symbol)
            if known is not None and known.received >= asked:
                continue
            if known is not None and (known.bid, known.ask) != (quote.bid, quote.ask):
                if quote.symbol in self._unheard and self._round is not None:
                    self._round.cancel()
                self._unheard.add(quote.symbol)
            self._apply(quote)

    # -- what both say ---------------------------------------------------------------------------------------

    def _apply(self, quote: Best) -> None:
        at = quote.ts_event or self._clock.now()
        sides = quote.bid, quote.ask, quote.bid_size, quote.ask_size
        self._market.apply(Quote(quote.symbol, *sides, at, self._clock.monotonic()))
        if self._market.quote(quote.symbol) is not None:
            self._waiting.discard(quote.symbol)
            self._ready_if_complete()

    async def _ready_at_last(self) -> None:
        await self._clock.sleep(READY_S)
        self._waiting.clear()
        self._ready_if_complete()

    def _ready_if_complete(self) -> None:
        if not self._waiting and self._ready is not None:
            ready, self._ready = self._ready, None
            ready()
