"""Reservations: taken, reduced and given back without a trace."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OrderSide, OrderType
from router.domain.order import Order, Replacement
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


# -- where our orders rest ------------------------------------------------------------------------------------------

prices = st.sampled_from(["99", "99.5", "100", "101", "1234567890123456789012345678901.01"]).map(Decimal)
resting = st.tuples(
    st.integers(0, 7),
    st.sampled_from(OrderSide),
    st.none() | prices,
    st.lists(st.none() | prices, max_size=2),
    st.booleans(),
)


def rests(number: int, side: OrderSide, price: Decimal | None, asked: list[Decimal | None]) -> Order:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    replaces = tuple(Replacement(f"r{n}", D(1), each) for n, each in enumerate(asked))
    its_id = f"{side}{number}"
    return order(client_order_id=its_id, side=side, order_type=kind, price=price, pending_replaces=replaces)


@settings(PROPERTY, max_examples=200)
@given(st.lists(resting, max_size=40))
def test_the_best_price_is_that_of_what_rests_or_is_asked_to(story: list[tuple[object, ...]]) -> None:
    holds, live = Holds(), dict[str, Order]()
    for number, side, price, asked, ends in story:
        each = rests(number, side, price, asked)  # type: ignore[arg-type]
        holds.set(each, D(0) if ends else D(1))
        live.pop(each.client_order_id, None)
        if not ends:
            live[each.client_order_id] = each
        for way, best in ((BUY, max), (SELL, min)):
            known = [
                at
                for o in live.values()
                if o.side is way and o.price is not None
                for at in (o.price, *(r.price for r in o.pending_replaces))
                if at is not None
            ]
            assert holds.best("BTC/USD", way) == best(known, default=None)
            assert holds.best("ETH/USD", way) is None


def test_prices_that_are_gone_do_not_pile_up() -> None:
    holds = Holds()
    holds.set(rests(0, BUY, D(1000), []), D(1))
    for cents in range(10_000):
        away = rests(1, BUY, D(cents) / 100 + 1, [])
        holds.set(away, D(1))
        holds.set(away, D(0))
    assert len(holds._prices["BTC/USD", BUY]._heap) < 200
    assert holds.best("BTC/USD", BUY) == 1000
