"""The message from executors: small, and whole after a round trip."""

from __future__ import annotations

import msgspec
import pytest

from router.domain.enums import ExecType, ExecutionStatus, Liquidity
from router.domain.report import ExecutionReport
from tests.factories import NOW, D


@pytest.mark.parametrize("kind", [*ExecType])
def test_a_report_needs_no_more_than_what_happened_to_which_order_and_when(kind: ExecType) -> None:
    report = ExecutionReport(exec_type=kind, client_order_id="U1", ts_event=NOW)
    assert msgspec.json.decode(msgspec.json.encode(report), type=ExecutionReport) == report
    said = msgspec.structs.asdict(report)
    assert {said[name] for name in said.keys() - {"exec_type", "client_order_id", "ts_event"}} == {None}
    assert set(msgspec.json.decode(msgspec.json.encode(report))) == {"exec_type", "client_order_id", "ts_event"}


def test_a_trade_survives_encoding_exactly() -> None:
    report = ExecutionReport(
        exec_type=ExecType.TRADE,
        client_order_id="U1",
        ts_event=NOW,
        venue_order_id="v1",
        trade_id="t1",
        last_quantity=D("0.10"),
        last_price=D("50000.5"),
        fee=D("-0.01"),
        fee_currency="USD",
        liquidity=Liquidity.MAKER,
    )
    again = msgspec.json.decode(msgspec.json.encode(report), type=ExecutionReport)
    assert again == report
    assert str(again.last_quantity) == "0.10"


def test_a_picture_and_a_correction_survive_encoding_exactly() -> None:
    report = ExecutionReport(
        exec_type=ExecType.TRADE_CORRECT,
        client_order_id="U1",
        ts_event=NOW,
        symbol="BTC/USD",
        request_id="run_1",
        corrects="t1",
        filled_quantity=D("0.10"),
        leaves_quantity=D("0.90"),
        quantity=D("1.00"),
        price=D("50000.50"),
        order_status=ExecutionStatus.PARTIALLY_FILLED,
    )
    again = msgspec.json.decode(msgspec.json.encode(report), type=ExecutionReport)
    assert again == report
    assert (str(again.price), again.order_status) == ("50000.50", ExecutionStatus.PARTIALLY_FILLED)
