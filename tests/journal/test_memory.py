"""What only the memory journal has: it forgets, and it is opened again on what it holds. The rest is test_base."""

from __future__ import annotations

import pytest

from router.clock import VirtualClock
from router.domain.events import AnyEvent
from router.journal.memory import MemoryJournal
from tests.journal.events import put, running


@pytest.mark.asyncio
async def test_it_can_be_opened_again_on_what_it_holds() -> None:
    journal = MemoryJournal(VirtualClock())
    async with running(journal):
        put(journal)
    seen: list[AnyEvent] = []
    async with running(journal, seen.append):
        assert not journal.closed
        put(journal)
        await journal.reached(2)
    assert len(seen) == 1
    assert [row.seq for row in journal.rows] == [1, 2]


@pytest.mark.asyncio
async def test_two_of_them_share_nothing() -> None:
    async with running(MemoryJournal(VirtualClock())) as journal:
        put(journal)
    async with running(MemoryJournal(VirtualClock())) as journal:
        assert journal.next_seq == 1
