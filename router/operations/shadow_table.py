"""The shadow report in words and rows, the same on the terminal and in the picture.

This module must not know where they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

from router.operations.shadow_report import Amounts, ShadowReport, StrategySummary

Row: TypeAlias = tuple[str, ...]


class Table(NamedTuple):
    """Rows under titles; columns named in ``left`` hold words, the others numbers."""

    caption: str
    titles: Row
    rows: list[Row]
    left: Row = ("Strategy", "Symbol", "Side", "Cost")

    @property
    def right(self) -> list[str]:
        """The columns that hold numbers."""
        return [title for title in self.titles if title not in self.left]


FOOTNOTES: Final = (
    "Nothing was routed: each order was worked against the market data of its own moment.",
    "Decision price: the intent's own price, else the touch of the quote that the gates saw, on the order's side.",
    "Slippage: would-be fill against decision price, weighted by quantity, in basis points (bp) of the latter.",
    "Positive slippage is worse than decided. Mean, median, p95 and worst count each order once.",
    "Time to fill: first or last fill minus decision, in market time.",
    "Ratio: filled over wanted, by notional at the decision price.",
    "Cost: slippage and fees, never added across currencies; negative is a gain.",
)
_DAY_S: Final = 86_400
_LONGEST_NAME: Final = 120


def outcomes(strategies: Iterable[StrategySummary]) -> Table:
    """Return what would have become of the orders."""
    return Table(
        "What would have become of the orders",
        ("Strategy", "Orders", "Filled", "Partly", "Unfilled", "Working", "Expired", "Cancelled", "Rejected", "Ratio"),
        [
            (
                name_text(each.strategy),
                *map(str, (each.orders, each.filled, each.partly, each.unfilled)),
                *map(str, (each.working, each.expired, each.cancelled, each.rejected)),
                _ratios(each.amounts),
            )
            for each in strategies
        ],
    )


def prices(strategies: Iterable[StrategySummary]) -> Table:
    """Return what the fills would have cost against what was decided, and how long they took."""
    return Table(
        "What the fills would have cost",
        ("Strategy", "Mean bp", "Median bp", "p95 bp", "Worst bp", "First fill", "Last fill", "Cost"),
        [
            (
                name_text(each.strategy),
                bp_text(each.slippage_mean_bps),
                bp_text(each.slippage_median_bps),
                bp_text(each.slippage_p95_bps),
                bp_text(each.slippage_worst_bps),
                time_text(each.first_fill_median_s),
                time_text(each.last_fill_median_s),
                " · ".join(map(_cost, each.amounts)) or "–",
            )
            for each in strategies
        ],
    )


def comparison(strategies: Iterable[StrategySummary]) -> Table:
    """Return decision price beside would-be fill, per symbol and side."""
    return Table(
        "Decided and would-be filled",
        ("Strategy", "Symbol", "Side", "Orders", "Quantity filled", "Decided at", "Filled at", "bp", "First fill"),
        [
            (
                name_text(each.strategy),
                name_text(market.symbol),
                str(market.side),
                str(market.orders),
                price_text(market.filled_quantity),
                price_text(market.decision_price),
                price_text(market.average_price),
                bp_text(market.slippage_bps),
                time_text(market.first_fill_median_s),
            )
            for each in strategies
            for market in each.markets
        ],
    )


def remarks(report: ShadowReport) -> list[str]:
    """Return what the figures do not cover."""
    found = (
        (report.undecided, "orders have no decision price (no price of their own, no quote): not in slippage or ratio"),
        (report.untimed, "orders bear a fill without a time after their decision: not in the times to fill"),
        (report.unusable, "orders or fills bear numbers that nobody can use: left out"),
        (report.left_out, "other orders do not match what was asked for"),
    )
    return [f"{count} {text}." for count, text in found if count]


def name_text(value: object) -> str:
    """Return what somebody called something, without anything that a terminal would obey, not too long."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in str(value))
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…"


def bp_text(value: Decimal | None) -> str:
    """Return basis points with their sign; positive is worse."""
    if value is None:
        return "–"
    text = f"{value:+.2f}"
    return "0.00" if text in {"+0.00", "-0.00"} else text


def time_text(seconds: float | None) -> str:
    """Return a time as people say it."""
    if seconds is None:
        return "–"
    if seconds < 0.0005:
        return "at once"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    for unit, size in (("d", _DAY_S), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{_tenths(seconds / size)} {unit}"
    return f"{_tenths(seconds)} s"


def price_text(value: Decimal | None) -> str:
    """Return at least seven digits, and two after the point, without trailing zeros."""
    if value is None:
        return "–"
    text = f"{value:.{min(12, max(2, 6 - value.adjusted()))}f}" if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def amount_text(value: Decimal) -> str:
    """Return money: cents, or four digits of what is less than one."""
    return f"{value:,.2f}" if abs(value) >= 1 else price_text(Decimal(f"{value:.4g}"))


def _tenths(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _ratios(amounts: Iterable[Amounts]) -> str:
    known = [(each.currency, each.fill_ratio) for each in amounts if each.fill_ratio is not None]
    if len(known) == 1:
        return f"{known[0][1]:.1%}"
    return " · ".join(f"{ratio:.1%} {name_text(currency)}" for currency, ratio in known) or "–"


def _cost(amounts: Amounts) -> str:
    slippage, fees, cost = map(amount_text, (amounts.slippage_cost, amounts.fees, amounts.cost))
    return f"{cost} {name_text(amounts.currency)} (slippage {slippage}, fees {fees})"
