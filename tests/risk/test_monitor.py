"""An account is watched without any order: the day begins at midnight, a loss acts at once, a crash forgets little."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import anyio
import msgspec
import pytest

from router.domain.enums import Severity
from router.domain.events import AccountMark
from router.market.quotes import MarketData
from router.risk.limits import StrategyLimits
from router.risk.monitor import EVERY_S, RiskMonitor
from tests.factories import BUY, TODAY, D, account, limits, order, quote
from tests.risk.desk import Desk

pytestmark = pytest.mark.asyncio


class Watched:
    """An account with 1 BTC of 100 000 USD, its market, and a monitor."""

    def __init__(self, **kept: Any) -> None:
        self.desk = Desk()
        self.market = MarketData(self.desk.clock)
        self.price("50000")
        self.account = account(self.market)
        self.account.portfolio.fill("BTC/USD", BUY, D(1), D(50000), D(0), "USD")
        self.kept = kept
        self.known: tuple[date, AccountMark] | None = (TODAY, AccountMark(D(100000), D(100000), D(100000), D(0)))
        self.recorded: list[tuple[date, Decimal, Decimal]] = []
        self.monitor = RiskMonitor(
            {"paper": self.account},
            lambda _: limits(**self.kept),
            self.desk.consequences,
            self.desk.clock,
            journaled=lambda _: self.known,
            journaled_peaks=lambda _: {},
            record=self.record,
        )
        self.market.listen(self.monitor.moved)

    def price(self, price: str) -> None:
        self.market.pin(quote(price, price))

    def record(self, environment: str) -> None:
        day = self.desk.clock.now().date()
        mark = self.account.account_mark(day)
        self.known = day, mark
        self.recorded.append((day, mark.peak_equity, mark.day_start_equity))


async def test_a_loss_closes_the_session_without_any_order() -> None:
    watched = Watched(max_drawdown="0.05")
    watched.monitor.look()
    watched.price("45000.01")
    watched.monitor.look()
    assert watched.desk.consequences.closed("paper") is None
    watched.price("45000")
    watched.monitor.look()
    closure = watched.desk.consequences.closed("paper")
    assert closure is not None, "reaching the limit is enough"
    assert closure.violation == "Drawdown limit breached"
    watched.price("60000")
    watched.monitor.look()
    assert watched.desk.consequences.closed("paper") is not None, "a recovery opens nothing"


async def test_the_day_begins_at_midnight_with_the_equity_of_that_moment() -> None:
    watched = Watched(max_daily_loss="0.05")
    async with anyio.create_task_group() as group:
        group.start_soon(watched.monitor.run)
        await watched.desk.clock.advance(EVERY_S)
        watched.price("58000")
        await watched.desk.clock.advance(10 * 3600)  # past 00:00, no order, no quote
        tomorrow = TODAY + timedelta(days=1)
        assert watched.desk.clock.now().date() == tomorrow
        assert (tomorrow, D(108000), D(108000)) in watched.recorded
        watched.price("52600")
        await watched.desk.clock.advance(2 * EVERY_S)
        closure = watched.desk.consequences.closed("paper")
        assert closure is not None, "5 % of 108 000 are lost since midnight"
        assert (closure.violation, closure.day) == ("Daily loss limit reached", tomorrow)
        group.cancel_scope.cancel()


async def test_a_peak_is_recorded_when_it_rose_by_a_thousandth_and_not_for_every_tick() -> None:
    watched = Watched()
    for cents in range(100):
        watched.price(str(50000 + cents))
        watched.monitor.look()
    assert watched.recorded == []
    watched.price("50101")
    watched.monitor.look()
    watched.monitor.look()
    assert [peak for _, peak, _ in watched.recorded] == [D(100101)]


async def test_what_cannot_be_valued_neither_moves_the_peak_nor_is_recorded() -> None:
    watched = Watched()
    watched.account.portfolio.fill("NEW/USD", BUY, D(1), D(1), D(0), "USD")
    watched.account.portfolio.cash["USD"] += 50000
    watched.monitor.look()
    assert watched.recorded == []
    assert watched.account.portfolio.peak_equity == 0


async def test_nothing_is_recorded_of_an_account_that_never_traded() -> None:
    watched = Watched()
    watched.known = None
    watched.monitor.look()
    assert watched.recorded == []


async def test_what_is_nearly_used_up_is_warned_of_once_until_it_was_well_below() -> None:
    watched = Watched(max_exposure="0.6")
    watched.monitor.look()
    assert [(severity, "max_exposure" in text) for severity, _, text in watched.desk.alerts] == [
        (Severity.MEDIUM, True)
    ]
    for price in ("50001", "49000", "48000", "50000"):  # 0.78, of which 0.75 is not undercut
        watched.price(price)
        watched.monitor.look()
    assert len(watched.desk.alerts) == 1
    await watched.desk.clock.advance(120)
    watched.account.holds.set(order(), D(1))
    watched.price("20000")
    watched.account.holds.set(order(), D(0))
    watched.monitor.look()
    watched.price("50000")
    watched.monitor.look()
    assert len([text for _, _, text in watched.desk.alerts if "max_exposure" in text]) == 2


async def test_a_strategys_loss_halts_it_and_not_the_account() -> None:
    watched = Watched()
    found = msgspec.structs.replace(limits(), strategies={"maker": StrategyLimits(max_drawdown=D("0.02"))})
    watched.monitor._limits = lambda _: found
    book = watched.account.strategy("maker")
    book.portfolio.day = TODAY
    book.portfolio.fill("BTC/USD", BUY, D(1), D(50000), D(0), "USD")
    watched.monitor.look()
    watched.price("48000")
    watched.monitor.look()
    assert [halt.name for halt in watched.desk.standing.halts.values()] == ["maker"]
    assert watched.desk.consequences.closed("paper") is None


async def test_it_looks_only_when_something_moved_and_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    looks: list[float] = []
    monkeypatch.setattr(watched.monitor, "look", lambda: looks.append(watched.desk.clock.monotonic()))
    async with anyio.create_task_group() as group:
        group.start_soon(watched.monitor.run)
        await watched.desk.clock.advance(100)
        assert len(looks) == 1
        for number in range(50):
            watched.price(str(50000 + number))
            await watched.desk.clock.advance(EVERY_S / 10)
        assert 5 <= len(looks) <= 7
        group.cancel_scope.cancel()


async def test_exposure_that_the_market_alone_has_made_too_large_is_alerted_once_an_episode() -> None:
    watched = Watched(max_exposure="0.5")
    for price in ("50000", "60000", "50000", "60000"):
        watched.price(price)
        watched.monitor.look()
        await watched.desk.clock.advance(120)
    assert [severity for severity, *_ in watched.desk.alerts] == [Severity.MEDIUM, Severity.HIGH]
    assert "Max exposure exceeded" in watched.desk.alerts[1][2]
    assert watched.desk.consequences.closed("paper") is None
    watched.price("20000")
    watched.monitor.look()
    watched.price("60000")
    watched.monitor.look()
    assert [severity for severity, *_ in watched.desk.alerts][2:] == [Severity.HIGH]


async def test_a_position_without_a_price_closes_nothing() -> None:
    watched = Watched(max_drawdown="0.05", max_daily_loss="0.05")
    watched.monitor.look()
    watched.account.portfolio.fill("NEW/USD", BUY, D(1), D(40000), D(0), "USD")
    watched.monitor.look()
    assert watched.desk.consequences.closed("paper") is None


async def test_a_loss_in_a_session_that_an_operator_has_closed_is_alerted_once_and_not_every_minute() -> None:
    watched = Watched(max_daily_loss="0.05")
    watched.monitor.look()
    watched.desk.standing.close_session("paper", operator="anna", reason="lunch")
    known = len(watched.desk.alerts)
    for dollars in range(40000, 39990, -1):
        watched.price(str(dollars))
        watched.monitor.look()
        await watched.desk.clock.advance(61)
    assert [severity for severity, *_ in watched.desk.alerts[known:]] == [Severity.HIGH]
    assert watched.desk.closings == 1


async def test_a_session_that_was_opened_is_closed_again_by_a_loss_that_is_still_there() -> None:
    watched = Watched(max_drawdown="0.05")
    watched.monitor.look()
    watched.price("40000")
    watched.monitor.look()
    watched.desk.standing.open_session("paper", operator="anna", reason="too early")
    await watched.desk.journal.flush()
    assert watched.desk.consequences.closed("paper") is None
    watched.monitor.look()
    assert watched.desk.consequences.closed("paper") is not None
