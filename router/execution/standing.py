"""What operators, and controls on their own, have ordered until somebody orders otherwise: the single writer of halts,
closed sessions and changed limits.

Each order is in force the moment it is given; what lifts one is in force once it is durable, so that no crash brings
back what an order was already let through for. Replaying the journal goes through the same fold. Nothing here ends by
a timer: that a closure was for one UTC day is read from it. This module must not know what a halt keeps from leaving.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from router.clock import Clock
from router.domain.control import Closure, Controls, Halt, HaltScope, covers
from router.domain.enums import Severity
from router.domain.events import (
    AnyEvent,
    Event,
    Halted,
    LimitChanged,
    LimitsRead,
    Resumed,
    SessionClosed,
    SessionOpened,
)
from router.errors import ExecutionPipelineError
from router.journal.base import Journal
from router.logs import RouterLogger

OPERATOR_CHARS: Final = 64
REASON_CHARS: Final = 500
_BY_FILE: Final = "configuration"

_Key: TypeAlias = tuple[HaltScope, str]
_Order = TypeVar("_Order")


class Books(Protocol):
    """Who counts losses."""

    def recount(self, environment: str, day: date, equity: Decimal) -> None:
        """Count an account's drawdown from ``equity`` on."""
        ...

    def recount_strategy(self, environment: str, strategy: str, day: date, gained: Decimal) -> None:
        """Count a strategy's losses from what it has ``gained`` on."""
        ...


class Standing:
    """The orders in force.

    Args:
        alert: records an alert and returns its id.
        books: told from where losses are counted on.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        log: RouterLogger,
        alert: Callable[[Severity, str, str], str],
        books: Books | None = None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._log = log
        self._alert = alert
        self._books = books
        self._lifting = 0
        self._resumed: dict[_Key, tuple[int, Halt]] = {}
        self._reopened: dict[str, tuple[int, Closure]] = {}
        self.operators: Collection[str] = ()
        """Who may give orders; empty: anybody who gives a name (``controls.md`` G07)."""
        self.halts: dict[_Key, Halt] = {}
        self.closures: dict[str, Closure] = {}
        """By environment; one whose day is over no longer counts: ``closed``."""
        self.overrides: dict[str, str] = {}
        """Limits that operators set, by key."""
        self.filed: dict[str, str] = {}
        """The limits of the files as they were last read, by key."""

    # -- halts ---------------------------------------------------------------------------------------------

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
    ) -> Halt:
        """Halt ``scope``, in force at once; what is halted already is halted on the new terms.

        A ``control``'s halt makes nothing laxer that is in force, and adds nothing to its own.

        Raises:
            ExecutionPipelineError: operator, reason or name are not to be had; nothing was halted.
        """
        if control is None:
            self.require(operator, reason)
        if (scope is HaltScope.ALL) == bool(name):
            raise ExecutionPipelineError("A halt of everything has no name, every other one needs one.")
        before = self.halts.get((scope, name))
        if before is not None and control is not None:
            allow_reducing, cancel = allow_reducing and before.allow_reducing, cancel or before.cancel
            if before.control is not None and (before.allow_reducing, before.cancel) == (allow_reducing, cancel):
                return before
        text = f"Halted: {covers(scope, name)}, by {operator}: {reason}. Only a named operator resumes it."
        alert_id = self._alert(severity, "halt", text)
        halt = Halt(
            scope=scope,
            name=name,
            at=self._clock.now(),
            operator=operator,
            reason=reason,
            allow_reducing=allow_reducing,
            cancel=cancel,
            control=control,
            alert_id=alert_id,
        )
        self._record(Halted, halt=halt)
        self._log.critical("halted", scope=scope, halted=name, operator=operator, reason=reason, control=control)
        return halt

    def resume(
        self,
        scope: HaltScope,
        name: str = "",
        *,
        operator: str,
        reason: str,
        gained: Mapping[str, Decimal] = MappingProxyType({}),
    ) -> Halt:
        """End the halt of exactly this scope once that is durable, and return it; every other one stays.

        Args:
            gained: by environment: what the losses of a strategy are counted from on; none: as before.

        Raises:
            ExecutionPipelineError: operator or reason are not to be had, or there is no such halt: those there are
                are named.
        """
        self.require(operator, reason)
        halt = self.halts.get((scope, name))
        if halt is None:
            halted = ", ".join(each.what for each in self.in_force()) or "nothing"
            raise ExecutionPipelineError(f"There is no halt of {covers(scope, name)}. Halted now: {halted}.")
        self._lifting = self._journal.next_seq
        self._resumed[scope, name] = self._lifting, halt
        self._record(Resumed, scope=scope, name=name, operator=operator, reason=reason, gained=dict(gained))
        self._log.warning("resumed", scope=scope, resumed=name, operator=operator, reason=reason)
        return halt

    def blocking(self, environment: str, strategy: str | None, symbol: str, venue: str) -> Halt | None:
        """Return the widest halt that holds an order back: of those that let nothing pass, else of all."""
        if not self.halts and self._journal.durable_seq >= self._lifting:
            return None
        found: Halt | None = None
        for scope, name in zip(_WIDEST_FIRST, ("", environment, venue, strategy or "", symbol), strict=True):
            halt = self._in_force((scope, name))
            if halt is not None and not halt.allow_reducing:
                return halt
            found = found or halt
        return found

    def in_force(self) -> list[Halt]:
        """Return every halt in force, the widest first."""
        halts = (self._in_force(key) for key in sorted(self.halts.keys() | self._resumed.keys(), key=_width))
        return [halt for halt in halts if halt is not None]

    def _in_force(self, key: _Key) -> Halt | None:
        return self.halts.get(key) or self._not_lifted_yet(self._resumed, key)

    # -- sessions ------------------------------------------------------------------------------------------

    def close_session(
        self,
        environment: str,
        *,
        operator: str,
        reason: str,
        violation: str | None = None,
        alert_id: str | None = None,
        day: date | None = None,
        cancel: bool = False,
    ) -> Closure:
        """Close an environment's session, in force at once; nothing that is closed already opens earlier by it.

        Args:
            violation: of the limit that closes it; ``operator`` then names who watches it. None: an operator does.
            alert_id: of the alert that was raised for it; None: one is raised here.
            day: it ends with this UTC day.
            cancel: what works in it and adds is asked to end.

        Raises:
            ExecutionPipelineError: operator or reason are not to be had; nothing was closed.
        """
        if violation is None:
            self.require(operator, reason)
        before = self.closed(environment, self._clock.now().date())
        if before is not None and before.day is None:
            if violation is not None and (violation == before.violation or (day and before.violation)):
                return before
            day, violation = None, violation or before.violation  # it stays until somebody opens it
        elif before is not None and before.day is not None and day is not None:
            day = max(day, before.day)  # the clock may have been set back
            if violation is not None and (day, violation) == (before.day, before.violation):
                return before
        what = f"The session of {environment} is closed by {operator}: {reason}. Only reduce-only orders pass."
        closure = Closure(
            environment=environment,
            at=self._clock.now(),
            operator=operator,
            reason=reason,
            violation=violation,
            alert_id=alert_id or self._alert(Severity.HIGH, "session", what),
            day=day,
            cancel=cancel or (before is not None and before.cancel),
        )
        self._record(SessionClosed, closure=closure)
        self._log.critical("session_closed", environment=environment, operator=operator, reason=reason, until=day)
        return closure

    def open_session(
        self, environment: str, *, operator: str, reason: str, peak_equity: Decimal | None = None
    ) -> Closure:
        """Open a closed session once that is durable, and return what had closed it.

        Args:
            peak_equity: the drawdown is counted from it on; None: as before.

        Raises:
            ExecutionPipelineError: operator or reason are not to be had, or the session is not closed.
        """
        self.require(operator, reason)
        closure = self.closed(environment, self._clock.now().date())
        if closure is None or environment not in self.closures:
            raise ExecutionPipelineError(f"The session of {environment} is not closed.")
        self._reopened[environment] = self._journal.next_seq, closure
        self._record(SessionOpened, environment=environment, operator=operator, reason=reason, peak_equity=peak_equity)
        self._log.warning("session_opened", environment=environment, operator=operator, reason=reason)
        return closure

    def closed(self, environment: str, today: date) -> Closure | None:
        """Return what keeps an environment's session closed on the UTC day ``today``, or None."""
        closure = self.closures.get(environment) or self._not_lifted_yet(self._reopened, environment)
        return closure if closure is not None and (closure.day is None or today <= closure.day) else None

    # -- limits --------------------------------------------------------------------------------------------

    def set_override(self, key: str, old: str | None, new: str | None, *, operator: str, reason: str) -> None:
        """Let ``new`` count instead of the file's value until that changes; None: the file's counts again.

        Raises:
            ExecutionPipelineError: operator or reason are not to be had; nothing was changed.
        """
        self.require(operator, reason)
        self._change(key, old, new, operator=operator, reason=reason, is_override=True)

    def limits_read(self, filed: Mapping[str, str], *, reason: str = "read from the files") -> list[str]:
        """Take over the files' limits, record what differs from the last time, and return the keys that do.

        An operator's value ends when the file's own changes. The first time there is nothing to compare with.
        """
        known = self.filed
        if filed == known:
            return []
        keys = (filed.keys() | known.keys()) if known else ()
        changed = sorted(key for key in keys if filed.get(key) != known.get(key))
        for key in changed:
            old = self.overrides.get(key, known.get(key))
            self._change(key, old, filed.get(key), operator=_BY_FILE, reason=reason, is_override=False)
        self._record(LimitsRead, limits=dict(filed))
        return changed

    def _change(self, key: str, old: str | None, new: str | None, **how: Any) -> None:
        self._record(LimitChanged, key=key, old=old, new=new, **how)
        self._log.warning("limit_changed", key=key, old=old, new=new, **how)

    # -- the fold ------------------------------------------------------------------------------------------

    def replay(self, event: AnyEvent) -> None:
        """Fold one event, now or of an earlier run; others than this module's change nothing."""
        match event:
            case Halted(halt=halt):
                self.halts[halt.scope, halt.name] = halt
            case Resumed(scope=scope, name=name, gained=gained):
                self.halts.pop((scope, name), None)
                for environment, amount in gained.items():
                    if self._books is not None:
                        self._books.recount_strategy(environment, name, event.ts_recorded.date(), amount)
            case SessionClosed(closure=closure):
                self.closures[closure.environment] = closure
            case SessionOpened(environment=environment, peak_equity=peak):
                self.closures.pop(environment, None)
                if peak is not None and self._books is not None:
                    self._books.recount(environment, event.ts_recorded.date(), peak)
            case LimitChanged(key=key, new=new, is_override=True) if new is not None:
                self.overrides[key] = new
            case LimitChanged(key=key):
                self.overrides.pop(key, None)
            case LimitsRead(limits=limits):
                self.filed = limits
            case _:
                pass

    def state(self) -> Controls:
        """Return what the events so far have led to."""
        return Controls(list(self.halts.values()), dict(self.closures), dict(self.overrides), dict(self.filed))

    def restore(self, controls: Controls) -> None:
        """Take over what ``state`` returned."""
        self.halts = {(halt.scope, halt.name): halt for halt in controls.halts}
        self.closures, self.overrides = dict(controls.closures), dict(controls.overrides)
        self.filed = dict(controls.filed)

    # -- inside --------------------------------------------------------------------------------------------

    def require(self, operator: object, reason: object) -> None:
        """Refuse a name or a reason that tells nothing, and who may not give orders.

        Raises:
            ExecutionPipelineError: it says which, and what is wanted.
        """
        for key, value, most in (("operator", operator, OPERATOR_CHARS), ("reason", reason, REASON_CHARS)):
            if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > most:
                raise ExecutionPipelineError(f"{key} must be 1 to {most} printable characters, and not only blanks.")
        if self.operators and operator not in self.operators:
            raise ExecutionPipelineError(
                f"{operator} is not an operator here: governance.operators names {', '.join(self.operators)}."
            )

    def _record(self, kind: type[Event], **fields: Any) -> None:
        """Append an event and fold it in the same breath."""
        event: Any = kind(seq=self._journal.next_seq, ts_recorded=self._clock.now(), **fields)
        self._journal.append(event)
        self.replay(event)

    def _not_lifted_yet(self, lifted: dict[Any, tuple[int, _Order]], key: object) -> _Order | None:
        """Return the order that is lifted by an event that is not durable yet; it is in force until it is."""
        seq, order = lifted.get(key, (0, None))
        return order if self._journal.durable_seq < seq else None


_WIDEST_FIRST: Final = (
    HaltScope.ALL,
    HaltScope.ENVIRONMENT,
    HaltScope.VENUE,
    HaltScope.STRATEGY,
    HaltScope.SYMBOL,
)


def _width(key: _Key) -> tuple[int, str]:
    return _WIDEST_FIRST.index(key[0]), key[1]
