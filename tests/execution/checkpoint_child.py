"""The victim of test_checkpoints: a real pipeline that kills itself at one named moment of its first checkpoint.

    python -m tests.execution.checkpoint_child HOME MOMENT

It pushes known intents and prints every answer once it is durable. Moments: ``before`` the event is durable,
``between`` event and state, ``during`` the storing of the state, ``after`` it (the older states are not yet gone).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from router import ExecutionPipeline, OrderIntent
from router.clock import SystemClock
from router.execution import engine
from router.journal.base import Row
from router.journal.sqlite import SqliteJournal
from tests.pipelines import encoded, intent, resting, settings

EVERY = 60


def intents() -> list[OrderIntent]:
    """Return what is pushed, each with its own id."""
    made = []
    for number in range(200):
        name = f"checkpoint {number}"
        made.append(resting(intent_id=name, quantity="0.002") if number % 3 else intent(intent_id=name))
    return made


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(SqliteJournal):
    """Dies at its moment of the first checkpoint."""

    moment = ""

    async def _write(self, rows: Sequence[Row]) -> None:
        names_a_state = any('"event":"checkpoint"' in row.payload for row in rows)
        if names_a_state and self.moment == "before":
            die()
        await super()._write(rows)
        if names_a_state and self.moment == "between":
            die()

    async def _keep(self, seq: int, packed: bytes) -> None:
        if self.moment in {"during", "after"}:
            # On a connection of its own, without an await: on the journal's, events that were written meanwhile, and
            # whose answers were shown, would be part of a transaction that never ends.
            db = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO checkpoints VALUES (?, ?)", (seq, packed))
            if self.moment == "after":
                db.execute("COMMIT")
            die()
        await super()._keep(seq, packed)


async def main(home: Path, moment: str) -> None:
    logging.getLogger("router").addHandler(logging.NullHandler())  # or its warnings would fill stderr
    vars(engine)["CHECKPOINT_EVERY"] = EVERY
    journal = Mortal(home / "journal.db", SystemClock())
    journal.moment = moment
    async with ExecutionPipeline("paper", settings(home), journal=journal) as pipeline:
        for wanted in intents():
            sys.stdout.buffer.write(encoded(await pipeline.submit_order(wanted)) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
