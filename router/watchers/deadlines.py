"""One heap for the deadlines of all open orders: an order costs an entry, not a task (spec §7, §13).

An entry that was overtaken stays in the heap until it surfaces or the dead outnumber the living. This module must
not know orders, clocks or what happens at a deadline.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import Final, NamedTuple

_DEAD_MAX: Final = 1000  # beyond as many as are armed; then the heap is rebuilt


class Deadline(NamedTuple):
    """``due``: when to look, ``until``: when silence is too long; both monotonic seconds."""

    due: float
    number: int
    key: str
    until: float


class Deadlines:
    """At most one armed deadline a key; what falls due stays armed until it is armed anew or disarmed."""

    def __init__(self) -> None:
        self._heap: list[Deadline] = []
        self._armed: dict[str, Deadline] = {}
        self._numbers = count()

    def __len__(self) -> int:
        """How many are armed."""
        return len(self._armed)

    def keys(self) -> set[str]:
        """Return who has an armed deadline."""
        return set(self._armed)

    def get(self, key: str) -> Deadline | None:
        """Return the armed deadline of ``key``."""
        return self._armed.get(key)

    def arm(self, key: str, due: float, until: float) -> None:
        """Give ``key`` this deadline instead of the one it had."""
        deadline = self._armed[key] = Deadline(due, next(self._numbers), key, until)
        if len(self._heap) > 2 * len(self._armed) + _DEAD_MAX:
            self._heap = list(self._armed.values())
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, deadline)

    def disarm(self, key: str) -> None:
        """Forget ``key``."""
        self._armed.pop(key, None)

    def next(self) -> Deadline | None:
        """Return the earliest armed deadline."""
        heap, armed = self._heap, self._armed
        while heap and armed.get(heap[0].key) is not heap[0]:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def take(self, now: float) -> Deadline | None:
        """Take the earliest one off the heap if it is due; whoever takes it arms its key again."""
        earliest = self.next()
        if earliest is None or earliest.due > now:
            return None
        return heapq.heappop(self._heap)
