"""A simulated venue: accepts orders, works them against the recorded or invented market, and reports like
one.

It never suspends: requests are answered before they return, unless ``latency_ms`` delays what they cause (a request
then meets the market as it is when it arrives, and may be overtaken by a fill). Its rules are those of the venues:

* a replacement with a new price or a larger quantity joins the queue anew, a smaller quantity keeps its place;
* two own orders never trade with each other: an order that arrives takes only levels strictly better than the own
  resting order it would meet, and what is left then expires ("expire taker"; a FOK order takes nothing). There is no
  other behaviour to choose, and no key for it.

This module must not know the tracker, the journal or risk; when an order trades is the fill model's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from router.clock import Clock
from router.domain.enums import ExecType, ExecutionStatus, Liquidity, OrderType, TimeInForce
from router.domain.market import Trade
from router.domain.order import ZERO, Order, Replacement
from router.domain.report import ExecutionReport
from router.errors import ConfigError
from router.executors.base import Emit
from router.executors.fill_model import FILL_MODELS, FillModel
from router.executors.resting import OpenOrder
from router.executors.timers import Timers
from router.market.quotes import MarketData

_BASIS_POINT: Final = Decimal("0.0001")
_ABOUT_NO_OPEN_ORDER: Final = frozenset(
    {ExecType.REJECTED, ExecType.CANCEL_REJECTED, ExecType.REPLACE_REJECTED, ExecType.NOT_FOUND}
)
_ENDS: Final = frozenset({ExecType.CANCELED, ExecType.EXPIRED})


class PaperExecutor:
    """Simulates a venue for one environment.

    Args:
        environment: the name its orders carry.
        market: what it trades against; it listens to every update.
        clock: latency and expiry.
        emit: where its reports go; must return at once.
        maker_fee_bps: fee of a resting fill, basis points of the notional, in the symbol's quote currency.
        taker_fee_bps: fee of a fill that takes liquidity.
        latency_ms: how long a request travels before it counts.
        fill_model: "queue" or "instant".

    Raises:
        ConfigError: the fill model is unknown.
    """

    remote = False
    look_up_batch = 100
    look_ups_per_s: float | None = None
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
        self.settle_s = latency_ms / 1000
        self._timers = Timers(clock, self.settle_s, self._expire)
        self._new_model = FILL_MODELS[fill_model]
        self._models: dict[str, FillModel] = {}
        self._open: dict[str, OpenOrder] = {}
        market.listen(self._on_market)

    def restore(self, orders: Iterable[Order]) -> None:
        """Take over open orders after a restart: they join the back of the queue; nothing is emitted here.

        PENDING ones never arrived and are ignored, and so is what has nothing left to trade. What cannot rest (market,
        IOC, FOK) expires at once when time runs again.
        """
        for order in orders:
            if order.status is ExecutionStatus.PENDING or not order.leaves_quantity:
                continue
            working = self._open[order.client_order_id] = OpenOrder(order)
            if _must_end_at_once(order):
                self._timers.expire_at(order.updated_at, working)
            else:
                self._model(order.symbol).rest(working, self._market.time())
                self._arm(working)

    async def submit(self, order: Order) -> None:
        """Answer with NEW or REJECTED, then the fills; a repeated order is only acknowledged again."""
        self._timers.process()
        if order.client_order_id in self._open:
            self._say(ExecType.NEW, order)
            return
        working = OpenOrder(order)
        refusal = None if self.settle_s else self._refusal(working)
        if refusal is not None:
            self._say(ExecType.REJECTED, order, reason=refusal)
            return
        self._open[order.client_order_id] = working
        self._say(ExecType.NEW, order)
        if self.settle_s:
            self._timers.travel(self._arrive, working)
        else:
            self._activate(working)

    async def cancel(self, order: Order, reason: str) -> None:
        """Answer with CANCELED, or CANCEL_REJECTED when the order is not open here."""
        self._timers.process()
        working = self._open.get(order.client_order_id)
        if working is None:
            self._say(ExecType.CANCEL_REJECTED, order, reason=self._unknown())
        elif self.settle_s:
            self._timers.travel(self._cancel, working, reason)
        else:
            self._cancel(working, reason)

    async def amend(self, order: Order, asked: Replacement) -> None:
        """Answer with REPLACED, then the fills of an order that has joined anew; or with REPLACE_REJECTED.

        A quantity of no more than has traded completes the order: REPLACED with what has traded is the last report.
        """
        self._timers.process()
        working = self._open.get(order.client_order_id)
        if working is None:
            self._say(ExecType.REPLACE_REJECTED, order, request_id=asked.request_id, reason=self._unknown())
        elif self.settle_s:
            self._timers.travel(self._replace, working, asked)
        else:
            self._replace(working, asked)

    async def look_up(self, orders: Sequence[Order]) -> None:
        """Answer each with ORDER_STATUS, or NOT_FOUND when it is not open here; nothing that traded is repeated."""
        self._timers.process()
        for order in orders:
            working = self._open.get(order.client_order_id)
            if working is None:
                self._say(ExecType.NOT_FOUND, order, reason=self._unknown())
                continue
            traded = working.filled_quantity
            self._say(
                ExecType.ORDER_STATUS,
                order,
                order_status=ExecutionStatus.PARTIALLY_FILLED if traded else ExecutionStatus.SUBMITTED,
                filled_quantity=traded,
                leaves_quantity=working.leaves_quantity,
                quantity=working.quantity,
                price=working.limit,
            )

    async def run(self) -> None:
        """Let time pass: latency and expiry; returns only when cancelled."""
        for model in self._models.values():
            self._match(model, None)
        while True:
            self._timers.process()
            await self._timers.wait()

    def _on_market(self, symbol: str, trade: Trade | None) -> None:
        self._timers.process()
        model = self._models.get(symbol)
        if model is not None and self._market.suspicion(symbol) is None:  # nobody trades at a price that is none
            self._match(model, trade)

    def _match(self, model: FillModel, trade: Trade | None) -> None:
        for working, quantity in model.matched(trade, self._market.time()):
            self._fill(working, working.price, quantity, Liquidity.MAKER)

    def _refusal(self, working: OpenOrder) -> str | None:
        """Return why the venue would not have the order, or None."""
        order = working.order
        if self._market.quote(order.symbol) is None:
            return f"no market data for {order.symbol} yet: the {self.environment} venue cannot work the order"
        if order.post_only and (order.order_type is OrderType.MARKET or self._would_trade(working)):
            return "post-only order would take liquidity"
        return None

    def _would_trade(self, working: OpenOrder) -> bool:
        model = self._model(working.order.symbol)
        return model.crosses(working) or model.opposing(working) is not None

    def _arrive(self, working: OpenOrder) -> None:
        """The order arrives after its journey."""
        refusal = self._refusal(working)
        if refusal is None:
            self._activate(working)
        else:
            self._end(working, ExecType.REJECTED, refusal)

    def _activate(self, working: OpenOrder) -> None:
        """Put an accepted order into the book, unless its time is over."""
        expire_at = working.order.expire_at
        if expire_at is not None and expire_at <= self._clock.now():
            self._expire(working)
        elif self._work(working):
            self._arm(working)

    def _work(self, working: OpenOrder) -> bool:
        """Let the order take what it gets at once and rest with what is left; return whether it rests."""
        order = working.order
        model = self._model(order.symbol)
        is_fok = order.time_in_force is TimeInForce.FOK
        for price, quantity in model.take(working, all_or_nothing=is_fok):
            self._fill(working, price, quantity, Liquidity.TAKER)
        if not working.leaves_quantity:
            return False
        own = model.opposing(working)
        if own is not None:
            self._end(working, ExecType.EXPIRED, _self_trade(working, own))
        elif _must_end_at_once(order):
            self._end(working, ExecType.EXPIRED, _remainder(working))
        else:
            model.rest(working, self._market.time())
            return True
        return False

    def _arm(self, working: OpenOrder) -> None:
        if working.order.expire_at is not None:
            self._timers.expire_at(working.order.expire_at, working)

    def _cancel(self, working: OpenOrder, reason: str) -> None:
        if working.leaves_quantity:
            self._end(working, ExecType.CANCELED, reason)
        else:
            self._say(ExecType.CANCEL_REJECTED, working.order, reason="the order ended before the cancel arrived")

    def _replace(self, working: OpenOrder, asked: Replacement) -> None:
        order = working.order
        limit = working.limit if asked.price is None else asked.price
        refusal = self._replace_refusal(working, asked.quantity, limit)
        if refusal is not None:
            self._say(ExecType.REPLACE_REJECTED, order, request_id=asked.request_id, reason=refusal)
            return
        quantity = max(asked.quantity, working.filled_quantity)
        keeps_place = _keeps_place(working, quantity, limit)
        is_complete = quantity == working.filled_quantity
        model = self._model(order.symbol)
        if is_complete or not keeps_place:
            model.remove(working)
        working.amend(quantity, limit)
        if is_complete:
            del self._open[order.client_order_id]
        self._say(ExecType.REPLACED, order, request_id=asked.request_id, quantity=quantity, price=limit)
        if not is_complete and not keeps_place:
            self._work(working)

    def _replace_refusal(self, working: OpenOrder, quantity: Decimal, limit: Decimal | None) -> str | None:
        """Return why the venue would not have the new terms, or None."""
        order = working.order
        if not working.leaves_quantity:
            return "the order ended before the replacement arrived"
        if _must_end_at_once(order):
            return f"a {_kind(order)} order cannot be replaced"
        if order.post_only and not _keeps_place(working, quantity, limit):
            moved = OpenOrder(msgspec.structs.replace(order, price=limit))
            if self._would_trade(moved):
                return "post-only order would take liquidity on its new terms"
        return None

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
                filled_quantity=working.filled_quantity,
            )
        )

    def _end(self, working: OpenOrder, how: ExecType, reason: str) -> None:
        working.leaves_quantity = ZERO
        del self._open[working.order.client_order_id]
        self._model(working.order.symbol).remove(working)
        counted = working.filled_quantity if how in _ENDS else None
        self._say(how, working.order, reason=reason, filled_quantity=counted)

    def _expire(self, working: OpenOrder) -> None:
        order = working.order
        if _must_end_at_once(order):
            reason = f"{_kind(order)} order was not worked before the {self.environment} venue stopped"
        else:
            reason = f"{order.time_in_force} order reached its end at {order.expire_at}"
        self._end(working, ExecType.EXPIRED, reason)

    def _say(self, exec_type: ExecType, order: Order, **facts: Any) -> None:
        known = exec_type not in _ABOUT_NO_OPEN_ORDER
        self._emit(
            ExecutionReport(
                exec_type=exec_type,
                client_order_id=order.client_order_id,
                ts_event=self._market.time(),
                venue_order_id=self.venue_prefix + order.client_order_id if known else None,
                **facts,
            )
        )

    def _unknown(self) -> str:
        return f"the {self.environment} venue has no such open order"

    def _model(self, symbol: str) -> FillModel:
        model = self._models.get(symbol)
        if model is None:
            model = self._models[symbol] = self._new_model(self._market.book(symbol))
        return model


def _must_end_at_once(order: Order) -> bool:
    return order.order_type is OrderType.MARKET or order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)


def _kind(order: Order) -> str:
    immediate = order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    return str(order.time_in_force) if immediate else "market"


def _remainder(working: OpenOrder) -> str:
    """Return why an order that cannot rest ended, and with how much left."""
    order, left = working.order, working.leaves_quantity
    within = "" if working.limit is None else f" within the limit {working.limit}"
    if order.time_in_force is TimeInForce.FOK:
        return f"FOK order of {left} expired: the book held less{within}"
    return f"{_kind(order)} remainder {left} expired: the book held no more{within}"


def _self_trade(working: OpenOrder, own: OpenOrder) -> str:
    """Return why an order ended that met an own resting one."""
    what = f"{_kind(working.order)} order of" if working.order.time_in_force is TimeInForce.FOK else "remainder"
    return (
        f"self-trade prevention: {what} {working.leaves_quantity} expired: next it would have traded with the own "
        f"resting order {own.order.client_order_id} at {own.price}"
    )


def _keeps_place(working: OpenOrder, quantity: Decimal, limit: Decimal | None) -> bool:
    """Whether the order keeps its place in the queue on these terms."""
    return limit == working.limit and quantity <= working.quantity
