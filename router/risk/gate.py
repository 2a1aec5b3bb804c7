"""Stage 4: measure, reserve, pass on, and give the reservation back if no executor got the order.

Check and hold happen without an await between them. This module must not know how a limit is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

import msgspec

from router.domain.control import Closure
from router.domain.enums import ExecutionStatus
from router.domain.order import ZERO, Order
from router.domain.result import BrokenLimit, ExecutionResult, Limit, MeasuredLimit, RiskDetails, Violation
from router.middleware import Next, Submission
from router.risk.account import Account, quote_of
from router.risk.checks import Assessment, account_limits, assess, current_exposure, drawdown, measured, reduces
from router.risk.consequences import CONSEQUENCES, Consequences
from router.risk.limits import LiveRiskLimits
from router.settings import dotted


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
        limits: in force in an environment.
        accounts: one per environment that has an executor.
        today: the current UTC day.
        consequences: what a closed session and a broken limit lead to.
    """

    def __init__(
        self,
        limits: Callable[[str], LiveRiskLimits],
        accounts: Mapping[str, Account],
        today: Callable[[], date],
        consequences: Consequences,
    ) -> None:
        self._limits = limits
        self._accounts = accounts
        self._today = today
        self._consequences = consequences

    async def __call__(self, submission: Submission, call_next: Next) -> ExecutionResult:
        order, account = submission.order, self._accounts[submission.environment]
        assert order is not None, "validation runs before risk"
        refusal = self._refusal(submission, order, account)
        if refusal is not None:
            return refusal
        if submission.amends is not None:  # the request itself holds what it may add, before anything is awaited
            return await call_next(submission)
        account.hold(order, order.quantity)
        executor_called = False
        try:
            result = await call_next(submission)
            executor_called = result.executor_called
            return result
        finally:
            if not executor_called:
                account.hold(order, ZERO)

    def _refusal(self, submission: Submission, order: Order, account: Account) -> ExecutionResult | None:
        assert submission.reference is not None, "safety runs before risk"
        before = submission.amends
        if before is None:
            return self._judged(submission, order, account)
        if submission.only_takes_away:
            return None
        account.hold(before, ZERO)  # measured as if it came instead of what works now
        try:
            return self._judged(submission, order, account)
        finally:
            account.hold(before, before.worst_leaves)

    def _judged(self, submission: Submission, order: Order, account: Account) -> ExecutionResult | None:
        """Measure the order; what it breaks has its consequences, and a closed session lets only what reduces pass,
        whoever may skip the limits."""
        assert submission.reference is not None, "safety runs before risk"
        environment, limits = submission.environment, self._limits(submission.environment)
        today, reference = self._today(), submission.reference
        found = None if submission.skip_risk_check else assess(order, reference, account, limits, today)
        alert_ids = [self._consequences.broken(environment, each.limit) for each in found.violations] if found else []
        closure = self._consequences.closed(environment)
        if closure is not None and not (order.reduce_only and reduces(order, account)):
            every = found.limits if found is not None else measured(order, reference, account, limits, today)
            return _closed(submission, closure, every, current_exposure(account), alert_ids)
        if found is None:
            return None
        unknown = None if found.violations[0].limit.value.is_finite() else _unknown(order, account, limits)
        return _blocked(submission, found, alert_ids, unknown)

    def still_closed_by(self, environment: str, reset_peak: bool = False) -> str | None:
        """Return which limit would close an environment's session again at once, or None; a drawdown would not once the
        peak is reset, which needs an equity to reset it to."""
        if reset_peak and not self._accounts[environment].is_valued:
            return "its account cannot be valued now, so there is no equity to count from: check the market data feed"
        for limit in account_limits(self._accounts[environment], self._limits(environment), self._today()):
            consequence = CONSEQUENCES.get(limit.name)
            if reset_peak and limit.name == "max_drawdown":
                continue
            if consequence is not None and consequence.closes and limit.value >= limit.limit:
                return f"{limit.name} is {limit.limit:f}, measured {limit.value:.6g}"
        return None

    def snapshot(self, environment: str) -> RiskSnapshot:
        """Measure an environment's account as it is now."""
        account = self._accounts[environment]
        found = account_limits(account, self._limits(environment), self._today())
        equity, portfolio = account.equity(), account.portfolio
        return RiskSnapshot(
            equity=equity,
            peak_equity=portfolio.peak_equity,
            drawdown=drawdown(account, equity),
            daily_pnl=equity - portfolio.day_start_equity,
            exposure=current_exposure(account),
            limits=found,
        )


def _closed(
    submission: Submission, closure: Closure, every: list[Limit], exposure: Decimal, alert_ids: list[str]
) -> ExecutionResult:
    """Answer in a closed session: with the limit that closed it, as it stands now."""
    names = {consequence.message: name for name, consequence in CONSEQUENCES.items()}
    closing = next((each for each in every if each.name == names.get(closure.violation or "")), None)
    until = "" if closure.day is None else f" until the UTC day {closure.day} is over"
    what = closure.violation or "Session closed"
    return submission.answer(
        ExecutionStatus.BLOCKED_BY_RISK,
        reason=(
            f"{what}: the session of {closure.environment} is closed{until} by {closure.operator} since "
            f"{closure.at:%Y-%m-%d %H:%M:%S} UTC ({closure.reason}). Only reduce-only orders that reduce may leave. "
            + ("" if closure.day is not None else "A named operator opens it: router session open.")
        ).rstrip(),
        violation=what,
        limit_value=closing.limit if closing is not None else None,
        current_exposure=exposure,
        risk_violation_details=_details(every, [Violation(what, closing)] if closing is not None else []),
        alert_ids=list(dict.fromkeys(each for each in (closure.alert_id, *alert_ids) if each)),
    )


def _unknown(order: Order, account: Account, limits: LiveRiskLimits) -> str:
    """Return why a limit cannot be measured, and so is broken."""
    currency = quote_of(order.symbol)
    if account.rate(currency) is None:
        rate = f"{dotted(('fixed_rates', currency))} in the limits' file"
        return f"there is no rate of {currency} in {limits.base_currency}: no quote tells it, and no {rate}."
    without = sorted(symbol for symbol in {order.symbol, *account.symbols} if account.mark(symbol) is None)
    if without:
        return f"{', '.join(without)} cannot be valued: there is no quote that can be trusted. Wait for one."
    return "the account has no equity."


def _blocked(submission: Submission, found: Assessment, alert_ids: list[str], unknown: str | None) -> ExecutionResult:
    """Answer with the gravest violation; ``unknown``: why it is one without a number."""
    first = found.violations[0]
    if first.limit.name == "reduce_only":
        unknown = f"with what works on this side already it would be {first.limit.value:.12g}. Send less, or cancel."
    says = unknown or (
        f"this order would make it {first.limit.value:.12g}. No override: reduce the order or the position."
    )
    return submission.answer(
        ExecutionStatus.BLOCKED_BY_RISK,
        reason=f"{first.message}: {first.limit.name} is {first.limit.limit}, {says}",
        violation=first.message,
        limit_value=first.limit.limit,
        current_exposure=found.current_exposure,
        risk_violation_details=_details(found.limits, found.violations),
        alert_ids=list(dict.fromkeys(each for each in alert_ids if each)),
    )


def _details(every: list[Limit], violations: list[Violation]) -> RiskDetails:
    return RiskDetails(
        passed=False,
        violations=[
            BrokenLimit(
                message=broken.message,
                limit=broken.limit.name,
                value=broken.limit.value,
                limit_value=broken.limit.limit,
            )
            for broken in violations
        ],
        limits=[
            MeasuredLimit(name=each.name, value=each.value, limit=each.limit, headroom=each.headroom) for each in every
        ],
    )
