"""What the journal says of every environment's account, enabled now or not: an account must not lose what happened
in it because one run did without it.

This module must not know limits, or what a fill means for its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType

import msgspec

from router.domain.events import TRADES, AccountMark, OrderEvent, StrategyMark, TradeBusted, TradeCorrected
from router.domain.order import ZERO, Order
from router.domain.portfolio import Portfolio
from router.execution.checkpoints import AccountState, StrategyState
from router.risk.account import Account, quote_of


class Ledger:
    """Books trades and holds.

    Args:
        accounts: of the enabled environments.
    """

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self._portfolios = {name: account.portfolio for name, account in accounts.items()}
        self._unused: dict[str, dict[str, Portfolio]] = {}  # strategies' parts of environments that are not enabled
        self._marks: dict[str, tuple[date, AccountMark]] = {}
        self._strategy_marks: dict[tuple[str, str], tuple[date, StrategyMark]] = {}
        self.opened: set[str] = set()
        """The environments whose account the journal has opened."""

    def open(self, environment: str, balances: Mapping[str, Decimal]) -> None:
        """Begin an account."""
        self._portfolio(environment).cash = dict(balances)
        self.opened.add(environment)

    def book(self, order: Order, event: OrderEvent) -> None:
        """Book what ``event`` traded, and hold what ``order``, as it is after it, may still trade."""
        portfolio = self._portfolios.get(order.environment)
        if portfolio is not None and isinstance(event, TRADES):
            _book(portfolio, order, event)
            if order.strategy_key:
                part = self._part(order.environment, order.strategy_key)
                part.day = part.day or event.ts_recorded.date()  # it began that day with nothing
                _book(part, order, event)
        account = self._accounts.get(order.environment)
        if account is not None:
            account.hold(order, order.worst_leaves)

    def mark(self, environment: str, day: date, strategy: str | None = None) -> AccountMark:
        """Mark an account to market, and its ``strategy`` if what it loses is limited; returns what an event of ``day``
        is to remember of it."""
        account = self._accounts[environment]
        mark = account.account_mark(day)
        if strategy and account.limits_losses(strategy):
            mark = msgspec.structs.replace(mark, strategy=account.note_strategy(strategy, day))
        self._keep(environment, day, mark, {strategy or "": mark.strategy})
        return mark

    def marks(self, environment: str, day: date) -> tuple[AccountMark, dict[str, StrategyMark]]:
        """Mark an account to market and every strategy in it whose losses are limited."""
        account = self._accounts[environment]
        noted = {name: account.note_strategy(name, day) for name in account.strategies if account.limits_losses(name)}
        found = {name: mark for name, mark in noted.items() if mark is not None}
        mark = account.account_mark(day)
        self._keep(environment, day, mark, found)
        return mark, found

    def remember(
        self,
        environment: str,
        day: date,
        mark: AccountMark,
        strategies: Mapping[str, StrategyMark | None] = MappingProxyType({}),
    ) -> None:
        """Take over a journaled mark, and those of some strategies."""
        self._portfolio(environment).restore(day, mark)
        if environment in self._accounts:
            self._accounts[environment].estimated = frozenset(mark.estimated)
        for name, each in strategies.items():
            if each is not None and self._has_traded(environment, name):
                part = self._part(environment, name)
                part.day, part.day_start_equity, part.peak_equity = day, each.day_start, each.peak
        self._keep(environment, day, mark, strategies)

    def journaled_mark(self, environment: str) -> tuple[date, AccountMark] | None:
        """Return what the journal remembers of an account: its last mark, and the day of it."""
        return self._marks.get(environment)

    def journaled_peaks(self, environment: str) -> dict[str, Decimal]:
        """Return what the journal remembers of the most that strategies had gained in an environment."""
        return {name: mark.peak for (where, name), (_, mark) in self._strategy_marks.items() if where == environment}

    def _keep(
        self, environment: str, day: date, mark: AccountMark, strategies: Mapping[str, StrategyMark | None]
    ) -> None:
        self._marks[environment] = day, msgspec.structs.replace(mark, strategy=None)
        for name, each in strategies.items():
            if each is not None and self._has_traded(environment, name):
                self._strategy_marks[environment, name] = day, each

    def recount(self, environment: str, day: date, equity: Decimal) -> None:
        """Count an account's drawdown from ``equity`` on, whatever its peak was."""
        portfolio = self._portfolio(environment)
        if portfolio.day is None:
            portfolio.day, portfolio.day_start_equity = day, equity
        portfolio.peak_equity = equity
        at, mark = self._marks.get(environment, (day, AccountMark(equity, equity, equity, ZERO)))
        self._marks[environment] = at, msgspec.structs.replace(mark, peak_equity=equity)

    def recount_strategy(self, environment: str, strategy: str, day: date, gained: Decimal) -> None:
        """Count a strategy's losses from what it has ``gained`` on, whatever its peak was."""
        part = self._part(environment, strategy)
        part.day, part.day_start_equity, part.peak_equity = day, gained, gained
        self._strategy_marks[environment, strategy] = day, StrategyMark(gained, gained, gained)

    def state(self) -> dict[str, AccountState]:
        """Return what the journal knows of every account."""
        return {name: self._state(name) for name in self.opened}

    def restore(self, accounts: Mapping[str, AccountState], orders: Iterable[Order]) -> None:
        """Take over what ``state`` returned, and hold what the open ``orders`` may still trade."""
        for name, account in accounts.items():
            self.open(name, account.cash)
            portfolio = self._portfolio(name)
            portfolio.fees, portfolio.positions = dict(account.fees), dict(account.positions)
            if account.marked is not None:
                self.remember(name, *account.marked)
            for strategy, part in account.strategies.items():
                portfolio = self._part(name, strategy)
                portfolio.cash, portfolio.fees = dict(part.cash), dict(part.fees)
                portfolio.positions = dict(part.positions)
                portfolio.day = date.min  # whatever it had gained before counts to no day that is to come
                if part.marked is not None:
                    day, mark = part.marked
                    portfolio.day, portfolio.day_start_equity, portfolio.peak_equity = day, mark.day_start, mark.peak
                    self._strategy_marks[name, strategy] = part.marked
        for order in orders:
            if order.environment in self._accounts:
                self._accounts[order.environment].hold(order, order.worst_leaves)

    def _portfolio(self, environment: str) -> Portfolio:
        return self._portfolios.setdefault(environment, Portfolio({}))

    def _part(self, environment: str, strategy: str) -> Portfolio:
        """Return what a strategy has traded in an environment."""
        account = self._accounts.get(environment)
        if account is not None:
            return account.strategy(strategy).portfolio
        return self._unused.setdefault(environment, {}).setdefault(strategy, Portfolio({}))

    def _has_traded(self, environment: str, strategy: str) -> bool:
        """Whether a strategy has a part at all; one that only holds something leaves nothing behind."""
        account = self._accounts.get(environment)
        if account is None:
            return strategy in self._unused.get(environment, {})
        book = account.strategies.get(strategy)
        return book is not None and bool(book.portfolio.positions)

    def _parts(self, environment: str) -> dict[str, Portfolio]:
        account = self._accounts.get(environment)
        if account is None:
            return self._unused.get(environment, {})
        return {name: book.portfolio for name, book in account.strategies.items() if book.portfolio.positions}

    def _state(self, name: str) -> AccountState:
        portfolio = self._portfolios[name]
        strategies = {
            strategy: StrategyState(part.cash, part.fees, part.positions, self._strategy_marks.get((name, strategy)))
            for strategy, part in self._parts(name).items()
        }
        return AccountState(portfolio.cash, portfolio.fees, portfolio.positions, self._marks.get(name), strategies)


def _book(portfolio: Portfolio, order: Order, event: OrderEvent) -> None:
    """Book what ``event`` traded; a bust or a correction first books the old trade the other way round."""
    assert isinstance(event, TRADES), "only trades are booked"
    assert event.last_quantity is not None, "the table admits no empty trade"
    assert event.last_price is not None, "the table admits no trade without a price"
    currency = event.fee_currency or quote_of(order.symbol)
    if isinstance(event, TradeBusted):
        portfolio.reverse(order.symbol, order.side, event.last_quantity, event.last_price, event.fee, currency)
        return
    if isinstance(event, TradeCorrected):
        old = event.previous_quantity, event.previous_price, event.previous_fee
        portfolio.reverse(order.symbol, order.side, *old, currency)
    portfolio.fill(order.symbol, order.side, event.last_quantity, event.last_price, event.fee, currency)
