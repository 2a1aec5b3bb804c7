"""What risk is joined to, for real: the standing orders, the alarm, and the events they write, on virtual time."""

from __future__ import annotations

from typing import Any

from router.clock import VirtualClock
from router.domain.enums import Severity
from router.domain.events import decode_event
from router.execution.alarm import Alarm
from router.execution.standing import Standing
from router.journal.memory import MemoryJournal
from router.logs import get_logger
from router.risk.account import Account
from router.risk.consequences import Consequences
from router.risk.gate import RiskGate
from tests.factories import NOW, limits


class Desk:
    """Consequences as they are wired in a run; ``alerts`` and ``closings`` are what came of them."""

    def __init__(self) -> None:
        self.clock = VirtualClock(NOW)
        self.journal = MemoryJournal(self.clock)
        self.alerts: list[tuple[Severity, str, str]] = []
        self.closings = 0
        self.standing = Standing(self.journal, self.clock, get_logger(), self.alert)
        self.alarm = Alarm(self.alert, self.clock)
        self.consequences = Consequences(self.standing, self.alarm, lambda: self.clock.now().date(), self._closed)

    def alert(self, severity: Severity, topic: str, message: str) -> str:
        self.alerts.append((severity, topic, message))
        return f"alert_{len(self.alerts)}"

    def _closed(self) -> None:
        self.closings += 1

    def gate(self, accounts: dict[str, Account] | Account, **kept: Any) -> RiskGate:
        """Return the risk stage over some accounts, with limits that nothing small breaks but ``kept``."""
        by_name = accounts if isinstance(accounts, dict) else {"paper": accounts}
        found = limits(**kept)
        return RiskGate(found.for_environment, by_name, lambda: self.clock.now().date(), self.consequences)

    @property
    def events(self) -> list[Any]:
        """What was recorded, durable or not."""
        return [decode_event(row.payload) for row in (*self.journal.rows, *self.journal._waiting)]
