"""Control P07: no more than so much value in a short time, however small each order is (15c3-5(c)(1)(ii)).

The value of what a strategy's orders in one symbol ask for is added up in the base currency: price times quantity, a
market order and a sell below the market at the touch, an amendment with what it adds. An order that cannot be valued
does not leave. This module must not know where rates come from.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

from router.clock import Clock
from router.domain.enums import OrderSide, OrderType
from router.domain.order import Order
from router.middleware import Submission
from router.safety.windows import ZERO, WindowsByKey
from router.settings import Safety

Rate: TypeAlias = Callable[[str, str], Decimal | None]
"""The value of one unit of a currency in the base currency of an environment's account, or None."""
_Key: TypeAlias = tuple[str, str | None, str]


class WindowNotional:
    """Objects to an order whose value, with that of the orders before it, is above the limit; equal passes.

    Args:
        rate: by environment and currency.
        clock: our time.
    """

    id = "P07_window_notional"
    protects = "A runaway strategy: many orders in a short time that are large only together."
    hard = True
    spares_reducing = True

    def __init__(self, rate: Rate, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._sums: WindowsByKey[_Key] = WindowsByKey()

    def limit(self, limits: Safety) -> str:
        most = limits.window_notional
        return "off" if most is None else f"{most:f} of the base currency in {limits.notional_window_s:g} s"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        most, seconds = limits.window_notional, limits.notional_window_s
        if most is None:
            return None
        added = self._added(submission)
        if added is None:
            return (
                f"No rate from {_currency(submission)} to the base currency, so this order cannot be valued: check the "
                "market data feed, or name a rate in fixed_rates of the risk limits."
            )
        window = self._sums.find(_key(submission), seconds, self._clock.monotonic())
        total = added if window is None else window.total + added
        if not added or total <= most:
            return None
        return (
            f"Orders of this strategy in the symbol would be worth {total:.2f} of the base currency within "
            f"{seconds:g} s, more than safety.window_notional = {most:f}: wait, or check what the strategy does."
        )

    def passed(self, submission: Submission, limits: Safety) -> None:
        added = self._added(submission) if limits.window_notional is not None else None
        if added:
            now = self._clock.monotonic()
            self._sums.open(_key(submission), limits.notional_window_s, now).add(now, added, submission.run_id)

    def undone(self, submission: Submission, limits: Safety) -> None:
        self._sums.take_back(_key(submission), submission.run_id)

    def _added(self, submission: Submission) -> Decimal | None:
        """Return the value that the submission adds in the base currency; None when nobody knows."""
        rate = self._rate(submission.environment, _currency(submission))
        order, before = submission.order, submission.amends
        if rate is None or order is None:
            return None
        if before is None:
            return _price(order, submission) * order.quantity * rate
        after = _price(order, submission) * (order.quantity - order.filled_quantity)
        return max(ZERO, after - _price(before, submission) * (before.quantity - before.filled_quantity)) * rate


def _key(submission: Submission) -> _Key:
    order = submission.order
    assert order is not None, "validation runs before safety"
    return submission.environment, order.strategy_key, order.symbol


def _currency(submission: Submission) -> str:
    """``USDT`` of ``BTC/USDT`` and of ``BTC/USDT:USDT``."""
    assert submission.order is not None, "validation runs before safety"
    return submission.order.symbol.partition("/")[2].partition(":")[0]


def _price(order: Order, submission: Submission) -> Decimal:
    """Return the highest price at which the order is expected to trade."""
    limit = order.price if order.order_type is OrderType.LIMIT else None
    if limit is not None and order.side is OrderSide.BUY:
        return limit
    assert submission.reference is not None, "the reference is looked up first"
    touch = submission.reference.touch(order.side)
    return touch if limit is None else max(limit, touch)
