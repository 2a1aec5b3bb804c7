"""Money is neither made nor lost by booking: cash, positions, fees and profit add up exactly."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OrderSide
from router.domain.events import AccountMark
from router.domain.portfolio import Portfolio, Position
from tests.factories import BUY, PROPERTY, SELL, TODAY, D

sides = st.sampled_from(OrderSide)
sizes = st.decimals("0.0001", "1000", places=4)
prices = st.decimals("0.01", "100000", places=2)
fees = st.decimals("-5", "50", places=4)
trades = st.lists(st.tuples(sides, sizes, prices), max_size=15)
TINY = D("1e-12")  # an average cost is a quotient of 28 digits


def wealth(portfolio: Portfolio, mark: Decimal) -> Decimal:
    held = sum((position.quantity for position in portfolio.positions.values()), D(0))
    return portfolio.cash.get("USD", D(0)) + held * mark


@settings(PROPERTY, max_examples=100)
@given(st.lists(st.tuples(sides, sizes, fees), max_size=15), prices)
def test_at_a_constant_mark_fills_change_equity_by_their_fees_alone(
    fills: list[tuple[OrderSide, Decimal, Decimal]], mark: Decimal
) -> None:
    portfolio = Portfolio({"USD": D(100000)})
    for side, size, fee in fills:
        portfolio.fill("BTC/USD", side, size, mark, fee, "USD")
    paid = sum((fee for _, _, fee in fills), D(0))
    assert wealth(portfolio, mark) == 100000 - paid
    assert portfolio.fees.get("USD", D(0)) == paid


@settings(PROPERTY, max_examples=100)
@given(trades, prices)
def test_profit_realised_and_unrealised_is_what_the_cash_and_the_position_say(
    story: list[tuple[OrderSide, Decimal, Decimal]], mark: Decimal
) -> None:
    portfolio = Portfolio({"USD": D(0)})
    for side, size, price in story:
        portfolio.fill("BTC/USD", side, size, price, D(0), "USD")
    held = portfolio.position("BTC/USD")
    gained = held.realised_pnl + held.quantity * (mark - held.average_price)
    assert abs(gained - wealth(portfolio, mark)) < TINY


@settings(PROPERTY, max_examples=100)
@given(sides, sizes, prices, prices)
def test_a_round_trip_realises_the_difference_and_ends_flat(
    side: OrderSide, size: Decimal, entry: Decimal, leave: Decimal
) -> None:
    back = SELL if side is BUY else BUY
    flat = Position().after(side, size, entry).after(back, size, leave)
    sign = 1 if side is BUY else -1
    assert flat == Position(D(0), D(0), sign * size * (leave - entry))


def test_adding_averages_the_cost_and_realises_nothing() -> None:
    assert Position().after(BUY, D(1), D(100)).after(BUY, D(3), D(200)) == Position(D(4), D(175), D(0))
    assert Position().after(SELL, D(1), D(100)).after(SELL, D(3), D(200)) == Position(D(-4), D(175), D(0))


def test_reducing_keeps_the_cost_and_realises_its_part() -> None:
    assert Position(D(4), D(100)).after(SELL, D(1), D(130)) == Position(D(3), D(100), D(30))
    assert Position(D(-4), D(100)).after(BUY, D(1), D(130)) == Position(D(-3), D(100), D(-30))


def test_a_flip_closes_at_the_old_cost_and_opens_at_the_new_price() -> None:
    assert Position(D(2), D(100)).after(SELL, D(5), D(110)) == Position(D(-3), D(110), D(20))
    assert Position(D(-2), D(100)).after(BUY, D(5), D(110)) == Position(D(3), D(110), D(-20))


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT"])
def test_cash_moves_in_the_quote_currency_and_the_fee_in_its_own(symbol: str) -> None:
    portfolio = Portfolio({"USDT": D(1000)})
    portfolio.fill(symbol, BUY, D("0.5"), D(100), D("0.001"), "BNB")
    assert portfolio.cash == {"USDT": D(950), "BNB": D("-0.001")}
    assert portfolio.fees == {"BNB": D("0.001")}
    assert portfolio.position(symbol).quantity == D("0.5")


def test_a_sale_brings_in_its_notional() -> None:
    portfolio = Portfolio({})
    portfolio.fill("BTC/USD", SELL, D(2), D(100), D(0), "USD")
    assert portfolio.cash == {"USD": D(200)}
    assert portfolio.fees == {}


@settings(PROPERTY, max_examples=100)
@given(trades, sides, sizes, prices, fees, prices)
def test_a_trade_taken_back_leaves_cash_fees_quantity_and_equity_as_if_it_had_never_been(
    before: list[tuple[OrderSide, Decimal, Decimal]],
    side: OrderSide,
    size: Decimal,
    price: Decimal,
    fee: Decimal,
    mark: Decimal,
) -> None:
    with_it, without = Portfolio({"USD": D(0)}), Portfolio({"USD": D(0)})
    for each in before:
        with_it.fill("BTC/USD", *each, D(0), "USD")
        without.fill("BTC/USD", *each, D(0), "USD")
    with_it.fill("BTC/USD", side, size, price, fee, "USD")
    with_it.reverse("BTC/USD", side, size, price, fee, "USD")
    assert with_it.cash == without.cash
    assert with_it.fees.get("USD", D(0)) == 0
    assert with_it.position("BTC/USD").quantity == without.position("BTC/USD").quantity
    assert wealth(with_it, mark) == wealth(without, mark)


@pytest.mark.parametrize(("side", "back"), [(BUY, "-1"), (SELL, "1")])
def test_a_trade_taken_back_is_traded_the_other_way_round_and_its_fee_returned(side: OrderSide, back: str) -> None:
    portfolio = Portfolio({"USD": D(1000), "BNB": D(5)})
    portfolio.reverse("BTC/USD", side, D(1), D(100), D(2), "BNB")
    assert portfolio.position("BTC/USD").quantity == D(back)
    assert portfolio.cash == {"USD": 1000 - 100 * D(back), "BNB": D(7)}
    assert portfolio.fees == {"BNB": D(-2)}


def test_the_balances_given_are_not_changed() -> None:
    mine = {"USD": D(1)}
    Portfolio(mine).fill("BTC/USD", BUY, D(1), D(1), D(0), "USD")
    assert mine == {"USD": D(1)}


def test_a_symbol_never_traded_is_flat() -> None:
    assert Portfolio({}).position("BTC/USD") == Position(D(0), D(0), D(0))


def test_the_peak_only_rises_and_the_day_starts_once() -> None:
    portfolio = Portfolio({})
    portfolio.mark(TODAY, D(100))
    portfolio.mark(TODAY, D(120))
    portfolio.mark(TODAY, D(90))
    assert (portfolio.peak_equity, portfolio.day_start_equity) == (D(120), D(100))
    portfolio.mark(TODAY + timedelta(days=1), D(80))
    assert (portfolio.peak_equity, portfolio.day_start_equity) == (D(120), D(80))


def test_a_clock_set_back_over_midnight_gives_no_second_budget() -> None:
    portfolio = Portfolio({})
    portfolio.mark(TODAY, D(100))
    portfolio.mark(TODAY - timedelta(days=1), D(50))
    portfolio.mark(TODAY, D(40))
    assert (portfolio.day, portfolio.day_start_equity) == (TODAY, D(100))


def test_a_restart_takes_over_the_day_and_the_peak_as_the_last_mark_tells_them() -> None:
    """Each mark is journaled with the running peak, so a lower one was lowered on purpose."""
    portfolio = Portfolio({})
    portfolio.restore(TODAY, AccountMark(D(90), D(120), D(100), D(0)))
    portfolio.restore(TODAY, AccountMark(D(95), D(110), D(100), D(0)))
    assert (portfolio.day, portfolio.day_start_equity, portfolio.peak_equity) == (TODAY, D(100), D(110))
    portfolio.mark(TODAY, D(80))
    assert (portfolio.day_start_equity, portfolio.peak_equity) == (D(100), D(110))
