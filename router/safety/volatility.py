"""Control A10: while a market moves unusually far, only what reduces may leave.

This module must not know how far a market has moved, or what a position is.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from router.domain.order import Order
from router.middleware import Submission
from router.settings import Safety


class Volatility:
    """Objects to orders that do not reduce while the price has moved more than the limit inside its window.

    Args:
        motion: how far a symbol's price moved inside the last seconds, as a fraction; None: nobody knows.
        reduces: whether an order can only make a position of its environment smaller.
    """

    id = "A10_volatility"
    protects = "New risk in a market that runs away."
    hard = True
    spares_reducing = False

    def __init__(self, motion: Callable[[str, float], Decimal | None], reduces: Callable[[str, Order], bool]) -> None:
        self._motion = motion
        self._reduces = reduces

    def limit(self, limits: Safety) -> str:
        most = limits.volatility_pct
        return "off" if most is None else f"{most} % within {limits.volatility_window_s:g} s"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        most, order = limits.volatility_pct, submission.order
        assert order is not None, "validation runs before safety"
        moved = None if most is None else self._motion(order.symbol, limits.volatility_window_s)
        if most is None or moved is None or moved * 100 <= most:
            return None
        if submission.only_takes_away or self._reduces(submission.environment, order):
            return None
        return (
            f"{order.symbol} moved {moved * 100:.4g} % within {limits.volatility_window_s:g} s, more than "
            f"safety.volatility_pct = {most}: only orders that reduce may leave until it has calmed down."
        )
