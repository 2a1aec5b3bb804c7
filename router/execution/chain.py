"""The stages in their order, made once from the configuration and folded around the dispatcher.

This module must not know what runs in the background, or who submits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.execution.boundary import Boundary
from router.execution.dispatch import Dispatch
from router.execution.environments import Parts
from router.execution.tracker import Tracker
from router.execution.validation import Validation
from router.execution.venues import Venues
from router.executors.base import OrderExecutor
from router.governance.gate import GovernanceGate
from router.governance.go_no_go import RISK_OVERRIDE, governance_status
from router.journal.base import Journal
from router.middleware import Middleware, Next, compose
from router.risk.gate import RiskGate
from router.safety.guard import Control, SafetyGuard
from router.safety.reference_age import ReferenceAge
from router.safety.venue_standing import VenueStanding

STAGES: Final = ("boundary", "validation", "governance", "safety", "risk")
"""The chain, outermost first; dispatch is behind it."""


def chain(
    parts: Parts,
    executors: Mapping[str, OrderExecutor],
    venues: Venues,
    risk: RiskGate,
    tracker: Tracker,
    journal: Journal,
) -> Next:
    """Return the whole chain as one call."""
    settings, market, log = parts.settings, parts.market, parts.log
    overrides = {RISK_OVERRIDE: settings.governance.risk_check_override}
    controls: list[Control] = [VenueStanding(venues.halted), ReferenceAge(market, settings.market_data.max_age_s)]
    stages: dict[str, Middleware] = {
        "boundary": Boundary(tracker, journal, log, lambda: governance_status(overrides)),
        "validation": Validation(parts.instruments, market.quote, venues.rules),
        "governance": GovernanceGate(executors, overrides, refused=venues.refused, closed=venues.closed),
        "safety": SafetyGuard(controls),
        "risk": risk,
    }
    return compose([stages[name] for name in STAGES], Dispatch(executors, tracker, journal, log))
