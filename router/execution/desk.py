"""Our side of a reconciliation, said in the tracker's words: the reconciler's ``Desk``.

This module must not know when anything is compared, or what a difference means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from router.domain.enums import Severity
from router.domain.market import Instrument
from router.domain.order import ZERO, Order
from router.domain.portfolio import Portfolio
from router.domain.report import ExecutionReport
from router.execution.tracker import Tracker
from router.risk.account import Account, base_of


class BooksDesk:
    """What the tracker knows.

    Args:
        accounts: by environment.
        instruments: their currencies are compared; a venue may hold hundreds that nobody trades.
        look_up: has an order looked up now.
    """

    def __init__(
        self,
        tracker: Tracker,
        accounts: Mapping[str, Account],
        instruments: Iterable[Instrument],
        look_up: Callable[[str], None],
    ) -> None:
        self._tracker = tracker
        self._accounts = accounts
        self._currencies = sorted({name for each in instruments for name in (each.base, each.quote)})
        self._look_up = look_up

    def order(self, client_order_id: str) -> Order | None:
        return self._tracker.orders.recall(client_order_id)

    def working(self, environment: str) -> Iterable[Order]:
        return [order for order in self._tracker.orders.working_orders() if order.environment == environment]

    def knows_trade(self, client_order_id: str, trade_id: str) -> bool:
        return trade_id in self._tracker.orders.executions(client_order_id)

    def report(self, report: ExecutionReport) -> None:
        self._tracker.report(report)

    def look_up(self, order: Order) -> None:
        self._look_up(order.client_order_id)

    def expected(self, environment: str) -> Mapping[str, Decimal] | None:
        """Return cash plus what positions hold of their base currency."""
        if environment not in self._tracker.ledger.opened:
            return None
        portfolio = self._accounts[environment].portfolio
        held = {currency: portfolio.cash.get(currency, ZERO) for currency in self._currencies}
        for symbol, position in portfolio.positions.items():
            base = base_of(symbol)
            if base in held:
                held[base] += position.quantity
        return held

    def open_account(self, environment: str, balances: Mapping[str, Decimal]) -> None:
        self._tracker.open_account(
            environment, Portfolio({currency: balances.get(currency, ZERO) for currency in self._currencies})
        )

    def alert(self, severity: Severity, message: str, order: Order | None = None) -> None:
        self._tracker.alert(severity, "reconcile", message, order)
