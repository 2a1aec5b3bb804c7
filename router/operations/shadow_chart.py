"""The three charts of the shadow picture, as inline SVG: slippage, time to fill, decided against would-be price.

What a mark means is told by its shape and in words, never by colour alone; every mark says on hover which order
it is. Colours are classes that the page defines. Same orders, same bytes. This module must not know the page.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from router.operations.shadow_report import ShadowOrder
from router.operations.shadow_table import bp_text, name_text, price_text, time_text

LEGEND: Final = {
    "worse": "worse than decided",
    "better": "better than decided",
    "even": "as decided, or nothing to compare with",
    "never": "not filled",
    "decided": "the decision, with a line to its fill",
}
"""What each kind of mark means."""
_DOT: Final = "m-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z"
_SHAPES: Final = {
    "worse": "m0-4.5 4.2 7.5h-8.4z",
    "better": "m0 4.5 4.2-7.5h-8.4z",
    "even": _DOT,
    "never": "m-3.2-3.2 6.4 6.4m0-6.4-6.4 6.4",
    "decided": _DOT,
}
_HALF, _WHOLE, _LOW, _TALL = 520, 1080, 220, 300  # widths and heights
_EDGE, _TOP, _BOTTOM = 40, 34, 30
_PRICE_EDGE: Final = 84  # room for a price
_LANE: Final = 44  # width of "at once" and "not filled"
_GAP: Final = 20  # the column of what is exactly as decided
_STACK, _SINGLES = 14, 200  # with more orders than this in one bin, or in all, bins are bars
_BINS: Final = 26
_TRIMMED_FROM: Final = 50  # with fewer orders no outlier is pulled in from the edge
_AT_ONCE_S: Final = 0.0005
_DAY_S: Final = 86_400
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, _DAY_S)
_WAITS_S: Final = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36_000, 5 * _DAY_S, 50 * _DAY_S)


def text(value: object) -> str:
    """Return ``value`` for HTML: escaped, without anything unprintable, not too long."""
    return escape(name_text(value))


def mark(kind: str) -> str:
    """Return a mark to stand in running text."""
    return f'<svg class="mark" viewBox="-7 -7 14 14" aria-hidden="true">{_mark(kind, 0, 0)}</svg>'


def slippage_chart(orders: Iterable[ShadowOrder], name: str) -> str:
    """Return how slippage is distributed: better left of the zero line, worse right of it."""
    found = sorted((order for order in orders if order.slippage_bps is not None), key=_bps)
    if not found:
        return _nothing("Nothing was filled at a known decision price: there is no slippage to show.")
    cut = len(found) // 100 if len(found) >= _TRIMMED_FROM else 0
    low, high = min(0.0, _bps(found[cut])), max(0.0, _bps(found[-1 - cut]))
    step = _nice((high - low) / _BINS or 0.1)
    first, last = min(-2, math.floor(low / step)), max(2, math.ceil(high / step))
    bins: dict[int, list[ShadowOrder]] = defaultdict(list)  # 0: as decided; ±n: the n-th bin to that side
    for order in found:
        share = _bps(order) / step
        bins[max(first, math.floor(share)) if share < 0 else min(last, math.ceil(share))].append(order)
    width, floor = (_HALF - 2 * _EDGE - _GAP) / (last - first), _LOW - _BOTTOM
    zero = _EDGE - first * width + _GAP / 2

    def x(value: float) -> float:
        """Return where a number of steps is; the column of zero has a width of its own."""
        return zero + value * width + math.copysign(_GAP / 2, value) if value else zero

    most = max(map(len, bins.values()))
    bars = most > _STACK or len(found) > _SINGLES
    rise = (floor - _TOP - 18) / (most if bars else max(most, 8))
    body = [f'<path class="zero" d="M{zero:.1f} {_TOP}V{floor}"/>']
    for number, bin_ in sorted(bins.items()):
        at = x(number - math.copysign(0.5, number)) if number else zero
        if bars:
            if len(bin_) == most:
                body.append(_label(at, floor - most * rise - 4, f"{most:,}"))
            body.append(_bar(_kind(bin_[0]), at, width if number else _GAP, floor, bin_, rise))
        else:
            body += (_mark(_kind(bin_[0]), at, floor - (n + 0.5) * rise, order) for n, order in enumerate(bin_))
    ticks = [value for value in _ticks(first * step, last * step, 6) if abs(value / step) * width > 24]
    body += (_label(x(value / step), _LOW - 10, _signed(value)) for value in ticks)
    better, even = sum(_bps(order) < 0 for order in found), len(bins.get(0, ()))
    worse = len(found) - better - even
    body += [
        _label(zero, _LOW - 10, "0 bp"),
        _label(_EDGE, 16, f"◂ {better:,} better", "start", "better"),
        _label(_HALF - _EDGE, 16, f"{worse:,} worse ▸", "end", "worse"),
        _label(min(max(zero, 190), _HALF - 190), 16, f"{even:,} as decided"),
        _baseline(_EDGE, _HALF - _EDGE, floor),
    ]
    outside = sum(not first * step <= _bps(order) <= last * step for order in found)
    story = f"{better:,} better, {even:,} as decided, {worse:,} worse"
    if found[0].slippage_bps != found[-1].slippage_bps:
        story += f"; from {_signed(_bps(found[0]))} to {_signed(_bps(found[-1]))} bp"
    story += f". Beyond the edges, drawn on them: {outside:,}." if outside else "."
    return _figure(name, (_HALF, _LOW), "Slippage of filled orders, in basis points", story, body)


def time_chart(orders: Sequence[ShadowOrder], name: str, limit: int) -> str:
    """Return when orders would first have been filled: at once, after a time (logarithmic), or not at all.

    No more than ``limit`` are drawn; all are counted.
    """
    counts = Counter(map(_lane_of, orders))
    waits = sorted(order.first_fill_s or 0.0 for order in orders if _lane_of(order) == "later")
    low, high = (math.log10(waits[0]) - 0.1, math.log10(waits[-1]) + 0.1) if waits else (-1.0, 2.0)
    left, right, floor = _EDGE + _LANE + 12, _HALF - _EDGE - _LANE - 12, _LOW - _BOTTOM
    centres = {"at once": _EDGE + _LANE / 2, "later": (left + right) / 2, "not filled": _HALF - _EDGE - _LANE / 2}

    def x(seconds: float) -> float:
        return left + (math.log10(seconds) - low) / (high - low) * (right - left)

    drawn = [order for order in _picked(orders, limit) if _lane_of(order)]
    columns: dict[float, list[ShadowOrder]] = defaultdict(list)
    for number, order in enumerate(sorted(drawn, key=_lane_of)):
        narrow = centres[_lane_of(order)] + (number % 5 - 2) * 8
        at = round(x(order.first_fill_s or 1) / 7) * 7 if _lane_of(order) == "later" else narrow
        columns[at].append(order)
    rise = min(9.0, (floor - _TOP - 14) / max(map(len, columns.values()), default=1))
    body = [
        f'<rect class="lane" x="{at}" y="{_TOP - 8}" width="{_LANE}" height="{floor - _TOP + 8}"/>'
        for at in (_EDGE, _HALF - _EDGE - _LANE)
    ]
    for at, words in [(x(wait), time_text(wait)) for wait in _WAITS_S if left + 10 <= x(wait) <= right - 10]:
        body += [f'<path class="grid" d="M{at:.1f} {_TOP}V{floor}"/>', _label(at, _LOW - 10, words)]
    for at, column in sorted(columns.items()):
        down = (_TOP + floor + (len(column) - 1) * rise) / 2
        body += (_mark(_kind(order), at, down - number * rise, order) for number, order in enumerate(column))
    for lane, centre in centres.items():
        body.append(_label(centre, 16, f"{counts[lane]:,}{' later' if lane == 'later' else ''}"))
    body += (_label(centres[lane], _LOW - 10, lane) for lane in ("at once", "not filled"))
    body.append(_baseline(_EDGE, _HALF - _EDGE, floor))
    later = f", after {time_text(waits[0])} to {time_text(waits[-1])}" if waits else ""
    story = f"{counts['at once']:,} at once, {len(waits):,} later{later}, {counts['not filled']:,} not filled."
    if len(orders) > limit:
        story += f" Drawn are {limit:,}, evenly picked."
    return _figure(name, (_HALF, _LOW), "Time from decision to first fill", story, body)


def price_chart(symbol: str, orders: Sequence[ShadowOrder], name: str, limit: int) -> str:
    """Return decision prices at their moments, tied to the would-be fills at theirs; ``limit`` orders at most."""
    points = [(order, ends) for order in _picked(orders, limit) if (ends := _ends(order))]
    if not points:
        return _nothing(f"{symbol}: no order has a decision price or a fill.")
    moments = [at for _, ends in points for at, _ in ends]
    prices = [price for _, ends in points for _, price in ends]
    start, end, low, high = min(moments), max(moments), min(prices), max(prices)
    start, end = (start, end) if end > start else (start - 1, end + 1)
    margin = (high - low) * 0.06 or high * 0.0001
    low, high, right, floor = low - margin, high + margin, _WHOLE - 20, _TALL - _BOTTOM

    def at(point: tuple[float, float]) -> tuple[float, float]:
        across, up = (point[0] - start) / (end - start), (point[1] - low) / (high - low)
        return _PRICE_EDGE + across * (right - _PRICE_EDGE), floor - up * (floor - 12)

    body = []
    for tick in _ticks(low, high, 6):
        y = at((start, tick))[1]
        body.append(f'<path class="grid" d="M{_PRICE_EDGE} {y:.1f}H{right}"/>')
        body.append(_label(_PRICE_EDGE - 8, y + 4, f"{tick:,.10g}", "end"))
    body += (_label(at((moment, low))[0], _TALL - 10, words) for moment, words in _clock_ticks(start, end))
    for order, ends in points:
        (x0, y0), (x1, y1) = at(ends[0]), at(ends[-1])
        if len(ends) == 2:
            body.append(f'<path class="tie {_kind(order)}" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>')
            body.append(_mark("decided", x0, y0))
        body.append(_mark(_kind(order), x1, y1, order))
    body.append(_baseline(_PRICE_EDGE, right, floor))
    which = f"{limit:,} of {len(orders):,} orders, evenly picked" if len(orders) > limit else f"{len(points):,} orders"
    story = f"{which}, from {_utc(start)} to {_utc(end)} UTC."
    return _figure(name, (_WHOLE, _TALL), f"{symbol}: decision price and would-be fill", story, body)


def _picked(orders: Sequence[ShadowOrder], limit: int) -> Sequence[ShadowOrder]:
    return orders if len(orders) <= limit else [orders[number * len(orders) // limit] for number in range(limit)]


def _lane_of(order: ShadowOrder) -> str:
    """Return where in the time chart an order is; "" when its time is not known."""
    if not order.filled_quantity:
        return "not filled"
    if order.first_fill_s is None:
        return ""
    return "at once" if order.first_fill_s < _AT_ONCE_S else "later"


def _ends(order: ShadowOrder) -> list[tuple[float, float]]:
    """Return moment and price of the decision and of the fill, as far as they are known."""
    moment = order.decided_at.timestamp()
    after = moment + (order.last_fill_s or 0.0)
    ends = [(moment, order.decision_price), (after, order.average_price)]
    return [(at, float(price)) for at, price in ends if price is not None]


def _bps(order: ShadowOrder) -> float:
    return float(order.slippage_bps or 0)


def _kind(order: ShadowOrder) -> str:
    if not order.filled_quantity:
        return "never"
    slippage = order.slippage_bps
    return "even" if not slippage else "worse" if slippage > 0 else "better"


def _told(order: ShadowOrder) -> str:
    """Return an order in one line."""
    asked = f"{order.side} {price_text(order.quantity)} {order.symbol}, decided at {price_text(order.decision_price)}"
    if not order.filled_quantity:
        return f"{asked}: not filled ({order.status})"
    slippage = "" if order.slippage_bps is None else f" ({bp_text(order.slippage_bps)} bp)"
    share = "" if order.fill_ratio >= 1 else f"{order.fill_ratio:.0%} of it "
    return (
        f"{asked}: {share}filled at {price_text(order.average_price)}{slippage}, first {time_text(order.first_fill_s)}"
    )


def _mark(kind: str, x: float, y: float, order: ShadowOrder | None = None) -> str:
    told = f"<title>{text(_told(order))}</title>" if order is not None else ""
    return f'<path class="{kind}" d="M{x:.1f} {y:.1f}{_SHAPES[kind]}">{told}</path>'


def _bar(kind: str, at: float, width: float, floor: float, orders: Sequence[ShadowOrder], rise: float) -> str:
    wide, high = max(1.5, width - 2), len(orders) * rise
    told = f"{len(orders):,} orders, {_signed(_bps(orders[0]))} to {_signed(_bps(orders[-1]))} bp"
    shape = f'x="{at - wide / 2:.1f}" y="{floor - high:.1f}" width="{wide:.1f}" height="{high:.1f}"'
    return f'<rect class="{kind}" {shape}><title>{told}</title></rect>'


def _label(x: float, y: float, words: str, anchor: str = "middle", kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'


def _baseline(left: float, right: float, floor: float) -> str:
    return f'<path class="axis" d="M{left} {floor}H{right}"/>'


def _figure(name: str, size: tuple[int, int], title: str, story: str, body: Iterable[str]) -> str:
    named = f'role="img" aria-labelledby="{name}-title {name}-story"'
    title = text(title)
    wide = ' class="wide"' if size[0] == _WHOLE else ""
    return (
        f"<figure{wide}><figcaption><b>{title}</b> {text(story)}</figcaption>"
        f'<svg viewBox="0 0 {size[0]} {size[1]}" {named}>'
        f'<title id="{name}-title">{title}</title><desc id="{name}-story">{text(story)}</desc>{"".join(body)}'
        "</svg></figure>"
    )


def _nothing(words: str) -> str:
    return f"<figure><figcaption>{text(words)}</figcaption></figure>"


def _signed(value: float) -> str:
    return f"{value:+.3g}" if value else "0"


def _utc(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}"


def _nice(rough: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))


def _ticks(low: float, high: float, about: int) -> Iterator[float]:
    step = _nice((high - low) / about)
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield float(f"{number * step:.12g}")


def _clock_ticks(start: float, end: float) -> Iterator[tuple[float, str]]:
    """Yield round moments (UTC) and their words, at most nine."""
    days = math.ceil((end - start) / 8 / _DAY_S) * _DAY_S
    step = next((step for step in _STEPS_S if (end - start) / step <= 8), days)
    shape = "%H:%M:%S" if step < 60 else "%H:%M" if end - start < _DAY_S else "%m-%d %H:%M"
    for number in range(math.ceil(start / step), math.floor(end / step) + 1):
        yield number * step, f"{datetime.fromtimestamp(number * step, UTC):{shape}}"
