"""A simulated venue: accepts orders, works them against the recorded or invented market, and reports like
one.

It never suspends: submit and cancel are answered before they return, unless ``latency_ms`` delays what they
cause. All waiting is two heaps (latency by the monotonic clock, expiry by the wall clock) that ``run`` and
every market update look at, so an order costs no task and no timer.
This module must not know the tracker, the journal or risk; when an order trades is the fill model's business.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

import anyio

from router.clock import Clock
from router.domain.enums import ExecType, ExecutionStatus, Liquidity, OrderType, TimeInForce
from router.domain.market import Trade
from router.domain.order import Order
from router.domain.report import ExecutionReport
from router.errors import ConfigError
from router.executors.base import Emit
from router.executors.fill_model import FILL_MODELS, FillModel
from router.executors.resting import OpenOrder
from router.market.quotes import MarketData

_WALL_CLOCK_CHECK_S: Final = 60.0  # the wall clock may be set while we sleep towards an expiry
_HEAP_SLACK: Final = 1000
_BASIS_POINT: Final = Decimal("0.0001")


class PaperExecutor:
    """Simulates a venue for one environment.

    Args:
        environment: the name its orders carry.
        market: what it trades against; it listens to every update.
        clock: latency and expiry.
        emit: where its reports go; must return at once.
        maker_fee_bps: fee of a resting fill, basis points of the notional, in the symbol's quote currency.
        taker_fee_bps: fee of a fill that takes liquidity.
        latency_ms: how long an order or a cancel travels before it counts.
        fill_model: "queue" or "instant".

    Raises:
        ConfigError: the fill model is unknown.
    """

    remote = False
    venue_prefix = "P"
    """Stands before the client order id in the venue's."""

    def __init__(
        self,
        environment: str,
        market: MarketData,
        clock: Clock,
        emit: Emit,
        *,
        maker_fee_bps: Decimal,
        taker_fee_bps: Decimal,
        latency_ms: int,
        fill_model: str,
    ) -> None:
        if fill_model not in FILL_MODELS:
            raise ConfigError(f'paper.fill_model must be one of {", ".join(FILL_MODELS)}; found "{fill_model}"')
        self.environment = environment
        self._market = market
        self._clock = clock
        self._emit = emit
        self._fee_rate = {
            Liquidity.MAKER: maker_fee_bps * _BASIS_POINT,
            Liquidity.TAKER: taker_fee_bps * _BASIS_POINT,
        }
        self._latency_s = latency_ms / 1000
        self._new_model = FILL_MODELS[fill_model]
        self._models: dict[str, FillModel] = {}
        self._open: dict[str, OpenOrder] = {}
        self._entered = itertools.count()
        self._travelling: list[tuple[float, int, OpenOrder, str | None]] = []  # a reason: a cancel
        self._expiring: list[tuple[datetime, int, OpenOrder]] = []
        self._wake: anyio.Event | None = None
        market.listen(self._on_market)

    def restore(self, orders: Iterable[Order]) -> None:
        """Take over open orders after a restart: they join the back of the queue; nothing is emitted here.

        PENDING ones never arrived and are ignored. What cannot rest (market, IOC, FOK) expires at once when
        time runs again.
        """
        for order in orders:
            if order.status is ExecutionStatus.PENDING or not order.is_open:
                continue
            working = self._open[order.client_order_id] = OpenOrder(order)
            if _must_end_at_once(order):
                self._expire_at(order.updated_at, working)
            else:
                self._rest(working)

    async def submit(self, order: Order) -> None:
        """Answer with NEW or REJECTED, then the fills; a repeated order is only acknowledged again."""
        if order.client_order_id in self._open:
            self._say(ExecType.NEW, order)
            return
        working = OpenOrder(order)
        refusal = None if self._latency_s else self._refusal(working)
        if refusal is not None:
            self._say(ExecType.REJECTED, order, refusal)
            return
        self._open[order.client_order_id] = working
        self._say(ExecType.NEW, order)
        if self._latency_s:
            self._travel(working, None)
        else:
            self._activate(working)

    async def cancel(self, order: Order, reason: str) -> None:
        """Answer with CANCELED, or CANCEL_REJECTED when the order is not open here."""
        working = self._open.get(order.client_order_id)
        if working is None:
            self._say(ExecType.CANCEL_REJECTED, order, f"the {self.environment} venue has no such open order")
        elif self._latency_s:
            self._travel(working, reason)
        else:
            self._end(working, ExecType.CANCELED, reason)

    async def run(self) -> None:
        """Let time pass: latency and expiry; returns only when cancelled."""
        for model in self._models.values():
            self._match(model, None)
        while True:
            self._process_due()
            await self._until_something_is_due()

    def _on_market(self, symbol: str, trade: Trade | None) -> None:
        if self._travelling or self._expiring:
            self._process_due()
        model = self._models.get(symbol)
        if model is not None:
            self._match(model, trade)

    def _match(self, model: FillModel, trade: Trade | None) -> None:
        for working, quantity in model.matched(trade):
            self._fill(working, working.price, quantity, Liquidity.MAKER)

    def _refusal(self, working: OpenOrder) -> str | None:
        """Return why the venue would not have the order, or None."""
        order = working.order
        if self._market.quote(order.symbol) is None:
            return f"no market data for {order.symbol} yet: the {self.environment} venue cannot work the order"
        if order.post_only and (order.order_type is OrderType.MARKET or self._model(order.symbol).crosses(working)):
            return "post-only order would take liquidity"
        return None

    def _activate(self, working: OpenOrder) -> None:
        """The order arrives in the book."""
        order = working.order
        if order.expire_at is not None and order.expire_at <= self._clock.now():
            self._expire(working)
            return
        is_fok = order.time_in_force is TimeInForce.FOK
        for price, quantity in self._model(order.symbol).take(working, all_or_nothing=is_fok):
            self._fill(working, price, quantity, Liquidity.TAKER)
        if not working.leaves_quantity:
            return
        if _must_end_at_once(order):
            self._end(working, ExecType.EXPIRED, _remainder(working))
        else:
            self._rest(working)

    def _rest(self, working: OpenOrder) -> None:
        self._model(working.order.symbol).rest(working)
        if working.order.expire_at is not None:
            self._expire_at(working.order.expire_at, working)

    def _fill(self, working: OpenOrder, price: Decimal, quantity: Decimal, liquidity: Liquidity) -> None:
        order = working.order
        working.leaves_quantity -= quantity
        working.filled_quantity += quantity
        if not working.leaves_quantity:
            del self._open[order.client_order_id]
        self._emit(
            ExecutionReport(
                exec_type=ExecType.TRADE,
                client_order_id=order.client_order_id,
                ts_event=self._market.time(),
                venue_order_id=self.venue_prefix + order.client_order_id,
                trade_id=f"{order.client_order_id}-{working.filled_quantity:f}",
                last_quantity=quantity,
                last_price=price,
                fee=quantity * price * self._fee_rate[liquidity],
                fee_currency=order.symbol.partition("/")[2].partition(":")[0],
                liquidity=liquidity,
            )
        )

    def _end(self, working: OpenOrder, how: ExecType, reason: str) -> None:
        working.leaves_quantity = Decimal(0)
        del self._open[working.order.client_order_id]
        self._model(working.order.symbol).remove(working)
        self._say(how, working.order, reason)

    def _expire(self, working: OpenOrder) -> None:
        order = working.order
        if _must_end_at_once(order):
            reason = f"{_kind(order)} order was not worked before the {self.environment} venue stopped"
        else:
            reason = f"{order.time_in_force} order reached its end at {order.expire_at}"
        self._end(working, ExecType.EXPIRED, reason)

    def _say(self, exec_type: ExecType, order: Order, reason: str | None = None) -> None:
        known = exec_type not in (ExecType.REJECTED, ExecType.CANCEL_REJECTED)
        self._emit(
            ExecutionReport(
                exec_type=exec_type,
                client_order_id=order.client_order_id,
                ts_event=self._market.time(),
                venue_order_id=self.venue_prefix + order.client_order_id if known else None,
                reason=reason,
            )
        )

    def _model(self, symbol: str) -> FillModel:
        model = self._models.get(symbol)
        if model is None:
            model = self._models[symbol] = self._new_model(self._market.book(symbol))
        return model

    def _travel(self, working: OpenOrder, cancel_reason: str | None) -> None:
        due = self._clock.monotonic() + self._latency_s
        entry = (due, next(self._entered), working, cancel_reason)
        heapq.heappush(self._travelling, entry)
        if self._travelling[0] is entry:
            self._wake_up()

    def _expire_at(self, moment: datetime, working: OpenOrder) -> None:
        if len(self._expiring) > 2 * len(self._open) + _HEAP_SLACK:
            self._expiring = [entry for entry in self._expiring if entry[2].leaves_quantity]
            heapq.heapify(self._expiring)
        entry = (moment, next(self._entered), working)
        heapq.heappush(self._expiring, entry)
        if self._expiring[0] is entry:
            self._wake_up()

    def _process_due(self) -> None:
        """Let everything happen whose time has come, in its order."""
        while self._travelling and self._travelling[0][0] <= self._clock.monotonic():
            _, _, working, cancel_reason = heapq.heappop(self._travelling)
            self._arrive(working, cancel_reason)
        while self._expiring and self._expiring[0][0] <= self._clock.now():
            _, _, working = heapq.heappop(self._expiring)
            if working.leaves_quantity:
                self._expire(working)

    def _arrive(self, working: OpenOrder, cancel_reason: str | None) -> None:
        if cancel_reason is not None:
            if working.leaves_quantity:
                self._end(working, ExecType.CANCELED, cancel_reason)
            else:
                self._say(ExecType.CANCEL_REJECTED, working.order, "the order ended before the cancel arrived")
            return
        refusal = self._refusal(working)
        if refusal is None:
            self._activate(working)
        else:
            self._end(working, ExecType.REJECTED, refusal)

    def _wake_up(self) -> None:
        if self._wake is not None:
            self._wake.set()

    async def _until_something_is_due(self) -> None:
        """Return when the first entry of a heap is due, or earlier."""
        self._wake = wake = anyio.Event()
        delays = []
        if self._travelling:
            delays.append(self._travelling[0][0] - self._clock.monotonic())
        if self._expiring:
            until = (self._expiring[0][0] - self._clock.now()).total_seconds()
            delays.append(min(until, _WALL_CLOCK_CHECK_S))
        if not delays:
            await wake.wait()
            return

        async def ring() -> None:
            await self._clock.sleep(max(0.0, min(delays)))
            wake.set()

        async with anyio.create_task_group() as group:
            group.start_soon(ring)
            await wake.wait()
            group.cancel_scope.cancel()


def _must_end_at_once(order: Order) -> bool:
    return order.order_type is OrderType.MARKET or order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)


def _kind(order: Order) -> str:
    immediate = order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    return str(order.time_in_force) if immediate else "market"


def _remainder(working: OpenOrder) -> str:
    """Return why an order that cannot rest ended, and with how much left."""
    order, left = working.order, working.leaves_quantity
    within = f" within the limit {order.price}" if order.order_type is OrderType.LIMIT else ""
    if order.time_in_force is TimeInForce.FOK:
        return f"FOK order of {left} expired: the book held less{within}"
    return f"{_kind(order)} remainder {left} expired: the book held no more{within}"
