"""A simulated venue on a virtual clock, with words to drive it."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from router.clock import VirtualClock
from router.domain.enums import ExecType, OrderSide, OrderType
from router.domain.market import Quote, Trade
from router.domain.order import Order, Replacement
from router.domain.report import ExecutionReport
from router.executors.fill_model import PRINTS_LATE
from router.executors.paper import PaperExecutor
from router.market.book import DepthUpdate, Level
from router.market.quotes import MarketData

BUY, SELL = OrderSide.BUY, OrderSide.SELL
SYMBOL = "BTC/USDT"
Number = Decimal | int | str


def at_once(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that must not suspend."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise AssertionError("it suspended")


class Venue:
    """A paper executor, what it said, and the market it sees."""

    def __init__(
        self,
        *,
        fill_model: str = "queue",
        latency_ms: int = 0,
        kind: type[PaperExecutor] = PaperExecutor,
        market: MarketData | None = None,
        clock: VirtualClock | None = None,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.market = market or MarketData(self.clock)
        self.reports: list[ExecutionReport] = []
        self.executor = kind(
            "paper",
            self.market,
            self.clock,
            self.reports.append,
            maker_fee_bps=Decimal(1),
            taker_fee_bps=Decimal(10),
            latency_ms=latency_ms,
            fill_model=fill_model,
        )
        self._names = count(1)
        self._update_id = 0

    def order(self, side: OrderSide, quantity: Number, price: Number | None = None, **more: Any) -> Order:
        """Return an order: limit with a price, market without."""
        return Order(
            client_order_id=more.pop("client_order_id", f"O{next(self._names)}"),
            run_id="run",
            symbol=more.pop("symbol", SYMBOL),
            side=side,
            order_type=more.pop("order_type", OrderType.MARKET if price is None else OrderType.LIMIT),
            quantity=Decimal(quantity),
            price=None if price is None else Decimal(price),
            environment="paper",
            created_at=self.clock.now(),
            updated_at=self.clock.now(),
            **more,
        )

    def submit(self, side: OrderSide, quantity: Number, price: Number | None = None, **more: Any) -> Order:
        """Submit an order and return it."""
        order = self.order(side, quantity, price, **more)
        at_once(self.executor.submit(order))
        return order

    def cancel(self, order: Order, reason: str = "enough") -> None:
        at_once(self.executor.cancel(order, reason))

    def amend(self, order: Order, quantity: Number, price: Number | None = None, request_id: str = "R1") -> None:
        """Ask for other terms; without a price the order keeps its own."""
        wanted = order.price if price is None else Decimal(price)
        at_once(self.executor.amend(order, Replacement(request_id, Decimal(quantity), wanted)))

    def quote(self, bid: Number, ask: Number, bid_size: Number | None = 1, ask_size: Number | None = 1) -> None:
        """Say the best bid and ask; size None is unlimited."""
        self._pause()
        self.market.apply(
            Quote(
                SYMBOL,
                Decimal(bid),
                Decimal(ask),
                None if bid_size is None else Decimal(bid_size),
                None if ask_size is None else Decimal(ask_size),
                self.clock.now(),
                self.clock.monotonic(),
            )
        )

    def depth(self, bids: list[Level], asks: list[Level], *, snapshot: bool = False) -> None:
        """Say a depth message, the next in sequence."""
        self._pause()
        self._update_id += 1
        self.market.apply(
            DepthUpdate(
                symbol=SYMBOL,
                snapshot=snapshot,
                first_id=self._update_id,
                last_id=self._update_id,
                prev_id=None,
                bids=bids,
                asks=asks,
                ts_event=self.clock.now(),
            )
        )

    def trade(
        self, side: OrderSide, price: Number, quantity: Number, at: datetime | None = None, *, late: bool = False
    ) -> None:
        """Print a trade; ``side`` is the aggressor's. Late: it may be older than what was said just before."""
        if not late:
            self._pause()
        self.market.apply(Trade(SYMBOL, side, Decimal(price), Decimal(quantity), "T", at or self.clock.now()))

    def _pause(self) -> None:
        """Let so much time pass that whatever comes now is newer than what was there."""
        self.clock.jump(PRINTS_LATE.total_seconds())

    def said(self) -> list[ExecType]:
        """Return the kinds of all reports so far, and forget them."""
        kinds = [report.exec_type for report in self.reports]
        self.reports.clear()
        return kinds

    def fills(self, order: Order | None = None) -> list[tuple[object, object]]:
        """Return (price, quantity) of all fills so far."""
        return [
            (report.last_price, report.last_quantity)
            for report in self.reports
            if report.last_price is not None
            and report.last_quantity is not None
            and (order is None or report.client_order_id == order.client_order_id)
        ]


def levels(*pairs: tuple[Number, Number]) -> list[Level]:
    return [(Decimal(price), Decimal(size)) for price, size in pairs]
