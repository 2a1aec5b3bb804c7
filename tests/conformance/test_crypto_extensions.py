"""What crypto venues do besides: lost answers, gaps in streams, vanished orders, a trade under two ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.book import STATUS, Scenario, play_and_check, scenarios
from tests.factories import D

PATHS = scenarios(Path(__file__).with_name("crypto_extensions.toml"))
HERE = {f"X.{number}" for number in (1, 2, 3, 4, 5, 6, 7, 10, 11)}
named = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.id)


@named
def test_every_row_leads_to_what_is_proved_and_no_further(path: Scenario) -> None:
    its_order = play_and_check(path).orders["X"]
    final = path.facts["final"]
    assert its_order.status is STATUS[final["status"]][0]
    assert (its_order.filled_quantity, its_order.leaves_quantity) == (final["cum"], final["leaves"])


@named
def test_every_report_said_twice_changes_nothing(path: Scenario) -> None:
    assert play_and_check(path, twice=True).orders == play_and_check(path).orders


def test_all_extensions_that_are_sequences_of_reports_are_here() -> None:
    assert {path.id.split()[0] for path in PATHS} == HERE


def test_a_trade_seen_twice_is_paid_once() -> None:
    [path] = [path for path in PATHS if path.id == "X.6"]
    its_order = play_and_check(path).orders["X"]
    assert its_order.filled_notional == D(10000) * D(100)
