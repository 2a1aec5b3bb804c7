"""Reservations: taken, reduced and given back without a trace."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OrderSide
from router.risk.holds import Holds, Working
from tests.factories import BUY, PROPERTY, SELL, D, order

sizes = st.decimals("0.00000001", "1000000", places=8)
ORDERS = [
    order(client_order_id=f"U{number}", symbol=symbol, side=side)
    for number, (symbol, side) in enumerate(product(["BTC/USD", "ETH/USD"], [BUY, SELL, BUY]))
]
steps = st.lists(st.tuples(st.sampled_from(ORDERS), sizes | st.just(D(0))), max_size=40)


@settings(PROPERTY, max_examples=150)
@given(steps, st.permutations(ORDERS))
def test_any_interleaving_of_holds_reductions_and_releases_returns_to_zero(
    story: list[tuple[object, Decimal]], ends: list[object]
) -> None:
    holds = Holds()
    held: dict[str, Decimal] = {}
    for each, leaves in story:
        assert isinstance(each, type(ORDERS[0]))
        holds.set(each, leaves)
        held[each.client_order_id] = leaves
        for symbol, side in product(["BTC/USD", "ETH/USD"], OrderSide):
            expected = sum(
                (held.get(o.client_order_id, D(0)) for o in ORDERS if (o.symbol, o.side) == (symbol, side)), D(0)
            )
            working = holds.working(symbol)
            assert (working.buys if side is BUY else working.sells) == expected
        assert len(holds) == sum(1 for leaves in held.values() if leaves)
    for each in ends:
        assert isinstance(each, type(ORDERS[0]))
        holds.set(each, D(0))
    assert len(holds) == 0
    assert all((working.buys, working.sells) == (D(0), D(0)) for working in holds.by_symbol.values())


def test_setting_replaces_what_was_held_before() -> None:
    holds = Holds()
    holds.set(ORDERS[0], D(5))
    holds.set(ORDERS[0], D(5))
    holds.set(ORDERS[0], D(2))
    assert (holds.working("BTC/USD").buys, len(holds)) == (D(2), 1)


def test_releasing_what_was_never_held_changes_nothing() -> None:
    holds = Holds()
    holds.set(ORDERS[0], D(0))
    assert (holds.working("BTC/USD").buys, len(holds)) == (D(0), 0)


@settings(PROPERTY, max_examples=100)
@given(
    st.decimals(-1000, 1000, places=4),
    st.lists(st.tuples(st.sampled_from(OrderSide), sizes, st.booleans()), max_size=8),
)
def test_no_choice_of_fills_leaves_the_extremes(
    position: Decimal, orders: list[tuple[OrderSide, Decimal, bool]]
) -> None:
    working = Working()
    for side, size, _ in orders:
        working.add(side, size)
    low, high = working.extremes(position)
    end = position + sum((size if side is BUY else -size for side, size, filled in orders if filled), D(0))
    assert low <= end <= high
    assert abs(end) <= working.worst(position) == max(abs(low), abs(high))
