"""The quote book of all symbols: the one place that feeds write to and everything else reads from.

Age is counted on our own monotonic clock from the moment of receipt; a venue's time is never subtracted from
ours, because recorders' and venues' clocks run apart by seconds. A quote that cannot be (crossed, zero) is
refused and counted: the symbol grows stale rather than wrong. One that can be but is not believed (``sanity``) is
the last quote all the same, only not the trusted one, from which marks and rates are made.
This module must not know which feed writes, nor who listens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

import msgspec

from router.clock import Clock
from router.domain.market import Quote, Trade
from router.market.book import UNLIMITED, ZERO, DepthBook, DepthUpdate, Level
from router.market.sanity import OnSuspicion, Sanity, Trust


class QuoteUpdate(msgspec.Struct, frozen=True, gc=False):
    """A best bid and ask as a venue numbers them; ``update_id`` is on the depth stream's counter."""

    symbol: str
    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal
    update_id: int
    ts_event: datetime


Update: TypeAlias = Quote | QuoteUpdate | DepthUpdate | Trade
"""What a feed may say."""
Listener: TypeAlias = Callable[[str, Trade | None], None]
"""Called with the symbol, and the trade if the update was one, after each applied update."""

_MOST_DIGITS = 15  # before the decimal point; more is no price or size, and overflows what is computed from it


class MarketData:
    """Quotes, books and market time.

    Args:
        clock: our time, for ages and, outside a replay, for market time.
        sanity: which quotes to believe; all that can be when it is not given.
    """

    def __init__(self, clock: Clock, sanity: Sanity | None = None) -> None:
        self.refused: Counter[str] = Counter()
        """Updates by symbol that could not be true and were not applied."""
        self.suspected: Counter[str] = Counter()
        """Quotes by symbol that were applied and not trusted."""
        self.on_suspicion: OnSuspicion | None = None
        """Told when the quotes of a symbol begin and cease to be suspect; what it raises reaches the feed."""
        self.version = 0
        """Counts the changes of quotes: what was computed from quotes holds while it stands still."""
        self._clock = clock
        self._quotes: dict[str, Quote] = {}
        self._sanity = sanity or Sanity()
        self._trusts: dict[str, Trust] = {}
        self._books: dict[str, DepthBook] = {}
        self._ageless: set[str] = set()
        self._listeners: list[Listener] = []
        self._is_replay = False
        self._recorded: datetime | None = None

    def quote(self, symbol: str) -> Quote | None:
        """Return the best bid and ask that were seen last, or None."""
        return self._quotes.get(symbol)

    def trusted(self, symbol: str) -> Quote | None:
        """Return the last best bid and ask that were not suspect, or None."""
        trust = self._trusts.get(symbol)
        return None if trust is None else trust.quote

    def suspicion(self, symbol: str) -> str | None:
        """Return why the last update of the quote is not to be trusted, for people, or None."""
        trust = self._trusts.get(symbol)
        return None if trust is None else trust.suspicion

    def motion(self, symbol: str, window_s: float) -> Decimal | None:
        """Return how far trusted mids moved in the last ``window_s`` (at most 600), as a fraction; None without any."""
        trust = self._trusts.get(symbol)
        return None if trust is None else trust.motion(window_s, self._clock.monotonic())

    def believable(self, symbol: str) -> Quote | None:
        """Return the best bid and ask that were seen last, or None while they are suspect."""
        return self._quotes.get(symbol) if self.suspicion(symbol) is None else None

    def age(self, symbol: str) -> float | None:
        """Return seconds since the quote was received: 0.0 if it never ages, None without one."""
        quote = self._quotes.get(symbol)
        if quote is None:
            return None
        return 0.0 if symbol in self._ageless else max(0.0, self._clock.monotonic() - quote.received)

    def time(self) -> datetime:
        """Return the market's time: the recording's during a replay, else ours."""
        return self._recorded or self._clock.now()

    def book(self, symbol: str) -> DepthBook:
        """Return the book of ``symbol``, empty when nothing was heard of it yet."""
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = DepthBook(symbol)
        return book

    def listen(self, callback: Listener) -> None:
        """Call ``callback`` after every applied update; what it raises reaches the feed."""
        self._listeners.append(callback)

    def follow_recording(self) -> None:
        """From now on market time is the time of the updates."""
        self._is_replay = True

    def pin(self, quote: Quote) -> None:
        """Apply a quote that never ages."""
        self._ageless.add(quote.symbol)
        self.apply(quote)

    def apply(self, update: Update) -> None:
        """Take in what a feed says; what cannot be true is counted in ``refused`` and changes nothing."""
        if self._is_replay:
            self._recorded = update.ts_event
        if type(update) is QuoteUpdate:
            self._apply_quote_update(update)
        elif type(update) is Trade:
            self._apply_trade(update)
        elif type(update) is DepthUpdate:
            self._apply_depth(update)
        elif type(update) is Quote:
            self._apply_quote(update)

    def _apply_quote(self, quote: Quote) -> None:
        bid_size = UNLIMITED if quote.bid_size is None else quote.bid_size
        ask_size = UNLIMITED if quote.ask_size is None else quote.ask_size
        self._best(quote, (quote.bid, bid_size), (quote.ask, ask_size), None)

    def _apply_quote_update(self, update: QuoteUpdate) -> None:
        bid, ask = (update.bid, update.bid_size), (update.ask, update.ask_size)
        self._best(self._received(update.symbol, bid, ask, update.ts_event), bid, ask, update.update_id)

    def _best(self, quote: Quote, bid: Level, ask: Level, update_id: int | None) -> None:
        if not _is_possible(bid, ask):
            self._refuse(quote.symbol, bid, ask)
        elif self.book(quote.symbol).quote(bid, ask, update_id):
            self._take(quote)
            self._tell(quote.symbol, None)

    def _apply_depth(self, update: DepthUpdate) -> None:
        book = self.book(update.symbol)
        if update.snapshot:
            book.snapshot(update.bids, update.asks, update.last_id)
        else:
            book.diff(update)
        if book.depth_speaks:
            top = book.top()
            if top is not None and not _is_possible(*top):
                book.lose_depth()
                self._refuse(update.symbol, *top)
            elif top is not None:
                self._take(self._received(update.symbol, *top, update.ts_event))
        self._tell(update.symbol, None)

    def _apply_trade(self, trade: Trade) -> None:
        if not (_is_positive(trade.price) and _is_positive(trade.quantity)):
            self.refused[trade.symbol] += 1
            return
        self._tell(trade.symbol, trade)

    def _take(self, quote: Quote) -> None:
        """Make ``quote`` the last one, and the trusted one if it is to be believed."""
        symbol = quote.symbol
        trust = self._trusts.get(symbol) or self._trust(symbol)
        before = trust.suspicion
        trust.judge(quote)
        self._quotes[symbol] = quote
        self.version += 1
        if trust.suspicion is not None:
            self.suspected[symbol] += 1
        if trust.suspicion is not before:
            self._suspect(symbol, before, trust.suspicion)

    def _refuse(self, symbol: str, bid: Level, ask: Level) -> None:
        self.refused[symbol] += 1
        trust = self._trust(symbol)
        before = trust.suspicion
        trust.refuse(bid, ask)
        self._suspect(symbol, before, trust.suspicion)

    def _suspect(self, symbol: str, before: str | None, reason: str | None) -> None:
        if self.on_suspicion is not None and (before is None) is not (reason is None):
            self.on_suspicion(symbol, reason)

    def _trust(self, symbol: str) -> Trust:
        trust = self._trusts.get(symbol)
        if trust is None:
            trust = self._trusts[symbol] = Trust(self._sanity)
        return trust

    def _received(self, symbol: str, bid: Level, ask: Level, ts_event: datetime) -> Quote:
        return Quote(symbol, bid[0], ask[0], bid[1], ask[1], ts_event, self._clock.monotonic())

    def _tell(self, symbol: str, trade: Trade | None) -> None:
        for listener in self._listeners:
            listener(symbol, trade)


def _is_possible(bid: Level, ask: Level) -> bool:
    """Whether the market is not crossed (locked it may be) and offers something at prices that exist."""
    positive = _is_positive(bid[0]) and _is_positive(ask[0])
    return positive and bid[0] <= ask[0] and not (_is_nothing(bid[1]) or _is_nothing(ask[1]))


def _is_positive(number: Decimal) -> bool:
    return number.is_finite() and number > ZERO and number.adjusted() <= _MOST_DIGITS


def _is_nothing(size: Decimal) -> bool:
    return size.is_nan() or size <= ZERO
