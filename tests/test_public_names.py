"""The names that users and the runbook import."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import router

REPOSITORY = Path(__file__).resolve().parents[1]
CONTRACT = [
    "Environment",
    "ExecutionPipeline",
    "ExecutionPipelineError",
    "ExecutionResult",
    "ExecutionStatus",
    "GovernanceViolationError",
    "LiveExecutionLockedError",
    "OrderIntent",
    "OrderSide",
    "OrderType",
    "TimeInForce",
]


def test_the_public_names_are_the_contracts_and_sorted() -> None:
    assert router.__all__ == CONTRACT == sorted(CONTRACT)


@pytest.mark.parametrize("name", CONTRACT)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(router, name).__name__ == name


def test_a_name_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(AttributeError, match="module 'router' has no attribute 'LiveExecutor'"):
        router.LiveExecutor  # noqa: B018


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("router.governance.go_no_go", "get_governance_status"),
        ("router.risk", "LiveRiskLimits"),
        ("router.gateway.client", "RouterClient"),
        ("router.clock", "Clock"),
        ("router.clock", "VirtualClock"),
    ],
)
def test_the_runbooks_imports_work(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def test_the_governance_lock_can_be_found_by_grep() -> None:
    text = (REPOSITORY / "router" / "governance" / "go_no_go.py").read_text(encoding="utf-8")
    assert [line.strip() for line in text.splitlines()].count('"live_order_execution": "locked",') == 1


def test_importing_the_router_loads_no_exchange_and_no_database() -> None:
    code = (
        "import sys, router; print(*sorted({'ccxt', 'aiosqlite', 'aiohttp', 'router.execution'} & sys.modules.keys()))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert loaded.stdout.split() == []
