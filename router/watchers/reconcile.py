"""The router's book against the venue's, at the start and every so often: orders, trades, balances (spec §6, T04).

What the venue shows of our orders is reported like anything else it says; what is not ours is listed and alerted, and
never touched. Until the first comparison has succeeded nothing may be traded. A difference counts once it has been seen
twice: between two pictures of a moving account there always is one.
This module must not know the journal, the tracker or how a venue is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

import anyio
import msgspec

from router.clock import Clock, within
from router.domain.enums import ExecType, ExecutionStatus, Severity
from router.domain.order import ZERO, Order
from router.domain.report import ExecutionReport
from router.domain.venue import VenueBook, VenueOrder, VenueTrade
from router.errors import RouterError
from router.logs import RouterLogger

_OVERLAP: Final = timedelta(seconds=60)
"""Trades are asked for from this long before the last comparison: a venue's lists may lag."""
_FIRST_LOOK_BACK: Final = timedelta(hours=24)
_AGAIN_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_ALERTED_FAILURES: Final = 3
_SETTLING: Final = timedelta(seconds=5)
"""What changed this shortly before the picture was asked for is not compared with it."""
_WORKS: Final = frozenset({ExecutionStatus.SUBMITTED, ExecutionStatus.PARTIALLY_FILLED})


class Venue(Protocol):
    """Whose book is compared."""

    @property
    def environment(self) -> str: ...

    def not_ready(self) -> str | None: ...

    async def book(self, since: datetime) -> VenueBook: ...

    def listen_anew(self) -> None: ...


class Desk(Protocol):
    """Our side."""

    def order(self, client_order_id: str) -> Order | None:
        """Return the order, ended long ago or not; None: it is not ours."""
        ...

    def working(self, environment: str) -> Iterable[Order]:
        """Return the orders that we take to be working."""
        ...

    def knows_trade(self, client_order_id: str, trade_id: str) -> bool:
        """Whether the trade is booked."""
        ...

    def report(self, report: ExecutionReport) -> None:
        """Take what the venue says."""
        ...

    def look_up(self, order: Order) -> None:
        """Have the order looked up now."""
        ...

    def expected(self, environment: str) -> Mapping[str, Decimal] | None:
        """Return what we should hold, by currency; None: the account was never opened."""
        ...

    def open_account(self, environment: str, balances: Mapping[str, Decimal]) -> None:
        """Begin the account with what the venue holds for us."""
        ...

    def alert(self, severity: Severity, message: str, order: Order | None = None) -> None:
        """Tell somebody."""
        ...


class Comparison(msgspec.Struct, frozen=True):
    """What one comparison found; amounts by currency: the venue's minus ours."""

    at: datetime
    orders: int
    found: int
    foreign: tuple[str, ...]
    differences: dict[str, Decimal]


class Reconciler:
    """Compares one environment.

    Args:
        every_s: seconds between two comparisons.
    """

    def __init__(self, venue: Venue, desk: Desk, clock: Clock, log: RouterLogger, *, every_s: float) -> None:
        self._venue = venue
        self._desk = desk
        self._clock = clock
        self._log = log
        self._every_s = every_s
        self.last: Comparison | None = None
        """The last one that succeeded."""
        self.failure: str | None = "it has not been compared with the venue yet"
        """Why the last attempt failed; None: it did not."""
        self.first = anyio.Event()
        """Set when the first comparison has succeeded."""
        self._wake = anyio.Event()
        self._before: dict[str, int] = {}  # what was odd at the last comparison -> how often in a row
        self._now: dict[str, int] = {}

    def closed(self) -> str | None:
        """Return why the environment takes no orders yet; None once the first comparison has succeeded."""
        if self.last is not None:
            return None
        why = self._venue.not_ready() or self.failure
        return (
            f"Environment {self._venue.environment} takes no order before its first reconciliation with the venue has "
            f"succeeded: {why}. It is tried again by itself; see `router status`."
        )

    def soon(self) -> None:
        """Compare now: something may have been missed."""
        self._wake.set()

    async def run(self) -> None:
        """Compare, for ever."""
        failures = 0
        while True:
            if self._venue.not_ready() is not None:
                await self._clock.sleep(0.1)
                continue
            self._wake = anyio.Event()  # what wakes it from now on may have come too late for this picture
            try:
                await self.compare()
            except Exception as error:  # noqa: BLE001 -- the venue did not answer: that is no comparison
                self.failure = str(error) if isinstance(error, RouterError) else f"{type(error).__name__}: {error}"
                self._log.error("reconciliation_failed", env=self._venue.environment, reason=self.failure)
                pause = _AGAIN_S[min(failures, len(_AGAIN_S) - 1)]
                failures += 1
                if failures == _ALERTED_FAILURES:
                    self._desk.alert(
                        Severity.HIGH,
                        f"The {self._venue.environment} venue could not be compared {failures} times in a row: "
                        f"{self.failure}. Fills are found by look-ups only until it can.",
                    )
            else:
                failures, pause = 0, self._every_s
            with suppress(TimeoutError):
                await within(self._clock, pause, self._wake.wait)

    async def compare(self) -> None:
        """Compare once; raises what the venue's requests raise."""
        begun = self._clock.now()
        since = self._since(begun)
        book = await self._venue.book(since)
        self._before, self._now = self._now, {}
        found = sum([self._trade(trade) for trade in book.trades])
        working = {order.client_order_id: order for order in self._desk.working(self._venue.environment)}
        foreign = []
        for shown in book.orders:
            if self._is_ours(shown):
                found += self._shown(shown, working.get(shown.client_order_id or ""), begun)
            else:
                foreign.append(shown)
        listed = {shown.client_order_id for shown in book.orders}
        for order in working.values():
            if order.status in _WORKS and order.client_order_id not in listed:  # a look-up too many does no harm
                self._desk.look_up(order)
        for shown in foreign:
            self._odd(
                f"order {shown.symbol} {shown.venue_order_id}",
                Severity.HIGH,
                f"{_named(shown)} is working at the venue and is not ours. It is not touched: whose is it? "
                "Two programs on one account disturb each other's limits and balances.",
            )
        differences = self._balances(book)
        if self.last is not None and found:
            self._venue.listen_anew()
        self.last = Comparison(begun, len(book.orders), found, tuple(map(_named, foreign)), differences)
        self.failure = None
        self._log.info("reconciled", env=self._venue.environment, **msgspec.to_builtins(self.last))
        self.first.set()

    def _since(self, begun: datetime) -> datetime:
        """Return from when on trades are asked for: at a start from the oldest order that may have traded unseen."""
        if self.last is not None:
            return min(self.last.at, begun) - _OVERLAP
        oldest = min((order.created_at for order in self._desk.working(self._venue.environment)), default=begun)
        return max(min(oldest, begun) - _OVERLAP, begun - _FIRST_LOOK_BACK)

    # -- orders and trades ---------------------------------------------------------------------------------

    def _is_ours(self, shown: VenueOrder) -> bool:
        return shown.client_order_id is not None and self._desk.order(shown.client_order_id) is not None

    def _trade(self, trade: VenueTrade) -> bool:
        """Report a trade; returns whether nobody had told it before."""
        order = self._desk.order(trade.client_order_id) if trade.client_order_id is not None else None
        if order is None:
            self._odd(
                f"trades {trade.symbol}",  # one alert while somebody goes on trading, not one for each of his orders
                Severity.MEDIUM,
                f"{trade.symbol} is traded on this account by somebody else: order {trade.venue_order_id} is not ours "
                f"(trade {trade.trade_id}, {trade.quantity} at {trade.price}). Our books leave such trades out.",
            )
            return False
        if self._desk.knows_trade(order.client_order_id, trade.trade_id):
            return False
        self._desk.report(trade.report(order.client_order_id))
        return self._is_old(trade) and self._desk.knows_trade(order.client_order_id, trade.trade_id)

    def _is_old(self, trade: VenueTrade) -> bool:
        """Whether the stream had time enough to tell it."""
        return trade.at < self._clock.now() - _SETTLING

    def _shown(self, shown: VenueOrder, order: Order | None, begun: datetime) -> bool:
        """Take what the venue shows of an order of ours; returns whether that is news the stream should have told."""
        if order is None:
            self._ended_here(shown, begun)
            return False
        behind = (shown.filled_quantity or ZERO) > order.filled_quantity and shown.at < begun - _SETTLING
        self._desk.report(shown.report(order.client_order_id, ExecType.RESTATED))
        return behind

    def _ended_here(self, shown: VenueOrder, begun: datetime) -> None:
        """An order of ours works at the venue although it has ended here: said once that is seen twice."""
        order = self._desk.order(shown.client_order_id or "")
        if order is not None and order.updated_at < begun - _SETTLING:
            self._odd(
                f"ended {shown.client_order_id}",
                Severity.CRITICAL,
                f"{_named(shown)} works at the venue, but has ended here as {order.status}. It is not touched: "
                "cancel it at the venue by hand, then open an incident.",
                order,
                after=2,
            )

    # -- balances ------------------------------------------------------------------------------------------

    def _balances(self, book: VenueBook) -> dict[str, Decimal]:
        """Return the differences that have stayed the same since the last comparison; a new one is alerted."""
        environment = self._venue.environment
        expected = self._desk.expected(environment)
        if expected is None:
            self._desk.open_account(environment, book.balances)
            return {}
        stays: dict[str, Decimal] = {}
        for currency, amount in expected.items():
            odd = book.balances.get(currency, ZERO) - amount
            if odd and self._odd(
                f"balance {currency} {odd.normalize()}",
                Severity.HIGH,
                f"The venue holds {odd:+f} {currency} against our books: a deposit, a withdrawal, a reset of the "
                "sandbox, or trades that are not ours. Limits count our books; find the cause before trading on.",
                after=2,
            ):
                stays[currency] = odd
        return stays

    def _odd(self, key: str, severity: Severity, message: str, order: Order | None = None, *, after: int = 1) -> bool:
        """Note something odd, and alert when it was there ``after`` times in a row; returns whether it was."""
        told, count = key in self._now, self._before.get(key, 0) + 1
        self._now[key] = count
        if count == after and not told:
            self._desk.alert(severity, message, order)
        return count >= after


def _named(shown: VenueOrder) -> str:
    at = None if shown.price is None else f"at {shown.price}"
    what = " ".join(str(each) for each in (shown.side, shown.quantity, shown.symbol, at) if each is not None)
    return f"Order {shown.venue_order_id} ({what}, client id {shown.client_order_id or 'none'})"
