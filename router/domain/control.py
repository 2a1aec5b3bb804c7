"""What stops trading on purpose, as values: halts, closed sessions, limits that an operator set.

Each is made by an event and lives until another event ends it: a restart or a timer re-arms nothing (``controls.md``
A05). This module must not know who writes them, or what they keep from leaving.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import msgspec


class HaltScope(StrEnum):
    """What a halt covers (``controls.md`` A02); ``all`` is the kill switch."""

    ALL = "all"
    ENVIRONMENT = "environment"
    STRATEGY = "strategy"
    SYMBOL = "symbol"
    VENUE = "venue"


def covers(scope: HaltScope, name: str) -> str:
    """Return what a halt covers, for people: "everything", "strategy maker"."""
    return f"{scope} {name}" if name else "everything"


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """New orders and amendments inside the scope are refused until a named operator resumes it.

    ``name`` is the environment, strategy, symbol or venue; "" for all. ``allow_reducing``: orders that strictly reduce
    a position may leave. ``cancel``: what works inside the scope was asked to end. ``control``: the id of the control
    that did it by itself; None: ``operator`` did.
    """

    scope: HaltScope
    name: str
    at: datetime
    operator: str
    reason: str
    allow_reducing: bool = False
    cancel: bool = False
    control: str | None = None
    alert_id: str | None = None

    @property
    def what(self) -> str:
        """What it covers, for people."""
        return covers(self.scope, self.name)


class Closure(msgspec.Struct, frozen=True, kw_only=True):
    """An environment's session is closed: only orders flagged ``reduce_only`` that strictly reduce may leave.

    ``violation`` is the contract's wording of the limit that closed it (runbook §8.2); None: ``operator`` closed it.
    ``day``: it ends with this UTC day (daily loss); None: it lasts until a named operator opens the session.
    ``cancel``: the operator had what works and adds asked to end.
    """

    environment: str
    at: datetime
    operator: str
    reason: str
    violation: str | None = None
    alert_id: str | None = None
    day: date | None = None
    cancel: bool = False


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator's order has done.

    Args:
        halt: that is in force now, or that was ended.
        closure: likewise.
        cancelled: the client_order_ids of the orders that were asked to end.
        still_halted: every halt in force now, the widest first.
        note: what the operator should look at again.
    """

    halt: Halt | None = None
    closure: Closure | None = None
    cancelled: list[str] = []
    still_halted: list[Halt] = []
    note: str | None = None


class Controls(msgspec.Struct, frozen=True, array_like=True):
    """Everything of this kind that is in force, for a checkpoint.

    ``overrides``: risk limits that operators set, by key; ``filed``: the limits of the files when they were last read,
    by key, as text. A file's value counts again once it changes.
    """

    halts: list[Halt] = []
    closures: dict[str, Closure] = {}
    overrides: dict[str, str] = {}
    filed: dict[str, str] = {}
