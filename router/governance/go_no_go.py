"""The go/no-go register: which features are approved, and which are locked (runbook §2.1, §12.1).

Changing a line here is a governance decision with a sign-off, and still opens no way to a live market: no live
executor exists. This module must not know anything else of the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LOCKED: Final = "locked"
APPROVED: Final = "approved"
UNKNOWN: Final = "unknown"

LIVE: Final = "live_order_execution"
RISK_OVERRIDE: Final = "risk_check_override"

_FEATURE_STATUS_MAP = {
    "live_order_execution": "locked",
    "risk_check_override": "locked",
    "paper_order_execution": "approved",
    "shadow_order_execution": "approved",
    "testnet_order_execution": "approved",
}


def get_governance_status(key: str) -> str:
    """Return ``"locked"`` or ``"approved"``; a key that is not listed is ``"unknown"`` and counts as locked."""
    return _FEATURE_STATUS_MAP.get(key, UNKNOWN)


def governance_status(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole register, with the configuration's ``overrides`` laid over it (never over live)."""
    return {**_FEATURE_STATUS_MAP, **(overrides or {}), LIVE: get_governance_status(LIVE)}
