"""What shadow orders would have come to, beside what their strategies decided on (spec §6).

- Decision price: the intent's own price (a limit, or what a market order was decided on), else the touch of the
  quote that the gates saw, on the order's side.
- Slippage: average would-be fill against the decision price, weighted by quantity, in basis points (bp) of the
  decision price; positive is worse than decided: bought higher, sold lower. A strategy's mean counts each order once.
- Time to fill: first and last fill minus the decision, in the market's time, which alone means anything in a replay.
- Fill ratio: filled over wanted, by notional at the decision price. Cost: slippage and fees, a line per currency;
  currencies are never added up.

What is wanted is what the order's last fill says (an amended order wants something else than its intent). Events of
other kinds, and fills of orders that are not looked at, are passed over. One pass; memory holds the orders looked
at and nothing else. This module must not know where events are stored, nor how an answer is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from statistics import median
from typing import Any, Final

import msgspec

from router.domain.enums import OPEN, ExecutionStatus, OrderSide
from router.domain.events import (
    Cancelled,
    Errored,
    Event,
    Expired,
    Filled,
    OrderEvent,
    PartiallyFilled,
    Pending,
    Rejected,
    Submitted,
)

NO_STRATEGY: Final = "–"
"""The strategy of orders that named none."""
_BASIS_POINTS: Final = 10_000
_DIGITS: Final = 20  # a number with a larger exponent is nobody's price, and overflows in arithmetic
_MOVES: Final = (Submitted, PartiallyFilled, Filled, Cancelled, Expired, Rejected, Errored)
_ZERO: Final = Decimal(0)


class ShadowOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order: decided, and what would have become of it.

    ``slippage_cost`` is in ``currency``, the symbol's quote currency; ``fees`` are by the currency they are paid in.
    None: nothing was filled, no decision price is known, or a fill bears a time before its decision.
    """

    client_order_id: str
    strategy: str
    symbol: str
    currency: str
    side: OrderSide
    order_type: str
    status: ExecutionStatus
    decided_at: datetime
    decision_price: Decimal | None
    quantity: Decimal
    filled_quantity: Decimal
    fill_ratio: Decimal
    average_price: Decimal | None
    slippage_bps: Decimal | None
    slippage_cost: Decimal | None
    first_fill_s: float | None
    last_fill_s: float | None
    fees: dict[str, Decimal]


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy's money in one currency; ``wanted`` and ``filled`` are notionals at the decision prices."""

    currency: str
    wanted: Decimal
    filled: Decimal
    fill_ratio: Decimal | None
    slippage_cost: Decimal
    fees: Decimal
    cost: Decimal


class MarketSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Decided against would-be, for one side of one symbol; the prices are averages weighted by filled quantity."""

    symbol: str
    side: OrderSide
    orders: int
    filled_quantity: Decimal
    decision_price: Decimal | None
    average_price: Decimal | None
    slippage_bps: Decimal | None
    first_fill_median_s: float | None


class StrategySummary(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy: ``filled`` + ``partly`` + ``unfilled`` are all ``orders``; the next four say how they stand."""

    strategy: str
    orders: int
    filled: int
    partly: int
    unfilled: int
    working: int
    expired: int
    cancelled: int
    rejected: int
    slippage_mean_bps: Decimal | None
    slippage_median_bps: Decimal | None
    slippage_p95_bps: Decimal | None
    slippage_worst_bps: Decimal | None
    first_fill_median_s: float | None
    last_fill_median_s: float | None
    amounts: tuple[Amounts, ...]
    markets: tuple[MarketSummary, ...]


class ShadowReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, strategies by name, orders as journaled.

    ``left_out`` orders of the environment did not match what was asked for; ``undecided`` ones have no decision
    price, ``untimed`` ones a fill before their decision; ``unusable`` orders and fills bear numbers nobody can use.
    """

    environment: str
    strategies: tuple[StrategySummary, ...]
    orders: tuple[ShadowOrder, ...]
    left_out: int
    undecided: int
    untimed: int
    unusable: int


class _Tally(msgspec.Struct):
    """An order while its events are read."""

    intent: Any
    side: OrderSide
    decided_at: datetime
    decision_price: Decimal | None
    quantity: Decimal
    status: ExecutionStatus
    filled: Decimal = _ZERO
    notional: Decimal = _ZERO
    fees: dict[str, Decimal] = {}
    first_fill: datetime | None = None
    last_fill: datetime | None = None


class _Reader:
    """Sums up one event after the other."""

    def __init__(self, environment: str, strategy: str | None, symbol: str | None, since: datetime | None) -> None:
        self.orders: dict[str, _Tally] = {}
        self.left_out = self.unusable = 0
        self._environment = environment
        self._strategy = strategy
        self._symbol = symbol
        self._since = None if since is None else _aware(since)

    def read(self, event: Event) -> None:
        if isinstance(event, Pending):
            if event.environment == self._environment:
                self._decided(event)
        elif isinstance(event, OrderEvent) and (order := self.orders.get(event.client_order_id or "")) is not None:
            if isinstance(event, Filled | PartiallyFilled):
                self._filled(order, event)
            if isinstance(event, _MOVES):
                order.status = event.status

    def _decided(self, event: Pending) -> None:
        intent, quote = event.intent, event.reference
        decided_at = _aware(event.ts_event or (quote.ts_event if quote else event.ts_recorded))
        if (
            self._strategy not in (None, _strategy_of(intent))
            or self._symbol not in (None, intent.symbol)
            or (self._since is not None and decided_at < self._since)
        ):
            self.left_out += 1
            return
        quantity, side = _positive(intent.quantity), _side(intent.side)
        if quantity is None or side is None or not isinstance(intent.symbol, str) or event.client_order_id is None:
            self.unusable += 1
            return
        decision_price = _positive(intent.price) or (_positive(quote.touch(side)) if quote else None)
        self.orders[event.client_order_id] = _Tally(intent, side, decided_at, decision_price, quantity, event.status)

    def _filled(self, order: _Tally, event: Filled | PartiallyFilled) -> None:
        quantity, price = _positive(event.last_quantity), _positive(event.last_price)
        if quantity is None or price is None or not _usable(event.fee):
            self.unusable += 1
            return
        order.filled += quantity
        order.notional += quantity * price
        currency = event.fee_currency or _currency_of(order.intent.symbol)
        order.fees[currency] = order.fees.get(currency, _ZERO) + event.fee
        if event.ts_event is not None:
            order.last_fill = _aware(event.ts_event)
            order.first_fill = order.first_fill or order.last_fill
        if isinstance(event, Filled):
            order.quantity = order.filled
        elif (leaves := _positive(event.leaves_quantity)) is not None:
            order.quantity = order.filled + leaves


def build_report(
    events: Iterable[Event],
    *,
    environment: str = "shadow",
    strategy: str | None = None,
    symbol: str | None = None,
    since: datetime | None = None,
) -> ShadowReport:
    """Sum up the journal's ``events``, oldest first.

    Args:
        events: all, or any later part of them.
        environment: whose orders are looked at.
        strategy: only this strategy's; ``NO_STRATEGY`` for orders that named none.
        symbol: only this symbol's.
        since: only orders decided then or later, in the market's time; without a zone it is UTC.
    """
    reader = _Reader(environment, strategy, symbol, since)
    for event in events:
        reader.read(event)
    orders = tuple(_order(key, tally) for key, tally in reader.orders.items())
    by_strategy: dict[str, list[ShadowOrder]] = {}
    for order in orders:
        by_strategy.setdefault(order.strategy, []).append(order)
    return ShadowReport(
        environment=environment,
        strategies=tuple(_summary(name, by_strategy[name]) for name in sorted(by_strategy)),
        orders=orders,
        left_out=reader.left_out,
        undecided=sum(order.decision_price is None for order in orders),
        untimed=sum(order.filled_quantity > 0 and order.first_fill_s is None for order in orders),
        unusable=reader.unusable,
    )


def _order(client_order_id: str, tally: _Tally) -> ShadowOrder:
    cost = bps = None
    if tally.filled and tally.decision_price is not None:
        decided = tally.decision_price * tally.filled
        cost = tally.notional - decided if tally.side is OrderSide.BUY else decided - tally.notional
        bps = cost / decided * _BASIS_POINTS
    return ShadowOrder(
        client_order_id=client_order_id,
        strategy=_strategy_of(tally.intent),
        symbol=tally.intent.symbol,
        currency=_currency_of(tally.intent.symbol),
        side=tally.side,
        order_type=str(tally.intent.order_type),
        status=tally.status,
        decided_at=tally.decided_at,
        decision_price=tally.decision_price,
        quantity=tally.quantity,
        filled_quantity=tally.filled,
        fill_ratio=tally.filled / tally.quantity,
        average_price=tally.notional / tally.filled if tally.filled else None,
        slippage_bps=bps,
        slippage_cost=cost,
        first_fill_s=_seconds(tally.decided_at, tally.first_fill),
        last_fill_s=_seconds(tally.decided_at, tally.last_fill),
        fees=tally.fees,
    )


def _summary(strategy: str, orders: Sequence[ShadowOrder]) -> StrategySummary:
    slippage = sorted(order.slippage_bps for order in orders if order.slippage_bps is not None)
    status = [order.status for order in orders]
    filled = sum(order.fill_ratio >= 1 for order in orders)
    unfilled = sum(not order.filled_quantity for order in orders)
    sides: dict[tuple[str, OrderSide], list[ShadowOrder]] = {}
    for order in orders:
        sides.setdefault((order.symbol, order.side), []).append(order)
    return StrategySummary(
        strategy=strategy,
        orders=len(orders),
        filled=filled,
        partly=len(orders) - filled - unfilled,
        unfilled=unfilled,
        working=sum(each in OPEN for each in status),
        expired=status.count(ExecutionStatus.EXPIRED),
        cancelled=status.count(ExecutionStatus.CANCELLED),
        rejected=status.count(ExecutionStatus.REJECTED) + status.count(ExecutionStatus.ERROR),
        slippage_mean_bps=sum(slippage, _ZERO) / len(slippage) if slippage else None,
        slippage_median_bps=median(slippage) if slippage else None,
        slippage_p95_bps=slippage[-(-95 * len(slippage) // 100) - 1] if slippage else None,
        slippage_worst_bps=slippage[-1] if slippage else None,
        first_fill_median_s=_median_s(order.first_fill_s for order in orders),
        last_fill_median_s=_median_s(order.last_fill_s for order in orders),
        amounts=_amounts(orders),
        markets=tuple(_market(*key, sides[key]) for key in sorted(sides)),
    )


def _amounts(orders: Sequence[ShadowOrder]) -> tuple[Amounts, ...]:
    wanted: dict[str, Decimal] = {}
    filled, slippage, fees = dict(wanted), dict(wanted), dict(wanted)
    for order in orders:
        price = order.decision_price or _ZERO
        _add(wanted, order.currency, price * order.quantity)
        _add(filled, order.currency, price * order.filled_quantity)
        _add(slippage, order.currency, order.slippage_cost or _ZERO)
        for currency, fee in order.fees.items():
            _add(fees, currency, fee)
    return tuple(
        Amounts(
            currency=currency,
            wanted=wanted.get(currency, _ZERO),
            filled=filled.get(currency, _ZERO),
            fill_ratio=filled[currency] / wanted[currency] if wanted.get(currency) else None,
            slippage_cost=slippage.get(currency, _ZERO),
            fees=fees.get(currency, _ZERO),
            cost=slippage.get(currency, _ZERO) + fees.get(currency, _ZERO),
        )
        for currency in sorted(wanted.keys() | fees.keys())
    )


def _market(symbol: str, side: OrderSide, orders: Sequence[ShadowOrder]) -> MarketSummary:
    compared = [order for order in orders if order.slippage_cost is not None]
    quantity = sum((order.filled_quantity for order in compared), _ZERO)
    decided = sum(((order.decision_price or _ZERO) * order.filled_quantity for order in compared), _ZERO)
    cost = sum((order.slippage_cost or _ZERO for order in compared), _ZERO)
    return MarketSummary(
        symbol=symbol,
        side=side,
        orders=len(orders),
        filled_quantity=sum((order.filled_quantity for order in orders), _ZERO),
        decision_price=decided / quantity if quantity else None,
        average_price=(decided + (cost if side is OrderSide.BUY else -cost)) / quantity if quantity else None,
        slippage_bps=cost / decided * _BASIS_POINTS if decided else None,
        first_fill_median_s=_median_s(order.first_fill_s for order in orders),
    )


def _add(amounts: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    amounts[currency] = amounts.get(currency, _ZERO) + amount


def _median_s(times: Iterable[float | None]) -> float | None:
    known = [time for time in times if time is not None]
    return median(known) if known else None


def _seconds(start: datetime, end: datetime | None) -> float | None:
    return None if end is None or end < start else (end - start).total_seconds()


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _strategy_of(intent: Any) -> str:
    return str(intent.strategy_key or NO_STRATEGY)


def _currency_of(symbol: str) -> str:
    return symbol.partition("/")[2].partition(":")[0] or symbol


def _side(word: Any) -> OrderSide | None:
    return next((side for side in OrderSide if isinstance(word, str) and word.lower() == side), None)


def _usable(number: Any) -> bool:
    return isinstance(number, Decimal) and number.is_finite() and abs(number.adjusted()) <= _DIGITS


def _positive(number: Any) -> Decimal | None:
    return number if _usable(number) and number > 0 else None
