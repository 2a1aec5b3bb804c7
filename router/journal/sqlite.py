"""The journal on disk: SQLite in WAL mode with synchronous=FULL, through aiosqlite; its only importer.

One batch is one INSERT statement, so a commit costs one hop to aiosqlite's thread and one fsync (spec §13).
Migrations are the numbered scripts in ``MIGRATIONS``; ``user_version`` counts them. Start-up reads every event
and checks the hash chain on the way. This module must not know what events mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import aiosqlite

from router.clock import Clock
from router.domain.events import AnyEvent, Event, decode_event
from router.errors import JournalCorruptError, JournalError
from router.journal.base import Journal, Row
from router.journal.chain import ChainReader

MIGRATIONS: Sequence[str] = (files("router.journal").joinpath("schema.sql").read_text(),)
"""The script that leads from version n to n + 1, by n."""
_PAGE = 5000
_INSERT = "INSERT INTO events VALUES "
_BY_ORDER = "SELECT payload FROM events WHERE client_order_id = ? ORDER BY seq"


class SqliteJournal(Journal):
    """The journal in one SQLite file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(clock)
        self.path = path
        self._db: aiosqlite.Connection | None = None
        self._reader: sqlite3.Connection | None = None

    @property
    def _connection(self) -> aiosqlite.Connection:
        if self._db is None:
            raise JournalError(f"{self.path}: the journal is not open")
        return self._db

    async def open(self, fold: Callable[[AnyEvent], None]) -> None:
        """Open or create the file, migrate it, and replay it into ``fold``, checking the hash chain."""
        try:
            sqlite3.connect(self.path).close()  # what cannot be opened fails here: aiosqlite's thread would linger
            _make_private(self.path)
            self._db = await aiosqlite.connect(self.path, isolation_level=None)
            await self._db.execute("PRAGMA journal_mode = WAL")
            await self._db.execute("PRAGMA synchronous = FULL")
            await self._migrate()
            await self._replay(fold)
        except (sqlite3.Error, OSError) as error:
            await self.close()
            raise _journal_error(self.path, "cannot be opened", error) from None
        except BaseException:
            await self.close()
            raise

    async def _migrate(self) -> None:
        db = self._connection
        async with db.execute("PRAGMA user_version") as cursor:
            version = int((await cursor.fetchone() or (0,))[0])
        if version > len(MIGRATIONS):
            raise JournalCorruptError(
                f"{self.path}: schema version {version} is newer than this router's {len(MIGRATIONS)}. "
                "Use the router version that wrote it, or a newer one."
            )
        for number in range(version, len(MIGRATIONS)):
            await db.executescript(f"BEGIN;\n{MIGRATIONS[number]}\nPRAGMA user_version = {number + 1};\nCOMMIT;")

    async def _replay(self, fold: Callable[[AnyEvent], None]) -> None:
        chain = ChainReader(self.path)
        async with self._connection.execute(
            "SELECT seq, client_order_id, payload, digest FROM events ORDER BY seq"
        ) as cursor:
            while rows := await cursor.fetchmany(_PAGE):
                for row in rows:
                    fold(chain.event(*row))
        self._continue(chain)

    async def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._db is not None:
            await self._db.close()
            self._db = None

    async def _write(self, rows: Sequence[Row]) -> None:
        statement = _INSERT + ",".join(["(?,?,?,?)"] * len(rows))
        values = [value for row in rows for value in row]
        try:
            await self._connection.execute(statement, values)
        except (sqlite3.Error, OSError) as error:
            raise _journal_error(self.path, "cannot be written", error) from None

    async def _read(self, from_seq: int, limit: int) -> Sequence[Event]:
        query = "SELECT payload FROM events WHERE seq >= ? ORDER BY seq LIMIT ?"
        async with self._connection.execute(query, (from_seq, limit)) as cursor:
            return [decode_event(row[0]) for row in await cursor.fetchall()]

    async def events_of(self, client_order_id: str) -> list[AnyEvent]:
        async with self._connection.execute(_BY_ORDER, (client_order_id,)) as cursor:
            return [decode_event(row[0]) for row in await cursor.fetchall()]

    def events_of_now(self, client_order_id: str) -> list[AnyEvent]:
        if self._reader is None:
            self._reader = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
        return [decode_event(row[0]) for row in self._reader.execute(_BY_ORDER, (client_order_id,))]


def _make_private(path: Path) -> None:
    """Create the file for its owner only; SQLite gives its companions the same mode."""
    if not path.exists():
        path.touch(mode=0o600)


def _journal_error(path: Path, what: str, error: Exception) -> JournalError:
    advice = {
        "database or disk is full": "Free space on its disk; writing resumes by itself.",
        "file is not a database": "It is not a journal: move it away or choose another execution.home.",
        "unable to open database file": "Check that its directory exists and is readable and writable.",
        "attempt to write a readonly database": "Make the file and its directory writable.",
        "database is locked": "Another program has it open for writing: close that one.",
    }.get(str(error), "Check the disk and the file's permissions.")
    return JournalError(f"{path}: the journal {what}: {error}. {advice}")
