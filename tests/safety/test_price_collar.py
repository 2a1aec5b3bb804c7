"""P03 and P22: no price further from the reference than the collar, whatever the order's type or moment."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clock import VirtualClock
from router.domain.enums import OrderSide, OrderType, TimeInForce
from router.domain.order import Order
from router.market.book import DepthUpdate
from router.market.quotes import MarketData
from router.safety.price_collar import PriceCollar
from router.settings import Safety
from tests.factories import BUY, NOW, PROPERTY, SELL, D, order, quote, submission

LIMITS = Safety(price_collar_pct=D(5))


def limit_order(price: str, side: OrderSide = BUY, **fields: object) -> Order:
    return order(order_type=OrderType.LIMIT, price=price, side=side, **fields)


def objection(asked: Order, *, limits: Safety = LIMITS, amends: Order | None = None) -> str | None:
    """Ask with a market of 99 to 101, of no known depth."""
    control = PriceCollar(MarketData(VirtualClock(NOW)))
    return control.objection(submission(asked, amends=amends, reference=quote("99", "101")), limits)


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("price", ["95", "100", "105"])
def test_a_price_inside_the_collar_or_on_its_edge_passes(price: str, side: OrderSide) -> None:
    assert objection(limit_order(price, side)) is None


@pytest.mark.parametrize(("price", "side"), [("105.01", BUY), ("1000000", BUY), ("94.99", SELL), ("0.01", SELL)])
def test_a_price_through_the_market_and_beyond_the_collar_is_refused(price: str, side: OrderSide) -> None:
    assert objection(limit_order(price, side)) is not None


@pytest.mark.parametrize(("price", "side"), [("0.01", BUY), ("94.99", BUY), ("105.01", SELL), ("1000000", SELL)])
def test_what_can_only_trade_at_a_better_price_than_the_markets_may_rest_anywhere(price: str, side: OrderSide) -> None:
    assert objection(limit_order(price, side)) is None


def test_the_objection_says_how_far_from_what_and_what_to_check() -> None:
    assert objection(limit_order("110")) == (
        "Price 110 is 10.00 % from the reference price 100 of BTC/USD, more than safety.price_collar_pct = 5. "
        "Check the price and the market data."
    )


@pytest.mark.parametrize("time_in_force", list(TimeInForce))
@pytest.mark.parametrize("post_only", [False, True])
def test_no_time_in_force_and_no_flag_gets_around_it(time_in_force: TimeInForce, post_only: bool) -> None:
    asked = limit_order("110", time_in_force=time_in_force, expire_at=NOW, post_only=post_only, reduce_only=True)
    assert objection(asked) is not None


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_market_order_is_judged_by_the_touch(side: OrderSide) -> None:
    assert objection(order(side=side)) is None
    refused = objection(order(side=side), limits=Safety(price_collar_pct=D("0.5")))
    assert refused is not None
    assert refused.startswith(f"The touch {101 if side is BUY else 99}, which this market order would take, is 1.00 %")


def test_the_decision_price_of_a_market_order_is_not_what_it_trades_at() -> None:
    assert objection(order(price="50")) is None


def test_an_amendment_to_a_price_beyond_the_collar_is_refused() -> None:
    working = limit_order("100")
    assert objection(limit_order("104"), amends=working) is None
    assert objection(limit_order("106"), amends=working) is not None
    assert objection(limit_order("106", quantity="0.5"), amends=working) is not None


def test_an_order_that_the_market_has_left_can_still_be_made_smaller_but_not_larger() -> None:
    working = limit_order("120")
    assert objection(limit_order("120", quantity="0.5"), amends=working) is None
    assert objection(limit_order("120", quantity="2"), amends=working) is not None


def test_switched_off_it_says_so_and_lets_everything_pass() -> None:
    off = Safety(price_collar_pct=None)
    assert objection(limit_order("1"), limits=off) is None
    control = PriceCollar(MarketData(VirtualClock(NOW)))
    assert (control.limit(off), control.limit(LIMITS)) == ("off", "5 % above (to sell: below) the reference price")
    assert control.id.startswith("P03_")
    assert control.hard


def deep(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> MarketData:
    """Return a market whose book shows these levels."""
    book = MarketData(VirtualClock(NOW))
    levels = [[(D(price), D(size)) for price, size in side] for side in (bids, asks)]
    book.apply(
        DepthUpdate(symbol="BTC/USD", snapshot=True, first_id=1, last_id=1, prev_id=None,
                    bids=levels[0], asks=levels[1], ts_event=NOW)
    )  # fmt: skip
    return book


DEEP = deep([("99", "1"), ("96", "1"), ("90", "5")], [("101", "1"), ("104", "1"), ("110", "5")])


def in_depth(asked: Order) -> str | None:
    return PriceCollar(DEEP).objection(submission(asked, reference=DEEP.quote("BTC/USD")), LIMITS)


@pytest.mark.parametrize(("side", "price"), [(BUY, "110"), (SELL, "90")])
def test_a_market_order_is_judged_by_the_worst_price_its_quantity_would_reach(side: OrderSide, price: str) -> None:
    assert in_depth(order(side=side, quantity="1")) is None
    assert in_depth(order(side=side, quantity="2")) is None
    refused = in_depth(order(side=side, quantity="2.0001"))
    assert refused is not None
    assert refused.startswith(f"2.0001 of BTC/USD would reach {price}, which is 10.00 % from the reference price 100 ")
    assert refused.endswith("Send less, or a limit order.")


def test_a_limit_order_may_be_larger_than_the_book_for_its_price_holds_it() -> None:
    assert in_depth(limit_order("104", quantity="1000")) is None


def test_a_market_order_larger_than_the_book_is_refused_for_nobody_knows_how_far_it_reaches() -> None:
    thin = deep([("99", "1")], [("101", "1"), ("102", "1")])
    control = PriceCollar(thin)
    refused = control.objection(submission(order(quantity="3"), reference=thin.quote("BTC/USD")), LIMITS)
    assert refused is not None
    assert refused.startswith("The book of BTC/USD shows 2 of the 3 asked for; ")


@PROPERTY
@given(
    price=st.decimals(min_value=1, max_value=300, places=2),
    bid=st.decimals(min_value=50, max_value=150, places=2),
    spread=st.decimals(min_value=0, max_value=10, places=2),
    percent=st.decimals(min_value="0.01", max_value=50, places=2),
    side=st.sampled_from([BUY, SELL]),
)
def test_what_passes_is_inside_the_collar_and_what_does_not_is_outside(
    price: Decimal, bid: Decimal, spread: Decimal, percent: Decimal, side: OrderSide
) -> None:
    reference = quote(str(bid), str(bid + spread))
    control = PriceCollar(MarketData(VirtualClock(NOW)))
    asked = submission(limit_order(str(price), side), reference=reference)
    through = price - reference.mid if side is BUY else reference.mid - price
    inside = through <= reference.mid * percent / 100
    assert (control.objection(asked, Safety(price_collar_pct=percent)) is None) == inside


@PROPERTY
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    quantity=st.integers(1, 30),
    side=st.sampled_from([BUY, SELL]),
)
def test_no_market_order_trades_beyond_the_collar_in_the_book_it_was_judged_by(
    sizes: list[int], quantity: int, side: OrderSide
) -> None:
    book = deep([(str(99 - n), str(size)) for n, size in enumerate(sizes)],
                [(str(101 + n), str(size)) for n, size in enumerate(sizes)])  # fmt: skip
    asked = submission(order(side=side, quantity=str(quantity)), reference=book.quote("BTC/USD"))
    reachable = sum(sizes[:5])  # 101 to 105, 99 to 95
    assert (PriceCollar(book).objection(asked, LIMITS) is None) == (quantity <= reachable)
