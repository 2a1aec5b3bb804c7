"""Each limit at its edge: sizes may equal it, losses may not reach it; the wording is the contract's."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OrderSide, OrderType
from router.domain.order import Order
from router.risk.account import Account
from router.risk.checks import Assessment, account_limits, assess, daily_loss, drawdown, reduces
from router.risk.limits import LiveRiskLimits
from tests.factories import BUY, PROPERTY, SELL, TODAY, D, account, hold, limits, market, order, quote

# The market stands at 100, an account begins with 100 000 USD.


def judge(its_order: Order, its_account: Account | None = None, **kept: Any) -> Assessment | None:
    its_limits: LiveRiskLimits = limits(**kept)
    mine = its_account or account()
    return assess(its_order, quote(symbol=its_order.symbol), mine, its_limits, TODAY)


def broken(its_order: Order, its_account: Account | None = None, **kept: Any) -> list[str]:
    found = judge(its_order, its_account, **kept)
    return [violation.message for violation in found.violations] if found else []


def lost(fraction: str, its_account: Account | None = None, *, today: bool = True) -> Account:
    """Return the account after it was worth 100 000 and lost a part of that."""
    mine = its_account or account()
    mine.portfolio.mark(TODAY if today else TODAY - timedelta(days=1), mine.equity())
    mine.portfolio.cash["USD"] -= mine.equity() * D(fraction)
    return mine


# -- sizes: equal passes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "value", "fits", "exceeds", "message"),
    [
        ("max_position_size", {"default": "5"}, "5", "5.00000001", "Max position size exceeded"),
        ("max_exposure", "0.5", "500", "500.00000001", "Max exposure exceeded"),
        ("max_concentration", "0.5", "500", "500.00000001", "Asset concentration too high"),
        ("max_order_quantity", {"default": "5"}, "5", "5.00000001", "Max order quantity exceeded"),
        ("max_order_notional", "505", "5", "5.00000001", "Max order notional exceeded"),
    ],
)
def test_a_size_equal_to_its_limit_passes_and_one_more_does_not(
    limit: str, value: Any, fits: str, exceeds: str, message: str
) -> None:
    assert broken(order(quantity=fits), **{limit: value}) == []
    assert broken(order(quantity=exceeds), **{limit: value}) == [message]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_position_and_what_works_count_with_the_order(side: OrderSide) -> None:
    mine = account()
    hold(mine, "BTC/USD", "2" if side is BUY else "-2")
    mine.holds.set(order(client_order_id="U2", side=side), D(1))
    assert broken(order(side=side, quantity="2"), mine, max_position_size={"default": "5"}) == []
    assert broken(order(side=side, quantity="2.1"), mine, max_position_size={"default": "5"}) == [
        "Max position size exceeded"
    ]


def test_what_works_on_the_other_side_gives_no_room() -> None:
    """It may never fill."""
    mine = account()
    hold(mine, "BTC/USD", "5")
    mine.holds.set(order(client_order_id="U2", side=SELL), D(5))
    assert broken(order(quantity="0.1"), mine, max_position_size={"default": "5"}) == ["Max position size exceeded"]


def test_crossing_zero_is_judged_by_where_it_ends() -> None:
    mine = account()
    hold(mine, "BTC/USD", "3")
    assert broken(order(side=SELL, quantity="8"), mine, max_position_size={"default": "5"}) == []
    assert broken(order(side=SELL, quantity="8.1"), mine, max_position_size={"default": "5"}) == [
        "Max position size exceeded"
    ]


def test_exposure_adds_up_all_symbols_in_their_worst_case() -> None:
    mine = account(market(quote(), quote(symbol="ETH/USD")))
    hold(mine, "ETH/USD", "-200")
    mine.holds.set(order(client_order_id="U2", symbol="ETH/USD", side=SELL), D(100))
    assert broken(order(quantity="200"), mine, max_exposure="0.5") == []
    assert broken(order(quantity="201"), mine, max_exposure="0.5") == ["Max exposure exceeded"]


def test_concentration_adds_up_one_asset_in_all_its_symbols_only() -> None:
    mine = account(market(quote(), quote(symbol="BTC/USDT"), quote(symbol="ETH/USD")), fixed_rates={"USDT": "1"})
    hold(mine, "ETH/USD", "500")
    hold(mine, "BTC/USDT", "300")
    assert broken(order(quantity="200"), mine, max_concentration="0.5") == []
    assert broken(order(quantity="201"), mine, max_concentration="0.5") == ["Asset concentration too high"]


def test_the_order_that_makes_the_last_allowed_one_passes() -> None:
    mine = account()
    mine.holds.set(order(client_order_id="U2"), D(1))
    assert broken(order(), mine, max_open_orders=2) == []
    mine.holds.set(order(client_order_id="U3"), D(1))
    assert broken(order(), mine, max_open_orders=2) == ["Max open orders reached"]


def test_a_limit_order_is_worth_its_price_and_a_market_order_the_touch() -> None:
    assert broken(order(price="5"), max_order_notional="101") == []
    assert broken(order(price="5"), max_order_notional="100.99") == ["Max order notional exceeded"]
    assert broken(order(side=SELL), max_order_notional="99") == []
    limit = order(order_type=OrderType.LIMIT, price="200")
    assert broken(limit, max_order_notional="200") == []
    assert broken(limit, max_order_notional="199.99") == ["Max order notional exceeded"]


def test_notional_is_measured_in_the_base_currency() -> None:
    mine = account(market(quote(symbol="BTC/EUR")), fixed_rates={"EUR": "2"})
    assert broken(order(symbol="BTC/EUR"), mine, max_order_notional="202") == []
    assert broken(order(symbol="BTC/EUR"), mine, max_order_notional="201.99") == ["Max order notional exceeded"]


def test_an_order_in_a_currency_without_a_rate_is_blocked() -> None:
    mine = account(market(quote(symbol="BTC/XYZ")))
    found = judge(order(symbol="BTC/XYZ", quantity="0.00000001"), mine)
    assert found is not None
    assert [violation.message for violation in found.violations] == ["Max order notional exceeded"]
    assert found.violations[0].limit.value == D("Infinity")


@pytest.mark.parametrize(
    ("table", "message"),
    [("max_position_size", "Max position size exceeded"), ("max_order_quantity", "Max order quantity exceeded")],
)
def test_a_symbol_without_a_limit_may_not_trade(table: str, message: str) -> None:
    other: dict[str, Any] = {table: {"ETH/USD": "5"}}
    own: dict[str, Any] = {table: {"BTC/USD": "5"}}
    assert broken(order(quantity="0.00000001"), **other) == [message]
    assert broken(order(), **own) == []


def test_an_account_without_equity_bears_nothing() -> None:
    assert broken(order(), account(balances={"USD": "0"})) == ["Max exposure exceeded", "Asset concentration too high"]


# -- losses: reaching blocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fraction", "messages"), [("0.0499", []), ("0.05", ["D"]), ("0.06", ["D"])])
def test_reaching_the_drawdown_limit_blocks(fraction: str, messages: list[str]) -> None:
    found = broken(order(), lost(fraction, today=False), max_drawdown="0.05")
    assert found == ["Drawdown limit breached" for _ in messages]


@pytest.mark.parametrize(("fraction", "messages"), [("0.0299", []), ("0.03", ["L"]), ("0.04", ["L"])])
def test_reaching_the_daily_loss_limit_blocks(fraction: str, messages: list[str]) -> None:
    found = broken(order(), lost(fraction), max_daily_loss="0.03")
    assert found == ["Daily loss limit reached" for _ in messages]


def test_a_new_utc_day_has_a_new_daily_budget_but_the_same_drawdown() -> None:
    mine = lost("0.04", today=False)
    assert broken(order(), mine, max_daily_loss="0.03", max_drawdown="0.05") == []
    assert broken(order(), lost("0.02", mine), max_daily_loss="0.03", max_drawdown="0.05") == [
        "Drawdown limit breached"
    ]


def test_a_gain_is_no_loss() -> None:
    mine = account()
    mine.portfolio.mark(TODAY, D(50000))
    assert daily_loss(mine, D(100000)) == -1
    assert drawdown(mine, D(50000)) == 0


def test_a_loss_at_the_marks_counts_before_any_fill() -> None:
    book = market()
    mine = account(book)
    hold(mine, "BTC/USD", "500")
    mine.portfolio.mark(TODAY, mine.equity())
    book.pin(quote("89", "91"))
    assert broken(order(), mine, max_daily_loss="0.05") == ["Daily loss limit reached"]
    assert drawdown(mine, mine.equity()) == D("0.05")


# -- reducing orders ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "working", "side", "quantity", "answer"),
    [
        ("5", "0", SELL, "5", True),
        ("5", "0", SELL, "5.1", False),
        ("5", "0", BUY, "1", False),
        ("5", "3", SELL, "2", True),
        ("5", "3", SELL, "2.1", False),
        ("-5", "0", BUY, "5", True),
        ("-5", "3", BUY, "2.1", False),
        ("-5", "0", SELL, "1", False),
        ("0", "0", SELL, "1", False),
        ("0", "0", BUY, "1", False),
    ],
)
def test_an_order_reduces_if_it_does_even_after_all_that_works_on_its_side(
    position: str, working: str, side: OrderSide, quantity: str, answer: bool
) -> None:
    mine = account()
    if D(position):
        hold(mine, "BTC/USD", position)
    mine.holds.set(order(client_order_id="U2", side=side), D(working))
    assert reduces(order(side=side, quantity=quantity), mine) is answer


def overloaded() -> Account:
    mine = account()
    hold(mine, "BTC/USD", "900")
    return mine


TIGHT: dict[str, Any] = {"max_exposure": "0.1", "max_concentration": "0.1", "max_open_orders": 1}


def test_an_order_that_reduces_passes_what_it_makes_better() -> None:
    mine = overloaded()
    mine.holds.set(order(client_order_id="U2"), D(1))
    tight = TIGHT | {"max_position_size": {"default": "5"}}
    assert broken(order(side=SELL, quantity="10"), mine, **tight) == []
    assert len(broken(order(quantity="10"), mine, **tight)) == 4


@pytest.mark.parametrize("flagged", [True, False])
def test_a_reducing_order_is_bound_by_what_one_order_may_be_unless_it_is_flagged_reduce_only(flagged: bool) -> None:
    """Flagged, it can do no more than end a position that the limits have let come about."""
    sell = order(side=SELL, quantity="10", reduce_only=flagged)
    quantity = broken(sell, overloaded(), max_order_quantity={"default": "9"})
    notional = broken(sell, overloaded(), max_order_notional="100")
    assert quantity == ([] if flagged else ["Max order quantity exceeded"])
    assert notional == ([] if flagged else ["Max order notional exceeded"])


@pytest.mark.parametrize("limit", ["max_drawdown", "max_daily_loss"])
def test_after_a_loss_only_orders_flagged_reduce_only_that_reduce_pass(limit: str) -> None:
    mine = lost("0.05", overloaded())
    kept = {limit: "0.05"}
    assert len(broken(order(side=SELL), mine, **kept)) == 1
    assert broken(order(side=SELL, reduce_only=True), mine, **kept) == []
    assert len(broken(order(side=BUY, reduce_only=True), mine, **kept)) == 2  # it does not reduce, and the loss stands
    assert len(broken(order(side=SELL, quantity="901", reduce_only=True), mine, **kept)) == 2


# -- what is reported --------------------------------------------------------------------------------------------


def test_everything_is_measured_and_the_gravest_violation_comes_first() -> None:
    mine = lost("0.06")
    found = judge(order(quantity="10"), mine, max_drawdown="0.05", max_position_size={"default": "5"})
    assert found is not None
    assert [violation.message for violation in found.violations] == [
        "Drawdown limit breached",
        "Max position size exceeded",
    ]
    measured = {limit.name: limit for limit in found.limits}
    assert list(measured) == [
        "max_drawdown",
        "max_daily_loss",
        "max_position_size",
        "max_exposure",
        "max_concentration",
        "max_order_quantity",
        "max_order_notional",
        "max_open_orders",
    ]
    assert (measured["max_drawdown"].value, measured["max_drawdown"].limit) == (D("0.06"), D("0.05"))
    assert all(limit.headroom == limit.limit - limit.value for limit in found.limits)


def test_the_exposure_reported_is_the_one_before_the_order() -> None:
    mine = account()
    hold(mine, "BTC/USD", "100")
    found = judge(order(quantity="10"), mine, max_position_size={"default": "5"})
    assert found is not None
    assert found.current_exposure == D("0.1")


def test_an_account_is_measured_as_it_is() -> None:
    mine = lost("0.02")
    hold(mine, "BTC/USD", "98")
    mine.holds.set(order(client_order_id="U2"), D(98))
    found = account_limits(mine, limits(max_open_orders=9, max_exposure="1"), TODAY)
    assert {limit.name: (limit.value, limit.headroom) for limit in found} == {
        "max_drawdown": (D("0.02"), D("0.48")),
        "max_daily_loss": (D("0.02"), D("0.48")),
        "max_exposure": (D("0.2"), D("0.8")),
        "max_open_orders": (D(1), D(8)),
        'max_position_size."BTC/USD"': (D(196), D(999804)),
        "max_concentration.BTC": (D("0.2"), D("999.8")),
    }


huge = st.sampled_from(["1e999999", "1e-999999", "9.99e500000"]).map(Decimal)


@settings(PROPERTY, max_examples=30)
@given(huge, huge)
def test_no_number_is_too_large_to_be_judged(quantity: Decimal, price: Decimal) -> None:
    """The answer is a refusal or an overflow (which the boundary answers ERROR), at once; never a pass of more."""
    asked = order(quantity=str(quantity), price=str(price), order_type=OrderType.LIMIT)
    try:
        found = judge(asked)
    except ArithmeticError:
        return
    assert (found is None) is (quantity < 1 and price * quantity <= 1)


# -- what cannot be valued -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["max_drawdown", "max_daily_loss"])
def test_a_position_without_a_price_is_no_loss(limit: str) -> None:
    """As after a restart, before the first quote: the session must not be closed for it, and nothing may be added."""
    mine = account()
    mine.portfolio.mark(TODAY, D(100000))
    mine.portfolio.fill("ETH/USD", BUY, D(10), D(3000), D(0), "USD")
    assert broken(order(), mine, **{limit: "0.05"}) == ["Max exposure exceeded"]
    assert {each.name: each.value for each in account_limits(mine, limits(), TODAY)}[limit] == 0
    assert (mine.portfolio.peak_equity, mine.portfolio.day_start_equity) == (D(100000), D(100000))


def test_an_order_of_a_symbol_without_a_trusted_quote_exposes_to_anything() -> None:
    mine = account(market(quote(symbol="ETH/USD")))
    small = order(quantity="0.00000001")
    assert broken(small, mine) == ["Max exposure exceeded", "Asset concentration too high"]
