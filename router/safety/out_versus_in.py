"""Control A12: what leaves is compared with what came in, and nothing leaves that nobody asked for.

It stands at the very end of the chain and trusts nothing in between: what was asked for is noted before the first
stage, and every hand-over must be the only one of a submission that is still under way, and carry no more. This
module must not know the stages, or what stops trading.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from router.domain.intent import json_form
from router.domain.order import Order
from router.middleware import Submission
from router.settings import Safety


class _Asked:
    """What one submission asked for when it entered; ``has_left``: it was handed over."""

    __slots__ = ("client_order_id", "environment", "has_left", "intent")

    def __init__(self, submission: Submission) -> None:
        self.intent = submission.intent
        self.environment = submission.environment
        self.client_order_id = submission.client_order_id
        self.has_left = False


class OutVersusIn:
    """Compares hand-overs with submissions; ``entered_total`` and ``left_total`` count them.

    Memory is as many submissions as are under way.

    Args:
        on_excess: told of each hand-over that nobody asked for.
    """

    id = "A12_out_versus_in"
    protects = "A router that sends more orders than strategies asked for (Knight Capital, 2012)."
    hard = True
    spares_reducing = False

    def __init__(self, on_excess: Callable[[str], object]) -> None:
        self._on_excess = on_excess
        self._under_way: dict[str, _Asked] = {}
        self.entered_total = 0
        self.left_total = 0
        self.triggered = 0
        """How many hand-overs were refused."""

    def __len__(self) -> int:
        """How many submissions are under way."""
        return len(self._under_way)

    def limit(self, limits: Safety) -> str:
        return "one hand-over per submission, of no more than it asked for"

    def entered(self, submission: Submission) -> None:
        """Note what a submission, or a request for other terms, asks for, before anything has looked at it."""
        if submission.run_id not in self._under_way:
            self._under_way[submission.run_id] = _Asked(submission)
            self.entered_total += 1

    def leaving(self, submission: Submission) -> str | None:
        """Return why the submission's order must not be handed over, or None and count it as handed over."""
        asked, order = self._under_way.get(submission.run_id), submission.order
        what = "was not asked for" if asked is None or order is None else _excess(asked, order)
        if asked is None or what is not None:
            self.triggered += 1
            reason = (
                f"Order {submission.client_order_id} ({submission.run_id}) {what}: this hand-over was stopped. "
                "Compare the journal with the venue before anything else leaves."
            )
            self._on_excess(reason)
            return reason
        asked.has_left = True
        self.left_total += 1
        return None

    def landed(self, submission: Submission) -> None:
        """Forget a submission that was answered: nothing may leave for it any more."""
        self._under_way.pop(submission.run_id, None)


def _excess(asked: _Asked, order: Order) -> str | None:
    """Return what makes the hand-over of ``order`` more than was asked for, or None."""
    if asked.has_left:
        return "was handed over before"
    if order.client_order_id != asked.client_order_id:
        return f"leaves for {asked.client_order_id}"
    intent = asked.intent
    for name, out, came in (
        ("environment", order.environment, asked.environment),
        ("symbol", order.symbol, intent.symbol),
        ("side", order.side, intent.side.lower() if isinstance(intent.side, str) else intent.side),
        ("price", order.price, intent.price),
    ):
        if out != came:
            return f"leaves with {name} {out}, but {json_form(came)} was asked for"
    if not _is_covered(order.quantity, intent.quantity):
        return f"leaves with quantity {order.quantity}, but {json_form(intent.quantity)} was asked for"
    return None


def _is_covered(quantity: Decimal, asked: Any) -> bool:
    return isinstance(asked, Decimal) and asked.is_finite() and quantity <= asked
