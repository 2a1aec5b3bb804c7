"""The second stage: locked features and environments without an executor go no further."""

from __future__ import annotations

from typing import Any

import pytest

from router.domain.enums import ExecutionStatus
from router.domain.result import ExecutionResult
from router.governance import go_no_go
from router.governance.gate import GovernanceGate
from router.governance.go_no_go import governance_status
from tests.factories import NOW, Last, submission

pytestmark = pytest.mark.asyncio
ALL = ("paper", "shadow", "testnet", "live")
UNLOCKED = {"risk_check_override": "approved"}


async def ask(
    environment: str,
    *,
    enabled: tuple[str, ...] = ("paper", "shadow"),
    overrides: dict[str, str] | None = None,
    skip: bool = False,
    **more: Any,
) -> tuple[ExecutionResult, Last]:
    last = Last()
    asked = submission(environment=environment, skip_risk_check=skip)
    return await GovernanceGate(enabled, overrides or {}, **more)(asked, last), last


@pytest.mark.parametrize("enabled", [("paper",), ALL, ()])
@pytest.mark.parametrize("overrides", [{}, {"live_order_execution": "approved"}])
@pytest.mark.parametrize("skip", [False, True])
async def test_live_is_blocked_whatever_is_configured(
    enabled: tuple[str, ...], overrides: dict[str, str], skip: bool
) -> None:
    result, last = await ask("live", enabled=enabled, overrides=overrides, skip=skip)
    assert result.is_blocked_by_governance
    assert (result.environment, result.executor_called, last.seen) == ("live", False, [])
    assert result.violation == "live_order_execution"
    assert "live_order_execution is locked" in (result.reason or "")
    assert result.governance_status["live_order_execution"] == "locked"
    assert (result.run_id, result.timestamp) == ("run_1", NOW)


async def test_an_edited_map_still_finds_no_live_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, "live_order_execution", "approved")
    result, last = await ask("live")
    assert (result.status, last.seen) == (ExecutionStatus.BLOCKED_BY_ENVIRONMENT, [])


@pytest.mark.parametrize("status", ["locked", "unknown", "Approved", "yes", ""])
async def test_only_the_word_approved_opens_an_environment(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, "paper_order_execution", status)
    result, last = await ask("paper")
    assert (result.is_blocked_by_governance, last.seen) == (True, [])
    assert result.violation == "paper_order_execution"


async def test_an_environment_without_an_entry_counts_as_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(go_no_go._FEATURE_STATUS_MAP, "paper_order_execution")
    result, last = await ask("paper")
    assert (result.is_blocked_by_governance, last.seen) == (True, [])
    assert "paper_order_execution is unknown" in (result.reason or "")


@pytest.mark.parametrize("environment", ["LIVE", "Live", "live ", "PAPER", " paper", "", "prod", "moon", "None"])
async def test_any_other_word_is_an_unknown_environment(environment: str) -> None:
    result, last = await ask(environment, enabled=ALL)
    assert (result.status, last.seen) == (ExecutionStatus.BLOCKED_BY_ENVIRONMENT, [])
    assert repr(environment) in (result.reason or "")


async def test_an_environment_that_is_not_enabled_is_blocked_and_the_key_is_named() -> None:
    result, last = await ask("testnet")
    assert (result.status, last.seen) == (ExecutionStatus.BLOCKED_BY_ENVIRONMENT, [])
    assert "execution.environments" in (result.reason or "")
    assert "paper, shadow" in (result.reason or "")


@pytest.mark.parametrize("environment", ["paper", "shadow", "testnet"])
async def test_enabled_environments_pass_with_the_whole_register_as_read(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for live in ("locked", "unlocked"):  # read at each order, though it holds only live ones back
        monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, "live_order_execution", live)
        result, last = await ask(environment, enabled=("paper", "shadow", "testnet"))
        assert (result.is_success, len(last.seen)) == (True, 1)
        assert result.governance_status == go_no_go._FEATURE_STATUS_MAP
        assert result.governance_status["live_order_execution"] == live


async def test_an_environment_that_cannot_be_had_here_says_why_instead() -> None:
    result, last = await ask("testnet", refused={"testnet": "kraken has no sandbox"})
    assert (result.status, last.seen) == (ExecutionStatus.BLOCKED_BY_ENVIRONMENT, [])
    assert result.reason == "kraken has no sandbox"
    result, last = await ask("shadow", refused={"testnet": "kraken has no sandbox"})
    assert (result.is_success, len(last.seen)) == (True, 1)


async def test_an_environment_takes_no_orders_for_as_long_as_it_is_closed() -> None:
    why: list[str | None] = ["not compared yet", None]
    closed = {"testnet": lambda: why.pop(0)}
    enabled = ("paper", "testnet")
    result, last = await ask("testnet", enabled=enabled, closed=closed)
    assert (result.status, last.seen) == (ExecutionStatus.BLOCKED_BY_ENVIRONMENT, [])
    assert (result.reason, result.executor_called) == ("not compared yet", False)
    assert (await ask("paper", enabled=enabled, closed=closed))[0].is_success
    result, last = await ask("testnet", enabled=enabled, closed=closed)
    assert (result.is_success, len(last.seen)) == (True, 1)


@pytest.mark.parametrize("environment", ["testnet", "live"])
async def test_a_lock_is_said_before_anything_about_a_venue(monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, f"{environment}_order_execution", "locked")
    said: dict[str, Any] = {"refused": {environment: "no keys"}, "closed": {environment: lambda: "closed"}}
    for enabled in (ALL, ()):
        result, last = await ask(environment, enabled=enabled, **said)
        assert (result.is_blocked_by_governance, last.seen) == (True, [])


@pytest.mark.parametrize("environment", ["paper", "shadow", "testnet"])
async def test_skipping_the_risk_check_is_locked_by_default(environment: str) -> None:
    result, last = await ask(environment, enabled=ALL, skip=True)
    assert (result.is_blocked_by_governance, last.seen) == (True, [])
    assert result.violation == "risk_check_override"


@pytest.mark.parametrize(("environment", "passes"), [("paper", True), ("shadow", True), ("testnet", False)])
async def test_an_unlocked_skip_is_for_paper_and_shadow_only(environment: str, passes: bool) -> None:
    result, last = await ask(environment, enabled=ALL, overrides=UNLOCKED, skip=True)
    assert (result.is_success, len(last.seen)) == (passes, int(passes))
    assert result.is_blocked_by_governance is not passes


@pytest.mark.parametrize("environment", ["paper", "testnet", "live", "moon"])
@pytest.mark.parametrize("overrides", [{}, UNLOCKED])
async def test_every_answer_records_the_whole_register_as_read(environment: str, overrides: dict[str, str]) -> None:
    result, _ = await ask(environment, overrides=overrides)
    assert result.governance_status == governance_status(overrides)
    assert set(result.governance_status) == set(go_no_go._FEATURE_STATUS_MAP)
