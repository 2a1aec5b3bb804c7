"""What the gates, the engine and health must know of executors whose venue keeps a book of its own.

This module must not know any venue, or what a gate does with what it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

from router.clock import Clock, within
from router.domain.market import Instrument
from router.domain.order import Order
from router.domain.venue import VenueBook
from router.executors.base import OrderExecutor
from router.logs import RouterLogger
from router.watchers.reconcile import Desk, Reconciler

_FIRST_S: Final = 10.0
"""How long a start waits for the first reconciliation; later it is made while the router runs, and refuses orders."""


@runtime_checkable
class RemoteVenue(Protocol):
    """An executor that trades at a venue with a book of its own."""

    on_gap: Callable[[], None]
    stops: Callable[[Order], str | None]

    @property
    def environment(self) -> str: ...

    @property
    def venue(self) -> str: ...

    def not_ready(self) -> str | None: ...

    def halted(self) -> str | None: ...

    def instrument(self, symbol: str) -> Instrument | None: ...

    async def book(self, since: datetime) -> VenueBook: ...

    def listen_anew(self) -> None: ...


class Venues:
    """The executors that are ``RemoteVenue``, each with its reconciler.

    Args:
        refused: environments that are configured but cannot be had here, and why.
    """

    def __init__(
        self,
        executors: Iterable[OrderExecutor],
        refused: Mapping[str, str],
        desk: Desk,
        clock: Clock,
        log: RouterLogger,
        *,
        reconcile_s: float,
    ) -> None:
        self.refused = refused
        self._clock = clock
        self._venues = {each.environment: each for each in executors if isinstance(each, RemoteVenue)}
        self.reconcilers = {
            name: Reconciler(venue, desk, clock, log, every_s=reconcile_s) for name, venue in self._venues.items()
        }
        for name, venue in self._venues.items():
            venue.on_gap = self.reconcilers[name].soon
        self.closed = {name: reconciler.closed for name, reconciler in self.reconcilers.items()}
        """By environment: why it takes no orders yet."""
        self.halted = {name: venue.halted for name, venue in self._venues.items()}
        """By environment: why its venue must get no new order now."""
        self.rules = {name: _rules(venue) for name, venue in self._venues.items()}
        """By environment: an instrument of ours -> the venue's own rules for it."""

    def stop_by(self, stops: Callable[[Order], str | None]) -> None:
        """Have every venue ask ``stops`` once more when an order's turn to be sent has come: why it must not be."""
        for venue in self._venues.values():
            venue.stops = stops

    async def compared(self) -> None:
        """Wait, not for long, until every venue has been compared for the first time."""
        with suppress(TimeoutError):
            await within(self._clock, _FIRST_S, self._all_compared)

    async def _all_compared(self) -> None:
        for reconciler in self.reconcilers.values():
            await reconciler.first.wait()

    def health(self) -> dict[str, tuple[bool, str]]:
        """Return a check for each environment that has a venue, or was refused one."""
        checks = {name: (False, why) for name, why in self.refused.items()}
        for name, venue in self._venues.items():
            problem = self.reconcilers[name].closed() or self.reconcilers[name].failure or venue.halted()
            last = self.reconcilers[name].last
            agrees = problem is None and (last is None or not last.differences)
            checks[name] = (agrees, problem or self._compared(name))
        return checks

    def _compared(self, name: str) -> str:
        last = self.reconcilers[name].last
        assert last is not None, "without a failure there is a comparison"
        found = [
            f"{amount.normalize():+f} {currency} against our books: find the cause"
            for currency, amount in last.differences.items()
        ]
        found += [f"not ours: {order}" for order in last.foreign]
        ago = (self._clock.now() - last.at).total_seconds()
        agrees = "; ".join(found) or "agrees"
        return f"{self._venues[name].venue}: {last.orders} working orders, compared {ago:.0f} s ago: {agrees}"


def _rules(venue: RemoteVenue) -> Callable[[Instrument], Instrument | None]:
    def rules(ours: Instrument) -> Instrument | None:
        """Return ours while the venue's are not known, the venue's own, or None: it does not list the symbol."""
        return ours if venue.not_ready() is not None else venue.instrument(ours.symbol)

    return rules
