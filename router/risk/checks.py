"""The limits as arithmetic: what an order would make of each, and which would break (spec §5, runbook §8.2).

Equal to a limit passes for sizes; reaching it blocks for drawdown and daily loss. An order that strictly reduces
its position is exempt from exposure, concentration and open orders; flagged ``reduce_only``, from drawdown and
daily loss too. This module must not know stages, holds' lifetimes or wordings beyond the violations'.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import NamedTuple

from router.domain.enums import OrderSide, OrderType
from router.domain.market import Quote
from router.domain.order import ZERO, Order
from router.domain.result import Limit, Violation
from router.risk.account import Account, base_of, quote_of
from router.risk.limits import LiveRiskLimits

_INFINITE = Decimal("Infinity")


class Assessment(NamedTuple):
    """Every limit as measured for one order, the broken ones first found first, and the exposure without it."""

    limits: list[Limit]
    violations: list[Violation]
    current_exposure: Decimal


class _Rule(NamedTuple):
    """A limit as it stands for one order; ``at_limit``: reaching it already breaks it."""

    name: str
    message: str
    value: Decimal
    limit: Decimal
    at_limit: bool
    exempt: bool

    @property
    def broken(self) -> bool:
        over = self.value >= self.limit if self.at_limit else self.value > self.limit
        return over and not self.exempt

    @property
    def measured(self) -> Limit:
        return Limit(self.name, self.value, self.limit, self.limit - self.value)


def assess(order: Order, reference: Quote, account: Account, limits: LiveRiskLimits, today: date) -> Assessment | None:
    """Return None when ``order`` keeps every limit, else all of them as measured, in the order they are reported."""
    equity = account.equity()
    account.note_equity(today, equity)
    worst = account.worst_notionals()
    rules = [
        *_reduce_only_rules(order, account),
        *_account_rules(order, account, limits, equity),
        *_size_rules(order, account, limits, equity, worst),
        *_order_rules(order, reference, account, limits),
    ]
    violations = [Violation(rule.message, rule.measured) for rule in rules if rule.broken]
    if not violations:
        return None
    return Assessment([rule.measured for rule in rules], violations, _share(sum(worst.values(), ZERO), equity))


def account_limits(account: Account, limits: LiveRiskLimits, today: date) -> list[Limit]:
    """Measure the account as it is, without a new order, for ``risk_snapshot``."""
    equity = account.equity()
    account.note_equity(today, equity)
    values = [
        ("max_drawdown", drawdown(account, equity), limits.max_drawdown),
        ("max_daily_loss", daily_loss(account, equity), limits.max_daily_loss),
        ("max_exposure", _share(account.exposure(), equity), limits.max_exposure),
        ("max_open_orders", Decimal(len(account.holds)), Decimal(limits.max_open_orders)),
    ]
    return [Limit(name, value, limit, limit - value) for name, value, limit in values]


def drawdown(account: Account, equity: Decimal) -> Decimal:
    """How far equity is below its peak, as a fraction of the peak."""
    peak = account.portfolio.peak_equity
    return (peak - equity) / peak if peak > 0 else ZERO


def daily_loss(account: Account, equity: Decimal) -> Decimal:
    """What was lost since the UTC day began, as a fraction of equity then; negative for a gain."""
    start = account.portfolio.day_start_equity
    return (start - equity) / start if start > 0 else ZERO


def reduces(order: Order, account: Account) -> bool:
    """Whether the order makes the position strictly smaller even if all working orders of its side fill first."""
    wanted, reducible = _reduction(order, account)
    return wanted <= reducible


def _reduction(order: Order, account: Account) -> tuple[Decimal, Decimal]:
    """Return what the order and the working ones of its side want to trade, and what the position lets them reduce."""
    position = account.portfolio.position(order.symbol).quantity
    working = account.holds.working(order.symbol)
    if order.side is OrderSide.SELL:
        return working.sells + order.leaves_quantity, max(position, ZERO)
    return working.buys + order.leaves_quantity, max(-position, ZERO)


def _reduce_only_rules(order: Order, account: Account) -> list[_Rule]:
    """What the order's own flag demands."""
    if not order.reduce_only:
        return []
    wanted, reducible = _reduction(order, account)
    return [_Rule("reduce_only", "Reduce-only order would not reduce", wanted, reducible, False, False)]


def _account_rules(order: Order, account: Account, limits: LiveRiskLimits, equity: Decimal) -> list[_Rule]:
    """What the account has lost; an order flagged ``reduce_only`` that does reduce may always leave."""
    exempt = order.reduce_only and reduces(order, account)
    lost, lost_today = drawdown(account, equity), daily_loss(account, equity)
    return [
        _Rule("max_drawdown", "Drawdown limit breached", lost, limits.max_drawdown, True, exempt),
        _Rule("max_daily_loss", "Daily loss limit reached", lost_today, limits.max_daily_loss, True, exempt),
    ]


def _size_rules(
    order: Order, account: Account, limits: LiveRiskLimits, equity: Decimal, worst: dict[str, Decimal]
) -> list[_Rule]:
    """What the position, the exposure and the asset's share could become if everything that works fills."""
    symbol, reducing = order.symbol, reduces(order, account)
    low, high = account.holds.working(symbol).extremes(account.portfolio.position(symbol).quantity)
    leaves = order.leaves_quantity
    reached = high + leaves if order.side is OrderSide.BUY else leaves - low
    mark = account.mark(symbol) or ZERO
    added = max(reached * mark - worst.get(symbol, ZERO), ZERO)
    exposure = _share(sum(worst.values(), added), equity)
    asset = base_of(symbol)
    share = _share(sum((value for name, value in worst.items() if base_of(name) == asset), added), equity)
    position_limit = limits.for_symbol("max_position_size", symbol) or ZERO
    return [
        _Rule("max_position_size", "Max position size exceeded", reached, position_limit, False, reducing),
        _Rule("max_exposure", "Max exposure exceeded", exposure, limits.max_exposure, False, reducing),
        _Rule("max_concentration", "Asset concentration too high", share, limits.max_concentration, False, reducing),
    ]


def _order_rules(order: Order, reference: Quote, account: Account, limits: LiveRiskLimits) -> list[_Rule]:
    """What one order may be, reducing or not, and how many may work at once."""
    price = order.price if order.order_type is OrderType.LIMIT else None
    if price is None:
        price = reference.touch(order.side)
    rate = account.rate(quote_of(order.symbol))
    notional = order.quantity * price * rate if rate is not None else _INFINITE
    quantity_limit = limits.for_symbol("max_order_quantity", order.symbol) or ZERO
    working, allowed = Decimal(len(account.holds) + 1), Decimal(limits.max_open_orders)
    return [
        _Rule("max_order_quantity", "Max order quantity exceeded", order.quantity, quantity_limit, False, False),
        _Rule("max_order_notional", "Max order notional exceeded", notional, limits.max_order_notional, False, False),
        _Rule("max_open_orders", "Max open orders reached", working, allowed, False, reduces(order, account)),
    ]


def _share(amount: Decimal, equity: Decimal) -> Decimal:
    """``amount`` as a fraction of equity; infinite when there is something but no equity."""
    if equity > 0:
        return amount / equity
    return _INFINITE if amount else ZERO
