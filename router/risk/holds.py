"""What working orders may still do: reserved before the gate awaits, reduced by fills, released at the end.

Because a hold is taken in the same breath as the check, concurrent intents can never jointly pass a limit (P10). The
prices that our orders rest at are known too, so that no order of ours meets another (P20).
This module must not know limits, prices or why an order ends.
"""

from __future__ import annotations

import heapq
from decimal import Decimal
from typing import Final, NamedTuple

from router.domain.enums import OrderSide, OrderType
from router.domain.order import ZERO, Order

_STALE: Final = 64


class Working:
    """Leaves of all working orders of one symbol, base units."""

    __slots__ = ("buys", "sells")

    def __init__(self) -> None:
        self.buys = ZERO
        self.sells = ZERO

    def add(self, side: OrderSide, quantity: Decimal) -> None:
        if side is OrderSide.BUY:
            self.buys += quantity
        else:
            self.sells += quantity

    def extremes(self, position: Decimal) -> tuple[Decimal, Decimal]:
        """Return the lowest and the highest position that fills of the working orders can lead to."""
        return position - self.sells, position + self.buys

    def worst(self, position: Decimal) -> Decimal:
        """Return the largest absolute position that any fills can lead to."""
        low, high = self.extremes(position)
        return max(abs(low), abs(high))


class _Prices:
    """The prices that orders of one side of a symbol work at; the best of them in O(log n), never a scan."""

    __slots__ = ("_counts", "_heap", "_sign")

    def __init__(self, side: OrderSide) -> None:
        self._sign = -1 if side is OrderSide.BUY else 1  # the heap's first is the best: highest to buy, lowest to sell
        self._counts: dict[Decimal, int] = {}
        self._heap: list[Decimal] = []

    def add(self, price: Decimal) -> None:
        count = self._counts.get(price, 0)
        self._counts[price] = count + 1
        if not count:
            heapq.heappush(self._heap, price * self._sign)

    def remove(self, price: Decimal) -> None:
        count = self._counts[price] - 1
        if count:
            self._counts[price] = count
        else:
            del self._counts[price]
            if len(self._heap) > 2 * len(self._counts) + _STALE:  # what is gone leaves the heap by and by
                self._heap = [each * self._sign for each in self._counts]
                heapq.heapify(self._heap)

    def best(self) -> Decimal | None:
        while self._heap:
            price = self._heap[0] * self._sign
            if price in self._counts:
                return price
            heapq.heappop(self._heap)
        return None


class _Held(NamedTuple):
    """What one order holds; ``prices``: where it rests, or may soon."""

    symbol: str
    side: OrderSide
    leaves: Decimal
    prices: tuple[Decimal, ...]


class Holds:
    """The reservations of one environment."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._prices: dict[tuple[str, OrderSide], _Prices] = {}
        self.by_symbol: dict[str, Working] = {}

    def __len__(self) -> int:
        """How many orders hold something."""
        return len(self._held)

    def working(self, symbol: str) -> Working:
        """Return the leaves of ``symbol``'s working orders."""
        found = self.by_symbol.get(symbol)
        if found is None:
            found = self.by_symbol[symbol] = Working()
        return found

    def best(self, symbol: str, side: OrderSide) -> Decimal | None:
        """Return the best price at which an order of ours rests, or is asked to rest; None when there is none."""
        prices = self._prices.get((symbol, side))
        return None if prices is None else prices.best()

    def set(self, order: Order, leaves: Decimal) -> None:
        """Hold ``leaves`` for ``order`` instead of what it held before; 0 releases it."""
        before = self._held.pop(order.client_order_id, None)
        prices = _resting(order) if leaves > 0 else ()
        if leaves > 0:
            self._held[order.client_order_id] = _Held(order.symbol, order.side, leaves, prices)
        held = before.leaves if before is not None else ZERO
        if leaves != held:
            self.working(order.symbol).add(order.side, leaves - held)
        if before is None or before.prices != prices:
            self._move(order, before.prices if before is not None else (), prices)

    def _move(self, order: Order, old: tuple[Decimal, ...], new: tuple[Decimal, ...]) -> None:
        key = order.symbol, order.side
        if new and key not in self._prices:
            self._prices[key] = _Prices(order.side)
        for price in new:
            self._prices[key].add(price)
        for price in old:
            self._prices[key].remove(price)


def _resting(order: Order) -> tuple[Decimal, ...]:
    """Return the prices at which the order rests, or will if what was asked for is granted."""
    if order.order_type is not OrderType.LIMIT or order.price is None:
        return ()
    asked = (each.price for each in order.pending_replaces if each.price is not None and each.price != order.price)
    return (order.price, *asked)
