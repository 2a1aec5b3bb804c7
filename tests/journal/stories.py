"""Journals written by hand: a file with just the events that a test is about."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from router.domain.control import Closure, Halt, HaltScope
from router.domain.enums import ExecutionStatus
from router.domain.events import (
    Answered,
    Event,
    Halted,
    LimitChanged,
    SessionClosed,
    encode_event,
)
from router.journal.sqlite import MIGRATIONS
from tests.factories import result

NOON = datetime(2025, 12, 9, 12, tzinfo=UTC)


def write(path: Path, *events: tuple[type[Event], dict[str, Any]], at: datetime = NOON) -> Path:
    """Store events as a journal holds them; their order in the chain does not matter here."""
    is_new = not path.exists()
    with closing(sqlite3.connect(path)) as db:
        for script in MIGRATIONS if is_new else ():
            db.executescript(script)
        (count,) = db.execute("SELECT count(*) FROM events").fetchone()
        for seq, (kind, fields) in enumerate(events, start=count + 1):
            payload = encode_event(kind(seq=seq, ts_recorded=at, **fields)).decode()
            db.execute("INSERT INTO events VALUES (?, NULL, ?, x'00')", (seq, payload))
        db.commit()
    return path


def answer(status: ExecutionStatus, violation: str | None = None, kind: type[Event] = Answered) -> tuple[Any, Any]:
    return kind, {"run_id": "run_1", "status": status, "result": result(status, violation=violation)}


def halt(control: str | None) -> tuple[Any, Any]:
    made = Halt(scope=HaltScope.ALL, name="", at=NOON, operator="ann", reason="halted", control=control)
    return Halted, {"halt": made}


def closure(violation: str | None) -> tuple[Any, Any]:
    made = Closure(environment="paper", at=NOON, operator="ann", reason="closed", violation=violation)
    return SessionClosed, {"closure": made}


def changed(key: str, new: str | None, *, is_override: bool) -> tuple[Any, Any]:
    return LimitChanged, {
        "key": key,
        "old": "1",
        "new": new,
        "operator": "ann",
        "reason": "r",
        "is_override": is_override,
    }
