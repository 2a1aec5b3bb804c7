"""A state is believed only when a chained event names it; everything else is passed over, and says why."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clock import VirtualClock
from router.domain.events import Checkpoint
from router.journal.base import Row
from router.journal.checkpoints import CheckpointError, located, pack, state_digest, unpacked
from router.journal.memory import MemoryJournal
from tests.factories import PROPERTY
from tests.journal.events import NOW, put, put_checkpoint, running

PATH = Path("journal.db")


def named(state: bytes) -> Checkpoint:
    return Checkpoint(seq=2, ts_recorded=NOW, at_seq=1, state_digest=state_digest(state), state_version=1)


@PROPERTY
@given(st.binary())
def test_a_state_unpacks_to_what_was_packed(state: bytes) -> None:
    assert unpacked(named(state), pack(state)) == state


@PROPERTY
@given(st.binary(min_size=1, max_size=300), st.data())
def test_no_changed_byte_of_a_stored_state_is_believed(state: bytes, data: st.DataObject) -> None:
    stored = bytearray(pack(state))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(CheckpointError):
        assert unpacked(named(state), bytes(stored)) == state  # zlib ignores a bit here and there


@pytest.mark.parametrize("stored", [None, "text", 5])
def test_what_is_no_bytes_is_missing(stored: object) -> None:
    with pytest.raises(CheckpointError, match="missing"):
        unpacked(named(b""), stored)


async def written() -> list[Row]:
    """Return the rows of an event, a checkpoint, an event."""
    async with running(MemoryJournal(VirtualClock())) as journal:
        put(journal)
        put_checkpoint(journal, b"state")
        put(journal)
    assert isinstance(journal, MemoryJournal)
    return journal.rows


@pytest.mark.asyncio
async def test_a_reader_goes_on_behind_the_event() -> None:
    rows = await written()
    chain, event = located(PATH, 2, rows[:2])
    assert (event.seq, event.at_seq, chain.count, chain.digest) == (2, 1, 2, rows[1].digest)
    assert chain.event(*rows[2]).seq == 3


@pytest.mark.asyncio
async def test_a_checkpoint_may_be_the_first_event() -> None:
    async with running(MemoryJournal(VirtualClock())) as journal:
        put_checkpoint(journal, b"state")
    assert isinstance(journal, MemoryJournal)
    assert located(PATH, 1, journal.rows)[0].count == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("kept", [[], [0], [1], [2], [0, 2], [1, 2], [1, 0]])
async def test_an_event_that_is_not_in_place_is_not_believed(kept: list[int]) -> None:
    rows = await written()
    with pytest.raises(CheckpointError, match="not in place"):
        located(PATH, 2, [rows[number] for number in kept])


@pytest.mark.asyncio
async def test_an_event_of_another_kind_is_no_checkpoint() -> None:
    rows = await written()
    with pytest.raises(CheckpointError, match="not in place"):
        located(PATH, 3, rows[1:])
