"""When orders trade: the queue, the book, and that nothing is ever given out twice."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.clock import VirtualClock
from router.domain.enums import ExecType, Liquidity, OrderSide, TimeInForce
from router.domain.market import Trade
from router.domain.order import Order
from router.executors.fill_model import OPPOSITE, PRINTS_LATE, QueueModel
from router.executors.resting import OpenOrder
from router.market.feeds.recording import read_recording
from router.market.feeds.replay import ReplayFeed
from router.market.quotes import MarketData
from tests.executors.venue import BUY, SELL, SYMBOL, Number, Venue, at_once, levels
from tests.recordings import MARKETS, real_market, small_market

D = Decimal


@pytest.fixture
def venue() -> Venue:
    """A venue that shows 2 at 100, 5 at 99; 3 at 101, 4 at 102."""
    made = Venue()
    made.depth(levels((100, 2), (99, 5)), levels((101, 3), (102, 4)), snapshot=True)
    return made


def filled(venue: Venue, order: Order) -> Decimal:
    own = [report for report in venue.reports if report.client_order_id == order.client_order_id]
    return sum((report.last_quantity or D(0) for report in own), D(0))


# Taking


def test_a_market_order_walks_the_book(venue: Venue) -> None:
    venue.submit(BUY, 5)
    assert venue.fills() == [(101, 3), (102, 2)]
    assert [report.liquidity for report in venue.reports[1:]] == [Liquidity.TAKER] * 2


def test_what_the_book_does_not_hold_is_not_filled(venue: Venue) -> None:
    venue.submit(SELL, 10)
    assert venue.fills() == [(100, 2), (99, 5)]
    assert venue.reports[-1].exec_type is ExecType.EXPIRED
    assert venue.reports[-1].reason == "market remainder 3 expired: the book held no more"


def test_the_same_size_is_not_sold_twice(venue: Venue) -> None:
    venue.submit(BUY, 2)
    venue.submit(BUY, 2)
    venue.submit(BUY, 10)
    assert venue.fills() == [(101, 2), (101, 1), (102, 1), (102, 3)]
    venue.depth([], levels((101, 5)))
    venue.submit(BUY, 10)
    assert venue.fills()[4:] == [(101, 2)], "3 of the 5 are ours already"


def test_ioc_respects_its_limit(venue: Venue) -> None:
    venue.submit(BUY, 5, 101, time_in_force=TimeInForce.IOC)
    assert venue.fills() == [(101, 3)]
    assert venue.reports[-1].reason == "IOC remainder 2 expired: the book held no more within the limit 101"


def test_fok_is_all_or_nothing(venue: Venue) -> None:
    venue.submit(BUY, "3.1", 101, time_in_force=TimeInForce.FOK)
    assert venue.said() == [ExecType.NEW, ExecType.EXPIRED]
    venue.submit(BUY, 3, 101, time_in_force=TimeInForce.FOK)
    assert venue.fills() == [(101, 3)]


def test_a_limit_order_takes_what_it_can_and_rests(venue: Venue) -> None:
    order = venue.submit(BUY, 5, 101)
    assert venue.fills() == [(101, 3)]
    venue.trade(SELL, 101, 1)
    assert venue.fills(order) == [(101, 3), (101, 1)]
    assert venue.reports[-1].liquidity is Liquidity.MAKER


def test_without_depth_only_the_quote_is_there() -> None:
    venue = Venue()
    venue.quote(100, 101, 1, "0.5")
    venue.submit(BUY, 2)
    assert venue.fills() == [(101, D("0.5"))]


# Queueing


def test_the_queue_comes_first(venue: Venue) -> None:
    order = venue.submit(BUY, 2, 100)
    venue.trade(SELL, 100, "1.5")
    assert venue.fills() == []
    venue.trade(SELL, 100, 1)
    assert venue.fills(order) == [(100, D("0.5"))]
    venue.trade(SELL, 100, 9)
    assert venue.fills(order) == [(100, D("0.5")), (100, D("1.5"))]


def test_the_other_aggressor_does_not_fill_us(venue: Venue) -> None:
    venue.submit(BUY, 2, 100)
    venue.trade(BUY, 100, 50)
    venue.trade(BUY, 99, 50)
    assert venue.fills() == []


def test_inside_the_spread_nobody_is_ahead(venue: Venue) -> None:
    venue.submit(SELL, 2, "100.5")
    venue.trade(BUY, "100.5", 1)
    assert venue.fills() == [(D("100.5"), 1)]


def test_cancels_ahead_shorten_the_queue(venue: Venue) -> None:
    venue.submit(BUY, 2, 100)
    venue.depth(levels((100, "0.5")), [])
    venue.depth(levels((100, 7)), [])
    venue.trade(SELL, 100, 1)
    assert venue.fills() == [(100, D("0.5"))]


def test_a_growing_queue_is_behind_us(venue: Venue) -> None:
    venue.submit(BUY, 2, 100)
    venue.depth(levels((100, 50)), [])
    venue.trade(SELL, 100, 3)
    assert venue.fills() == [(100, 1)]


def test_a_touch_that_left_leaves_nobody_ahead(venue: Venue) -> None:
    first = venue.submit(BUY, 1, 100)
    venue.depth(levels((100, 0)), [])
    venue.depth(levels((100, 6)), [])
    second = venue.submit(BUY, 1, 100)
    venue.trade(SELL, 100, 1)
    assert filled(venue, first) == 1
    venue.trade(SELL, 100, 6)
    assert filled(venue, second) == 0, "6 were displayed when it joined"
    venue.trade(SELL, 100, 1)
    assert filled(venue, second) == 1


@pytest.mark.asyncio
async def test_a_newcomer_does_not_hide_that_the_touch_has_left() -> None:
    venue = Venue(latency_ms=100)
    venue.quote(100, 101, 2)
    first = venue.submit(BUY, 1, 100)
    await venue.clock.advance(1)
    venue.quote(100, 101, 2)
    venue.submit(BUY, 1, 99)
    await venue.clock.advance(1)
    venue.quote(99, 101, 2)
    venue.trade(SELL, 100, 1)
    assert filled(venue, first) == 1


def test_a_price_without_orders_is_forgotten() -> None:
    venue = Venue()
    model = QueueModel(venue.market.book(SYMBOL))
    orders = [OpenOrder(venue.order(BUY, 1, 100)) for _ in range(2)]
    for order in orders:
        model.rest(order, venue.clock.now())
    venue.quote(100, 101, 5)
    model.matched(None, venue.clock.now())
    model.matched(None, venue.clock.now() + PRINTS_LATE)
    assert len(model._queues[BUY]._by_rank) == 1
    model.remove(orders[0])
    assert len(model._queues[BUY]._by_rank) == 1
    model.remove(orders[1])
    assert len(model._queues[BUY]._by_rank) == 0


def test_a_deeper_order_keeps_its_place(venue: Venue) -> None:
    venue.submit(BUY, 2, 99)
    venue.depth(levels((100, 0)), [])
    venue.trade(SELL, 99, 5)
    assert venue.fills() == []
    venue.trade(SELL, 99, 1)
    assert venue.fills() == [(99, 1)]


def test_a_trade_through_our_price_ignores_the_queue(venue: Venue) -> None:
    order = venue.submit(BUY, 4, 100)
    venue.trade(SELL, 99, "1.5")
    assert venue.fills(order) == [(100, D("1.5"))]


def test_a_printed_quantity_is_given_out_once_best_price_first(venue: Venue) -> None:
    low = venue.submit(BUY, 9, 99)
    first = venue.submit(BUY, 1, 100)
    second = venue.submit(BUY, 1, 100)
    venue.trade(SELL, 98, "1.5")
    assert [filled(venue, each) for each in (first, second, low)] == [1, D("0.5"), 0]


def test_two_of_ours_share_the_queue_ahead(venue: Venue) -> None:
    first = venue.submit(BUY, 1, 100)
    venue.depth(levels((100, 3)), [])
    second = venue.submit(BUY, 1, 100)
    venue.trade(SELL, 100, "3.5")
    assert filled(venue, first) == 1
    assert filled(venue, second) == 0
    venue.trade(SELL, 100, 1)
    assert filled(venue, second) == D("0.5"), "2 before the first, 1 between, 1 for the first, then us"


def test_where_the_book_cannot_see_the_queue_is_endless() -> None:
    venue = Venue()
    venue.quote(100, 101)
    order = venue.submit(BUY, 1, 99)
    venue.trade(SELL, 99, 1000)
    assert venue.fills() == []
    venue.quote(99, 101, 3)
    venue.trade(SELL, 99, 3)
    assert venue.fills() == []
    venue.trade(SELL, 99, 1)
    assert venue.fills(order) == [(99, 1)]


def test_a_lost_book_does_not_shorten_a_queue(venue: Venue) -> None:
    venue.submit(BUY, 1, 100)
    venue.market.book(SYMBOL).lose_depth()
    venue.trade(SELL, 100, 2)
    assert venue.fills() == []


# Prints that come late: the book has told of the trade before


def test_a_trade_that_the_book_has_shown_before_is_not_counted_twice(venue: Venue) -> None:
    venue.submit(BUY, 1, 100)
    venue.depth(levels((100, 1)), [])
    venue.trade(SELL, 100, 1, late=True)
    venue.trade(SELL, 100, 1)
    assert venue.fills() == [], "2 were ahead, and 2 have printed"
    venue.trade(SELL, 100, "0.5")
    assert venue.fills() == [(100, D("0.5"))]


def test_late_prints_are_of_those_who_were_ahead(venue: Venue) -> None:
    venue.submit(BUY, 1, 100)
    venue.depth(levels((100, 0)), [])
    venue.trade(SELL, 100, 2, late=True)
    assert venue.fills() == []
    venue.trade(SELL, 99, "0.25", late=True)
    assert venue.fills() == [(100, D("0.25"))], "through our price, and we were there"


def test_an_order_that_has_just_joined_gets_nothing_of_what_printed_before(venue: Venue) -> None:
    venue.depth(levels((100, 0)), [])
    old = venue.submit(BUY, "0.5", 99)
    venue.trade(SELL, 98, "0.5", late=True)
    assert venue.fills() == []
    venue.trade(SELL, 99, 6)
    assert venue.fills(old) == [(99, D("0.5"))], "5 were ahead of it when it joined"


def test_a_newcomer_does_not_stand_in_the_way(venue: Venue) -> None:
    first = venue.submit(BUY, 1, 100)
    venue.trade(SELL, 100, "0.5")
    second = venue.submit(BUY, 1, "100.5")
    third = venue.submit(BUY, 1, 100)
    venue.trade(SELL, 100, 2, late=True)
    assert venue.fills() == venue.fills(first) == [(100, D("0.5"))]
    venue.trade(SELL, 100, 1)
    assert venue.fills(second) == [(D("100.5"), 1)]
    assert venue.fills(third) == []


def test_a_clock_that_was_set_back_holds_nobody_up(venue: Venue) -> None:
    venue.submit(BUY, 1, "100.5")
    venue.clock.jump(-3600)
    venue.trade(SELL, "100.5", 1)
    assert venue.fills() == [(D("100.5"), 1)]


# Crossing


def test_a_quote_that_crosses_fills_at_our_price_up_to_its_size(venue: Venue) -> None:
    order = venue.submit(BUY, 4, 100)
    venue.depth(levels((100, 0)), levels(("99.5", 1), ("99.8", "0.5")))
    assert venue.fills(order) == [(100, D("1.5"))]
    assert venue.reports[-1].liquidity is Liquidity.MAKER
    venue.depth([], levels(("99.5", 1)))
    assert len(venue.fills(order)) == 1, "nothing new is displayed"
    venue.depth([], levels(("99.5", 2)))
    assert venue.fills(order)[1:] == [(100, 1)]


def test_unlimited_static_quotes_fill_everything() -> None:
    venue = Venue()
    venue.quote(100, 101, None, None)
    orders = [venue.submit(BUY, 10**6, 100), venue.submit(BUY, 5, "100.5")]
    assert venue.fills() == []
    venue.quote(99, 100, None, None)
    assert [filled(venue, each) for each in orders] == [10**6, 5]
    assert {price for price, _ in venue.fills()} == {D(100), D("100.5")}


def test_instant_fills_at_the_touch() -> None:
    venue = Venue(fill_model="instant")
    venue.quote(100, 101)
    venue.submit(BUY, 50)
    venue.submit(BUY, 60, 105, time_in_force=TimeInForce.FOK)
    assert venue.fills() == [(101, 50), (101, 60)]
    venue.reports.clear()
    venue.submit(SELL, 7, 102)
    venue.submit(BUY, 7, 99, time_in_force=TimeInForce.IOC)
    venue.trade(BUY, 103, 50)
    assert venue.fills() == []
    venue.quote(102, 103)
    assert venue.fills() == [(102, 7)]


# Invariants, whatever happens

TICK = st.integers(95, 105).map(Decimal)
SIZE = st.integers(1, 6).map(Decimal)
SIDES = st.sampled_from(OrderSide)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"),
            SIDES,
            SIZE,
            st.none() | TICK,
            st.sampled_from([TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]),
        ),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("quote"), TICK, st.integers(1, 3), SIZE, SIZE),
        st.tuples(st.just("depth"), SIDES, TICK, st.integers(0, 6).map(Decimal)),
        st.tuples(st.just("trade"), SIDES, TICK, SIZE),
    ),
    max_size=60,
)


class Checker:
    """Counts what the market offered, and holds every fill against it."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.orders: dict[str, Order] = {}
        self.filled: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.taken: dict[tuple[OrderSide, Decimal], Decimal] = {}
        self.ended: set[str] = set()
        venue.market.listen(self._shrink)

    def _shrink(self, symbol: str, _: Trade | None) -> None:
        """Runs after the executor: nothing it took may be more than is displayed."""
        book = self.venue.market.book(symbol)
        for side, price in list(self.taken):
            self.taken[side, price] = min(self.taken[side, price], book.ladder(side).size(price))

    def check(self, trade: Trade | None = None) -> None:
        """Look at the reports since the last check."""
        book = self.venue.market.book(SYMBOL)
        given = Decimal(0)
        for report in self.venue.reports:
            order = self.orders[report.client_order_id]
            assert report.client_order_id not in self.ended, "nothing follows an end"
            if report.exec_type in {ExecType.EXPIRED, ExecType.CANCELED, ExecType.REJECTED}:
                self.ended.add(report.client_order_id)
            if report.last_quantity is None or report.last_price is None:
                continue
            assert report.last_quantity > 0
            self.filled[order.client_order_id] += report.last_quantity
            assert self.filled[order.client_order_id] <= order.quantity
            if order.price is not None:
                better = report.last_price <= order.price if order.side is BUY else report.last_price >= order.price
                assert better, "the limit is respected"
            if trade is not None:
                assert order.side is OPPOSITE[trade.side]
                given += report.last_quantity
            if report.liquidity is Liquidity.TAKER:
                key = OPPOSITE[order.side], report.last_price
                self.taken[key] = self.taken.get(key, D(0)) + report.last_quantity
                assert self.taken[key] <= book.ladder(key[0]).size(key[1]), "no more than displayed"
        assert trade is None or given <= trade.quantity, "no more than printed"
        self._fok()
        self.venue.reports.clear()

    def _fok(self) -> None:
        for name, order in self.orders.items():
            if order.time_in_force is TimeInForce.FOK:
                assert self.filled[name] in {D(0), order.quantity}


def apply(venue: Venue, checker: Checker, action: tuple[object, ...]) -> Trade | None:
    match action:
        case ("submit", OrderSide() as side, Decimal() as quantity, price, TimeInForce() as tif):
            assert price is None or isinstance(price, Decimal)
            order = venue.order(side, quantity, price, time_in_force=tif)
            checker.orders[order.client_order_id] = order
            at_once(venue.executor.submit(order))
        case ("cancel", int() as index) if checker.orders:
            order = list(checker.orders.values())[index % len(checker.orders)]
            if order.client_order_id not in checker.ended and checker.filled[order.client_order_id] < order.quantity:
                venue.cancel(order)
        case ("quote", Decimal() as bid, int() as spread, Decimal() as bid_size, Decimal() as ask_size):
            venue.quote(bid, bid + spread, bid_size, ask_size)
        case ("depth", OrderSide() as side, Decimal() as price, Decimal() as size):
            top = venue.market.book(SYMBOL).top()
            if top is None or (price < top[1][0] if side is BUY else price > top[0][0]):
                bids, asks = ([(price, size)], []) if side is BUY else ([], [(price, size)])
                venue.depth(bids, asks)
        case ("trade", OrderSide() as side, Decimal() as price, Decimal() as quantity):
            trade = Trade(SYMBOL, side, price, quantity, "T", venue.clock.now())
            venue.market.apply(trade)
            return trade
    return None


@settings(deadline=None)
@given(st.booleans(), ACTIONS)
def test_fills_never_exceed_what_there_was(deep: bool, actions: list[tuple[object, ...]]) -> None:
    venue = Venue()
    checker = Checker(venue)
    if deep:
        venue.depth(levels((99, 3), (98, 3), (97, 3)), levels((101, 3), (102, 3), (103, 3)), snapshot=True)
    else:
        venue.quote(99, 101, 3, 3)
    for action in actions:
        checker.check(apply(venue, checker, action))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["join", "trade", "show"]), SIZE), max_size=40))
def test_queue_positions_equal_a_naive_model(steps: list[tuple[str, Decimal]]) -> None:
    """At one price that stays the touch: strangers ahead of each order, counted one order at a time."""
    venue = Venue()
    venue.quote(100, 101, 3)
    displayed = D(3)
    waiting: list[tuple[Order, Decimal, Decimal]] = []  # order, strangers ahead, leaves
    expected: defaultdict[str, Decimal] = defaultdict(Decimal)
    for step, size in steps:
        if step == "join":
            waiting.append((venue.submit(BUY, size, 100), displayed, size))
        elif step == "show":
            displayed = size
            venue.quote(100, 101, size)
            waiting = [(order, min(ahead, size), leaves) for order, ahead, leaves in waiting]
        else:
            venue.trade(SELL, 100, size)
            served = D(0)
            left, after = size, []
            for order, strangers, leaves in waiting:
                ahead = max(D(0), strangers - served)
                eaten = min(left, ahead)
                left, served = left - eaten, served + eaten
                quantity = min(left, leaves)
                left -= quantity
                expected[order.client_order_id] += quantity
                after.append((order, strangers, leaves - quantity))
            waiting = [(order, max(D(0), strangers - served), leaves) for order, strangers, leaves in after if leaves]
        got: defaultdict[str, Decimal] = defaultdict(Decimal)
        for report in venue.reports:
            got[report.client_order_id] += report.last_quantity or 0
        assert {name: total for name, total in got.items() if total} == {
            name: total for name, total in expected.items() if total
        }


# The recordings


class Flow:
    """Holds the maker fills of every single update against what that update printed or displays."""

    def __init__(self, venue: Venue, orders: dict[str, Order]) -> None:
        self.filled: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.by_trades = self.by_quotes = 0
        self._venue = venue
        self._orders = orders
        self._checked = 0
        venue.market.listen(self._see)

    def _see(self, symbol: str, trade: Trade | None) -> None:
        """Runs right after the executor has heard of the same update."""
        given: defaultdict[OrderSide, Decimal] = defaultdict(Decimal)
        for report in self._venue.reports[self._checked :]:
            if report.last_quantity is None or report.last_price is None:
                continue
            order = self._orders[report.client_order_id]
            assert order.price is not None
            self.filled[order.client_order_id] += report.last_quantity
            assert report.last_price <= order.price if order.side is BUY else report.last_price >= order.price
            if report.liquidity is Liquidity.TAKER:
                continue
            assert report.last_price == order.price
            given[order.side] += report.last_quantity
            if trade is None:
                self.by_quotes += 1
                assert given[order.side] <= self._displayed(symbol, order), "no more than displayed"
            else:
                self.by_trades += 1
                assert order.side is OPPOSITE[trade.side]
                assert trade.price <= order.price if order.side is BUY else trade.price >= order.price
                assert given[order.side] <= trade.quantity, "no more than printed"
        self._checked = len(self._venue.reports)

    def _displayed(self, symbol: str, order: Order) -> Decimal:
        """Return what the other side displays within the order's limit."""
        side, limit = order.side, order.price
        assert limit is not None
        ladder = self._venue.market.book(symbol).ladder(OPPOSITE[side])
        return sum((size for price, size in ladder if (price <= limit if side is BUY else price >= limit)), D(0))


async def walk(paths: list[Path], clip: Number) -> tuple[Flow, dict[str, Order]]:
    """Replay ``paths``, sending orders of ``clip`` behind, inside, at and through the touch on both sides."""
    clock = VirtualClock()
    market = MarketData(clock)
    venue = Venue(market=market, clock=clock)
    orders: dict[str, Order] = {}
    flow = Flow(venue, orders)
    symbol = next(read_recording(paths[1]))[1].symbol

    async def trade_along() -> None:
        quote = market.quote(symbol)
        if quote is None:
            return
        for side in OrderSide:
            own, other = quote.touch(OPPOSITE[side]), quote.touch(side)
            turn = len(orders) // 2 % 4
            order = venue.order(
                side,
                clip,
                [own, (own + other) / 2, other, own][turn],
                symbol=symbol,
                time_in_force=TimeInForce.IOC if turn == 2 else TimeInForce.GTC,
            )
            orders[order.client_order_id] = order
            await venue.executor.submit(order)

    feed = ReplayFeed(paths, speed=None, clock=clock, pace=trade_along, slice_ms=2000)
    await feed.run(market, lambda: None)
    assert market.refused.total() == 0
    return flow, orders


@pytest.mark.parametrize("market", ["small", *MARKETS])
@pytest.mark.asyncio
async def test_a_walk_through_a_recording_stays_inside_its_volumes(tmp_path: Path, market: str) -> None:
    paths = small_market(tmp_path) if market == "small" else real_market(market)
    if not paths:
        return
    flow, orders = await walk(paths, "0.7")
    assert all(total <= orders[name].quantity for name, total in flow.filled.items())
    if market != "small":
        assert len(flow.filled) > 100
        assert flow.by_trades > 100
        assert flow.by_quotes > 10
