"""The executor of real sandbox orders: what the venue answers, and what it may have done, in the router's words.

An answer counts when it shows the order; an error when it proves that nothing was placed (``outcomes``); all else
raises, and the order is looked up by its client id (``ccxt_facts.md`` §3). Nothing is ever sent twice, except after the
venue has proved that the first request did nothing. The stream makes things fast; look-ups make them true.
This module must not know the journal, the gates or how a venue spells anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import anyio
from anyio.abc import TaskGroup

from router.clock import Clock, within
from router.domain.enums import TERMINAL, ExecType, ExecutionStatus
from router.domain.market import Instrument
from router.domain.order import Order, Replacement
from router.domain.report import ExecutionReport
from router.domain.venue import VenueBook, VenueOrder, VenueTrade
from router.errors import RouterError
from router.executors.base import Emit
from router.executors.testnet.dialect import Dialect, NoProofError, RefusedHereError
from router.executors.testnet.limiter import Priority
from router.executors.testnet.link import Link, NotSentError, RequestFailedError, Stops, nothing_stops
from router.executors.testnet.names import Names
from router.executors.testnet.outcomes import Kind
from router.executors.testnet.streams import Streams
from router.executors.testnet.survey import Survey
from router.logs import RouterLogger

X, S = ExecType, ExecutionStatus
T = TypeVar("T")

_SKEW_S: Final = 1.0
"""Beside recvWindow: what our measure of the venue's clock may be wrong by."""
_LOOK_UP_S: Final = 7.0
"""One look-up takes no longer; the orders it did not get to are asked about again."""
_LIST_FROM: Final = 3
"""From this many orders of a symbol on, the list of its open orders costs less than asking for each."""
_CHASE_S: Final = (0.3, 1.5, 5.0)
"""When an order is looked up after an answer that shows nothing, or none at all."""
_CANCEL_AGAIN_S: Final = (0.5, 1.0, 2.0, 4.0)
"""Pauses before a cancel that failed is sent again; after that the watchers send it."""
_FINAL: Final = frozenset({Kind.AUTH, Kind.BANNED, Kind.LIVE_HOST})
_PROVED: Final = frozenset({Kind.NOT_PLACED, Kind.AUTH, Kind.CLOCK, Kind.RATE, Kind.BANNED, Kind.MARKET_CLOSED})
_OPENING_AGAIN_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_UNEXPLAINED: Final = "The venue answered without an order; it is looked up by its client_order_id."


class UnprovedError(RouterError):
    """A request was sent and nothing proves what became of it."""


class TestnetExchangeOrderExecutor:
    """Works the orders of one sandbox venue.

    Args:
        link: every request goes through it.
        dialect: how the venue is spoken to.
        symbols: what may be traded, so what is reconciled.
        recv_window_ms: how long after its timestamp the venue still executes a request.
    """

    __test__ = False  # the name is the venue's, not a test class

    def __init__(
        self,
        environment: str,
        link: Link,
        dialect: Dialect,
        clock: Clock,
        emit: Emit,
        log: RouterLogger,
        *,
        symbols: Iterable[str],
        recv_window_ms: int,
    ) -> None:
        self.environment = environment
        self.remote = True
        self.look_up_batch = 100
        self.look_ups_per_s = 2.0
        self.settle_s = recv_window_ms / 1000 + _SKEW_S
        self._link = link
        self._dialect = dialect
        self._clock = clock
        self._emit = emit
        self._log = log
        self._symbols = tuple(symbols)
        self.on_gap: Callable[[], None] = lambda: None  # called when the streams may have missed something
        self.stops: Callable[[Order], str | None] = lambda _: None  # asked once more before an order leaves
        self._streams = Streams(dialect, clock, log, self._heard_order, self._heard_trade, self._gap)
        self._names = Names()
        self._expected: dict[str, anyio.Event] = {}  # whose next word is waited for
        self._opened = anyio.Event()
        self._background: TaskGroup | None = None
        self._why_not_open: str | None = "the venue's markets are being read"

    # -- what the gates ask ----------------------------------------------------------------------------------

    def not_ready(self) -> str | None:
        """Return why no order can be taken yet; None once markets and clock are known."""
        return self._why_not_open

    def halted(self) -> str | None:
        """Return why the venue must get no new order now (circuit breaker, ban, refused keys), or None."""
        return self._link.skew() or self._link.standing.refusal(Priority.CREATE)

    def instrument(self, symbol: str) -> Instrument | None:
        """Return the venue's own steps of a symbol; None: it does not list it."""
        return self._dialect.instrument(symbol)

    @property
    def venue(self) -> str:
        """The venue's name."""
        return self._link.client.profile.venue

    # -- orders ----------------------------------------------------------------------------------------------

    def restore(self, orders: Iterable[Order]) -> None:
        for order in orders:
            self._names.own(order.client_order_id)
            self._names.know(order.symbol, order.venue_order_id, order.client_order_id)

    async def submit(self, order: Order) -> None:
        """Hand the order over; REJECTED only on proof that it was not placed."""
        self._names.own(order.client_order_id)
        try:
            shown, trades = await self._create(order)
        except (NotSentError, RefusedHereError) as refusal:
            self._say(order, X.REJECTED, self._clock.now(), reason=f"Not sent: {refusal}")
            return
        except RequestFailedError as failed:
            if failed.outcome.kind not in _PROVED:
                self._chase(order)
                raise
            self._say(order, X.REJECTED, self._clock.now(), reason=failed.outcome.reason)
            return
        except BaseException:  # cancelled from outside while the request was under way
            self._chase(order)
            raise
        if shown.venue_order_id is None:
            self._chase(order)
            self._link.unreadable(_UNEXPLAINED)
            raise UnprovedError(_UNEXPLAINED)
        self._answered(order, shown, trades)

    async def _create(self, order: Order) -> tuple[VenueOrder, Sequence[VenueTrade]]:
        """Send the order; once more after the venue has proved that its clock, and nothing else, was in the way."""
        create, stops = partial(self._dialect.create, order), partial(self.stops, order)
        try:
            return await self._ask(Priority.CREATE, "create", create, stops)
        except RequestFailedError as failed:
            if failed.outcome.kind is not Kind.CLOCK:
                raise
        await self._measure()
        return await self._ask(Priority.CREATE, "create", create, stops)

    async def _measure(self) -> None:
        """Take the venue's clock anew; when that fails the next request proves the same as the last one."""
        with suppress(NotSentError, RequestFailedError):
            await self._link.measure_clock()

    def _answered(self, order: Order, shown: VenueOrder, trades: Sequence[VenueTrade]) -> None:
        """Say what the answer to a new order shows; an acknowledgement alone is followed up."""
        self._names.know(order.symbol, shown.venue_order_id, order.client_order_id)
        if shown.status is not S.REJECTED:
            self._say(order, X.NEW, shown.at, venue_order_id=shown.venue_order_id)
        for trade in trades:
            self._trade(order.client_order_id, trade)
        if shown.filled_quantity is None:
            self._chase(order)
        else:
            self._show(order.client_order_id, shown, X.RESTATED)

    async def cancel(self, order: Order, reason: str) -> None:
        """Ask for the order's end, a few times if need be: asking twice does no harm."""
        del reason  # no venue takes one
        await self._until_open()
        for pause in _CANCEL_AGAIN_S:
            try:
                await self._cancel(order)
            except (NotSentError, RequestFailedError) as failed:
                kind = failed.outcome.kind if isinstance(failed, RequestFailedError) else None
                if kind in _FINAL:
                    raise
                self._log.warning("cancel_repeated", client_order_id=order.client_order_id, reason=str(failed))
            else:
                return
            if kind is Kind.CLOCK:
                await self._measure()
            await self._clock.sleep(pause)
        await self._cancel(order)

    async def _cancel(self, order: Order) -> None:
        """Ask once; what the venue only acknowledges, or calls unknown because it has ended, is followed up."""
        shown = None
        try:
            shown = await self._ask(Priority.CANCEL, "cancel", partial(self._dialect.cancel, order))
        except RequestFailedError as failed:
            if failed.outcome.kind is not Kind.NOT_FOUND:
                raise
        if shown is not None:
            self._show(order.client_order_id, shown, X.RESTATED)
        if shown is None or (shown.filled_quantity or 0) > order.filled_quantity:
            self._chase(order, lambda seen: seen.status in TERMINAL)

    async def amend(self, order: Order, asked: Replacement) -> None:
        """Ask for other terms; they are in force when the venue shows them."""
        answer = partial(self._say, order, request_id=asked.request_id)
        try:
            takes_away = asked.price == order.price and asked.quantity <= order.quantity
            stops = nothing_stops if takes_away else partial(self.stops, order)
            shown = await self._ask(Priority.CREATE, "amend", partial(self._dialect.amend, order, asked), stops)
        except (NotSentError, RefusedHereError) as refusal:
            answer(X.REPLACE_REJECTED, self._clock.now(), reason=f"Not sent: {refusal}")
            return
        except RequestFailedError as failed:
            if failed.outcome.kind not in _PROVED:
                self._chase(order)
                raise
            answer(X.REPLACE_REJECTED, self._clock.now(), reason=failed.outcome.reason)
            return
        if shown is None:
            terms = asked.quantity, asked.price
            await self._chased(order, lambda seen: (seen.quantity, seen.price) == terms)  # an ack is no answer yet
            return
        answer(X.REPLACED, shown.at, quantity=asked.quantity, price=asked.price)
        self._show(order.client_order_id, shown, X.RESTATED)

    # -- look-ups --------------------------------------------------------------------------------------------

    async def look_up(self, orders: Sequence[Order]) -> None:
        """Ask for each order by its client id: open orders, then history, then its trades."""
        started, failure = self._clock.monotonic(), None
        await self._until_open()
        for symbol in dict.fromkeys(order.symbol for order in orders):
            group = [order for order in orders if order.symbol == symbol]
            listed: dict[str | None, VenueOrder] = {}
            if len(group) >= _LIST_FROM:
                try:
                    listed = {shown.client_order_id: shown for shown in await self._open_orders(symbol)}
                except (RequestFailedError, NoProofError) as error:  # each is asked for by itself then
                    failure = failure or error
            for order in group:
                if self._clock.monotonic() > started + _LOOK_UP_S:
                    return
                try:
                    await self._look_at(order, listed.get(order.client_order_id), absent_counts=True)
                except NotSentError:
                    raise
                except (RequestFailedError, NoProofError) as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    async def _until_open(self) -> None:
        """Wait for markets and clock, not for long: before, ccxt itself fails, which says nothing of the venue."""
        if self._why_not_open is not None:
            with suppress(TimeoutError):
                await within(self._clock, _LOOK_UP_S, self._opened.wait)
        if self._why_not_open is not None:
            raise NotSentError(self._why_not_open)

    async def _look_at(self, order: Order, shown: VenueOrder | None, *, absent_counts: bool) -> VenueOrder | None:
        """Say what the venue shows of one order: its trades first, as an end counts only after them."""
        if shown is None:
            shown = await self._ask(Priority.LOOK_UP, "find", partial(self._dialect.find, order))
        if shown is None and order.venue_order_id is not None:  # it was there: two lists must lack it
            listed = await self._open_orders(order.symbol)
            shown = next((each for each in listed if each.client_order_id == order.client_order_id), None)
        if shown is None:
            if absent_counts:
                self._say(order, X.NOT_FOUND, self._clock.now())
            return None
        self._names.know(order.symbol, shown.venue_order_id, order.client_order_id)
        if shown.venue_order_id is not None and (shown.filled_quantity or 0) != order.filled_quantity:
            find = partial(self._dialect.trades_of, order, shown.venue_order_id)
            for trade in await self._ask(Priority.LOOK_UP, "trades_of", find):
                self._trade(order.client_order_id, trade)
        self._show(order.client_order_id, shown, X.ORDER_STATUS)
        return shown

    def _chase(self, order: Order, shows: Callable[[VenueOrder], bool] = lambda _: True) -> None:
        """Look the order up a few times soon, until the venue shows what is waited for. That it does not proves
        nothing here."""
        if self._background is not None:
            self._background.start_soon(self._chased, order, shows)

    async def _chased(self, order: Order, shows: Callable[[VenueOrder], bool]) -> None:
        for pause in _CHASE_S:
            if await self._is_told(order.client_order_id, pause):
                return
            try:
                shown = await self._look_at(order, None, absent_counts=False)
            except RouterError as error:
                self._log.info("chase_failed", client_order_id=order.client_order_id, reason=str(error))
            else:
                if shown is not None and shows(shown):
                    return

    async def _is_told(self, client_order_id: str, seconds: float) -> bool:
        """Wait for the venue's next word on the order; returns whether it came within ``seconds``."""
        word = self._expected.setdefault(client_order_id, anyio.Event())
        try:
            with suppress(TimeoutError):
                await within(self._clock, seconds, word.wait)
        finally:
            if not word.is_set():
                self._expected.pop(client_order_id, None)
        return word.is_set()

    # -- the whole account -----------------------------------------------------------------------------------

    async def book(self, since: datetime) -> VenueBook:
        """Return what the venue has: working orders, trades after ``since``, balances; raises when any is missing."""
        return await Survey(self._ask, self._dialect, self._names, self._log).of(
            self._symbols, since, self._clock.now()
        )

    async def _open_orders(self, symbol: str, priority: Priority = Priority.LOOK_UP) -> list[VenueOrder]:
        return await self._ask(priority, "open_orders", partial(self._dialect.open_orders, symbol))

    # -- in the background -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read the markets, keep the clock, listen to the streams; for ever."""
        try:
            async with anyio.create_task_group() as group:
                self._background = group
                await self._open()
                group.start_soon(self._link.keep_time)
                group.start_soon(self._streams.run)
        finally:
            self._background = None
            with anyio.CancelScope(shield=True):
                await self._link.client.close()

    async def _open(self) -> None:
        """Read clock and markets, again and again until it works."""
        for attempt in range(10**9):
            try:
                await self._link.measure_clock()
                await self._ask(Priority.POLL, "load", self._dialect.load)
            except RouterError as error:
                self._why_not_open = f"{self.venue} cannot be read: {error}"
                self._log.error("venue_not_open", venue=self.venue, reason=str(error))
                await self._clock.sleep(_OPENING_AGAIN_S[min(attempt, len(_OPENING_AGAIN_S) - 1)])
            else:
                break
        self._why_not_open = None
        self._opened.set()
        for note in self._dialect.notes:
            self._log.warning("venue_note", venue=self.venue, note=note)
        self._log.info("venue_open", venue=self.venue, settle_s=self.settle_s)

    def listen_anew(self) -> None:
        """Subscribe again: something was found that the stream should have told."""
        self._streams.renew()

    # -- inside ----------------------------------------------------------------------------------------------

    def _gap(self) -> None:
        self.on_gap()

    async def _ask(
        self, priority: Priority, what: str, call: Callable[[], Awaitable[T]], stops: Stops = nothing_stops
    ) -> T:
        return await self._link.ask(priority, self._dialect.costs[what], call, stops)

    def _heard_order(self, shown: VenueOrder) -> None:
        name = self._names.ours(shown.client_order_id)
        if name is not None:
            self._names.know(shown.symbol, shown.venue_order_id, name)
            self._show(name, shown, X.RESTATED)

    def _heard_trade(self, trade: VenueTrade) -> None:
        """A trade whose order is not named by the venue and not known yet is found by the look-up of its order."""
        name = self._names.ours(trade.client_order_id or self._names.of(trade.symbol, trade.venue_order_id))
        if name is not None:
            self._trade(name, trade)

    def _show(self, client_order_id: str, shown: VenueOrder, exec_type: ExecType) -> None:
        self._tell(shown.report(client_order_id, exec_type))

    def _trade(self, client_order_id: str, trade: VenueTrade) -> None:
        self._tell(trade.report(client_order_id))

    def _say(self, order: Order, exec_type: ExecType, at: datetime, **fields: Any) -> None:
        self._tell(ExecutionReport(exec_type=exec_type, client_order_id=order.client_order_id, ts_event=at, **fields))

    def _tell(self, report: ExecutionReport) -> None:
        if report.exec_type is not X.NOT_FOUND and report.client_order_id in self._expected:
            self._expected.pop(report.client_order_id).set()
        self._emit(report)
