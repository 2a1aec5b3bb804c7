"""What an account and its strategies hold, work and may, summed up from the journal's events alone.

It is made to be obviously right, not fast, and shares no line with ``router/risk``: every position that some of the
working orders can lead to is enumerated.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from router import OrderIntent
from router.domain.events import (
    Cancelled,
    Errored,
    Event,
    Expired,
    Filled,
    OrderEvent,
    PartiallyFilled,
    Pending,
    PendingReplace,
    Rejected,
    Replaced,
    ReplaceRejected,
    TradeBusted,
)

D = Decimal
CASH = D(100000)
PRICE = {"BTC/USD": D(50000), "ETH/USD": D(2500)}
UNIT = {"BTC/USD": D("0.1"), "ETH/USD": D(2)}
"""One unit is worth 5,000 USD, 5 % of the account."""
LIMITED: dict[str, dict[str, Any]] = {
    "": {"position": {"BTC/USD": D("0.8"), "ETH/USD": D(20)}, "exposure": D("0.65"), "share": D("0.45"), "orders": 7},
    "maker": {"position": {"BTC/USD": D("0.2"), "ETH/USD": D(8)}, "exposure": D("0.25"), "orders": 3},
    "taker": {"position": {"BTC/USD": D("0.3")}, "share": D("0.2")},
}
"""What the account and two strategies may, by "" and their names; "free" and None are bounded by the account only."""
ENDS = Cancelled | Rejected | Expired | Errored


class Working:
    """One order as its events tell it."""

    def __init__(self, asked: OrderIntent) -> None:
        assert isinstance(asked.quantity, Decimal)
        self.symbol, self.side, self.strategy = str(asked.symbol), str(asked.side), asked.strategy_key
        self.quantity, self.price = asked.quantity, asked.price if asked.order_type == "limit" else None
        self.asked: dict[str, tuple[Decimal, Any]] = {}
        self.filled = D(0)
        self.ended = False
        self.reduced: set[str] = set()
        """Whose positions it reduced when it came, or would have if it was flagged: no size was asked of it."""

    @property
    def leaves(self) -> Decimal:
        """What may still trade, whatever is granted of what was asked for."""
        most = max([self.quantity, *(quantity for quantity, _ in self.asked.values())])
        return D(0) if self.ended else most - self.filled

    @property
    def sign(self) -> int:
        return 1 if self.side == "buy" else -1


class Model:
    """Orders, positions and cash, by nothing but the events."""

    def __init__(self) -> None:
        self.orders: dict[str, Working] = {}
        self.positions: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        """By whose ("" is the account's) and symbol."""
        self.cash: dict[str, Decimal] = defaultdict(Decimal, {"": CASH})
        self.marks = dict(PRICE)

    def take(self, event: Event) -> None:
        if not isinstance(event, OrderEvent) or event.client_order_id is None:
            return
        if isinstance(event, Pending):
            self.orders[event.client_order_id] = Working(event.intent)
            return
        order = self.orders.get(event.client_order_id)
        match event:
            case _ if order is None:
                pass  # an answer to what never became an order
            case PartiallyFilled() | Filled():
                self._trade(order, event, 1)
            case TradeBusted():
                self._trade(order, event, -1)
            case PendingReplace(request_id=request, quantity=quantity, price=price):
                order.asked[request] = quantity, price
            case Replaced(request_id=request, quantity=quantity, price=price):
                order.asked.pop(request or "", None)
                order.quantity, order.price = quantity, price
            case ReplaceRejected(request_id=request):
                order.asked.pop(request, None)
            case _ if isinstance(event, ENDS):
                order.ended, order.asked = True, {}

    def _trade(self, order: Working, event: Any, way: int) -> None:
        order.filled += way * event.last_quantity
        for name in {"", order.strategy or ""}:
            self.positions[name, order.symbol] += way * order.sign * event.last_quantity
            self.cash[name] -= way * order.sign * event.last_quantity * event.last_price

    def working(self, name: str, symbol: str | None = None) -> list[Working]:
        """Return what works, of the account or of one strategy."""
        return [
            order
            for order in self.orders.values()
            if order.leaves and name in ("", order.strategy) and symbol in (None, order.symbol)
        ]

    def reachable(self, name: str, symbol: str) -> set[Decimal]:
        """Return every position that some of the working orders, filled whole or not at all, lead to."""
        found = {self.positions[name, symbol]}
        for order in self.working(name, symbol):
            found |= {position + order.sign * order.leaves for position in found}
        return found

    @property
    def equity(self) -> Decimal:
        return self.cash[""] + sum(self.positions["", symbol] * mark for symbol, mark in self.marks.items())

    def over(self, name: str, counted: int, wanted: Working | None = None) -> set[str]:
        """Return which of somebody's limits some fills would exceed; those by symbol or asset only for what is
        ``wanted``, and on its side."""
        own, reached = LIMITED[name], {symbol: self.reachable(name, symbol) for symbol in PRICE}
        side = wanted.sign if wanted is not None else 0
        looked_at = [wanted.symbol] if wanted is not None else list(PRICE)
        sizes = {symbol: max(each * side if side else abs(each) for each in reached[symbol]) for symbol in looked_at}
        values = {symbol: max(map(abs, reached[symbol])) * self.marks[symbol] / self.equity for symbol in PRICE}
        found = {
            "position": any(size > own["position"].get(symbol, 1000) for symbol, size in sizes.items()),
            "exposure": sum(values.values()) > own.get("exposure", 1000),
            "share": max(values[symbol] for symbol in looked_at) > own.get("share", 1000),
            "orders": counted > own.get("orders", 1000),
        }
        return {limit for limit, exceeded in found.items() if exceeded}

    def exceeded(self, name: str) -> set[str]:
        """Return which limits some fills would exceed now; orders that reduced when they came are not counted."""
        return self.over(name, sum(name not in order.reduced for order in self.working(name)))

    def reduces(self, name: str, wanted: Working) -> bool:
        """Whether it and what works on its side, all filled, leave something of a position, or nothing."""
        others = (order.leaves for order in self.working(name, wanted.symbol) if order.side == wanted.side)
        return self.positions[name, wanted.symbol] * -wanted.sign >= sum(others, wanted.leaves)

    def judged(self, wanted: Working, instead_of: str | None, *, flagged: bool) -> tuple[bool, set[str]]:
        """Return whether every limit is kept if ``wanted`` works too, or ``instead_of`` another; and whose position it
        reduces."""
        before = self.orders
        self.orders = {name: order for name, order in before.items() if name != instead_of}
        try:
            reduced = {name for name in LIMITED if self.reduces(name, wanted)}
            if flagged and "" not in reduced:
                return False, reduced
            self.orders["wanted"] = wanted
            owners = {name for name in LIMITED if name in ("", wanted.strategy)} - reduced
            return not any(self.over(name, len(self.working(name)), wanted) for name in owners), reduced
        finally:
            self.orders = before
