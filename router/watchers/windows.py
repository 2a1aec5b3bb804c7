"""When an open order must be looked at again: pure arithmetic on the contract's windows (spec §7, runbook §4.1).

This module must not know clocks, heaps or executors: times arrive as arguments.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from router.domain.enums import ExecutionStatus
from router.domain.order import Order

_LEAD_S: Final = 5.0
"""How long before the end of its window an order is looked up: the answer must be here by then."""
_LEAD_SHARE: Final = 6  # of a window too short for that: a sixth
_WALL_CLOCK_CHECK_S: Final = 60.0  # the wall clock may be set while an expiry is waited for
_SLOWEST_S: Final = 300.0
_DOUBLINGS: Final = 16  # more overflow some day


class Windows(NamedTuple):
    """How long an executor may be silent about an order, seconds."""

    submitted_s: float
    partial_s: float

    def of(self, order: Order) -> float:
        """Return the window of ``order``: while a request of ours is pending, it is the short one."""
        waits = order.pending_cancel is not None or order.pending_replaces
        if order.status is ExecutionStatus.PARTIALLY_FILLED and not waits:
            return self.partial_s
        return self.submitted_s

    def left(self, order: Order, now: datetime) -> float:
        """Return what is left of the window since the order's last event; a wall clock that was set gives no more than
        a whole one."""
        window = self.of(order)
        return min(window, max(0.0, window - (now - order.updated_at).total_seconds()))

    def again(self, misses: int) -> float:
        """Return how long to wait after the window has passed without evidence ``misses`` times."""
        return min(self.submitted_s * 2.0 ** min(misses, _DOUBLINGS), max(_SLOWEST_S, self.submitted_s))


def lead(window: float) -> float:
    """Return how long before the end of a window the look-up starts."""
    return min(_LEAD_S, window / _LEAD_SHARE)


def expiry(moment: datetime, now: datetime) -> float:
    """Return seconds to the end of a time in force, but no longer than the wall clock may be trusted."""
    return min(max(0.0, (moment - now).total_seconds()), _WALL_CLOCK_CHECK_S)
