"""What the journal says of every environment's account, enabled now or not: an account must not lose what happened
in it because one run did without it.

This module must not know limits, or what a fill means for its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

import msgspec

from router.domain.events import TRADES, AccountMark, OrderEvent, TradeBusted, TradeCorrected
from router.domain.order import ZERO, Order
from router.domain.portfolio import Portfolio
from router.execution.checkpoints import AccountState
from router.risk.account import Account, quote_of


class Ledger:
    """Books trades and holds.

    Args:
        accounts: of the enabled environments.
    """

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self._portfolios = {name: account.portfolio for name, account in accounts.items()}
        self._marks: dict[str, tuple[date, AccountMark]] = {}
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
        account = self._accounts.get(order.environment)
        if account is not None:
            account.holds.set(order, order.worst_leaves)

    def mark(self, environment: str, day: date) -> AccountMark:
        """Mark an account to market and return what an event of ``day`` is to remember of it."""
        mark = self._accounts[environment].account_mark(day)
        self._marks[environment] = day, mark
        return mark

    def remember(self, environment: str, day: date, mark: AccountMark) -> None:
        """Take over a journaled mark."""
        self._portfolio(environment).restore(day, mark)
        self._marks[environment] = day, mark

    def recount(self, environment: str, day: date, equity: Decimal) -> None:
        """Count an account's drawdown from ``equity`` on, whatever its peak was."""
        portfolio = self._portfolio(environment)
        if portfolio.day is None:
            portfolio.day, portfolio.day_start_equity = day, equity
        portfolio.peak_equity = equity
        at, mark = self._marks.get(environment, (day, AccountMark(equity, equity, equity, ZERO)))
        self._marks[environment] = at, msgspec.structs.replace(mark, peak_equity=equity)

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
        for order in orders:
            if order.environment in self._accounts:
                self._accounts[order.environment].holds.set(order, order.worst_leaves)

    def _portfolio(self, environment: str) -> Portfolio:
        return self._portfolios.setdefault(environment, Portfolio({}))

    def _state(self, name: str) -> AccountState:
        portfolio = self._portfolios[name]
        return AccountState(portfolio.cash, portfolio.fees, portfolio.positions, self._marks.get(name))


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
