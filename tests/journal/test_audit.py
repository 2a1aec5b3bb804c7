"""Looking at a journal from outside: any single changed row is found, and a running router does not mind."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from router import ExecutionPipeline
from router.clock import VirtualClock
from router.domain.events import decode_event
from router.errors import JournalCorruptError, JournalError
from router.journal.audit import export, last_account, verify
from router.journal.sqlite import SqliteJournal
from tests.journal.events import nothing, put, put_checkpoint, running
from tests.pipelines import intent, settings

ROWS = 12


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean journal of ``ROWS`` events; tests work on copies."""
    import asyncio

    path = tmp_path_factory.mktemp("good") / "journal.db"

    async def write() -> None:
        async with running(SqliteJournal(path, VirtualClock())) as journal:
            for number in range(ROWS):
                put(journal, "ab"[number % 2], f"because {number}")

    asyncio.run(write())
    return path


def change(path: Path, *statements: str, values: Sequence[object] = ()) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement, values)
        db.commit()


def test_a_clean_journal_is_counted_to_its_head(good: Path) -> None:
    with closing(sqlite3.connect(good)) as db:
        (digest,) = db.execute("SELECT digest FROM events WHERE seq = ?", (ROWS,)).fetchone()
    assert verify(good) == (ROWS, digest.hex())


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_single_changed_removed_or_moved_row_is_found(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    path = Path(shutil.copy(good, tmp_path / "copy.db"))
    seq = data.draw(st.integers(1, ROWS - 1), label="seq")
    how = data.draw(st.sampled_from(["byte", "key", "digest", "remove", "move", "swap"]), label="how")
    first = seq
    with closing(sqlite3.connect(path)) as db:
        payload, digest = db.execute("SELECT payload, digest FROM events WHERE seq = ?", (seq,)).fetchone()
        if how == "byte":
            at = data.draw(st.integers(0, len(payload) - 1), label="at")
            new = data.draw(st.characters(codec="utf-8").filter(lambda char: char != payload[at]), label="new")
            db.execute("UPDATE events SET payload = ? WHERE seq = ?", (payload[:at] + new + payload[at + 1 :], seq))
        elif how == "key":
            new_key = data.draw(st.sampled_from(["x", "", None]), label="key")
            db.execute("UPDATE events SET client_order_id = ? WHERE seq = ?", (new_key, seq))
        elif how == "digest":
            at = data.draw(st.integers(0, 31), label="at")
            changed = digest[:at] + bytes([digest[at] ^ 1]) + digest[at + 1 :]
            db.execute("UPDATE events SET digest = ? WHERE seq = ?", (changed, seq))
        elif how == "remove":
            db.execute("DELETE FROM events WHERE seq = ?", (seq,))
        elif how == "move":
            db.execute("UPDATE events SET seq = ? WHERE seq = ?", (ROWS + 5, seq))
        else:
            other = data.draw(st.integers(seq + 1, ROWS), label="other")
            db.execute("UPDATE events SET seq = -seq WHERE seq IN (?, ?)", (seq, other))
            db.execute("UPDATE events SET seq = ? WHERE seq = ?", (other, -seq))
            db.execute("UPDATE events SET seq = ? WHERE seq = ?", (seq, -other))
        db.commit()
    with pytest.raises(JournalCorruptError, match=rf"event {first}\b"):
        verify(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET payload = CAST(payload AS BLOB) WHERE seq = 3",
        "UPDATE events SET payload = CAST(x'ff00' AS TEXT) WHERE seq = 3",
        "UPDATE events SET payload = '' WHERE seq = 3",
        "UPDATE events SET digest = 5 WHERE seq = 3",
        "INSERT INTO events VALUES (0, NULL, '{}', x'00')",
        "DROP TABLE events",
    ],
)
def test_a_row_of_another_kind_is_a_clear_error(good: Path, tmp_path: Path, statement: str) -> None:
    path = Path(shutil.copy(good, tmp_path / "copy.db"))
    change(path, statement)
    with pytest.raises(JournalError, match="copy"):
        verify(path)


def test_a_removed_tail_shows_in_count_and_head(good: Path, tmp_path: Path) -> None:
    """A chain alone cannot know that its end is missing; whoever noted the head can."""
    path = Path(shutil.copy(good, tmp_path / "copy.db"))
    change(path, f"DELETE FROM events WHERE seq = {ROWS}")
    assert verify(path).events == ROWS - 1
    assert verify(path).head != verify(good).head


def test_an_export_is_one_json_object_an_event_as_it_was_written(good: Path) -> None:
    lines = list(export(good))
    assert [decode_event(line).seq for line in lines] == list(range(1, ROWS + 1))
    assert all(b"\n" not in line and msgspec.json.decode(line)["event"] == "submitted" for line in lines)


@pytest.mark.parametrize("what", ["missing", "directory", "text", "cut"])
def test_what_is_no_journal_is_a_clear_error(good: Path, tmp_path: Path, what: str) -> None:
    path = tmp_path / "journal.db"
    if what == "directory":
        path.mkdir()
    elif what == "text":
        path.write_text("hello\n" * 1000)
    elif what == "cut":
        path.write_bytes(good.read_bytes()[:5000])
    for look in (verify, lambda path: list(export(path))):
        with pytest.raises(JournalError, match="journal"):
            look(path)
    if what in {"text", "cut"}:
        with pytest.raises(JournalError, match="journal"):
            last_account(path)


@pytest.mark.asyncio
async def test_a_journal_can_be_verified_beside_the_running_router(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        assert last_account(tmp_path / "journal.db") is None
        await pipeline.submit_order(intent())
        assert verify(tmp_path / "journal.db").events == 7
        account = last_account(tmp_path / "journal.db")
        assert account is not None
        assert account.equity == Decimal("99999.995")
    assert verify(tmp_path / "journal.db").events == 7
    assert last_account(tmp_path / "nothing.db") is None


@pytest.mark.asyncio
async def test_looking_changes_nothing(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(good, path)
    before = path.read_bytes()
    verify(path)
    list(export(path))
    assert path.read_bytes() == before
    journal = SqliteJournal(path, VirtualClock())
    await journal.open(nothing)
    await journal.close()
    assert verify(path).events == ROWS


# -- checkpoints ----------------------------------------------------------------------------------------------


async def checkpointed(path: Path) -> Path:
    """Write events with two checkpoints among them."""
    async with running(SqliteJournal(path, VirtualClock())) as journal:
        for state in (b"one", b"two"):
            put(journal)
            await journal.keep(put_checkpoint(journal, state), state)
        put(journal)
    return path


@pytest.mark.asyncio
async def test_a_journal_with_checkpoints_is_clean(tmp_path: Path) -> None:
    assert verify(await checkpointed(tmp_path / "journal.db")).events == 5


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE checkpoints SET state = x'00' WHERE seq = 2", 2),
        ("UPDATE checkpoints SET state = substr(state, 1, 5) WHERE seq = 4", 4),
        ("UPDATE checkpoints SET state = 'text' WHERE seq = 2", 2),
        ("UPDATE checkpoints SET state = (SELECT state FROM checkpoints WHERE seq = 2) WHERE seq = 4", 4),
        ("UPDATE checkpoints SET seq = 5 WHERE seq = 4", 5),
        ("INSERT INTO checkpoints VALUES (99, x'00')", 99),
    ],
)
async def test_a_changed_checkpoint_is_found_and_named(tmp_path: Path, statement: str, seq: int) -> None:
    path = await checkpointed(tmp_path / "journal.db")
    change(path, statement)
    with pytest.raises(JournalCorruptError, match=rf"checkpoint at event {seq} does not hold.*All 5 events hold"):
        verify(path)


@pytest.mark.asyncio
async def test_a_removed_checkpoint_is_no_damage(tmp_path: Path) -> None:
    """It only saves time; what it would have saved is replayed."""
    path = await checkpointed(tmp_path / "journal.db")
    change(path, "DELETE FROM checkpoints")
    assert verify(path).events == 5


def test_a_journal_older_than_checkpoints_is_clean(good: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(good, tmp_path / "copy.db"))
    change(path, "DROP TABLE checkpoints", "PRAGMA user_version = 1")
    assert verify(path).events == ROWS
