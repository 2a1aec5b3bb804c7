"""The rules every journal keeps: one sequence, one hash chain, natural group commit, durable before visible.

``append`` puts an event behind the ones that wait; ``run`` writes whatever has gathered as one batch, so a lone
intent never waits for company and a crowd shares one commit. A failed write drops nothing: the batch stays in
front, writers are told, and it is tried again. A start loads the newest checkpoint that holds and replays what
follows; without one, everything. This module must not know storage or what events mean.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import anyio
import anyio.to_thread
import msgspec

from router.clock import Clock
from router.domain.events import AnyEvent, Checkpoint, Event, encode_event
from router.errors import JournalError
from router.journal.chain import GENESIS, ChainReader, key_of, link
from router.journal.checkpoints import CheckpointError, located, pack, unpacked

BATCH_ROWS = 4000
RETRY_S = 1.0
_RING = 4096


class Row(NamedTuple):
    """One event as it is stored."""

    seq: int
    client_order_id: str | None
    payload: str
    digest: bytes


Load: TypeAlias = Callable[[Checkpoint, bytes], None]
"""Takes over the state of a checkpoint as a whole, or raises CheckpointError and has changed nothing."""


def _nobody(_: object) -> None:
    """Stands in until a pipeline listens."""


class Durable:
    """Awaitable: resumes once everything appended so far is on disk; see ``Journal.durable``."""

    __slots__ = ("journal", "seq")

    def __init__(self, journal: Journal, seq: int) -> None:
        self.journal = journal
        self.seq = seq

    def __await__(self) -> Generator[Durable, None, None]:
        if self.journal.durable_seq < self.seq:
            yield self


class Journal(ABC):
    """An append-only, hash-chained sequence of events with one writer.

    ``on_durable(seq)`` and ``on_failure(error)`` are called on the event loop after each write; the pipeline
    sets them. ``error`` is why the last write failed, None while the journal is healthy. ``checkpointed`` is the last
    event that a start need not replay, 0 for none; ``passed_over`` says which checkpoints the start could not use.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self.checkpointed = 0
        self.passed_over: list[str] = []
        self.durable_seq = 0
        self.error: JournalError | None = None
        self.closed = False
        self.on_durable: Callable[[int], None] = _nobody
        self.on_failure: Callable[[JournalError], None] = _nobody
        self._keeping = asyncio.Lock()
        self._kept = 0
        self._next_seq = 1
        self._digest = GENESIS
        self._waiting: list[Row] = []
        self._events: deque[Event] = deque()
        self._ring: deque[Event] = deque(maxlen=_RING)
        self._wake = asyncio.Event()
        self._moved: asyncio.Future[None] | None = None

    @property
    def next_seq(self) -> int:
        """The sequence number that the next event must carry."""
        return self._next_seq

    @property
    def digest(self) -> bytes:
        """The head of the hash chain."""
        return self._digest

    def append(self, event: Event) -> None:
        """Put ``event`` (carrying ``next_seq``) behind those that wait for the next write. Never blocks."""
        assert event.seq == self._next_seq, f"event {event.seq} appended where {self._next_seq} is due"
        payload = encode_event(event)
        self._digest = link(self._digest, payload)
        if not self._waiting:
            self._wake.set()
        self._waiting.append(Row(event.seq, key_of(event), payload.decode(), self._digest))
        self._events.append(event)
        self._next_seq += 1

    def durable(self) -> Durable:
        """Return an awaitable for "all that was appended is on disk", for code run by the conductor.

        A failed write raises JournalError in whoever awaits.
        """
        return Durable(self, self._next_seq - 1)

    async def reached(self, seq: int) -> None:
        """Wait, in a task, until ``seq`` is durable; raises JournalError when a write fails meanwhile."""
        while self.durable_seq < seq:
            if self.error is not None:
                raise self.error.with_traceback(None)  # or it would grow with everybody who is told
            await self.moved()

    async def moved(self) -> None:
        """Wait until the next write has succeeded or failed, or the journal is closed."""
        if self._moved is None or self._moved.done():
            self._moved = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._moved)

    async def run(self) -> None:
        """Write what gathers, for ever; cancel to stop, then ``flush``."""
        while True:
            await self._wake.wait()
            with anyio.CancelScope(shield=True):  # a write that was begun ends on disk, or it would be tried twice
                await self._write_batch()
            if self.error is not None:
                await self.clock.sleep(RETRY_S)

    async def flush(self) -> None:
        """Write all that waits; raises JournalError when it cannot."""
        while self._waiting:
            await self._write_batch()
            if self.error is not None:
                raise self.error

    async def _write_batch(self) -> None:
        rows = self._waiting[:BATCH_ROWS]
        try:
            await self._write(rows)
        except JournalError as error:
            self.error = error
            self.on_failure(error)
        else:
            self.error = None
            del self._waiting[: len(rows)]
            if not self._waiting:
                self._wake.clear()
            self._advance(rows[-1].seq)
        self._tell()

    def _tell(self) -> None:
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    def _advance(self, seq: int) -> None:
        self.durable_seq = seq
        while self._events and self._events[0].seq <= seq:
            self._ring.append(self._events.popleft())
        self.on_durable(seq)

    async def read(self, from_seq: int, limit: int = 1000) -> Sequence[Event]:
        """Return up to ``limit`` durable events from ``from_seq`` on, oldest first."""
        if from_seq > self.durable_seq:
            return ()
        if self._ring and self._ring[0].seq <= from_seq:
            start = from_seq - self._ring[0].seq
            return list(islice(self._ring, start, start + limit))
        return await self._read(from_seq, limit)

    async def open(self, fold: Callable[[AnyEvent], None], load: Load | None = None) -> None:
        """Open the storage and hand every stored event to ``fold``, oldest first.

        Args:
            fold: called with each event.
            load: called with the newest checkpoint that holds, and then only later events are handed over.

        Raises:
            JournalError: unreadable, locked, or not trustworthy; nothing is changed then.
        """
        self.closed = False
        await self._open()
        chain = ChainReader(self.path)
        stored = await self._checkpoints() if load is not None else []
        for seq in stored:
            assert load is not None, "none are looked for without it"
            try:
                rows, state = await self._checkpoint(seq)
                found, event = located(self.path, seq, rows)
                load(event, unpacked(event, state))
            except (CheckpointError, msgspec.DecodeError) as error:
                self.passed_over.append(f"the checkpoint at event {seq} is passed over: {error}")
            else:
                chain = found
                break
        self.checkpointed = newest = chain.count
        async for page in self._pages(chain.count):
            for row in page:
                event_ = chain.event(*row)
                fold(event_)
                if type(event_) is Checkpoint:
                    newest = event_.seq
        if load is not None and newest not in {self.checkpointed, *stored}:
            self.passed_over.append(f"the checkpoint at event {newest} is passed over: its state is missing")
        self.durable_seq, self._next_seq, self._digest = chain.count, chain.count + 1, chain.digest

    async def keep(self, seq: int, state: bytes) -> None:
        """Store the state of the checkpoint event ``seq`` once that is durable; raises JournalError when it cannot."""
        await self.reached(seq)
        with anyio.CancelScope(shield=True), self.clock.hold():  # what was begun is stored, even by a router that stops
            async with self._keeping:
                if seq > self._kept:
                    await self._keep(seq, await anyio.to_thread.run_sync(pack, state))
                    self._kept = seq

    async def close(self) -> None:
        """Release the storage; whoever waits for more is told there will be none."""
        self.closed = True
        await self._close()
        self._tell()

    @abstractmethod
    async def _close(self) -> None: ...

    @abstractmethod
    async def _open(self) -> None: ...

    @abstractmethod
    def _pages(self, after: int) -> AsyncIterator[Sequence[Row]]:
        """Yield the stored events after that seq, oldest first."""

    @abstractmethod
    async def _checkpoints(self) -> list[int]:
        """Return the stored checkpoints' sequence numbers, newest first."""

    @abstractmethod
    async def _checkpoint(self, seq: int) -> tuple[Sequence[Row], object]:
        """Return the events ``seq - 1`` and ``seq``, as far as they exist, and the packed state; None: there is none.

        Raises CheckpointError when it cannot be read.
        """

    @abstractmethod
    async def _keep(self, seq: int, packed: bytes) -> None:
        """Store a checkpoint's packed state and forget all but the one before it; raises JournalError."""

    @abstractmethod
    async def _write(self, rows: Sequence[Row]) -> None:
        """Store ``rows`` all or none, on disk when this returns; raises JournalError."""

    @abstractmethod
    async def _read(self, from_seq: int, limit: int) -> Sequence[Event]: ...

    @abstractmethod
    async def events_of(self, client_order_id: str) -> list[AnyEvent]:
        """Return the durable events of one submission, oldest first."""

    @abstractmethod
    def events_of_now(self, client_order_id: str) -> list[AnyEvent]:
        """The same without awaiting, for look-ups of orders that ended long ago; reads the disk."""
