"""Our open orders inside a simulated venue, in price-time priority.

A price is compared by its rank: higher is better for the order's own side. So one sorted list serves both
sides, the order that trades next is its last entry, and an update that triggers nothing looks at one entry
only.
This module must not know what makes an order trade.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from decimal import Decimal
from typing import Final, TypeAlias

from router.domain.enums import OrderSide, OrderType
from router.domain.order import ZERO, Order

ANY_PRICE: Final = Decimal("Infinity")
"""The rank of a market order: no price is too bad for it."""


class OpenOrder:
    """An order the simulated venue has accepted, on the terms now in force, and what it remembers of it.

    ``order`` is what was submitted; ``quantity`` and ``limit`` (None: market) follow the replacements.
    ``leaves_quantity`` can still trade (0: the order has ended), ``filled_quantity`` has traded (base units).
    ``sequence`` is its place in time; ``mark`` its place in the queue at its price, and ``is_placed`` whether prints
    count for it yet (see ``fill_model``).
    """

    __slots__ = (
        "filled_quantity",
        "is_placed",
        "leaves_quantity",
        "limit",
        "mark",
        "order",
        "quantity",
        "rank",
        "sequence",
        "side",
    )

    def __init__(self, order: Order) -> None:
        self.order = order
        self.side = order.side
        self.filled_quantity = order.filled_quantity
        self.sequence = 0
        self.mark = ZERO
        self.is_placed = False
        self.amend(order.quantity, order.price if order.order_type is OrderType.LIMIT else None)

    @property
    def price(self) -> Decimal:
        """The limit price, quote units; only an order with one can rest."""
        assert self.limit is not None, "a resting order has a price"
        return self.limit

    def amend(self, quantity: Decimal, limit: Decimal | None) -> None:
        """Put other terms in force; ``quantity`` is not below what has traded. A new limit: only while not resting."""
        self.quantity = quantity
        self.leaves_quantity = quantity - self.filled_quantity
        self.limit = limit
        self.rank = ANY_PRICE if limit is None else rank(self.side, limit)


_Entry: TypeAlias = tuple[Decimal, int, OpenOrder]


def rank(side: OrderSide, price: Decimal) -> Decimal:
    """Return the number by which prices of one side compare: higher trades first."""
    return price if side is OrderSide.BUY else -price


class RestingSide:
    """The resting orders of one symbol and side."""

    __slots__ = ("_entries", "_joined")

    def __init__(self) -> None:
        self._entries: list[_Entry] = []  # ascending by (rank, -sequence): the last is next
        self._joined = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def next(self) -> OpenOrder | None:
        """The order that trades next, or None."""
        return self._entries[-1][2] if self._entries else None

    def add(self, order: OpenOrder) -> None:
        """Rest ``order`` behind all others at its price."""
        assert order.rank != ANY_PRICE, "a market order cannot rest"
        self._joined += 1
        order.sequence = self._joined
        insort(self._entries, (order.rank, -order.sequence, order))

    def remove(self, order: OpenOrder) -> bool:
        """Take ``order`` out; False when it was not here."""
        entries = self._entries
        index = bisect_left(entries, (order.rank, -order.sequence, order)) if order.sequence else len(entries)
        if index == len(entries) or entries[index][2] is not order:
            return False
        del entries[index]
        return True

    def down_to(self, at: Decimal) -> Iterator[OpenOrder]:
        """Yield the orders with rank >= ``at``, the next first; the one yielded last may be removed meanwhile."""
        entries = self._entries
        index = len(entries) - 1
        while index >= 0 and entries[index][0] >= at:
            yield entries[index][2]
            index -= 1

    def newest_at(self, at: Decimal) -> OpenOrder | None:
        """Return the last order in the queue at rank ``at``, or None when none rests there."""
        index = bisect_left(self._entries, at, key=_rank_of)
        if index == len(self._entries) or self._entries[index][0] != at:
            return None
        return self._entries[index][2]

    def newest_per_price(self, above: Decimal, up_to: Decimal) -> list[OpenOrder]:
        """Return the last order in the queue of each price with ``above`` < rank <= ``up_to``."""
        found = []
        index = bisect_right(self._entries, above, key=_rank_of)
        while index < len(self._entries) and self._entries[index][0] <= up_to:
            newest = self._entries[index][2]
            found.append(newest)
            index = bisect_right(self._entries, newest.rank, lo=index, key=_rank_of)
        return found


def _rank_of(entry: _Entry) -> Decimal:
    return entry[0]
