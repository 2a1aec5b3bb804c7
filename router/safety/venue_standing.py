"""Control P16: no new order to a venue that is halted: circuit open, banned, keys refused (``controls.md`` P16, A08).

What is working there is still looked up and cancelled as far as the venue allows. This module must not know why a venue
is halted, or when that ends: the executor says it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from router.middleware import Submission
from router.settings import Safety


class VenueStanding:
    """Objects while the executor of the order's environment says that its venue is halted.

    Args:
        halted: by environment: why its venue must get no order now, or None.
    """

    id = "P16_venue_standing"
    protects = "Sending orders to a venue that would refuse them, ban us for them or lose them."
    hard = True
    spares_reducing = False

    def __init__(self, halted: Mapping[str, Callable[[], str | None]]) -> None:
        self._halted = halted

    def limit(self, limits: Safety) -> str:
        return "a venue that takes orders"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        halted = self._halted.get(submission.environment)
        return halted() if halted is not None else None
