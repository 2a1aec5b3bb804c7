"""Amounts over the last seconds, and one such window per key: exact, bounded, and cheap at every order.

Time is our own monotonic clock and handed in. This module must not know what is counted.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Hashable
from decimal import Decimal
from typing import Final, Generic, TypeVar

ZERO: Final = Decimal(0)
_ENTRIES_MAX: Final = 10_000
_KEYS_MAX: Final = 10_000
_K = TypeVar("_K", bound=Hashable)


class SlidingWindow:
    """The amounts of the last ``seconds``; one that is as old as that is no longer among them.

    Args:
        seconds: how far it looks back.
        entries_max: beyond so many the newest share one place and leave together, late rather than early.
    """

    __slots__ = ("_entries", "_entries_max", "seconds", "total")

    def __init__(self, seconds: float, entries_max: int = _ENTRIES_MAX) -> None:
        self.seconds = seconds
        self.total = ZERO
        """The sum of what ``prune`` has left."""
        self._entries: deque[tuple[float, Decimal, str]] = deque()
        self._entries_max = entries_max

    def __len__(self) -> int:
        return len(self._entries)

    def prune(self, now: float) -> Decimal:
        """Let go of what has become too old and return the total of the rest."""
        entries = self._entries
        while entries and now - entries[0][0] >= self.seconds:
            self.total -= entries.popleft()[1]
        if not entries:
            self.total = ZERO  # what rounding may have left of large sums
        return self.total

    def is_live(self, now: float) -> bool:
        """Whether anything is left."""
        self.prune(now)
        return bool(self._entries)

    def add(self, now: float, amount: Decimal, owner: str = "") -> None:
        """Count ``amount``; ``owner`` is who may take it back."""
        self.prune(now)
        if len(self._entries) >= self._entries_max:
            amount_before = self._entries.pop()[1]
            self._entries.append((now, amount_before + amount, ""))
        else:
            self._entries.append((now, amount, owner))
        self.total += amount

    def take_back(self, owner: str) -> None:
        """Forget the newest amount of ``owner``, if it is still here by itself."""
        entries = self._entries
        for index in range(len(entries) - 1, -1, -1):
            if entries[index][2] == owner:
                self.total -= entries[index][1]
                del entries[index]
                return

    @property
    def oldest(self) -> Decimal | None:
        """The oldest amount that ``prune`` has left."""
        return self._entries[0][1] if self._entries else None

    def since_newest(self, now: float) -> float:
        """Return how long ago the newest amount came; infinite when there is none."""
        return now - self._entries[-1][0] if self._entries else math.inf


class WindowsByKey(Generic[_K]):
    """A window per key; keys come from outside, so beyond 10 000 the one that was used longest ago is forgotten."""

    __slots__ = ("_keys_max", "_windows")

    def __init__(self, keys_max: int = _KEYS_MAX) -> None:
        self._windows: OrderedDict[_K, SlidingWindow] = OrderedDict()
        self._keys_max = keys_max

    def __len__(self) -> int:
        return len(self._windows)

    def find(self, key: _K, seconds: float, now: float) -> SlidingWindow | None:
        """Return the window of ``key`` as it is ``now``, over ``seconds``; None when it has none."""
        window = self._windows.get(key)
        if window is not None:
            window.seconds = seconds
            window.prune(now)
        return window

    def take_back(self, key: _K, owner: str) -> None:
        """Forget the newest amount of ``owner`` in the window of ``key``."""
        window = self._windows.get(key)
        if window is not None:
            window.take_back(owner)

    def forget(self, key: _K) -> None:
        """Let go of the whole window of ``key``."""
        self._windows.pop(key, None)

    def open(self, key: _K, seconds: float, now: float) -> SlidingWindow:
        """Return the window of ``key``, over ``seconds`` from now on, and let go of some that are empty by ``now``."""
        window = self._windows.get(key)
        if window is not None:
            window.seconds = seconds
            self._windows.move_to_end(key)
            return window
        for _ in range(2):  # twice as fast as they come
            if self._windows:
                stale = next(iter(self._windows))
                if len(self._windows) < self._keys_max and self._windows[stale].is_live(now):
                    break
                del self._windows[stale]
        window = self._windows[key] = SlidingWindow(seconds)
        return window
