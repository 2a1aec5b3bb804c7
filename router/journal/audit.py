"""A journal seen from outside, read-only: verify the chain, export it, read the last account.

Works on the file alone, beside a running router. This module must not know how events are written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from router.domain.events import AccountMark, Filled, PartiallyFilled, decode_event
from router.errors import JournalError
from router.journal.chain import ChainReader


class VerifyReport(NamedTuple):
    """A clean journal: how many events, and the hex digest at the chain's head."""

    events: int
    head: str


def verify(path: Path) -> VerifyReport:
    """Check sequence, hash chain and every event's form.

    Raises:
        JournalCorruptError: naming the first event that does not hold.
        JournalError: the file cannot be read.
    """
    chain = ChainReader(path)
    for row in _rows(path):
        chain.event(*row)
    return VerifyReport(chain.count, chain.digest.hex())


def export(path: Path) -> Iterator[bytes]:
    """Yield every event as one JSON object, oldest first; raises JournalError when the file cannot be read."""
    for _, _, payload, _ in _rows(path):
        yield payload.encode()


def last_account(path: Path) -> AccountMark | None:
    """Return the account as of the last fill, or None when there is no journal or no fill yet."""
    if not path.exists():
        return None
    query = (
        "SELECT payload FROM events WHERE json_extract(payload, '$.event') IN ('filled', 'partially_filled') "
        "ORDER BY seq DESC LIMIT 1"
    )
    with closing(_connect(path)) as db:
        try:
            row = db.execute(query).fetchone()
        except sqlite3.Error as error:
            raise JournalError(f"{path}: the journal cannot be read: {error}") from None
    if row is None:
        return None
    event = decode_event(row[0])
    assert isinstance(event, Filled | PartiallyFilled)
    return event.account


def _connect(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise JournalError(f"{path}: there is no journal. Check execution.home, or start the router once.")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _rows(path: Path) -> Iterator[tuple[int, str | None, str, bytes]]:
    with closing(_connect(path)) as db:
        try:
            yield from db.execute("SELECT seq, client_order_id, payload, digest FROM events ORDER BY seq")
        except sqlite3.Error as error:
            raise JournalError(f"{path}: the journal cannot be read: {error}") from None
