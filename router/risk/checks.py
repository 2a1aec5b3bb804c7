"""The limits as arithmetic: what an order would make of each, and which would break (spec §5, runbook §8.2).

The same rules count for the environment's account and, where they are stated, for the strategy's own part of it. Equal
to a limit passes for sizes; reaching it blocks for drawdown and daily loss. An order that strictly reduces its position
is exempt from position, exposure, concentration and open orders; flagged ``reduce_only``, from every limit: what it can
do is bounded by a position that the limits have let come about. This module must not know stages, holds' lifetimes or
wordings beyond the violations'.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from router.domain.enums import OrderSide, OrderType
from router.domain.market import Quote
from router.domain.order import ZERO, Order
from router.domain.result import Limit, Violation
from router.risk.account import Account, base_of, quote_of
from router.risk.book import INFINITE, Book
from router.risk.limits import LiveRiskLimits, StrategyLimits


class Assessment(NamedTuple):
    """Every limit as measured for one order, the broken ones first found first, and the exposure without it."""

    limits: list[Limit]
    violations: list[Violation]
    current_exposure: Decimal


class _Rule(NamedTuple):
    """A limit as it stands for one order, of whom ``prefix`` says; ``at_limit``: reaching it already breaks it."""

    prefix: str
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
        return Limit(f"{self.prefix}{self.name}", self.value, self.limit, self.limit - self.value)


class _Scope(NamedTuple):
    """Whose limits are measured: the account's, or one strategy's part; ``prefix`` is what their names begin with.

    ``equity`` is the account's, which fractions are of.
    """

    prefix: str
    book: Book
    limits: LiveRiskLimits | StrategyLimits
    equity: Decimal
    lost: Decimal
    lost_today: Decimal


def assess(order: Order, reference: Quote, account: Account, limits: LiveRiskLimits, today: date) -> Assessment | None:
    """Return None when ``order`` keeps every limit, else all of them as measured, in the order they are reported."""
    rules = list(_rules(order, reference, account, limits, today))
    violations = [Violation(rule.message, rule.measured) for rule in rules if rule.broken]
    if not violations:
        return None
    return Assessment([rule.measured for rule in rules], violations, current_exposure(account))


def measured(order: Order, reference: Quote, account: Account, limits: LiveRiskLimits, today: date) -> list[Limit]:
    """Return every limit as ``order`` would make it, broken or not."""
    return [rule.measured for rule in _rules(order, reference, account, limits, today)]


def current_exposure(account: Account) -> Decimal:
    """Return positions plus working orders in their worst case, as a fraction of equity."""
    return _share(account.exposure(), account.equity())


def _rules(order: Order, reference: Quote, account: Account, limits: LiveRiskLimits, today: date) -> Iterator[_Rule]:
    yield from _reduce_only_rules(order, account)
    for scope in _scopes(account, limits, today, order.strategy_key):
        reducing = reduces(order, scope.book)  # a strategy's own part must shrink, not only the account
        flagged = order.reduce_only and reducing
        yield from _loss_rules(scope, flagged)
        yield from _size_rules(order, account, scope, reducing)
        yield from _order_rules(order, reference, account, scope, flagged, reducing)


def _scopes(account: Account, limits: LiveRiskLimits, today: date, strategy: str | None) -> Iterator[_Scope]:
    equity = account.equity()
    tells = account.note_equity(today, equity)  # else a position without a price would look like a loss
    losses = (drawdown(account, equity), daily_loss(account, equity)) if tells else (ZERO, ZERO)
    yield _Scope("", account, limits, equity, *losses)
    own = limits.strategies.get(strategy) if strategy else None
    if own is None or not strategy:
        return
    book = account.strategies.get(strategy) or account.strategy(strategy)
    lost, lost_today = strategy_losses(account, strategy, today)
    yield _Scope(f"strategies.{strategy}.", book, own, equity, lost, lost_today)


def strategy_losses(account: Account, strategy: str, today: date) -> tuple[Decimal, Decimal]:
    """Return what a strategy has lost since it had gained most, and today, as fractions of the account's equity at
    00:00 UTC; what cannot be valued tells nothing."""
    start, mark = account.portfolio.day_start_equity, account.note_strategy(strategy, today)
    if mark is None or start <= 0:
        return ZERO, ZERO
    return (mark.peak - mark.gained) / start, (mark.day_start - mark.gained) / start


def account_limits(account: Account, limits: LiveRiskLimits, today: date) -> list[Limit]:
    """Measure everything as it is, without a new order: the account, what is held or worked, every strategy's part."""
    found: list[Limit] = []
    names = [name for name in limits.strategies if name in account.strategies]
    for strategy in (None, *names):
        *_, scope = _scopes(account, limits, today, strategy)
        found += _standing(scope)
    return found


def _standing(scope: _Scope) -> list[Limit]:
    worst, own = scope.book.worst_notionals(), scope.limits
    values: list[tuple[str, Decimal, Decimal | None]] = [
        ("max_drawdown", scope.lost, own.max_drawdown),
        ("max_daily_loss", scope.lost_today, own.max_daily_loss),
        ("max_exposure", _share(sum(worst.values(), ZERO), scope.equity), own.max_exposure),
        ("max_open_orders", Decimal(len(scope.book.holds)), _count(own.max_open_orders)),
    ]
    for symbol in sorted(scope.book.symbols):
        size = scope.book.worst(symbol), own.for_symbol("max_position_size", symbol)
        values.append((f'max_position_size."{symbol}"', *size))
    for asset in sorted({base_of(symbol) for symbol in worst}):
        share = _share(sum((value for name, value in worst.items() if base_of(name) == asset), ZERO), scope.equity)
        values.append((f"max_concentration.{asset}", share, own.max_concentration))
    named = ((f"{scope.prefix}{name}", value, limit) for name, value, limit in values if limit is not None)
    return [Limit(name, value, limit, limit - value) for name, value, limit in named]


def drawdown(account: Account, equity: Decimal) -> Decimal:
    """How far equity is below its peak, as a fraction of the peak."""
    peak = account.portfolio.peak_equity
    return (peak - equity) / peak if peak > 0 else ZERO


def daily_loss(account: Account, equity: Decimal) -> Decimal:
    """What was lost since the UTC day began, as a fraction of equity then; negative for a gain."""
    start = account.portfolio.day_start_equity
    return (start - equity) / start if start > 0 else ZERO


def reduces(order: Order, book: Book) -> bool:
    """Whether the order makes the position strictly smaller even if all working orders of its side fill first."""
    wanted, reducible = _reduction(order, book)
    return wanted <= reducible


def _reduction(order: Order, book: Book) -> tuple[Decimal, Decimal]:
    """Return what the order and the working ones of its side want to trade, and what the position lets them reduce."""
    position = book.portfolio.position(order.symbol).quantity
    working = book.holds.working(order.symbol)
    if order.side is OrderSide.SELL:
        return working.sells + order.leaves_quantity, max(position, ZERO)
    return working.buys + order.leaves_quantity, max(-position, ZERO)


def _reduce_only_rules(order: Order, account: Account) -> list[_Rule]:
    """What the order's own flag demands."""
    if not order.reduce_only:
        return []
    wanted, reducible = _reduction(order, account)
    return [_Rule("", "reduce_only", "Reduce-only order would not reduce", wanted, reducible, False, False)]


def _loss_rules(scope: _Scope, exempt: bool) -> Iterator[_Rule]:
    """What was lost; an order flagged ``reduce_only`` that does reduce may always leave."""
    own = scope.limits
    for name, message, value, limit in (
        ("max_drawdown", "Drawdown limit breached", scope.lost, own.max_drawdown),
        ("max_daily_loss", "Daily loss limit reached", scope.lost_today, own.max_daily_loss),
    ):
        if limit is not None:
            yield _Rule(scope.prefix, name, message, value, limit, True, exempt)


def _size_rules(order: Order, account: Account, scope: _Scope, reducing: bool) -> Iterator[_Rule]:
    """What the position, the exposure and the asset's share could become if everything that works fills."""
    symbol, book, own = order.symbol, scope.book, scope.limits
    low, high = book.holds.working(symbol).extremes(book.portfolio.position(symbol).quantity)
    leaves = order.leaves_quantity
    reached = high + leaves if order.side is OrderSide.BUY else leaves - low
    worst, mark = book.worst_notionals(), account.mark(symbol)
    if mark is not None:
        added = max(reached * mark - worst.get(symbol, ZERO), ZERO)
    else:  # without a rate the order's notional says so
        added = INFINITE if account.rate(quote_of(symbol)) is not None else ZERO
    asset = base_of(symbol)
    in_asset = sum((value for name, value in worst.items() if base_of(name) == asset), added)
    position_limit = own.for_symbol("max_position_size", symbol)
    if position_limit is None and isinstance(own, LiveRiskLimits):
        position_limit = ZERO  # default deny
    for name, message, value, limit in (
        ("max_position_size", "Max position size exceeded", reached, position_limit),
        ("max_exposure", "Max exposure exceeded", _share(sum(worst.values(), added), scope.equity), own.max_exposure),
        ("max_concentration", "Asset concentration too high", _share(in_asset, scope.equity), own.max_concentration),
    ):
        if limit is not None:
            yield _Rule(scope.prefix, name, message, value, limit, False, reducing)


def _order_rules(
    order: Order, reference: Quote, account: Account, scope: _Scope, flagged: bool, reducing: bool
) -> Iterator[_Rule]:
    """What one order may be, reducing or not, and how many may work at once."""
    own = scope.limits
    price = order.price if order.order_type is OrderType.LIMIT else None
    if price is None:
        price = reference.touch(order.side)
    rate = account.rate(quote_of(order.symbol))
    notional = order.quantity * price * rate if rate is not None else INFINITE
    quantity_limit = own.for_symbol("max_order_quantity", order.symbol)
    if quantity_limit is None and isinstance(own, LiveRiskLimits):
        quantity_limit = ZERO  # default deny
    working = Decimal(len(scope.book.holds) + 1)
    for name, message, value, limit, exempt in (
        ("max_order_quantity", "Max order quantity exceeded", order.quantity, quantity_limit, flagged),
        ("max_order_notional", "Max order notional exceeded", notional, own.max_order_notional, flagged),
        ("max_open_orders", "Max open orders reached", working, _count(own.max_open_orders), reducing),
    ):
        if limit is not None:
            yield _Rule(scope.prefix, name, message, value, limit, False, exempt)


def _count(number: int | None) -> Decimal | None:
    return None if number is None else Decimal(number)


def _share(amount: Decimal, equity: Decimal) -> Decimal:
    """``amount`` as a fraction of equity; infinite when there is something but no equity."""
    if equity > 0:
        return amount / equity
    return INFINITE if amount else ZERO
