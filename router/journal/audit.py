"""A journal seen from outside, read-only: verify the chain, export it, read the last account.

Works on the file alone, beside a running router. This module must not know how events are written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from router.domain.events import AccountMark, Checkpoint, Filled, PartiallyFilled, decode_event
from router.errors import JournalCorruptError, JournalError
from router.journal.chain import ChainReader
from router.journal.checkpoints import CheckpointError, unpacked

_EVENTS = "SELECT seq, client_order_id, payload, digest FROM events ORDER BY seq"


class VerifyReport(NamedTuple):
    """A clean journal: how many events, and the hex digest at the chain's head."""

    events: int
    head: str


def verify(path: Path) -> VerifyReport:
    """Check sequence, hash chain, every event's form, and that every stored checkpoint is the one its event names.

    Raises:
        JournalCorruptError: naming the first event, or else checkpoint, that does not hold.
        JournalError: the file cannot be read.
    """
    chain, named = ChainReader(path), dict[int, Checkpoint]()
    with reading(path) as db:
        for row in db.execute(_EVENTS):
            event = chain.event(*row)
            if isinstance(event, Checkpoint):
                named[event.seq] = event
        for seq, state in db.execute("SELECT seq, state FROM checkpoints") if _has_checkpoints(db) else ():
            try:
                if seq not in named:
                    raise CheckpointError("its event is not in place")  # noqa: TRY301
                unpacked(named[seq], state)
            except CheckpointError as error:
                raise JournalCorruptError(
                    f"{path}: the checkpoint at event {seq} does not hold: {error}. All {chain.count} events hold, and "
                    "the next start passes it over. Find out who changed it."
                ) from None
    return VerifyReport(chain.count, chain.digest.hex())


def _has_checkpoints(db: sqlite3.Connection) -> bool:
    """Return whether the journal's schema knows checkpoints: one that was not opened lately may be older."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoints'").fetchone() is not None


def export(path: Path) -> Iterator[bytes]:
    """Yield every event as one JSON object, oldest first; raises JournalError when the file cannot be read."""
    with reading(path) as db:
        for _, _, payload, _ in db.execute(_EVENTS):
            yield str(payload).encode()  # not text: it was changed, and cannot be read


def last_account(path: Path) -> AccountMark | None:
    """Return the account as of the last fill, or None when there is no journal or no fill yet."""
    if not path.exists():
        return None
    query = (
        "SELECT payload FROM events WHERE json_extract(payload, '$.event') IN ('filled', 'partially_filled') "
        "ORDER BY seq DESC LIMIT 1"
    )
    with reading(path) as db:
        row = db.execute(query).fetchone()
    if row is None:
        return None
    event = decode_event(row[0])
    assert isinstance(event, Filled | PartiallyFilled)
    return event.account


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file read-only, as it is at this moment; what cannot be read raises JournalError."""
    if not path.is_file():
        raise JournalError(f"{path}: there is no journal. Check execution.home, or start the router once.")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        try:
            db.execute("BEGIN")
            yield db
        except sqlite3.Error as error:
            raise JournalError(f"{path}: the journal cannot be read: {error}") from None
