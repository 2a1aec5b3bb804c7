"""The places where a router may die between its journal and the venue, by name, in one table.

They belong to the journal's and the executor's stand-ins, never to production code. "Before" a write is: in memory
only. "After" is: on disk, and nobody was told. Between the two there is nothing to see: a batch is one statement in
one transaction, and a death inside it is one of the two, which is SQLite's promise and not ours.
"""

from __future__ import annotations

import os
import signal
from typing import Final, NamedTuple, NoReturn

KINDS: Final = {
    "pending": "the order, before the hand-over",
    "submitted": "the venue's acknowledgement",
    "fill": "a trade",
    "answered": "the verdict on an intent",
    "pending_cancel": "a cancel that is asked for",
    "cancelled": "the venue's confirmation of an end",
    "pending_replace": "other terms that are asked for, before the hand-over",
    "replaced": "the venue's confirmation of other terms",
    "amendment_answered": "the verdict on other terms",
}
"""What a journal's write makes durable."""
RECOVERED: Final = "the verdict that a restart gives on an earlier run's intent"
STEPS: Final = {
    "before": "nothing was sent",
    "sent": "the request is the venue's, which may execute it after our death",
    "executed": "the venue's answer is here, unread",
    "read": "the answer is read, nothing was said to the router",
    "emitted": "all was said, nothing of it is durable yet",
}
"""Where a call of the executor stands."""
CALLS: Final = {"submit": 3, "cancel": 1, "amend": 2, "look_up": 2}
"""The executor's calls, and how often one life makes each for sure."""


class Point(NamedTuple):
    """``most``: how often one life passes it for sure, so how late a death there may be. ``prepared_by``: a death at
    one of these (by the start of its name) makes the point likely in the next life."""

    name: str
    what: str
    most: int = 3
    prepared_by: tuple[str, ...] = ()


_CUT_SHORT: Final = ("journal.pending.after", "submit.", "journal.submitted.", "journal.answered.before")
POINTS: Final = {
    point.name: point
    for point in (
        *(
            Point(f"journal.{kind}.{side}", f"{side} the write of {what}", 2)
            for kind, what in KINDS.items()
            for side in ("before", "after")
        ),
        Point("journal.recovered.before", f"before the write of {RECOVERED}", 1, _CUT_SHORT),
        Point("journal.recovered.after", f"after the write of {RECOVERED}", 1, _CUT_SHORT),
        *(
            Point(f"{call}.{step}", f"{call}: {what}", most)
            for call, most in CALLS.items()
            for step, what in STEPS.items()
        ),
        Point("stream.before", "a report came by the stream and was not said"),
        Point("stream.emitted", "a report of the stream was said, and is not durable yet"),
        Point("start.replayed", "the journal is replayed, nothing left over is answered", 1),
        Point("start.running", "what was left over has its answers, nothing of them is durable yet", 1, _CUT_SHORT),
        Point("start.looking", "the first look-up after a start is under way", 1),
    )
}


class Trap:
    """Counts what is passed and ends the process at the ``hit``-th time that the armed point is.

    Args:
        armed: the point's name; None: nothing happens.
    """

    def __init__(self, armed: str | None, hit: int) -> None:
        assert armed is None or armed in POINTS, armed
        self._armed = armed
        self._left = hit

    def passes(self, name: str) -> None:
        """Die here, if this is the place."""
        assert name in POINTS, name
        if name == self._armed:
            self._left -= 1
            if self._left == 0:
                die()


def die() -> NoReturn:
    """End this process as ``kill -9`` does: no clean-up, no farewell."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")
