"""One request to the venue: may it be sent, when, and what its failure proves.

Everything that is asked of a venue passes here, so the rate budget, the circuit and the venue's clock are kept in one
place. This module must not know orders, or what is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias, TypeVar

import anyio

from router.clock import Clock, within
from router.errors import RouterError
from router.executors.testnet.client import SandboxClient
from router.executors.testnet.dialect import NoProofError, RefusedHereError, UnreadableError
from router.executors.testnet.limiter import BusyError, Limiter, Priority
from router.executors.testnet.outcomes import Kind, Outcome, classify
from router.executors.testnet.standing import VenueStanding
from router.logs import RouterLogger

T = TypeVar("T")
Stops: TypeAlias = Callable[[], str | None]


def nothing_stops() -> str | None:
    """Let a request go when its turn has come."""
    return None


CLOCK_EVERY_S: Final = 300.0
"""Between two measurements of the venue's clock: ours drifts by some 10 ms in that time."""
_AGAIN_S: Final = 5.0
_SKEW_MAX_S: Final = 45.0
"""Reports from more than 60 s ahead are quarantined."""
_PATIENCE_S: Final = {Priority.CANCEL: 20.0, Priority.LOOK_UP: 8.0, Priority.CREATE: 5.0, Priority.POLL: 60.0}
"""How long a request may wait for its turn; a later one is not sent at all."""


class NotSentError(RouterError):
    """The request never left: the venue is halted or paused, or its rate budget is used up for now."""


class RequestFailedError(RouterError):
    """The request left, or may have; ``outcome`` says what that proves."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Link:
    """The way to one venue.

    Args:
        standing: whether the venue may be asked at all.
    """

    def __init__(
        self, client: SandboxClient, limiter: Limiter, standing: VenueStanding, clock: Clock, log: RouterLogger
    ) -> None:
        self.client = client
        self.standing = standing
        self._limiter = limiter
        self._clock = clock
        self._log = log
        self._wrong = anyio.Event()
        self._offset_s = 0.0

    async def ask(
        self, priority: Priority, cost: float, call: Callable[[], Awaitable[T]], stops: Stops = nothing_stops
    ) -> T:
        """Await ``call`` when it is its turn.

        Args:
            cost: weight in the venue's own units.
            stops: asked when its turn has come: why it must not be sent any more, or None.

        Raises:
            NotSentError: it is proved that nothing was sent.
            RequestFailedError: nothing is proved but what its outcome says.
        """
        refusal = self.standing.refusal(priority)
        if refusal is not None:
            raise NotSentError(refusal)
        try:
            await self._limiter.take(priority, cost, within_s=_PATIENCE_S[priority])
        except BusyError as error:
            raise NotSentError(str(error)) from None
        stopped = stops()
        if stopped is not None:
            raise NotSentError(stopped)
        try:
            answer = await call()
        except UnreadableError as error:
            self.unreadable(str(error))
            raise
        except NoProofError:  # the venue answered, only not what would prove something
            self.standing.note_success()
            raise
        except RefusedHereError:  # nothing was asked
            raise
        except Exception as error:
            outcome = classify(error, self.client.profile)
            self.standing.note_failure(outcome)
            if outcome.kind is Kind.CLOCK:
                self._wrong.set()
            raise RequestFailedError(outcome) from error
        self.standing.note_success()
        return answer

    def unreadable(self, reason: str) -> None:
        """Count an answer that cannot be read as a failure of the venue, although a request came through."""
        self.standing.note_failure(Outcome(Kind.UNKNOWN, reason))

    def skew(self) -> str | None:
        """Return why no order may be sent while the clocks are too far apart, or None: its reports would not be
        believed."""
        if abs(self._offset_s) <= _SKEW_MAX_S:
            return None
        return (
            f"The venue's clock and this machine's are {self._offset_s:+.0f} s apart, more than {_SKEW_MAX_S:g} s: set "
            "this machine's clock (NTP). Orders are taken again by themselves once it is right."
        )

    async def measure_clock(self) -> None:
        """Take the venue's clock anew; raises RequestFailedError."""
        reading = await self.ask(Priority.LOOK_UP, 1, self.client.measure_clock)
        self._offset_s = reading.offset_ms / 1000
        self._log.info("venue_clock", offset_ms=reading.offset_ms, round_trip_ms=reading.round_trip_ms)

    async def keep_time(self) -> None:
        """Measure the venue's clock every few minutes, and soon after the venue has found it wrong; for ever."""
        while True:
            with suppress(TimeoutError):
                await within(self._clock, CLOCK_EVERY_S, self._wrong.wait)
            self._wrong = anyio.Event()
            try:
                await self.measure_clock()
            except (NotSentError, RequestFailedError) as error:
                self._log.warning("venue_clock_not_measured", reason=str(error))
                await self._clock.sleep(_AGAIN_S)
                self._wrong.set()
