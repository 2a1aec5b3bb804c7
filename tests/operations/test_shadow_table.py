"""The report in words: the same on the terminal and in the picture."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from router.domain.events import Expired
from router.operations.shadow_report import StrategySummary, build_report
from router.operations.shadow_table import (
    Table,
    amount_text,
    bp_text,
    comparison,
    outcomes,
    price_text,
    prices,
    remarks,
    time_text,
)
from tests.operations.shadow import HOSTILE, D, S, ended, fill, lively_report, pending

EVENTS = (
    pending("U1", price="100", symbol="BTC/USD", quantity="2"),
    fill("100.5", 1, "U1", leaves=1, seconds=0.25, fee="0.2"),
    fill("100.5", 1, "U1", seconds=90, fee="0.2"),
    pending("U2", "sell", price="50", symbol="ETH/EUR"),
    ended(Expired, "U2", S.EXPIRED),
)
STRATEGIES = build_report(EVENTS).strategies


def test_outcomes_are_counts_and_a_ratio_per_currency() -> None:
    assert outcomes(STRATEGIES).rows == [("a", "2", "1", "0", "1", "0", "1", "0", "0", "0.0% EUR · 100.0% USD")]
    assert outcomes(build_report(EVENTS[:3]).strategies).rows[0][-1] == "100.0%"


def test_prices_are_slippage_times_and_cost_in_each_currency() -> None:
    (row,) = prices(STRATEGIES).rows
    assert row[:-1] == ("a", "+50.00", "+50.00", "+50.00", "+50.00", "250 ms", "1.5 min")
    assert row[-1] == "0 EUR (slippage 0, fees 0) · 1.40 USD (slippage 1.00, fees 0.4)"


def test_a_comparison_has_a_row_per_symbol_and_side() -> None:
    assert comparison(STRATEGIES).rows == [
        ("a", "BTC/USD", "buy", "1", "2", "100", "100.5", "+50.00", "250 ms"),
        ("a", "ETH/EUR", "sell", "1", "0", "–", "–", "–", "–"),
    ]


@pytest.mark.parametrize("table", [outcomes, prices, comparison])
def test_no_name_tells_a_terminal_what_to_do(table: Callable[[tuple[StrategySummary, ...]], Table]) -> None:
    shown = table(build_report([pending(strategy_key=HOSTILE, symbol=HOSTILE)]).strategies)
    assert all(cell.isprintable() for row in shown.rows for cell in row)
    assert "<script>" in shown.rows[0][0], "escaping is the page's affair"


@pytest.mark.parametrize("table", [outcomes, prices, comparison])
def test_every_row_has_a_cell_per_title_and_words_are_not_aligned_as_numbers(
    table: Callable[[tuple[StrategySummary, ...]], Table],
) -> None:
    made = table(lively_report(60).strategies)
    assert made.rows
    assert {len(row) for row in made.rows} == {len(made.titles)}
    assert "Strategy" not in made.right
    assert set(made.right) < set(made.titles)


def test_what_the_figures_do_not_cover_is_said() -> None:
    events = [
        pending("U1", bid=None),
        fill(100, 1, "U1", seconds=-5),
        pending("U2", quantity="NaN"),
        pending("U3", strategy_key="b"),
    ]
    said = remarks(build_report(events, strategy="a"))
    assert [each.split(" ", 1)[0] for each in said] == ["1"] * 4
    assert all(word in " ".join(said) for word in ("decision price", "time after", "nobody can use", "asked for"))
    assert remarks(build_report(EVENTS)) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [("1.234", "+1.23"), ("-0.5", "-0.50"), ("0.001", "0.00"), ("-0.004", "0.00"), ("0", "0.00"), (None, "–")],
)
def test_basis_points_have_a_sign_and_nothing_has_none(value: str | None, said: str) -> None:
    assert bp_text(None if value is None else D(value)) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"), (0, "at once"), (0.0004, "at once"), (0.0123, "12 ms"), (0.9994, "999 ms"), (0.9996, "1 s"),
        (89, "89 s"), (90, "1.5 min"), (5400, "1.5 h"), (86_400 * 3, "3 d"),
    ],
)  # fmt: skip
def test_times_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    assert time_text(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("61234.56789", "61234.57"),
        ("100", "100"),
        ("0.0812345678", "0.08123457"),
        ("0", "0"),
        ("1E+3", "1000"),
        (None, "–"),
    ],
)
def test_prices_show_seven_digits(value: str | None, said: str) -> None:
    assert price_text(None if value is None else D(value)) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [("1234567.891", "1,234,567.89"), ("-0.123456", "-0.1235"), ("0", "0"), ("0E-11", "0"), ("-2", "-2.00")],
)
def test_money_shows_cents_or_four_digits(value: str, said: str) -> None:
    assert amount_text(D(value)) == said
