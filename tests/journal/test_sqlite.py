"""The journal on disk: settings, migrations, unusable files, durable before visible, and a disk that is full."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest

from router import ExecutionPipeline, ExecutionStatus
from router.clock import VirtualClock
from router.domain.events import Answered, AnyEvent, OrderEvent, Pending
from router.errors import JournalCorruptError, JournalError
from router.journal.audit import verify
from router.journal.checkpoints import CheckpointError
from router.journal.sqlite import MIGRATIONS, SqliteJournal
from tests.journal.events import nothing, put, put_checkpoint, running
from tests.pipelines import encoded, intent, kinds, move, resting, settings, stored

pytestmark = pytest.mark.asyncio
S = ExecutionStatus


async def refused(path: Path) -> str:
    journal = SqliteJournal(path, VirtualClock())
    with pytest.raises(JournalError) as raised:
        await journal.open(nothing)
    assert str(path) in str(raised.value)
    return str(raised.value)


async def test_it_writes_ahead_and_syncs_every_commit(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", VirtualClock())
    async with running(journal):
        assert journal._db is not None
        found = {}
        for pragma in ("journal_mode", "synchronous", "user_version"):
            async with journal._db.execute(f"PRAGMA {pragma}") as cursor:
                found[pragma] = (await cursor.fetchone() or [None])[0]
    assert found == {"journal_mode": "wal", "synchronous": 2, "user_version": len(MIGRATIONS)}


async def test_an_event_is_never_told_before_a_second_connection_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path, VirtualClock())
    seen: list[tuple[int, int]] = []

    async with running(journal):
        with closing(sqlite3.connect(path)) as other:
            query = "SELECT count(*), max(seq) FROM events"
            journal.on_durable = lambda seq: seen.append((seq, other.execute(query).fetchone()[1]))
            for _ in range(20):
                for _ in range(7):
                    put(journal)
                await journal.reached(journal.next_seq - 1)
    assert seen[-1][0] == 140
    assert all(told <= there for told, there in seen)


async def test_a_pipelines_answers_and_events_are_on_disk_when_they_are_seen(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline, pipeline.subscribe() as events:
        for number in range(10):
            result = await pipeline.submit_order(intent(intent_id=f"n{number}"))
            last = stored(tmp_path)[-1]
            assert isinstance(last, Answered)
            assert encoded(last.result) == encoded(result)
            there = {event.seq: event for event in stored(tmp_path)}
            for _ in range(4):
                event = await anext(events)
                assert there[event.seq] == event


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with running(SqliteJournal(path, VirtualClock())) as journal:
        put(journal)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    message = await refused(path)
    assert f"schema version {len(MIGRATIONS) + 1} is newer" in message
    assert verify(path).events == 1


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path, text = tmp_path / "journal.db", "hello\n" * 1000
    path.write_text(text)
    assert "not a database" in await refused(path)
    assert path.read_text() == text


async def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    await refused(tmp_path / "journal.db")
    await refused(tmp_path / "nowhere" / "journal.db")


@contextmanager
def nobody() -> Iterator[None]:
    """Act as a user without rights, if we have any."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("mode", [0o000, 0o444])
async def test_a_file_without_rights_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "journal.db"
    async with running(SqliteJournal(path, VirtualClock())) as journal:
        put(journal)
    path.chmod(mode)
    with nobody():
        message = await refused(path)
    assert "readable and writable" in message or "writable" in message or "permissions" in message
    path.chmod(0o644)
    assert verify(path).events == 1


async def test_a_tampered_journal_is_not_traded_on(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        await pipeline.submit_order(intent())
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.execute("UPDATE events SET payload = replace(payload, '0.01', '0.02') WHERE seq = 5")
        db.commit()
    with pytest.raises(JournalCorruptError, match="event 5 "):
        await ExecutionPipeline("paper", settings(tmp_path)).__aenter__()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:  # the lock and the file are free again
        db.execute("UPDATE events SET payload = replace(payload, '0.02', '0.01') WHERE seq = 5")
        db.commit()
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        assert (await pipeline.submit_order(intent())).is_success


async def test_a_crash_in_the_middle_of_a_migration_leaves_the_old_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    async with running(SqliteJournal(path, VirtualClock())) as journal:
        put(journal)
    broken = (*MIGRATIONS, "CREATE TABLE more (x); INSERT INTO nowhere VALUES (1);")
    monkeypatch.setattr("router.journal.sqlite.MIGRATIONS", broken)
    await refused(path)
    monkeypatch.undo()
    seen: list[AnyEvent] = []
    async with running(SqliteJournal(path, VirtualClock()), seen.append):
        assert len(seen) == 1
    with closing(sqlite3.connect(path)) as db:
        assert {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} == {
            "events",
            "checkpoints",
        }


async def test_a_journal_of_the_first_version_is_migrated_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    with monkeypatch.context() as patch:
        patch.setattr("router.journal.sqlite.MIGRATIONS", MIGRATIONS[:1])
        async with running(SqliteJournal(path, VirtualClock())) as journal:
            put(journal)
    assert verify(path).events == 1
    seen: list[AnyEvent] = []
    async with running(SqliteJournal(path, VirtualClock()), seen.append, refuse) as journal:
        await journal.keep(put_checkpoint(journal, b"state"), b"state")
    assert len(seen) == 1
    assert verify(path).events == 2


def refuse(_: object, __: object) -> None:
    raise CheckpointError("not this one")


async def test_a_checkpoint_that_cannot_be_stored_is_told_and_events_go_on(tmp_path: Path) -> None:
    async with running(SqliteJournal(tmp_path / "journal.db", VirtualClock())) as journal:
        seq = put_checkpoint(journal, b"state")
        await journal.reached(seq)
        state = os.urandom(1 << 20)
        with full_disk(tmp_path), pytest.raises(JournalError, match=r"cannot hold a checkpoint.*disk"):
            await journal.keep(seq, state)
        put(journal)
        await journal.reached(journal.next_seq - 1)


# -- a full disk, for real: no file of this process may grow ---------------------------------------------------


@contextmanager
def full_disk(home: Path) -> Iterator[None]:
    """Let no file grow beyond what the journal's write-ahead log has now."""
    size = max((home / name).stat().st_size for name in ("journal.db", "journal.db-wal"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def healthy_again(pipeline: ExecutionPipeline, clock: VirtualClock) -> None:
    with anyio.fail_after(10):
        while not pipeline.health()["journal"]["ok"]:
            await clock.advance(1)


async def test_a_full_disk_stops_new_orders_but_no_cancel_and_is_written_up_afterwards(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with ExecutionPipeline("paper", settings(tmp_path), clock=clock) as pipeline:
        first = await pipeline.submit_order(intent(intent_id="first"))
        rests = await pipeline.submit_order(resting())
        held, events = pipeline.positions(), len(stored(tmp_path))
        assert rests.client_order_id is not None
        with full_disk(tmp_path):
            broken = await pipeline.submit_order(intent(intent_id="second"))
            assert (broken.status, broken.executor_called) == (S.ERROR, False)
            assert not pipeline.health()["journal"]["ok"]
            refused = [await pipeline.submit_order(intent(intent_id=f"n{number}")) for number in range(20)]
            assert {(result.status, result.executor_called) for result in refused} == {(S.ERROR, False)}
            assert "nothing was handed over" in (refused[0].reason or "")
            repeated = await pipeline.submit_order(intent(intent_id="first"))
            assert encoded(repeated) == encoded(first)  # an old id keeps its answer
            cancelled = await pipeline.cancel_order(rests.client_order_id, reason="out")
            assert cancelled.status is S.SUBMITTED  # carried out, but not shown before it is durable
            assert pipeline.positions() == held
            assert len(stored(tmp_path)) == events
        await healthy_again(pipeline, clock)
        ended = pipeline.order(rests.client_order_id)
        assert ended is not None
        assert ended.status is S.CANCELLED
        after = await pipeline.submit_order(intent(intent_id="n0"))
        assert after.is_success
        again = await pipeline.submit_order(intent(intent_id="second"))
        assert again.status is S.ERROR
    story = [event for event in stored(tmp_path) if isinstance(event, OrderEvent)]
    assert kinds([e for e in stored(tmp_path) if isinstance(e, OrderEvent) and e.run_id == broken.run_id]) == [
        "pending",
        "errored",
        "answered",
    ]
    assert [event.status for event in story if event.run_id == rests.run_id][-1] is S.CANCELLED
    assert verify(tmp_path / "journal.db").events == len(stored(tmp_path))
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        assert pipeline.positions()["BTC/USD"].quantity == held["BTC/USD"].quantity * 2
        assert pipeline.open_orders() == []


async def test_a_disk_that_fills_under_load_hands_nothing_over_and_answers_everything_once(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with ExecutionPipeline("paper", settings(tmp_path), clock=clock) as pipeline:
        await pipeline.submit_order(intent())
        held = pipeline.positions()
        with full_disk(tmp_path):
            for number in range(3000):
                await pipeline.intents.send(intent(intent_id=f"n{number}"))
            with anyio.fail_after(10):
                await pipeline.idle()
            assert pipeline.positions() == held
        await healthy_again(pipeline, clock)
        again = await pipeline.submit_order(intent(intent_id="n0"))
        assert pipeline.positions() == held or again.is_success
    events = stored(tmp_path)
    pending = [event.client_order_id for event in events if isinstance(event, Pending)]
    answered = [event.client_order_id for event in events if isinstance(event, Answered)]
    assert len(set(pending)) == len(pending)
    assert len(set(answered)) == len(answered)
    assert set(pending) <= set(answered)
    assert verify(tmp_path / "journal.db").events == len(events)


async def test_a_fill_during_a_full_disk_is_written_in_order_afterwards(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with ExecutionPipeline("paper", settings(tmp_path), clock=clock) as pipeline:
        rests = await pipeline.submit_order(resting())
        assert rests.client_order_id is not None
        with full_disk(tmp_path):
            move(pipeline, "BTC/USD", "39000", "39001")
            await pipeline.submit_order(intent())
            visible = pipeline.order(rests.client_order_id)
            assert visible is not None
            assert visible.status is S.SUBMITTED  # not durable, not visible
        await healthy_again(pipeline, clock)
        filled = pipeline.order(rests.client_order_id)
    assert filled is not None
    assert filled.status is S.FILLED
    assert kinds(stored(tmp_path))[1:7] == ["account_opened"] * 2 + ["pending", "submitted", "answered", "filled"]
    assert verify(tmp_path / "journal.db")
