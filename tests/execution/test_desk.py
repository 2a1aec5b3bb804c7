"""What the reconciler is told of our side: only this environment's orders, and every unit of what we should hold."""

from __future__ import annotations

import pytest

from router import ExecutionStatus
from router.domain.enums import ExecType, Severity
from router.domain.events import AlertRaised
from router.domain.order import Order
from router.execution.desk import BooksDesk
from router.executors.base import Emit
from router.journal.memory import MemoryJournal
from tests.execution.world import World, report, shipped, trade
from tests.factories import D, instrument, order
from tests.factories import submission as submitted
from tests.pipelines import resting

aio = pytest.mark.asyncio


async def accepts(placed: Order, emit: Emit) -> None:
    emit(report(placed, ExecType.NEW, venue_order_id="V"))


class Told(BooksDesk):
    """A desk over a world's tracker, which notes what is to be looked up."""

    def __init__(self, world: World) -> None:
        self.wanted: list[str] = []
        instruments = [instrument(), instrument(symbol="ETH/USDT", base="ETH", quote="USDT")]
        super().__init__(world.tracker, {"paper": world.account}, instruments, self.wanted.append)


async def opened(world: World, **fields: object) -> Order:
    result = await world.submit(resting(quantity=1, **fields))
    found = world.tracker.orders.current(result.client_order_id or "")
    assert found is not None
    return found


@aio
async def test_an_order_is_ours_as_long_as_the_journal_knows_it_and_its_trades_with_it() -> None:
    world = World(accepts)
    async with world.running():
        made = await opened(world)
        world.tracker.report(trade(made, 1, "t1"))
        await world.disk.reached(world.disk.next_seq - 1)
    name = made.client_order_id
    journal = MemoryJournal(world.clock)
    journal.rows = list(world.disk.rows)
    again = World(journal=journal)
    async with again.running():
        again.tracker.orders._ended.clear()  # it has left memory
        again.tracker.orders._executions.clear()
        desk = Told(again)
        found = desk.order(name)
        assert found is not None
        assert found.status is ExecutionStatus.FILLED
        assert desk.knows_trade(name, "t1")
        assert not desk.knows_trade(name, "t2")
        assert desk.order("web_1") is None
        assert not desk.knows_trade("web_1", "t1")


@aio
async def test_only_the_working_orders_of_the_environment_are_compared() -> None:
    world = World(accepts)
    async with world.running():
        made, ended = await opened(world), await opened(world, side="sell", price="60000")
        world.tracker.report(report(ended, ExecType.CANCELED))
        desk = Told(world)
        assert [each.client_order_id for each in desk.working("paper")] == [made.client_order_id]
        assert list(desk.working("testnet")) == []


@aio
async def test_what_the_venue_says_and_what_is_to_be_looked_up_is_handed_on() -> None:
    world = World(accepts)
    async with world.running():
        made = await opened(world)
        desk = Told(world)
        desk.report(report(made, ExecType.CANCELED))
        assert list(desk.working("paper")) == []
        desk.look_up(made)
        assert desk.wanted == [made.client_order_id]


@aio
async def test_an_account_that_was_never_opened_is_opened_with_every_currency_that_is_traded_and_no_other() -> None:
    world = World(accepts)
    async with world.running():
        desk = Told(world)
        assert desk.expected("paper") is None
        assert desk.expected("testnet") is None
        desk.open_account("paper", {"USD": D(500), "ETH": D("0.5"), "DOGE": D(9)})
        held = {"BTC": D(0), "ETH": D("0.5"), "USD": D(500), "USDT": D(0)}
        assert world.account.portfolio.cash == held
        assert desk.expected("paper") == held


@aio
async def test_what_we_should_hold_is_cash_and_positions_and_counts_each_fee_in_its_currency() -> None:
    world = World(accepts)
    async with world.running():
        desk = Told(world)
        desk.open_account("paper", {"USD": D(500_000), "BTC": D(2)})
        bought, sold = await opened(world), await opened(world, side="sell", price="60000")
        world.tracker.report(trade(bought, "0.4", "t1", fee=D("0.001"), fee_currency="BTC"))
        world.tracker.report(trade(sold, "1", "t2", fee=D("0.1"), fee_currency="DOGE"))
        assert desk.expected("paper") == {"BTC": D("1.399"), "ETH": D(0), "USD": D(530_000), "USDT": D(0)}


@aio
async def test_positions_in_two_quote_currencies_of_one_asset_are_one_holding() -> None:
    world = World(accepts)
    async with world.running():
        desk = BooksDesk(world.tracker, {"paper": world.account}, shipped()[1].values(), lambda _: None)
        desk.open_account("paper", {})
        for name, symbol in (("U1", "BTC/USD"), ("U2", "BTC/EUR")):
            made = order(client_order_id=name, symbol=symbol, order_type="limit", price="50000")
            world.tracker.pending(submitted(made))
            world.tracker.report(trade(made, 1, f"t{name}"))
        expected = desk.expected("paper")
        assert expected is not None
        assert expected["BTC"] == 2


@aio
async def test_an_alert_names_its_topic_and_the_order() -> None:
    world = World(accepts)
    async with world.running():
        made = await opened(world)
        desk = Told(world)
        desk.alert(Severity.CRITICAL, "works at the venue", made)
        desk.alert(Severity.HIGH, "not ours")
        await world.disk.reached(world.disk.next_seq - 1)
        alerts = [event for event in world.events if isinstance(event, AlertRaised)]
        assert [(each.severity, each.topic, each.message, each.client_order_id) for each in alerts] == [
            ("CRITICAL", "reconcile", "works at the venue", made.client_order_id),
            ("HIGH", "reconcile", "not ours", None),
        ]
