"""Stage 2: is this allowed here at all? Governance first, then the environment (spec §5).

Every answer records the whole register. This module must not know positions, quotes or executors beyond the
names of the environments that have one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from router.domain.enums import Environment, ExecutionStatus
from router.domain.result import ExecutionResult
from router.governance.go_no_go import APPROVED, LIVE, RISK_OVERRIDE, UNKNOWN, governance_status
from router.middleware import Next, Submission

_ENVIRONMENTS = frozenset(Environment)


class GovernanceGate:
    """Refuses what the register locks, and environments that are unknown or not enabled.

    Args:
        enabled: the environments that configuration enables.
        overrides: register keys that configuration sets (``risk_check_override``).
        refused: environments that are configured but cannot be had here, and why.
        closed: by environment: why it takes no orders yet, or None.
    """

    def __init__(
        self,
        enabled: Collection[str],
        overrides: Mapping[str, str],
        *,
        refused: Mapping[str, str] = MappingProxyType({}),
        closed: Mapping[str, Callable[[], str | None]] = MappingProxyType({}),
    ) -> None:
        self._enabled = frozenset(enabled)
        self._overrides = overrides
        self._refused = refused
        self._closed = closed

    async def __call__(self, submission: Submission, call_next: Next) -> ExecutionResult:
        register = submission.governance = governance_status(self._overrides)
        environment = submission.environment
        key = f"{environment}_order_execution"
        if environment in _ENVIRONMENTS and register.get(key, UNKNOWN) != APPROVED:
            return _blocked(submission, key, register.get(key, UNKNOWN))
        if submission.skip_risk_check and not self._may_skip_risk(register, environment):
            return _blocked(submission, RISK_OVERRIDE, register[RISK_OVERRIDE])
        why_not = self._why_not(environment)
        if why_not is not None:
            return submission.answer(ExecutionStatus.BLOCKED_BY_ENVIRONMENT, reason=why_not)
        return await call_next(submission)

    @staticmethod
    def _may_skip_risk(register: Mapping[str, str], environment: str) -> bool:
        return register[RISK_OVERRIDE] == APPROVED and environment in {Environment.PAPER, Environment.SHADOW}

    def _why_not(self, environment: str) -> str | None:
        if environment in self._enabled:
            closed = self._closed.get(environment)
            return closed() if closed is not None else None
        if environment in self._refused:
            return self._refused[environment]
        enabled = ", ".join(sorted(self._enabled)) or "none"
        if environment not in _ENVIRONMENTS:
            return f"Unknown environment {environment!r}. Use one of the enabled: {enabled}."
        return (
            f"Environment {environment} has no executor enabled here (enabled: {enabled}). "
            "See execution.environments in the configuration."
        )


def _blocked(submission: Submission, key: str, status: str) -> ExecutionResult:
    what = "Live execution is locked" if key == LIVE else f"{key} is {status}"
    if status == APPROVED:  # only the override is asked for where it never holds
        what = "The risk check is passed over on paper and shadow only, never elsewhere"
    advice = (
        "Expected for env=live: no action."
        if key == LIVE
        else "Not to be overridden by a strategy: ask governance, or change the configuration with a sign-off."
    )
    return submission.answer(
        ExecutionStatus.BLOCKED_BY_GOVERNANCE,
        reason=f"{what}: governance key {key} is {status}. {advice}",
        violation=key,
    )
