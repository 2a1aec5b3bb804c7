"""Limits change by name and reason only, are kept over crashes, and what the monitor saw survives one."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import ExecutionPipeline, ExecutionStatus
from router.clock import VirtualClock
from router.domain.events import AccountMarked, Cancelled, Errored, LimitChanged, Pending, decode_event
from router.errors import ConfigError, ExecutionPipelineError
from router.journal.memory import MemoryJournal
from router.settings import Settings
from tests.pipelines import intent, move, settings

pytestmark = pytest.mark.asyncio
S = ExecutionStatus
WHO: dict[str, Any] = {"operator": "anna", "reason": "a test"}


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal(VirtualClock())


@pytest.fixture
def configured(tmp_path: Path) -> Settings:
    return settings(tmp_path, limits={"max_position_size": {"default": "5"}})


def on(configured: Settings, journal: MemoryJournal) -> ExecutionPipeline:
    return ExecutionPipeline("paper", configured, clock=journal.clock, journal=journal)


def changes(journal: MemoryJournal) -> list[tuple[str, str | None, str | None, str]]:
    found = [decode_event(row.payload) for row in journal.rows]
    return [(each.key, each.old, each.new, each.operator) for each in found if isinstance(each, LimitChanged)]


async def fits(pipeline: ExecutionPipeline, quantity: str) -> bool:
    result = await pipeline.submit_order(intent(quantity=quantity, side="sell"))
    if not result.is_success:
        assert result.violation == "Max order notional exceeded"
    return result.is_success


async def test_a_limit_that_was_set_counts_at_once_and_after_a_restart_until_the_file_changes(
    configured: Settings, journal: MemoryJournal
) -> None:
    async with on(configured, journal) as pipeline:
        assert await fits(pipeline, "0.1")
        assert await pipeline.set_limit("max_order_notional", "4000", **WHO) == ("100000", "4000")
        assert not await fits(pipeline, "0.1")
    async with on(configured, journal) as pipeline:
        assert not await fits(pipeline, "0.1")
        assert pipeline.limits.max_order_notional == 4000
    file = configured.risk_limits_path
    file.write_text(file.read_text().replace("100000", "90000"))
    async with on(configured, journal) as pipeline:
        assert await fits(pipeline, "0.1"), "the file's new value counts"
    assert changes(journal) == [
        ("max_order_notional", "100000", "4000", "anna"),
        ("max_order_notional", "4000", "90000", "configuration"),
    ]


async def test_an_operators_limit_is_taken_back_to_the_files(configured: Settings, journal: MemoryJournal) -> None:
    async with on(configured, journal) as pipeline:
        await pipeline.set_limit("max_order_notional", "4000", **WHO)
        await pipeline.set_limit("environments.paper.max_open_orders", "3", **WHO)
        assert await pipeline.set_limit("max_order_notional", "file", **WHO) == ("4000", "100000")
        assert await pipeline.set_limit("environments.paper.max_open_orders", "file", **WHO) == ("3", "not limited")
        assert await fits(pipeline, "0.1")
    async with on(configured, journal) as pipeline:
        assert await fits(pipeline, "0.1")
    assert changes(journal)[2:] == [
        ("max_order_notional", "4000", None, "anna"),
        ("environments.paper.max_open_orders", "3", None, "anna"),
    ]


async def test_a_running_router_reads_its_files_again_all_or_nothing(
    configured: Settings, journal: MemoryJournal
) -> None:
    file = configured.risk_limits_path
    sound = file.read_text()
    async with on(configured, journal) as pipeline:
        file.write_text(sound.replace('max_exposure = "1.0"', 'max_exposure = "-1"').replace("100000", "4000"))
        with pytest.raises(ConfigError, match="max_exposure"):
            await pipeline.reload_limits()
        assert await fits(pipeline, "0.1"), "nothing of a wrong file counts"
        file.write_text(sound.replace("100000", "4000"))
        assert await pipeline.reload_limits() == {"max_order_notional": ("100000", "4000")}
        assert not await fits(pipeline, "0.1")
    assert changes(journal) == [("max_order_notional", "100000", "4000", "configuration")]


@pytest.mark.parametrize(
    ("key", "value", "who", "error"),
    [
        ("max_exposre", "1", WHO, ConfigError),
        ("max_exposure", "-1", WHO, ConfigError),
        ("max_exposure", "NaN", WHO, ConfigError),
        ("max_exposure", "1e-99", WHO, ConfigError),
        ("max_exposure", "1e-999999999", WHO, ConfigError),
        ("max_exposure", "1e999999999", WHO, ConfigError),
        ("max_exposure", "file", WHO, ConfigError),
        ("max_position_size.DOGE/USD", "3", WHO, ConfigError),
        ("max_drawdown", "5", WHO, ConfigError),
        ("max_open_orders", "1.5", WHO, ConfigError),
        ("base_currency", "EUR", WHO, ConfigError),
        ("strategies.nobody.max_exposure", "1", WHO, ConfigError),
        ("environments.mars.max_exposure", "1", WHO, ConfigError),
        ("", "1", WHO, ConfigError),
        ("max_exposure", "1", {**WHO, "operator": ""}, ExecutionPipelineError),
        ("max_exposure", "1", {**WHO, "reason": " "}, ExecutionPipelineError),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_and_nothing_changes(
    configured: Settings, journal: MemoryJournal, key: str, value: str, who: dict[str, Any], error: type[Exception]
) -> None:
    async with on(configured, journal) as pipeline:
        before = pipeline.limits
        with pytest.raises(error):
            await pipeline.set_limit(key, value, **who)
        assert pipeline.limits == before
    assert changes(journal) == []


async def test_a_strategy_in_the_process_cannot_change_a_limit(configured: Settings, journal: MemoryJournal) -> None:
    """A11: what it can reach is frozen."""
    async with on(configured, journal) as pipeline:
        with pytest.raises(AttributeError):
            pipeline.limits.max_exposure = Decimal(10)  # type: ignore[misc]
        with pytest.raises(TypeError):
            pipeline.limits.max_position_size["BTC/USD"] = Decimal(10)  # type: ignore[index]
        with pytest.raises(AttributeError):
            pipeline.limits = pipeline.limits  # type: ignore[misc]


async def test_a_peak_without_any_order_survives_a_crash(configured: Settings, journal: MemoryJournal) -> None:
    clock = journal.clock
    assert isinstance(clock, VirtualClock)
    async with on(configured, journal) as pipeline:
        await pipeline.submit_order(intent(quantity="1"))
        move(pipeline, "BTC/USD", "60000", "60001")
        await clock.advance(5)
        peak = pipeline.risk_snapshot().peak_equity
        assert peak > 109_000
        move(pipeline, "BTC/USD", "58000", "58001")
        await clock.advance(5)
        rows = list(journal.rows)  # as a kill would leave it
    crashed = MemoryJournal(clock)
    crashed.rows = rows
    async with on(configured, crashed) as pipeline:
        assert pipeline.risk_snapshot().peak_equity == peak
    assert any(isinstance(decode_event(row.payload), AccountMarked) for row in rows)


async def test_an_environment_has_its_own_limits(tmp_path: Path, journal: MemoryJournal) -> None:
    configured = settings(tmp_path)
    file = configured.risk_limits_path
    file.write_text(file.read_text() + '\n[environments.shadow]\nmax_order_notional = "400"\n')
    async with on(configured, journal) as pipeline:
        assert (await pipeline.submit_order(intent())).is_success
        result = await pipeline.submit_order(intent(environment="shadow"))
        assert (result.status, result.limit_value) == (S.BLOCKED_BY_RISK, Decimal(400))


@pytest.mark.parametrize(
    ("kind", "fields", "verdict"),
    [
        (Cancelled, {"handed_over": False, "reason": "halted"}, (S.BLOCKED_BY_SAFETY, "A04_kill_switch")),
        (Errored, {"reason": "not handed over"}, (S.ERROR, None)),
    ],
)
async def test_what_was_stopped_before_a_crash_is_answered_as_that_after_it(
    configured: Settings, journal: MemoryJournal, kind: type[Any], fields: dict[str, Any], verdict: tuple[S, str | None]
) -> None:
    async with on(configured, journal) as pipeline:
        await pipeline.submit_order(intent(intent_id="cut"))
    events = [decode_event(row.payload) for row in journal.rows]
    pending = next(event for event in events if isinstance(event, Pending))
    kept = [event for event in events if event.seq <= pending.seq]
    known = {"run_id": pending.run_id, "client_order_id": pending.client_order_id, "status": S.CANCELLED}
    cut = MemoryJournal(journal.clock)
    for event in (*kept, kind(seq=pending.seq + 1, ts_recorded=pending.ts_recorded, **known, **fields)):
        cut.append(event)
    await cut.flush()
    async with on(configured, cut) as pipeline:
        result = await pipeline.submit_order(intent(intent_id="cut"))
    assert ((result.status, result.violation), result.executor_called) == (verdict, False)
    assert result.reason == fields["reason"]


async def test_the_answer_that_a_restart_gives_carries_the_whole_register(
    configured: Settings, journal: MemoryJournal
) -> None:
    async with on(configured, journal) as pipeline:
        await pipeline.submit_order(intent(intent_id="cut"))
    cut = MemoryJournal(journal.clock)
    cut.rows = [row for row in journal.rows if decode_event(row.payload).event in {"limits_read", "account_opened"}]
    cut.rows += [row for row in journal.rows if decode_event(row.payload).event == "pending"]
    async with on(configured, cut) as pipeline:
        result = await pipeline.submit_order(intent(intent_id="cut"))
    assert (result.status, result.governance_status["live_order_execution"]) == (S.REJECTED, "locked")
    assert result.governance_status.keys() >= {"risk_check_override", "paper_order_execution"}


async def test_a_fixed_rate_that_gave_way_to_a_quote_is_no_drawdown_after_a_restart(
    tmp_path: Path, journal: MemoryJournal
) -> None:
    clock = journal.clock
    assert isinstance(clock, VirtualClock)
    overrides = {"paper.starting_balances": {"USD": "100000", "EUR": "100000"}}
    limits = {"fixed_rates": {"EUR": "1.2"}, "max_drawdown": "0.05", "max_daily_loss": "0.05"}
    still = {"BTC/USD": ("49999.5", "50000.5")}
    configured = settings(tmp_path, overrides, limits=limits, quotes=still)
    async with on(configured, journal) as pipeline:
        assert (await pipeline.submit_order(intent())).is_success
        assert pipeline.risk_snapshot().peak_equity > 219_000
        move(pipeline, "BTC/EUR", "49999.5", "50000.5")  # a euro is worth a dollar
        await clock.advance(2)
        assert (await pipeline.submit_order(intent(intent_id="marked"))).is_success
        before = pipeline.risk_snapshot()
        assert (before.peak_equity < 201_000, before.drawdown < Decimal("0.01")) == (True, True)
    async with on(configured, journal) as pipeline:
        await clock.advance(2)
        assert pipeline.closed_sessions() == [], "the quote has not come yet"
        move(pipeline, "BTC/EUR", "49999.5", "50000.5")
        await clock.advance(2)
        assert pipeline.closed_sessions() == []
        assert pipeline.risk_snapshot().drawdown < Decimal("0.01")
