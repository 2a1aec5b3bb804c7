"""Events and a disk with moods, for tests of journals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio

from router.clock import Clock
from router.domain.enums import ExecutionStatus
from router.domain.events import AnyEvent, Checkpoint, Submitted
from router.errors import JournalError
from router.journal.base import Journal, Load, Row
from router.journal.checkpoints import state_digest
from router.journal.memory import MemoryJournal

NOW = datetime(2025, 12, 9, 12, tzinfo=UTC)


def put(journal: Journal, client_order_id: str = "a", reason: str | None = None) -> Submitted:
    """Append one event and return it."""
    event = Submitted(
        seq=journal.next_seq,
        ts_recorded=NOW,
        run_id="run",
        status=ExecutionStatus.SUBMITTED,
        client_order_id=client_order_id,
        reason=reason,
    )
    journal.append(event)
    return event


def put_checkpoint(journal: Journal, state: bytes) -> int:
    """Append the event that names ``state`` and return its sequence number; keeping the state is for the caller."""
    seq = journal.next_seq
    journal.append(
        Checkpoint(seq=seq, ts_recorded=NOW, at_seq=seq - 1, state_digest=state_digest(state), state_version=1)
    )
    return seq


def nothing(_: AnyEvent) -> None:
    """Fold into nothing."""


@asynccontextmanager
async def running(
    journal: Journal, fold: Callable[[AnyEvent], None] = nothing, load: Load | None = None
) -> AsyncIterator[Journal]:
    """Open the journal, write in the background, stop as a pipeline does."""
    await journal.open(fold, load)
    try:
        async with anyio.create_task_group() as background:
            background.start_soon(journal.run)
            try:
                yield journal
            finally:
                if isinstance(journal, MoodyDisk):
                    journal.gate.set()  # or a write that was begun would never end
                background.cancel_scope.cancel()
        await journal.flush()
    finally:  # a failed test too, or SQLite's thread would outlive it
        await journal.close()


class MoodyDisk(MemoryJournal):
    """Memory as a disk that writes when it is let (``open_gate``), or fails (``full``)."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.batches: list[list[int]] = []
        self.full = False
        self.gate = anyio.Event()
        self.gate.set()

    def shut_gate(self) -> None:
        self.gate = anyio.Event()

    async def _write(self, rows: Sequence[Row]) -> None:
        self.batches.append([row.seq for row in rows])
        await self.gate.wait()
        if self.full:
            raise JournalError("disk full")
        await super()._write(rows)
