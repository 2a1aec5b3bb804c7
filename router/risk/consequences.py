"""What a broken limit leads to, by itself: one table (runbook §8.3).

A drawdown closes the session until a named operator opens it, a day's loss until the UTC day is over; exposure needs no
latch, it ends when exposure is below the limit again. A strategy that lost what it may is halted until somebody resumes
it. This module must not know how a limit is measured, or how alerts and closings are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from router.domain.control import Closure, Halt, HaltScope
from router.domain.enums import Severity
from router.domain.result import Limit

ROUTER: Final = "router"
"""Who closes and halts when no person does."""
STRATEGY_LOSS: Final = "T07_strategy_loss"


class Consequence(NamedTuple):
    """``message``: the contract's wording; ``closes``: the session, for the UTC day only if ``for_day``."""

    message: str
    severity: Severity
    advice: str
    closes: bool = False
    for_day: bool = False


_S = Severity
CONSEQUENCES: Final = MappingProxyType(
    {
        "max_drawdown": Consequence(
            "Drawdown limit breached",
            _S.CRITICAL,
            "The session is closed, only reduce-only orders leave. Open an incident, inform On-Call and the risk "
            "manager; no override. Once decided: router session open.",
            closes=True,
        ),
        "max_daily_loss": Consequence(
            "Daily loss limit reached",
            _S.HIGH,
            "Trading is stopped for this UTC day, only reduce-only orders leave. Inform On-Call; reassess tomorrow.",
            closes=True,
            for_day=True,
        ),
        "max_exposure": Consequence(
            "Max exposure exceeded",
            _S.HIGH,
            "Nothing leaves that adds to it; reduce open positions. Inform On-Call.",
        ),
        "max_concentration": Consequence("Asset concentration too high", _S.MEDIUM, "Diversify the portfolio."),
        "max_position_size": Consequence(
            "Max position size exceeded", _S.MEDIUM, "Make the order smaller; no override. Document it."
        ),
        "max_order_quantity": Consequence("Max order quantity exceeded", _S.MEDIUM, "Check the strategy's sizing."),
        "max_order_notional": Consequence("Max order notional exceeded", _S.MEDIUM, "Check the strategy's sizing."),
        "max_open_orders": Consequence("Max open orders reached", _S.MEDIUM, "Cancel what is not needed."),
        "reduce_only": Consequence("Reduce-only order would not reduce", _S.LOW, "Check the strategy's position."),
    }
)
"""By the limit's name, without whose it is."""


class Standing(Protocol):
    """Who keeps closed sessions and halts."""

    halts: dict[tuple[HaltScope, str], Halt]

    def closed(self, environment: str, today: date) -> Closure | None: ...

    def close_session(
        self,
        environment: str,
        *,
        operator: str,
        reason: str,
        violation: str | None = None,
        alert_id: str | None = None,
        day: date | None = None,
    ) -> Closure: ...

    def halt(
        self,
        scope: HaltScope,
        name: str = "",
        *,
        operator: str,
        reason: str,
        allow_reducing: bool = False,
        cancel: bool = False,
        control: str | None = None,
        severity: Severity = Severity.CRITICAL,
    ) -> Halt: ...


class Alarm(Protocol):
    """Who alerts, once an episode."""

    def once(self, key: tuple[str, ...], severity: Severity, topic: str, message: str) -> str: ...

    def over(self, key: tuple[str, ...]) -> None: ...


class Consequences:
    """Carries the table out.

    Args:
        on_closed: told when a limit has closed a session: what works there and adds must be asked to end.
    """

    def __init__(
        self, standing: Standing, alarm: Alarm, today: Callable[[], date], on_closed: Callable[[], None]
    ) -> None:
        self._standing = standing
        self._alarm = alarm
        self._today = today
        self._on_closed = on_closed

    def closed(self, environment: str) -> Closure | None:
        """Return why an environment takes only what reduces, or None."""
        return self._standing.closed(environment, self._today())

    def broken(self, environment: str, limit: Limit) -> str:
        """Do what a broken ``limit`` demands; returns the id of its alert."""
        owner, name = owner_and_name(limit.name)
        consequence = CONSEQUENCES[name]
        closure = self.closed(environment)
        if consequence.closes and not owner and closure is not None and _covers(closure, consequence):
            return closure.alert_id or ""
        found = f"{consequence.message} in {environment}: {limit.name} is {limit.limit:f}, measured {limit.value:.6g}"
        if consequence.closes and owner:
            return self._halted(owner, found, consequence)
        text = f"{found}. {consequence.advice}"
        if consequence.closes:
            self._alarm.over((environment, limit.name))  # a session that closes again is another episode
        alert_id = self._alarm.once((environment, limit.name), consequence.severity, "risk", text)
        if consequence.closes:
            now = self._standing.close_session(
                environment,
                operator=ROUTER,
                reason=f"{consequence.message}: {limit.value:.6g} of {limit.limit:f}",
                violation=consequence.message,
                alert_id=alert_id,
                day=self._today() if consequence.for_day else None,
            )
            if now is not closure:  # an operator's own closing may last longer
                self._on_closed()
        return alert_id

    def near(self, environment: str, limit: Limit) -> None:
        """Warn that a limit is nearly used up."""
        text = (
            f"{limit.name} in {environment} is used to {limit.value / limit.limit:.0%}: {limit.value:.6g} of "
            f"{limit.limit:f}. Nothing is blocked yet."
        )
        self._alarm.once((environment, limit.name, "near"), Severity.MEDIUM, "risk", text)

    def blind(self, environment: str) -> None:
        """Alert that what an account loses cannot be measured."""
        text = (
            f"Losses in {environment} are not measured: a position has no price, or cash that counted before has no "
            "rate. Check the market data feed; a currency that nothing quotes needs one in fixed_rates."
        )
        self._alarm.once((environment, "blind"), Severity.HIGH, "risk", text)

    def _halted(self, strategy: str, found: str, consequence: Consequence) -> str:
        before = self._standing.halts.get((HaltScope.STRATEGY, strategy))
        halt = self._standing.halt(
            HaltScope.STRATEGY,
            strategy,
            operator=ROUTER,
            reason=found,
            allow_reducing=True,
            cancel=True,
            control=STRATEGY_LOSS,
            severity=consequence.severity,
        )
        if halt is not before:
            self._on_closed()
        return halt.alert_id or ""


def _covers(closure: Closure, consequence: Consequence) -> bool:
    """Whether a closure is what the consequence would lead to, or lasts longer."""
    by_a_limit = closure.violation is not None
    return closure.violation == consequence.message or (by_a_limit and consequence.for_day and closure.day is None)


def owner_and_name(limit: str) -> tuple[str, str]:
    """Return whose limit it is ("" for the account) and which: ``strategies.maker.max_position_size."BTC/USD"``."""
    owner, rest = "", limit
    if limit.startswith("strategies."):
        head, _, rest = limit.removeprefix("strategies.").rpartition(".max_")
        owner, rest = head, f"max_{rest}"
    name = next((each for each in CONSEQUENCES if rest == each or rest.startswith(f"{each}.")), rest)
    return owner, name
