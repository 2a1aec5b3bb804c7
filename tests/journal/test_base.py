"""One suite over both journals: order, chain, group commit, durable before visible, failed writes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest

from router.clock import VirtualClock
from router.domain.events import AccountOpened, AnyEvent, encode_event
from router.errors import JournalError
from router.journal.base import BATCH_ROWS, RETRY_S, Durable, Journal
from router.journal.chain import GENESIS, link
from router.journal.memory import MemoryJournal
from router.journal.sqlite import SqliteJournal
from tests.journal.events import NOW, MoodyDisk, put, running

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
        journal.rows = first.rows
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
