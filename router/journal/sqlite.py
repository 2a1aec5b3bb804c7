"""The journal on disk: SQLite in WAL mode with synchronous=FULL, through aiosqlite; its only importer.

One batch is one INSERT statement, so a commit costs one hop to aiosqlite's thread and one fsync (spec §13).
Migrations are the numbered scripts in ``MIGRATIONS``; ``user_version`` counts them. What start-up reads it checks
against the hash chain. This module must not know what events mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiosqlite

from router.clock import Clock
from router.domain.events import AnyEvent, Event, decode_event
from router.errors import JournalCorruptError, JournalError
from router.journal.base import Journal, Load, Row
from router.journal.checkpoints import CheckpointError

MIGRATIONS: Sequence[str] = tuple(
    files("router.journal").joinpath(name).read_text() for name in ("schema.sql", "checkpoints.sql")
)
"""The script that leads from version n to n + 1, by n."""
_PAGE = 5000
_INSERT = "INSERT INTO events VALUES "
_EVENTS = "SELECT seq, client_order_id, payload, digest FROM events"
_FORGET = "DELETE FROM checkpoints WHERE seq > ?1 OR seq < (SELECT max(seq) FROM checkpoints WHERE seq < ?1)"
_BY_ORDER = "SELECT payload FROM events WHERE client_order_id = ? ORDER BY seq"

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _held(
    method: Callable[Concatenate[SqliteJournal, _P], Coroutine[Any, Any, _T]],
) -> Callable[Concatenate[SqliteJournal, _P], Coroutine[Any, Any, _T]]:
    """Hold the clock while ``method`` waits for aiosqlite's thread: virtual time would run ahead of it."""

    @wraps(method)
    async def holding(self: SqliteJournal, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self.clock.hold():
            return await method(self, *args, **kwargs)

    return holding


class SqliteJournal(Journal):
    """The journal in one SQLite file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, clock)
        self._db: aiosqlite.Connection | None = None
        self._reader: sqlite3.Connection | None = None

    @property
    def _connection(self) -> aiosqlite.Connection:
        if self._db is None:
            raise JournalError(f"{self.path}: the journal is not open")
        return self._db

    @_held
    async def open(self, fold: Callable[[AnyEvent], None], load: Load | None = None) -> None:
        try:
            await super().open(fold, load)
        except (sqlite3.Error, OSError) as error:
            await self.close()
            raise _journal_error(self.path, "cannot be opened", error) from None
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        """Open or create the file, and migrate it."""
        sqlite3.connect(self.path).close()  # what cannot be opened fails here: aiosqlite's thread would linger
        _make_private(self.path)
        self._db = await aiosqlite.connect(self.path, isolation_level=None)
        await self._db.execute("PRAGMA journal_mode = WAL")
        await self._db.execute("PRAGMA synchronous = FULL")
        await self._migrate()

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

    async def _pages(self, after: int) -> AsyncIterator[Sequence[Row]]:
        query, bound = (f"{_EVENTS} WHERE seq > ? ORDER BY seq", (after,)) if after else (f"{_EVENTS} ORDER BY seq", ())
        async with self._connection.execute(query, bound) as cursor:
            while page := await cursor.fetchmany(_PAGE):
                yield [Row(*row) for row in page]

    async def _checkpoints(self) -> list[int]:
        async with self._connection.execute("SELECT seq FROM checkpoints ORDER BY seq DESC") as cursor:
            return [row[0] for row in await cursor.fetchall()]

    async def _checkpoint(self, seq: int) -> tuple[Sequence[Row], object]:
        db = self._connection
        try:
            async with db.execute(f"{_EVENTS} WHERE seq IN (?, ?) ORDER BY seq", (seq - 1, seq)) as cursor:
                rows = [Row(*row) for row in await cursor.fetchall()]
            async with db.execute("SELECT state FROM checkpoints WHERE seq = ?", (seq,)) as cursor:
                found = await cursor.fetchone()
        except sqlite3.Error as error:
            raise CheckpointError(f"it cannot be read: {error}") from None
        return rows, found[0] if found is not None else None

    @_held
    async def _keep(self, seq: int, packed: bytes) -> None:
        db = self._connection
        try:  # two statements, not one transaction: the connection writes events in between
            await db.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (seq, packed))
            await db.execute(_FORGET, (seq,))
        except (sqlite3.Error, OSError) as error:
            raise _journal_error(self.path, "cannot hold a checkpoint", error) from None

    @_held
    async def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._db is not None:
            await self._db.close()
            self._db = None

    @_held
    async def _write(self, rows: Sequence[Row]) -> None:
        statement = _INSERT + ",".join(["(?,?,?,?)"] * len(rows))
        values = [value for row in rows for value in row]
        try:
            await self._connection.execute(statement, values)
        except (sqlite3.Error, OSError) as error:
            raise _journal_error(self.path, "cannot be written", error) from None

    @_held
    async def _read(self, from_seq: int, limit: int) -> Sequence[Event]:
        query = "SELECT payload FROM events WHERE seq >= ? ORDER BY seq LIMIT ?"
        async with self._connection.execute(query, (from_seq, limit)) as cursor:
            return [decode_event(row[0]) for row in await cursor.fetchall()]

    @_held
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
