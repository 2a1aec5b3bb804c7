"""When does a simulated order trade? The models, one object per symbol.

``QueueModel``, the default, errs on the pessimistic side: an order waits behind everything that was displayed
at its price when it joined, no displayed or traded quantity is given out twice, and where the book cannot
see, the queue is taken to be endless. What it is not told (cancels ahead that happen while our price is away
from the touch) it does not use. ``InstantModel`` fills at the touch, for demonstrations and tests.
This module must not know reports, fees, clocks or feeds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from router.domain.enums import OrderSide
from router.domain.market import Trade
from router.domain.order import ZERO
from router.executors.resting import ANY_PRICE, OpenOrder, RestingSide, rank
from router.market.book import UNLIMITED, DepthBook, Level

Filled: TypeAlias = tuple[OpenOrder, Decimal]
"""A resting order and the quantity that trades now, at its own price."""

OPPOSITE: Final = MappingProxyType({OrderSide.BUY: OrderSide.SELL, OrderSide.SELL: OrderSide.BUY})


class FillModel(Protocol):
    """Decides the fills of one symbol. Whoever asks reduces ``leaves_quantity`` before asking again."""

    def crosses(self, order: OpenOrder) -> bool:
        """Whether the order would take liquidity at its limit."""
        ...

    def take(self, order: OpenOrder, *, all_or_nothing: bool) -> list[Level]:
        """Return price and quantity, level by level, of what an arriving order gets at once."""
        ...

    def rest(self, order: OpenOrder) -> None:
        """Let the order wait at its price."""
        ...

    def remove(self, order: OpenOrder) -> None:
        """Forget an order that ended otherwise; one that never rested is fine."""
        ...

    def matched(self, trade: Trade | None) -> list[Filled]:
        """Return what resting orders get from the update just applied: a trade, or None for a changed book.

        An order that is filled by it is forgotten.
        """
        ...


class InstantModel:
    """Everything fills whole as soon as the touch allows it, at the touch or at the resting order's price."""

    def __init__(self, book: DepthBook) -> None:
        self._book = book
        self._sides = {side: RestingSide() for side in OrderSide}

    def crosses(self, order: OpenOrder) -> bool:
        return _crosses(self._book, order)

    def take(self, order: OpenOrder, *, all_or_nothing: bool) -> list[Level]:  # noqa: ARG002 - all, always
        touch = self._book.ladder(OPPOSITE[order.side]).best()
        return [(touch[0], order.leaves_quantity)] if touch is not None and self.crosses(order) else []

    def rest(self, order: OpenOrder) -> None:
        self._sides[order.side].add(order)

    def remove(self, order: OpenOrder) -> None:
        self._sides[order.side].remove(order)

    def matched(self, trade: Trade | None) -> list[Filled]:
        filled: list[Filled] = []
        if trade is not None:
            return filled
        for side in self._sides.values():
            while (order := side.next) is not None and _crosses(self._book, order):
                side.remove(order)
                filled.append((order, order.leaves_quantity))
        return filled


class QueueModel:
    """Walks the displayed book for arriving orders; lets resting ones queue for the printed trades."""

    def __init__(self, book: DepthBook) -> None:
        self._book = book
        self._consumption = book.consumption()
        self._queues = {side: _QueueSide(side, book) for side in OrderSide}

    def crosses(self, order: OpenOrder) -> bool:
        return _crosses(self._book, order)

    def take(self, order: OpenOrder, *, all_or_nothing: bool) -> list[Level]:
        side = OPPOSITE[order.side]
        levels: list[Level] = []
        left = order.leaves_quantity
        for price, available in self._consumption.levels(side):
            if not left or rank(order.side, price) > order.rank:
                break
            quantity = min(left, available)
            levels.append((price, quantity))
            left -= quantity
        if left and all_or_nothing:
            return []
        for price, quantity in levels:
            self._consumption.take(side, price, quantity)
        return levels

    def rest(self, order: OpenOrder) -> None:
        self._queues[order.side].join(order)

    def remove(self, order: OpenOrder) -> None:
        self._queues[order.side].leave(order)

    def matched(self, trade: Trade | None) -> list[Filled]:
        if trade is not None:
            return self._queues[OPPOSITE[trade.side]].traded(trade)
        filled: list[Filled] = []
        for queue in self._queues.values():
            queue.look()
            while (order := queue.orders.next) is not None and _crosses(self._book, order):
                quantity = sum((quantity for _, quantity in self.take(order, all_or_nothing=False)), ZERO)
                if quantity:
                    filled.append((order, quantity))
                if quantity < order.leaves_quantity:
                    break  # the next one could not take more than this one left
                queue.leave(order)
        return filled


FILL_MODELS: Final[Mapping[str, type[QueueModel | InstantModel]]] = MappingProxyType(
    {"queue": QueueModel, "instant": InstantModel}
)
"""The models by the name that configuration gives them."""


def _crosses(book: DepthBook, order: OpenOrder) -> bool:
    """Whether the displayed touch of the other side is within the order's limit."""
    touch = book.ladder(OPPOSITE[order.side]).best()
    return touch is not None and rank(order.side, touch[0]) <= order.rank


class _QueueSide:
    """One side's resting orders and their places in the queues."""

    def __init__(self, side: OrderSide, book: DepthBook) -> None:
        self.orders = RestingSide()
        self._side = side
        self._book = book
        self._ladder = book.ladder(side)
        self._by_rank: dict[Decimal, _PriceQueue] = {}  # only prices that were looked at with orders of ours
        self._seen: Level | None = None

    def join(self, order: OpenOrder) -> None:
        displayed = self._book.displayed(self._side, order.price)
        order.mark = UNLIMITED if displayed is None else displayed
        if order.rank in self._by_rank:
            order.mark += self._by_rank[order.rank].gone
        self.orders.add(order)

    def leave(self, order: OpenOrder) -> None:
        if self.orders.remove(order) and self._by_rank and self.orders.newest_at(order.rank) is None:
            self._by_rank.pop(order.rank, None)

    def look(self) -> None:
        """Shorten the queues to what is displayed: its size at the touch, nothing at prices it has left."""
        touch, seen, best = self._ladder.best(), self._seen, self.orders.next
        if touch == seen:
            return
        self._seen = touch
        if touch is None or best is None:
            return
        at = rank(self._side, touch[0])
        if best.rank < at:
            return
        newest = self.orders.newest_at(at)
        if newest is not None:
            self._queue(at).shrink(touch[1], newest.sequence)
        left = ANY_PRICE if seen is None else rank(self._side, seen[0])
        for order in self.orders.newest_per_price(above=at, up_to=left):
            self._queue(order.rank).shrink(ZERO, order.sequence)

    def traded(self, trade: Trade) -> list[Filled]:
        """Give a printed trade out once: through better prices first, then to the queue at its own price."""
        filled: list[Filled] = []
        at = rank(self._side, trade.price)
        left = trade.quantity
        while left and (order := self.orders.next) is not None and order.rank >= at:
            if order.rank == at:
                left -= self._queue(at).advance(order, left)
                if not left:
                    break
            quantity = min(left, order.leaves_quantity)
            left -= quantity
            filled.append((order, quantity))
            if quantity == order.leaves_quantity:
                self.leave(order)
        return filled

    def _queue(self, at: Decimal) -> _PriceQueue:
        queue = self._by_rank.get(at)
        if queue is None:
            queue = self._by_rank[at] = _PriceQueue()
        return queue


class _PriceQueue:
    """The strangers ahead of our orders at one price.

    An order's ``mark`` is what was ahead when it joined, on a scale on which ``gone`` has been served. A queue
    that turns out shorter caps the marks of everyone who had joined by then; the caps are kept with rising
    marks, so that neither a look nor a trade visits every order.
    """

    __slots__ = ("_cap_marks", "_cap_sequences", "gone")

    def __init__(self) -> None:
        self.gone = ZERO
        self._cap_sequences: list[int] = []
        self._cap_marks: list[Decimal] = []

    def shrink(self, displayed: Decimal, newest: int) -> None:
        """Note that no more than ``displayed`` is ahead of anyone up to sequence ``newest``."""
        mark = self.gone + displayed
        while self._cap_marks and self._cap_marks[-1] >= mark:
            self._cap_marks.pop()
            self._cap_sequences.pop()
        if not self._cap_sequences or self._cap_sequences[-1] < newest:
            self._cap_marks.append(mark)
            self._cap_sequences.append(newest)

    def ahead(self, order: OpenOrder) -> Decimal:
        """Return what is still ahead of ``order``."""
        mark = order.mark
        index = bisect_left(self._cap_sequences, order.sequence)
        if index < len(self._cap_marks):
            mark = min(mark, self._cap_marks[index])
        return max(ZERO, mark - self.gone)

    def advance(self, order: OpenOrder, quantity: Decimal) -> Decimal:
        """Serve up to ``quantity`` of what is ahead of ``order``; return how much that was."""
        served = min(quantity, self.ahead(order))
        self.gone += served
        return served
