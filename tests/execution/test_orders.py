"""Two views of every order, and the journal for what has left memory."""

from __future__ import annotations

from decimal import Decimal

import pytest

from router.clock import VirtualClock
from router.domain.enums import ExecType, ExecutionStatus
from router.domain.executions import Execution
from router.execution import orders as module
from tests.factories import D
from tests.watchers.world import World

pytestmark = pytest.mark.asyncio
S, X = ExecutionStatus, ExecType


async def test_nothing_is_visible_before_it_is_durable() -> None:
    async with World().running() as world:
        orders = world.tracker.orders
        world.pending("U1")
        assert orders.order("U1") is None
        assert orders.open_orders() == []
        assert [order.client_order_id for order in orders.working_orders()] == ["U1"]
        await world.journal.reached(world.journal.next_seq - 1)
        assert orders.order("U1") == orders.current("U1") == orders.open_orders()[0]


async def test_an_order_that_ended_long_ago_is_answered_and_still_takes_a_late_fill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_ENDED_KEPT", 2)
    async with World().running() as world:
        orders = world.tracker.orders
        for name in ("U1", "U2", "U3", "U4"):
            await world.opened(name)
            world.venue.say(name, X.TRADE, trade_id="t", last_quantity=D("0.4"), last_price=D(100), fee=D(0))
            world.venue.say(name, X.CANCELED)
            await world.journal.reached(world.journal.next_seq - 1)
        assert orders.current("U1") is None
        known = orders.order("U1")
        assert known is not None
        assert (known.status, known.filled_quantity) == (S.CANCELLED, D("0.4"))
        world.venue.say("U1", X.TRADE, trade_id="t", last_quantity=D("0.4"), last_price=D(100))  # repeated
        world.venue.say("U1", X.TRADE, trade_id="late", last_quantity=D("0.1"), last_price=D(100))
        late = orders.current("U1")
        assert late is not None
        assert (late.status, late.filled_quantity) == (S.CANCELLED, D("0.5"))
        assert orders.executions("U1")["t"] == Execution(D("0.4"), D(100), D(0), None, None)
        await world.journal.reached(world.journal.next_seq - 1)
    again = World(VirtualClock(), rows=world.journal.rows)
    async with again.running():
        found = again.tracker.orders.order("U1")
        assert found is not None
        assert found.filled_quantity == D("0.5"), "replay finds it in the journal too"
        assert again.account.portfolio.position("BTC/USD") == world.account.portfolio.position("BTC/USD")


async def test_an_id_that_was_never_used_has_no_order() -> None:
    async with World().running() as world:
        assert world.tracker.orders.order("nobody") is None
        assert world.tracker.orders.recall("nobody") is None
        assert world.tracker.orders.executions("nobody") == {}


async def test_a_filled_order_that_a_bust_reopens_works_again_in_both_views() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.say("U1", X.TRADE, trade_id="t", last_quantity=D(1), last_price=D(100), fee=D(0))
        await world.journal.reached(world.journal.next_seq - 1)
        assert world.tracker.orders.open_count == 0
        assert [order.status for order in world.tracker.orders.ended_orders()] == [S.FILLED]
        world.venue.say("U1", X.TRADE_CANCEL, corrects="t")
        await world.journal.reached(world.journal.next_seq - 1)
        orders = world.tracker.orders
        assert [order.status for order in orders.open_orders()] == [S.SUBMITTED]
        assert (orders.open_count, orders.ended_orders()) == (1, [])
        assert world.account.portfolio.position("BTC/USD").quantity == Decimal(0)
        assert world.account.holds.working("BTC/USD").buys == 1
        world.hold_invariant()
