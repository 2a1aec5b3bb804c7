"""One suite over both journals: order, chain, group commit, durable before visible, failed writes."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from router.clock import VirtualClock
from router.domain.events import AccountOpened, AnyEvent, Checkpoint, encode_event
from router.errors import JournalCorruptError, JournalError
from router.journal.base import BATCH_ROWS, RETRY_S, Durable, Journal, Row
from router.journal.chain import GENESIS, link
from router.journal.checkpoints import CheckpointError, pack
from router.journal.memory import MemoryJournal
from router.journal.sqlite import SqliteJournal
from tests.journal.events import NOW, MoodyDisk, put, put_checkpoint, running

pytestmark = pytest.mark.asyncio
Make: TypeAlias = Callable[[], Journal]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Return a maker of journals on one and the same storage."""
    if request.param == "sqlite":
        return lambda: SqliteJournal(tmp_path / "journal.db", VirtualClock())
    first = MemoryJournal(VirtualClock())

    def again() -> Journal:
        journal = MemoryJournal(VirtualClock())
        journal.rows, journal.states = first.rows, first.states
        return journal

    return again


# -- both journals --------------------------------------------------------------------------------------------


async def test_a_new_journal_is_empty(make: Make) -> None:
    seen: list[AnyEvent] = []
    async with running(make(), seen.append) as journal:
        assert (journal.next_seq, journal.durable_seq, journal.digest, journal.error) == (1, 0, GENESIS, None)
        assert list(await journal.read(1)) == []
    assert seen == []


async def test_everything_appended_is_replayed_in_order_and_continued(make: Make) -> None:
    async with running(make()) as journal:
        events = [put(journal, "ab"[number % 2], f"{number} ü\n\u2028") for number in range(50)]
        await journal.reached(50)
        digest = journal.digest
    seen: list[AnyEvent] = []
    async with running(make(), seen.append) as journal:
        assert (journal.next_seq, journal.durable_seq, journal.digest) == (51, 50, digest)
        assert seen == events
        events.append(put(journal))
        await journal.reached(51)
        assert list(await journal.read(1)) == events
    seen.clear()
    async with running(make(), seen.append):
        assert seen == events


async def test_the_chain_is_sha256_over_the_last_digest_and_the_bytes(make: Make) -> None:
    async with running(make()) as journal:
        first, second = put(journal), put(journal)
    one = hashlib.sha256(bytes(32) + encode_event(first)).digest()
    assert journal.digest == hashlib.sha256(one + encode_event(second)).digest() == link(one, encode_event(second))


@pytest.mark.parametrize("seq", [0, 2])
async def test_an_event_out_of_sequence_is_a_bug(make: Make, seq: int) -> None:
    journal = make()
    with pytest.raises(AssertionError, match="where 1 is due"):
        journal.append(AccountOpened(seq=seq, ts_recorded=NOW, environment="paper", balances={}))
    assert journal.next_seq == 1


async def test_a_lone_event_is_written_at_once(make: Make) -> None:
    async with running(make()) as journal:  # its clock stands still: any waiting would last for ever
        with anyio.fail_after(5):
            for seq in range(1, 4):
                put(journal)
                await journal.reached(seq)


async def test_more_than_a_batch_is_written_in_order(make: Make) -> None:
    batches: list[int] = []
    async with running(make()) as journal:
        journal.on_durable = batches.append
        total = BATCH_ROWS + 10
        for _ in range(total):
            put(journal)
        await journal.reached(total)
        assert batches == [BATCH_ROWS, total]
        assert [event.seq for event in await journal.read(BATCH_ROWS - 2, 6)] == list(
            range(BATCH_ROWS - 2, BATCH_ROWS + 4)
        )


@pytest.mark.parametrize("from_seq", [0, -5])
async def test_reading_from_before_the_start_begins_at_the_start(make: Make, from_seq: int) -> None:
    async with running(make()) as journal:
        put(journal)
        await journal.reached(1)
        assert [event.seq for event in await journal.read(from_seq)] == [1]
    async with running(make()) as journal:
        assert [event.seq for event in await journal.read(from_seq)] == [1]


async def test_reading_goes_page_by_page_from_any_point(make: Make) -> None:
    async with running(make()) as journal:
        for _ in range(25):
            put(journal)
        await journal.reached(25)
    async with running(make()) as journal:
        for _ in range(5):
            put(journal)
        await journal.reached(30)
        for start in range(1, 32):
            seqs, seq = [], start
            while batch := await journal.read(seq, 7):
                assert len(batch) <= 7
                seqs += [event.seq for event in batch]
                seq = batch[-1].seq + 1
            assert seqs == list(range(start, 31))


async def test_the_story_of_one_order_is_its_own_events_in_order(make: Make) -> None:
    async with running(make()) as journal:
        journal.append(AccountOpened(seq=1, ts_recorded=NOW, environment="paper", balances={}))
        events = [put(journal, name) for name in "aba'\x00b"]
        await journal.reached(journal.next_seq - 1)
        for name in "ab'\x00":
            story = [event for event in events if event.client_order_id == name]
            assert await journal.events_of(name) == journal.events_of_now(name) == story
        assert await journal.events_of("nobody") == journal.events_of_now("") == []


# -- checkpoints ----------------------------------------------------------------------------------------------


class Start:
    """What a start heard: the state that it loaded, if any, and the events that it folded."""

    def __init__(self, refused: Sequence[bytes] = ()) -> None:
        self.loaded: bytes | None = None
        self.folded: list[int] = []
        self._refused = refused

    def load(self, _: Checkpoint, state: bytes) -> None:
        if state in self._refused:
            raise CheckpointError("not this one")
        self.loaded = state

    def fold(self, event: AnyEvent) -> None:
        self.folded.append(event.seq)


async def checkpointed(make: Make, *states: bytes | None) -> None:
    """Write two events and a checkpoint for each state, and two events; for None the state is never stored."""
    async with running(make()) as journal:
        for number, state in enumerate(states):
            put(journal), put(journal)
            seq = put_checkpoint(journal, state or b"lost %d" % number)
            if state is not None:
                await journal.keep(seq, state)
        put(journal), put(journal)
        await journal.reached(journal.next_seq - 1)


async def test_a_start_loads_the_newest_checkpoint_and_replays_only_what_follows(make: Make) -> None:
    await checkpointed(make, b"one", b"two")
    whole = Start()
    async with running(make(), whole.fold) as journal:
        head = journal.next_seq, journal.durable_seq, journal.digest
        assert (whole.loaded, whole.folded) == (None, list(range(1, 9)))
        assert journal.checkpointed == 0
    start = Start()
    async with running(make(), start.fold, start.load) as journal:
        assert (start.loaded, start.folded) == (b"two", [7, 8])
        assert (journal.next_seq, journal.durable_seq, journal.digest) == head
        assert (journal.checkpointed, journal.passed_over) == (6, [])
        put(journal)
    again = Start()
    async with running(make(), again.fold, again.load):
        assert again.folded == [7, 8, 9]


async def test_a_journal_without_checkpoints_is_replayed_whole(make: Make) -> None:
    await checkpointed(make)
    start = Start()
    async with running(make(), start.fold, start.load) as journal:
        assert (start.loaded, start.folded, journal.passed_over) == (None, [1, 2], [])


async def test_a_checkpoint_that_is_refused_is_passed_over_for_the_one_before_and_then_for_everything(
    make: Make,
) -> None:
    await checkpointed(make, b"one", b"two")
    start = Start([b"two"])
    async with running(make(), start.fold, start.load) as journal:
        assert (start.loaded, start.folded, journal.checkpointed) == (b"one", [4, 5, 6, 7, 8], 3)
        assert journal.passed_over == ["the checkpoint at event 6 is passed over: not this one"]
    start = Start([b"two", b"one"])
    async with running(make(), start.fold, start.load) as journal:
        assert (start.loaded, start.folded, journal.checkpointed) == (None, list(range(1, 9)), 0)
        assert len(journal.passed_over) == 2


async def test_a_state_that_was_never_stored_is_passed_over_aloud(make: Make) -> None:
    await checkpointed(make, b"one", None)
    start = Start()
    async with running(make(), start.fold, start.load) as journal:
        assert (start.loaded, start.folded) == (b"one", [4, 5, 6, 7, 8])
        assert journal.passed_over == ["the checkpoint at event 6 is passed over: its state is missing"]


async def test_the_last_two_states_are_kept(make: Make) -> None:
    await checkpointed(make, b"one", b"two", b"three", b"four")
    async with running(make()) as journal:
        assert await journal._checkpoints() == [12, 9]


async def test_states_that_are_stored_at_once_or_out_of_order_leave_the_newest(make: Make) -> None:
    async with running(make()) as journal:
        states = {put_checkpoint(journal, b"%d" % number): b"%d" % number for number in range(3)}
        async with anyio.create_task_group() as group:
            for seq, state in reversed(states.items()):
                group.start_soon(journal.keep, seq, state)
        assert (await journal._checkpoints())[0] == 3


async def test_states_from_behind_the_end_do_not_displace_newer_ones(make: Make) -> None:
    """A backup of the events beside newer checkpoints: their events are gone, and others get their numbers."""
    async with running(make()) as journal:
        put(journal)
        await journal.reached(1)
        await journal._keep(50, pack(b"gone"))
        await journal._keep(60, pack(b"gone"))
    await checkpointed(make, b"one")
    start = Start()
    async with running(make(), start.fold, start.load) as journal:
        assert start.loaded == b"one"
        assert await journal._checkpoints() == [4]


FAULTS: Mapping[str, tuple[str, Callable[[list[Row], dict[int, bytes]], object]]] = {
    "another state": ("not the one", lambda _, states: states.update({6: pack(b"other")})),
    "cut": ("unpacked", lambda _, states: states.update({6: states[6][:-3]})),
    "rubbish": ("unpacked", lambda _, states: states.update({6: b"rubbish"})),
    "empty": ("unpacked", lambda _, states: states.update({6: b""})),
    "the other's state": ("not the one", lambda _, states: states.update({6: states[3]})),
    "filed under another event": ("not in place", lambda _, states: states.update({7: states.pop(6)})),
    "event changed": ("was changed", lambda rows, _: _put(rows, 6, payload=rows[5].payload + " ")),
    "event of another kind": ("was changed", lambda rows, _: _put(rows, 6, payload=rows[4].payload)),
    "digest changed": ("was changed", lambda rows, _: _put(rows, 6, digest=bytes(32))),
    "digest before it changed": ("was changed", lambda rows, _: _put(rows, 5, digest=bytes(32))),
    "digest before it no bytes": ("not in place", lambda rows, _: _put(rows, 5, digest="text")),
}


def _put(rows: list[Row], seq: int, **fields: Any) -> None:
    rows[seq - 1] = rows[seq - 1]._replace(**fields)


def spoil(journal: Journal, spoils: Callable[[list[Row], dict[int, bytes]], object]) -> None:
    """Change what a closed journal has stored."""
    if isinstance(journal, MemoryJournal):
        spoils(journal.rows, journal.states)
        return
    with closing(sqlite3.connect(journal.path)) as db:
        rows = [Row(*row) for row in db.execute("SELECT * FROM events ORDER BY seq")]
        states = dict(db.execute("SELECT * FROM checkpoints"))
        spoils(rows, states)
        db.execute("DELETE FROM events")
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        db.execute("DELETE FROM checkpoints")
        db.executemany("INSERT INTO checkpoints VALUES (?, ?)", states.items())
        db.commit()


@pytest.mark.parametrize("name", FAULTS)
async def test_a_checkpoint_that_does_not_hold_is_passed_over_never_refused_never_believed(
    make: Make, name: str
) -> None:
    await checkpointed(make, b"one", b"two")
    why, spoils = FAULTS[name]
    spoil(make(), spoils)
    start, journal = Start(), make()
    with suppress(JournalCorruptError):  # a changed event is one, wherever the replay begins
        await journal.open(start.fold, start.load)
    await journal.close()
    assert (start.loaded, start.folded[:2]) == (b"one", [4, 5][: len(start.folded)])
    assert re.search(f"event [67] is passed over: .*{why}", journal.passed_over[0])


async def test_what_follows_a_checkpoint_must_hold(make: Make) -> None:
    await checkpointed(make, b"one")
    spoil(make(), lambda rows, _: _put(rows, 5, payload=rows[4].payload.replace("run", "ran")))
    start, journal = Start(), make()
    with pytest.raises(JournalCorruptError, match="event 5 was changed"):
        await journal.open(start.fold, start.load)
    await journal.close()


async def test_a_state_is_stored_once_its_event_is_durable_and_not_before() -> None:
    disk = MoodyDisk(VirtualClock())
    async with running(disk):
        disk.shut_gate()
        seq = put_checkpoint(disk, b"state")
        async with anyio.create_task_group() as group:
            group.start_soon(disk.keep, seq, b"state")
            await anyio.wait_all_tasks_blocked()
            assert disk.states == {}
            disk.gate.set()
        assert list(disk.states) == [seq]


async def test_no_state_is_stored_for_an_event_that_could_not_be_written() -> None:
    disk = MoodyDisk(VirtualClock())
    async with running(disk):
        disk.full = True
        seq = put_checkpoint(disk, b"state")
        with pytest.raises(JournalError, match="disk full"):
            await disk.keep(seq, b"state")
        assert disk.states == {}
        disk.full = False
        await disk.flush()


# -- stopping -------------------------------------------------------------------------------------------------


async def test_a_stop_in_the_middle_of_a_write_neither_loses_nor_doubles(make: Make) -> None:
    for yields in range(4):
        async with running(make()) as journal:
            put(journal)
            for _ in range(yields):
                await anyio.lowlevel.checkpoint()
            put(journal)
    seen: list[AnyEvent] = []
    async with running(make(), seen.append):
        assert [event.seq for event in seen] == list(range(1, 9))


async def test_closing_tells_those_who_wait_for_more(make: Make) -> None:
    journal = make()
    async with anyio.create_task_group() as group:
        async with running(journal):
            group.start_soon(journal.moved)
            await anyio.lowlevel.checkpoint()
            assert not journal.closed
        assert journal.closed


# -- group commit and failures, on a disk with moods ----------------------------------------------------------


async def test_what_gathers_during_a_write_is_one_batch() -> None:
    disk = MoodyDisk(VirtualClock())
    async with running(disk):
        disk.shut_gate()
        put(disk)
        await anyio.wait_all_tasks_blocked()
        for _ in range(99):
            put(disk)
        await anyio.wait_all_tasks_blocked()
        assert disk.batches == [[1]]
        disk.gate.set()
        await disk.reached(100)
        assert disk.batches == [[1], list(range(2, 101))]


async def test_nothing_is_readable_or_durable_before_it_is_written() -> None:
    disk = MoodyDisk(VirtualClock())
    told: list[int] = []
    disk.on_durable = told.append
    async with running(disk):
        disk.shut_gate()
        put(disk)
        await anyio.wait_all_tasks_blocked()
        assert (disk.durable_seq, list(await disk.read(1)), told) == (0, [], [])
        disk.gate.set()
        await disk.reached(1)
        assert (disk.durable_seq, len(await disk.read(1)), told) == (1, 1, [1])


async def test_durable_pauses_only_while_something_is_not_written() -> None:
    disk = MoodyDisk(VirtualClock())
    async with running(disk):
        assert list(disk.durable().__await__()) == []
        put(disk)
        pause = disk.durable()
        first = next(pause.__await__())
        assert type(first) is Durable
        assert first.seq == 1
        put(disk)
        await disk.reached(2)
        assert list(pause.__await__()) == []


async def test_a_failed_write_is_told_drops_nothing_and_is_tried_again() -> None:
    clock = VirtualClock()
    disk = MoodyDisk(clock)
    failures: list[JournalError] = []
    disk.on_failure = failures.append
    async with running(disk):
        disk.full = True
        put(disk)
        with pytest.raises(JournalError, match="disk full"):
            await disk.reached(1)
        assert str(disk.error) == "disk full"
        put(disk)
        with pytest.raises(JournalError):  # at once, not after the next attempt
            await disk.reached(2)
        await clock.advance(RETRY_S)
        assert len(failures) == 2
        disk.full = False
        await clock.advance(RETRY_S * 0.9)
        assert disk.durable_seq == 0
        await clock.advance(RETRY_S * 0.2)
        assert (disk.durable_seq, disk.error) == (2, None)
    assert [row.seq for row in disk.rows] == [1, 2]


async def test_flush_raises_while_the_disk_is_full_and_writes_once_it_is_not() -> None:
    disk = MoodyDisk(VirtualClock())
    await disk.open(lambda _: None)
    put(disk)
    disk.full = True
    with pytest.raises(JournalError, match="disk full"):
        await disk.flush()
    disk.full = False
    await disk.flush()
    await disk.flush()
    assert [row.seq for row in disk.rows] == [1]
