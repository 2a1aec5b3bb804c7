"""The shadow report: each definition by hand, all of it against plain arithmetic, and a real recording traded."""

from __future__ import annotations

import csv
import gzip
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import ExecutionPipeline, OrderIntent
from router.clock import SystemClock
from router.domain.enums import OrderSide
from router.domain.events import (
    AccountOpened,
    AnyEvent,
    Cancelled,
    Event,
    Expired,
    Filled,
    OrderEvent,
    PartiallyFilled,
    Pending,
    Rejected,
    Submitted,
)
from router.market.feeds.replay import ReplayFeed
from router.market.quotes import MarketData
from router.operations.shadow_report import NO_STRATEGY, ShadowOrder, ShadowReport, build_report
from tests.factories import PROPERTY
from tests.operations.shadow import NOON, D, S, after, ended, fill, lively, lively_report, order, pending
from tests.pipelines import LOOSE, settings, stored
from tests.recordings import MARKETS, real_market, small_market


class TestDecisionPrice:
    """What was decided."""

    @pytest.mark.parametrize(("side", "touch"), [("buy", "101"), ("sell", "99"), ("SELL", "99")])
    def test_it_is_the_touch_on_the_orders_side(self, side: str, touch: str) -> None:
        assert order(pending(side=side)).decision_price == D(touch)

    @pytest.mark.parametrize("kind", ["limit", "market"])
    def test_a_price_of_its_own_goes_first(self, kind: str) -> None:
        assert order(pending(order_type=kind, price="100.5")).decision_price == D("100.5")

    def test_without_price_and_quote_there_is_none_and_nothing_is_compared(self) -> None:
        report = build_report([pending(bid=None), fill(100, fee="0.5")])
        (found,) = report.orders
        assert (found.decision_price, found.slippage_bps, found.slippage_cost) == (None, None, None)
        assert found.average_price == 100
        assert report.undecided == 1
        assert report.strategies[0].slippage_mean_bps is None
        (amounts,) = report.strategies[0].amounts
        assert (amounts.wanted, amounts.fill_ratio, amounts.cost) == (D(0), None, D("0.5"))


class TestSlippage:
    """Would-be fill against decision."""

    @pytest.mark.parametrize(
        ("side", "price", "bps"), [("buy", "101.01", 1), ("buy", "100.99", -1), ("sell", "100.99", 1), ("sell", 101, 0)]
    )
    def test_positive_is_worse_in_basis_points_of_the_decision_price(self, side: str, price: str, bps: int) -> None:
        found = order(pending(side=side, price="101"), fill(price))
        assert found.slippage_bps is not None
        assert round(found.slippage_bps * 101) == bps * 100

    def test_fills_count_by_their_quantity(self) -> None:
        found = order(pending(quantity="4"), fill(102, 3, leaves=1), fill(106, 1))
        assert found.average_price == 103
        assert found.slippage_bps == D(2) / D(101) * 10_000
        assert found.slippage_cost == 8

    def test_a_strategy_tells_mean_median_p95_and_worst_of_its_orders(self) -> None:
        events: list[AnyEvent] = []
        for number in range(1, 101):
            events += [pending(f"U{number}", bid="100", ask="100"), fill(100 + D(number) / 100, 1, f"U{number}")]
        (summary,) = build_report(events).strategies
        assert summary.slippage_mean_bps == D("50.5")
        assert summary.slippage_median_bps == D("50.5")
        assert (summary.slippage_p95_bps, summary.slippage_worst_bps) == (D(95), D(100))

    def test_one_side_of_a_symbol_compares_average_decision_and_fill(self) -> None:
        events = [
            pending("U1", price="100"), fill(101, 1, "U1"),
            pending("U2", quantity="3", price="200"), fill(202, 3, "U2"),
            pending("U3", "sell", price="100"), fill(99, 1, "U3"),
            pending("U4", "sell", price="100"),
        ]  # fmt: skip
        buys, sells = build_report(events).strategies[0].markets
        assert (buys.symbol, buys.side, buys.orders, buys.filled_quantity) == ("BTC/USD", OrderSide.BUY, 2, D(4))
        assert (buys.decision_price, buys.average_price, buys.slippage_bps) == (D(175), D("176.75"), D(100))
        assert (sells.side, sells.orders, sells.filled_quantity) == (OrderSide.SELL, 2, D(1))
        assert (sells.decision_price, sells.average_price, sells.slippage_bps) == (D(100), D(99), D(100))


class TestTime:
    """Time to fill, in the market's time."""

    def test_first_and_last_fill_minus_decision(self) -> None:
        found = order(pending(quantity="2"), fill(101, leaves=1, seconds=1.5), fill(101, seconds=9))
        assert (found.first_fill_s, found.last_fill_s) == (1.5, 9.0)

    def test_an_old_journal_decides_by_the_quote_else_by_our_clock(self) -> None:
        assert order(pending(at=None, quoted_at=after(3), recorded_at=after(9))).decided_at == after(3)
        assert order(pending(at=None, bid=None, recorded_at=after(9))).decided_at == after(9)

    @pytest.mark.parametrize("seconds", [None, -1])
    def test_a_fill_without_a_time_after_the_decision_has_none_and_is_counted(self, seconds: float | None) -> None:
        report = build_report([pending(), fill(101, seconds=seconds)])
        assert (report.orders[0].first_fill_s, report.untimed) == (None, 1)
        assert report.strategies[0].first_fill_median_s is None

    def test_a_time_without_zone_is_utc(self) -> None:
        assert order(pending(at=NOON.replace(tzinfo=None)), fill(101, seconds=2)).first_fill_s == 2


class TestOutcomes:
    """What would have become of orders."""

    def test_orders_are_counted_by_fill_and_by_how_they_stand(self) -> None:
        events = [
            pending("U1"), fill(101, 1, "U1"),
            pending("U2"), fill(101, "0.5", "U2", leaves="0.5"), ended(Expired, "U2", S.EXPIRED),
            pending("U3"), ended(Cancelled, "U3"),
            pending("U4"), ended(Rejected, "U4", S.REJECTED),
            pending("U5"),
        ]  # fmt: skip
        (each,) = build_report(events).strategies
        assert (each.orders, each.filled, each.partly, each.unfilled) == (5, 1, 1, 3)
        assert (each.working, each.expired, each.cancelled, each.rejected) == (1, 1, 1, 1)
        assert each.amounts[0].fill_ratio == D("0.3")

    def test_a_late_fill_counts_and_the_order_stays_cancelled(self) -> None:
        late = fill(101, "0.25", status=S.CANCELLED)
        found = order(pending(), ended(Cancelled), late)
        assert (found.status, found.filled_quantity, found.fill_ratio) == (S.CANCELLED, D("0.25"), D("0.25"))

    def test_an_amended_order_wants_what_its_fills_say(self) -> None:
        assert order(pending(), fill(101, 1, leaves=3)).fill_ratio == D("0.25")
        assert order(pending(quantity="4"), fill(101, 1)).fill_ratio == 1

    def test_what_the_report_does_not_know_it_passes_over(self) -> None:
        class Overtaken(OrderEvent, frozen=True, kw_only=True, tag="overtaken"):
            pass

        accepted = Submitted(seq=2, ts_recorded=NOON, run_id="run", status=S.SUBMITTED, client_order_id="U1")
        strange: list[Event] = [
            AccountOpened(seq=1, ts_recorded=NOON, environment="shadow", balances={}),
            pending(),
            accepted,
            Overtaken(seq=3, ts_recorded=NOON, run_id="run", status=S.SUCCESS, client_order_id="U1"),
            fill(1, 1, "nobody's"),
        ]
        (found,) = build_report(strange).orders
        assert (found.status, found.filled_quantity) == (S.SUBMITTED, D(0))


class TestMoney:
    """Amounts stay in their currency."""

    def test_currencies_are_never_added_up(self) -> None:
        events = [
            pending("U1", price="100", symbol="BTC/USD"), fill(101, 1, "U1", fee="0.1"),
            pending("U2", price="100", symbol="BTC/EUR"), fill(100, 1, "U2", fee="0.2", fee_currency="EUR"),
            pending("U3", price="50", symbol="ETH/EUR:EUR"),
            pending("U4", price="10", symbol="X/USD"), fill(9, 1, "U4", fee="0.3", fee_currency="BNB"),
            pending("U5", price="10", symbol="X/USD"), fill(10, 1, "U5", fee="-0.4", fee_currency=None),
        ]  # fmt: skip
        bnb, eur, usd = build_report(events).strategies[0].amounts
        assert (bnb.currency, bnb.wanted, bnb.fill_ratio, bnb.cost) == ("BNB", D(0), None, D("0.3"))
        assert (eur.currency, eur.wanted, eur.filled) == ("EUR", D(150), D(100))
        assert (eur.slippage_cost, eur.cost) == (D(0), D("0.2"))
        assert (usd.currency, usd.wanted) == ("USD", D(120))
        assert (usd.slippage_cost, usd.fees, usd.cost) == (D(0), D("-0.3"), D("-0.3"))


class TestChoice:
    """Whose orders are looked at."""

    EVENTS = (
        pending("U1"),
        pending("U2", strategy_key=None, at=after(60)),
        pending("U3", strategy_key="", symbol="ETH/USD", at=after(120)),
        pending("P1", environment="paper"),
        fill(101, 1, "P1"),
    )

    @pytest.mark.parametrize(
        ("chosen", "ids"),
        [
            ({}, ["U1", "U2", "U3"]),
            ({"strategy": "a"}, ["U1"]),
            ({"strategy": NO_STRATEGY}, ["U2", "U3"]),
            ({"symbol": "ETH/USD"}, ["U3"]),
            ({"since": after(60)}, ["U2", "U3"]),
            ({"since": after(61).replace(tzinfo=None)}, ["U3"]),
            ({"environment": "paper"}, ["P1"]),
        ],
    )
    def test_by_environment_strategy_symbol_and_time(self, chosen: dict[str, Any], ids: list[str]) -> None:
        report = build_report(self.EVENTS, **chosen)
        assert [each.client_order_id for each in report.orders] == ids
        assert report.left_out == (0 if "environment" in chosen else 3 - len(ids))

    def test_strategies_come_by_name(self) -> None:
        assert [each.strategy for each in build_report(self.EVENTS).strategies] == ["a", NO_STRATEGY]


@pytest.mark.parametrize(
    "order_of",
    [
        {"quantity": "Infinity"}, {"quantity": "NaN"}, {"quantity": "0"}, {"quantity": "-1"}, {"quantity": None},
        {"quantity": "1e30"}, {"side": "sideways"}, {"side": None},
    ],
)  # fmt: skip
def test_an_order_that_nobody_can_use_is_counted_and_left_out(order_of: dict[str, Any]) -> None:
    report = build_report([pending(**order_of), fill(100)])
    assert (report.orders, report.unusable) == ((), 1)


@pytest.mark.parametrize(
    "bad", [{"price": "Infinity"}, {"price": "NaN"}, {"price": 0}, {"quantity": "Infinity"}, {"fee": "NaN"}]
)
def test_a_fill_that_nobody_can_use_is_counted_and_left_out(bad: dict[str, Any]) -> None:
    report = build_report([pending(), fill(**{"price": 100, "quantity": 1, "leaves": 1} | bad)])
    assert (report.orders[0].filled_quantity, report.unusable) == (D(0), 1)


@pytest.mark.parametrize("bad", ["Infinity", "NaN", "0", "-5"])
def test_a_price_that_nobody_can_use_is_no_decision(bad: str) -> None:
    assert order(pending(bid=bad, ask=bad, price=bad)).decision_price is None


_PRICES = st.decimals("0.00001", "1000000", places=5)
_FILLS = st.lists(st.tuples(_PRICES, st.decimals("0.001", "1000", places=3), st.integers(0, 10_000)), max_size=4)


@PROPERTY
@given(
    st.lists(st.tuples(st.sampled_from(OrderSide), _PRICES, st.sampled_from("abc"), _FILLS), min_size=1, max_size=12)
)
def test_any_journal_adds_up(orders: list[tuple[OrderSide, Decimal, str, list[tuple[Decimal, Decimal, int]]]]) -> None:
    events: list[AnyEvent] = []
    for number, (side, price, strategy, fills) in enumerate(orders):
        events.append(pending(f"U{number}", side, "5000", price=price, strategy_key=strategy))
        events += [fill(at, much, f"U{number}", seconds=wait, leaves="1") for at, much, wait in fills]
    report = build_report(events)
    for found, (side, price, _, fills) in zip(report.orders, orders, strict=True):
        sign = 1 if side is OrderSide.BUY else -1
        assert found.filled_quantity == sum(much for _, much, _ in fills)
        if fills:
            cost = sum(((at - price) * much * sign for at, much, _ in fills), D(0))
            assert found.slippage_cost == pytest.approx(cost)
            assert found.slippage_bps == pytest.approx(cost / found.filled_quantity / price * 10_000)
            assert (found.first_fill_s, found.last_fill_s) == (fills[0][2], fills[-1][2])
        else:
            assert (found.slippage_bps, found.first_fill_s) == (None, None)
    for each in report.strategies:
        mine = [found for found in report.orders if found.strategy == each.strategy]
        assert each.orders == len(mine) == each.filled + each.partly + each.unfilled
        slippage = [found.slippage_bps for found in mine if found.slippage_bps is not None]
        assert (each.slippage_median_bps, each.slippage_worst_bps) == (
            (median(slippage), max(slippage)) if slippage else (None, None)
        )
        assert sum(market.orders for market in each.markets) == len(mine)
        assert each.amounts[0].slippage_cost == sum(found.slippage_cost or 0 for found in mine)
    assert build_report(events) == report


def test_it_reads_once_and_is_the_same_every_time() -> None:
    assert build_report(iter(list(lively(200)))) == lively_report(200)
    assert msgspec.json.decode(msgspec.json.encode(lively_report(50)), type=ShadowReport) == lively_report(50)


# -- a real recording, traded in shadow and checked against its own rows -----------------------------------------


class Desk:
    """A feed that stops the recording now and then, and lets two strategies act while it stands still."""

    def __init__(self, paths: list[Path], *, stride: int) -> None:
        self.pipeline: ExecutionPipeline
        self.turns = 0
        self.moments: list[tuple[datetime, list[str]]] = []  # when the strategies acted, and the orders they sent
        self._paths = paths
        self._slices = 0
        self._stride = stride
        self._opened, self.closed = anyio.Event(), anyio.Event()

    async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
        def quoted() -> None:
            self._slices = 1
            ready()

        await ReplayFeed(self._paths, speed=None, clock=SystemClock(), pace=self._pace, slice_ms=20).run(market, quoted)
        self.closed.set()

    def open(self, pipeline: ExecutionPipeline) -> None:
        self.pipeline = pipeline
        self._opened.set()

    async def _pace(self) -> None:
        if not self._slices:
            return
        await self._opened.wait()
        self._slices += 1
        if self._slices % self._stride == 0:
            self.turns += 1
            await self._act()

    async def _act(self) -> None:
        quote = self.pipeline.market.quote("BTC/USDT")
        assert quote is not None
        side = side_of(self.turns)
        touch, own = (quote.ask, quote.bid) if side is OrderSide.BUY else (quote.bid, quote.ask)
        wanted: list[dict[str, Any]] = [
            {"strategy_key": "taker", "quantity": "0.2"},
            {"strategy_key": "decided", "quantity": "0.21", "price": touch + 1},
            {"strategy_key": "maker", "quantity": "0.2", "order_type": "limit", "price": own},
        ]
        if side is not side_of(self.turns - 1):  # or they would meet their own resting orders
            await self.pipeline.cancel_all()
        sent = []
        for fields in wanted:
            result = await self.pipeline.submit_order(OrderIntent(symbol="BTC/USDT", side=side, **fields))
            assert result.is_success, result.reason
            sent.append(result.client_order_id or "")
        self.moments.append((self.pipeline.market.time(), sent))


def side_of(turn: int) -> OrderSide:
    return OrderSide.BUY if turn // 20 % 2 == 0 else OrderSide.SELL


Rows = list[dict[str, str]]


def rows_of(path: Path) -> Rows:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return list(csv.DictReader(file))


def microseconds(row: dict[str, str]) -> int:
    return int(row["ts_recv_ns"]) // 1000


def instant(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


_connects: list[list[object]] = []


def _watch_connects(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and _connects:
        _connects[-1].append(arguments)


@pytest.fixture
def connects() -> Iterator[list[object]]:
    """What this process connects to meanwhile."""
    if not hasattr(_watch_connects, "installed"):  # a hook stays for good
        sys.addaudithook(_watch_connects)
        _watch_connects.installed = True  # type: ignore[attr-defined]
    seen: list[object] = []
    _connects.append(seen)
    yield seen
    _connects.pop()


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["small", MARKETS[0]])
async def test_a_recording_traded_in_shadow_tells_what_its_rows_tell(
    tmp_path: Path, connects: list[object], name: str
) -> None:
    paths = (small_market(tmp_path) if name == "small" else real_market(name))[:2]  # without depth, the touch is all
    if not paths:
        return
    desk = Desk(paths, stride=2 if name == "small" else 40)
    overrides = {
        "paper.fill_model": "queue",
        "paper.taker_fee_bps": "10",
        "paper.starting_balances": {"USDT": "9999999"},
    }
    configured = settings(tmp_path / "home", overrides, limits={**LOOSE, "base_currency": "USDT"})
    async with ExecutionPipeline("shadow", configured, feed=desk) as pipeline:
        desk.open(pipeline)
        await desk.closed.wait()
        await pipeline.idle()
        assert_paper_is_untouched(pipeline)
    events = stored(tmp_path / "home")
    assert connects == [], "nothing may be routed"
    assert_only_shadow_traded(events)

    report = build_report(events)
    assert [each.strategy for each in report.strategies] == ["decided", "maker", "taker"]
    assert len(report.orders) == 3 * desk.turns > 0
    trades, quotes = map(rows_of, paths)
    fresh = check_takers(report, desk, quotes, maker_fills(events))
    filled = check_makers(report, trades, quotes)
    if name != "small":
        assert desk.turns > 100
        assert fresh > 20
        assert filled > 50


def assert_paper_is_untouched(pipeline: ExecutionPipeline) -> None:
    paper = pipeline._accounts["paper"].portfolio
    assert (paper.cash, paper.positions, paper.fees) == ({"USDT": D(9999999)}, {}, {})
    assert pipeline._executors["paper"]._open == {}  # type: ignore[attr-defined]
    assert pipeline._executors["paper"]._models == {}  # type: ignore[attr-defined]


def assert_only_shadow_traded(events: list[AnyEvent]) -> None:
    assert {event.environment for event in events if isinstance(event, Pending)} == {"shadow"}
    venue_ids = [event.venue_order_id or "" for event in events if isinstance(event, Submitted)]
    assert venue_ids
    assert all(each.startswith("S") for each in venue_ids)


def maker_fills(events: list[AnyEvent]) -> list[datetime]:
    makers = {e.client_order_id for e in events if isinstance(e, Pending) and e.intent.strategy_key == "maker"}
    fills = [e for e in events if isinstance(e, Filled | PartiallyFilled) and e.client_order_id in makers]
    return [e.ts_event for e in fills if e.ts_event is not None]


def check_takers(report: ShadowReport, desk: Desk, quotes: Rows, maker_fills: list[datetime]) -> int:
    """A market order gets the touch that the recording displays at its moment, as far as that goes, and no more.

    What was taken at a price is not given out twice; returns at how many prices nothing can have been taken before.
    """
    moments = [microseconds(row) for row in quotes]
    orders = {found.client_order_id: found for found in report.orders}

    def row_at(moment: datetime) -> dict[str, str]:
        return quotes[bisect_right(moments, instant(moment)) - 1]

    met = {(side, D(row_at(moment)[side])) for moment in maker_fills for side in ("bid", "ask")}
    fresh = 0
    for turn, (moment, (taker_id, decided_id, _)) in enumerate(desk.moments, 1):
        side, sign = ("ask", 1) if side_of(turn) is OrderSide.BUY else ("bid", -1)
        touch, displayed = (D(row_at(moment)[column]) for column in (side, f"{side}_size"))
        taker, decided = orders[taker_id], orders[decided_id]
        assert taker.decision_price == touch
        assert decided.decision_price == touch + 1
        assert taker.filled_quantity + decided.filled_quantity <= displayed
        if (side, touch) not in met:
            fresh += 1
            assert taker.filled_quantity == min(D("0.2"), displayed)
            assert decided.filled_quantity == min(D("0.21"), displayed - taker.filled_quantity)
        for found, expected in ((taker, D(0)), (decided, -sign / (touch + 1) * 10_000)):
            assert found.status == (S.FILLED if found.fill_ratio == 1 else S.EXPIRED)
            if found.filled_quantity:
                assert found.average_price == touch
                assert found.slippage_bps == pytest.approx(expected)
                assert found.first_fill_s == found.last_fill_s == 0
                assert found.fees == {"USDT": touch * found.filled_quantity / 1000}
        met.add((side, touch))
    summary = next(each for each in report.strategies if each.strategy == "taker")
    assert summary.slippage_worst_bps == 0
    return fresh


def check_makers(report: ShadowReport, trades: Rows, quotes: Rows) -> int:
    """A passive order fills at its own price, when a trade printed there or a quote crossed it."""
    makers = [found for found in report.orders if found.strategy == "maker" and found.filled_quantity]
    times = [[microseconds(row) for row in rows] for rows in (trades, quotes)]
    for found in makers:
        assert found.average_price == found.decision_price
        assert (found.slippage_bps, found.slippage_cost) == (D(0), D(0))
        assert found.first_fill_s is not None
        assert found.last_fill_s is not None
        start = instant(found.decided_at)
        first, last = start + round(found.first_fill_s * 1e6), start + round(found.last_fill_s * 1e6)
        printed, crossing = (
            [row for row in rows[bisect_right(at, start) : bisect_right(at, last)] if reaches(row, found)]
            for rows, at in zip((trades, quotes), times, strict=True)
        )
        assert first in map(microseconds, printed + crossing), "nothing happened when it was filled"
        assert last in map(microseconds, printed + crossing)
        other = "ask" if found.side is OrderSide.BUY else "bid"
        shown = {
            row[other]: max(D(each[f"{other}_size"]) for each in crossing if each[other] == row[other])
            for row in crossing
        }
        assert found.filled_quantity <= sum(D(row["qty"]) for row in printed) + sum(shown.values())
    return len(makers)


def reaches(row: dict[str, str], found: ShadowOrder) -> bool:
    """Whether a trade took from where the order waited, or a quote crossed it."""
    limit = found.decision_price
    assert limit is not None
    if found.side is OrderSide.BUY:
        return row["side"] == "sell" and D(row["price"]) <= limit if "side" in row else D(row["ask"]) <= limit
    return row["side"] == "buy" and D(row["price"]) >= limit if "side" in row else D(row["bid"]) >= limit
