"""What working orders may still do: reserved before the gate awaits, reduced by fills, released at the end.

Because a hold is taken in the same breath as the check, concurrent intents can never jointly pass a limit (P10). The
prices that our orders rest at are known too, so that no order of ours meets another (P20).
This module must not know limits, marks or why an order ends.
"""

from __future__ import annotations

import heapq
from decimal import Decimal
from typing import Final

from router.domain.enums import OrderSide, OrderType
from router.domain.order import ZERO, Order

_STALE: Final = 64
_NOTHING: Final[tuple[Decimal, tuple[Decimal, ...]]] = ZERO, ()


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

    __slots__ = ("_buys", "_counts", "_heap")

    def __init__(self, side: OrderSide) -> None:
        self._buys = side is OrderSide.BUY
        self._counts: dict[Decimal, int] = {}
        self._heap: list[Decimal] = []

    def add(self, price: Decimal) -> None:
        count = self._counts.get(price, 0)
        self._counts[price] = count + 1
        if not count:
            heapq.heappush(self._heap, self._turned(price))

    def remove(self, price: Decimal) -> None:
        count = self._counts[price] - 1
        if count:
            self._counts[price] = count
        else:
            del self._counts[price]
            if len(self._heap) > 2 * len(self._counts) + _STALE:  # what is gone leaves the heap by and by
                self._heap = [self._turned(each) for each in self._counts]
                heapq.heapify(self._heap)

    def best(self) -> Decimal | None:
        while self._heap:
            price = self._turned(self._heap[0])
            if price in self._counts:
                return price
            heapq.heappop(self._heap)
        return None

    def _turned(self, price: Decimal) -> Decimal:
        """Return what the heap's first is the best of, the highest to buy and the lowest to sell; exact, and back."""
        return price.copy_negate() if self._buys else price


class Holds:
    """The reservations of one environment."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Decimal, tuple[Decimal, ...]]] = {}  # leaves, and where it rests or may soon
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
        before = self._held.get(order.client_order_id, _NOTHING)
        after = (leaves, _resting(order)) if leaves > 0 else _NOTHING
        if after == before:
            return
        if leaves > 0:
            self._held[order.client_order_id] = after
        else:
            del self._held[order.client_order_id]
        self.working(order.symbol).add(order.side, after[0] - before[0])
        if after[1] != before[1]:
            self._move(order, before[1], after[1])

    def _move(self, order: Order, old: tuple[Decimal, ...], new: tuple[Decimal, ...]) -> None:
        prices = self._prices.get((order.symbol, order.side))
        if prices is None:
            prices = self._prices[order.symbol, order.side] = _Prices(order.side)
        for price in new:
            prices.add(price)
        for price in old:
            prices.remove(price)


def _resting(order: Order) -> tuple[Decimal, ...]:
    """Return the prices at which the order rests, or will if what was asked for is granted."""
    if order.order_type is not OrderType.LIMIT or order.price is None:
        return ()
    if not order.pending_replaces:
        return (order.price,)
    asked = (each.price for each in order.pending_replaces if each.price is not None and each.price != order.price)
    return (order.price, *asked)
