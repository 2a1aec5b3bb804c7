"""Checkpoints as a journal sees them: opaque bytes, trusted only if a chained event names their SHA-256.

They save time and nothing else: the events alone are the truth, so a checkpoint that does not hold is passed over,
never guessed at. This module must not know what a state means, nor where it is stored.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

from router.domain.events import Checkpoint
from router.errors import JournalCorruptError
from router.journal.chain import GENESIS, ChainReader


class CheckpointError(Exception):
    """A checkpoint cannot be used; the text says why."""


def state_digest(state: bytes) -> str:
    """Return the SHA-256 of an encoded state, as its event names it."""
    return hashlib.sha256(state).hexdigest()


def pack(state: bytes) -> bytes:
    """Return the state as it is stored; takes a tenth of a second, with the interpreter free meanwhile."""
    return zlib.compress(state, 1)


def unpacked(event: Checkpoint, stored: object) -> bytes:
    """Return the state that was ``stored`` for ``event``; raises CheckpointError when the event names another."""
    if not isinstance(stored, bytes):
        raise CheckpointError("its state is missing")
    try:
        state = zlib.decompress(stored)
    except zlib.error as error:
        raise CheckpointError(f"its state cannot be unpacked: {error}") from None
    if state_digest(state) != event.state_digest:
        raise CheckpointError("its state is not the one that its event names")
    return state


def located(path: Path, seq: int, rows: Sequence[tuple[int, str | None, str, bytes]]) -> tuple[ChainReader, Checkpoint]:
    """Return the checkpoint event ``seq`` and a reader that goes on behind it.

    Args:
        path: of the journal.
        seq: of the event.
        rows: the stored event, and the one before it.

    Raises:
        CheckpointError: there is no such event, or it does not hold.
    """
    rows = [(0, None, "", GENESIS), *rows] if seq == 1 else rows
    if [row[0] for row in rows] != [seq - 1, seq] or not isinstance(rows[0][3], bytes):
        raise CheckpointError("its event is not in place")
    chain = ChainReader(path, seq - 1, rows[0][3])
    try:
        event = chain.event(*rows[-1])
    except JournalCorruptError as error:
        raise CheckpointError(f"its event does not hold: {error}") from None
    if not isinstance(event, Checkpoint):
        raise CheckpointError("its event is not in place")
    return chain, event
