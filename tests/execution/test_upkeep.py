"""What the watchers conclude is said to the tracker in the words of a report."""

from __future__ import annotations

import pytest

from router.domain.enums import ExecutionStatus
from router.execution.upkeep import GONE, NOT_PLACED, Upkeep
from tests.watchers.world import World

pytestmark = pytest.mark.asyncio
S = ExecutionStatus


@pytest.mark.parametrize(("unknown", "status", "reason"), [(True, S.REJECTED, NOT_PLACED), (False, S.CANCELLED, GONE)])
async def test_an_absent_order_was_never_placed_or_is_gone(unknown: bool, status: ExecutionStatus, reason: str) -> None:
    async with World().running() as world:
        if unknown:
            world.pending("U1")
            world.tracker.unknown("U1", "cut")
        else:
            await world.opened("U1")
        upkeep = Upkeep(world.tracker, world.cancels, world.clock)
        upkeep.absent(world.order("U1"))
        assert world.order("U1").status is status
        assert world.tracker.story("U1")[-1].reason == reason


async def test_it_counts_and_lists_what_is_decided_to_be_open() -> None:
    async with World().running() as world:
        await world.opened("U1")
        upkeep = Upkeep(world.tracker, world.cancels, world.clock)
        assert upkeep.open_count() == 1
        assert list(upkeep.open_orders()) == [upkeep.current("U1")]
