"""Nothing passes the boundary: what is raised becomes a recorded ERROR; no answer is seen before it is durable."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import anyio
import pytest

from router import ExecutionResult, ExecutionStatus
from router.middleware import Submission
from tests.execution.world import World
from tests.pipelines import encoded, intent

pytestmark = pytest.mark.asyncio
S = ExecutionStatus


class Raises:
    """A stage that breaks, before or after the rest of the chain."""

    def __init__(self, error: BaseException, *, after: bool = False) -> None:
        self.error = error
        self.after = after

    async def __call__(self, submission: Submission, call_next: Any) -> ExecutionResult:
        if self.after:
            await call_next(submission)
        raise self.error


@pytest.mark.parametrize(
    "error", [RuntimeError("boom"), KeyError("x"), AssertionError(), ExceptionGroup("g", [ValueError()])], ids=repr
)
async def test_an_exception_becomes_a_recorded_error_with_its_stack_trace(error: Exception) -> None:
    world = World(stages=[Raises(error)])
    async with world.running():
        result = await world.submit(intent())
        assert (await world.submit(intent(quantity=0))).status is S.INVALID
    assert (result.status, result.executor_called, result.order_status) == (S.ERROR, False, None)
    assert type(error).__name__ in (result.stacktrace or "")
    assert result.run_id in (result.reason or "")
    assert result.category == "bug"
    assert encoded(world.events[0].result) == encoded(result)
    assert world.venue.handed == []


async def test_an_exception_after_the_hand_over_tells_the_orders_state() -> None:
    world = World(stages=[Raises(RuntimeError("late"), after=True)])
    async with world.running():
        result = await world.submit(intent())
    assert (result.status, result.order_status) == (S.ERROR, S.SUBMITTED)
    assert world.kinds == ["pending", "outcome_unknown", "answered"]


@pytest.mark.parametrize("fields", [{}, {"quantity": 0}, {"quantity": Decimal(100)}], ids=str)
async def test_no_answer_is_seen_before_it_is_durable(fields: dict[str, Any]) -> None:
    world = World()
    async with world.running():
        world.disk.shut_gate()  # type: ignore[attr-defined]
        answer = world.start(intent(**fields))
        await anyio.wait_all_tasks_blocked()
        assert not answer.done()
        world.disk.gate.set()  # type: ignore[attr-defined]
        with anyio.fail_after(5):
            result = await answer
        assert encoded(world.events[-1].result) == encoded(result)


async def test_a_refusal_while_the_disk_is_full_is_answered_at_once_and_recorded_later() -> None:
    world = World()
    async with world.running():
        world.disk.full = True  # type: ignore[attr-defined]
        result = await world.submit(intent(quantity=0))
        assert (result.status, world.kinds) == (S.INVALID, [])
        assert (await world.submit(intent(quantity=-1))).status is S.INVALID
        world.disk.full = False  # type: ignore[attr-defined]
        await world.clock.advance(2)
        assert world.kinds == ["answered", "answered"]
