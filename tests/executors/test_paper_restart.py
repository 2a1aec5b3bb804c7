"""Through a whole pipeline and its journal: the paper book, its open orders and its account survive a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from router import ExecutionPipeline
from router.clock import VirtualClock
from router.domain.enums import ExecutionStatus, OrderSide
from router.domain.market import Quote, Trade
from router.domain.order import Order
from router.executors.fill_model import PRINTS_LATE
from tests.pipelines import resting, settings

D = Decimal
NOON = datetime(2025, 12, 9, 12, tzinfo=UTC)


class Day:
    """One day at one venue, over several runs."""

    def __init__(self, home: Path) -> None:
        self._config = settings(home, {"paper.fill_model": "queue", "paper.maker_fee_bps": "1"})
        self.clock = VirtualClock(NOON)

    def pipeline(self) -> ExecutionPipeline:
        return ExecutionPipeline("paper", self._config, clock=self.clock)

    def trade(self, pipeline: ExecutionPipeline, price: str, quantity: str) -> None:
        """Let somebody sell, later than everything before."""
        self.clock.jump(PRINTS_LATE.total_seconds())
        now = self.clock.now()
        pipeline.market.apply(Trade("BTC/USD", OrderSide.SELL, D(price), D(quantity), "T", now))

    def quote(self, pipeline: ExecutionPipeline, bid: str, size: str) -> None:
        self.clock.jump(PRINTS_LATE.total_seconds())
        now = self.clock.now()
        quote = Quote("BTC/USD", D(bid), D("50000.5"), D(size), D(1), now, self.clock.monotonic())
        pipeline.market.pin(quote)


@pytest.mark.asyncio
async def test_book_orders_and_account_survive_and_can_be_replaced_filled_and_cancelled(tmp_path: Path) -> None:
    day = Day(tmp_path)
    async with day.pipeline() as first:
        partly, waiting, unwanted = [
            (await first.submit_order(resting(quantity=quantity, price=price))).client_order_id or ""
            for quantity, price in (("0.4", "50000"), ("0.1", "49000"), ("0.2", "48000"))
        ]
        day.trade(first, "50000", "0.1")
        await first.idle()
        assert (await _settled(first, partly)).filled_quantity == D("0.1")
    day.clock.jump(3600)

    async with day.pipeline() as second:
        orders = {order.client_order_id: order for order in second.open_orders()}
        assert orders.keys() == {partly, waiting, unwanted}
        assert orders[partly].leaves_quantity == D("0.3")
        assert second.positions()["BTC/USD"].quantity == D("0.1")
        assert second.fees() == {"USD": D("0.5")}
        day.trade(second, "50000", "0.2")
        assert (await _settled(second, partly)).filled_quantity == D("0.3")
        amended = await second.amend_order(waiting, quantity="0.15")
        assert (amended.status, amended.leaves_quantity) == (ExecutionStatus.SUCCESS, D("0.15"))
        await second.cancel_order(unwanted)
        assert (await second.wait_for(unwanted, 5)).status is ExecutionStatus.CANCELLED

    async with day.pipeline() as third:
        assert {order.client_order_id for order in third.open_orders()} == {partly, waiting}
        assert third.positions()["BTC/USD"].quantity == D("0.3")
        day.quote(third, "49000", "2")
        day.trade(third, "49000", "0.1")
        assert (await _settled(third, partly)).status is ExecutionStatus.FILLED
        day.trade(third, "49000", "1.5")
        assert (await _settled(third, waiting)).filled_quantity == 0, "at the back of the 2 that showed"
        day.trade(third, "49000", "0.55")
        assert (await _settled(third, waiting)).filled_quantity == D("0.05")
        day.trade(third, "49000", "1")
        assert (await _settled(third, waiting)).status is ExecutionStatus.FILLED
    async with day.pipeline() as last:
        assert last.open_orders() == []
        assert last.positions()["BTC/USD"].quantity == D("0.55")


async def _settled(pipeline: ExecutionPipeline, client_order_id: str) -> Order:
    await pipeline._journal.reached(pipeline._journal.next_seq - 1)
    order = pipeline.order(client_order_id)
    assert order is not None
    return order
