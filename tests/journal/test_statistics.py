"""Counting what the controls did: every kind by its name, from a day on, beside a running router, in one pass."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router import ExecutionPipeline
from router.clock import VirtualClock
from router.domain.control import HaltScope
from router.domain.enums import ExecType, ExecutionStatus, Severity
from router.domain.events import (
    AlertRaised,
    AmendmentAnswered,
    LimitChanged,
    Overdue,
    Pending,
    ReportQuarantined,
    Resumed,
)
from router.domain.report import ExecutionReport
from router.errors import JournalError
from router.journal.statistics import limits_set, orders_of_day, triggered
from tests.journal.stories import NOON, answer, changed, closure, halt, write
from tests.pipelines import intent, resting, settings

S = ExecutionStatus


def test_every_kind_is_counted_by_its_name(tmp_path: Path) -> None:
    report = ExecutionReport(exec_type=ExecType.NOT_FOUND, client_order_id="a", ts_event=NOON)
    path = write(
        tmp_path / "journal.db",
        answer(S.BLOCKED_BY_SAFETY, "P03_price_collar"),
        answer(S.BLOCKED_BY_SAFETY, "P03_price_collar", AmendmentAnswered),
        answer(S.BLOCKED_BY_RISK, "Max exposure exceeded"),
        answer(S.INVALID),
        answer(S.SUCCESS),
        halt(None),
        halt("A12_out_versus_in"),
        (Resumed, {"scope": HaltScope.ALL, "name": "", "operator": "ann", "reason": "answered, halted"}),
        closure("Drawdown limit breached"),
        closure(None),
        (AlertRaised, {"alert_id": "a", "severity": Severity.HIGH, "topic": "quarantine", "message": "look"}),
        (ReportQuarantined, {"report": report, "reason": "no such order"}),
        (Overdue, {"run_id": "run_1", "status": S.SUBMITTED}),
        (LimitChanged, {"key": "max_exposure", "old": "1", "new": "2", "operator": "ann", "reason": "more"}),
    )
    assert triggered(path) == Counter(
        {
            "P03_price_collar": 2,
            "Max exposure exceeded": 1,
            "INVALID": 1,
            "SUCCESS": 1,
            "halted:operator": 1,
            "halted:A12_out_versus_in": 1,
            "session_closed:Drawdown limit breached": 1,
            "session_closed:operator": 1,
            "alert:quarantine": 1,
            "report_quarantined": 1,
            "overdue": 1,
            "limit_changed": 1,
        }
    )


def test_a_day_counts_from_its_first_moment_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    write(path, halt("before"), at=datetime(2025, 12, 8, 23, 59, 59, 999999, tzinfo=UTC))
    write(path, halt("first"), at=datetime(2025, 12, 9, tzinfo=UTC))
    write(path, halt("later"), at=datetime(2025, 12, 10, 1, tzinfo=UTC))

    assert set(triggered(path, date(2025, 12, 9))) == {"halted:first", "halted:later"}
    assert set(triggered(path)) == {"halted:before", "halted:first", "halted:later"}


def test_what_a_strategy_writes_into_an_order_is_not_counted(tmp_path: Path) -> None:
    wicked = {"event": "halted", "status": "INVALID", "violation": "P03_price_collar"}
    kind, fields = answer(S.SUCCESS)
    fields["result"] = msgspec.structs.replace(fields["result"], order_intent=intent(metadata=wicked))
    asked = {"run_id": "run_1", "status": S.PENDING, "environment": "paper", "session_id": "s"}
    pending = (Pending, {**asked, "intent": intent(metadata=wicked)})
    path = write(tmp_path / "journal.db", pending, (kind, fields))
    assert b'{"event":"halted",' in path.read_bytes()
    assert triggered(path) == Counter({"SUCCESS": 1})


def test_a_limit_that_was_set_counts_until_it_is_taken_back_or_the_file_changes(tmp_path: Path) -> None:
    path = write(
        tmp_path / "journal.db",
        changed("stays", "2", is_override=True),
        changed("stays", "3", is_override=True),
        changed("taken back", "2", is_override=True),
        changed("taken back", None, is_override=True),
        changed("changed in the file", "2", is_override=True),
        changed("changed in the file", "4", is_override=False),
        halt(None),
    )
    assert limits_set(path) == {"stays": "3"}


@pytest.mark.asyncio
async def test_a_running_router_is_counted_beside(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path), clock=VirtualClock(NOON)) as pipeline:
        order = await pipeline.submit_order(resting())
        assert order.client_order_id is not None
        await pipeline.amend_order(order.client_order_id, quantity=Decimal(1000))
        for quantity in (10, 10, -1):
            await pipeline.submit_order(intent(quantity=quantity))
        counted = triggered(pipeline.journal_path)
    assert counted["Max position size exceeded"] == 3
    assert (counted["INVALID"], counted["SUCCESS"]) == (1, 1)


def test_without_a_journal_there_is_nothing_to_count(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal"):
        triggered(tmp_path / "journal.db")


def test_the_orders_of_a_day_are_counted_by_strategy_from_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    def pending(strategy: str | None) -> tuple[type[Pending], dict[str, Any]]:
        asked = {"run_id": "run_1", "status": S.PENDING, "environment": "paper", "session_id": "s"}
        return Pending, {**asked, "intent": intent(strategy_key=strategy)}

    assert orders_of_day(path, NOON.date()) == Counter()
    write(path, pending("early"), at=NOON - timedelta(hours=12, microseconds=1))
    write(path, pending("maker"), at=NOON - timedelta(hours=12))
    write(path, pending("maker"), pending("other"), pending(None), answer(S.INVALID))
    write(path, pending("late"), at=NOON + timedelta(hours=12))
    assert orders_of_day(path, NOON.date()) == Counter(maker=2, other=1)
