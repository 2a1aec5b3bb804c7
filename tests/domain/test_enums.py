"""The closed vocabularies are the contract's, to the letter."""

from __future__ import annotations

import msgspec
import pytest

from router.domain.enums import (
    OPEN,
    TERMINAL,
    VERDICT_ONLY,
    Environment,
    ExecType,
    ExecutionStatus,
    Liquidity,
    OrderSide,
    OrderType,
    Severity,
    TimeInForce,
)

FOURTEEN = [
    "PENDING",
    "SUBMITTED",
    "FILLED",
    "PARTIALLY_FILLED",
    "CANCELLED",
    "REJECTED",
    "SUCCESS",
    "BLOCKED_BY_GOVERNANCE",
    "BLOCKED_BY_RISK",
    "BLOCKED_BY_SAFETY",
    "BLOCKED_BY_ENVIRONMENT",
    "INVALID",
    "ERROR",
    "EXPIRED",
]


def test_the_statuses_are_the_runbooks_fourteen() -> None:
    assert [status.value for status in ExecutionStatus] == FOURTEEN


def test_the_other_words_are_the_contracts() -> None:
    assert [*OrderSide] == ["buy", "sell"]
    assert [*OrderType] == ["market", "limit"]
    assert [*TimeInForce] == ["GTC", "IOC", "FOK", "DAY", "GTD"]
    assert [*Environment] == ["paper", "shadow", "testnet", "live"]
    assert [*Liquidity] == ["maker", "taker"]
    assert [*Severity] == ["CRITICAL", "HIGH", "MEDIUM", "LOW"]


@pytest.mark.parametrize(
    "words", [ExecutionStatus, OrderSide, OrderType, TimeInForce, Environment, Liquidity, ExecType, Severity]
)
def test_a_member_compares_prints_and_encodes_as_its_word(words: type[ExecutionStatus]) -> None:
    for member in words:
        assert f"{member}" == str(member) == member.value == member
        assert msgspec.json.decode(msgspec.json.encode(member), type=words) is member


def test_every_status_is_open_terminal_or_a_verdict_and_only_one_of_them() -> None:
    assert set(ExecutionStatus) == OPEN | TERMINAL | VERDICT_ONLY
    assert len(OPEN) + len(TERMINAL) + len(VERDICT_ONLY) == 14


def test_success_and_what_we_refuse_are_never_an_orders_state() -> None:
    assert {status.value for status in VERDICT_ONLY} == {
        "SUCCESS",
        "INVALID",
        "BLOCKED_BY_GOVERNANCE",
        "BLOCKED_BY_RISK",
        "BLOCKED_BY_SAFETY",
        "BLOCKED_BY_ENVIRONMENT",
    }
