"""A journal that forgets when the process ends: for simulations, and to measure what durability costs.

It keeps every rule of ``base`` except survival. This module must not know files.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from router.clock import Clock
from router.domain.events import AnyEvent, Event, decode_event
from router.journal.base import Journal, Row


class MemoryJournal(Journal):
    """Rows in a list, by the same path as on disk."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(Path("memory"), clock)
        self.rows: list[Row] = []
        self.states: dict[int, bytes] = {}

    async def _open(self) -> None:
        """Nothing is to be opened."""

    async def _pages(self, after: int) -> AsyncIterator[Sequence[Row]]:
        yield self.rows[after:]

    async def _checkpoints(self) -> list[int]:
        return sorted(self.states, reverse=True)

    async def _checkpoint(self, seq: int) -> tuple[Sequence[Row], object]:
        return self.rows[max(seq - 2, 0) : seq], self.states[seq]

    async def _keep(self, seq: int, packed: bytes) -> None:
        before = max((other for other in self.states if other < seq), default=0)
        for other in self.states.keys() - {before}:
            del self.states[other]
        self.states[seq] = packed

    async def _close(self) -> None:
        """Nothing is held."""

    async def _write(self, rows: Sequence[Row]) -> None:
        self.rows.extend(rows)

    async def _read(self, from_seq: int, limit: int) -> Sequence[Event]:
        start = max(from_seq, 1) - 1
        return [decode_event(row.payload) for row in self.rows[start : start + limit]]

    async def events_of(self, client_order_id: str) -> list[AnyEvent]:
        return self.events_of_now(client_order_id)

    def events_of_now(self, client_order_id: str) -> list[AnyEvent]:
        return [decode_event(row.payload) for row in self.rows if row.client_order_id == client_order_id]
