"""P13 and P21: strategies trade what, where and how often they were registered for, and nobody else trades."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from router.domain.enums import OrderType
from router.middleware import Submission
from router.safety.deployment import DailyOrders, Permission
from router.safety.guard import Remembering
from router.settings import Safety, Strategy
from tests.factories import NOW, TODAY, order, submission

LIMITS = Safety()
REGISTER = {
    "maker": Strategy(symbols=("BTC/USD", "ETH/USD"), environments=("paper",)),
    "free": Strategy(),
}
NEXT_DAY = datetime.combine(TODAY + timedelta(days=1), datetime.min.time(), NOW.tzinfo)


def asked(strategy: str | None = "maker", symbol: str = "BTC/USD", **fields: Any) -> Submission:
    return submission(order(strategy_key=strategy, symbol=symbol), **fields)


def permission(made: Submission, register: Mapping[str, Strategy] = REGISTER) -> str | None:
    return Permission(register).objection(made, LIMITS)


# -- P13


def test_with_nobody_registered_anybody_may_trade() -> None:
    assert permission(asked(None), {}) is None
    assert permission(asked("whoever"), {}) is None


def test_once_one_is_registered_nobody_else_may() -> None:
    assert permission(asked("other")) == (
        "Strategy other may not trade: only strategies registered under [strategies] may."
    )
    assert permission(asked(None)) == (
        "An order without strategy_key may not trade: only strategies registered under [strategies] may."
    )
    assert permission(asked("")) is not None


def test_a_strategy_trades_its_symbols_in_its_environments_only() -> None:
    assert permission(asked()) is None
    assert permission(asked(symbol="ETH/USD")) is None
    assert permission(asked(symbol="BTC/EUR")) == (
        'Strategy maker may not trade BTC/EUR: see [strategies."maker"] symbols.'
    )
    assert permission(asked(environment="testnet")) == (
        'Strategy maker may not trade in testnet: see [strategies."maker"] environments.'
    )


def test_an_empty_list_leaves_all_of_them_open() -> None:
    assert permission(asked("free", "BTC/EUR", environment="testnet")) is None


def test_who_may_not_trade_may_amend_to_less_only() -> None:
    for quantity, allowed in (("1", True), ("3", False)):
        made = submission(
            order(strategy_key="gone", order_type=OrderType.LIMIT, price="100", quantity=quantity),
            amends=order(strategy_key="gone", order_type=OrderType.LIMIT, price="100", quantity="2"),
        )
        assert (permission(made) is None) is allowed


# -- P21

BUDGET = {"maker": Strategy(max_orders_per_day=3), "free": Strategy()}


def daily(**counted: int) -> DailyOrders:
    return DailyOrders(BUDGET, TODAY, counted)


def send(control: DailyOrders, made: Submission | None = None) -> bool:
    """Send an order; returns whether it passed."""
    made = made or asked()
    if control.objection(made, LIMITS) is not None:
        return False
    control.passed(made, LIMITS)
    return True


def test_a_strategy_sends_so_many_orders_a_day_and_is_told_when_it_may_again() -> None:
    control = daily()
    assert [send(control) for _ in range(5)] == [True, True, True, False, False]
    assert control.objection(asked(), LIMITS) == (
        'Strategy maker has sent its 3 orders of 2025-12-09 (UTC), see [strategies."maker"] max_orders_per_day: '
        "it may trade again tomorrow."
    )


def test_the_next_utc_day_has_its_own_budget() -> None:
    control = daily()
    last_moment = NEXT_DAY - timedelta(microseconds=1)
    assert [send(control, asked(received_at=last_moment)) for _ in range(4)] == [True, True, True, False]
    assert [send(control, asked(received_at=NEXT_DAY)) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_was_set_back_gives_no_second_budget() -> None:
    control = daily()
    assert all(send(control, asked(received_at=NEXT_DAY)) for _ in range(3))
    assert not send(control, asked(received_at=NOW))
    assert not send(control, asked(received_at=NEXT_DAY))


def test_a_restart_gives_no_second_budget() -> None:
    control = daily(maker=2)
    assert [send(control) for _ in range(2)] == [True, False]
    assert not send(daily(maker=3))
    assert send(daily(maker=3), asked(received_at=NEXT_DAY))


def test_others_are_neither_limited_nor_counted() -> None:
    control = daily()
    for _ in range(10):
        assert send(control, asked("free"))
        assert send(control, asked("unknown"))
        assert send(control, asked(None))
    assert control._counted == {}
    assert send(control)


def test_amendments_are_no_orders() -> None:
    control = daily()
    amendment = asked()
    amendment.amends = order(strategy_key="maker")
    assert all(send(control, amendment) for _ in range(10))
    assert all(send(control) for _ in range(3))
    assert send(control, amendment)
    assert not send(control)


def test_what_reached_no_executor_does_not_count() -> None:
    control = daily()
    for _ in range(10):
        refused = asked()
        assert send(control, refused)
        control.undone(refused, LIMITS)
    assert [send(control) for _ in range(4)] == [True, True, True, False]


def test_undoing_yesterdays_order_takes_none_of_todays_away() -> None:
    control = daily()
    yesterdays = asked()
    assert send(control, yesterdays)
    assert all(send(control, asked(received_at=NEXT_DAY)) for _ in range(3))
    control.undone(yesterdays, LIMITS)
    assert not send(control, asked(received_at=NEXT_DAY))


# -- both


@pytest.mark.parametrize(
    ("control", "name", "limit"),
    [
        (Permission(REGISTER), "P13_permission", "registered strategies only: maker, free"),
        (Permission({}), "P13_permission", "off"),
        (DailyOrders(BUDGET, TODAY, {}), "P21_orders_per_day", "maker: 3 a day"),
        (DailyOrders(REGISTER, TODAY, {}), "P21_orders_per_day", "off"),
    ],
)
def test_the_id_is_the_catalogues_and_the_limit_is_for_people(
    control: Permission | DailyOrders, name: str, limit: str
) -> None:
    assert (control.id, control.hard, control.limit(LIMITS)) == (name, True, limit)


def test_the_guard_lets_the_daily_budget_count() -> None:
    assert isinstance(daily(), Remembering)
