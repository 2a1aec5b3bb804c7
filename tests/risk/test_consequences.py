"""A broken limit has its consequence by itself: runbook §8.3, row by row, once an episode."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from router.domain.control import HaltScope
from router.domain.enums import Severity
from router.domain.events import Halted, SessionClosed
from router.domain.result import Limit
from router.risk.consequences import CONSEQUENCES, STRATEGY_LOSS, owner_and_name
from tests.factories import TODAY
from tests.risk.desk import Desk


def limit(name: str, value: str = "0.06", most: str = "0.05") -> Limit:
    return Limit(name, Decimal(value), Decimal(most), Decimal(most) - Decimal(value))


@pytest.mark.parametrize(
    ("name", "message", "severity", "closes"),
    [
        ("max_drawdown", "Drawdown limit breached", "CRITICAL", True),
        ("max_daily_loss", "Daily loss limit reached", "HIGH", True),
        ("max_exposure", "Max exposure exceeded", "HIGH", False),
        ("max_position_size", "Max position size exceeded", "MEDIUM", False),
        ("max_concentration", "Asset concentration too high", "MEDIUM", False),
    ],
)
def test_the_runbooks_rows(name: str, message: str, severity: str, closes: bool) -> None:
    desk = Desk()
    alert_id = desk.consequences.broken("paper", limit(name))
    assert [(each[0], each[1], alert_id) for each in desk.alerts] == [(Severity(severity), "risk", "alert_1")]
    assert message in desk.alerts[0][2]
    assert CONSEQUENCES[name].advice in desk.alerts[0][2]
    closure = desk.consequences.closed("paper")
    assert (closure is not None) == closes == bool(desk.closings)
    if closure is not None:
        assert (closure.violation, closure.alert_id, closure.operator) == (message, alert_id, "router")
    assert desk.consequences.closed("shadow") is None


def test_a_drawdown_closes_until_somebody_opens_and_a_days_loss_until_the_day_is_over() -> None:
    for name, lasts in (("max_drawdown", True), ("max_daily_loss", False)):
        desk = Desk()
        desk.consequences.broken("paper", limit(name))
        assert desk.standing.closed("paper", TODAY) is not None
        assert (desk.standing.closed("paper", TODAY + timedelta(days=1)) is not None) == lasts


def test_an_episode_is_one_alert_and_one_event_however_often_it_is_found() -> None:
    desk = Desk()
    ids = {desk.consequences.broken("paper", limit("max_drawdown", f"0.0{n}")) for n in (5, 6, 7, 8)}
    ids.add(desk.consequences.broken("paper", limit("max_daily_loss")))
    assert (ids, len(desk.alerts), desk.closings) == ({"alert_1"}, 1, 1)
    assert [type(event) for event in desk.events] == [SessionClosed]


def test_a_drawdown_in_a_session_that_is_closed_for_the_day_closes_it_for_good() -> None:
    desk = Desk()
    desk.consequences.broken("paper", limit("max_daily_loss"))
    desk.consequences.broken("paper", limit("max_drawdown"))
    closure = desk.standing.closed("paper", TODAY + timedelta(days=1))
    assert closure is not None
    assert closure.violation == "Drawdown limit breached"


def test_a_strategy_that_lost_what_it_may_is_halted_and_may_reduce_and_the_session_stays_open() -> None:
    desk = Desk()
    alert_id = desk.consequences.broken("paper", limit("strategies.maker.max_daily_loss"))
    desk.consequences.broken("paper", limit("strategies.maker.max_daily_loss", "0.07"))
    halt = desk.standing.halts[HaltScope.STRATEGY, "maker"]
    assert (halt.control, halt.allow_reducing, halt.alert_id) == (STRATEGY_LOSS, True, alert_id)
    assert desk.consequences.closed("paper") is None
    assert [type(event) for event in desk.events] == [Halted]
    assert [severity for severity, *_ in desk.alerts] == [Severity.HIGH]


def test_a_warning_says_how_much_is_used_and_blocks_nothing() -> None:
    desk = Desk()
    desk.consequences.near("paper", limit("max_exposure", "0.85", "1"))
    assert desk.alerts[0][0] is Severity.MEDIUM
    assert "85%" in desk.alerts[0][2]
    assert desk.events == []


@pytest.mark.parametrize(
    ("name", "owner", "plain"),
    [
        ("max_drawdown", "", "max_drawdown"),
        ('max_position_size."BTC/USD"', "", "max_position_size"),
        ("max_concentration.BTC", "", "max_concentration"),
        ("strategies.maker.max_exposure", "maker", "max_exposure"),
        ('strategies.a.max_b.max_position_size."BTC/USD"', "a.max_b", "max_position_size"),
        ("reduce_only", "", "reduce_only"),
    ],
)
def test_a_limits_name_tells_whose_and_which(name: str, owner: str, plain: str) -> None:
    assert owner_and_name(name) == (owner, plain)


def test_a_days_loss_in_a_session_that_an_operator_has_closed_ends_what_works_and_opens_nothing_tomorrow() -> None:
    desk = Desk()
    desk.standing.close_session("paper", operator="anna", reason="lunch")
    for _ in range(3):
        desk.consequences.broken("paper", limit("max_daily_loss"))
    closure = desk.standing.closed("paper", TODAY + timedelta(days=1))
    assert closure is not None
    assert closure.violation == "Daily loss limit reached"
    assert (desk.closings, desk.alerts[-1][0]) == (1, Severity.HIGH)
    desk.consequences.broken("paper", limit("max_drawdown"))
    assert (desk.closings, desk.alerts[-1][0]) == (2, Severity.CRITICAL)


def test_a_session_that_closes_again_within_a_minute_is_alerted_again() -> None:
    desk = Desk()
    desk.consequences.broken("paper", limit("max_drawdown"))
    desk.standing.open_session("paper", operator="anna", reason="a mistake")
    asyncio.run(desk.journal.flush())
    desk.consequences.broken("paper", limit("max_drawdown"))
    assert [severity for severity, *_ in desk.alerts] == [Severity.CRITICAL] * 2
