"""Whose turn it is to ask the venue: its rate budget, spent in the order of what matters.

A bucket of weight fills at the venue's rate; an order also takes one from a bucket of orders. Whoever cannot pay waits
in the queue of its priority, first come first served, until the bucket holds its own cost and that of the first of each
queue before. A waiter sleeps until its turn and is woken only when somebody before it left. Nothing is paid before its
turn, so a waiter that is cancelled leaves no hole. This module must not know what is asked, or of whom.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from enum import IntEnum
from typing import Final

import anyio
import msgspec

from router.clock import Clock
from router.errors import RouterError

_NOW_S: Final = 1e-6
"""A turn this near has come: floats do not add up better."""


class Priority(IntEnum):
    """Who goes first."""

    CANCEL = 0
    LOOK_UP = 1
    CREATE = 2
    POLL = 3


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What may be asked of a venue, in its own units of weight.

    ``reserve`` is the part of ``burst`` that only cancels may spend. ``window_weight`` is the venue's limit for the
    window that its own count is of (see ``Limiter.drain``).
    """

    weight_per_s: float
    burst: float
    reserve: float
    orders_per_s: float
    orders_burst: float
    window_weight: float = math.inf


class BusyError(RouterError):
    """The turn would come too late; nothing was sent."""


class _Waiter:
    __slots__ = ("cost", "sleep")

    def __init__(self, cost: float) -> None:
        self.cost = cost
        self.sleep: anyio.CancelScope | None = None


class Limiter:
    """The budget of one venue."""

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._weight = budget.burst
        self._orders = budget.orders_burst
        self._filled_at = clock.monotonic()
        self._queues: tuple[OrderedDict[_Waiter, None], ...] = tuple(OrderedDict() for _ in Priority)
        self._queued = [0.0 for _ in Priority]

    async def take(self, priority: Priority, cost: float, *, within_s: float | None = None) -> None:
        """Return when it is the caller's turn, its ``cost`` paid; at once, if nobody waits and there is enough.

        Raises:
            BusyError: the turn would come later than in ``within_s``, or has not come by then.
            ValueError: no wait would be long enough.
        """
        if not 0 <= cost <= self._budget.burst - self._kept_back(priority):
            raise ValueError(f"a cost of {cost:g} never fits the venue's budget: {self._budget}")
        queue = self._queues[priority]
        if not queue and self._turn_in(priority, cost) == 0:
            self._pay(priority, cost)
            return
        patience_s = math.inf if within_s is None else within_s
        self._check_wait(priority, cost, patience_s)
        until = self._clock.monotonic() + patience_s
        waiter = _Waiter(cost)
        queue[waiter] = None
        self._queued[priority] += cost
        try:
            while (turn_in := self._turn_in(priority, cost) if _first(queue) is waiter else math.inf) > 0:
                left = until - self._clock.monotonic()
                if left <= _NOW_S:
                    raise _busy(patience_s + (turn_in if turn_in < math.inf else 0.0), patience_s)
                with anyio.CancelScope() as waiter.sleep:
                    await self._sleep(min(turn_in, left))
            self._pay(priority, cost)
        finally:
            del queue[waiter]
            self._queued[priority] = self._queued[priority] - cost if queue else 0.0
            self._wake_behind(priority)

    def drain(self, used: float) -> None:
        """Spend no more than the venue's own count of its window leaves: others may use the same address.

        Args:
            used: weight of this window so far, as the venue says (Binance ``X-MBX-USED-WEIGHT-1M``).
        """
        self._fill()
        self._weight = min(self._weight, max(0.0, self._budget.window_weight - used))

    def _check_wait(self, priority: Priority, cost: float, patience_s: float) -> None:
        """Refuse who would wait too long for all who wait now, up to its place, and for itself."""
        self._fill()
        weight = sum(self._queued[: priority + 1]) + cost + self._kept_back(priority)
        expected_s = (weight - self._weight) / self._budget.weight_per_s
        if priority is Priority.CREATE:
            orders = len(self._queues[priority]) + 1
            expected_s = max(expected_s, (orders - self._orders) / self._budget.orders_per_s)
        if expected_s > patience_s + _NOW_S:
            raise _busy(expected_s, patience_s)

    def _turn_in(self, priority: Priority, cost: float) -> float:
        """Return in how many seconds the first of its queue can be paid beside the first of each queue before."""
        self._fill()
        before = (_first(queue) for queue in self._queues[:priority])
        weight = cost + self._kept_back(priority) + sum(waiter.cost for waiter in before if waiter is not None)
        turn_in = (weight - self._weight) / self._budget.weight_per_s
        if priority is Priority.CREATE:
            turn_in = max(turn_in, (1 - self._orders) / self._budget.orders_per_s)
        return turn_in if turn_in > _NOW_S else 0.0

    def _kept_back(self, priority: Priority) -> float:
        return 0.0 if priority is Priority.CANCEL else self._budget.reserve

    def _fill(self) -> None:
        now = self._clock.monotonic()
        passed, self._filled_at = now - self._filled_at, now
        self._weight = min(self._budget.burst, self._weight + passed * self._budget.weight_per_s)
        self._orders = min(self._budget.orders_burst, self._orders + passed * self._budget.orders_per_s)

    def _pay(self, priority: Priority, cost: float) -> None:
        self._weight -= cost
        if priority is Priority.CREATE:
            self._orders -= 1

    async def _sleep(self, seconds: float) -> None:
        if seconds == math.inf:
            await anyio.sleep_forever()
        await self._clock.sleep(seconds)

    def _wake_behind(self, priority: Priority) -> None:
        """Let the first of this queue and of those behind it look again: somebody before them left."""
        for queue in self._queues[priority:]:
            waiter = _first(queue)
            if waiter is not None and waiter.sleep is not None:
                waiter.sleep.cancel()


def _first(queue: OrderedDict[_Waiter, None]) -> _Waiter | None:
    return next(iter(queue), None)


def _busy(expected_s: float, patience_s: float) -> BusyError:
    return BusyError(
        f"the venue's rate budget is used up: its turn would have come after {expected_s:.2f} s, and it waits "
        f"{patience_s:g} s at most. Nothing was sent; send fewer requests, or try again then."
    )
