"""Orders live by the table: any story follows it, or is refused and changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OPEN, TERMINAL, VERDICT_ONLY, ExecutionStatus
from router.domain.events import (
    AmendmentAnswered,
    Answered,
    AnyEvent,
    Cancelled,
    CancelRejected,
    Errored,
    Expired,
    Filled,
    OrderEvent,
    OutcomeUnknown,
    Overdue,
    PartiallyFilled,
    Pending,
    PendingCancel,
    PendingReplace,
    Rejected,
    Replaced,
    ReplaceRejected,
    Submitted,
    TradeBusted,
    TradeCorrected,
)
from router.domain.lifecycle import BY_QUANTITY, TRANSITIONS, InvalidTransitionError, apply, check_fill
from router.domain.order import Order, Replacement
from tests.factories import NOW, PROPERTY, D, fill, order

S = ExecutionStatus
FILLS = {PartiallyFilled, Filled}
TRADES = {*FILLS, TradeBusted, TradeCorrected}
LATER = NOW + timedelta(seconds=1)
KINDS = [kind for kind in get_args(AnyEvent) if issubclass(kind, OrderEvent)]
STORY: dict[str, dict[str, str]] = {
    "PENDING": {
        "submitted": "SUBMITTED",
        "partially_filled": "PARTIALLY_FILLED",
        "filled": "FILLED",
        "replaced": "as its quantities say",
        "cancelled": "CANCELLED",
        "expired": "EXPIRED",
        "rejected": "REJECTED",
        "errored": "ERROR",
        "outcome_unknown": "SUBMITTED",
        "pending_cancel": "PENDING",
        "cancel_rejected": "PENDING",
        "overdue": "PENDING",
    },
    "SUBMITTED": {
        "submitted": "SUBMITTED",
        "partially_filled": "PARTIALLY_FILLED",
        "filled": "FILLED",
        "cancelled": "CANCELLED",
        "expired": "EXPIRED",
        "rejected": "REJECTED",
        "pending_cancel": "SUBMITTED",
        "cancel_rejected": "SUBMITTED",
        "pending_replace": "SUBMITTED",
        "replaced": "as its quantities say",
        "replace_rejected": "SUBMITTED",
        "overdue": "SUBMITTED",
    },
    "PARTIALLY_FILLED": {
        "submitted": "PARTIALLY_FILLED",
        "partially_filled": "PARTIALLY_FILLED",
        "filled": "FILLED",
        "trade_busted": "as its quantities say",
        "trade_corrected": "as its quantities say",
        "cancelled": "CANCELLED",
        "expired": "EXPIRED",
        "pending_cancel": "PARTIALLY_FILLED",
        "cancel_rejected": "PARTIALLY_FILLED",
        "pending_replace": "PARTIALLY_FILLED",
        "replaced": "as its quantities say",
        "replace_rejected": "as its quantities say",
        "overdue": "PARTIALLY_FILLED",
    },
    "FILLED": {
        "trade_busted": "as its quantities say",
        "trade_corrected": "as its quantities say",
        "pending_replace": "FILLED",
        "replaced": "as its quantities say",
        "replace_rejected": "FILLED",
        "cancel_rejected": "FILLED",
    },
    "CANCELLED": {
        "partially_filled": "CANCELLED",
        "filled": "CANCELLED",
        "trade_busted": "CANCELLED",
        "trade_corrected": "CANCELLED",
    },
    "EXPIRED": {
        "partially_filled": "EXPIRED",
        "filled": "EXPIRED",
        "trade_busted": "EXPIRED",
        "trade_corrected": "EXPIRED",
    },
}
"""The table once more, in words: a row that comes or goes is a decision, not an accident."""

NEEDS: dict[type[OrderEvent], dict[str, Any]] = {
    PartiallyFilled: {"trade_id": "t", "last_quantity": D("0.25"), "last_price": D(100)},
    Filled: {"trade_id": "t", "last_quantity": D("0.5"), "last_price": D(100)},
    TradeBusted: {"trade_id": "t", "last_quantity": D("0.5"), "last_price": D(100)},
    TradeCorrected: {
        "trade_id": "u",
        "corrects": "t",
        "last_quantity": D("0.25"),
        "last_price": D(100),
        "previous_quantity": D("0.5"),
        "previous_price": D(100),
    },
    PendingReplace: {"request_id": "r2", "quantity": D(2), "price": D(100)},
    Replaced: {"request_id": "r1", "quantity": D(2), "price": D(100)},
    ReplaceRejected: {"request_id": "r1"},
    Pending: {"intent": None, "environment": "paper", "session_id": "s"},
    Answered: {"result": None},
    AmendmentAnswered: {"result": None},
}


def event(kind: type[OrderEvent], **fields: Any) -> OrderEvent:
    return kind(seq=1, ts_recorded=LATER, run_id="run_1", status=S.SUBMITTED, client_order_id="U1", **fields)


def typical(kind: type[OrderEvent], **fields: Any) -> Any:
    return event(kind, **(NEEDS.get(kind, {}) | fields))


def at(status: S, filled: str | None = None, **fields: Any) -> Order:
    """Return an order of 1 as it usually is in ``status``, with a cancel and a replacement pending if it may."""
    if filled is None:
        filled = {"PARTIALLY_FILLED": "0.5", "FILLED": "1", "CANCELLED": "0.5", "EXPIRED": "0.5"}.get(status, "0")
    pending = status in OPEN or status is S.FILLED
    values: dict[str, Any] = {
        "status": status,
        "price": "100",
        "filled_quantity": filled,
        "filled_notional": D(filled) * 100,
        "pending_cancel": S.CANCELLED if pending else None,
        "pending_replaces": (Replacement("r1", D(1), D(99)),) if pending else (),
    }
    return order(**(values | fields))


# -- the table ---------------------------------------------------------------------------------------------------


def test_the_table_is_the_agreed_one() -> None:
    table: dict[str, dict[str, str]] = {}
    for (status, kind), to in TRANSITIONS.items():
        name = str(kind.__struct_config__.tag)
        table.setdefault(status, {})[name] = "as its quantities say" if to is BY_QUANTITY else str(to)
    assert table == STORY


def test_the_tables_states_and_the_verdicts_are_the_fourteen() -> None:
    states = {status for status, _ in TRANSITIONS} | {to for to in TRANSITIONS.values() if to is not None}
    assert states == OPEN | TERMINAL
    assert len(states | VERDICT_ONLY) == 14
    assert not states & VERDICT_ONLY


def test_the_table_cannot_be_changed_at_run_time() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[(S.FILLED, Submitted)] = S.SUBMITTED  # type: ignore[index]


@pytest.mark.parametrize("status", [*ExecutionStatus])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_follows_the_table_or_is_refused_by_name(status: S, kind: type[OrderEvent]) -> None:
    its_order = at(status)
    if (status, kind) not in TRANSITIONS:
        with pytest.raises(InvalidTransitionError) as refused:
            apply(its_order, typical(kind))
        assert str(refused.value) == f"{kind.__name__} cannot follow {status} (order U1)"
        return
    whole = its_order.quantity - its_order.filled_quantity
    fields: dict[str, Any] = {"last_quantity": whole} if kind is Filled else {}
    if status is S.FILLED and kind is Replaced:
        fields = {"request_id": None, "quantity": D(1)}
    assert apply(its_order, typical(kind, **fields)).status is (TRANSITIONS[status, kind] or _by_quantity(status, kind))


def _by_quantity(status: S, kind: type[OrderEvent]) -> S:
    if status is S.FILLED:
        return S.FILLED if kind is Replaced else S.PARTIALLY_FILLED
    return S.SUBMITTED if status is not S.PARTIALLY_FILLED or kind is TradeBusted else S.PARTIALLY_FILLED


@pytest.mark.parametrize("status", [S.REJECTED, S.ERROR])
def test_nothing_at_all_follows_these_ends(status: S) -> None:
    assert not [kind for state, kind in TRANSITIONS if state is status]


# -- any story ---------------------------------------------------------------------------------------------------

quantities = st.sampled_from(["0.1", "0.25", "0.5", "1", "1.1", "2", "0", "-1", "NaN", "Infinity", "1e999999", "sNaN"])
prices = st.sampled_from(["100", "0.00000001", "0", "-1", "NaN", "1e999999"])
requests = st.sampled_from(["r1", "r2"])
decimals = st.builds(D, quantities)
cleans = st.sampled_from([D("0.1"), D("0.25"), D("0.5"), D(1)])
steps = (
    st.builds(
        event,
        st.sampled_from(
            [Submitted, Cancelled, Expired, Rejected, Errored, OutcomeUnknown, Overdue, PendingCancel, CancelRejected]
        ),
    )
    | st.builds(
        lambda kind, quantity, price: event(kind, trade_id="t", last_quantity=quantity, last_price=D(price)),
        st.sampled_from([PartiallyFilled, Filled]),
        decimals,
        prices,
    )
    | st.builds(lambda quantity: typical(TradeBusted, last_quantity=quantity), cleans)
    | st.builds(
        lambda old, new: typical(TradeCorrected, previous_quantity=old, last_quantity=new),
        cleans,
        decimals,
    )
    | st.builds(
        lambda kind, request, quantity: typical(kind, request_id=request, quantity=quantity),
        st.sampled_from([PendingReplace, Replaced]),
        requests,
        decimals,
    )
    | st.builds(lambda request: typical(ReplaceRejected, request_id=request), requests)
)


@settings(PROPERTY, max_examples=500)
@given(st.lists(steps, max_size=15))
def test_any_story_follows_the_table_or_is_refused_and_changes_nothing(story: list[OrderEvent]) -> None:
    now = order(price="100")
    for step in story:
        before, row = now, (now.status, type(step))
        try:
            now = apply(now, step)
        except InvalidTransitionError:
            assert now == before
            continue
        to = TRANSITIONS[row]
        assert now.status is to or (to is BY_QUANTITY and now.status in {S.SUBMITTED, S.PARTIALLY_FILLED, S.FILLED})
        _quantities_are_right(before, now, type(step))
        if now.status in TERMINAL - {S.FILLED}:
            assert (now.pending_cancel, now.pending_replaces) == (None, ())
        if before.status in TERMINAL - {S.FILLED}:
            assert type(step) in TRADES
            assert now.status is before.status


def _quantities_are_right(before: Order, now: Order, kind: type[OrderEvent]) -> None:
    assert 0 <= now.filled_quantity <= now.quantity
    if kind in FILLS:
        assert now.filled_quantity > before.filled_quantity
    elif kind not in TRADES:
        assert (now.filled_quantity, now.filled_notional) == (before.filled_quantity, before.filled_notional)
    if kind is not Replaced:
        assert (now.quantity, now.price) == (before.quantity, before.price)
    if now.is_open:
        assert now.filled_quantity + now.leaves_quantity == now.quantity
        assert now.leaves_quantity > 0
        assert now.worst_leaves >= now.leaves_quantity
        assert (now.status is S.PARTIALLY_FILLED) is (now.filled_quantity > 0)
    else:
        assert now.leaves_quantity == now.worst_leaves == 0
    if now.status is S.FILLED:
        assert now.filled_quantity == now.quantity


# -- what each kind of event changes --------------------------------------------------------------------------------

PROOFS = [Submitted, PartiallyFilled, Filled, Cancelled, Expired, Rejected, Replaced]


@pytest.mark.parametrize("kind", PROOFS)
def test_evidence_ends_an_unknown_outcome(kind: type[OrderEvent]) -> None:
    unknown = apply(at(S.PENDING, pending_replaces=()), event(OutcomeUnknown))
    assert (unknown.status, unknown.outcome_unknown) == (S.SUBMITTED, True)
    fields: dict[Any, dict[str, Any]] = {Replaced: {"request_id": None}, Filled: {"last_quantity": D(1)}}
    assert apply(unknown, typical(kind, **fields.get(kind, {}))).outcome_unknown is False


@pytest.mark.parametrize("kind", [TradeBusted, TradeCorrected])
def test_a_bust_or_correction_is_evidence_too(kind: type[OrderEvent]) -> None:
    assert apply(at(S.PARTIALLY_FILLED, outcome_unknown=True), typical(kind)).outcome_unknown is False


def test_our_own_failure_leaves_nothing_unknown() -> None:
    assert apply(at(S.PENDING, outcome_unknown=True), event(Errored)).outcome_unknown is False


@pytest.mark.parametrize("kind", [PendingCancel, CancelRejected, PendingReplace, ReplaceRejected, Overdue])
def test_what_we_do_ourselves_proves_nothing(kind: type[OrderEvent]) -> None:
    assert apply(at(S.SUBMITTED, outcome_unknown=True), typical(kind)).outcome_unknown is True


def test_the_venues_id_is_kept_once_known() -> None:
    known = apply(order(), event(Submitted, venue_order_id="v1"))
    assert known.venue_order_id == "v1"
    assert apply(known, event(Submitted)).venue_order_id == "v1"
    assert apply(apply(known, fill(known, "0.5")), event(Cancelled)).venue_order_id == "v1"


@pytest.mark.parametrize(("status", "kind"), [row for row in TRANSITIONS if row[1] is not Overdue])
def test_every_change_is_dated_by_our_clock(status: S, kind: type[OrderEvent]) -> None:
    fields: dict[str, Any] = {"last_quantity": 1 - at(status).filled_quantity} if kind is Filled else {}
    assert apply(at(status), typical(kind, **fields)).updated_at == LATER


@pytest.mark.parametrize("status", OPEN)
def test_silence_changes_nothing_not_even_the_date(status: S) -> None:
    assert apply(at(status), event(Overdue)) == at(status)


@pytest.mark.parametrize("status", [S.CANCELLED, S.EXPIRED])
@pytest.mark.parametrize(("quantity", "price"), [("0.25", "200"), ("0.5", "150")])
def test_a_late_fill_counts_and_the_status_stays(status: S, quantity: str, price: str) -> None:
    late = apply(at(status), fill(at(status), quantity, price))
    assert (late.status, late.filled_quantity) == (status, D("0.5") + D(quantity))
    assert late.filled_notional == 50 + D(quantity) * D(price)
    assert late.leaves_quantity == 0


def test_fills_add_up_to_the_average_price() -> None:
    working = order()
    working = apply(working, fill(working, "0.25", "100"))
    working = apply(working, fill(working, "0.75", "200"))
    assert (working.status, working.filled_notional, working.average_price) == (S.FILLED, D(175), D(175))


@pytest.mark.parametrize("number", [None, "0", "-1", "NaN", "sNaN", "Infinity", "1e999999", "1e16"])
def test_a_fill_needs_a_quantity_and_a_price_that_exist(number: str | None) -> None:
    bad = None if number is None else D(number)
    for quantity, price in ((bad, D(1)), (D("0.1"), bad)):
        with pytest.raises(InvalidTransitionError) as refused:
            check_fill(order(quantity="1e20"), quantity, price)
        assert str(refused.value) == f"{quantity} at {price} cannot be (order U1)"


def test_a_large_number_is_still_one() -> None:
    check_fill(order(quantity="1e20"), D("9.99e15"), D("9.99e15"))


def test_no_fill_goes_beyond_what_was_asked_for() -> None:
    working = apply(order(), fill(order(), "0.6"))
    check_fill(working, D("0.4"), D(1))
    with pytest.raises(InvalidTransitionError) as refused:
        check_fill(working, D("0.41"), D(1))
    assert str(refused.value) == "overfill: 0.6 + 0.41 of 1 (order U1)"


def test_a_replacement_that_is_only_asked_for_makes_no_room_for_fills() -> None:
    with pytest.raises(InvalidTransitionError, match="overfill"):
        apply(at(S.SUBMITTED), typical(PartiallyFilled, last_quantity=D("1.5")))


@pytest.mark.parametrize(("kind", "quantity"), [(Filled, "0.5"), (PartiallyFilled, "1")])
def test_a_fill_that_lies_about_leaving_something_is_refused(kind: type[OrderEvent], quantity: str) -> None:
    """A last fill recorded as partial would leave an order open for ever; the reverse would end it too early."""
    with pytest.raises(InvalidTransitionError) as refused:
        apply(order(), event(kind, trade_id="t", last_quantity=D(quantity), last_price=D(1)))
    assert str(refused.value) == f"{kind.__name__} at {quantity} of 1 (order U1)"


# -- busts and corrections ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "busted", "after"),
    [
        (S.FILLED, "0.4", S.PARTIALLY_FILLED),
        (S.FILLED, "1", S.SUBMITTED),
        (S.PARTIALLY_FILLED, "0.5", S.SUBMITTED),
        (S.PARTIALLY_FILLED, "0.1", S.PARTIALLY_FILLED),
        (S.CANCELLED, "0.5", S.CANCELLED),
        (S.EXPIRED, "0.1", S.EXPIRED),
    ],
)
def test_a_bust_takes_the_trade_back_and_a_filled_order_works_again(status: S, busted: str, after: S) -> None:
    before = at(status)
    now = apply(before, typical(TradeBusted, last_quantity=D(busted), last_price=D(70)))
    assert (now.status, now.filled_quantity) == (after, before.filled_quantity - D(busted))
    assert now.filled_notional == before.filled_notional - D(busted) * 70


@pytest.mark.parametrize(
    ("status", "old", "new", "after"),
    [
        (S.FILLED, "0.5", "0.5", S.FILLED),
        (S.FILLED, "0.5", "0.4", S.PARTIALLY_FILLED),
        (S.PARTIALLY_FILLED, "0.5", "1", S.FILLED),
        (S.PARTIALLY_FILLED, "0.5", "0.6", S.PARTIALLY_FILLED),
        (S.CANCELLED, "0.5", "1", S.CANCELLED),
        (S.EXPIRED, "0.5", "0.2", S.EXPIRED),
    ],
)
def test_a_correction_puts_another_trade_in_its_place(status: S, old: str, new: str, after: S) -> None:
    correction = {
        "previous_quantity": D(old),
        "previous_price": D(70),
        "last_quantity": D(new),
        "last_price": D(200),
    }
    before = at(status)
    now = apply(before, typical(TradeCorrected, **correction))
    assert (now.status, now.filled_quantity) == (after, before.filled_quantity - D(old) + D(new))
    assert now.filled_notional == before.filled_notional - D(old) * 70 + D(new) * 200


@pytest.mark.parametrize(("old", "new"), [("0.6", "0.05"), ("0.6", "0.4"), ("0.1", "0.7")])
def test_a_correction_keeps_between_nothing_and_what_was_asked_for(old: str, new: str) -> None:
    with pytest.raises(InvalidTransitionError) as refused:
        apply(at(S.PARTIALLY_FILLED), typical(TradeCorrected, previous_quantity=D(old), last_quantity=D(new)))
    assert str(refused.value) == f"0.5 - {old} + {new} of 1 cannot be (order U1)"


def test_a_bust_takes_no_more_than_has_traded() -> None:
    with pytest.raises(InvalidTransitionError, match=r"^0.5 - 0.6 \+ 0 of 1 cannot be"):
        apply(at(S.PARTIALLY_FILLED), typical(TradeBusted, last_quantity=D("0.6")))


@pytest.mark.parametrize("number", [None, "0", "-1", "NaN", "sNaN", "1e16"])
def test_a_correction_needs_numbers_that_exist(number: str | None) -> None:
    bad = None if number is None else D(number)
    for field in ("last_quantity", "last_price"):
        with pytest.raises(InvalidTransitionError, match="cannot be"):
            apply(at(S.PARTIALLY_FILLED), typical(TradeCorrected, **{field: bad}))


# -- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("expires", "leads_to"), [(False, S.CANCELLED), (True, S.EXPIRED)])
def test_a_pending_cancel_knows_what_it_leads_to(expires: bool, leads_to: S) -> None:
    asked = apply(at(S.SUBMITTED, pending_cancel=None), event(PendingCancel, expires=expires))
    assert (asked.status, asked.pending_cancel) == (S.SUBMITTED, leads_to)
    assert apply(asked, event(CancelRejected)).pending_cancel is None


@pytest.mark.parametrize("status", [*OPEN, S.FILLED])
def test_only_a_pending_request_can_be_refused(status: S) -> None:
    with pytest.raises(InvalidTransitionError) as refused:
        apply(at(status, pending_cancel=None), event(CancelRejected))
    assert str(refused.value) == "no cancel of order U1 is pending"
    if status is not S.PENDING:
        with pytest.raises(InvalidTransitionError) as refused:
            apply(at(status), typical(ReplaceRejected, request_id="r9"))
        assert str(refused.value) == "no replacement r9 of order U1 is pending"


def test_fills_leave_requests_pending_even_the_last_one() -> None:
    """FIX INV3 and INV4: the venue still answers them."""
    working = at(S.SUBMITTED)
    for quantity, status in (("0.5", S.PARTIALLY_FILLED), ("0.5", S.FILLED)):
        working = apply(working, fill(working, quantity))
        assert (working.status, working.pending_cancel) == (status, S.CANCELLED)
        assert [asked.request_id for asked in working.pending_replaces] == ["r1"]
    refused = apply(working, event(CancelRejected))
    assert (refused.status, refused.pending_cancel) == (S.FILLED, None)


@pytest.mark.parametrize("kind", [Cancelled, Expired, Rejected, Errored])
def test_an_end_answers_every_request(kind: type[OrderEvent]) -> None:
    ended = apply(at(S.PENDING), event(kind))
    assert (ended.pending_cancel, ended.pending_replaces) == (None, ())


def test_terms_change_when_they_are_granted_not_when_they_are_asked_for() -> None:
    asked = apply(at(S.PARTIALLY_FILLED, pending_replaces=()), typical(PendingReplace, price=D(101)))
    assert asked.pending_replaces == (Replacement("r2", D(2), D(101)),)
    assert (asked.quantity, asked.price, asked.leaves_quantity, asked.worst_leaves) == (
        D(1),
        D(100),
        D("0.5"),
        D("1.5"),
    )
    granted = apply(asked, typical(Replaced, request_id="r2", price=D(101)))
    assert (granted.quantity, granted.price, granted.pending_replaces) == (D(2), D(101), ())


def test_each_answer_takes_its_own_request_the_others_wait() -> None:
    both = apply(at(S.SUBMITTED), typical(PendingReplace, request_id="r2", quantity=D(3)))
    assert [asked.request_id for asked in both.pending_replaces] == ["r1", "r2"]
    second = apply(both, typical(Replaced, request_id="r2", quantity=D(3)))
    assert (second.quantity, [asked.request_id for asked in second.pending_replaces]) == (D(3), ["r1"])
    first = apply(both, typical(ReplaceRejected, request_id="r1"))
    assert (first.quantity, [asked.request_id for asked in first.pending_replaces]) == (D(1), ["r2"])


def test_an_order_is_not_filled_while_a_larger_quantity_is_asked_for() -> None:
    """The venue may have granted it already: until it answers, the rest is held and the order is looked up."""
    asked = apply(at(S.SUBMITTED, pending_replaces=()), typical(PendingReplace, request_id="r1", quantity=D(3)))
    traded = apply(asked, fill_of("1", PartiallyFilled))
    assert (traded.status, traded.leaves_quantity, traded.worst_leaves) == (S.PARTIALLY_FILLED, D(0), D(2))
    with pytest.raises(InvalidTransitionError, match="Filled at 1 of 3"):
        apply(asked, fill_of("1", Filled))
    refused = apply(traded, typical(ReplaceRejected, request_id="r1"))
    assert (refused.status, refused.worst_leaves) == (S.FILLED, D(0))
    granted = apply(traded, typical(Replaced, request_id="r1", quantity=D(3)))
    assert (granted.status, granted.leaves_quantity) == (S.PARTIALLY_FILLED, D(2))


def fill_of(quantity: str, kind: type[OrderEvent]) -> OrderEvent:
    return event(kind, trade_id="t", last_quantity=D(quantity), last_price=D(100))


def test_a_restatement_answers_no_request() -> None:
    restated = apply(at(S.SUBMITTED), typical(Replaced, request_id=None, quantity=D(5)))
    assert (restated.quantity, [asked.request_id for asked in restated.pending_replaces]) == (D(5), ["r1"])


def test_terms_nobody_asked_for_are_granted_to_no_request() -> None:
    with pytest.raises(InvalidTransitionError) as refused:
        apply(at(S.SUBMITTED), typical(Replaced, request_id="r9"))
    assert str(refused.value) == "no replacement r9 of order U1 is pending"


def test_the_time_of_the_terms_never_goes_back() -> None:
    """It is the venue's: an older answer must not make room for a restatement that is older than the terms."""
    first = apply(at(S.SUBMITTED), typical(Replaced, request_id=None, ts_event=LATER))
    assert first.terms_at == LATER
    for earlier in (NOW, None):
        assert apply(first, typical(Replaced, request_id=None, ts_event=earlier)).terms_at == LATER
    assert apply(at(S.SUBMITTED), typical(Replaced, ts_event=None)).terms_at is None
    assert apply(at(S.SUBMITTED, terms_at=NOW), typical(Replaced, ts_event=LATER)).terms_at == LATER


@pytest.mark.parametrize(
    ("status", "quantity", "after"),
    [
        (S.PENDING, "2", S.SUBMITTED),
        (S.SUBMITTED, "2", S.SUBMITTED),
        (S.PARTIALLY_FILLED, "2", S.PARTIALLY_FILLED),
        (S.PARTIALLY_FILLED, "0.5", S.FILLED),
        (S.FILLED, "2", S.PARTIALLY_FILLED),
        (S.FILLED, "1", S.FILLED),
    ],
)
def test_new_terms_decide_whether_an_order_works_on(status: S, quantity: str, after: S) -> None:
    assert apply(at(status), typical(Replaced, quantity=D(quantity))).status is after


def test_no_terms_go_below_what_has_traded() -> None:
    with pytest.raises(InvalidTransitionError) as refused:
        apply(at(S.PARTIALLY_FILLED), typical(Replaced, quantity=D("0.4")))
    assert str(refused.value) == "0.4 is below the 0.5 traded (order U1)"


@pytest.mark.parametrize("kind", [PendingReplace, Replaced])
@pytest.mark.parametrize("number", [None, "0", "-1", "NaN", "sNaN", "1e16"])
def test_terms_are_numbers_that_exist(kind: type[OrderEvent], number: str | None) -> None:
    bad = None if number is None else D(number)
    for field in ("quantity", "price"):
        with pytest.raises(InvalidTransitionError, match="cannot be"):
            apply(at(S.SUBMITTED), typical(kind, **{field: bad}))


@pytest.mark.parametrize("kind", [PendingReplace, Replaced])
def test_a_market_order_has_no_price_to_change(kind: type[OrderEvent]) -> None:
    market = at(S.SUBMITTED, price=None)
    assert apply(market, typical(kind, price=None)).price is None
