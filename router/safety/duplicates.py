"""Control P08: not the same order twice inside a window, by its content (15c3-5(c)(1)(ii)).

It is soft: whoever means it confirms it in the order's metadata. The other half of P08, the same client id, is the
intake's idempotency: the same intent_id gets the first answer and never a second order. An amendment is a duplicate
when it asks for the same new terms of the same order again. This module must not know where orders come from.
"""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from typing import Final, TypeAlias

from router.clock import Clock
from router.domain.order import Order
from router.middleware import Submission
from router.safety.windows import WindowsByKey
from router.settings import Safety

_ONE: Final = Decimal(1)
_Content: TypeAlias = tuple[Hashable, ...]


class DuplicateContent:
    """Objects to an order that says what another one has said a moment ago.

    Args:
        clock: our time.
    """

    id = "P08_duplicate_content"
    protects = "The same order sent twice by mistake."
    hard = False
    spares_reducing = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: WindowsByKey[_Content] = WindowsByKey()

    def limit(self, limits: Safety) -> str:
        seconds = limits.duplicate_window_s
        return "off" if seconds is None else f"the same content once in {seconds:g} s"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        seconds = limits.duplicate_window_s
        if seconds is None:
            return None
        seen = self._seen.find(_content(submission), seconds, self._clock.monotonic())
        if seen is None or not seen.total:
            return None
        return (
            f"The same content was sent within the last {seconds:g} s (safety.duplicate_window_s). If it is meant, "
            f'send it again with metadata {{"confirm": ["{self.id}"]}}.'
        )

    def passed(self, submission: Submission, limits: Safety) -> None:
        if limits.duplicate_window_s is not None:
            now = self._clock.monotonic()
            seen = self._seen.open(_content(submission), limits.duplicate_window_s, now)
            seen.add(now, _ONE, submission.run_id)

    def cancelled(self, order: Order) -> None:
        """Forget an order whose cancel goes out: what follows replaces it."""
        self._seen.forget(_content_of(order.environment, order))

    def undone(self, submission: Submission, limits: Safety) -> None:
        self._seen.take_back(_content(submission), submission.run_id)


def _content(submission: Submission) -> _Content:
    order = submission.order
    assert order is not None, "validation runs before safety"
    if submission.amends is not None:
        return order.client_order_id, order.quantity, order.price
    return _content_of(submission.environment, order)


def _content_of(environment: str, order: Order) -> _Content:
    return (
        environment,
        order.strategy_key,
        order.symbol,
        order.side,
        order.quantity,
        order.order_type,
        order.price,
        order.time_in_force,
        order.expire_at,
        order.reduce_only,
        order.post_only,
    )
