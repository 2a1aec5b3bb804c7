"""Every event reads back as what was written, and the words on the wire are the contract's."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain import events
from router.domain.control import Closure, Halt, HaltScope
from router.domain.enums import ExecType, ExecutionStatus, Liquidity, Severity
from router.domain.events import AnyEvent, OrderEvent, decode_event, encode_event
from router.domain.report import ExecutionReport
from tests.factories import NOW, PROPERTY, D, intent, quote, result

KINDS = get_args(AnyEvent)
numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value="-1e15", max_value="1e15")
times = st.datetimes(timezones=st.sampled_from([NOW.tzinfo, timezone(timedelta(hours=5, minutes=30))]))
words = st.text(st.characters(codec="utf-8"), max_size=20)
optional_words = st.none() | words
optional_numbers = st.none() | numbers
strategy_marks = st.builds(events.StrategyMark, numbers, numbers, numbers)
marks = st.builds(events.AccountMark, numbers, numbers, numbers, numbers, st.none() | strategy_marks, st.just(()))
scopes = st.sampled_from(HaltScope)
halts = st.builds(
    Halt,
    scope=scopes,
    name=words,
    at=times,
    operator=words,
    reason=words,
    allow_reducing=st.booleans(),
    cancel=st.booleans(),
    control=optional_words,
    alert_id=optional_words,
)
closures = st.builds(
    Closure,
    environment=words,
    at=times,
    operator=words,
    reason=words,
    violation=optional_words,
    alert_id=optional_words,
    day=st.none() | st.dates(),
    cancel=st.booleans(),
)
reports = st.builds(
    ExecutionReport,
    exec_type=st.sampled_from(ExecType),
    client_order_id=words,
    ts_event=times,
    trade_id=optional_words,
    last_quantity=optional_numbers,
    last_price=optional_numbers,
    fee=optional_numbers,
    reason=optional_words,
    symbol=optional_words,
    request_id=optional_words,
    corrects=optional_words,
    filled_quantity=optional_numbers,
    leaves_quantity=optional_numbers,
    quantity=optional_numbers,
    price=optional_numbers,
    order_status=st.none() | st.sampled_from(ExecutionStatus),
)
answers = st.builds(
    lambda status, average: result(status, average_price=average),
    st.sampled_from(ExecutionStatus),
    optional_numbers,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "seq": st.integers(1, 2**62),
    "ts_recorded": times,
    "environment": words,
    "balances": st.dictionaries(words, numbers, max_size=3),
    "report": reports,
    "reason": words,
    "run_id": words,
    "status": st.sampled_from(ExecutionStatus),
    "client_order_id": optional_words,
    "ts_event": st.none() | times,
    "filled_quantity": optional_numbers,
    "leaves_quantity": optional_numbers,
    "last_quantity": optional_numbers,
    "last_price": optional_numbers,
    "intent": st.builds(lambda quantity, note: intent(quantity=quantity, metadata={"n": note}), numbers, words),
    "session_id": words,
    "reference": st.none() | st.builds(lambda bid: quote(str(bid)), numbers),
    "venue_order_id": optional_words,
    "trade_id": words,
    "fee": numbers,
    "fee_currency": optional_words,
    "liquidity": st.none() | st.sampled_from(Liquidity),
    "account": marks,
    "result": answers,
    "cumulative_quantity": optional_numbers,
    "corrects": words,
    "previous_quantity": numbers,
    "previous_price": numbers,
    "previous_fee": numbers,
    "expires": st.booleans(),
    "request_id": words,
    "quantity": numbers,
    "price": optional_numbers,
    "alert_id": words,
    "severity": st.sampled_from(Severity),
    "topic": words,
    "message": words,
    "at_seq": st.integers(1, 2**62),
    "state_digest": words,
    "state_version": st.integers(1, 1000),
    "strategies": st.dictionaries(words, strategy_marks, max_size=3),
    "halt": halts,
    "scope": scopes,
    "name": words,
    "operator": words,
    "closure": closures,
    "peak_equity": optional_numbers,
    "limits": st.dictionaries(words, words, max_size=3),
    "gained": st.dictionaries(words, numbers, max_size=2),
    "key": words,
    "old": optional_words,
    "new": optional_words,
    "is_override": st.booleans(),
    "risk_skipped": st.booleans(),
    "handed_over": st.booleans(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_reads_back_as_what_was_written(kind: type[AnyEvent]) -> None:
    unknown = set(kind.__struct_fields__) - FIELDS.keys()
    assert not unknown, f"give {unknown} a strategy"

    @settings(PROPERTY, max_examples=15)
    @given(st.fixed_dictionaries({name: FIELDS[name] for name in kind.__struct_fields__}))
    def reads_back(fields: dict[str, Any]) -> None:
        event = kind(**fields)
        payload = encode_event(event)
        assert b"\n" not in payload
        assert decode_event(payload) == event
        assert decode_event(payload.decode()) == event
        assert encode_event(decode_event(payload)) == payload

    reads_back()


def test_an_event_says_what_happened_in_the_past_tense() -> None:
    assert sorted(str(kind.__struct_config__.tag) for kind in KINDS) == [
        "account_marked",
        "account_opened",
        "alert_raised",
        "amendment_answered",
        "answered",
        "cancel_rejected",
        "cancelled",
        "checkpoint",
        "errored",
        "expired",
        "filled",
        "halted",
        "limit_changed",
        "limits_read",
        "outcome_unknown",
        "overdue",
        "partially_filled",
        "pending",
        "pending_cancel",
        "pending_replace",
        "rejected",
        "replace_rejected",
        "replaced",
        "report_quarantined",
        "resumed",
        "session_closed",
        "session_opened",
        "submitted",
        "trade_busted",
        "trade_corrected",
    ]


def test_an_order_event_has_the_fields_of_the_contract() -> None:
    contract = "seq status client_order_id run_id ts_event ts_recorded last_quantity last_price filled_quantity "
    assert set((contract + "leaves_quantity reason").split()) == set(OrderEvent.__struct_fields__)
    event = events.Submitted(seq=7, ts_recorded=NOW, run_id="run_1", status=ExecutionStatus.SUBMITTED)
    assert event.event == "submitted"
    assert json.loads(encode_event(event)) == {
        "event": "submitted",
        "seq": 7,
        "ts_recorded": "2025-12-09T14:32:45Z",
        "run_id": "run_1",
        "status": "SUBMITTED",
    }


def test_numbers_are_written_as_text_so_that_no_reader_rounds_them() -> None:
    event = events.AccountOpened(seq=1, ts_recorded=NOW, environment="paper", balances={"USD": D("0.10")})
    assert json.loads(encode_event(event))["balances"] == {"USD": "0.10"}
    again = decode_event(encode_event(event))
    assert isinstance(again, events.AccountOpened)
    assert again.balances["USD"].as_tuple() == D("0.10").as_tuple()


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"event":"exploded"}', b'{"event":"submitted"}', b"[1]", b"\xff"])
def test_anything_else_is_refused(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_event(payload)


def test_a_fill_has_no_fee_unless_it_says_so() -> None:
    fields: dict[str, Any] = {"seq": 1, "ts_recorded": NOW, "run_id": "r", "status": ExecutionStatus.FILLED}
    assert events.Filled(**fields, trade_id="t").fee == Decimal(0)
