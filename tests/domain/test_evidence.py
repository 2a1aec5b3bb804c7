"""A report counts once and proves no more than it says; what contradicts the order is refused, for the quarantine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import ExecType, ExecutionStatus, Liquidity, OrderType, TimeInForce
from router.domain.events import (
    Cancelled,
    CancelRejected,
    Expired,
    Filled,
    OrderEvent,
    PartiallyFilled,
    Rejected,
    Replaced,
    ReplaceRejected,
    Submitted,
    TradeBusted,
    TradeCorrected,
)
from router.domain.evidence import Proof, Verdict, judge
from router.domain.executions import Execution, Executions, remember
from router.domain.lifecycle import InvalidTransitionError, apply
from router.domain.order import Order, Replacement
from router.domain.report import ExecutionReport
from tests.factories import NOW, PROPERTY, D, order

S = ExecutionStatus
X = ExecType
LATER = NOW + timedelta(seconds=1)
NUMBERS = {"last_quantity", "last_price", "fee", "filled_quantity", "leaves_quantity", "quantity", "price"}
ENDINGS = (X.CANCELED, X.EXPIRED, X.REJECTED)


def said(kind: X, **fields: Any) -> ExecutionReport:
    """Return a report; numbers may be given as text."""
    exact: dict[str, Any] = {
        name: D(value) if name in NUMBERS and value is not None else value for name, value in fields.items()
    }
    return ExecutionReport(exec_type=kind, client_order_id="U1", ts_event=NOW, **exact)


def at(status: S, filled: str | None = None, **fields: Any) -> Order:
    """Return a limit order of 10 at 100, acknowledged as v1, as it usually is in ``status``."""
    if filled is None:
        filled = {S.PARTIALLY_FILLED: "4", S.FILLED: "10", S.CANCELLED: "4", S.EXPIRED: "4"}.get(status, "0")
    values: dict[str, Any] = {
        "status": status,
        "quantity": "10",
        "order_type": OrderType.LIMIT,
        "price": "100",
        "venue_order_id": "v1",
        "filled_quantity": filled,
        "filled_notional": D(filled) * 100,
    }
    return order(**(values | fields))


def asked(*terms: tuple[str, str, str]) -> tuple[Replacement, ...]:
    return tuple(Replacement(name, D(quantity), D(price)) for name, quantity, price in terms)


def trades(**quantities: str) -> Executions:
    """Return trades at 100 by id; ``"4@6"`` is a trade of 4 that took the venue's count to 6."""
    made: Executions = {}
    for name, text in quantities.items():
        quantity, _, cumulative = text.partition("@")
        made[name] = Execution(D(quantity), D(100), D("0.1"), "USD", D(cumulative) if cumulative else None)
    return made


def judged(its_order: Order, report: ExecutionReport, executions: Executions | None = None) -> Verdict:
    return judge(its_order, executions or {}, report, seq=7, now=LATER)


def nothing(verdict: Verdict, note: str, proof: Proof = Proof.STANDS) -> None:
    assert (verdict.event, verdict.note, verdict.proof) == (None, note, proof)


def event(verdict: Verdict, kind: type[OrderEvent], proof: Proof = Proof.STANDS, **fields: Any) -> None:
    made = verdict.event
    assert type(made) is kind
    assert {name: getattr(made, name) for name in fields} == fields
    assert (verdict.note, verdict.proof) == ("", proof)


def refused(its_order: Order, report: ExecutionReport, executions: Executions | None = None) -> str:
    with pytest.raises(InvalidTransitionError) as error:
        judged(its_order, report, executions)
    return str(error.value)


# -- every report ---------------------------------------------------------------------------------------------------


def test_an_event_carries_who_when_and_why() -> None:
    verdict = judged(at(S.SUBMITTED), said(X.CANCELED, reason="by hand"))
    assert verdict.event == Cancelled(
        seq=7,
        ts_recorded=LATER,
        run_id="run_1",
        client_order_id="U1",
        status=S.SUBMITTED,
        ts_event=NOW,
        reason="by hand",
    )


@pytest.mark.parametrize("kind", [*X])
def test_another_symbol_is_another_order(kind: X) -> None:
    assert (
        refused(at(S.SUBMITTED), said(kind, symbol="ETH/USD")) == "the report is about ETH/USD, the order about BTC/USD"
    )
    judged(at(S.SUBMITTED), said(X.NEW, symbol="BTC/USD"))


@pytest.mark.parametrize("kind", [*X])
@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_numbers_that_cannot_be_are_refused_whatever_the_report(kind: X, name: str) -> None:
    for number in ("NaN", "sNaN", "Infinity", "-Infinity", "1e16", "1e999999", "-1e16" if name == "fee" else "-1"):
        report = said(kind, trade_id="t1", corrects="t1", **{name: number})
        message = refused(at(S.PARTIALLY_FILLED), report, trades(t1="4@4"))
        assert message == f"a {name} of {D(number)} cannot be (order U1)"


def test_a_rebate_and_numbers_of_sixteen_digits_can_be() -> None:
    report = said(X.TRADE, trade_id="t1", last_quantity="1", last_price="9999999999999999", fee="-0.5")
    event(judged(at(S.SUBMITTED), report), PartiallyFilled, fee=D("-0.5"), last_price=D("9999999999999999"))


def test_zeros_can_be() -> None:
    nothing(judged(at(S.SUBMITTED), said(X.NEW, filled_quantity="0", leaves_quantity="0")), "acknowledged before")


# -- acknowledgements -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [X.NEW, X.ORDER_STATUS])
def test_an_acknowledgement_proves_that_the_order_is_there(kind: X) -> None:
    for unproved in (at(S.PENDING, venue_order_id=None), at(S.SUBMITTED, outcome_unknown=True)):
        event(judged(unproved, said(kind, venue_order_id="v1")), Submitted, venue_order_id="v1")
        event(judged(unproved, said(kind)), Submitted, venue_order_id=None)


@pytest.mark.parametrize("status", [S.SUBMITTED, S.PARTIALLY_FILLED])
def test_a_repeated_acknowledgement_changes_nothing(status: S) -> None:
    for name in (None, "v1"):
        nothing(judged(at(status), said(X.NEW, venue_order_id=name)), "acknowledged before")


def test_an_acknowledgement_that_names_the_order_first_counts() -> None:
    event(judged(at(S.PARTIALLY_FILLED, venue_order_id=None), said(X.NEW, venue_order_id="v1")), Submitted)


@pytest.mark.parametrize("status", [S.FILLED, S.CANCELLED, S.EXPIRED])
def test_an_acknowledgement_after_the_end_was_overtaken(status: S) -> None:
    nothing(judged(at(status), said(X.NEW, venue_order_id="v2")), "an acknowledgement that was overtaken")


@pytest.mark.parametrize("status", [S.REJECTED, S.ERROR])
def test_an_acknowledgement_contradicts_a_refusal(status: S) -> None:
    verdict = judged(at(status), said(X.NEW))
    assert verdict.event is not None
    with pytest.raises(InvalidTransitionError):
        apply(at(status), verdict.event)


# -- trades -------------------------------------------------------------------------------------------------------


def a_trade(quantity: str = "3", counted: str | None = None, **fields: Any) -> ExecutionReport:
    values = {"trade_id": "t1", "last_quantity": quantity, "last_price": "100", "filled_quantity": counted}
    return said(X.TRADE, **(values | fields))


def test_a_trade_is_taken_over_whole() -> None:
    report = a_trade("3", "3", fee="0.2", fee_currency="BNB", liquidity=Liquidity.MAKER)
    event(
        judged(at(S.SUBMITTED), report),
        PartiallyFilled,
        trade_id="t1",
        cumulative_quantity=D(3),
        last_quantity=D(3),
        last_price=D(100),
        fee=D("0.2"),
        fee_currency="BNB",
        liquidity=Liquidity.MAKER,
    )
    event(judged(at(S.SUBMITTED), a_trade()), PartiallyFilled, fee=D(0), cumulative_quantity=None)


@pytest.mark.parametrize(("quantity", "kind"), [("6", Filled), ("5.9", PartiallyFilled)])
def test_the_trade_that_leaves_nothing_fills(quantity: str, kind: type[OrderEvent]) -> None:
    event(judged(at(S.PARTIALLY_FILLED), a_trade(quantity)), kind)


def test_a_trade_counts_once_by_its_id() -> None:
    nothing(judged(at(S.PARTIALLY_FILLED), a_trade("4", "4"), trades(t1="4@4")), "trade t1 is counted already")
    nothing(judged(at(S.PARTIALLY_FILLED), a_trade("4"), trades(t1="0")), "trade t1 is counted already")


def test_a_trade_counts_once_by_the_stretch_it_covers() -> None:
    again = judged(at(S.PARTIALLY_FILLED), a_trade("4", "4"), trades(other="4@4"))
    nothing(again, "trade t1 is counted already, under another id")


@pytest.mark.parametrize(
    ("quantity", "counted", "other"), [("3", "4", "4@4"), ("4", "8", "4@4"), ("4", None, "4@4"), ("4", "4", "4")]
)
def test_another_stretch_is_another_trade(quantity: str, counted: str | None, other: str) -> None:
    verdict = judged(at(S.PARTIALLY_FILLED), a_trade(quantity, counted), trades(other=other))
    assert isinstance(verdict.event, PartiallyFilled)


def test_a_trade_without_an_id_is_named_by_the_count() -> None:
    event(judged(at(S.SUBMITTED), a_trade("3", "5", trade_id=None)), PartiallyFilled, Proof.INCOMPLETE, trade_id="U1-5")
    assert "cannot be told from its repeat" in refused(at(S.PARTIALLY_FILLED), a_trade("3", trade_id=None))
    known: Executions = {"U1-4": Execution(D(4), D(100), D(0), None, None)}
    again = judged(at(S.PARTIALLY_FILLED), a_trade("4", "4", trade_id=None), known)
    nothing(again, "trade U1-4 is counted already")


@pytest.mark.parametrize(
    ("counted", "proof"), [(None, "stands"), ("7", "stands"), ("6", "stands"), ("8", "incomplete")]
)
def test_a_count_beyond_what_was_reported_shows_a_gap(counted: str | None, proof: str) -> None:
    assert judged(at(S.PARTIALLY_FILLED), a_trade("3", counted)).proof is Proof(proof)


def test_a_venue_that_shows_the_end_at_the_old_terms_has_refused_the_new_ones() -> None:
    waits = at(S.PARTIALLY_FILLED, "10", pending_replaces=asked(("r1", "12", "100"), ("r2", "13", "100")))
    shown = said(X.ORDER_STATUS, order_status=S.FILLED, filled_quantity=D(10))
    event(judged(waits, shown), ReplaceRejected, request_id="r1")
    nothing(judged(at(S.PARTIALLY_FILLED), shown), "the venue counts 10 filled, 4 are reported", Proof.INCOMPLETE)


def test_a_trade_within_larger_terms_that_are_pending_waits_for_the_look_up_that_shows_them() -> None:
    larger = at(S.SUBMITTED, pending_replaces=asked(("r1", "12", "100")))
    note = "a trade within terms that are asked for: granted, but not heard of yet"
    nothing(judged(larger, a_trade("11")), note, Proof.INCOMPLETE)
    nothing(judged(larger, a_trade("12")), note, Proof.INCOMPLETE)
    event(judged(larger, a_trade("10")), PartiallyFilled)
    assert "overfill" in refused(larger, a_trade("12.1"))


def test_a_trade_beyond_what_was_asked_for_is_refused() -> None:
    assert refused(at(S.PARTIALLY_FILLED), a_trade("7")) == "overfill: 4 + 7 of 10 (order U1)"


@pytest.mark.parametrize("field", ["last_quantity", "last_price"])
@pytest.mark.parametrize("number", [None, "0"])
def test_a_trade_says_how_much_and_at_what_price(field: str, number: str | None) -> None:
    fields: dict[str, Any] = {field: number}
    assert "cannot be" in refused(at(S.SUBMITTED), a_trade(**fields))


@pytest.mark.parametrize("status", [S.CANCELLED, S.EXPIRED])
def test_a_late_trade_counts(status: S) -> None:
    event(judged(at(status), a_trade("6")), Filled)
    event(judged(at(status), a_trade("5")), PartiallyFilled)


# -- busts and corrections ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [{"corrects": "t1", "trade_id": "e9"}, {"trade_id": "t1"}])
def test_a_bust_takes_back_what_the_trade_was_whatever_it_says(names: dict[str, str]) -> None:
    verdict = judged(at(S.PARTIALLY_FILLED), said(X.TRADE_CANCEL, last_quantity="1", **names), trades(t1="4@4"))
    was: dict[str, Any] = {"last_quantity": D(4), "last_price": D(100), "fee": D("0.1"), "fee_currency": "USD"}
    event(verdict, TradeBusted, trade_id="t1", **was)


def test_a_bust_counts_once() -> None:
    again = judged(at(S.SUBMITTED), said(X.TRADE_CANCEL, corrects="t1"), trades(t1="0"))
    nothing(again, "trade t1 does not count any more")


@pytest.mark.parametrize("kind", [X.TRADE_CANCEL, X.TRADE_CORRECT])
@pytest.mark.parametrize("name", [None, "t9"])
def test_what_was_never_reported_is_not_taken_back(kind: X, name: str | None) -> None:
    report = said(kind, corrects=name, last_quantity="1", last_price="1")
    assert refused(at(S.PARTIALLY_FILLED), report, trades(t1="4")) == f"no trade {name} of order U1 was reported"


def a_correction(**fields: Any) -> ExecutionReport:
    values = {"corrects": "t1", "trade_id": "t2", "last_quantity": "3", "last_price": "90"}
    return said(X.TRADE_CORRECT, **(values | fields))


def test_a_correction_holds_the_old_trade_and_the_new() -> None:
    report = a_correction(fee="0.3", fee_currency="BNB", liquidity=Liquidity.TAKER)
    event(
        judged(at(S.PARTIALLY_FILLED), report, trades(t1="4@4")),
        TradeCorrected,
        trade_id="t2",
        corrects="t1",
        last_quantity=D(3),
        last_price=D(90),
        previous_quantity=D(4),
        previous_price=D(100),
        previous_fee=D("0.1"),
        fee=D("0.3"),
        fee_currency="BNB",
        liquidity=Liquidity.TAKER,
        cumulative_quantity=None,
    )


def test_a_correction_that_says_no_fee_keeps_the_old_one() -> None:
    event(
        judged(at(S.PARTIALLY_FILLED), a_correction(), trades(t1="4")), TradeCorrected, fee=D("0.1"), fee_currency="USD"
    )
    event(judged(at(S.PARTIALLY_FILLED), a_correction(fee="0"), trades(t1="4")), TradeCorrected, fee=D(0))


def test_a_correction_counts_once_with_an_id_or_without() -> None:
    counted = {**trades(t1="0"), "t2": Execution(D(3), D(90), D(0), None, None)}
    nothing(judged(at(S.PARTIALLY_FILLED), a_correction(), counted), "trade t2 is counted already")
    event(
        judged(at(S.PARTIALLY_FILLED), a_correction(trade_id=None), trades(t1="4")),
        TradeCorrected,
        trade_id="t1-corrected",
    )
    counted["t1-corrected"] = counted.pop("t2")
    again = judged(at(S.PARTIALLY_FILLED), a_correction(trade_id=None), counted)
    nothing(again, "trade t1-corrected is counted already")


def test_a_correction_under_the_trades_own_id_gets_one_of_its_own() -> None:
    known = remembered(trades(t1="4@4"), at(S.PARTIALLY_FILLED), a_correction(trade_id="t1"))
    assert known == {**trades(t1="0"), "t1-corrected": Execution(D(3), D(90), D("0.1"), "USD", None)}
    nothing(
        judged(at(S.PARTIALLY_FILLED, "3"), a_correction(trade_id="t1"), known), "trade t1-corrected is counted already"
    )


def test_a_correction_that_a_look_up_has_overtaken_takes_the_old_trade_back() -> None:
    """The look-up brought the new trade as a trade; both would count."""
    known = trades(t1="4", t2="3")
    verdict = judged(at(S.PARTIALLY_FILLED, "7"), a_correction(), known)
    event(verdict, TradeBusted, trade_id="t1", last_quantity=D(4), last_price=D(100), fee=D("0.1"))
    assert verdict.event is not None
    remember(known, verdict.event)
    nothing(judged(at(S.PARTIALLY_FILLED, "3"), a_correction(), known), "trade t2 is counted already")


def test_a_correction_that_names_no_old_trade_repeats_the_new_one() -> None:
    for name in (None, "t9"):
        again = judged(at(S.PARTIALLY_FILLED), a_correction(corrects=name), trades(t2="3"))
        nothing(again, "trade t2 is counted already")


def test_what_does_not_count_any_more_is_not_corrected() -> None:
    message = refused(at(S.PARTIALLY_FILLED), a_correction(), trades(t1="0"))
    assert message == "trade t1 does not count any more (order U1)"


# -- what is remembered of trades -----------------------------------------------------------------------------------


def remembered(executions: Executions, its_order: Order, report: ExecutionReport) -> Executions:
    verdict = judged(its_order, report, executions)
    assert verdict.event is not None
    remember(executions, verdict.event)
    return executions


def test_a_trade_is_remembered_with_the_venues_count() -> None:
    known = remembered({}, at(S.SUBMITTED), a_trade("3", "3", fee="0.2", fee_currency="BNB"))
    assert known == {"t1": Execution(D(3), D(100), D("0.2"), "BNB", D(3))}


def test_a_bust_moves_the_venues_count_for_every_other_trade() -> None:
    known = remembered(trades(t1="1@1", t2="3@4"), at(S.PARTIALLY_FILLED), said(X.TRADE_CANCEL, corrects="t1"))
    assert known == trades(t1="0", t2="3")
    event(judged(at(S.PARTIALLY_FILLED, "3"), a_trade("3", "4", trade_id="t3"), known), PartiallyFilled)


def test_a_correction_takes_the_old_trades_place() -> None:
    known = remembered(
        trades(t1="1@1", t2="3@4"), at(S.PARTIALLY_FILLED), a_correction(trade_id="t3", filled_quantity="6")
    )
    assert known == {**trades(t1="0", t2="3"), "t3": Execution(D(3), D(90), D("0.1"), "USD", None)}


def test_nothing_else_is_remembered() -> None:
    assert remembered(trades(t1="4@4"), at(S.PARTIALLY_FILLED), said(X.CANCELED)) == trades(t1="4@4")


# -- requests -------------------------------------------------------------------------------------------------------


def test_a_granted_replacement_takes_its_terms_from_the_venue_or_from_the_request() -> None:
    waiting = at(S.SUBMITTED, pending_replaces=asked(("r1", "12", "101"), ("r2", "13", "102")))
    event(
        judged(waiting, said(X.REPLACED, request_id="r2")),
        Replaced,
        request_id="r2",
        quantity=D(13),
        price=D(102),
    )
    told = said(X.REPLACED, request_id="r1", quantity="11", price="99")
    event(judged(waiting, told), Replaced, request_id="r1", quantity=D(11), price=D(99))


def test_no_replacement_goes_below_what_has_traded() -> None:
    waiting = at(S.PARTIALLY_FILLED, pending_replaces=asked(("r1", "3", "100")))
    event(judged(waiting, said(X.REPLACED, request_id="r1")), Replaced, quantity=D(4))


@pytest.mark.parametrize(("quantity", "price"), [("12", None), (None, "99"), ("12", "99")])
def test_a_restatement_changes_what_it_names(quantity: str | None, price: str | None) -> None:
    verdict = judged(at(S.SUBMITTED), said(X.REPLACED, quantity=quantity, price=price))
    event(verdict, Replaced, request_id=None, quantity=D(quantity or 10), price=D(price or 100))


@pytest.mark.parametrize("status", [S.SUBMITTED, S.FILLED, S.CANCELLED])
def test_terms_in_force_are_not_news(status: S) -> None:
    nothing(judged(at(status), said(X.REPLACED, quantity="10")), "these terms are in force already")


@pytest.mark.parametrize("quantity", ["10", "12"])
def test_an_answer_to_no_pending_request_was_given_before(quantity: str) -> None:
    waiting = at(S.SUBMITTED, pending_replaces=asked(("r2", "12", "100")))
    again = judged(waiting, said(X.REPLACED, request_id="r1", quantity=quantity))
    nothing(again, "this replacement is answered already")


@pytest.mark.parametrize(("seconds", "newer"), [(-1, True), (0, True), (1, False)])
def test_of_two_sets_of_terms_the_venues_later_one_counts(seconds: int, newer: bool) -> None:
    working = at(S.SUBMITTED, terms_at=NOW + timedelta(seconds=seconds), pending_replaces=asked(("r1", "12", "101")))
    answer = judged(working, said(X.REPLACED, request_id="r1"))  # our newest request is never overtaken
    event(answer, Replaced, request_id="r1", quantity=D(12), price=D(101))
    both = at(S.SUBMITTED, terms_at=working.terms_at, pending_replaces=asked(("r1", "12", "101"), ("r2", "13", "101")))
    answer = judged(both, said(X.REPLACED, request_id="r1"))
    event(answer, Replaced, request_id="r1", quantity=D(12 if newer else 10), price=D(101 if newer else 100))
    restated = judged(working, said(X.REPLACED, quantity="13"))
    shown = judged(working, said(X.ORDER_STATUS, quantity="13"))
    if newer:
        event(restated, Replaced, quantity=D(13))
        event(shown, Replaced, quantity=D(13))
    else:
        nothing(restated, "these terms are in force already")
        nothing(shown, "acknowledged before")


def test_the_same_terms_still_answer_the_request() -> None:
    waiting = at(S.SUBMITTED, pending_replaces=asked(("r1", "10", "100")))
    event(judged(waiting, said(X.REPLACED, request_id="r1", quantity="10", price="100")), Replaced, request_id="r1")


def test_a_refused_replacement_is_answered_once() -> None:
    waiting = at(S.SUBMITTED, pending_replaces=asked(("r1", "12", "100"), ("r2", "13", "100")))
    event(judged(waiting, said(X.REPLACE_REJECTED, request_id="r2")), ReplaceRejected, Proof.NONE, request_id="r2")
    again = judged(waiting, said(X.REPLACE_REJECTED, request_id="r3"))
    nothing(again, "no such replacement is pending", Proof.NONE)


def test_a_refused_cancel_is_answered_once() -> None:
    event(judged(at(S.SUBMITTED, pending_cancel=S.CANCELLED), said(X.CANCEL_REJECTED)), CancelRejected, Proof.NONE)
    nothing(judged(at(S.SUBMITTED), said(X.CANCEL_REJECTED)), "no cancel is pending", Proof.NONE)


# -- endings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counted", [None, "4"])
@pytest.mark.parametrize(("how", "kind"), [(X.CANCELED, Cancelled), (X.EXPIRED, Expired), (X.REJECTED, Cancelled)])
def test_an_order_that_traded_ends_but_is_never_refused(how: X, kind: type[OrderEvent], counted: str | None) -> None:
    event(judged(at(S.PARTIALLY_FILLED), said(how, filled_quantity=counted)), kind)


@pytest.mark.parametrize("status", [S.PENDING, S.SUBMITTED])
def test_an_order_that_never_traded_can_be_refused(status: S) -> None:
    event(judged(at(status), said(X.REJECTED, reason="no money")), Rejected, reason="no money")


@pytest.mark.parametrize(
    ("pending", "time_in_force", "kind"),
    [
        (None, TimeInForce.GTC, Cancelled),
        (None, TimeInForce.DAY, Cancelled),
        (None, TimeInForce.IOC, Expired),
        (None, TimeInForce.FOK, Expired),
        (S.CANCELLED, TimeInForce.GTC, Cancelled),
        (S.CANCELLED, TimeInForce.IOC, Cancelled),
        (S.EXPIRED, TimeInForce.GTC, Expired),
        (S.EXPIRED, TimeInForce.IOC, Expired),
    ],
)
def test_a_confirmed_cancel_is_what_it_was_asked_for(
    pending: S | None, time_in_force: TimeInForce, kind: type[OrderEvent]
) -> None:
    working = at(S.SUBMITTED, pending_cancel=pending, time_in_force=time_in_force)
    event(judged(working, said(X.CANCELED)), kind)
    event(judged(working, said(X.EXPIRED)), Expired)


@pytest.mark.parametrize("status", [S.SUBMITTED, S.PARTIALLY_FILLED])
@pytest.mark.parametrize("how", ENDINGS)
def test_an_order_ends_only_once_every_trade_is_here(status: S, how: X) -> None:
    working = at(status)
    note = f"the venue ended it at 5 filled, {working.filled_quantity} are reported"
    nothing(judged(working, said(how, filled_quantity="5")), note, Proof.INCOMPLETE)


@pytest.mark.parametrize("unproved", [at(S.PENDING), at(S.SUBMITTED, outcome_unknown=True)])
@pytest.mark.parametrize("kind", [*ENDINGS, X.ORDER_STATUS])
def test_trades_that_lack_still_prove_that_the_order_was_placed(unproved: Order, kind: X) -> None:
    verdict = judged(unproved, said(kind, filled_quantity="5", venue_order_id="v1", reason="over"))
    assert isinstance(verdict.event, Submitted)
    assert verdict.event.reason is not None
    assert verdict.event.reason.startswith("the venue ")
    event(verdict, Submitted, Proof.INCOMPLETE, venue_order_id="v1")


@pytest.mark.parametrize("how", ENDINGS)
def test_an_end_before_trades_that_are_here_is_refused(how: X) -> None:
    message = refused(at(S.PARTIALLY_FILLED), said(how, filled_quantity="3"))
    assert message == "the venue ended order U1 at 3 filled, it has 4"


@pytest.mark.parametrize("counted", [None, "3", "4"])
@pytest.mark.parametrize(
    ("status", "how"),
    [
        *((status, how) for status in (S.CANCELLED, S.EXPIRED, S.FILLED) for how in (X.CANCELED, X.EXPIRED)),
        (S.CANCELLED, X.REJECTED),
    ],
)
def test_an_end_that_is_said_again_changes_nothing(status: S, how: X, counted: str | None) -> None:
    nothing(judged(at(status, "4"), said(how, filled_quantity=counted)), f"the order is {status} already")


def test_a_refusal_that_is_said_again_changes_nothing() -> None:
    nothing(judged(at(S.REJECTED), said(X.REJECTED)), "the order is REJECTED already")


@pytest.mark.parametrize("status", [S.CANCELLED, S.EXPIRED, S.FILLED])
def test_an_end_with_more_trades_than_an_ended_order_has_is_refused(status: S) -> None:
    assert refused(at(status, "4"), said(X.CANCELED, filled_quantity="5")).endswith("at 5 filled, it has 4")


@pytest.mark.parametrize(
    ("status", "how"),
    [(S.FILLED, X.REJECTED), (S.EXPIRED, X.REJECTED), (S.REJECTED, X.CANCELED), (S.ERROR, X.EXPIRED)],
)
def test_an_end_of_another_kind_contradicts(status: S, how: X) -> None:
    verdict = judged(at(status), said(how))
    assert verdict.event is not None
    with pytest.raises(InvalidTransitionError):
        apply(at(status), verdict.event)


def test_the_days_end_is_the_orders_end_only_when_it_leaves_nothing() -> None:
    event(judged(at(S.PARTIALLY_FILLED), said(X.DONE_FOR_DAY, leaves_quantity="0")), Expired)
    for leaves in ("6", None):
        report = said(X.DONE_FOR_DAY, leaves_quantity=leaves)
        nothing(judged(at(S.PARTIALLY_FILLED), report), "done for the day, the rest goes on")
    again = judged(at(S.EXPIRED), said(X.DONE_FOR_DAY, leaves_quantity="0"))
    nothing(again, "the order is EXPIRED already")


# -- look-ups -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shown", "kind"), [(S.CANCELLED, Cancelled), (S.EXPIRED, Expired), (S.REJECTED, Cancelled)])
def test_a_picture_of_an_end_is_an_end(shown: S, kind: type[OrderEvent]) -> None:
    picture = said(X.ORDER_STATUS, order_status=shown, filled_quantity="4", reason="gone", quantity="4", price="99")
    event(judged(at(S.PARTIALLY_FILLED), picture), kind, reason="gone")
    short = said(X.ORDER_STATUS, order_status=shown, filled_quantity="5")
    note = "the venue ended it at 5 filled, 4 are reported"
    nothing(judged(at(S.PARTIALLY_FILLED), short), note, Proof.INCOMPLETE)


@pytest.mark.parametrize("status", [S.REJECTED, S.ERROR])
@pytest.mark.parametrize("shown", [None, S.SUBMITTED, S.FILLED, S.CANCELLED])
def test_a_picture_of_a_refused_order_contradicts(status: S, shown: S | None) -> None:
    message = refused(at(status), said(X.ORDER_STATUS, order_status=shown))
    assert message == f"the venue shows {shown}, but the order ended here as {status}"


PICTURES: list[dict[str, Any]] = [
    {"order_status": shown, "filled_quantity": counted, "quantity": quantity, "price": price}
    for shown in (None, S.SUBMITTED, S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED)
    for counted in (None, "4", "5", "11")
    for quantity, price in ((None, None), ("10", "100"), ("12", "101"), ("4", "100"))
]


@pytest.mark.parametrize("status", [*S])
@pytest.mark.parametrize("more", [{}, {"outcome_unknown": True}, {"pending_replaces": asked(("r1", "12", "101"))}])
def test_a_picture_nobody_asked_for_is_judged_like_one_that_was(status: S, more: dict[str, Any]) -> None:
    for picture in PICTURES:
        try:
            wanted: object = judged(at(status, **more), said(X.ORDER_STATUS, **picture))
        except InvalidTransitionError as error:
            wanted = str(error)
        try:
            found: object = judged(at(status, **more), said(X.RESTATED, **picture))
        except InvalidTransitionError as error:
            found = str(error)
        assert found == wanted, picture


def test_a_restatement_that_counts_more_than_is_here_shows_a_gap() -> None:
    more = said(X.RESTATED, order_status=S.PARTIALLY_FILLED, filled_quantity="5")
    assert judged(at(S.PARTIALLY_FILLED), more).proof is Proof.INCOMPLETE
    assert judged(at(S.PENDING, venue_order_id=None), more).proof is Proof.INCOMPLETE


def test_a_picture_of_a_refusal_repeats_it() -> None:
    nothing(judged(at(S.REJECTED), said(X.ORDER_STATUS, order_status=S.REJECTED)), "the order is REJECTED already")


@pytest.mark.parametrize("status", [S.FILLED, S.CANCELLED, S.EXPIRED])
@pytest.mark.parametrize("shown", [None, S.SUBMITTED, S.PARTIALLY_FILLED, S.FILLED])
def test_a_picture_older_than_the_end_changes_nothing(status: S, shown: S | None) -> None:
    quantity = "10" if status is S.FILLED else "12"
    picture = said(X.ORDER_STATUS, order_status=shown, filled_quantity="1", quantity=quantity)
    nothing(judged(at(status), picture), f"a picture older than the end {status}")


def test_a_picture_with_more_trades_than_are_here_shows_a_gap() -> None:
    for shown in (None, S.PARTIALLY_FILLED, S.FILLED):
        picture = said(X.ORDER_STATUS, order_status=shown, filled_quantity="5")
        note = "the venue counts 5 filled, 4 are reported"
        nothing(judged(at(S.PARTIALLY_FILLED), picture), note, Proof.INCOMPLETE)


@pytest.mark.parametrize("counted", [None, "3", "4"])
def test_a_picture_with_no_more_than_is_here_shows_that_the_order_stands(counted: str | None) -> None:
    picture = said(X.ORDER_STATUS, order_status=S.PARTIALLY_FILLED, filled_quantity=counted)
    nothing(judged(at(S.PARTIALLY_FILLED), picture), "acknowledged before")


def test_a_picture_with_the_terms_asked_for_grants_them() -> None:
    waiting = at(S.PARTIALLY_FILLED, pending_replaces=asked(("r1", "12", "101"), ("r2", "13", "101")))
    picture = said(X.ORDER_STATUS, order_status=S.PARTIALLY_FILLED, quantity="13", price="101", filled_quantity="4")
    event(judged(waiting, picture), Replaced, request_id="r2", quantity=D(13), price=D(101))


def test_the_same_terms_asked_for_are_granted_by_a_picture_too() -> None:
    waiting = at(S.SUBMITTED, pending_replaces=asked(("r1", "10", "100")))
    picture = said(X.ORDER_STATUS, order_status=S.SUBMITTED, quantity="10", price="100")
    event(judged(waiting, picture), Replaced, request_id="r1")


def test_a_picture_that_was_asked_for_grants_the_terms_though_the_venues_clock_went_back() -> None:
    later = NOW + timedelta(seconds=1)
    waiting = at(S.SUBMITTED, terms_at=later, pending_replaces=asked(("r1", "12", "101")))
    terms = {"order_status": S.SUBMITTED, "quantity": "12", "price": "101"}
    event(judged(waiting, said(X.ORDER_STATUS, **terms)), Replaced, request_id="r1", quantity=D(12), price=D(101))
    nothing(judged(waiting, said(X.RESTATED, **terms)), "acknowledged before")  # it may be from before
    others = said(X.ORDER_STATUS, order_status=S.SUBMITTED, quantity="11", price="100")
    nothing(judged(waiting, others), "acknowledged before")


@pytest.mark.parametrize(("quantity", "price"), [("12", "100"), ("10", "101"), ("12", None), ("12", "99")])
def test_a_picture_with_terms_nobody_asked_for_is_a_restatement(quantity: str, price: str | None) -> None:
    waiting = at(S.SUBMITTED, pending_replaces=asked(("r1", "12", "101")))
    picture = said(X.ORDER_STATUS, order_status=S.SUBMITTED, quantity=quantity, price=price)
    terms: dict[str, Any] = {"quantity": D(quantity), "price": D(price or 100)}
    event(judged(waiting, picture), Replaced, request_id=None, **terms)


@pytest.mark.parametrize(("quantity", "price"), [(None, "99"), ("0", "99"), ("3", "99"), ("10", "100"), ("10", None)])
def test_a_picture_without_terms_or_with_ours_or_with_impossible_ones_restates_nothing(
    quantity: str | None, price: str | None
) -> None:
    picture = said(X.ORDER_STATUS, order_status=S.PARTIALLY_FILLED, quantity=quantity, price=price)
    nothing(judged(at(S.PARTIALLY_FILLED), picture), "acknowledged before")


def test_a_market_orders_price_is_not_a_term() -> None:
    market = at(S.SUBMITTED, order_type=OrderType.MARKET)
    nothing(judged(market, said(X.ORDER_STATUS, quantity="10", price="55")), "acknowledged before")
    event(judged(market, said(X.ORDER_STATUS, quantity="11", price="55")), Replaced, quantity=D(11), price=D(100))


@pytest.mark.parametrize("shown", [S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED])
def test_new_terms_make_room_for_the_trades_that_the_venue_counts(shown: S) -> None:
    picture = said(X.ORDER_STATUS, order_status=shown, quantity="12", filled_quantity="11")
    event(judged(at(S.PARTIALLY_FILLED), picture), Replaced, Proof.INCOMPLETE, quantity=D(12))
    event(judged(at(S.FILLED), picture), Replaced, Proof.INCOMPLETE, quantity=D(12))


def test_room_that_no_trade_needs_is_not_made_for_an_ended_order() -> None:
    picture = said(X.ORDER_STATUS, order_status=S.CANCELLED, quantity="12", filled_quantity="10")
    note = "the venue ended it at 10 filled, 4 are reported"
    nothing(judged(at(S.PARTIALLY_FILLED), picture), note, Proof.INCOMPLETE)


def test_the_terms_of_an_ended_order_do_not_hide_its_end() -> None:
    """A venue may show what was filled as the quantity of an order that it cancelled."""
    for quantity in ("4", "12"):
        picture = said(X.ORDER_STATUS, order_status=S.CANCELLED, quantity=quantity, filled_quantity="4")
        event(judged(at(S.PARTIALLY_FILLED), picture), Cancelled)
        silent = said(X.ORDER_STATUS, order_status=S.CANCELLED, quantity=quantity)
        event(judged(at(S.PARTIALLY_FILLED), silent), Cancelled)


@pytest.mark.parametrize(("counted", "quantity"), [(None, None), ("4", None), ("4", "10"), ("3", "10"), ("4", "3")])
def test_a_picture_of_a_fill_without_its_trades_shows_a_gap(counted: str | None, quantity: str | None) -> None:
    picture = said(X.ORDER_STATUS, order_status=S.FILLED, filled_quantity=counted, quantity=quantity)
    note = "the venue shows it FILLED, 4 are reported"
    nothing(judged(at(S.PARTIALLY_FILLED), picture), note, Proof.INCOMPLETE)


def test_an_order_that_was_made_smaller_unheard_is_filled_by_the_trades_it_has() -> None:
    working = at(S.PARTIALLY_FILLED, pending_replaces=asked(("r1", "3", "100")))
    picture = said(X.ORDER_STATUS, order_status=S.FILLED, filled_quantity="4", quantity="4", price="100")
    verdict = judged(working, picture)
    event(verdict, Replaced, request_id=None, quantity=D(4), price=D(100))
    assert verdict.event is not None
    assert apply(working, verdict.event).status is S.FILLED


@pytest.mark.parametrize("shown", [S.SUBMITTED, S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED])
def test_the_refusal_of_an_order_sent_twice_is_a_picture_of_the_first(shown: S) -> None:
    repeat = {"order_status": shown, "filled_quantity": "4", "venue_order_id": "v1"}
    refusal, picture = said(X.REJECTED, **repeat), said(X.ORDER_STATUS, **repeat)
    assert judged(at(S.PARTIALLY_FILLED), refusal) == judged(at(S.PARTIALLY_FILLED), picture)


def test_a_refusal_that_shows_one_is_one() -> None:
    event(judged(at(S.SUBMITTED), said(X.REJECTED, order_status=S.REJECTED)), Rejected)


@pytest.mark.parametrize("status", [*S])
def test_absence_proves_nothing(status: S) -> None:
    nothing(judged(at(status), said(X.NOT_FOUND)), "the venue does not know it", Proof.ABSENT)


# -- any order of arrival -------------------------------------------------------------------------------------------


@settings(PROPERTY, max_examples=200)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.data())
def test_trades_in_any_order_and_any_number_of_times_add_up_to_the_same(sizes: list[int], data: st.DataObject) -> None:
    total = sum(sizes)
    sent = [
        a_trade(str(size), str(sum(sizes[: number + 1])), trade_id=f"{source}-{number}")
        for number, size in enumerate(sizes)
        for source in ("stream", "look-up")
    ]
    working, executions = at(S.SUBMITTED, quantity=str(total)), Executions()
    for report in data.draw(st.permutations(sent)) + data.draw(st.lists(st.sampled_from(sent), max_size=5)):
        verdict = judged(working, report, executions)
        if verdict.event is not None:
            working = apply(working, verdict.event)
            remember(executions, verdict.event)
    assert (working.status, working.filled_quantity) == (S.FILLED, D(total))
    assert len(executions) == len(sizes)


def test_a_trade_corrected_without_a_new_id_can_be_corrected_and_busted_again() -> None:
    order_, executions = at(S.PARTIALLY_FILLED, "4"), trades(t1="4")
    for quantity, name in (("3", "t1-corrected"), ("2", "t1-corrected-corrected")):
        correction = said(X.TRADE_CORRECT, corrects="t1", last_quantity=D(quantity), last_price=D(90))
        verdict = judged(order_, correction, executions)
        event(verdict, TradeCorrected, trade_id=name, last_quantity=D(quantity))
        assert verdict.event is not None
        order_ = apply(order_, verdict.event)
        remember(executions, verdict.event)
        nothing(judged(order_, correction, executions), f"trade {name} is counted already")
    bust = judged(order_, said(X.TRADE_CANCEL, corrects="t1"), executions)
    event(bust, TradeBusted, trade_id="t1-corrected-corrected", last_quantity=D(2))
