"""What working orders may still do: reserved before the gate awaits, reduced by fills, released at the end.

Because a hold is taken in the same breath as the check, concurrent intents can never jointly pass a limit (P10).
This module must not know limits, prices or why an order ends.
"""

from __future__ import annotations

from decimal import Decimal

from router.domain.enums import OrderSide
from router.domain.order import ZERO, Order


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


class Holds:
    """The reservations of one environment."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, OrderSide, Decimal]] = {}
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

    def set(self, order: Order, leaves: Decimal) -> None:
        """Hold ``leaves`` for ``order`` instead of what it held before; 0 releases it."""
        _, _, before = self._held.pop(order.client_order_id, (None, None, ZERO))
        if leaves > 0:
            self._held[order.client_order_id] = (order.symbol, order.side, leaves)
        if leaves != before:
            self.working(order.symbol).add(order.side, leaves - before)
