"""Watchdog, tracker and cancel lane around a venue whose stream can be silent; time is virtual."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import anyio

from router.clock import Clock, VirtualClock
from router.domain.enums import ExecType, ExecutionStatus, OrderType
from router.domain.events import AlertRaised, OrderEvent, decode_event
from router.domain.order import ZERO, Order, Replacement
from router.domain.portfolio import Portfolio
from router.domain.report import ExecutionReport
from router.execution.cancels import CancelLane
from router.execution.tracker import Tracker
from router.execution.upkeep import Upkeep
from router.execution.validation import intent_for
from router.executors.base import Emit
from router.journal.memory import MemoryJournal
from router.logs import get_logger
from router.market.quotes import MarketData
from router.middleware import Submission
from router.risk.account import Account
from router.watchers.watchdog import Watchdog
from router.watchers.windows import Windows
from tests.factories import D, order, quote, submission

S, X = ExecutionStatus, ExecType
WINDOWS = Windows(30.0, 300.0)


class Truth:
    """An order as the venue has it."""

    def __init__(self, placed: Order) -> None:
        self.order = placed
        self.status = S.SUBMITTED
        self.trades: list[tuple[str, Decimal]] = []
        self.quantity, self.price = placed.quantity, placed.price

    @property
    def filled(self) -> Decimal:
        return sum((quantity for _, quantity in self.trades), ZERO)


class Venue:
    """An executor with a book of its own, which tells nothing unless it is asked, or told to."""

    environment = "paper"
    remote = True

    def __init__(
        self,
        clock: Clock,
        emit: Emit,
        *,
        batch: int = 100,
        per_s: float | None = None,
        settle_s: float = 5.0,
        answer_s: float = 0.0,
    ) -> None:
        self.look_up_batch, self.look_ups_per_s, self.settle_s = batch, per_s, settle_s
        self.book: dict[str, Truth] = {}
        self.calls: list[tuple[float, list[str]]] = []
        self.cancels: list[str] = []
        self.amends: list[Replacement] = []
        self.broken: Exception | None = None
        self.hangs = False
        self.ignores_cancels = 0
        self.answer_s = answer_s
        self._clock = clock
        self._emit = emit

    def say(self, client_order_id: str, exec_type: ExecType, **fields: Any) -> None:
        self._emit(
            ExecutionReport(exec_type=exec_type, client_order_id=client_order_id, ts_event=self._clock.now(), **fields)
        )

    def fill(self, client_order_id: str, quantity: object) -> None:
        """Trade, in silence."""
        truth = self.book[client_order_id]
        truth.trades.append((f"{client_order_id}-t{len(truth.trades)}", D(str(quantity))))
        truth.status = S.FILLED if truth.filled == truth.quantity else S.PARTIALLY_FILLED

    def restore(self, orders: Iterable[Order]) -> None: ...

    async def submit(self, order: Order) -> None:
        self.book[order.client_order_id] = Truth(order)
        self.say(order.client_order_id, X.NEW, venue_order_id=f"V{order.client_order_id}")

    async def cancel(self, order: Order, reason: str) -> None:
        """Carry it out, but say nothing."""
        self.cancels.append(order.client_order_id)
        if self.broken is not None:
            raise self.broken
        if self.ignores_cancels:
            self.ignores_cancels -= 1
            return
        truth = self.book.get(order.client_order_id)
        if truth is not None and truth.status not in (S.FILLED, S.CANCELLED):
            truth.status = S.CANCELLED

    async def amend(self, order: Order, asked: Replacement) -> None:
        self.amends.append(asked)

    async def look_up(self, orders: Sequence[Order]) -> None:
        self.calls.append((self._clock.monotonic(), [each.client_order_id for each in orders]))
        if self.hangs:
            await anyio.sleep_forever()
        if self.answer_s:
            await self._clock.sleep(self.answer_s)
        if self.broken is not None:
            raise self.broken
        for each in orders:
            truth = self.book.get(each.client_order_id)
            if truth is None:
                self.say(each.client_order_id, X.NOT_FOUND)
                continue
            for trade_id, quantity in truth.trades:
                self.say(
                    each.client_order_id,
                    X.TRADE,
                    trade_id=trade_id,
                    last_quantity=quantity,
                    last_price=D(100),
                    fee=ZERO,
                )
            self.say(
                each.client_order_id,
                X.ORDER_STATUS,
                order_status=truth.status,
                filled_quantity=truth.filled,
                quantity=truth.quantity,
                price=truth.price,
            )

    async def run(self) -> None:
        await anyio.sleep_forever()


class _NoIntake:
    def attach(self, client_order_id: str, answer: object) -> bool:
        return False


class World:
    """Everything around the watchdog is real but the venue and the intake."""

    def __init__(self, clock: Clock | None = None, *, windows: Windows = WINDOWS, rows: Any = (), **venue: Any) -> None:
        self.clock = clock or VirtualClock()
        self.journal = MemoryJournal(self.clock)
        self.journal.rows = list(rows)
        self.market = MarketData(self.clock)
        self.market.pin(quote())
        self.account = Account(Portfolio({"USD": D(10_000_000)}), self.market, "USD", {})
        self.emitted: list[tuple[float, OrderEvent]] = []
        log = get_logger()
        self.watchdog = Watchdog(windows, self.clock, log)
        self.tracker = Tracker(
            self.journal,
            {"paper": self.account},
            self.clock,
            log,
            lambda event, _: self.emitted.append((self.clock.monotonic(), event)),
            watch=self.watchdog.note,
            market_time=self.market.time,
        )
        self.venue = Venue(self.clock, self.tracker.report, **venue)
        self.leaving: list[str] = []
        self.cancels = CancelLane(
            self.tracker,
            {"paper": self.venue},
            self.journal,
            _NoIntake(),  # type: ignore[arg-type]
            log,
            waiter=lambda: (_ for _ in ()).throw(AssertionError("nothing is in flight here")),
            spawn=self._spawn,
            leaving=lambda order: self.leaving.append(order.client_order_id),
        )
        self.watchdog.attach({"paper": self.venue}, Upkeep(self.tracker, self.cancels, self.clock))
        self.journal.on_durable = self.tracker.publish
        self._group: Any = None
        self._by_order: dict[str, list[tuple[float, OrderEvent]]] | None = None

    def _spawn(self, function: Callable[..., Any], *arguments: object) -> None:
        self._group.start_soon(function, *arguments)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        """Write the journal and watch, in the background."""
        await self.journal.open(self.tracker.replay)
        self.watchdog.resume(self.tracker.orders.working_orders())
        async with anyio.create_task_group() as self._group:
            self._group.start_soon(self.journal.run)
            self._group.start_soon(self.watchdog.run)
            yield self
            self.hold_invariant()
            self._group.cancel_scope.cancel()

    def hold_invariant(self) -> None:
        """Exactly one armed deadline an open order."""
        opened = {each.client_order_id for each in self.tracker.orders.working_orders()}
        assert self.watchdog.deadlines.keys() == opened
        assert len(self.watchdog.deadlines) == len(opened) == self.tracker.orders.open_count

    def hold_count(self) -> None:
        assert len(self.watchdog.deadlines) == self.tracker.orders.open_count

    def of(self, name: str) -> list[tuple[float, OrderEvent]]:
        """Return when each event of an order was emitted."""
        if self._by_order is None:
            self._by_order = {}
            for at, event in self.emitted:
                self._by_order.setdefault(event.client_order_id or "", []).append((at, event))
        return self._by_order.get(name, [])

    def pending(self, name: str, **fields: Any) -> Order:
        """Make an order pending: about to be handed over."""
        now = self.clock.now()
        values: dict[str, Any] = {"order_type": OrderType.LIMIT, "price": "90", **fields}
        made = order(client_order_id=name, created_at=now, updated_at=now, **values)
        self.tracker.pending(self.submission(made))
        return made

    def submission(self, made: Order) -> Submission:
        return submission(made, intent=intent_for(made), received_at=made.created_at, reference=quote())

    async def opened(self, name: str, **fields: Any) -> Order:
        """Place an order that rests."""
        made = self.pending(name, **fields)
        await self.venue.submit(made)
        return self.order(name)

    def order(self, name: str) -> Order:
        found = self.tracker.orders.current(name)
        assert found is not None
        return found

    @property
    def events(self) -> list[Any]:
        return [decode_event(row.payload) for row in self.journal.rows]

    def kinds(self, name: str = "U1") -> list[str]:
        """Return what happened to an order, after it was acknowledged."""
        return [event.event for event in self.events if getattr(event, "client_order_id", None) == name][2:]

    @property
    def alerts(self) -> list[AlertRaised]:
        return [event for event in self.events if isinstance(event, AlertRaised)]

    async def advance(self, seconds: float) -> None:
        assert isinstance(self.clock, VirtualClock)
        await self.clock.advance(seconds)
