"""Runbook §9.3, §9.5, §8.2: what is locked stays locked, and no intents, alone or together, pass a limit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import (
    ExecutionPipeline,
    ExecutionPipelineError,
    ExecutionResult,
    ExecutionStatus,
    GovernanceViolationError,
    LiveExecutionLockedError,
)
from router.clock import VirtualClock
from router.domain.events import Answered, Pending
from router.governance import go_no_go
from router.governance.go_no_go import get_governance_status
from tests.pipelines import LOOSE, QUOTES, encoded, intent, kinds, move, resting, settings, stored

pytestmark = pytest.mark.asyncio
S = ExecutionStatus
NOON = datetime(2025, 12, 9, 12, tzinfo=UTC)
ALL_KEYS = {
    "live_order_execution": "locked",
    "risk_check_override": "locked",
    "paper_order_execution": "approved",
    "shadow_order_execution": "approved",
    "testnet_order_execution": "approved",
}


# -- runbook §9.3: live is locked -----------------------------------------------------------------------------


async def test_live_raises_naming_the_key_and_the_answer_is_journaled(tmp_path: Path) -> None:
    async with ExecutionPipeline("live", settings(tmp_path)) as pipeline:
        with pytest.raises(LiveExecutionLockedError, match="live_order_execution") as raised:
            await pipeline.submit_order(intent(), raise_on_governance_violation=True)
        with pytest.raises(LiveExecutionLockedError):
            await pipeline.submit_order(intent())
    assert isinstance(raised.value, ExecutionPipelineError)
    assert isinstance(raised.value.result, ExecutionResult)
    assert raised.value.result.run_id in str(raised.value)
    assert kinds(stored(tmp_path))[-2:] == ["answered", "answered"]


async def test_live_is_blocked_without_an_exception_when_asked(tmp_path: Path) -> None:
    async with ExecutionPipeline("live", settings(tmp_path), clock=VirtualClock(NOON)) as pipeline:
        result = await pipeline.submit_order(intent(), raise_on_governance_violation=False)
        with pytest.raises(ExecutionPipelineError, match="live"):
            pipeline.positions()
    assert result.status is S.BLOCKED_BY_GOVERNANCE
    assert result.is_blocked_by_governance
    assert (result.environment, result.executor_called) == ("live", False)
    assert result.governance_status == ALL_KEYS
    assert result.violation == "live_order_execution"
    assert result.run_id.startswith("run_20251209_120000_")
    assert result.timestamp == NOON
    assert "pending" not in kinds(stored(tmp_path))


async def test_live_from_the_queue_never_raises_and_later_intents_work(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        await pipeline.intents.send(intent(environment="live"))
        await pipeline.intents.send(intent())
        await pipeline.idle()
    answers = [event.status for event in stored(tmp_path) if event.event == "answered"]  # type: ignore[union-attr]
    assert answers == [S.BLOCKED_BY_GOVERNANCE, S.SUCCESS]


async def test_a_repeated_live_intent_raises_again_also_after_a_restart(tmp_path: Path) -> None:
    first = None
    for _ in range(2):
        async with ExecutionPipeline("live", settings(tmp_path)) as pipeline:
            with pytest.raises(LiveExecutionLockedError) as raised:
                await pipeline.submit_order(intent(intent_id="x"))
            result = raised.value.result
            assert isinstance(result, ExecutionResult)
            first = first or encoded(result)
            assert encoded(result) == first


async def test_an_edited_register_still_reaches_no_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, "live_order_execution", "approved")
    async with ExecutionPipeline("live", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(intent())
        sneaky = await pipeline.submit_order(intent(environment="live", intent_id="x"))
    for each in (result, sneaky):
        assert (each.status, each.executor_called) == (S.BLOCKED_BY_ENVIRONMENT, False)
        assert each.is_blocked_by_environment
        assert each.governance_status["live_order_execution"] == "approved"
    assert "pending" not in kinds(stored(tmp_path))


async def test_an_unlisted_key_is_unknown() -> None:
    assert get_governance_status("live_order_execution") == "locked"
    assert get_governance_status("paper_order_execution") == "approved"
    assert get_governance_status("anything_else") == "unknown"


@pytest.mark.parametrize("name", ["mars", "Paper", "LIVE", "", " paper", "ł", "testnet"])
async def test_an_unknown_or_disabled_environment_is_blocked_and_reaches_nothing(tmp_path: Path, name: str) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(intent(environment=name))
    assert (result.status, result.environment, result.executor_called) == (S.BLOCKED_BY_ENVIRONMENT, name, False)
    assert result.governance_status == ALL_KEYS
    assert "pending" not in kinds(stored(tmp_path))


async def test_a_pipeline_of_an_unknown_environment_blocks_every_order(tmp_path: Path) -> None:
    async with ExecutionPipeline("mars", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(intent())
        known = await pipeline.submit_order(intent(environment="paper"))
    assert (result.status, known.status) == (S.BLOCKED_BY_ENVIRONMENT, S.SUCCESS)


@pytest.mark.parametrize("environment", ["paper", "shadow", "testnet"])
async def test_skipping_the_risk_check_is_a_violation_while_locked(tmp_path: Path, environment: str) -> None:
    async with ExecutionPipeline(environment, settings(tmp_path)) as pipeline:
        with pytest.raises(GovernanceViolationError, match="risk_check_override") as raised:
            await pipeline.submit_order(intent(), skip_risk_check=True)
        quiet = await pipeline.submit_order(intent(), skip_risk_check=True, raise_on_governance_violation=False)
        assert pipeline.open_orders() == []
    assert not isinstance(raised.value, LiveExecutionLockedError)
    for result in (raised.value.result, quiet):
        assert isinstance(result, ExecutionResult)
        assert (result.status, result.violation) == (S.BLOCKED_BY_GOVERNANCE, "risk_check_override")
        assert (result.executor_called, result.governance_status) == (False, ALL_KEYS)
    assert "pending" not in kinds(stored(tmp_path))


@pytest.mark.parametrize("environment", ["paper", "shadow"])
async def test_configuration_unlocks_skipping_for_paper_and_shadow(tmp_path: Path, environment: str) -> None:
    configured = settings(tmp_path, {"governance.risk_check_override": "approved"})
    too_large = {"quantity": 100}
    async with ExecutionPipeline(environment, configured) as pipeline:
        checked = await pipeline.submit_order(intent(**too_large))
        skipped = await pipeline.submit_order(intent(**too_large), skip_risk_check=True)
    assert (checked.status, checked.executor_called) == (S.BLOCKED_BY_RISK, False)
    assert (skipped.status, skipped.executor_called) == (S.SUCCESS, True)
    assert skipped.governance_status == ALL_KEYS | {"risk_check_override": "approved"}


@pytest.mark.parametrize(("environment", "key"), [("testnet", "risk_check_override"), ("live", "live_order_execution")])
async def test_nothing_unlocks_skipping_for_testnet_or_live(tmp_path: Path, environment: str, key: str) -> None:
    configured = settings(
        tmp_path,
        {
            "governance.risk_check_override": "approved",
            "execution.environments": ["paper", "testnet"],
            "testnet.venue": "kraken",
        },
    )
    asked = intent(environment=environment)
    async with ExecutionPipeline("paper", configured) as pipeline:
        with pytest.raises(GovernanceViolationError, match=key):
            await pipeline.submit_order(asked, skip_risk_check=True)
        quiet = await pipeline.submit_order(asked, skip_risk_check=True, raise_on_governance_violation=False)
    assert (quiet.status, quiet.violation, quiet.executor_called) == (S.BLOCKED_BY_GOVERNANCE, key, False)


async def test_skipping_passes_over_risk_alone_and_later_orders_are_held_against_it(tmp_path: Path) -> None:
    configured = settings(tmp_path, {"governance.risk_check_override": "approved"})
    async with ExecutionPipeline("paper", configured) as pipeline:
        invalid = await pipeline.submit_order(intent(quantity=-1), skip_risk_check=True)
        assert (await pipeline.submit_order(intent(quantity=5), skip_risk_check=True)).is_success
        later = await pipeline.submit_order(intent())
    assert (invalid.status, later.status) == (S.INVALID, S.BLOCKED_BY_RISK)
    assert later.violation == "Max position size exceeded"


async def test_the_journal_says_of_which_orders_the_risk_check_was_skipped(tmp_path: Path) -> None:
    configured = settings(tmp_path, {"governance.risk_check_override": "approved"})
    async with ExecutionPipeline("paper", configured) as pipeline:
        await pipeline.submit_order(intent(quantity=100), skip_risk_check=True)
        await pipeline.submit_order(intent(side="sell", reduce_only=True))
    pending = [event for event in stored(tmp_path) if isinstance(event, Pending)]
    assert [event.risk_skipped for event in pending] == [True, False]


@pytest.mark.parametrize("environment", ["paper", "shadow"])
async def test_an_order_that_succeeds_carries_the_whole_register_as_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    async with ExecutionPipeline(environment, settings(tmp_path)) as pipeline:
        before = await pipeline.submit_order(intent())
        monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, "live_order_execution", "approved")
        after = await pipeline.submit_order(intent())
    assert (before.status, after.status) == (S.SUCCESS, S.SUCCESS)
    assert before.governance_status == ALL_KEYS
    assert after.governance_status == ALL_KEYS | {"live_order_execution": "approved"}
    answers = [event.result.governance_status for event in stored(tmp_path) if isinstance(event, Answered)]
    assert answers == [before.governance_status, after.governance_status]


# -- runbook §9.5, §8.2: risk ---------------------------------------------------------------------------------


def assert_blocked(result: ExecutionResult, violation: str, limit: str) -> None:
    assert result.status is S.BLOCKED_BY_RISK, result.status
    assert result.is_blocked_by_risk
    assert not result.executor_called
    assert result.violation == violation
    assert result.limit_value == Decimal(limit)
    assert result.current_exposure is not None
    assert result.risk_violation_details is not None
    assert result.risk_violation_details["passed"] is False
    assert result.risk_violation_details["violations"][0]["message"] == violation
    assert result.run_id
    assert result.session_id


ROWS: list[tuple[Mapping[str, object], dict[str, Any], dict[str, Any], str, str]] = [
    # limits, an order at the limit, one above it, the violation, the limit
    (
        LOOSE | {"max_position_size": {"default": "5"}},
        {"quantity": 5},
        {"quantity": "0.00001", "order_type": "limit", "price": "500000"},
        "Max position size exceeded",
        "5",
    ),
    (LOOSE | {"max_exposure": "1"}, {"quantity": "1.99"}, {"quantity": "0.02"}, "Max exposure exceeded", "1"),
    (
        LOOSE | {"max_concentration": "0.5"},
        {"quantity": "0.99"},
        {"quantity": "0.02"},
        "Asset concentration too high",
        "0.5",
    ),
    (
        LOOSE | {"max_order_quantity": {"default": "2"}},
        {"quantity": 2},
        {"quantity": "2.00001"},
        "Max order quantity exceeded",
        "2",
    ),
    (
        LOOSE | {"max_order_notional": "50000.5"},
        {"quantity": 1},
        {"quantity": "1.00001"},
        "Max order notional exceeded",
        "50000.5",
    ),
    (
        LOOSE | {"max_open_orders": 1},
        {"order_type": "limit", "price": "40000"},
        {"quantity": "0.01"},
        "Max open orders reached",
        "1",
    ),
]


@pytest.mark.parametrize(("limits", "passes", "breaks", "violation", "limit"), ROWS, ids=[row[3] for row in ROWS])
async def test_a_size_at_its_limit_passes_and_above_it_is_blocked(
    tmp_path: Path,
    limits: Mapping[str, object],
    passes: dict[str, Any],
    breaks: dict[str, Any],
    violation: str,
    limit: str,
) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path, limits=limits)) as pipeline:
        fine = await pipeline.submit_order(intent(**passes))
        assert fine.is_success, fine.reason
        before = pipeline.positions()
        assert_blocked(await pipeline.submit_order(intent(**breaks)), violation, limit)
        assert pipeline.positions() == before
    assert Counter(kinds(stored(tmp_path)))["pending"] == 1


async def test_ten_coins_where_five_are_allowed_are_blocked(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(intent(quantity=10))
    assert_blocked(result, "Max position size exceeded", "5")


async def test_a_short_position_counts_as_a_long_one(tmp_path: Path) -> None:
    async with ExecutionPipeline(
        "paper", settings(tmp_path, limits=LOOSE | {"max_position_size": {"default": 1}})
    ) as p:
        assert (await p.submit_order(intent(side="sell", quantity=1))).is_success
        assert_blocked(await p.submit_order(intent(side="sell")), "Max position size exceeded", "1")
        assert (await p.submit_order(intent(quantity=2))).is_success
        assert p.positions()["BTC/USD"].quantity == 1


async def losing(pipeline: ExecutionPipeline, mid: str) -> None:
    """Hold one coin, bought at a mark of 50,000 out of 100,000, and let it fall to ``mid``."""
    assert (await pipeline.submit_order(intent(quantity=1))).is_success
    move(pipeline, "BTC/USD", str(Decimal(mid) - Decimal("0.5")), str(Decimal(mid) + Decimal("0.5")))


@pytest.mark.parametrize(
    ("limits", "above", "at", "violation", "limit"),
    [
        ({"max_daily_loss": "0.5"}, "45000.51", "45000.5", "Drawdown limit breached", "0.05"),
        ({"max_drawdown": "0.5"}, "47000.51", "47000.5", "Daily loss limit reached", "0.03"),
        ({"max_daily_loss": "0.5"}, "45000.51", "42000", "Drawdown limit breached", "0.05"),
    ],
    ids=["drawdown at its limit", "daily loss at its limit", "drawdown of 8 %"],
)
async def test_a_loss_that_reaches_its_limit_blocks_and_only_flagged_reductions_pass(
    tmp_path: Path, limits: Mapping[str, object], above: str, at: str, violation: str, limit: str
) -> None:
    configured = settings(tmp_path, limits=limits)
    async with ExecutionPipeline("paper", configured) as pipeline:
        await losing(pipeline, above)
        assert (await pipeline.submit_order(intent())).is_success
        assert (await pipeline.submit_order(intent(side="sell"))).is_success
        move(pipeline, "BTC/USD", str(Decimal(at) - Decimal("0.5")), str(Decimal(at) + Decimal("0.5")))
        assert_blocked(await pipeline.submit_order(intent()), violation, limit)
        assert_blocked(await pipeline.submit_order(intent(side="sell")), violation, limit)
        assert_blocked(await pipeline.submit_order(intent(symbol="ETH/USD")), violation, limit)
        reduced = await pipeline.submit_order(intent(side="sell", quantity="0.5", reduce_only=True))
        assert reduced.is_success
        flip = await pipeline.submit_order(intent(side="sell", quantity="0.6", reduce_only=True))
        assert flip.status is S.BLOCKED_BY_RISK


async def test_a_loss_is_still_blocked_after_a_restart(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    async with ExecutionPipeline("paper", settings(tmp_path), clock=clock) as pipeline:
        await losing(pipeline, "46000")
        assert_blocked(await pipeline.submit_order(intent()), "Daily loss limit reached", "0.03")
    fallen = settings(tmp_path, quotes=QUOTES | {"BTC/USD": ("45999.5", "46000.5")})
    async with ExecutionPipeline("paper", fallen, clock=clock) as pipeline:
        assert_blocked(await pipeline.submit_order(intent()), "Daily loss limit reached", "0.03")


async def test_a_peak_that_an_order_was_sent_at_is_remembered_without_a_fill(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    limits = LOOSE | {"max_drawdown": "0.05"}
    async with ExecutionPipeline("paper", settings(tmp_path, limits=limits), clock=clock) as pipeline:
        assert (await pipeline.submit_order(intent(quantity=1))).is_success
        move(pipeline, "BTC/USD", "59999.5", "60000.5")
        assert (await pipeline.submit_order(resting())).order_status is S.SUBMITTED
    fallen = settings(tmp_path, limits=limits, quotes=QUOTES | {"BTC/USD": ("50999.5", "51000.5")})
    async with ExecutionPipeline("paper", fallen, clock=clock) as pipeline:
        assert_blocked(await pipeline.submit_order(intent()), "Drawdown limit breached", "0.05")


async def test_the_daily_loss_ends_with_the_utc_day_and_the_drawdown_does_not(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    async with ExecutionPipeline("paper", settings(tmp_path), clock=clock) as pipeline:
        await losing(pipeline, "46000")
        assert_blocked(await pipeline.submit_order(intent()), "Daily loss limit reached", "0.03")
        await clock.advance(12 * 3600 - 1)
        assert_blocked(await pipeline.submit_order(intent()), "Daily loss limit reached", "0.03")
        await clock.advance(1)
        assert (await pipeline.submit_order(intent())).is_success
        move(pipeline, "BTC/USD", "44999", "45000")
        assert_blocked(await pipeline.submit_order(intent()), "Drawdown limit breached", "0.05")
        await clock.advance(24 * 3600)
        assert_blocked(await pipeline.submit_order(intent()), "Drawdown limit breached", "0.05")


async def test_exposure_ends_when_it_is_below_the_limit_again(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        await pipeline.submit_order(intent(quantity="1.99"))
        assert_blocked(await pipeline.submit_order(intent(quantity="0.02")), "Max exposure exceeded", "1.0")
        assert (await pipeline.submit_order(intent(side="sell", quantity="0.5"))).is_success
        assert (await pipeline.submit_order(intent(quantity="0.02"))).is_success


async def test_a_working_order_holds_its_quantity_until_it_ends(tmp_path: Path) -> None:
    tight = LOOSE | {"max_position_size": {"default": "1"}}
    async with ExecutionPipeline("paper", settings(tmp_path, limits=tight)) as pipeline:
        first = await pipeline.submit_order(resting(quantity=1))
        assert first.client_order_id is not None
        assert_blocked(await pipeline.submit_order(intent()), "Max position size exceeded", "1")
        await pipeline.cancel_order(first.client_order_id)
        assert (await pipeline.submit_order(resting(quantity="0.6"))).is_success
        assert_blocked(await pipeline.submit_order(intent(quantity="0.5")), "Max position size exceeded", "1")
        move(pipeline, "BTC/USD", "39999", "40000")
        assert pipeline.positions()["BTC/USD"].quantity == Decimal("0.6")
        assert (await pipeline.submit_order(intent(quantity="0.4"))).is_success
        assert_blocked(await pipeline.submit_order(intent(quantity="0.00020")), "Max position size exceeded", "1")


async def test_a_blocked_or_rejected_order_gives_its_hold_back(tmp_path: Path) -> None:
    tight = LOOSE | {"max_position_size": {"default": "1"}}
    async with ExecutionPipeline("paper", settings(tmp_path, limits=tight)) as pipeline:
        rejected = await pipeline.submit_order(intent(order_type="limit", price="60000", quantity=1, post_only=True))
        assert (rejected.status, rejected.order_status) == (S.REJECTED, S.REJECTED)
        assert rejected.executor_called
        assert rejected.reason
        expired = await pipeline.submit_order(resting(time_in_force="IOC", quantity=1))
        assert (expired.status, expired.order_status) == (S.SUCCESS, S.EXPIRED)
        assert (await pipeline.submit_order(intent(quantity=1))).is_success


@pytest.mark.parametrize(
    ("tight", "allowed"),
    [
        ({"max_position_size": {"default": "2.5"}}, 250),
        ({"max_exposure": "1"}, 250),
        ({"max_concentration": "1"}, 250),
        ({"max_open_orders": 250}, 250),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else str(value),
)
@pytest.mark.parametrize("kind", ["queue", "submit"])
async def test_a_thousand_concurrent_intents_never_jointly_pass_a_limit(
    tmp_path: Path, kind: str, tight: dict[str, object], allowed: int
) -> None:
    flat = {"BTC/USD": ("39999.99", "40000.01")}
    configured = settings(tmp_path, limits=LOOSE | tight, quotes=flat)
    orders = [resting(price="39999", intent_id=f"n{number}") for number in range(1000)]
    async with ExecutionPipeline("paper", configured) as pipeline:
        if kind == "queue":
            for order in orders:
                await pipeline.intents.send(order)
            await pipeline.idle()
        else:
            await asyncio.gather(*(pipeline.submit_order(order) for order in orders))
        assert len(pipeline.open_orders()) == allowed
        move(pipeline, "BTC/USD", "39000", "39001")
        assert pipeline.positions()["BTC/USD"].quantity == allowed * Decimal("0.01")
    counted = Counter(event.status for event in stored(tmp_path) if event.event == "answered")  # type: ignore[union-attr]
    assert counted == {S.SUCCESS: allowed, S.BLOCKED_BY_RISK: 1000 - allowed}


async def test_an_amount_without_a_rate_is_blocked_and_readable_after_a_restart(tmp_path: Path) -> None:
    configured = settings(tmp_path, quotes={"BTC/EUR": ("46199.5", "46200.5")})
    async with ExecutionPipeline("paper", configured) as pipeline:
        first = await pipeline.submit_order(intent(symbol="BTC/EUR", intent_id="x"))
        assert_blocked(first, "Max order notional exceeded", "100000")
    async with ExecutionPipeline("paper", configured) as pipeline:
        again = await pipeline.submit_order(intent(symbol="BTC/EUR", intent_id="x"))
    assert encoded(again) == encoded(first)
