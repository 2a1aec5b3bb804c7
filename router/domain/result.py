"""The answer to a submission, and the violation that a check found.

``is_blocked_by_*`` and ``is_success`` derive from the status; they are never stored.
This module must not know how an answer is reached.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TypedDict

import msgspec

from router.domain.enums import ExecutionStatus
from router.domain.intent import OrderIntent


class Limit(msgspec.Struct, frozen=True, gc=False):
    """One limit as measured: its name, the value that counts against it, the limit, and what is left."""

    name: str
    value: Decimal
    limit: Decimal
    headroom: Decimal


class Violation(msgspec.Struct, frozen=True, gc=False):
    """A limit that the intent would break; ``message`` is the contract's wording (spec §5)."""

    message: str
    limit: Limit


class MeasuredLimit(TypedDict):
    """One limit in an answer: sizes in their unit, fractions as fractions."""

    name: str
    value: Decimal
    limit: Decimal
    headroom: Decimal


class BrokenLimit(TypedDict):
    """One broken limit in an answer; ``message`` is the contract's wording."""

    message: str
    limit: str
    value: Decimal
    limit_value: Decimal


class RiskDetails(TypedDict):
    """What the risk stage measured (runbook §6.1, artefact 14)."""

    passed: bool
    violations: list[BrokenLimit]
    limits: list[MeasuredLimit]


class ExecutionResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one submission (spec §3).

    ``status`` is the verdict on the submission, ``order_status`` the order's state when it was given.
    Quantities are base units, prices quote units; ``current_exposure`` and ``limit_value`` are fractions of equity
    where the limit is one. ``executor_called`` is False for everything our own gates refused.
    """

    status: ExecutionStatus
    run_id: str
    session_id: str
    timestamp: datetime
    environment: str
    order_intent: OrderIntent
    client_order_id: str | None = None
    venue_order_id: str | None = None
    order_status: ExecutionStatus | None = None
    filled_quantity: Decimal = Decimal(0)
    leaves_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    executor_called: bool = False
    outcome_unknown: bool = False
    reason: str | None = None
    validation_error: str | None = None
    invalid_field: str | None = None
    risk_violation_details: RiskDetails | None = None
    violation: str | None = None
    current_exposure: Decimal | None = None
    limit_value: Decimal | None = None
    governance_status: dict[str, str] = msgspec.field(default_factory=dict)
    category: str | None = None
    alert_ids: list[str] = msgspec.field(default_factory=list)
    stacktrace: str | None = None

    @property
    def is_success(self) -> bool:
        return self.status is ExecutionStatus.SUCCESS

    @property
    def is_blocked_by_governance(self) -> bool:
        return self.status is ExecutionStatus.BLOCKED_BY_GOVERNANCE

    @property
    def is_blocked_by_risk(self) -> bool:
        return self.status is ExecutionStatus.BLOCKED_BY_RISK

    @property
    def is_blocked_by_safety(self) -> bool:
        return self.status is ExecutionStatus.BLOCKED_BY_SAFETY

    @property
    def is_blocked_by_environment(self) -> bool:
        return self.status is ExecutionStatus.BLOCKED_BY_ENVIRONMENT
