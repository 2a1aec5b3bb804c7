"""Orders live by the table: any story follows it, or is refused and changes nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OPEN, TERMINAL, VERDICT_ONLY, ExecutionStatus
from router.domain.events import (
    Answered,
    Cancelled,
    Errored,
    Expired,
    Filled,
    OrderEvent,
    OutcomeUnknown,
    PartiallyFilled,
    Pending,
    Rejected,
    Submitted,
)
from router.domain.lifecycle import TRANSITIONS, InvalidTransitionError, apply, check_fill, transition
from router.domain.order import Order
from tests.factories import NOW, PROPERTY, D, fill, order

S = ExecutionStatus
FILLS = {PartiallyFilled, Filled}
PLAIN = (Submitted, Cancelled, Expired, Rejected, Errored, OutcomeUnknown)
LATE = {(S.CANCELLED, kind) for kind in FILLS} | {(S.EXPIRED, kind) for kind in FILLS}
STORY: dict[tuple[str, str], str] = {
    ("PENDING", "submitted"): "SUBMITTED",
    ("PENDING", "partially_filled"): "PARTIALLY_FILLED",
    ("PENDING", "filled"): "FILLED",
    ("PENDING", "cancelled"): "CANCELLED",
    ("PENDING", "expired"): "EXPIRED",
    ("PENDING", "rejected"): "REJECTED",
    ("PENDING", "errored"): "ERROR",
    ("PENDING", "outcome_unknown"): "SUBMITTED",
    ("SUBMITTED", "submitted"): "SUBMITTED",
    ("SUBMITTED", "partially_filled"): "PARTIALLY_FILLED",
    ("SUBMITTED", "filled"): "FILLED",
    ("SUBMITTED", "cancelled"): "CANCELLED",
    ("SUBMITTED", "expired"): "EXPIRED",
    ("SUBMITTED", "rejected"): "REJECTED",
    ("PARTIALLY_FILLED", "submitted"): "PARTIALLY_FILLED",
    ("PARTIALLY_FILLED", "partially_filled"): "PARTIALLY_FILLED",
    ("PARTIALLY_FILLED", "filled"): "FILLED",
    ("PARTIALLY_FILLED", "cancelled"): "CANCELLED",
    ("PARTIALLY_FILLED", "expired"): "EXPIRED",
    ("CANCELLED", "partially_filled"): "CANCELLED",
    ("CANCELLED", "filled"): "CANCELLED",
    ("EXPIRED", "partially_filled"): "EXPIRED",
    ("EXPIRED", "filled"): "EXPIRED",
}
"""The table once more, in words: a row that comes or goes is a decision, not an accident."""


def event(kind: type[OrderEvent], **fields: Any) -> OrderEvent:
    return kind(seq=1, ts_recorded=NOW, run_id="run_1", status=S.SUBMITTED, client_order_id="U1", **fields)


quantities = st.sampled_from(["0.1", "0.25", "0.5", "1", "1.1", "0", "-1", "NaN", "Infinity", "1e999999", "sNaN"])
steps = st.builds(event, st.sampled_from(PLAIN)) | st.builds(
    lambda kind, quantity, price: event(kind, trade_id="t", last_quantity=D(quantity), last_price=D(price)),
    st.sampled_from([PartiallyFilled, Filled]),
    quantities,
    st.sampled_from(["100", "0.00000001", "0", "-1", "NaN", "1e999999"]),
)


def cumulative(its_order: Order) -> tuple[Decimal, Decimal]:
    return its_order.filled_quantity, its_order.filled_notional


@settings(PROPERTY, max_examples=300)
@given(st.lists(steps, max_size=12))
def test_any_story_follows_the_table_or_is_refused_and_changes_nothing(story: list[OrderEvent]) -> None:
    now = order()
    for step in story:
        before, row = now, (now.status, type(step))
        try:
            now = apply(now, step)
        except InvalidTransitionError:
            assert now == before
            assert row not in TRANSITIONS or type(step) in FILLS
            continue
        assert now.status is TRANSITIONS[row]
        assert now.filled_quantity <= now.quantity
        assert cumulative(now) >= cumulative(before)
        if now.is_open:
            assert now.filled_quantity + now.leaves_quantity == now.quantity
            assert now.leaves_quantity > 0
        else:
            assert now.leaves_quantity == 0
        if before.status in TERMINAL:
            assert row in LATE
            assert now.status is before.status
        if now.status is S.FILLED:
            assert now.filled_quantity == now.quantity


def test_the_table_is_the_agreed_one() -> None:
    assert {
        (str(status), str(kind.__struct_config__.tag)): str(to) for (status, kind), to in TRANSITIONS.items()
    } == STORY


def test_the_tables_states_and_the_verdicts_are_the_fourteen() -> None:
    states = {status for status, _ in TRANSITIONS} | set(TRANSITIONS.values())
    assert states == OPEN | TERMINAL
    assert len(states | VERDICT_ONLY) == 14
    assert not states & VERDICT_ONLY


def test_the_table_cannot_be_changed_at_run_time() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[(S.FILLED, Submitted)] = S.SUBMITTED  # type: ignore[index]


@pytest.mark.parametrize("status", [*ExecutionStatus])
@pytest.mark.parametrize("kind", [*PLAIN, PartiallyFilled, Filled, Pending, Answered])
def test_a_pair_that_is_not_in_the_table_is_refused_by_name(status: S, kind: type[OrderEvent]) -> None:
    if (status, kind) in TRANSITIONS:
        assert transition(status, kind) is TRANSITIONS[(status, kind)]
        return
    with pytest.raises(InvalidTransitionError, match=f"^{kind.__name__} cannot follow {status}$"):
        transition(status, kind)


@pytest.mark.parametrize("status", [S.CANCELLED, S.EXPIRED])
@pytest.mark.parametrize("quantity", ["0.4", "1"])
def test_a_late_fill_counts_and_the_status_stays(status: S, quantity: str) -> None:
    ended = order(status=status)
    late = apply(ended, fill(ended, quantity, "200"))
    assert (late.status, late.filled_quantity, late.average_price) == (status, D(quantity), D(200))


@pytest.mark.parametrize("status", [S.FILLED, S.REJECTED, S.ERROR])
def test_nothing_at_all_follows_these_ends(status: S) -> None:
    assert not [kind for state, kind in TRANSITIONS if state is status]


def test_fills_add_up_to_the_average_price() -> None:
    working = order()
    working = apply(working, fill(working, "0.25", "100"))
    working = apply(working, fill(working, "0.75", "200"))
    assert (working.status, working.filled_notional, working.average_price) == (S.FILLED, D(175), D(175))


def test_evidence_ends_an_unknown_outcome() -> None:
    unknown = apply(order(), event(OutcomeUnknown))
    assert (unknown.status, unknown.outcome_unknown) == (S.SUBMITTED, True)
    for proof in (event(Submitted), event(Rejected), event(Cancelled), event(Expired), fill(unknown, "1")):
        assert not apply(unknown, proof).outcome_unknown


def test_the_venues_id_is_kept_once_known() -> None:
    known = apply(order(), event(Submitted, venue_order_id="v1"))
    assert apply(known, event(Submitted)).venue_order_id == "v1"
    assert apply(apply(known, fill(known, "0.5")), event(Cancelled)).venue_order_id == "v1"


@pytest.mark.parametrize("number", [None, "0", "-1", "NaN", "sNaN", "Infinity", "1e999999", "1e16"])
def test_a_fill_needs_a_quantity_and_a_price_that_exist(number: str | None) -> None:
    bad = None if number is None else D(number)
    for quantity, price in ((bad, D(1)), (D("0.1"), bad)):
        with pytest.raises(InvalidTransitionError, match="cannot be"):
            check_fill(order(quantity="1e20"), quantity, price)


def test_no_fill_goes_beyond_what_was_asked_for() -> None:
    working = apply(order(), fill(order(), "0.6"))
    check_fill(working, D("0.4"), D(1))
    with pytest.raises(InvalidTransitionError, match="overfill"):
        check_fill(working, D("0.41"), D(1))


@pytest.mark.parametrize(("kind", "quantity"), [(Filled, "0.5"), (PartiallyFilled, "1")])
def test_a_fill_that_lies_about_leaving_something_is_refused(kind: type[OrderEvent], quantity: str) -> None:
    """A last fill recorded as partial would leave an order open for ever; the reverse would end it too early."""
    with pytest.raises(InvalidTransitionError, match=kind.__name__):
        apply(order(), event(kind, trade_id="t", last_quantity=D(quantity), last_price=D(1)))
