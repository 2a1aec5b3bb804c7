"""P07: many orders in a short time are worth no more together than the limit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.enums import OrderSide, OrderType
from router.domain.order import Order
from router.middleware import Submission
from router.safety.window_notional import WindowNotional
from router.settings import Safety
from tests.factories import BUY, NOW, PROPERTY, SELL, D, HandClock, order, quote, submission

LIMITS = Safety(window_notional=D(1000), notional_window_s=10.0)
RATES: dict[str, Decimal] = {"USD": D(1), "EUR": D("1.25")}


def asked(
    quantity: str, price: str | None = "100", side: OrderSide = BUY, amends: Order | None = None, **fields: Any
) -> Submission:
    order_type = OrderType.MARKET if price is None else OrderType.LIMIT
    values = {"order_type": order_type, "price": price, "quantity": quantity, "side": side, "strategy_key": "m"}
    return submission(order(**(values | fields)), amends=amends)


class Sums:
    """The control on a clock that is moved by hand."""

    def __init__(self, limits: Safety = LIMITS) -> None:
        self.clock = HandClock(NOW)
        self.asked: list[tuple[str, str]] = []
        self.control = WindowNotional(self.rate, self.clock)
        self.limits = limits

    def rate(self, environment: str, currency: str) -> Decimal | None:
        self.asked.append((environment, currency))
        return RATES.get(currency)

    def send(self, submission: Submission) -> str | None:
        refused = self.control.objection(submission, self.limits)
        if refused is None:
            self.control.passed(submission, self.limits)
        return refused


def test_orders_pass_until_they_are_worth_more_than_the_limit_together() -> None:
    sums = Sums()
    assert sums.send(asked("6")) is None
    assert sums.send(asked("4")) is None
    assert sums.send(asked("0.01")) == (
        "Orders of this strategy in the symbol would be worth 1001.00 of the base currency within 10 s, more than "
        "safety.window_notional = 1000: wait, or check what the strategy does."
    )


def test_one_order_above_the_limit_is_refused_too() -> None:
    assert Sums().send(asked("10")) is None
    assert Sums().send(asked("10.01")) is not None


def test_what_is_older_than_the_window_no_longer_counts() -> None:
    sums = Sums()
    sums.send(asked("10"))
    sums.clock.tick(9.99)
    assert sums.send(asked("1")) is not None
    sums.clock.tick(0.01)
    assert sums.send(asked("10")) is None


def test_buys_and_sells_add_up() -> None:
    sums = Sums()
    assert sums.send(asked("6")) is None
    assert sums.send(asked("6", side=SELL)) is not None


@pytest.mark.parametrize("other", [{"strategy_key": "n"}, {"strategy_key": None}, {"symbol": "ETH/USD"}])
def test_other_strategies_and_symbols_are_apart(other: dict[str, Any]) -> None:
    sums = Sums()
    assert sums.send(asked("10")) is None
    assert sums.send(asked("10", **other)) is None
    assert sums.send(asked("10")) is not None


def test_a_market_order_counts_at_the_touch_and_a_sell_below_the_market_too() -> None:
    for side, price, touch in ((BUY, None, 101), (SELL, None, 99), (SELL, "90", 99), (SELL, "110", 110)):
        sums = Sums(Safety(window_notional=D(touch)))
        assert sums.send(asked("1", price, side)) is None
        assert Sums(Safety(window_notional=D(touch) - 1)).send(asked("1", price, side)) is not None


def test_other_currencies_count_at_their_rate() -> None:
    sums = Sums()
    assert sums.send(asked("8", symbol="BTC/EUR")) is None
    assert sums.asked[0] == ("paper", "EUR")
    assert sums.send(asked("0.01", symbol="BTC/EUR")) is not None
    assert Sums().send(asked("8", symbol="BTC/EUR:EUR")) is None


def test_an_order_that_cannot_be_valued_does_not_leave() -> None:
    assert Sums().send(asked("0.01", symbol="BTC/XYZ")) == (
        "No rate from XYZ to the base currency, so this order cannot be valued: check the market data feed, or name a "
        "rate in fixed_rates of the risk limits."
    )


def test_an_amendment_counts_with_what_it_adds() -> None:
    sums, working = Sums(), asked("8", filled_quantity="2").order
    assert sums.send(asked("8")) is None
    assert sums.send(asked("10", filled_quantity="2", amends=working)) is None, "200 more"
    assert sums.send(asked("8", "100.01", filled_quantity="2", amends=working)) is not None, "0.06 more"


def test_an_amendment_that_only_takes_value_away_passes_when_the_window_is_full() -> None:
    sums, working = Sums(), asked("8").order
    assert sums.send(asked("10")) is None
    assert sums.send(asked("7", amends=working)) is None
    assert sums.send(asked("8", "99", amends=working)) is None
    assert sums.send(asked("0.01")) is not None, "what went before still counts"
    sums.limits = Safety(window_notional=D(500))
    assert sums.send(asked("7", amends=working)) is None, "also when the limit has become lower"


def test_an_order_that_no_executor_got_leaves_no_trace() -> None:
    sums, refused_later = Sums(), asked("10")
    sums.send(refused_later)
    sums.control.undone(refused_later, LIMITS)
    assert sums.send(asked("10")) is None
    assert sums.send(asked("10")) is not None


def test_switched_off_it_says_so_and_asks_for_no_rate() -> None:
    off = Safety(window_notional=None)
    sums = Sums(off)
    assert sums.send(asked("1000000", symbol="BTC/XYZ")) is None
    assert sums.asked == []
    assert (sums.control.limit(off), sums.control.limit(LIMITS)) == ("off", "1000 of the base currency in 10 s")
    assert sums.control.id.startswith("P07_")
    assert sums.control.hard


STEP = st.tuples(
    st.sampled_from([0.0, 1.0, 4.0, 10.0]), st.decimals(min_value="0.01", max_value=12, places=2), st.booleans()
)


@PROPERTY
@given(steps=st.lists(STEP, max_size=30))
def test_no_window_of_that_length_is_ever_worth_more_than_the_limit(steps: list[tuple[float, Decimal, bool]]) -> None:
    sums, sent, now = Sums(), list[tuple[float, Decimal]](), 0.0
    for pause, quantity, lost in steps:
        sums.clock.tick(pause)
        now += pause
        one = asked(str(quantity))
        if sums.send(one) is None:
            if lost:
                sums.control.undone(one, LIMITS)
            else:
                sent.append((now, quantity * 100))
        else:
            inside = sum(value for at, value in sent if now - at < 10.0)
            assert inside + quantity * 100 > 1000, "nothing is refused that would fit"
        assert sum(value for at, value in sent if now - at < 10.0) <= 1000


def test_the_reference_is_the_quote_that_the_gates_see() -> None:
    sums = Sums()
    late = asked("1", None)
    late.reference = quote("999", "1001")
    assert sums.send(late) is not None
