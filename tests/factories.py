"""Plain builders of the domain's values, each with one sensible default per field, and what property tests share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings

from router.clock import VirtualClock
from router.domain.enums import ExecutionStatus, OrderSide, OrderType
from router.domain.events import Filled, PartiallyFilled
from router.domain.intent import OrderIntent
from router.domain.market import Instrument, Quote
from router.domain.order import Order
from router.domain.portfolio import Portfolio
from router.domain.result import ExecutionResult
from router.market.quotes import MarketData
from router.middleware import Submission
from router.risk.account import Account
from router.risk.limits import LiveRiskLimits

NOW = datetime(2025, 12, 9, 14, 32, 45, tzinfo=UTC)
TODAY: date = NOW.date()
PROPERTY = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
"""Repeatable, and never failing because the machine is busy."""
D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL


class HandClock(VirtualClock):
    """A clock for whoever only reads it: it moves at once, without a loop."""

    def tick(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._elapsed += seconds


def intent(**fields: Any) -> OrderIntent:
    """Return a small market buy, with ``fields`` instead of its own."""
    return OrderIntent(**{"symbol": "BTC/USD", "side": "buy", "quantity": "0.01", **fields})


def order(**fields: Any) -> Order:
    """Return a PENDING market buy of 1 BTC/USD; numbers may be given as text."""
    values: dict[str, Any] = {
        "client_order_id": "U1",
        "run_id": "run_1",
        "symbol": "BTC/USD",
        "side": BUY,
        "order_type": OrderType.MARKET,
        "quantity": "1",
        "environment": "paper",
        "created_at": NOW,
        "updated_at": NOW,
        **fields,
    }
    numbers = {"quantity", "price", "filled_quantity", "filled_notional"} & values.keys()
    return Order(**(values | {key: D(values[key]) for key in numbers if values[key] is not None}))


def quote(bid: str = "99", ask: str = "101", symbol: str = "BTC/USD", received: float = 0.0) -> Quote:
    """Return an unlimited quote."""
    return Quote(symbol, D(bid), D(ask), None, None, NOW, received)


def instrument(**fields: Any) -> Instrument:
    """Return BTC/USD with small steps."""
    values: dict[str, Any] = {
        "symbol": "BTC/USD",
        "base": "BTC",
        "quote": "USD",
        "tick_size": D("0.01"),
        "lot_size": D("0.0001"),
        "min_quantity": D("0.0001"),
        "max_quantity": D(1000),
        "min_notional": D(10),
    }
    return Instrument(**(values | fields))


def submission(its_order: Order | None = None, **fields: Any) -> Submission:
    """Return a submission for paper; ``its_order`` and a reference quote are set as validation and safety would."""
    reference = fields.pop("reference", quote())
    values: dict[str, Any] = {
        "intent": intent(),
        "run_id": "run_1",
        "session_id": "session_paper_20251209",
        "environment": "paper",
        "client_order_id": its_order.client_order_id if its_order else "U1",
        "received_at": NOW,
    }
    made = Submission(**(values | fields))
    made.order, made.reference = its_order, reference
    return made


def result(status: ExecutionStatus = ExecutionStatus.SUCCESS, **fields: Any) -> ExecutionResult:
    """Return an answer to ``intent()``."""
    return submission().answer(status, **fields)


class Last:
    """The end of a chain: notes what reaches it and answers SUCCESS, or as told."""

    def __init__(self, *, executor_called: bool = True) -> None:
        self.seen: list[Submission] = []
        self._executor_called = executor_called

    async def __call__(self, submission: Submission) -> ExecutionResult:
        self.seen.append(submission)
        return submission.answer(ExecutionStatus.SUCCESS, executor_called=self._executor_called)


def fill(its_order: Order, quantity: str | Decimal, price: str | Decimal = "100", **fields: Any) -> Any:
    """Return the fill event of the right kind for ``quantity`` more of ``its_order``."""
    last = D(quantity)
    kind = Filled if its_order.filled_quantity + last == its_order.quantity else PartiallyFilled
    values: dict[str, Any] = {
        "seq": 1,
        "ts_recorded": NOW,
        "run_id": its_order.run_id,
        "status": ExecutionStatus.PARTIALLY_FILLED,
        "client_order_id": its_order.client_order_id,
        "trade_id": "t1",
        "last_quantity": last,
        "last_price": D(price),
    }
    return kind(**(values | fields))


def limits(**fields: Any) -> LiveRiskLimits:
    """Return limits that nothing small breaks; numbers may be given as text."""
    values: dict[str, Any] = {
        "base_currency": "USD",
        "max_order_notional": "1000000000",
        "max_order_quantity": {"default": "1000000"},
        "max_position_size": {"default": "1000000"},
        "max_exposure": "1000",
        "max_drawdown": "0.5",
        "max_daily_loss": "0.5",
        "max_concentration": "1000",
        "max_open_orders": 1000,
        "fixed_rates": {},
        **fields,
    }
    return LiveRiskLimits(**{key: _number(key, value) for key, value in values.items()})


def _number(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: D(number) for name, number in value.items()}
    return value if key in {"base_currency", "max_open_orders"} else D(value)


def market(*quotes: Quote) -> MarketData:
    """Return a quote book on a virtual clock, with quotes that never age."""
    book = MarketData(VirtualClock(NOW))
    for each in quotes or (quote(),):
        book.pin(each)
    return book


def account(
    book: MarketData | None = None,
    balances: Mapping[str, str] | None = None,
    fixed_rates: Mapping[str, str] | None = None,
    base: str = "USD",
) -> Account:
    """Return an account with 100 000 USD."""
    cash = {"USD": "100000"} if balances is None else balances
    portfolio = Portfolio({name: D(amount) for name, amount in cash.items()})
    rates = {name: D(rate) for name, rate in (fixed_rates or {}).items()}
    return Account(portfolio, book or market(), base, rates)


def hold(its_account: Account, symbol: str, quantity: str) -> None:
    """Give the account a position, bought or sold at the mark without changing its equity."""
    mark = its_account.mark(symbol)
    assert mark is not None
    side = BUY if D(quantity) > 0 else SELL
    its_account.portfolio.fill(symbol, side, abs(D(quantity)), mark, D(0), "USD")
