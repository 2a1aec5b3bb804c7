"""One environment's account as risk sees it: portfolio, holds and marks brought into the base currency.

Cash without a rate counts as nothing and an order in such a currency is refused. A position that cannot be valued
makes the exposure infinite, so that only reducing orders pass, and leaves peak and day start as they are.
This module must not know limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

from router.domain.events import AccountMark, StrategyMark
from router.domain.order import ZERO, Order
from router.domain.portfolio import Portfolio
from router.market.quotes import MarketData
from router.risk.book import Book

_ONE = Decimal(1)
_PIVOTS = ("BTC", "ETH")
_LATELY_S = 10.0
"""How old the two quotes of a cross rate may be; with an older one the last good rate counts."""


class Account(Book):
    """Positions plus working orders, valued at our marks.

    Args:
        portfolio: the fold of the fills.
        market: where marks and rates come from.
        base_currency: what everything is valued in.
        fixed_rates: the value of one unit of a currency where no quote tells it.
    """

    def __init__(
        self, portfolio: Portfolio, market: MarketData, base_currency: str, fixed_rates: Mapping[str, Decimal]
    ) -> None:
        super().__init__(portfolio, self.mark, self.rate)
        self.strategies: dict[str, Book] = {}
        """The part of each strategy that holds or works something, or ever traded."""
        self.limits_losses: Callable[[str], bool] = lambda _: False
        """Whether what a strategy may lose is limited."""
        self.estimated: frozenset[str] = frozenset()
        """The currencies that count by a fixed rate, or as nothing, in peak and day start."""
        self._market = market
        self._base = base_currency
        self._fixed = fixed_rates
        self._version = -1
        self._rates: dict[str, Decimal | None] = {}
        self._marks: dict[str, Decimal | None] = {}
        self._last_marks: dict[str, Decimal] = {}
        self._last_rates: dict[str, Decimal] = {}
        self._no_quote: frozenset[str] = frozenset()
        self._no_quote_at = (-1, -1)

    def _refresh(self) -> None:
        """Forget what was computed from quotes that have changed since."""
        if self._version != self._market.version:
            self._version = self._market.version
            self._rates.clear()
            self._marks.clear()

    def rate(self, currency: str) -> Decimal | None:
        """Return the value of one unit of ``currency`` in the base currency, or None."""
        self._refresh()
        if currency not in self._rates:
            self._rates[currency] = self._rate(currency)
        return self._rates[currency]

    def _rate(self, currency: str) -> Decimal | None:
        quoted = self._quoted(currency)
        if quoted is not None:
            self._last_rates[currency] = quoted
        return self._last_rates.get(currency) or self._fixed.get(currency)

    def _quoted(self, currency: str) -> Decimal | None:
        """The rate that quotes tell now."""
        if currency == self._base:
            return _ONE
        for symbol, inverse in ((f"{currency}/{self._base}", False), (f"{self._base}/{currency}", True)):
            quote = self._market.trusted(symbol)
            if quote is not None:
                return 1 / quote.mid if inverse else quote.mid
        return self._cross_rate(currency)

    def _cross_rate(self, currency: str) -> Decimal | None:
        """The rate implied by one asset quoted in both currencies, both of them lately: one that stands still while
        the other moves tells nothing."""
        for asset in _PIVOTS:
            ours, theirs = (
                self._market.trusted(f"{asset}/{self._base}"),
                self._market.trusted(f"{asset}/{currency}"),
            )
            ages = self._market.age(f"{asset}/{self._base}"), self._market.age(f"{asset}/{currency}")
            if ours is not None and theirs is not None and all(age is not None and age <= _LATELY_S for age in ages):
                return ours.mid / theirs.mid
        return None

    def mark(self, symbol: str) -> Decimal | None:
        """Return the value of one unit of ``symbol``'s base in the base currency, from the last trusted quote."""
        self._refresh()
        if symbol not in self._marks:
            self._marks[symbol] = self._mark(symbol)
        return self._marks[symbol]

    def _mark(self, symbol: str) -> Decimal | None:
        quote = self._market.trusted(symbol)
        rate = self.rate(quote_of(symbol))
        if quote is not None and rate is not None:
            self._last_marks[symbol] = quote.mid * rate
        return self._last_marks.get(symbol)

    def note_equity(self, today: date, equity: Decimal) -> bool:
        """Let ``equity`` count for peak and day start; False when it tells nothing, as a position is missing from it or
        the account has not begun."""
        if not self.portfolio.cash or not self.is_valued:
            return False
        self._value_more()
        self.portfolio.mark(today, equity)
        return True

    @property
    def is_valued(self) -> bool:
        """Whether every position can be valued, and all cash that counts in peak and day start."""
        return super().is_valued and (self.portfolio.day is None or self._by_no_quote() <= self.estimated)

    def _by_no_quote(self) -> frozenset[str]:
        """Return the currencies of our cash that no quote of this run values; asked several times an order, so it is
        found once for each change of the quotes and of what we have cash in."""
        cash, known = self.portfolio.cash, (self._market.version, len(self.portfolio.cash))
        if self._no_quote_at != known:
            for name in cash:
                self.rate(name)  # notes whether a quote tells it
            self._no_quote_at = known
            self._no_quote = frozenset(name for name, amount in cash.items() if amount and name not in self._last_rates)
        return self._no_quote

    def _value_more(self) -> None:
        """Let cash whose rate has become known count by it in peak and day start too: it is no gain and no loss."""
        estimated, portfolio = self._by_no_quote(), self.portfolio
        if portfolio.day is not None:
            for name in self.estimated - estimated:
                before = self._fixed.get(name, ZERO)
                known = portfolio.cash.get(name, ZERO) * ((self.rate(name) or ZERO) - before)
                portfolio.peak_equity += known
                portfolio.day_start_equity += known
        self.estimated = estimated

    # -- strategies ----------------------------------------------------------------------------------------

    def strategy(self, name: str) -> Book:
        """Return a strategy's part, which begins with nothing."""
        book = self.strategies.get(name)
        if book is None:
            book = self.strategies[name] = Book(Portfolio({}), self.mark, self.rate)
        return book

    def hold(self, order: Order, leaves: Decimal) -> None:
        """Hold ``leaves`` for ``order``, in the account and in its strategy's part; 0 releases it."""
        self.holds.set(order, leaves)
        name = order.strategy_key
        if not name:
            return
        book = self.strategy(name)
        book.holds.set(order, leaves)
        if not len(book.holds) and not book.portfolio.positions:  # names come from outside: only who trades stays
            del self.strategies[name]

    def note_strategy(self, name: str, today: date) -> StrategyMark | None:
        """Let what a strategy has gained count for its peak and day start; None when it cannot be valued."""
        book = self.strategies.get(name)
        if book is None or not book.is_valued:
            return None
        portfolio, gained = book.portfolio, book.equity()
        portfolio.mark(today, gained)
        return StrategyMark(gained, portfolio.peak_equity, portfolio.day_start_equity)

    def account_mark(self, today: date) -> AccountMark:
        """Mark the account to market and return what the journal should remember of it."""
        equity = self.equity()
        portfolio = self.portfolio
        self.note_equity(today, equity)
        exposure = self.exposure() / equity if equity > 0 else ZERO
        estimated = tuple(sorted(self.estimated)) if self.estimated else ()
        return AccountMark(equity, portfolio.peak_equity, portfolio.day_start_equity, exposure, estimated=estimated)


def base_of(symbol: str) -> str:
    """``BTC`` of ``BTC/USDT``."""
    return symbol.partition("/")[0]


def quote_of(symbol: str) -> str:
    """``USDT`` of ``BTC/USDT`` and of ``BTC/USDT:USDT``."""
    return symbol.partition("/")[2].partition(":")[0]
