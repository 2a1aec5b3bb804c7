"""Who signed off which status, when and why (runbook §11.2), beside the statuses that the gate reads.

The gate obeys ``go_no_go`` alone: an entry here opens nothing, and a status that differs from the one that was signed
off is shown as that. This module must not know the gate, or where configuration comes from.
"""

from __future__ import annotations

from typing import Final

import msgspec

from router.governance.go_no_go import LIVE, LOCKED, RISK_OVERRIDE, get_governance_status, governance_status

CONFIGURATION: Final = "configuration"
_RUNBOOK: Final = "Runbook Phase 16A V2, v1.1"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A key's status and who answers for it. ``date`` is ISO, a month where no day is told, "" where nobody signed."""

    key: str
    status: str
    reason: str
    signed_off_by: str
    date: str


def _signed(key: str, status: str, reason: str) -> Entry:
    return Entry(key=key, status=status, reason=reason, signed_off_by=_RUNBOOK, date="2025-12")


SIGNED: Final = {
    entry.key: entry
    for entry in (
        _signed(LIVE, "locked", "Live execution is locked until it is released explicitly; no live executor exists."),
        _signed(RISK_OVERRIDE, "locked", "Nobody trades past the risk limits; configuration may, on paper and shadow."),
        _signed("paper_order_execution", "approved", "Paper is inside the runbook's scope: fills are simulated."),
        _signed("shadow_order_execution", "approved", "Shadow is inside the runbook's scope: nothing is routed."),
        _signed("testnet_order_execution", "approved", "Testnet is inside the runbook's scope: sandbox hosts only."),
    )
}
"""What was signed off, by key."""


def register(risk_check_override: str = LOCKED, origin: str = "default") -> list[Entry]:
    """Return every key with the status in force.

    Args:
        risk_check_override: what configuration says of that key, the only one it may set.
        origin: where configuration has it from.
    """
    return [
        _entry(key, status, origin) for key, status in governance_status({RISK_OVERRIDE: risk_check_override}).items()
    ]


def _entry(key: str, status: str, origin: str) -> Entry:
    signed = SIGNED.get(key)
    if key == RISK_OVERRIDE and status != get_governance_status(key):
        reason = f"governance.{key}, from {origin}: paper and shadow only, never testnet or live."
        return Entry(key=key, status=status, reason=reason, signed_off_by=CONFIGURATION, date="")
    if signed is not None and status == signed.status:
        return signed
    was = "nothing" if signed is None else f"{signed.status} by {signed.signed_off_by} on {signed.date}"
    return Entry(
        key=key, status=status, reason=f"Nobody signed this off; signed off was {was}.", signed_off_by="", date=""
    )
