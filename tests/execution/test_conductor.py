"""Many coroutines in one task: a commit resumes them, a failure reaches all that wait, IO moves them into tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from router.clock import VirtualClock
from router.errors import JournalError
from router.execution.conductor import OWN_TASK, Conductor
from tests.journal.events import MoodyDisk, put

pytestmark = pytest.mark.asyncio


class Stage:
    """A conductor on a disk with moods; ``answers`` is what was delivered, in order."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.disk = MoodyDisk(self.clock)
        self.answers: list[Any] = []
        self.tasks = 0
        self.group: Any = None
        self.conductor: Conductor[Any] = Conductor(self.disk, self._spawn)
        self.disk.on_durable = self.conductor.durable
        self.disk.on_failure = self.conductor.failed

    def _spawn(self, function: Callable[..., Awaitable[Any]], *arguments: object) -> None:
        self.tasks += 1
        self.group.start_soon(function, *arguments)

    def start(self, coroutine: Any) -> None:
        self.conductor.start(coroutine, self.answers.append)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Stage]:
        async with anyio.create_task_group() as self.group:
            self.group.start_soon(self.disk.run)
            yield self
            self.group.cancel_scope.cancel()

    async def write(self, name: object) -> object:
        """Append, wait until it is durable, tell how that went."""
        put(self.disk)
        try:
            await self.disk.durable()
        except JournalError as error:
            return f"{name}: {error}"
        return name


async def test_what_never_pauses_is_delivered_at_once_and_costs_no_task() -> None:
    stage = Stage()

    async def quick() -> str:
        return "done"

    stage.start(quick())
    assert (stage.answers, stage.tasks) == (["done"], 0)


async def test_one_commit_resumes_all_it_made_durable_in_their_order() -> None:
    stage = Stage()
    async with stage.running():
        stage.disk.shut_gate()
        stage.start(stage.write("first"))
        await anyio.wait_all_tasks_blocked()
        for number in range(100):
            stage.start(stage.write(number))
        await anyio.wait_all_tasks_blocked()
        assert stage.answers == []
        stage.disk.gate.set()
        await stage.disk.reached(101)
    assert stage.answers == ["first", *range(100)]
    assert len(stage.disk.batches) == 2
    assert stage.tasks == 0


async def test_a_commit_resumes_nobody_whose_event_came_later() -> None:
    stage = Stage()
    stage.start(stage.write("a"))
    stage.start(stage.write("b"))
    stage.conductor.durable(1)
    assert stage.answers == ["a"]
    stage.conductor.durable(2)
    assert stage.answers == ["a", "b"]


async def test_a_failed_write_reaches_everybody_who_waits_and_nobody_later() -> None:
    stage = Stage()
    async with stage.running():
        stage.disk.full = True
        for name in ("a", "b"):
            stage.start(stage.write(name))
        await anyio.wait_all_tasks_blocked()
        assert stage.answers == ["a: disk full", "b: disk full"]
        stage.disk.full = False
        await stage.clock.advance(2)
        stage.start(stage.write("c"))
        await anyio.wait_all_tasks_blocked()
    assert stage.answers == ["a: disk full", "b: disk full", "c"]


async def test_everybody_who_is_told_of_a_failure_gets_a_short_trace_of_his_own() -> None:
    stage = Stage()
    lengths: list[int] = []

    async def told() -> None:
        put(stage.disk)
        try:
            await stage.disk.durable()
        except JournalError as error:
            trace, length = error.__traceback__, 0
            while trace is not None:
                trace, length = trace.tb_next, length + 1
            lengths.append(length)

    async with stage.running():
        stage.disk.full = True
        for _ in range(50):
            stage.start(told())
        await anyio.wait_all_tasks_blocked()
    assert len(lengths) == 50
    assert max(lengths) == min(lengths)


@pytest.mark.parametrize("full", [False, True])
async def test_a_coroutine_in_a_task_of_its_own_waits_for_the_disk_there(full: bool) -> None:
    stage = Stage()

    async def io() -> object:
        await OWN_TASK
        await anyio.lowlevel.checkpoint()
        return await stage.write("io")

    async with stage.running():
        stage.disk.full = full
        stage.start(io())
        await anyio.wait_all_tasks_blocked()
    assert stage.answers == ["io: disk full" if full else "io"]
    assert stage.tasks == 1


async def test_any_other_await_moves_the_coroutine_into_a_task_and_delays_nobody() -> None:
    stage = Stage()
    gate = anyio.Event()
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def waits_for(thing: Any) -> object:
        await stage.write("ignored")
        found = await thing
        return await stage.write(found)

    async with stage.running():
        stage.start(waits_for(gate.wait()))
        stage.start(waits_for(future))
        stage.start(waits_for(anyio.lowlevel.checkpoint()))
        stage.start(stage.write("quick"))
        await anyio.wait_all_tasks_blocked()
        assert stage.answers == ["quick", None]
        future.set_result("future")
        await anyio.wait_all_tasks_blocked()
        gate.set()
        await anyio.wait_all_tasks_blocked()
    assert stage.answers == ["quick", None, "future", None]


async def test_a_future_that_fails_raises_inside_the_coroutine() -> None:
    stage = Stage()
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def catches() -> str:
        try:
            await future
        except ValueError as error:
            return f"caught {error}"
        return "nothing"

    async with stage.running():
        stage.start(catches())
        future.set_exception(ValueError("x"))
        await anyio.wait_all_tasks_blocked()
    assert stage.answers == ["caught x"]


async def test_the_end_of_the_tasks_group_reaches_the_coroutine_and_its_finally() -> None:
    stage = Stage()
    ended: list[str] = []

    async def never() -> None:
        try:
            await OWN_TASK
            await anyio.sleep_forever()
        finally:
            ended.append("finally")

    async with stage.running():
        stage.start(never())
        await anyio.wait_all_tasks_blocked()
        assert ended == []
    assert (ended, stage.answers) == (["finally"], [])
