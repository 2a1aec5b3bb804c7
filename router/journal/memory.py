"""A journal that forgets when the process ends: for simulations, and to measure what durability costs.

It keeps every rule of ``base`` except survival. This module must not know files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from router.clock import Clock
from router.domain.events import AnyEvent, Event, decode_event
from router.journal.base import Journal, Row


class MemoryJournal(Journal):
    """Rows in a list, by the same path as on disk."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.rows: list[Row] = []

    async def open(self, fold: Callable[[AnyEvent], None]) -> None:
        self.closed = False
        for row in self.rows:
            self._next_seq, self._digest = row.seq + 1, row.digest
            fold(decode_event(row.payload))
        self.durable_seq = self._next_seq - 1

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
