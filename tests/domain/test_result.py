"""The answer to a submission."""

from __future__ import annotations

import msgspec
import pytest

from router.domain.enums import ExecutionStatus
from router.domain.result import ExecutionResult
from tests.factories import D, result

PREDICATES = {
    "is_success": ExecutionStatus.SUCCESS,
    "is_blocked_by_governance": ExecutionStatus.BLOCKED_BY_GOVERNANCE,
    "is_blocked_by_risk": ExecutionStatus.BLOCKED_BY_RISK,
    "is_blocked_by_safety": ExecutionStatus.BLOCKED_BY_SAFETY,
    "is_blocked_by_environment": ExecutionStatus.BLOCKED_BY_ENVIRONMENT,
}
CONTRACT = (
    "status run_id session_id timestamp environment order_intent client_order_id venue_order_id order_status "
    "filled_quantity leaves_quantity average_price executor_called outcome_unknown reason validation_error "
    "invalid_field risk_violation_details violation current_exposure limit_value governance_status "
    "category alert_ids stacktrace"
)


@pytest.mark.parametrize("status", [*ExecutionStatus])
def test_each_predicate_is_true_for_its_status_alone(status: ExecutionStatus) -> None:
    answer = result(status)
    assert {name: getattr(answer, name) for name in PREDICATES} == {
        name: status is wanted for name, wanted in PREDICATES.items()
    }


def test_the_fields_are_the_contracts() -> None:
    assert set(CONTRACT.split()) == set(ExecutionResult.__struct_fields__)


def test_no_executor_is_assumed_to_have_been_called() -> None:
    assert result().executor_called is False


def test_an_answer_survives_encoding() -> None:
    answer = result(
        ExecutionStatus.BLOCKED_BY_RISK,
        limit_value=D("0.05"),
        current_exposure=D("Infinity"),
        risk_violation_details={
            "passed": False,
            "violations": [{"message": "m", "limit": "max_exposure", "value": D("Infinity"), "limit_value": D(1)}],
            "limits": [{"name": "max_exposure", "value": D("Infinity"), "limit": D(1), "headroom": D("-Infinity")}],
        },
        alert_ids=["alert_20251209_143245_risk_001"],
    )
    assert msgspec.json.decode(msgspec.json.encode(answer), type=ExecutionResult) == answer


def test_two_answers_share_nothing_that_could_be_changed() -> None:
    first = msgspec.convert(msgspec.to_builtins(result()), ExecutionResult)
    second = msgspec.convert(msgspec.to_builtins(result()), ExecutionResult)
    first.alert_ids.append("x")
    first.governance_status["x"] = "y"
    assert (second.alert_ids, second.governance_status) == ([], {})
