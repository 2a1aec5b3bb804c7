"""The stages in their order, made once from the configuration and folded around the dispatcher.

This module must not know what runs in the background, or who submits.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from router.execution.boundary import Boundary
from router.execution.dispatch import Dispatch
from router.execution.environments import Parts
from router.execution.safeguards import Safeguards
from router.execution.tracker import Tracker
from router.execution.validation import Validation
from router.execution.venues import Venues
from router.executors.base import OrderExecutor
from router.governance.gate import GovernanceGate
from router.governance.go_no_go import RISK_OVERRIDE, governance_status
from router.journal.base import Journal
from router.logs import RouterLogger
from router.middleware import Middleware
from router.risk.gate import RiskGate

STAGES: Final = ("boundary", "validation", "governance", "safety", "risk")
"""The chain, outermost first; dispatch is behind it."""


def stages(
    parts: Parts,
    executors: Mapping[str, OrderExecutor],
    venues: Venues,
    safeguards: Safeguards,
    risk: RiskGate,
    tracker: Tracker,
    journal: Journal,
) -> Mapping[str, Middleware]:
    """Return every stage by its name, outermost first."""
    overrides = {RISK_OVERRIDE: parts.settings.governance.risk_check_override}
    made: dict[str, Middleware] = {
        "boundary": Boundary(tracker, journal, parts.log, lambda: governance_status(overrides)),
        "validation": Validation(parts.instruments, parts.market.believable, venues.rules),
        "governance": GovernanceGate(executors, overrides, refused=venues.refused, closed=venues.closed),
        "safety": safeguards.guard,
        "risk": risk,
    }
    return MappingProxyType({name: made[name] for name in STAGES})


def dispatcher(
    executors: Mapping[str, OrderExecutor],
    safeguards: Safeguards,
    tracker: Tracker,
    journal: Journal,
    log: RouterLogger,
) -> Dispatch:
    """Return what stands behind the stages."""
    return Dispatch(
        executors,
        tracker,
        journal,
        log,
        halted=safeguards.last_look,
        leaving=safeguards.out_versus_in.leaving,
    )
