"""Price-time priority against plain sorting."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OrderSide
from router.executors.resting import ANY_PRICE, OpenOrder, RestingSide, rank
from tests.executors.venue import BUY, SELL, Venue

VENUE = Venue()


def working(side: OrderSide, price: int) -> OpenOrder:
    return OpenOrder(VENUE.order(side, 1, price))


@pytest.mark.parametrize(("side", "expected"), [(BUY, [3, 2, 2, 1]), (SELL, [1, 2, 2, 3])])
def test_the_best_price_trades_next_then_the_first_come(side: OrderSide, expected: list[int]) -> None:
    resting = RestingSide()
    added = [working(side, price) for price in (2, 1, 3, 2)]
    for order in added:
        resting.add(order)
    gone = []
    while (order_next := resting.next) is not None:
        gone.append(order_next)
        assert resting.remove(order_next)
    assert [order.price for order in gone] == expected
    twins = [order for order in gone if order.price == 2]
    assert twins == [added[0], added[3]]


def test_an_order_that_never_rested_is_not_removed() -> None:
    resting = RestingSide()
    assert not resting.remove(working(BUY, 1))
    resting.add(working(BUY, 1))
    assert not resting.remove(working(BUY, 1))
    assert len(resting) == 1


def test_a_market_order_takes_any_price_and_cannot_rest() -> None:
    order = OpenOrder(VENUE.order(BUY, 1))
    assert order.rank == ANY_PRICE
    with pytest.raises(AssertionError):
        RestingSide().add(order)


def test_the_decision_price_of_a_market_order_is_no_limit() -> None:
    assert OpenOrder(VENUE.order(BUY, 1, 100, order_type="market")).rank == ANY_PRICE


@settings(deadline=None)
@given(st.sampled_from(OrderSide), st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=40))
def test_it_equals_plain_sorting(side: OrderSide, steps: list[tuple[int, bool]]) -> None:
    resting, plain = RestingSide(), list[OpenOrder]()
    for price, is_removal in steps:
        if is_removal and plain:
            order = plain.pop(price % len(plain))
            assert resting.remove(order)
        else:
            order = working(side, price)
            resting.add(order)
            plain.append(order)
        plain.sort(key=lambda each: (-each.rank, each.sequence))
        assert resting.next is (plain[0] if plain else None)
        for low in range(6):
            at = rank(side, Decimal(low))
            here = [each for each in plain if each.rank == at]
            assert resting.newest_at(at) is (here[-1] if here else None)
            above = {each.rank: each for each in plain if at < each.rank <= at + 2}
            assert set(resting.newest_per_price(above=at, up_to=at + 2)) == set(above.values())
