"""The hash chain by itself: the first event that does not hold is named, and nothing after it is trusted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from router.clock import VirtualClock
from router.domain.events import AccountOpened, encode_event
from router.errors import JournalCorruptError
from router.journal.base import Row
from router.journal.chain import GENESIS, ChainReader, key_of, link
from router.journal.memory import MemoryJournal
from tests.journal.events import NOW, put, running

FILE = Path("journal.db")


async def rows() -> list[Row]:
    async with running(MemoryJournal(VirtualClock())) as journal:
        for name in "abcde":
            put(journal, name)
        await journal.reached(5)
        assert isinstance(journal, MemoryJournal)
        return journal.rows


def read(stored: list[Row]) -> ChainReader:
    chain = ChainReader(FILE)
    for row in stored:
        chain.event(*row)
    return chain


@pytest.mark.asyncio
async def test_a_whole_chain_is_read_to_its_head() -> None:
    stored = await rows()
    chain = read(stored)
    assert (chain.count, chain.digest) == (5, stored[-1].digest)


BROKEN: dict[str, Callable[[list[Row]], list[Row]]] = {
    "changed": lambda r: [*r[:2], r[2]._replace(payload=r[2].payload.replace("run", "RUN")), *r[3:]],
    "removed": lambda r: [*r[:2], *r[3:]],
    "removed and renumbered": lambda r: [*r[:2], *(row._replace(seq=row.seq - 1) for row in r[3:])],
    "swapped": lambda r: [*r[:2], r[3], r[2], *r[4:]],
    "swapped and renumbered": lambda r: [*r[:2], r[3]._replace(seq=3), r[2]._replace(seq=4), *r[4:]],
    "doubled": lambda r: [*r[:2], r[1], *r[2:]],
    "another digest": lambda r: [*r[:2], r[2]._replace(digest=bytes(32)), *r[3:]],
    "another key": lambda r: [*r[:2], r[2]._replace(client_order_id="x"), *r[3:]],
    "no key": lambda r: [*r[:2], r[2]._replace(client_order_id=None), *r[3:]],
    "no event": lambda r: [*r[:2], r[2]._replace(payload="{}", digest=link(r[1].digest, b"{}")), *r[3:]],
    "bytes": lambda r: [*r[:2], r[2]._replace(payload=r[2].payload.encode()), *r[3:]],  # type: ignore[arg-type]
}


@pytest.mark.asyncio
@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_chain_names_its_first_bad_event(how: str) -> None:
    with pytest.raises(JournalCorruptError, match="event 3 "):
        read(BROKEN[how](await rows()))


def test_an_event_of_no_order_has_no_key() -> None:
    event = AccountOpened(seq=1, ts_recorded=NOW, environment="paper", balances={})
    assert key_of(event) is None
    payload = encode_event(event)
    assert ChainReader(FILE).event(1, None, payload.decode(), link(GENESIS, payload)) == event
