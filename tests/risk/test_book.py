"""What is held and worked has one value, and a worst one: the same for an account and for a strategy's part of it."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.portfolio import Portfolio
from router.risk.book import INFINITE, Book
from tests.factories import BUY, PROPERTY, SELL, D, order

MARKS = {"BTC/USD": D(100), "ETH/USD": D(10)}
RATES = {"USD": D(1), "EUR": D("1.1")}


def book(**cash: str) -> Book:
    return Book(Portfolio({name: D(amount) for name, amount in cash.items()}), MARKS.get, RATES.get)


def test_equity_is_cash_and_positions_and_what_has_no_value_counts_as_nothing() -> None:
    mine = book(USD="1000", EUR="100", ABC="5")
    mine.portfolio.fill("BTC/USD", BUY, D(2), D(90), D(1), "USD")
    mine.portfolio.fill("NEW/USD", BUY, D(1), D(7), D(0), "USD")
    assert mine.equity() == D(1000) + D(110) - D(180) - D(1) - D(7) + D(200)
    assert not mine.is_valued
    mine.portfolio.fill("NEW/USD", SELL, D(1), D(7), D(0), "USD")
    assert mine.is_valued


def test_what_cannot_be_valued_exposes_to_anything() -> None:
    mine = book()
    mine.portfolio.fill("NEW/USD", BUY, D(1), D(7), D(0), "USD")
    assert mine.exposure() == INFINITE
    assert mine.symbols == {"NEW/USD"}


steps = st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=6)


@settings(PROPERTY, max_examples=200)
@given(steps, st.randoms(use_true_random=False))
def test_no_fills_of_what_works_lead_beyond_the_worst_case(
    working: list[tuple[object, int, int]], chance: object
) -> None:
    mine = book()
    orders = [
        order(client_order_id=f"U{n}", side=side, quantity=str(size)) for n, (side, size, _) in enumerate(working)
    ]
    for each in orders:
        mine.holds.set(each, each.quantity)
    worst = mine.worst("BTC/USD")
    assert mine.exposure() == worst * 100
    chance.shuffle(order_of := list(zip(orders, working, strict=True)))  # type: ignore[attr-defined]
    for each, (_, size, filled) in order_of:
        part = Decimal(min(size, filled))
        if part:
            mine.portfolio.fill("BTC/USD", each.side, part, D(100), D(0), "USD")
            mine.holds.set(each, each.quantity - part)
        assert abs(mine.portfolio.position("BTC/USD").quantity) <= worst
        assert mine.worst("BTC/USD") <= worst
