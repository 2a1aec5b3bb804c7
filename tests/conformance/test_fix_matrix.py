"""The FIX order state change matrices, row by row: what a venue says leads where the standard says it does.

INV6 (which id a request names) is an adapter's affair: an order has one id here. INV8, INV7, INV9 and INV12 are at the
end, the other invariants are held after every row (``book``).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from router.domain.enums import ExecutionStatus
from router.domain.lifecycle import InvalidTransitionError
from tests.conformance.book import REPORTS, STATUS, Book, Scenario, ours, play_and_check, relaxes, scenarios
from tests.factories import D

S = ExecutionStatus
PATHS = scenarios(Path(__file__).with_name("fix_state_matrix.toml"))
MAIN = {path.id: path for path in PATHS if not path.branch}
named = pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.id}/{path.branch}".rstrip("/"))


@named
def test_every_row_leads_where_the_matrix_says(path: Scenario) -> None:
    play_and_check(path)


@named
def test_every_report_said_twice_changes_nothing(path: Scenario) -> None:
    assert play_and_check(path, twice=True).orders == play_and_check(path).orders


@named
def test_the_whole_story_again_changes_nothing(path: Scenario) -> None:
    """What is not recognised as old is refused, for the quarantine."""
    book = play_and_check(path)
    ended = dict(book.orders)
    for row in path.rows:
        if row.direction == "<":
            with contextlib.suppress(InvalidTransitionError):
                book.play(row)
            assert book.orders == ended, row.step


@pytest.mark.parametrize("path", MAIN.values(), ids=lambda path: path.id)
def test_every_scenario_ends_as_the_matrix_says(path: Scenario) -> None:
    book = play_and_check(path)
    if path.facts.get("unknown_order"):
        assert not book.orders
        assert not book.changes
        assert book.foreign == sum(row.direction == "<" for row in path.rows)
        return
    final = path.facts["final"]
    its_order = book.orders["X"]
    last = [row for row in path.rows if row.direction == "<" and book.order(row) is its_order][-1]
    assert last.status == final["status"]
    assert (its_order.status, its_order.filled_quantity) == (ours(last, its_order)[0], final["cum"])
    assert its_order.leaves_quantity == final["leaves"]


@named
def test_the_facts_agree_with_themselves(path: Scenario) -> None:
    """INV1 in the data; where the page departs from it, that is written down."""
    none_left = {"Canceled", "DoneForDay", "Expired", "Rejected"}
    odd = [
        row.step
        for row in path.rows
        if row.message == "ER"
        and row.quantity is not None
        and row.cumulative is not None
        and row.leaves != row.quantity - row.cumulative
        and not (row.leaves == 0 and row.status in none_left)
    ]
    assert bool(odd) == relaxes(path, "INV1"), odd


def test_all_scenarios_that_were_read_are_here_and_every_word_has_a_meaning() -> None:
    read = [path for path in MAIN.values() if path.facts["read"] in ("page", "test")]
    assert (len(read), len(MAIN), len(PATHS)) == (35, 44, 44 + 41)
    rows = [row for path in PATHS for row in path.rows]
    assert {row.exec_type for row in rows if row.message == "ER"} <= REPORTS.keys()
    assert {row.status for row in rows if row.status is not None} <= STATUS.keys()


def test_a_refused_cancel_of_an_unknown_order_leaves_its_id_free() -> None:
    """INV7: a late new order with it is accepted."""
    path = MAIN["B.1.f"]
    book = Book(path.facts)
    for row in (*path.rows, *MAIN["A.1.a"].rows):
        book.play(row)
    assert book.orders["X"].status is S.FILLED


def test_every_execution_counts_once() -> None:
    """INV8: also those that were busted and corrected meanwhile."""
    book = play_and_check(MAIN["J.1.a"])
    assert {name: execution.quantity for name, execution in book.executions["X"].items()} == {
        "C": 0,
        "D": 0,
        "F": 0,
        "G": D(1000),
        "H": 0,
        "K": D(9500),
    }


def test_the_same_id_again_never_makes_a_second_order() -> None:
    """INV9: the first order lives on, another id is another order."""
    book = play_and_check(MAIN["F.1.b"])
    assert {name: (one.quantity, one.status) for name, one in book.orders.items()} == {
        "X": (D(10000), S.SUBMITTED),
        "Y": (D(15000), S.SUBMITTED),
    }
    assert play_and_check(MAIN["F.1.a"]).orders["X"].status is S.PARTIALLY_FILLED


@pytest.mark.parametrize("name", ["I.1.a", "I.1.b"])
def test_what_a_venue_cancels_of_an_ioc_or_fok_has_expired(name: str) -> None:
    """INV12: one end, whichever of the two words the venue uses."""
    canceled = MAIN[name]
    rows = [row._replace(exec_type="Expired") if row.exec_type == "Canceled" else row for row in canceled.rows]
    expired = canceled._replace(rows=tuple(rows))
    assert play_and_check(canceled).orders == play_and_check(expired).orders
    assert play_and_check(canceled).orders["X"].status is S.EXPIRED
