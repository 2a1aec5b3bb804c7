"""Stage 4: measure, reserve, pass on, and give the reservation back if no executor got the order.

Check and hold happen without an await between them. This module must not know how a limit is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

import msgspec

from router.domain.enums import ExecutionStatus
from router.domain.order import ZERO, Order
from router.domain.result import BrokenLimit, ExecutionResult, Limit, MeasuredLimit, RiskDetails
from router.middleware import Next, Submission
from router.risk.account import Account
from router.risk.checks import Assessment, account_limits, assess, drawdown
from router.risk.limits import LiveRiskLimits


class RiskSnapshot(msgspec.Struct, frozen=True):
    """An account at our marks: base currency, except the fractions ``drawdown`` and ``exposure``."""

    equity: Decimal
    peak_equity: Decimal
    drawdown: Decimal
    daily_pnl: Decimal
    exposure: Decimal
    limits: list[Limit]


class RiskGate:
    """Holds an order's quantity against the limits of its environment's account.

    Args:
        limits: the limits in force.
        accounts: one per environment that has an executor.
        today: the current UTC day.
    """

    def __init__(self, limits: LiveRiskLimits, accounts: Mapping[str, Account], today: Callable[[], date]) -> None:
        self._limits = limits
        self._accounts = accounts
        self._today = today

    async def __call__(self, submission: Submission, call_next: Next) -> ExecutionResult:
        order, account = submission.order, self._accounts[submission.environment]
        assert order is not None, "validation runs before risk"
        if not submission.skip_risk_check:
            refusal = self._refusal(submission, order, account)
            if refusal is not None:
                return refusal
        if submission.amends is not None:  # the request itself holds what it may add, before anything is awaited
            return await call_next(submission)
        account.holds.set(order, order.quantity)
        executor_called = False
        try:
            result = await call_next(submission)
            executor_called = result.executor_called
            return result
        finally:
            if not executor_called:
                account.holds.set(order, ZERO)

    def _refusal(self, submission: Submission, order: Order, account: Account) -> ExecutionResult | None:
        assert submission.reference is not None, "safety runs before risk"
        before = submission.amends
        if before is None:
            found = assess(order, submission.reference, account, self._limits, self._today())
        elif order.price == before.price and order.quantity <= before.quantity:
            return None  # it only takes risk away
        else:
            account.holds.set(before, ZERO)  # measured as if it came instead of what works now
            try:
                found = assess(order, submission.reference, account, self._limits, self._today())
            finally:
                account.holds.set(before, before.worst_leaves)
        return _blocked(submission, found) if found is not None else None

    def snapshot(self, environment: str) -> RiskSnapshot:
        """Measure an environment's account as it is now."""
        account = self._accounts[environment]
        measured = account_limits(account, self._limits, self._today())
        equity = account.equity()
        portfolio = account.portfolio
        return RiskSnapshot(
            equity=equity,
            peak_equity=portfolio.peak_equity,
            drawdown=drawdown(account, equity),
            daily_pnl=equity - portfolio.day_start_equity,
            exposure=next(limit.value for limit in measured if limit.name == "max_exposure"),
            limits=measured,
        )


def _blocked(submission: Submission, found: Assessment) -> ExecutionResult:
    first = found.violations[0]
    return submission.answer(
        ExecutionStatus.BLOCKED_BY_RISK,
        reason=(
            f"{first.message}: {first.limit.name} is {first.limit.limit}, this order would make it "
            f"{first.limit.value:.12g}. No override: reduce the order or the position."
        ),
        violation=first.message,
        limit_value=first.limit.limit,
        current_exposure=found.current_exposure,
        risk_violation_details=RiskDetails(
            passed=False,
            violations=[
                BrokenLimit(
                    message=broken.message,
                    limit=broken.limit.name,
                    value=broken.limit.value,
                    limit_value=broken.limit.limit,
                )
                for broken in found.violations
            ],
            limits=[
                MeasuredLimit(name=each.name, value=each.value, limit=each.limit, headroom=each.headroom)
                for each in found.limits
            ],
        ),
    )
