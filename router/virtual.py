"""An event loop on virtual time, so that a strategy and a whole pipeline can live a day in a moment.

``run(main)`` is all that a test needs: it gives ``main`` the loop's clock, for ``ExecutionPipeline(clock=clock)``.
When nothing is ready to run, time jumps to the next timer, whoever set it: ``clock.sleep``, ``anyio.sleep``,
``fail_after``, ``asyncio.timeout``. Loop time starts at 0; timers of one moment are first come, first served.

What takes real time must not be outrun, so time stands still

* while ``run_in_executor`` or ``asyncio.to_thread`` is in flight, or a ``with clock.hold()`` block is open: the SQLite
  journal holds by itself; other threads (``anyio.to_thread``, a library's own) and subprocesses need it around them;
* while sockets or pipes are open and were busy within the last ``QUIET_S`` real seconds: both ends in this loop are
  safe, a slower peer elsewhere needs ``hold``, and as long as one is open each jump costs ``QUIET_S``.

When nothing could ever happen again, DeadlockError says who waits. What it cannot do: polling (``while …: await
checkpoint()``) spins for ever, as time moves only when everybody waits. Two runs are alike, moment by moment and in
order, as far as no thread, socket or cancelled anyio group of several tasks decides who is first: use
``MemoryJournal`` to compare them. This module must not know what runs on it.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import selectors
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar, TypeVarTuple

import anyio

from router.clock import SettableClock

QUIET_S: Final = 0.02
"""Real seconds without a word on any socket or pipe after which nothing more is expected of them."""
HELD_S: Final = 60.0
"""Real seconds without a sign of life after which whoever holds the time is taken for stuck."""
_TASKS_NAMED: Final = 10

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class DeadlockError(RuntimeError):
    """Virtual time cannot move on, and nothing will happen without it."""


class _Moment(float):
    """A timer's time that knows its place among those of the same moment; asyncio compares by time alone."""

    __slots__ = ("place",)
    place: int

    def __lt__(self, other: float) -> bool:
        if isinstance(other, _Moment) and self == other:
            return self.place < other.place
        return super().__lt__(other)


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop, and its own loop factory: ``asyncio.Runner(loop_factory=VirtualLoop)``.

    Args:
        start: first wall-clock time of ``clock``, aware; default 2025-01-01 00:00 UTC.
    """

    _scheduled: list[asyncio.TimerHandle]
    _clock_resolution: float

    def __init__(self, start: datetime | None = None) -> None:
        self._places = itertools.count()
        self._holds = 0
        super().__init__(_VirtualSelector(self))
        self._jump(0.0)
        self.clock = LoopClock(self, start)

    def time(self) -> float:
        return self._elapsed

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        moment = _Moment(when)
        moment.place = next(self._places)
        return super().call_at(moment, callback, *args, context=context)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let no time pass in the block; must not be used around waiting for time itself."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def run_in_executor(self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        future = super().run_in_executor(executor, func, *args)
        self._holds += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _: object) -> None:
        self._holds -= 1

    async def shutdown_default_executor(self, *args: Any) -> None:
        with self.hold():  # asyncio waits for it in a thread of its own
            await super().shutdown_default_executor(*args)

    def real_wait_s(self, *, has_io: bool) -> float | None:
        """Return for how long the world outside may still speak before time moves; None: without end."""
        if self._holds:
            return HELD_S
        if has_io:
            return QUIET_S if self._next_timer() < math.inf else None
        return 0

    def move_on(self) -> None:
        """Jump to the next timer; raises DeadlockError when there is none, or when time is held."""
        if self._holds:
            raise DeadlockError(
                f"Virtual time was held for {HELD_S:g} real seconds in which nothing happened. Do not wait for time "
                f"inside `with clock.hold():`, and see that the thread there can end. {self._who_waits()}"
            )
        when = self._next_timer()
        if when == math.inf:
            raise DeadlockError(
                "Everybody waits and nothing can wake anybody: no timer, no socket, no held call is left. Set what "
                "they wait for, give them a timeout, or put what happens in a thread or subprocess inside "
                f"`with clock.hold():`. {self._who_waits()}"
            )
        self._jump(when)

    def _jump(self, when: float) -> None:
        self._elapsed = when
        self._clock_resolution = math.ulp(when)  # so that due means due; a fixed 1e-9 is nothing from 1e7 s on

    def _next_timer(self) -> float:
        return float(self._scheduled[0].when()) if self._scheduled else math.inf

    def _who_waits(self) -> str:
        frames = [(task.get_name(), task.get_stack(limit=1)) for task in asyncio.all_tasks(self)]
        places = sorted(
            f"{name} at {stack[0].f_code.co_filename}:{stack[0].f_lineno}" for name, stack in frames if stack
        )
        more = f" and {len(places) - _TASKS_NAMED} more" if len(places) > _TASKS_NAMED else ""
        return f"Waiting: {', '.join(places[:_TASKS_NAMED])}{more}."


class _VirtualSelector(selectors.DefaultSelector):
    """Asks the world outside first; where asyncio would then wait for a timer, it moves the loop's time instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        has_io = len(self.get_map()) > 1  # one is the pipe by which threads wake the loop
        wait_s = self._loop.real_wait_s(has_io=has_io)
        if wait_s != 0:
            events = super().select(wait_s)
        if not events:
            self._loop.move_on()
        return events


class LoopClock(SettableClock):
    """The clock that tells a ``VirtualLoop``'s time."""

    def __init__(self, loop: VirtualLoop, start: datetime | None = None) -> None:
        super().__init__(start)
        self._loop = loop

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def hold(self) -> AbstractContextManager[None]:
        return self._loop.hold()


def run(main: Callable[[LoopClock], Coroutine[Any, Any, _T]], *, start: datetime | None = None) -> _T:
    """Run ``main(clock)`` to its end on virtual time and return its result.

    Args:
        main: a coroutine function; it gives the clock on, as ``ExecutionPipeline(…, clock=clock)``.
        start: first wall-clock time, aware; default 2025-01-01 00:00 UTC.

    Raises:
        DeadlockError: everybody waited, and nothing was left that could wake anybody.
    """
    with asyncio.Runner(loop_factory=partial(VirtualLoop, start)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop), "the factory made it"
        return runner.run(main(loop.clock))
