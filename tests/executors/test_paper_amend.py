"""Replacements and look-ups at a simulated venue, and that own orders never trade with each other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from router.domain.enums import ExecType, ExecutionStatus, Liquidity, OrderSide, TimeInForce
from router.domain.order import Order
from tests.executors.test_paper import quoted, running
from tests.executors.venue import BUY, SELL, Venue, at_once, levels

D = Decimal
NEW, TRADE, EXPIRED, REJECTED = ExecType.NEW, ExecType.TRADE, ExecType.EXPIRED, ExecType.REJECTED
REPLACED, REPLACE_REJECTED = ExecType.REPLACED, ExecType.REPLACE_REJECTED
ORDER_STATUS, NOT_FOUND = ExecType.ORDER_STATUS, ExecType.NOT_FOUND


def status(venue: Venue, *orders: Order) -> list[tuple[object, ...]]:
    """Look the orders up; return what was said of each."""
    venue.reports.clear()
    at_once(venue.executor.look_up(orders))
    said: list[tuple[object, ...]] = [
        (
            each.client_order_id,
            each.exec_type,
            each.order_status,
            each.filled_quantity,
            each.leaves_quantity,
            each.quantity,
            each.price,
            each.venue_order_id,
        )
        for each in venue.reports
    ]
    venue.reports.clear()
    return said


# Replacements


def test_a_replacement_is_answered_with_the_new_terms() -> None:
    venue = quoted()
    order = venue.submit(BUY, 2, 99)
    venue.amend(order, 3, 98, "R7")
    report = venue.reports[-1]
    assert (report.exec_type, report.request_id) == (REPLACED, "R7")
    assert (report.quantity, report.price) == (D(3), D(98))
    assert report.venue_order_id == "P" + order.client_order_id
    assert status(venue, order) == [
        (order.client_order_id, ORDER_STATUS, ExecutionStatus.SUBMITTED, 0, 3, 3, 98, "P" + order.client_order_id)
    ]


@pytest.mark.parametrize(
    ("quantity", "price", "keeps"), [(1, None, True), (2, None, True), (3, None, False), (2, "100.00", True)]
)
def test_less_keeps_its_place_and_more_joins_anew(quantity: int, price: str | None, *, keeps: bool) -> None:
    venue = quoted()
    order = venue.submit(BUY, 2, 100)
    venue.quote(100, 101, 5)
    venue.amend(order, quantity, price)
    venue.trade(SELL, 100, 3)
    assert sum(D(str(got)) for _, got in venue.fills()) == (min(quantity, 2) if keeps else 0)
    venue.trade(SELL, 100, 9)
    assert sum(D(str(got)) for _, got in venue.fills()) == quantity


def test_a_new_price_joins_the_back_even_when_it_comes_back() -> None:
    venue = quoted()
    order = venue.submit(BUY, 1, 100)
    venue.quote(100, 101, 4)
    venue.amend(order, 1, 99)
    venue.amend(order, 1, 100)
    venue.trade(SELL, 100, 4)
    assert venue.fills() == []
    venue.trade(SELL, 100, 1)
    assert venue.fills() == [(100, 1)]


def test_a_new_price_that_crosses_takes() -> None:
    venue = quoted()
    order = venue.submit(BUY, 3, 99)
    venue.amend(order, 3, 101)
    assert venue.fills() == [(101, 1)]
    assert venue.reports[-1].liquidity is Liquidity.TAKER
    assert venue.said() == [NEW, REPLACED, TRADE]
    venue.trade(SELL, 101, 1)
    assert venue.fills() == [(101, 1)], "the rest waits at its new price"


@pytest.mark.parametrize("own", [False, True])
def test_post_only_keeps_its_old_terms_rather_than_take(*, own: bool) -> None:
    venue = quoted()
    order = venue.submit(BUY, 2, 100, post_only=True)
    if own:
        venue.submit(SELL, 1, "100.5")
    venue.said()
    venue.amend(order, 2, "100.5" if own else 101)
    assert venue.reports[-1].reason == "post-only order would take liquidity on its new terms"
    assert venue.reports[-1].request_id == "R1"
    assert venue.said() == [REPLACE_REJECTED]
    venue.trade(SELL, 100, 2)
    assert venue.fills() == [(100, 1)], "its place in the queue is the old one"


@pytest.mark.parametrize("quantity", ["0.5", "1.5"])
def test_no_more_than_has_traded_completes_the_order(quantity: str) -> None:
    venue = quoted()
    order = venue.submit(BUY, 3, "100.5")
    venue.trade(SELL, "100.5", "1.5")
    venue.amend(order, quantity)
    assert (venue.reports[-1].exec_type, venue.reports[-1].quantity) == (REPLACED, D("1.5"))
    venue.trade(SELL, "100.5", 9)
    venue.amend(order, 5)
    assert venue.said() == [NEW, TRADE, REPLACED, REPLACE_REJECTED]
    assert status(venue, order)[0][1] is NOT_FOUND


def test_a_smaller_quantity_counts_what_has_traded() -> None:
    venue = quoted()
    order = venue.submit(BUY, 3, "100.5")
    venue.trade(SELL, "100.5", 1)
    venue.amend(order, 2)
    venue.trade(SELL, "100.5", 9)
    assert venue.fills() == [(D("100.5"), 1), (D("100.5"), 1)]
    assert venue.reports[-1].filled_quantity == 2


def test_an_unknown_order_is_not_replaced() -> None:
    venue = quoted()
    venue.amend(venue.order(BUY, 1, 100), 2, 99, "R3")
    assert (venue.reports[0].exec_type, venue.reports[0].request_id) == (REPLACE_REJECTED, "R3")
    assert venue.reports[0].reason == "the paper venue has no such open order"


def test_a_replaced_order_still_expires() -> None:
    venue = quoted()
    end = venue.clock.now() + timedelta(hours=1)
    order = venue.submit(BUY, 1, 100, time_in_force=TimeInForce.GTD, expire_at=end)
    venue.amend(order, 2, 99)
    venue.clock.jump(3600)
    venue.amend(order, 3)
    assert venue.said() == [NEW, REPLACED, EXPIRED, REPLACE_REJECTED]


@pytest.mark.asyncio
async def test_latency_delays_a_replacement_and_a_fill_may_overtake_it() -> None:
    venue = quoted(latency_ms=250)
    assert venue.executor.settle_s == 0.25
    async with running(venue):
        order = venue.submit(BUY, 2, "100.5")
        await venue.clock.advance(0.25)
        venue.amend(order, 5, "100.25")
        await venue.clock.advance(0.125)
        venue.trade(SELL, "100.5", 1)
        await venue.clock.advance(0.125)
        venue.trade(SELL, "100.5", 9)
        assert venue.said() == [NEW, TRADE, REPLACED]
        venue.amend(order, 4, "100.5", "R2")
        venue.trade(SELL, "100.25", 9)
        await venue.clock.advance(0.25)
        assert venue.reports[-1].reason == "the order ended before the replacement arrived"
        assert venue.said() == [TRADE, REPLACE_REJECTED]


# Look-ups


def test_a_look_up_answers_for_each_order() -> None:
    venue = quoted()
    assert (venue.executor.look_up_batch, venue.executor.look_ups_per_s, venue.executor.settle_s) == (100, None, 0)
    fresh, partly, gone = (venue.submit(BUY, 2, price) for price in (99, "100.5", "100.25"))
    venue.trade(SELL, "100.5", "0.5")
    venue.cancel(gone)
    names = [order.client_order_id for order in (fresh, partly, gone)]
    assert status(venue, fresh, partly, gone) == [
        (names[0], ORDER_STATUS, ExecutionStatus.SUBMITTED, 0, 2, 2, 99, "P" + names[0]),
        (names[1], ORDER_STATUS, ExecutionStatus.PARTIALLY_FILLED, D("0.5"), D("1.5"), 2, D("100.5"), "P" + names[1]),
        (names[2], NOT_FOUND, None, None, None, None, None, None),
    ]


def test_an_order_on_its_way_is_found() -> None:
    venue = quoted(latency_ms=100)
    order = venue.submit(BUY, 2)
    assert status(venue, order)[0][1:4] == (ORDER_STATUS, ExecutionStatus.SUBMITTED, 0)


# Restart


def test_a_restored_order_can_be_replaced_looked_up_and_cancelled() -> None:
    venue = quoted()
    order = venue.order(BUY, 3, 100, status=ExecutionStatus.PARTIALLY_FILLED, filled_quantity=D(1))
    venue.executor.restore([order])
    venue.amend(order, 2, "100.5")
    assert status(venue, order)[0][1:7] == (ORDER_STATUS, ExecutionStatus.PARTIALLY_FILLED, 1, 1, 2, D("100.5"))
    venue.cancel(order)
    assert (venue.reports[-1].exec_type, venue.reports[-1].filled_quantity) == (ExecType.CANCELED, D(1))


# Own orders never trade with each other


@pytest.mark.parametrize("fill_model", ["queue", "instant"])
@pytest.mark.parametrize("side", OrderSide)
def test_what_would_meet_an_own_order_expires(fill_model: str, side: OrderSide) -> None:
    venue = quoted(fill_model=fill_model)
    other, price = (SELL, "100.75") if side is BUY else (BUY, "100.25")
    own = venue.submit(other, 1, price)
    late = venue.submit(side, 2, price)
    assert venue.fills() == []
    assert venue.reports[-1].reason == (
        f"self-trade prevention: remainder 2 expired: next it would have traded with the own resting order "
        f"{own.client_order_id} at {price}"
    )
    assert venue.reports[-1].client_order_id == late.client_order_id
    assert venue.said() == [NEW, NEW, EXPIRED]
    assert status(venue, own)[0][1] is ORDER_STATUS


def test_better_levels_are_taken_first() -> None:
    venue = Venue()
    venue.depth(levels((100, 2)), levels((101, 1), (102, 1), (103, 5)), snapshot=True)
    venue.submit(SELL, 1, 103)
    venue.submit(BUY, 4)
    assert venue.fills() == [(101, 1), (102, 1)]
    assert venue.reports[-1].filled_quantity == 2
    assert venue.said() == [NEW, NEW, TRADE, TRADE, EXPIRED]


@pytest.mark.parametrize(("quantity", "expected"), [(2, [NEW, TRADE, TRADE]), (3, [NEW, EXPIRED])])
def test_fok_takes_better_levels_or_nothing(quantity: int, expected: list[ExecType]) -> None:
    venue = Venue()
    venue.depth(levels((100, 2)), levels((101, 1), (102, 1), (103, 5)), snapshot=True)
    venue.submit(SELL, 1, 103)
    venue.said()
    venue.submit(BUY, quantity, 110, time_in_force=TimeInForce.FOK)
    if quantity == 3:
        assert venue.reports[-1].reason == (
            "self-trade prevention: FOK order of 3 expired: next it would have traded with the own resting order "
            "O1 at 103"
        )
    assert venue.said() == expected


def test_an_own_order_out_of_reach_is_no_hindrance() -> None:
    venue = quoted()
    venue.submit(SELL, 1, 103)
    venue.submit(BUY, 2, 102)
    venue.trade(SELL, 102, 1)
    assert venue.fills() == [(101, 1), (102, 1)]


def test_an_amended_order_does_not_meet_an_own_one() -> None:
    venue = quoted()
    venue.submit(SELL, 1, "100.5")
    order = venue.submit(BUY, 2, 100)
    venue.amend(order, 2, 101)
    assert venue.fills() == []
    assert venue.said() == [NEW, NEW, REPLACED, EXPIRED]


def test_post_only_does_not_meet_an_own_one() -> None:
    venue = quoted()
    venue.submit(SELL, 1, "100.5")
    venue.submit(BUY, 1, "100.75", post_only=True)
    assert venue.said() == [NEW, REJECTED]


@pytest.mark.asyncio
async def test_an_order_meets_the_own_one_that_arrived_before_it() -> None:
    venue = quoted(latency_ms=100)
    async with running(venue):
        venue.submit(SELL, 1, "100.5")
        venue.submit(BUY, 1, "100.5")
        assert venue.said() == [NEW, NEW]
        await venue.clock.advance(0.1)
        assert venue.said() == [EXPIRED]


@pytest.mark.parametrize("move", [lambda venue: venue.quote(101, 102, 9, 9), lambda venue: venue.trade(BUY, 101, 9)])
def test_the_market_may_fill_one_of_two_own_orders(move: Callable[[Venue], None]) -> None:
    venue = quoted()
    venue.submit(BUY, 1, "100.25")
    sell = venue.submit(SELL, 1, "100.75")
    move(venue)
    assert venue.fills() == venue.fills(sell) == [(D("100.75"), 1)]
