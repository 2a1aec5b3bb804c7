"""One alert an episode: a flood of blocked orders must not become a flood of alerts (runbook §8.3).

This module must not know what is alerted, or who delivers it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from router.clock import Clock
from router.domain.enums import Severity

QUIET_S: Final = 60.0
"""An episode that goes on is alerted again after this time."""
_MOST: Final = 1024
"""Episodes remembered; strategies' names come from outside."""


class Alarm:
    """Raises an alert for the first of an episode and names it for the rest.

    Args:
        raise_alert: records an alert and returns its id.
    """

    def __init__(self, raise_alert: Callable[[Severity, str, str], str], clock: Clock) -> None:
        self._raise = raise_alert
        self._clock = clock
        self._raised: OrderedDict[tuple[str, ...], tuple[float, str]] = OrderedDict()

    def once(self, key: tuple[str, ...], severity: Severity, topic: str, message: str) -> str:
        """Return the id of the alert for ``key``: the one of its last ``QUIET_S`` seconds, or a new one."""
        now = self._clock.monotonic()
        at, alert_id = self._raised.get(key, (-QUIET_S, ""))
        if now - at < QUIET_S and alert_id:
            return alert_id
        alert_id = self._raise(severity, topic, message)
        self._raised[key] = now, alert_id
        self._raised.move_to_end(key)
        if len(self._raised) > _MOST:
            self._raised.popitem(last=False)
        return alert_id

    def over(self, key: tuple[str, ...]) -> None:
        """End the episode: the next one is alerted at once."""
        self._raised.pop(key, None)
