"""Control P04: no run of orders that walks the price, each inside the collar of its moment (RTS 6 Art. 15(1)(a), "over
a specified period").

An order's price is compared with the oldest one of its strategy, symbol and side inside the window: its limit price,
or the touch that a market order would take. What only rests moves no market and does not count: a ladder of quotes is
no walk. An amendment counts when it changes the price. Of the orders within one
hundredth of the window the first stands for all. This module must not know where prices come from.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, TypeAlias

from router.clock import Clock
from router.domain.enums import OrderSide, OrderType
from router.middleware import Submission
from router.safety.windows import WindowsByKey
from router.settings import Safety

_STEPS: Final = 100
_Key: TypeAlias = tuple[str, str | None, str, OrderSide]


class PriceWalk:
    """Objects to a price too far from where the strategy's orders began.

    Args:
        clock: our time.
    """

    id = "P04_price_walk"
    protects = "A strategy that pushes the market with order after order, each a little further."
    hard = True
    spares_reducing = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._prices: WindowsByKey[_Key] = WindowsByKey()

    def limit(self, limits: Safety) -> str:
        percent = limits.price_walk_pct
        return "off" if percent is None else f"{percent:f} % in {limits.price_walk_window_s:g} s"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        percent, seconds = limits.price_walk_pct, limits.price_walk_window_s
        if percent is None:
            return None
        window = self._prices.find(_key(submission), seconds, self._clock.monotonic())
        first, price = window.oldest if window is not None else None, _new_price(submission)
        if first is None or price is None or abs(price - first) * 100 <= percent * first:
            return None
        walked = abs(price - first) / first * 100
        return (
            f"Price {price} is {walked:.2f} % from {first}, where this strategy's orders in the symbol stood within "
            f"the last {seconds:g} s, more than safety.price_walk_pct = {percent:f}: check what the strategy follows."
        )

    def passed(self, submission: Submission, limits: Safety) -> None:
        price = _new_price(submission)
        if limits.price_walk_pct is None or price is None:
            return
        now = self._clock.monotonic()
        window = self._prices.open(_key(submission), limits.price_walk_window_s, now)
        if window.since_newest(now) * _STEPS >= window.seconds:
            window.add(now, price, submission.run_id)

    def undone(self, submission: Submission, limits: Safety) -> None:
        self._prices.take_back(_key(submission), submission.run_id)


def _key(submission: Submission) -> _Key:
    order = submission.order
    assert order is not None, "validation runs before safety"
    return submission.environment, order.strategy_key, order.symbol, order.side


def _new_price(submission: Submission) -> Decimal | None:
    """Return the price that the submission brings, or None when it brings none."""
    order, before = submission.order, submission.amends
    assert order is not None, "validation runs before safety"
    touch = submission.reference.touch(order.side) if submission.reference is not None else None
    if order.order_type is not OrderType.LIMIT or order.price is None or touch is None:
        return touch
    rests = order.price < touch if order.side is OrderSide.BUY else order.price > touch
    return None if rests or (before is not None and before.price == order.price) else order.price
