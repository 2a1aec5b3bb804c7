"""P04: no run of orders of one strategy, symbol and side that walks the price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.enums import OrderSide, OrderType
from router.domain.order import Order
from router.middleware import Submission
from router.safety.price_walk import PriceWalk
from router.settings import Safety
from tests.factories import BUY, PROPERTY, SELL, D, order, quote, submission
from tests.safety.driven import Driven

LIMITS = Safety(price_walk_pct=D(10), price_walk_window_s=60.0)


def asked(price: str | Decimal, side: OrderSide = BUY, amends: Order | None = None, **fields: Any) -> Submission:
    values = {"order_type": OrderType.LIMIT, "price": str(price), "side": side, "strategy_key": "m", **fields}
    taken = quote("1", "2") if side is BUY else quote("1000000", "1000001")  # whatever the price, it takes
    return submission(order(**values), amends=amends, reference=taken)


class Walk(Driven[PriceWalk]):
    def __init__(self, limits: Safety = LIMITS) -> None:
        super().__init__(PriceWalk, limits)


def test_a_price_far_from_the_first_of_the_run_is_refused_in_both_directions() -> None:
    walk = Walk()
    assert walk.send(asked("100")) is None
    assert walk.send(asked("110")) is None
    assert walk.send(asked("90")) is None
    assert walk.send(asked("89.99")) is not None
    assert walk.send(asked("110.01")) == (
        "Price 110.01 is 10.01 % from 100, where this strategy's orders in the symbol stood within the last 60 s, "
        "more than safety.price_walk_pct = 10: check what the strategy follows."
    )


def test_small_steps_are_measured_from_where_they_began_and_the_window_moves_on() -> None:
    walk = Walk()
    assert walk.send(asked("100")) is None
    for price in ("104", "108"):
        walk.clock.tick(20.0)
        assert walk.send(asked(price)) is None
    walk.clock.tick(19.5)
    assert walk.send(asked("112")) is not None, "the first order is 59.5 s old"
    walk.clock.tick(0.5)
    assert walk.send(asked("112")) is None, "104 is the oldest now"
    assert walk.send(asked("114.41")) is not None


def test_orders_close_together_count_as_one_by_the_first() -> None:
    walk = Walk()
    assert walk.send(asked("100")) is None
    walk.clock.tick(0.5)
    assert walk.send(asked("105")) is None
    walk.clock.tick(59.5)
    assert walk.send(asked("150")) is None, "the one of 0.5 s later left with the first"


@pytest.mark.parametrize(
    "other", [{"strategy_key": "n"}, {"strategy_key": None}, {"symbol": "ETH/USD"}, {"side": SELL}]
)
def test_other_strategies_symbols_and_sides_are_apart(other: dict[str, Any]) -> None:
    walk = Walk()
    assert walk.send(asked("100")) is None
    assert walk.send(asked("200", **other)) is None
    assert walk.send(asked("200")) is not None


def test_environments_are_apart() -> None:
    walk = Walk()
    walk.send(asked("100"))
    elsewhere = asked("200")
    elsewhere.environment = "shadow"
    assert walk.send(elsewhere) is None


def test_a_market_order_counts_with_the_touch_it_would_take() -> None:
    walk = Walk()
    assert walk.send(submission(order(), reference=quote("99", "101"))) is None
    assert walk.send(submission(order(), reference=quote("109", "111"))) is None
    assert walk.send(submission(order(), reference=quote("110", "112"))) is not None


@pytest.mark.parametrize(("side", "first"), [(BUY, "101"), (SELL, "99")])
def test_a_ladder_of_orders_that_only_rest_is_no_walk(side: OrderSide, first: str) -> None:
    walk = Walk()
    market = quote("99", "101")
    for away in range(1, 60):
        price = 101 - away if side is BUY else 99 + away
        resting = order(order_type=OrderType.LIMIT, price=str(price), side=side, strategy_key="m")
        assert walk.send(submission(resting, reference=market)) is None
    taking = order(order_type=OrderType.LIMIT, price=first, side=side, strategy_key="m")
    assert walk.send(submission(taking, reference=market)) is None


def test_an_amendment_counts_by_its_new_price_and_not_at_all_without_one() -> None:
    walk = Walk()
    working = asked("200").order
    assert walk.send(asked("200", amends=working, quantity="2")) is None
    assert walk.send(asked("100", amends=working)) is None
    assert walk.send(asked("120", amends=working)) is not None
    assert walk.send(asked("200", amends=working, quantity="2")) is None


def test_an_order_that_no_executor_got_begins_no_run() -> None:
    walk = Walk()
    refused_later = asked("100")
    walk.send(refused_later)
    walk.control.undone(refused_later, LIMITS)
    assert walk.send(asked("200")) is None
    assert walk.send(asked("100")) is not None


def test_a_refused_order_leaves_no_trace() -> None:
    walk = Walk()
    walk.send(asked("100"))
    assert walk.send(asked("150")) is not None
    assert walk.send(asked("109")) is None


def test_switched_off_it_says_so_and_remembers_nothing() -> None:
    off = Safety(price_walk_pct=None)
    walk = Walk(off)
    assert walk.send(asked("100")) is None
    assert walk.send(asked("200")) is None
    assert len(walk.control._prices) == 0
    assert (walk.control.limit(off), walk.control.limit(LIMITS)) == ("off", "10 % in 60 s")
    assert walk.control.id.startswith("P04_")
    assert walk.control.hard


def test_however_many_orders_come_little_is_kept() -> None:
    walk = Walk()
    for _ in range(2000):
        walk.send(asked("100"))
        walk.clock.tick(0.1)
    window = walk.control._prices.find(("paper", "m", "BTC/USD", BUY), 60.0, walk.clock.monotonic())
    assert window is not None
    assert len(window) <= 101


@PROPERTY
@given(prices=st.lists(st.decimals(min_value=50, max_value=150, places=2), min_size=1, max_size=30))
def test_of_a_run_no_two_prices_that_passed_are_further_from_its_first_than_the_limit(prices: list[Decimal]) -> None:
    walk = Walk()
    passed = [price for price in prices if walk.send(asked(price)) is None]
    first = prices[0]
    assert passed == [price for price in prices if abs(price - first) <= first / 10]
