"""The journal on disk with fault points before and after each write, named by what the batch holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from router.clock import Clock
from router.domain.events import Answered, AnyEvent, decode_event
from router.journal.base import Row
from router.journal.sqlite import SqliteJournal
from tests.faults.points import KINDS, Trap

_CALLED: Final = {"partially_filled": "fill", "filled": "fill"}


class TrappedJournal(SqliteJournal):
    """Passes ``journal.KIND.before`` and ``.after`` for every kind of event that a batch holds."""

    def __init__(self, path: Path, clock: Clock, trap: Trap) -> None:
        super().__init__(path, clock)
        self._trap = trap
        self._born = clock.now()

    async def _write(self, rows: Sequence[Row]) -> None:
        kinds = {_kind(decode_event(row.payload), self._born) for row in rows} & {*KINDS, "recovered"}
        for kind in sorted(kinds):
            self._trap.passes(f"journal.{kind}.before")
        await super()._write(rows)
        for kind in sorted(kinds):
            self._trap.passes(f"journal.{kind}.after")


def _kind(event: AnyEvent, born: datetime) -> str:
    if isinstance(event, Answered) and event.result.timestamp < born:  # received by an earlier run
        return "recovered"
    return _CALLED.get(event.event, event.event)
