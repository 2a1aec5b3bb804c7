"""P20: no order that would trade with one of our own, whichever strategy's it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.clock import VirtualClock
from router.domain.enums import OrderSide, OrderType
from router.market.book import DepthUpdate
from router.market.quotes import MarketData
from router.middleware import Submission
from router.safety.self_match import SelfMatch
from router.settings import Safety
from tests.factories import BUY, NOW, PROPERTY, SELL, D, market, order, quote, submission

LIMITS = Safety()
OFF = Safety(self_match="off")
ASKS = [("100", "1"), ("101", "2"), ("103", "4")]
BIDS = [("99", "1"), ("98", "2"), ("96", "4")]
Levels: TypeAlias = list[tuple[str, str]]


class Own:
    """Our own resting orders of one environment and symbol, asked as ``holds`` would be."""

    def __init__(self, **prices: str | list[str]) -> None:
        self.prices: dict[OrderSide, list[Decimal]] = {BUY: [], SELL: []}
        self.asked: list[tuple[str, str, OrderSide]] = []
        for side, given_prices in prices.items():
            several = [given_prices] if isinstance(given_prices, str) else given_prices
            self.prices[OrderSide(side)] += map(D, several)

    def best_opposite(self, environment: str, symbol: str, side: OrderSide) -> Decimal | None:
        self.asked.append((environment, symbol, side))
        return min(self.prices[SELL], default=None) if side is BUY else max(self.prices[BUY], default=None)


def deep(asks: Levels = ASKS, bids: Levels = BIDS) -> MarketData:
    """Return a market whose whole depth is known."""
    made = MarketData(VirtualClock(NOW))
    made.apply(
        DepthUpdate(
            symbol="BTC/USD",
            snapshot=True,
            first_id=1,
            last_id=1,
            prev_id=None,
            bids=[(D(price), D(size)) for price, size in bids],
            asks=[(D(price), D(size)) for price, size in asks],
            ts_event=NOW,
        )
    )
    return made


def limit_order(side: OrderSide, price: str | Decimal, **fields: Any) -> Submission:
    return submission(order(side=side, order_type=OrderType.LIMIT, price=price, **fields))


def market_order(side: OrderSide, quantity: str | Decimal) -> Submission:
    return submission(order(side=side, quantity=quantity))


def objection(asked: Submission, own: Own, book: MarketData | None = None, limits: Safety = LIMITS) -> str | None:
    return SelfMatch(book or market(quote("99", "100")), own.best_opposite).objection(asked, limits)


@pytest.mark.parametrize(("price", "trades"), [("99.99", False), ("100", True), ("100.01", True)])
def test_a_buy_may_not_reach_our_best_ask(price: str, trades: bool) -> None:
    assert (objection(limit_order(BUY, price), Own(sell=["100", "105"])) is not None) is trades


@pytest.mark.parametrize(("price", "trades"), [("99.01", False), ("99", True), ("98.99", True)])
def test_a_sell_may_not_reach_our_best_bid(price: str, trades: bool) -> None:
    assert (objection(limit_order(SELL, price), Own(buy=["99", "95"])) is not None) is trades


def test_it_says_which_price_of_ours_is_in_the_way_and_what_to_do() -> None:
    assert objection(limit_order(BUY, "101"), Own(sell="100")) == (
        "It would trade with our own sell order of BTC/USD at 100. Price it clear of that."
    )
    assert objection(market_order(SELL, "1"), Own(buy="99")) == (
        "It would trade with our own buy order of BTC/USD at 99. Cancel or amend that one first."
    )


def test_it_looks_at_the_orders_own_environment_and_symbol_and_at_the_other_side_only() -> None:
    own = Own(buy="1000")
    asked = submission(order(symbol="ETH/USD", order_type=OrderType.LIMIT, price="1"), environment="shadow")
    assert objection(asked, own) is None
    assert own.asked == [("shadow", "ETH/USD", BUY)]


def test_a_new_price_of_an_amendment_is_judged_like_an_order() -> None:
    working = order(order_type=OrderType.LIMIT, price="98", quantity="2")
    for terms, trades in (({"price": "100"}, True), ({"price": "99"}, False)):
        asked = limit_order(BUY, **{"quantity": "2", **terms})
        asked.amends = working
        assert (objection(asked, Own(sell="100")) is not None) is trades


def test_an_amendment_to_less_passes_even_where_orders_have_crossed_before() -> None:
    asked = limit_order(BUY, "101", quantity="1")
    asked.amends = order(order_type=OrderType.LIMIT, price="101", quantity="2")
    assert objection(asked, Own(sell="100")) is None


@pytest.mark.parametrize(
    ("quantity", "own", "trades"),
    [
        ("0.5", "99.5", True),  # ours is the best in the market
        ("0.5", "100", True),  # ours is among what shows at the touch
        ("1", "100.5", False),  # satisfied at 100, just
        ("1.1", "100.5", True),
        ("3", "103", False),
        ("3.1", "103", True),
        ("7", "200", False),
        ("7.1", "200", True),  # the whole book is not enough
    ],
)
def test_a_market_buy_must_be_satisfied_before_it_gets_to_our_ask(quantity: str, own: str, trades: bool) -> None:
    assert (objection(market_order(BUY, quantity), Own(sell=own), deep()) is not None) is trades


@pytest.mark.parametrize(("own", "trades"), [("99.5", True), ("99", True), ("98.5", True), ("97", False)])
def test_a_market_sell_must_be_satisfied_before_it_gets_to_our_bid(own: str, trades: bool) -> None:
    assert (objection(market_order(SELL, "3"), Own(buy=own), deep()) is not None) is trades


def test_where_only_the_touch_is_known_a_market_order_is_held_against_that() -> None:
    shallow = market(msgspec.structs.replace(quote("99", "100"), bid_size=D(1), ask_size=D(1)))
    assert objection(market_order(BUY, "1000"), Own(sell="100"), shallow) is not None
    assert objection(market_order(BUY, "1000"), Own(sell="100.01"), shallow) is None


def test_a_market_orders_decision_price_is_no_limit() -> None:
    asked = submission(order(quantity="2", price="50"))
    assert objection(asked, Own(sell="101"), deep()) is not None


def test_switched_off_it_objects_to_nothing_and_says_so() -> None:
    own = Own(sell="100")
    assert objection(limit_order(BUY, "200"), own, limits=OFF) is None
    control = SelfMatch(market(), own.best_opposite)
    assert (control.limit(OFF), control.limit(LIMITS)) == ("off", "own orders never meet")


def test_its_id_is_the_catalogues() -> None:
    assert (SelfMatch.id, SelfMatch.hard) == ("P20_self_match", True)


PRICES = st.integers(90, 110).map(D)
SIDES = st.sampled_from([BUY, SELL])


@settings(PROPERTY, max_examples=300)
@given(st.lists(st.tuples(SIDES, PRICES), max_size=60))
def test_our_resting_orders_never_cross_in_whatever_order_they_come(wanted: list[tuple[OrderSide, Decimal]]) -> None:
    own = Own()
    for side, price in wanted:
        crossing = any(
            resting <= price if side is BUY else resting >= price
            for resting in own.prices[SELL if side is BUY else BUY]
        )
        passes = objection(limit_order(side, price), own) is None
        assert passes is not crossing
        if passes:
            own.prices[side].append(price)
    assert max(own.prices[BUY], default=D(0)) < min(own.prices[SELL], default=D(1000))


@settings(PROPERTY, max_examples=300)
@given(
    SIDES,
    st.integers(1, 40).map(D),
    st.lists(PRICES, min_size=1, max_size=5),
    st.dictionaries(st.integers(1, 15), st.integers(1, 10), min_size=1, max_size=8),
)
def test_a_market_order_passes_exactly_if_others_satisfy_it_first(
    side: OrderSide, quantity: Decimal, ours: list[Decimal], sizes: dict[int, int]
) -> None:
    away = 1 if side is BUY else -1
    levels = [(str(100 + away * step), str(size)) for step, size in sizes.items()]
    book = deep(levels, [("50", "1")]) if side is BUY else deep([("150", "1")], levels)
    best = min(ours) if side is BUY else max(ours)
    before = sum((D(size) for price, size in levels if (D(price) - best) * away < 0), D(0))
    own = Own(**{str(SELL if side is BUY else BUY): [str(price) for price in ours]})
    assert (objection(market_order(side, quantity), own, book) is None) is (before >= quantity)
