"""Whether the venue may be asked at all: bans, pauses, refused keys, and a circuit that opens after repeated failures.

Nothing here sends, waits or logs: whoever is about to ask gets a reason not to, or None, and reports how it went.
This module must not know what is asked, or how an error is recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from router.clock import Clock
from router.domain.enums import Severity
from router.executors.testnet.limiter import Priority
from router.executors.testnet.outcomes import LONGEST_PAUSE_S, Kind, Outcome

FAILURES_MAX: Final = 5
"""So many failures in a row open the circuit."""
_FIRST_BACK_OFF_S: Final = 1.0
_LONGEST_BACK_OFF_S: Final = 60.0
_PROBE_S: Final = 10.0
"""Nobody reports on a probe that was given up; after this another may go."""
_DOUBTS_MAX: Final = 3
"""So many refusals of keys that have worked before, in a row, and they are believed."""

_PAUSES: Final[Mapping[Kind, tuple[float, float]]] = {
    Kind.AUTH: (5.0, 60.0),
    Kind.LIVE_HOST: (5.0, 60.0),
    Kind.RATE: (1.0, 60.0),
    Kind.BANNED: (120.0, LONGEST_PAUSE_S),
    Kind.MAINTENANCE: (15.0, 60.0),
}
"""How long nothing is sent when the venue names no time, at first and at most: each in a row doubles it."""
_HALTING: Final = frozenset({Kind.AUTH, Kind.LIVE_HOST})
_AGAIN: Final = "reschedule the order then."
_FAILURES: Final = frozenset({Kind.UNKNOWN, Kind.MAINTENANCE})
_ANSWERS: Final = frozenset({Kind.CLOCK, Kind.DUPLICATE, Kind.NOT_FOUND, Kind.MARKET_CLOSED})
"""Errors that only a working venue gives. Not so NOT_PLACED: it may come from before anything was sent."""


class VenueStanding:
    """The standing of one venue.

    Args:
        on_change: told in a sentence what became of the venue, and how urgent that is.
    """

    def __init__(
        self, clock: Clock, on_change: Callable[[str, Severity], None] = lambda _text, _severity: None
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._halted: str | None = None
        self._why_paused = ""
        self._paused_until = 0.0
        self._paused_for: Kind | None = None
        self._pauses = 0  # in a row, for the same
        self._doubts = 0
        self._failures = 0
        self._why_open = ""
        self._back_off_s = 0.0  # 0: the circuit is closed
        self._open_until = 0.0
        self._probed_until = 0.0
        self._told = False

    def refusal(self, priority: Priority) -> str | None:
        """Return why nothing of this priority may be sent now, or None: then it is sent at once.

        While the circuit is open None is said to a cancel and to one other request as a probe, once the back-off is
        over; never to a new order, which may therefore be asked about at any time.
        """
        if self._halted is not None and priority is Priority.CREATE:
            return self._halted
        now = self._clock.monotonic()
        if now < self._paused_until:
            return f"{self._why_paused} Nothing is sent to the venue until {self._utc(self._paused_until)}; {_AGAIN}"
        if not self._back_off_s:
            return None
        until = max(self._open_until, 0.0 if priority is Priority.CANCEL else self._probed_until)
        if priority is Priority.CREATE or now < until:
            return (
                f"The venue failed {self._failures} times in a row, last: {self._why_open} "
                f"It is asked again from {self._utc(max(now, until))} on; new orders wait until it answers, {_AGAIN}"
            )
        if priority is not Priority.CANCEL:
            self._probed_until = now + max(self._back_off_s, _PROBE_S)
        return None

    def note_success(self) -> None:
        """The venue answered: the circuit closes; a ban, a pause or a halt stays."""
        self._doubts = self._failures = 0
        self._back_off_s = self._open_until = 0.0
        if self._paused_for is not None and self._clock.monotonic() >= self._paused_until:
            self._paused_for = None
        if self._told and self._paused_for is None and self._halted is None:
            self._told = False
            self._on_change("The venue answers again: new orders are sent.", Severity.LOW)

    def note_failure(self, outcome: Outcome) -> None:
        """Draw the consequences of a request that failed."""
        kind = outcome.kind
        self._doubts = self._doubts + 1 if outcome.keys_doubted else 0
        if kind in _HALTING:
            self.halt(outcome.reason)
        elif self._doubts >= _DOUBTS_MAX:
            self.halt(f"{outcome.reason} The keys were refused {self._doubts} times in a row: check them.")
        if kind in _PAUSES:
            self._pause_for(outcome)
        if kind in _ANSWERS:
            self.note_success()
        elif kind in _FAILURES:
            self._fail(outcome.reason)

    def halt(self, why: str) -> None:
        """Send no new order until the router is started again; look-ups and cancels are still tried."""
        if self._halted is None:
            self._halted = f"{why} No new order is sent until the router is restarted."
            self._on_change(f"The venue is halted: {self._halted}", Severity.CRITICAL)

    def pause(self, seconds: float, why: str) -> None:
        """Send nothing at all for ``seconds``; a longer pause that runs already stays."""
        until = self._clock.monotonic() + min(seconds, LONGEST_PAUSE_S)
        if until > self._paused_until:
            self._paused_until, self._why_paused = until, why

    def _pause_for(self, outcome: Outcome) -> None:
        kind = outcome.kind
        first_s, longest_s = _PAUSES[kind]
        if kind is not self._paused_for:
            self._paused_for, self._pauses = kind, 0
            told = kind not in _HALTING  # which is told already
        elif self._clock.monotonic() >= self._paused_until:
            self._pauses += 1
            told = kind is Kind.BANNED
        else:
            told = False  # it was under way when the pause began
        wish_s = outcome.retry_after_s or first_s
        self.pause(max(wish_s, min(wish_s * 2.0 ** min(self._pauses, 30), longest_s)), outcome.reason)
        if told:
            severity = Severity.HIGH if kind is Kind.BANNED else Severity.MEDIUM
            self._tell(f"{outcome.reason} Nothing is sent until {self._utc(self._paused_until)}.", severity)

    def _fail(self, why: str) -> None:
        now = self._clock.monotonic()
        self._failures += 1
        self._why_open = why
        if self._failures < FAILURES_MAX or now < self._open_until:
            return
        if not self._back_off_s:
            self._tell(
                f"The venue failed {self._failures} times in a row, last: {why} No new order is sent until it answers; "
                "it is asked again, less and less often.",
                Severity.HIGH,
            )
        self._back_off_s = min(max(2 * self._back_off_s, _FIRST_BACK_OFF_S), _LONGEST_BACK_OFF_S)
        self._open_until = now + self._back_off_s
        self._probed_until = 0.0

    def _tell(self, text: str, severity: Severity) -> None:
        self._told = True
        self._on_change(text, severity)

    def _utc(self, moment: float) -> str:
        at = self._clock.now() + timedelta(seconds=moment - self._clock.monotonic())
        return f"{at:%Y-%m-%d %H:%M:%S} UTC"
