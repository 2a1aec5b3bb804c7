"""The charts: well-formed, true to the orders, readable without colours."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.events import AnyEvent
from router.operations.shadow_chart import LEGEND, mark, price_chart, slippage_chart, text, time_chart
from router.operations.shadow_report import ShadowOrder, build_report
from tests.factories import PROPERTY
from tests.operations.shadow import HOSTILE, D, after, fill, lively, lively_report, pending

Chart = Callable[[list[ShadowOrder]], str]
CHARTS: tuple[Chart, ...] = (
    lambda orders: slippage_chart(orders, "n"),
    lambda orders: time_chart(orders, "n", 500),
    lambda orders: price_chart("BTC/USD", orders, "n", 500),
)


def slipped(*slippage: object) -> list[ShadowOrder]:
    """Return orders that were decided at 100 and bought so much higher."""
    events: list[AnyEvent] = []
    for number, each in enumerate(slippage):
        events += [pending(f"U{number}", price="100"), fill(100 + D(str(each)), 1, f"U{number}")]
    return list(build_report(events).orders)


def waited(*seconds: float | None) -> list[ShadowOrder]:
    """Return orders that were filled after so many seconds; None: never."""
    events: list[AnyEvent] = []
    for number, each in enumerate(seconds):
        events.append(pending(f"U{number}"))
        if each is not None:
            events.append(fill(101, 1, f"U{number}", seconds=each))
    return list(build_report(events).orders)


def drawn(chart: str) -> list[ET.Element]:
    """Return the marks and bars of a chart: what tells on hover which orders it is."""
    svg = ET.fromstring(chart).find("svg")
    assert svg is not None
    return [each for each in svg if each.find("title") is not None]


def kinds(chart: str) -> Counter[str]:
    return Counter(each.get("class", "") for each in drawn(chart))


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_is_a_named_and_described_figure(chart: Chart) -> None:
    figure = ET.fromstring(chart(list(lively_report(80).orders)))
    svg = figure.find("svg")
    assert svg is not None
    assert svg.get("role") == "img"
    named = {each.get("id"): each.text for each in svg if each.get("id")}
    assert list(named) == (svg.get("aria-labelledby") or "").split()
    assert all(named.values())
    assert "".join(figure.find("figcaption").itertext()) == " ".join(filter(None, named.values()))  # type: ignore[union-attr]


@pytest.mark.parametrize("chart", CHARTS)
def test_nothing_to_draw_is_said(chart: Chart) -> None:
    undecided = build_report([pending(bid=None)]).orders
    for orders in ([], list(undecided)):
        assert ET.fromstring(chart(orders)).find("figcaption") is not None


class TestSlippage:
    def test_better_is_left_of_the_zero_line_and_worse_right_of_it(self) -> None:
        chart = slippage_chart(slipped(-2, -1, 0, 0, 3), "n")
        (zero,) = re.findall(r'class="zero" d="M([\d.]+)', chart)
        at: dict[str, list[float]] = {kind: [] for kind in LEGEND}
        for each in drawn(chart):
            at[each.get("class", "")].append(float(re.match(r"M([\d.]+)", each.get("d", ""))[1]))  # type: ignore[index]
        assert {kind: len(found) for kind, found in at.items() if found} == {"better": 2, "even": 2, "worse": 1}
        assert max(at["better"]) < float(zero) < min(at["worse"])
        assert set(at["even"]) == {float(zero)}
        for words in ("◂ 2 better", "2 as decided", "1 worse ▸"):
            assert words in chart

    def test_a_heap_is_drawn_as_bars_that_say_how_many(self) -> None:
        chart = slippage_chart(slipped(*[number % 7 - 3 for number in range(700)]), "n")
        bars = drawn(chart)
        assert {each.tag for each in bars} == {"rect"}
        assert sum(int((each.findtext("title") or "").split()[0]) for each in bars) == 700
        assert kinds(chart) == {"better": 3, "even": 1, "worse": 3}
        heights = [float(each.get("height", "0")) for each in bars]
        assert max(heights) - min(heights) <= 1, "100 orders each"

    def test_an_outlier_does_not_squeeze_the_rest_and_is_said_to_be_at_the_edge(self) -> None:
        chart = slippage_chart(slipped(*[D(number) / 100 for number in range(-60, 60)] * 3, 5000), "n")
        assert "Beyond the edges, drawn on them: 1." in chart
        bars = [(float(each.get("x", "")), float(each.get("width", ""))) for each in drawn(chart)]
        assert len(bars) > 10
        assert all(0 <= at <= at + width <= 520 for at, width in bars)
        assert all(at + width <= following for (at, width), (following, _) in pairwise(sorted(bars))), "side by side"
        assert "Beyond" not in slippage_chart(slipped(*range(-60, 60)), "n")


class TestTimes:
    def test_at_once_later_and_never_stand_apart_and_all_are_counted(self) -> None:
        chart = time_chart(waited(0, 0, 0.1, 5, 3000, None), "n", 500)
        assert "2 at once, 3 later, after 100 ms to 50 min, 1 not filled." in chart
        assert kinds(chart) == {"even": 5, "never": 1}
        assert [words for words in ("10 ms", "1 s", "10 s", "10 min", "10 h") if f">{words}<" in chart] == [
            "1 s", "10 s", "10 min",
        ]  # fmt: skip

    def test_more_than_the_limit_are_picked_and_counted_all_the_same(self) -> None:
        chart = time_chart(waited(*[number / 10 for number in range(1000)]), "n", 50)
        assert len(drawn(chart)) == 50
        assert "1 at once, 999 later" in chart
        assert "Drawn are 50, evenly picked." in chart

    def test_an_order_without_a_time_is_nowhere(self) -> None:
        assert kinds(time_chart(waited(-5, 3), "n", 500)) == {"even": 1}


class TestPrices:
    def test_a_line_leads_from_the_decision_to_the_fill(self) -> None:
        events = [pending(price="100"), fill(110, seconds=60), pending("U2", price="105", at=after(30))]
        chart = price_chart("BTC/USD", build_report(events).orders, "n", 500)
        (tie,) = re.findall(r'class="tie worse" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', chart)
        x0, y0, x1, y1 = map(float, tie)
        assert x0 < x1
        assert y1 < y0, "a higher price is higher up"
        assert kinds(chart) == {"worse": 1, "never": 1}
        assert "buy 1 BTC/USD, decided at 100: filled at 110 (+1000.00 bp), first 60 s" in chart
        assert "decided at 105: not filled (PENDING)" in chart

    def test_more_than_the_limit_are_picked_and_it_says_so(self) -> None:
        chart = price_chart("BTC/USD", lively_report(300).orders, "n", 40)
        assert "40 of 300 orders, evenly picked" in chart
        assert len(drawn(chart)) == 40

    @pytest.mark.parametrize(
        ("span", "labels"), [(8, r"\d\d:\d\d:\d\d"), (7200, r"\d\d:\d\d"), (10**7, r"\d\d-\d\d 00:00")]
    )
    def test_moments_are_round(self, span: int, labels: str) -> None:
        events = [pending("U1", price="1"), pending("U2", price="2", at=after(span))]
        found = re.findall(r">([\d:-]+(?: [\d:]+)?)</text>", price_chart("X", build_report(events).orders, "n", 9))
        moments = [each for each in found if ":" in each]
        assert 2 <= len(moments) <= 10
        assert all(re.fullmatch(labels, each) for each in moments)


def test_each_kind_has_a_shape_of_its_own_and_the_ring_is_hollow() -> None:
    shapes = {kind: re.sub(r'class="\w+"', "", mark(kind)) for kind in LEGEND}
    assert len(set(shapes.values())) == 4
    assert shapes["decided"] == shapes["even"], "the page makes one a ring, the other a dot"


def test_text_is_escaped_printable_and_short() -> None:
    assert text("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert text("a\x1b\x00\u202eb\nc\ud800") == "a\ufffd\ufffd\ufffdb\ufffdc\ufffd"
    assert text("x" * 500) == "x" * 119 + "…"
    assert text("<" * 500).count("&lt;") == 119
    assert "<script" not in price_chart(HOSTILE, lively_report(20).orders, "n", 9)


_ANY_PRICE = st.decimals(D("1E-15"), D("1E15"), allow_nan=False)


@PROPERTY
@given(st.lists(st.tuples(_ANY_PRICE, st.none() | _ANY_PRICE, st.floats(0, 1e9), st.floats(0, 1e9)), max_size=20))
def test_whatever_the_numbers_a_chart_is_well_formed_and_inside_its_frame(orders: list[tuple[object, ...]]) -> None:
    events: list[AnyEvent] = []
    for number, (price, filled, at, wait) in enumerate(orders):
        events.append(pending(f"U{number}", price=price, at=after(at)))  # type: ignore[arg-type]
        if filled is not None:
            events.append(fill(filled, 1, f"U{number}", seconds=at + wait))  # type: ignore[operator]
    found = list(build_report(events).orders)
    for chart in CHARTS:
        figure = ET.fromstring(chart(found))
        svg = figure.find("svg")
        if svg is not None:
            width = float(svg.get("viewBox", "").split()[2])
            for each in drawn(chart(found)):
                x = float(re.match(r"M?(-?[\d.]+)", each.get("d") or each.get("x") or "")[1])  # type: ignore[index]
                assert 0 <= x <= width


def test_the_same_orders_make_the_same_bytes() -> None:
    for chart in CHARTS:
        assert chart(list(build_report(lively(90)).orders)) == chart(list(build_report(lively(90)).orders))
