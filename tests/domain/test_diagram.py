"""The picture shows what the table says, all of it and no more."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from router.domain.diagram import leads_to, mermaid
from router.domain.enums import OPEN, TERMINAL, ExecutionStatus
from router.domain.events import OrderEvent, Replaced, ReplaceRejected, TradeBusted, TradeCorrected
from router.domain.lifecycle import BY_QUANTITY, TRANSITIONS, InvalidTransitionError, apply
from router.domain.order import Replacement
from tests.factories import NOW, D, order

S = ExecutionStatus
ARROW = re.compile(r"^    (\w+) --> (\w+): (.+)$", re.MULTILINE)
STAYS = re.compile(r"^        ([a-z ,]+): ([A-Z_ ,]+)$", re.MULTILINE)


def word(kind: type[OrderEvent]) -> str:
    return str(kind.__struct_config__.tag).replace("_", " ")


def stays(text: str) -> list[tuple[str, str]]:
    """Return (status, event) of every row in the notes."""
    return [
        (status, kind)
        for kinds, statuses in STAYS.findall(text)
        for status, kind in itertools.product(statuses.split(", "), kinds.split(", "))
    ]


def test_every_row_is_drawn_and_nothing_else() -> None:
    text = mermaid()
    drawn = {(start, kind, to) for start, to, kinds in ARROW.findall(text) for kind in kinds.split(", ")}
    drawn |= {(status, kind, status) for status, kind in stays(text)}
    assert drawn == {
        (str(status), word(kind), str(to)) for status, kind in TRANSITIONS for to in leads_to(status, kind)
    }


def test_it_begins_pending_and_may_end_at_every_end() -> None:
    text = mermaid()
    assert "\nstateDiagram-v2\n    [*] --> PENDING\n" in text
    assert re.findall(r"^    (\w+) --> \[\*\]$", text, re.MULTILINE) == [*filter(TERMINAL.__contains__, S)]


def test_no_box_points_at_itself_and_no_two_arrows_join_the_same_boxes() -> None:
    pairs = [(start, to) for start, to, _ in ARROW.findall(mermaid())]
    assert all(start != to for start, to in pairs)
    assert len(pairs) == len(set(pairs)) <= 20


def test_notes_are_closed_and_late_rows_have_their_own() -> None:
    first, second = re.findall(r"^    note \w+ of \w+\n(.*?)^    end note$", mermaid(), re.MULTILINE | re.DOTALL)
    assert {status for status, _ in stays(first)} == {*map(str, OPEN), "FILLED"}
    assert {status for status, _ in stays(second)} == {"CANCELLED", "EXPIRED"}
    assert max(map(len, (first + second).splitlines())) <= 90


@pytest.mark.parametrize(("status", "kind"), [row for row, to in TRANSITIONS.items() if to is BY_QUANTITY])
def test_a_row_by_quantity_is_drawn_to_all_it_can_lead_to(status: S, kind: type[OrderEvent]) -> None:
    filled = {S.PARTIALLY_FILLED: ("1", "2"), S.FILLED: ("3",)}.get(status, ("0",))
    more = (Replacement("r", D(4), None),) if kind is ReplaceRejected else ()  # with it, even 3 are not all
    filled = (*filled, "3") if more else filled
    reached = set()
    for traded, old, new in itertools.product(filled, range(1, 4), range(1, 6)):
        fields: dict[type[OrderEvent], dict[str, Any]] = {
            TradeBusted: {"trade_id": "t", "last_quantity": D(old), "last_price": D(1)},
            TradeCorrected: {
                "trade_id": "u",
                "corrects": "t",
                "previous_quantity": D(old),
                "previous_price": D(1),
                "last_quantity": D(new),
                "last_price": D(1),
            },
            Replaced: {"quantity": D(new), "price": D(1)},
            ReplaceRejected: {"request_id": "r"},
        }
        event = kind(seq=1, ts_recorded=NOW, run_id="run_1", status=status, **fields[kind])
        try:
            reached.add(
                apply(order(status=status, quantity="3", filled_quantity=traded, pending_replaces=more), event).status
            )
        except InvalidTransitionError:
            continue
    assert reached == set(leads_to(status, kind))
