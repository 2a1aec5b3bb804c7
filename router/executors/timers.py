"""All that a simulated venue waits for: requests on their way, by the monotonic clock, and expiries, by the wall
clock.

Two heaps, so an order costs no task and no timer; whoever owns them looks at them at every update and in ``wait``.
This module must not know what a request or an expiry does.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import anyio

from router.clock import Clock
from router.executors.resting import OpenOrder

_WALL_CLOCK_CHECK_S: Final = 60.0  # the wall clock may be set while we sleep towards an expiry
_HEAP_SLACK: Final = 1000


class Timers:
    """What is due when.

    Args:
        clock: both clocks.
        latency_s: how long a request travels, seconds.
        expire: called with each order that reaches its end while it is open.
    """

    def __init__(self, clock: Clock, latency_s: float, expire: Callable[[OpenOrder], None]) -> None:
        self._clock = clock
        self._latency_s = latency_s
        self._expire = expire
        self._entered = itertools.count()
        self._travelling: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._expiring: list[tuple[datetime, int, OpenOrder]] = []
        self._expiring_max = _HEAP_SLACK
        self._wake: anyio.Event | None = None

    def travel(self, arrive: Callable[..., None], *arguments: object) -> None:
        """Call ``arrive`` when the latency has passed; what left first arrives first."""
        entry = (self._clock.monotonic() + self._latency_s, next(self._entered), arrive, arguments)
        heapq.heappush(self._travelling, entry)
        if self._travelling[0] is entry:
            self._wake_up()

    def expire_at(self, moment: datetime, order: OpenOrder) -> None:
        """Let ``order`` expire at ``moment`` if it is open then."""
        if len(self._expiring) > self._expiring_max:
            self._expiring = [entry for entry in self._expiring if entry[2].leaves_quantity]
            heapq.heapify(self._expiring)
            self._expiring_max = 2 * len(self._expiring) + _HEAP_SLACK
        entry = (moment, next(self._entered), order)
        heapq.heappush(self._expiring, entry)
        if self._expiring[0] is entry:
            self._wake_up()

    def process(self) -> None:
        """Let everything happen whose time has come, in its order."""
        while self._travelling and self._travelling[0][0] <= self._clock.monotonic():
            _, _, arrive, arguments = heapq.heappop(self._travelling)
            arrive(*arguments)
        while self._expiring and self._expiring[0][0] <= self._clock.now():
            _, _, order = heapq.heappop(self._expiring)
            if order.leaves_quantity:
                self._expire(order)

    async def wait(self) -> None:
        """Return when the first entry is due, or earlier."""
        self._wake = wake = anyio.Event()
        delays = []
        if self._travelling:
            delays.append(self._travelling[0][0] - self._clock.monotonic())
        if self._expiring:
            until = (self._expiring[0][0] - self._clock.now()).total_seconds()
            delays.append(min(until, _WALL_CLOCK_CHECK_S))
        if not delays:
            await wake.wait()
            return

        async def ring() -> None:
            await self._clock.sleep(max(0.0, min(delays)))
            wake.set()

        async with anyio.create_task_group() as group:
            group.start_soon(ring)
            await wake.wait()
            group.cancel_scope.cancel()

    def _wake_up(self) -> None:
        if self._wake is not None:
            self._wake.set()
