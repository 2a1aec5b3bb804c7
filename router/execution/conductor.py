"""Carries many submissions through the chain in one task: the price of a coroutine each, not of a task each.

The chain's coroutines may pause at two places. ``Durable``: everything appended so far must be on disk; the
conductor parks the coroutine and resumes all that a commit made durable at once, which is what makes group
commit natural. ``OWN_TASK``: what follows does IO; the conductor moves the coroutine into a task of its own.
Anything else that a stage awaits moves it into a task too, so that a slow stage delays nobody.
This module must not know what a submission is.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, NamedTuple, TypeVar

from router.errors import JournalError
from router.journal.base import Durable, Journal

Answer = TypeVar("Answer")
Deliver = Callable[[Answer], None]


class OwnTask:
    """Awaitable: what follows runs in a task of its own and may await IO."""

    def __await__(self) -> Generator[OwnTask, None, None]:
        yield self


OWN_TASK = OwnTask()


class _Parked(NamedTuple, Generic[Answer]):
    until: Durable
    coroutine: Coroutine[Any, Any, Answer]
    deliver: Deliver[Answer]


class Conductor(Generic[Answer]):
    """Starts coroutines and hands each one's return value to its ``deliver``.

    Args:
        journal: whose commits resume the parked.
        spawn: starts a coroutine function in the background.
    """

    def __init__(self, journal: Journal, spawn: Callable[..., None]) -> None:
        self._journal = journal
        self._spawn = spawn
        self._parked: deque[_Parked[Answer]] = deque()

    def start(self, coroutine: Coroutine[Any, Any, Answer], deliver: Deliver[Answer]) -> None:
        """Run ``coroutine`` until it ends or pauses."""
        self._step(coroutine, deliver, None)

    def durable(self, seq: int) -> None:
        """Resume all that waited for ``seq`` or less."""
        parked = self._parked
        while parked and parked[0].until.seq <= seq:
            _, coroutine, deliver = parked.popleft()
            self._step(coroutine, deliver, None)

    def failed(self, error: JournalError) -> None:
        """Raise ``error`` in all that wait."""
        parked, self._parked = self._parked, deque()
        for waiting in parked:
            self._step(waiting.coroutine, waiting.deliver, JournalError(*error.args))  # one trace each

    def _step(self, coroutine: Coroutine[Any, Any, Answer], deliver: Deliver[Answer], error: Exception | None) -> None:
        try:
            wanted = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as end:
            deliver(end.value)
            return
        if type(wanted) is Durable:
            self._parked.append(_Parked(wanted, coroutine, deliver))
        else:
            self._spawn(self._carry, coroutine, deliver, wanted)

    async def _carry(self, coroutine: Coroutine[Any, Any, Answer], deliver: Deliver[Answer], wanted: object) -> None:
        deliver(await _adopted(coroutine, wanted, self._journal))


@types.coroutine
def _adopted(coroutine: Coroutine[Any, Any, Answer], wanted: object, journal: Journal) -> Generator[Any, Any, Answer]:
    """Continue a started coroutine inside the current task, from the point where it ``wanted`` something."""
    while True:
        try:
            if isinstance(wanted, Durable):
                yield from journal.reached(wanted.seq).__await__()
            elif not isinstance(wanted, OwnTask):
                yield wanted
        except BaseException as error:  # noqa: BLE001 -- the coroutine must see its own task's end too
            failure: BaseException | None = error
        else:
            failure = None
        try:
            wanted = coroutine.send(None) if failure is None else coroutine.throw(failure)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
