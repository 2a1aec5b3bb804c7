"""P11: after its cycles of filling and re-entering a strategy is disabled until a named operator resumes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.clock import VirtualClock
from router.domain.control import Halt, HaltScope
from router.domain.enums import OrderSide
from router.domain.order import Order
from router.middleware import Submission
from router.safety.guard import Remembering
from router.safety.repeated_execution import RepeatedExecution
from router.settings import Safety
from tests.factories import BUY, NOW, PROPERTY, SELL, order, submission

pytestmark = pytest.mark.asyncio

LIMITS = Safety(max_repeated_executions=3, repeated_executions_window_s=60)
OFF = Safety(max_repeated_executions=None)


class Setting:
    """The control, and what it has disabled."""

    def __init__(self, limits: Safety = LIMITS) -> None:
        self.limits = limits
        self.clock = VirtualClock(NOW)
        self.disabled: list[tuple[str | None, str]] = []
        self.control = RepeatedExecution(self.clock, self._disable, lambda environment, order: order.reduce_only)
        self._runs = 0

    def _disable(self, its_order: Order, reason: str) -> Halt:
        self.disabled.append((its_order.strategy_key, reason))
        return Halt(
            scope=HaltScope.STRATEGY,
            name=its_order.strategy_key or "",
            at=NOW,
            operator="router",
            reason=reason,
            control=RepeatedExecution.id,
        )

    def asked(self, **fields: Any) -> Submission:
        self._runs += 1
        made = submission(order(**{"strategy_key": "maker", **fields}), environment=fields.get("environment", "paper"))
        made.run_id = f"run_{self._runs}"
        return made

    def send(self, **fields: Any) -> bool:
        """Send an order; returns whether it passed."""
        asked = self.asked(**fields)
        if self.control.objection(asked, self.limits) is not None:
            return False
        self.control.passed(asked, self.limits)
        return True

    def trade(self, strategy: str | None = "maker", side: OrderSide = BUY) -> None:
        self.control.traded("paper", strategy, "BTC/USD", side)

    def cycles(self, count: int, **fields: Any) -> None:
        """Fill and re-enter ``count`` times."""
        for _ in range(count):
            self.trade(fields.get("strategy_key", "maker"), fields.get("side", BUY))
            assert self.send(**fields)


async def test_after_its_cycles_a_strategy_is_disabled_and_told_how_it_is_resumed() -> None:
    it = Setting()
    assert it.send()
    it.cycles(3)
    asked = it.asked()
    assert it.control.objection(asked, LIMITS) == (
        "Strategy maker is halted since 2025-12-09 14:32:45 UTC by P11_repeated_execution: BTC/USD buy orders filled "
        "and came again 3 times within 60 s (safety.max_repeated_executions). Only cancels and amendments to less may "
        "leave. To resume: router resume --strategy maker --operator NAME --reason TEXT"
    )
    assert [who for who, _ in it.disabled] == ["maker"]


async def test_orders_without_a_fill_between_them_are_no_cycles() -> None:
    it = Setting()
    it.trade()
    assert all(it.send() for _ in range(100))
    assert it.disabled == []


async def test_many_fills_of_one_order_are_one_cycle() -> None:
    it = Setting()
    for _ in range(3):
        for _ in range(100):
            it.trade()
        assert it.send()
    assert not it.send()


async def test_other_strategies_symbols_sides_and_environments_count_for_themselves() -> None:
    it = Setting()
    it.cycles(3)
    others: list[dict[str, Any]] = [
        {"strategy_key": "other"},
        {"strategy_key": None},
        {"symbol": "ETH/USD"},
        {"side": SELL},
        {"environment": "shadow"},
    ]
    assert all(it.send(**other) for other in others)
    assert not it.send()
    it.cycles(3, strategy_key=None)
    assert not it.send(strategy_key=None)


async def test_cycles_older_than_the_window_do_not_count() -> None:
    it = Setting()
    it.cycles(2)
    await it.clock.advance(30)
    it.cycles(1)
    await it.clock.advance(29.9)
    assert not it.send()
    await it.clock.advance(0.1)
    it.cycles(2)
    assert not it.send()


async def test_an_amendment_is_neither_a_cycle_nor_held_back() -> None:
    it = Setting()
    amendment = it.asked()
    amendment.amends = order(strategy_key="maker")
    it.trade()
    for _ in range(10):
        it.control.passed(amendment, LIMITS)
    it.cycles(3)
    assert it.control.objection(amendment, LIMITS) is None
    assert not it.send()


async def test_what_reached_no_executor_was_no_cycle_and_the_fill_still_waits_for_one() -> None:
    it = Setting()
    it.trade()
    for _ in range(10):
        asked = it.asked()
        assert it.control.objection(asked, LIMITS) is None
        it.control.passed(asked, LIMITS)
        it.control.undone(asked, LIMITS)
    assert it.send()
    it.cycles(2)
    assert not it.send()


async def test_undoing_an_order_that_made_no_cycle_takes_none_away() -> None:
    it = Setting()
    it.cycles(2)
    asked = it.asked()
    it.control.passed(asked, LIMITS)
    it.control.undone(asked, LIMITS)
    assert all(it.send() for _ in range(10))
    it.cycles(1)
    assert not it.send()


async def test_resumed_it_starts_over_and_the_others_do_not() -> None:
    it = Setting()
    for who in ("maker", "other"):
        it.cycles(3, strategy_key=who)
    assert not it.send()
    it.control.enabled("maker")
    assert it.send()
    assert not it.send(strategy_key="other")
    it.cycles(3)
    assert not it.send()


async def test_names_from_outside_take_no_more_than_their_place() -> None:
    it = Setting()
    for number in range(10_050):
        it.trade(f"strategy {number}")
        if number in (0, 1000, 2000):
            it.cycles(1)
    assert len(it.control._cycles) == 10_000
    assert not it.send()  # one that goes on trading keeps its place


async def test_switched_off_it_objects_to_nothing_and_says_so() -> None:
    it = Setting(OFF)
    it.cycles(100)
    assert it.send()
    assert it.control.limit(OFF) == "off"
    assert it.control.limit(LIMITS) == "3 within 60 s"


async def test_its_id_is_the_catalogues_and_the_guard_lets_it_count() -> None:
    control = Setting().control
    assert (control.id, control.hard) == ("P11_repeated_execution", True)
    assert isinstance(control, Remembering)


STEP = st.one_of(
    st.sampled_from(["send", "send", "trade", "trade", "refused", "resume"]), st.integers(1, 40).map(lambda s: s * 5)
)


@settings(PROPERTY, max_examples=300)
@given(st.lists(STEP, max_size=60), st.integers(1, 4))
async def test_whatever_happens_it_counts_as_a_list_of_cycles_would(steps: list[str | int], most: int) -> None:
    it = Setting(Safety(max_repeated_executions=most, repeated_executions_window_s=60))
    times: list[float] = []
    traded = False
    for step in steps:
        now = it.clock.monotonic()
        if isinstance(step, int):
            await it.clock.advance(step)
        elif step == "trade":
            it.trade()
            traded = True
        elif step == "resume":
            it.control.enabled("maker")
            times, traded = [], False
        elif step == "refused":  # by risk, behind this control
            asked = it.asked()
            if it.control.objection(asked, it.limits) is None:
                it.control.passed(asked, it.limits)
                it.control.undone(asked, it.limits)
        else:
            may = sum(now - at < 60 for at in times) < most
            assert it.send() is may
            if may and traded:
                times.append(now)
                traded = False
