"""The limits of the order-level controls, and who may trade under which: ``[safety]`` and ``[strategies."name"]``.

A limit is None where the file says "off". The base table counts for everybody, an environment's table over it, a
strategy's over both; such a table names only what it changes. This module must not know the controls.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from router.settings.section import Section, Symbol

_OFF_ABLE = {"off": True}
_Percent: TypeAlias = Annotated[Decimal, Meta(extra={"gt": 0, "le": 50, **_OFF_ABLE})] | None
_Amount: TypeAlias = Annotated[Decimal, Meta(extra={"gt": 0, "le": 10**12, **_OFF_ABLE})] | None
_Window: TypeAlias = Annotated[float, Meta(gt=0, le=86400)]
_MotionWindow: TypeAlias = Annotated[float, Meta(gt=0, le=600)]  # as far back as the market knows its motion
_WindowOrOff: TypeAlias = Annotated[float, Meta(gt=0, le=86400, extra=_OFF_ABLE)] | None
_Count: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
_CountOrOff: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000, extra=_OFF_ABLE)] | None
_CountADayOrOff: TypeAlias = Annotated[int, Meta(ge=1, le=100_000_000, extra=_OFF_ABLE)] | None
_Switch: TypeAlias = Literal["on", "off"]
_Environment: TypeAlias = Literal["paper", "shadow", "testnet"]
_StrategyName: TypeAlias = Annotated[str, Meta(pattern=r"\S", description="a strategy's name")]


class SafetyOverride(Section, frozen=True, kw_only=True):
    """The limits that differ from the base table; the others are not set.

    What makes a quote suspect is not among them: everybody sees the same market.
    """

    price_collar_pct: _Percent | UnsetType = UNSET
    price_walk_pct: _Percent | UnsetType = UNSET
    price_walk_window_s: _Window | UnsetType = UNSET
    window_notional: _Amount | UnsetType = UNSET
    notional_window_s: _Window | UnsetType = UNSET
    duplicate_window_s: _WindowOrOff | UnsetType = UNSET
    max_orders_per_second: _CountOrOff | UnsetType = UNSET
    max_orders_per_second_per_strategy: _CountOrOff | UnsetType = UNSET
    max_repeated_executions: _CountOrOff | UnsetType = UNSET
    repeated_executions_window_s: _Window | UnsetType = UNSET
    self_match: _Switch | UnsetType = UNSET
    volatility_pct: _Percent | UnsetType = UNSET
    volatility_window_s: _MotionWindow | UnsetType = UNSET


class Safety(Section, frozen=True, kw_only=True):
    """Every limit of an order-level control; None (written "off") is a control switched off."""

    price_collar_pct: _Percent = Decimal(5)
    price_walk_pct: _Percent = Decimal(10)
    price_walk_window_s: _Window = 60.0
    window_notional: _Amount = Decimal(1000000)
    notional_window_s: _Window = 10.0
    duplicate_window_s: _WindowOrOff = 1.0
    max_orders_per_second: _CountOrOff = 500
    max_orders_per_second_per_strategy: _CountOrOff = 100
    max_repeated_executions: _CountOrOff = 1000
    repeated_executions_window_s: _Window = 60.0
    self_match: _Switch = "on"
    max_spread_pct: _Percent = Decimal(5)
    max_jump_pct: _Percent = Decimal(10)
    jump_settle_quotes: _Count = 20
    volatility_pct: _Percent = Decimal(10)
    volatility_window_s: _MotionWindow = 60.0
    environments: dict[_Environment, SafetyOverride] = field(default_factory=dict)

    def over(self, changes: SafetyOverride | None) -> Safety:
        """Return these limits with ``changes``."""
        changed = msgspec.structs.asdict(changes) if changes is not None else {}
        return msgspec.structs.replace(self, **{key: value for key, value in changed.items() if value is not UNSET})


class Strategy(Section, frozen=True, kw_only=True):
    """What a registered strategy may do, and who answers for it; an empty list leaves that open."""

    owner: str = ""
    symbols: tuple[Symbol, ...] = ()
    environments: tuple[_Environment, ...] = ()
    max_orders_per_day: _CountADayOrOff = None
    safety: SafetyOverride = SafetyOverride()


Strategies: TypeAlias = dict[_StrategyName, Strategy]
