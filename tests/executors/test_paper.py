"""What a simulated venue says, when, and that it never suspends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anyio
import msgspec
import pytest

from router.domain.enums import ExecType, ExecutionStatus, Liquidity, OrderType, TimeInForce
from router.domain.order import Replacement
from router.errors import ConfigError
from tests.executors.venue import BUY, SELL, SYMBOL, Venue, at_once, levels

D = Decimal
NEW, TRADE, EXPIRED = ExecType.NEW, ExecType.TRADE, ExecType.EXPIRED
CANCELED, REJECTED, CANCEL_REJECTED = ExecType.CANCELED, ExecType.REJECTED, ExecType.CANCEL_REJECTED


def quoted(**more: object) -> Venue:
    venue = Venue(**more)  # type: ignore[arg-type]
    venue.quote(100, 101, 1, 1)
    return venue


@asynccontextmanager
async def running(venue: Venue) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(venue.executor.run)
        await venue.clock.advance(0)
        yield
        group.cancel_scope.cancel()


# Answers


def test_a_fill_is_reported_whole() -> None:
    venue = quoted()
    order = venue.submit(BUY, "0.5")
    new, trade = venue.reports
    assert (new.exec_type, new.venue_order_id) == (NEW, "P" + order.client_order_id)
    assert trade == msgspec.structs.replace(
        new,
        exec_type=TRADE,
        trade_id=f"{order.client_order_id}-0.5",
        last_quantity=D("0.5"),
        last_price=D(101),
        fee=D("0.0505"),
        fee_currency="USDT",
        liquidity=Liquidity.TAKER,
        filled_quantity=D("0.5"),
    )


def test_a_maker_pays_the_maker_fee() -> None:
    venue = quoted()
    venue.submit(SELL, 2, "100.5")
    venue.trade(BUY, "100.5", 2)
    assert venue.reports[-1].fee == D("0.0201")


def test_nothing_trades_at_a_quote_that_is_suspect() -> None:
    """A tick at ten times the price would be a profit that nobody made."""
    sane = quoted()
    sane.submit(SELL, 1, "100.5")
    sane.quote(200, 199, 1, 1)  # crossed: refused, and suspect until a good one comes
    sane.trade(BUY, "100.5", 1)
    assert [report.exec_type for report in sane.reports] == [NEW]
    sane.quote(100, 101, 1, 1)
    sane.trade(BUY, "100.5", 1)
    assert [report.exec_type for report in sane.reports] == [NEW, TRADE]


def test_trade_ids_are_unique_and_go_on_after_a_restart() -> None:
    venue = quoted()
    order = venue.submit(SELL, 3, "100.5")
    venue.trade(BUY, "100.5", 1)
    venue.trade(BUY, "100.5", "0.50")
    again = Venue()
    again.executor.restore(
        [
            msgspec.structs.replace(
                order, status=ExecutionStatus.PARTIALLY_FILLED, filled_quantity=D("1.5"), filled_notional=D(1)
            )
        ]
    )
    again.quote(101, 102, 9, 9)
    ids = [report.trade_id for report in [*venue.reports[1:], *again.reports]]
    name = order.client_order_id
    assert ids == [f"{name}-1", f"{name}-1.50", f"{name}-3.0"]


def test_without_market_data_an_order_is_rejected() -> None:
    venue = Venue()
    venue.submit(BUY, 1, 100)
    assert venue.reports[0].exec_type is REJECTED
    assert venue.reports[0].reason == "no market data for BTC/USDT yet: the paper venue cannot work the order"


@pytest.mark.parametrize(("price", "kind"), [(101, OrderType.LIMIT), (102, OrderType.LIMIT), (None, OrderType.MARKET)])
def test_post_only_rather_fails_than_takes(price: int | None, kind: OrderType) -> None:
    venue = quoted()
    venue.submit(BUY, 1, price, order_type=kind, post_only=True)
    assert [report.exec_type for report in venue.reports] == [REJECTED]
    assert venue.reports[0].reason == "post-only order would take liquidity"


def test_post_only_rests() -> None:
    venue = quoted()
    venue.submit(BUY, 1, "100.5", post_only=True)
    venue.trade(SELL, "100.5", 1)
    assert venue.said() == [NEW, TRADE]


def test_a_repeated_order_is_acknowledged_and_not_doubled() -> None:
    venue = quoted()
    venue.submit(BUY, 1, "100.5", client_order_id="A")
    venue.submit(BUY, 1, "100.5", client_order_id="A")
    venue.trade(SELL, "100.5", 5)
    assert venue.said() == [NEW, NEW, TRADE]


def test_cancels() -> None:
    venue = quoted()
    order = venue.submit(BUY, 2, "100.5")
    venue.trade(SELL, "100.5", 1)
    venue.cancel(order, "changed my mind")
    assert venue.reports[-1].reason == "changed my mind"
    venue.cancel(order)
    venue.trade(SELL, "100.5", 9)
    assert [report.filled_quantity for report in venue.reports] == [None, 1, 1, None]
    assert venue.said() == [NEW, TRADE, CANCELED, CANCEL_REJECTED]


def test_cancel_of_an_unknown_order() -> None:
    venue = quoted()
    venue.cancel(venue.order(BUY, 1, 100))
    assert venue.reports[0].reason == "the paper venue has no such open order"


def test_reports_carry_market_time() -> None:
    venue = quoted()
    venue.market.follow_recording()
    recorded = datetime(2024, 8, 8, tzinfo=UTC)
    order = venue.submit(SELL, 1, "100.5")
    venue.trade(BUY, "100.5", 1, at=recorded)
    assert venue.reports[-1].ts_event == recorded
    assert venue.reports[-1].client_order_id == order.client_order_id


def test_an_unknown_fill_model_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="queue, instant"):
        Venue(fill_model="hopeful")


# Time


@pytest.mark.asyncio
async def test_latency_delays_the_order_and_the_cancel() -> None:
    venue = quoted(latency_ms=250)
    async with running(venue):
        venue.submit(BUY, 1)
        assert venue.said() == [NEW]
        await venue.clock.advance(0.125)
        assert venue.said() == []
        await venue.clock.advance(0.125)
        assert venue.said() == [TRADE]
        order = venue.submit(BUY, 1, "100.5")
        await venue.clock.advance(0.25)
        venue.cancel(order)
        await venue.clock.advance(0.125)
        venue.trade(SELL, "100.5", "0.25")
        await venue.clock.advance(0.125)
        venue.trade(SELL, "100.5", "0.25")
        assert venue.said() == [NEW, TRADE, CANCELED]


@pytest.mark.asyncio
async def test_an_order_on_its_way_is_not_in_the_book() -> None:
    venue = quoted(latency_ms=100)
    async with running(venue):
        order = venue.submit(BUY, 1, "100.5", post_only=True)
        venue.trade(SELL, "100.5", 1)
        venue.cancel(order)
        venue.quote(100, "100.5")
        await venue.clock.advance(0.1)
        assert venue.said() == [NEW, REJECTED, CANCEL_REJECTED]


@pytest.mark.asyncio
async def test_latency_is_also_looked_at_on_each_update() -> None:
    venue = quoted(latency_ms=100)
    venue.submit(BUY, 1)
    await venue.clock.advance(1)
    assert venue.said() == [NEW]
    venue.trade(SELL, "100.5", 1)
    assert venue.said() == [TRADE]


@pytest.mark.asyncio
@pytest.mark.parametrize("tif", [TimeInForce.GTD, TimeInForce.DAY])
async def test_a_timed_order_expires_at_its_moment(tif: TimeInForce) -> None:
    venue = quoted()
    async with running(venue):
        end = venue.clock.now() + timedelta(hours=7)
        order = venue.submit(BUY, 1, 100, time_in_force=tif, expire_at=end)
        other = venue.submit(BUY, 1, 100, time_in_force=tif, expire_at=end - timedelta(hours=1))
        venue.cancel(other)
        venue.said()
        await venue.clock.advance(7 * 3600 - 0.001)
        assert venue.said() == []
        await venue.clock.advance(0.001)
        assert [report.client_order_id for report in venue.reports] == [order.client_order_id]
        assert venue.reports[0].reason == f"{tif} order reached its end at {end}"
        assert venue.said() == [EXPIRED]


def test_an_order_whose_end_has_passed_expires_at_once() -> None:
    venue = quoted()
    venue.submit(BUY, 1, 105, time_in_force=TimeInForce.GTD, expire_at=venue.clock.now())
    assert venue.said() == [NEW, EXPIRED]


@pytest.mark.asyncio
async def test_an_earlier_end_wakes_the_sleeper() -> None:
    venue = quoted()
    async with running(venue):
        now = venue.clock.now()
        for seconds in (50, 10, 30):
            end = now + timedelta(seconds=seconds)
            venue.submit(BUY, 1, 100, time_in_force=TimeInForce.GTD, expire_at=end)
            await venue.clock.advance(0)
        venue.said()
        expired = []
        for _ in range(6):
            await venue.clock.advance(10)
            expired.append(len(venue.said()))
        assert expired == [1, 0, 1, 0, 1, 0]


def test_ended_orders_leave_no_pile_of_timers() -> None:
    venue = quoted()
    end = venue.clock.now() + timedelta(hours=1)
    for _ in range(5000):
        venue.cancel(venue.submit(BUY, 1, 100, time_in_force=TimeInForce.GTD, expire_at=end))
    assert len(venue.executor._timers._expiring) < 2000
    assert not venue.executor._open


# Restart


def test_restored_orders_join_the_back_of_the_queue_silently() -> None:
    venue = Venue()
    orders = [
        venue.order(BUY, 2, 100, status=ExecutionStatus.SUBMITTED),
        venue.order(BUY, 2, 100, status=ExecutionStatus.PENDING),
        venue.order(BUY, 2, 100, status=ExecutionStatus.CANCELLED),
    ]
    venue.executor.restore(orders)
    venue.quote(100, 101, 3, 3)
    assert venue.said() == []
    venue.trade(SELL, 100, 3)
    assert venue.said() == []
    venue.trade(SELL, 100, 9)
    assert venue.fills() == [(100, 2)]
    venue.cancel(orders[1])
    assert venue.reports[-1].exec_type is CANCEL_REJECTED


@pytest.mark.asyncio
async def test_what_cannot_rest_expires_when_time_runs_again() -> None:
    venue = quoted()
    lost = venue.order(BUY, 1, status=ExecutionStatus.SUBMITTED)
    crossing = venue.order(BUY, "0.5", 102, status=ExecutionStatus.SUBMITTED)
    venue.executor.restore([lost, crossing])
    assert venue.reports == []
    async with running(venue):
        assert venue.fills() == [(102, D("0.5"))]
        assert venue.reports[-1].client_order_id == lost.client_order_id
        assert venue.reports[-1].reason == "market order was not worked before the paper venue stopped"


@pytest.mark.asyncio
async def test_a_restored_order_still_expires() -> None:
    venue = Venue()
    end = venue.clock.now() + timedelta(hours=1)
    day = venue.order(BUY, 1, 90, status=ExecutionStatus.SUBMITTED, time_in_force=TimeInForce.DAY, expire_at=end)
    venue.executor.restore([day])
    async with running(venue):
        await venue.clock.advance(3600)
        assert venue.said() == [EXPIRED]


def test_other_symbols_do_not_matter() -> None:
    venue = quoted()
    venue.submit(SELL, 1, "100.5")
    venue.submit(SELL, 1, 1, symbol="ETH/USDT")
    assert venue.reports[-1].exec_type is REJECTED
    venue.trade(BUY, "100.5", 1)
    assert [report.exec_type for report in venue.reports] == [NEW, REJECTED, TRADE]


def test_one_report_per_level() -> None:
    venue = Venue()
    venue.depth(levels((100, 1)), levels((101, 1), (102, 1)), snapshot=True)
    order = venue.submit(BUY, 2, symbol=SYMBOL)
    assert venue.fills() == [(101, 1), (102, 1)]
    assert [report.trade_id for report in venue.reports[1:]] == [f"{order.client_order_id}-{n}" for n in (1, 2)]


def test_an_order_with_nothing_left_to_trade_is_no_ghost_in_the_book_after_a_restart() -> None:
    venue = Venue()
    venue.quote(100, 102)
    traded = venue.order(
        BUY,
        1,
        101,
        status=ExecutionStatus.PARTIALLY_FILLED,
        filled_quantity=Decimal(1),
        pending_replaces=(Replacement("r", Decimal(2), Decimal(101)),),
    )
    venue.executor.restore([traded])
    seller = venue.submit(SELL, 1, 101)
    assert ExecType.EXPIRED not in venue.said()
    at_once(venue.executor.look_up([traded, seller]))
    assert venue.said() == [ExecType.NOT_FOUND, ExecType.ORDER_STATUS]
