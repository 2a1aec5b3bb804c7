"""The rebuilt book against a naive model, the real recordings, and our own consumption."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from operator import itemgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OrderSide
from router.market.book import UNLIMITED, DepthBook, DepthUpdate, Level
from router.market.feeds.recording import read_recording
from router.market.quotes import QuoteUpdate
from tests.recordings import MARKETS, real_market

NOW = datetime(2025, 1, 1, tzinfo=UTC)
BUY, SELL = OrderSide.BUY, OrderSide.SELL


def levels(*pairs: tuple[str | int, str | int]) -> list[Level]:
    return [(Decimal(price), Decimal(size)) for price, size in pairs]


def level(price: str | int, size: str | int) -> Level:
    return Decimal(price), Decimal(size)


def diff(
    first_id: int,
    last_id: int,
    *,
    bids: list[Level] | None = None,
    asks: list[Level] | None = None,
    prev_id: int | None = None,
) -> DepthUpdate:
    return DepthUpdate(
        symbol="BTC/USDT",
        snapshot=False,
        first_id=first_id,
        last_id=last_id,
        prev_id=prev_id,
        bids=bids or [],
        asks=asks or [],
        ts_event=NOW,
    )


def book(last_id: int = 10) -> DepthBook:
    made = DepthBook("BTC/USDT")
    made.snapshot(levels((99, 5), (100, 2)), levels((102, 4), (101, 3)), last_id)
    return made


def test_levels_come_best_first() -> None:
    made = book()
    assert list(made.bids) == levels((100, 2), (99, 5))
    assert list(made.asks) == levels((101, 3), (102, 4))
    assert made.top() == (level(100, 2), level(101, 3))


def test_a_diff_sets_and_removes() -> None:
    made = book()
    made.diff(diff(11, 12, bids=levels((100, 0), (98, 1)), asks=levels(("101.5", 1))))
    assert list(made.bids) == levels((99, 5), (98, 1))
    assert list(made.asks) == levels((101, 3), ("101.5", 1), (102, 4))


def test_diffs_before_the_snapshot_wait_for_it() -> None:
    made = DepthBook("BTC/USDT")
    made.diff(diff(5, 8, bids=levels((97, 1))))
    made.diff(diff(9, 11, bids=levels((98, 7))))
    made.diff(diff(12, 13, bids=levels((96, 1))))
    assert not made.is_deep
    made.snapshot(levels((100, 2)), levels((101, 3)), 10)
    assert list(made.bids) == levels((100, 2), (98, 7), (96, 1))
    assert made.gaps == 0


@pytest.mark.parametrize("prev_id", [None, 12])
def test_a_gap_leaves_only_the_quote_until_the_next_snapshot(prev_id: int | None) -> None:
    made = book()
    made.diff(diff(11, 11, bids=levels((98, 1)), prev_id=None if prev_id is None else 10))
    made.quote(level(100, 2), level(101, 3), 11)
    made.diff(diff(13, 14, bids=levels((97, 1)), prev_id=prev_id))
    assert (made.gaps, made.is_deep) == (1, False)
    assert list(made.bids) == levels((100, 2))
    made.snapshot(levels((100, 1)), levels((101, 1)), 12)
    assert made.is_deep
    assert list(made.bids) == levels((100, 1), (97, 1))


def test_a_perpetual_follows_prev_id() -> None:
    made = book()
    made.diff(diff(4, 20, bids=levels((98, 1)), prev_id=3))
    made.diff(diff(25, 30, bids=levels((97, 1)), prev_id=20))
    assert (made.gaps, len(made.bids)) == (0, 4)
    made.diff(diff(31, 35, prev_id=29))
    assert made.gaps == 1


def test_a_repeated_diff_changes_nothing() -> None:
    made = book()
    made.diff(diff(11, 12, bids=levels((100, 9))))
    made.diff(diff(11, 12, bids=levels((100, 7))))
    assert made.bids.size(Decimal(100)) == 9
    assert made.gaps == 0


def test_an_old_snapshot_does_not_turn_time_back() -> None:
    made = book()
    made.snapshot(levels((90, 1)), levels((91, 1)), 9)
    assert made.top() == (level(100, 2), level(101, 3))


def test_a_newer_quote_speaks_for_the_top() -> None:
    made = book()
    assert made.quote(level(99, 4), level("101.5", 1), 11)
    assert list(made.bids) == levels((99, 4))
    assert list(made.asks) == levels(("101.5", 1), (102, 4))
    assert not made.depth_speaks


def test_an_older_quote_is_not_heard() -> None:
    made = book()
    assert not made.quote(level(99, 4), level("101.5", 1), 9)
    assert made.top() == (level(100, 2), level(101, 3))


def test_newer_depth_undoes_what_the_quote_hid() -> None:
    made = book()
    made.quote(level(99, 4), level("101.5", 1), 11)
    made.diff(diff(11, 12, bids=levels((98, 1))))
    assert list(made.bids) == levels((100, 2), (99, 5), (98, 1))
    assert list(made.asks) == levels((101, 3), (102, 4))
    assert made.depth_speaks


def test_older_depth_stays_under_the_quote() -> None:
    made = book()
    made.quote(level(99, 4), level(101, 1), 20)
    made.diff(diff(11, 12, bids=levels((100, 8), (98, 1))))
    assert list(made.bids) == levels((99, 4), (98, 1))
    assert made.asks.best() == level(101, 1)


def test_without_depth_the_quote_is_the_book() -> None:
    made = DepthBook("BTC/USDT")
    made.quote((Decimal(99), UNLIMITED), level(101, 1), None)
    made.quote(level(98, 2), level(100, 1), None)
    assert list(made.bids) == levels((98, 2))
    assert list(made.asks) == levels((100, 1))


def test_where_the_book_cannot_see() -> None:
    made = DepthBook("BTC/USDT")
    assert made.displayed(BUY, Decimal(100)) is None
    made.quote(level(98, 2), level(100, 1), None)
    seen = [made.displayed(BUY, Decimal(price)) for price in (97, 98, 99)]
    assert seen == [None, 2, 0]
    assert [made.displayed(SELL, Decimal(price)) for price in (99, 100, 101)] == [0, 1, None]


# Consumption


def test_what_was_taken_is_not_there_again() -> None:
    made = book()
    mine, other = made.consumption(), made.consumption()
    mine.take(BUY, Decimal(100), Decimal("1.5"))
    assert list(mine.levels(BUY)) == levels((100, "0.5"), (99, 5))
    assert list(other.levels(BUY)) == levels((100, 2), (99, 5))
    mine.take(BUY, Decimal(100), Decimal("0.5"))
    assert list(mine.levels(BUY)) == levels((99, 5))


def test_more_than_displayed_cannot_be_taken() -> None:
    mine = book().consumption()
    with pytest.raises(AssertionError):
        mine.take(BUY, Decimal(100), Decimal("2.1"))


def test_a_smaller_size_counts_as_partly_ours_a_vanished_level_as_new() -> None:
    made = book()
    mine = made.consumption()
    mine.take(SELL, Decimal(101), Decimal(2))
    made.diff(diff(11, 11, asks=levels((101, 1))))
    assert mine.available(SELL, Decimal(101)) == 0
    made.diff(diff(12, 12, asks=levels((101, 5))))
    assert mine.available(SELL, Decimal(101)) == 4
    made.diff(diff(13, 13, asks=levels((101, 0))))
    made.diff(diff(14, 14, asks=levels((101, 5))))
    assert mine.available(SELL, Decimal(101)) == 5


def test_a_quote_that_the_depth_confirms_is_not_sold_again() -> None:
    """A level that only the quote knew must not count as new when the depth stream names it too."""
    made = book()
    mine = made.consumption()
    made.quote(level("100.5", 3), level(101, 3), 11)
    mine.take(BUY, Decimal("100.5"), Decimal(3))
    made.diff(diff(11, 12, bids=levels(("100.5", 3))))
    assert mine.available(BUY, Decimal("100.5")) == 0


def test_a_flickering_quote_does_not_sell_its_size_again() -> None:
    made = DepthBook("BTC/USDT")
    mine = made.consumption()
    made.quote(level(99, 5), level(101, 5), None)
    mine.take(SELL, Decimal(101), Decimal(4))
    made.quote(level(99, 5), level("100.5", 1), None)
    assert list(mine.levels(SELL)) == levels(("100.5", 1))
    made.quote(level(99, 5), level(101, 5), None)
    assert list(mine.levels(SELL)) == levels((101, 1)), "it was only hidden behind the better quote"
    made.quote(level(99, 5), level(102, 5), None)
    made.quote(level(99, 5), level(101, 5), None)
    assert list(mine.levels(SELL)) == levels((101, 5)), "it was gone"
    mine.take(SELL, Decimal(101), Decimal(4))
    for ask in ("100.5", 102, 101):
        made.quote(level(99, 5), level(ask, 5), None)
    assert list(mine.levels(SELL)) == levels((101, 5)), "it went while it was hidden"


def test_a_best_quote_that_was_left_behind_offers_no_more_than_the_depth_says() -> None:
    made = book()
    mine = made.consumption()
    made.quote(level(100, 2), level(102, 9), 12)
    made.quote(level(100, 2), level("101.5", 9), 13)
    made.quote(level(100, 2), level("101.2", 1), 14)
    assert list(mine.levels(SELL)) == levels(("101.2", 1), (102, 4)), "9 may be one order that moved"
    assert list(made.asks)[:3] == levels(("101.2", 1), ("101.5", 9), (102, 9))


def test_lost_depth_does_not_make_taken_sizes_new() -> None:
    made = book()
    mine = made.consumption()
    mine.take(SELL, Decimal(101), Decimal(3))
    made.diff(diff(20, 21))
    assert made.gaps == 1
    made.snapshot(levels((100, 2)), levels((101, 3), (102, 4)), 30)
    assert list(mine.levels(SELL)) == levels((102, 4))


def test_what_was_taken_far_from_the_touch_is_forgotten_in_the_end() -> None:
    made = DepthBook("BTC/USDT")
    mine = made.consumption()
    for price in range(5000, 2000, -1):
        made.quote(level(1, 1), level(price, 1), None)
        mine.take(SELL, Decimal(price), Decimal(1))
    made.quote(level(1, 1), level(2500, 1), None)
    assert list(mine.levels(SELL)) == []
    made.quote(level(1, 1), level(4000, 1), None)
    assert list(mine.levels(SELL)) == levels((4000, 1))


def test_unlimited_stays_unlimited() -> None:
    made = DepthBook("BTC/USDT")
    made.quote((Decimal(99), UNLIMITED), (Decimal(101), UNLIMITED), None)
    mine = made.consumption()
    mine.take(SELL, Decimal(101), Decimal(10**9))
    assert mine.available(SELL, Decimal(101)) == UNLIMITED


# The book against a model that starts from everything it was told, each time

PRICES = st.integers(90, 110).map(Decimal)
SIZES = st.integers(0, 4).map(Decimal)
SOME_LEVELS = st.lists(st.tuples(PRICES, SIZES), max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("diff"), SOME_LEVELS, SOME_LEVELS),
        st.tuples(
            st.just("quote"),
            st.tuples(PRICES, st.integers(1, 4).map(Decimal)),
            st.tuples(PRICES, st.integers(1, 4).map(Decimal)),
            st.integers(-2, 3),
        ),
        st.tuples(st.just("take"), st.sampled_from(OrderSide), PRICES, st.integers(1, 4).map(Decimal)),
    ),
    max_size=30,
)


class NaiveBook:
    """Depth and the quotes since, put together from nothing whenever somebody asks."""

    def __init__(self) -> None:
        self.depth: dict[OrderSide, dict[Decimal, Decimal]] = {BUY: {}, SELL: {}}
        self.quotes: list[tuple[int, Level, Level]] = []

    def side(self, side: OrderSide) -> list[Level]:
        merged = dict(self.depth[side])
        for _, *best in self.quotes:
            price, size = best[side is SELL]
            merged = {p: s for p, s in merged.items() if (p <= price if side is BUY else p >= price)}
            merged[price] = size
        return sorted(((p, s) for p, s in merged.items() if s), reverse=side is BUY)


@settings(deadline=None)
@given(STEPS)
def test_the_book_equals_a_naive_model(steps: list[tuple[object, ...]]) -> None:
    made, naive, last_id = DepthBook("X/Y"), NaiveBook(), 100
    made.snapshot([], [], last_id)
    mine = made.consumption()
    for step in steps:
        match step:
            case ("diff", list() as bids, list() as asks):
                last_id += 1
                made.diff(diff(last_id, last_id, bids=bids, asks=asks))
                naive.depth[BUY].update(bids)
                naive.depth[SELL].update(asks)
                naive.quotes = [quote for quote in naive.quotes[-1:] if quote[0] >= last_id]
            case ("quote", tuple() as bid, tuple() as ask, int() as ahead):
                number = last_id + ahead
                newest = max([last_id, *(quote[0] for quote in naive.quotes)])
                assert made.quote(bid, ask, number) == (number >= newest)
                if number >= newest:
                    naive.quotes.append((number, bid, ask))
            case ("take", OrderSide() as side, Decimal() as price, Decimal() as size):
                if mine.available(side, price) >= size:
                    mine.take(side, price, size)
        for side in OrderSide:
            assert list(made.ladder(side)) == naive.side(side)
            left = dict(mine.levels(side))
            for price, size in made.ladder(side):
                assert 0 <= mine.available(side, price) <= size
                assert left.get(price, 0) == mine.available(side, price)


# The real recordings


@pytest.mark.parametrize("market", MARKETS)
def test_the_rebuilt_top_is_the_recorded_quote(market: str) -> None:
    paths = real_market(market)
    if not paths:
        return
    quoted = {}
    for _, update in read_recording(paths[1]):
        assert isinstance(update, QuoteUpdate)
        quoted[update.update_id] = (update.bid, update.bid_size), (update.ask, update.ask_size)
    rebuilt = DepthBook("any")
    shared = 0
    for _, update in read_recording(paths[2]):
        assert isinstance(update, DepthUpdate)
        if update.snapshot:
            rebuilt.snapshot(update.bids, update.asks, update.last_id)
        else:
            rebuilt.diff(update)
        if rebuilt.is_deep and update.last_id in quoted:
            shared += 1
            assert rebuilt.top() == quoted[update.last_id], update.last_id
    assert rebuilt.gaps == 0
    assert shared == {"spot_btc": 564, "spot_eth": 577, "usdm_btc": 629}[market[8:16]]


@pytest.mark.parametrize("market", MARKETS)
def test_real_quotes_leave_no_trace_once_depth_is_newer(market: str) -> None:
    paths = real_market(market)
    if not paths:
        return
    merged, pure = DepthBook("merged"), DepthBook("depth only")
    spoke = 0
    for _, update in heapq.merge(read_recording(paths[1]), read_recording(paths[2]), key=itemgetter(0)):
        if isinstance(update, QuoteUpdate):
            merged.quote((update.bid, update.bid_size), (update.ask, update.ask_size), update.update_id)
            continue
        assert isinstance(update, DepthUpdate)
        for each in (merged, pure):
            if update.snapshot:
                each.snapshot(update.bids, update.asks, update.last_id)
            else:
                each.diff(update)
        if merged.depth_speaks:
            spoke += 1
            for side in OrderSide:
                assert list(islice(merged.ladder(side), 50)) == list(islice(pure.ladder(side), 50))
    assert (merged.gaps, pure.gaps) == (0, 0)
    assert spoke > 500
