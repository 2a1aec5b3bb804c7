"""Time as something that is handed in: the only module that reads a clock or sleeps.

``SystemClock`` is the machine's; ``VirtualClock`` moves only when told, so that tests and strategy authors
can pass a day in a moment; ``virtual`` has one that moves by itself, with an event loop to it. This module must
not know anything else of the package.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Protocol

import anyio


class Clock(Protocol):
    """What the router knows of time."""

    def now(self) -> datetime:
        """Return the wall clock as an aware UTC datetime."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of this clock."""
        ...

    def hold(self) -> AbstractContextManager[None]:
        """Let no time pass in the ``with`` block, if this clock can: for calls into threads that no loop sees."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()


class SettableClock(ABC):
    """A wall clock that counts on from ``start`` beside a monotonic one, and can be set wrong on purpose.

    Args:
        start: first wall-clock time, aware; default 2025-01-01 00:00 UTC.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = (start or datetime(2025, 1, 1, tzinfo=UTC)).astimezone(UTC)

    @abstractmethod
    def monotonic(self) -> float:
        """Return virtual seconds; they start at 0."""

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def jump(self, seconds: float) -> None:
        """Set the wall clock on, or back, by ``seconds``; ``monotonic`` and whoever sleeps notice nothing."""
        self._start += timedelta(seconds=seconds)


class VirtualClock(SettableClock):
    """A clock that stands still until ``advance``; sleepers wake in the order of their time.

    Args:
        start: first wall-clock time, aware; default 2025-01-01 00:00 UTC.
    """

    def __init__(self, start: datetime | None = None) -> None:
        super().__init__(start)
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self._elapsed

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()  # it moves only when told anyway

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), wake))
        await wake

    async def advance(self, seconds: float) -> None:
        """Move time on by ``seconds``, waking each sleeper at its moment and letting it run."""
        if seconds < 0:
            raise ValueError(f"time does not go back: advance({seconds})")
        until = self._elapsed + seconds
        await _settle()  # whoever is about to sleep does so first
        while self._sleepers and self._sleepers[0][0] <= until:
            self._elapsed, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
            await _settle()
        self._elapsed = until
        await _settle()


async def _settle() -> None:
    """Let every task that can run do so a few times, so that what a wake-up causes has happened."""
    for _ in range(10):
        await asyncio.sleep(0)


async def within(clock: Clock, seconds: float, call: Callable[[], Awaitable[None]]) -> None:
    """Await ``call``; raises TimeoutError, with the call cancelled, after ``seconds`` of ``clock``."""
    failure: Exception | None = TimeoutError(f"no answer within {seconds:g} s")

    async def ring() -> None:
        await clock.sleep(seconds)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(ring)
        try:
            await call()
            failure = None
        except Exception as error:  # noqa: BLE001 -- raised below, outside of the group that would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
