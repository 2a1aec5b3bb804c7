"""From things on a stream to submissions: one flight an id, bounded, and never a guess when the look-up fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from router import ExecutionResult, ExecutionStatus
from router.domain.events import AnyEvent
from router.errors import JournalError
from router.execution.conductor import OWN_TASK
from router.execution.intake import MAX_IN_FLIGHT, Intake, Request
from router.logs import get_logger
from router.middleware import Submission
from tests.execution.world import World
from tests.journal.events import MoodyDisk
from tests.pipelines import encoded, intent

pytestmark = pytest.mark.asyncio
S = ExecutionStatus


class Mouth:
    """An intake before a world's chain, or before a chain that waits for a gate."""

    def __init__(self, *, gated: bool = False, disk: MoodyDisk | None = None) -> None:
        self.world = World(journal=disk)
        self.gate = anyio.Event()
        self.submissions: list[Submission] = []
        self.send, self._receive = anyio.create_memory_object_stream[Any](100_000)
        self.intake = Intake(
            self._gated if gated else self._chain,
            self.world.conductor,
            self.world.disk,
            self.world.tracker.orders.seen,
            self.world.clock,
            get_logger(),
            count=self.world.out,
            environment="paper",
            session_id="session",
        )

    async def _chain(self, submission: Submission) -> ExecutionResult:
        self.submissions.append(submission)
        return await self.world.chain(submission)

    async def _gated(self, submission: Submission) -> ExecutionResult:
        self.submissions.append(submission)
        await OWN_TASK
        await self.gate.wait()
        return submission.answer(S.SUCCESS)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mouth]:
        with self.send, self._receive:
            async with self.world.running():
                self.world._group.start_soon(self.intake.run, self._receive)
                yield self

    def ask(self, thing: object) -> asyncio.Future[ExecutionResult]:
        answer: asyncio.Future[ExecutionResult] = asyncio.get_running_loop().create_future()
        self.send.send_nowait(Request(thing, answer.set_result))
        return answer


async def test_everything_gets_ids_and_what_it_does_not_say_from_the_pipeline() -> None:
    mouth = Mouth()
    async with mouth.running():
        first, second = await mouth.ask(intent()), await mouth.ask(intent(environment="mars", intent_id="mine"))
    assert re.fullmatch(r"run_20251209_120000_[0-9a-f]{6}", first.run_id)
    assert first.run_id != second.run_id
    assert (first.session_id, first.environment, second.environment) == ("session", "paper", "mars")
    assert first.client_order_id != second.client_order_id
    assert mouth.intake.in_flight == 0


async def test_copies_in_flight_share_one_submission_and_one_answer() -> None:
    mouth = Mouth(gated=True)
    async with mouth.running():
        answers = [mouth.ask(intent(intent_id="x")) for _ in range(20)]
        await anyio.wait_all_tasks_blocked()
        assert (len(mouth.submissions), mouth.intake.in_flight) == (1, 1)
        mouth.gate.set()
        results = await asyncio.gather(*answers)
    assert all(result is results[0] for result in results)


async def test_other_content_waits_for_the_first_and_is_then_refused() -> None:
    mouth = Mouth()
    async with mouth.running():
        mouth.world.disk.shut_gate()  # type: ignore[attr-defined]
        first, other, copy = (mouth.ask(intent(intent_id="x", quantity=q)) for q in ("0.01", "0.02", "0.01"))
        await anyio.wait_all_tasks_blocked()
        assert not other.done()
        mouth.world.disk.gate.set()  # type: ignore[attr-defined]
        with anyio.fail_after(5):
            results = [await first, await other, await copy]
    assert results[2] is results[0]
    assert (results[1].status, results[1].invalid_field, results[1].client_order_id) == (S.INVALID, "intent_id", None)
    assert mouth.world.kinds.count("pending") == 1


async def test_in_flight_is_bounded_and_the_rest_waits_in_the_stream() -> None:
    mouth = Mouth(gated=True)
    async with mouth.running():
        for _ in range(MAX_IN_FLIGHT + 500):
            mouth.send.send_nowait(intent())
        await anyio.wait_all_tasks_blocked()
        assert mouth.intake.in_flight == MAX_IN_FLIGHT
        assert mouth.send.statistics().current_buffer_used == 500
        mouth.gate.set()
        with anyio.fail_after(20):
            while mouth.send.statistics().current_buffer_used:
                await anyio.lowlevel.checkpoint()
            await mouth.intake.idle()
    assert len(mouth.submissions) == MAX_IN_FLIGHT + 500


class BrokenIndex(MoodyDisk):
    """A disk on which no order's story can be read."""

    async def events_of(self, client_order_id: str) -> list[AnyEvent]:
        raise JournalError("bad sector")


async def test_an_id_that_cannot_be_looked_up_is_an_error_and_nothing_leaves() -> None:
    from router.clock import VirtualClock

    mouth = Mouth(disk=BrokenIndex(VirtualClock()))
    async with mouth.running():
        first = await mouth.ask(intent(intent_id="x"))
        handed = len(mouth.world.venue.handed)
        again = await mouth.ask(intent(intent_id="x"))
        other = await mouth.ask(intent(intent_id="y"))
    assert (first.status, handed) == (S.SUBMITTED, 1)
    assert (again.status, again.executor_called) == (S.ERROR, False)
    assert "bad sector" in (again.reason or "")
    assert other.status is S.SUBMITTED
    assert len(mouth.world.venue.handed) == 2


async def test_while_the_disk_is_full_new_ids_are_refused_unrecorded_and_old_ones_answered() -> None:
    mouth = Mouth()
    disk = mouth.world.disk
    assert isinstance(disk, MoodyDisk)
    async with mouth.running():
        first = await mouth.ask(intent(intent_id="x"))
        disk.full = True
        broken = await mouth.ask(intent(intent_id="y"))
        refused = await mouth.ask(intent(intent_id="z"))
        assert (broken.status, refused.status) == (S.ERROR, S.ERROR)
        assert "nothing was handed over" in (refused.reason or "")
        assert encoded(await mouth.ask(intent(intent_id="x"))) == encoded(first)
        disk.full = False
        await mouth.world.clock.advance(2)
        assert encoded(await mouth.ask(intent(intent_id="y"))) == encoded(broken)
        assert (await mouth.ask(intent(intent_id="z"))).status is S.SUBMITTED
    assert len(mouth.world.venue.handed) == 2


async def test_an_answer_that_waits_for_its_write_is_found_by_a_repeat() -> None:
    mouth = Mouth()
    disk = mouth.world.disk
    assert isinstance(disk, MoodyDisk)
    async with mouth.running():
        disk.full = True
        broken = await mouth.ask(intent(intent_id="x"))
        disk.full = False
        disk.error = None  # as between two batches of a long backlog
        repeat = mouth.ask(intent(intent_id="x"))
        await mouth.world.clock.advance(2)
        with anyio.fail_after(5):
            assert encoded(await repeat) == encoded(broken)
    assert mouth.world.kinds == ["pending", "errored", "answered"]
