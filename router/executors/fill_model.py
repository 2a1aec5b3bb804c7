"""When does a simulated order trade? The models, one object per symbol.

``QueueModel``, the default, errs on the pessimistic side: an order waits behind everything that was displayed
at its price when it joined, no displayed or traded quantity is given out twice, and where the book cannot
see, the queue is taken to be endless. What it is not told (cancels ahead that happen while our price is away
from the touch) it does not use. Streams arrive apart, so a print may be older than the book that is shown: for
``PRINTS_LATE`` no print counts for an order that has just joined, and a shown size that has just shrunk shortens no
queue, or the same trade would serve it twice. ``InstantModel`` fills at the touch, for demonstrations and tests.
This module must not know reports, fees, clocks or feeds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from router.domain.enums import OrderSide
from router.domain.market import Trade
from router.domain.order import ZERO
from router.executors.resting import ANY_PRICE, OpenOrder, RestingSide, rank
from router.market.book import UNLIMITED, DepthBook, Level

PRINTS_LATE: Final = timedelta(milliseconds=150)
"""How much later than the book a trade may be told: on Binance's spot streams half of them come after the quote that
they caused, 99 % within 110 ms."""
Filled: TypeAlias = tuple[OpenOrder, Decimal]
"""A resting order and the quantity that trades now, at its own price."""

OPPOSITE: Final = MappingProxyType({OrderSide.BUY: OrderSide.SELL, OrderSide.SELL: OrderSide.BUY})


class FillModel(Protocol):
    """Decides the fills of one symbol. Whoever asks reduces ``leaves_quantity`` before asking again."""

    def crosses(self, order: OpenOrder) -> bool:
        """Whether the order would take liquidity at its limit."""
        ...

    def opposing(self, order: OpenOrder) -> OpenOrder | None:
        """Return the own resting order of the other side that trades first with ``order`` at its limit, or None."""
        ...

    def take(self, order: OpenOrder, *, all_or_nothing: bool) -> list[Level]:
        """Return price and quantity, level by level, of what an arriving order gets at once.

        Only levels strictly better than the opposing own order's price: two own orders never trade.
        """
        ...

    def rest(self, order: OpenOrder, now: datetime) -> None:
        """Let the order wait at its price; ``now`` is market time."""
        ...

    def remove(self, order: OpenOrder) -> None:
        """Forget an order that ended otherwise; one that never rested is fine."""
        ...

    def matched(self, trade: Trade | None, now: datetime) -> list[Filled]:
        """Return what resting orders get from the update just applied: a trade, or None for a changed book.

        An order that is filled by it is forgotten.
        """
        ...


class _Model:
    """What both models have: the book, and the own resting orders."""

    def __init__(self, book: DepthBook) -> None:
        self._book = book
        self._resting = {side: RestingSide() for side in OrderSide}

    def crosses(self, order: OpenOrder) -> bool:
        touch = self._book.ladder(OPPOSITE[order.side]).best()
        return touch is not None and rank(order.side, touch[0]) <= order.rank

    def opposing(self, order: OpenOrder) -> OpenOrder | None:
        own = self._resting[OPPOSITE[order.side]].next
        return own if own is not None and -own.rank <= order.rank else None


class InstantModel(_Model):
    """Everything fills whole as soon as the touch allows it, at the touch or at the resting order's price."""

    def take(self, order: OpenOrder, *, all_or_nothing: bool) -> list[Level]:  # noqa: ARG002 - all, always
        touch = self._book.ladder(OPPOSITE[order.side]).best()
        if touch is None or not self.crosses(order):
            return []
        own = self.opposing(order)
        return (
            [] if own is not None and rank(order.side, touch[0]) >= -own.rank else [(touch[0], order.leaves_quantity)]
        )

    def rest(self, order: OpenOrder, now: datetime) -> None:  # noqa: ARG002 - nothing queues
        self._resting[order.side].add(order)

    def remove(self, order: OpenOrder) -> None:
        self._resting[order.side].remove(order)

    def matched(self, trade: Trade | None, now: datetime) -> list[Filled]:  # noqa: ARG002 - nothing queues
        filled: list[Filled] = []
        if trade is not None:
            return filled
        for side in self._resting.values():
            while (order := side.next) is not None and self.crosses(order):
                side.remove(order)
                filled.append((order, order.leaves_quantity))
        return filled


class QueueModel(_Model):
    """Walks the displayed book for arriving orders; lets resting ones queue for the printed trades."""

    def __init__(self, book: DepthBook) -> None:
        super().__init__(book)
        self._consumption = book.consumption()
        self._queues = {side: _QueueSide(side, book, resting) for side, resting in self._resting.items()}

    def take(self, order: OpenOrder, *, all_or_nothing: bool) -> list[Level]:
        side = OPPOSITE[order.side]
        levels: list[Level] = []
        left = order.leaves_quantity
        own = self.opposing(order)
        for price, available in self._consumption.levels(side):
            at = rank(order.side, price)
            if not left or at > order.rank or (own is not None and at >= -own.rank):
                break
            quantity = min(left, available)
            levels.append((price, quantity))
            left -= quantity
        if left and all_or_nothing:
            return []
        for price, quantity in levels:
            self._consumption.take(side, price, quantity)
        return levels

    def rest(self, order: OpenOrder, now: datetime) -> None:
        self._queues[order.side].join(order, now)

    def remove(self, order: OpenOrder) -> None:
        self._queues[order.side].leave(order)

    def matched(self, trade: Trade | None, now: datetime) -> list[Filled]:
        if trade is not None:
            return self._queues[OPPOSITE[trade.side]].traded(trade, now)
        filled: list[Filled] = []
        for queue in self._queues.values():
            queue.look(now)
            while (order := queue.orders.next) is not None and self.crosses(order):
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


class _QueueSide:
    """One side's resting orders and their places in the queues."""

    def __init__(self, side: OrderSide, book: DepthBook, orders: RestingSide) -> None:
        self.orders = orders
        self._side = side
        self._book = book
        self._ladder = book.ladder(side)
        self._by_rank: dict[Decimal, _PriceQueue] = {}  # only prices that were looked at with orders of ours
        self._seen: Level | None = None
        self._later: deque[tuple[datetime, Callable[..., None], tuple[Any, ...]]] = deque()
        self._now: datetime | None = None

    def join(self, order: OpenOrder, now: datetime) -> None:
        self._settle(now)
        displayed = self._book.displayed(self._side, order.price)
        order.mark = UNLIMITED if displayed is None else displayed
        order.is_placed = False
        self.orders.add(order)
        self._later.append((now + PRINTS_LATE, self._place, (order, order.sequence)))

    def _place(self, order: OpenOrder, sequence: int) -> None:
        """From now on prints count for the order, unless it has moved."""
        if order.sequence == sequence:
            order.is_placed = True
            if order.rank in self._by_rank:
                order.mark += self._by_rank[order.rank].gone

    def leave(self, order: OpenOrder) -> None:
        if self.orders.remove(order) and self._by_rank and self.orders.newest_at(order.rank) is None:
            self._by_rank.pop(order.rank, None)

    def look(self, now: datetime) -> None:
        """Note what is displayed, to shorten the queues: the size at the touch, nothing at prices it has left."""
        self._settle(now)
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
        due = now + PRINTS_LATE
        if newest is not None:
            self._later.append((due, self._shrink, (at, touch[1], newest.sequence)))
        left = ANY_PRICE if seen is None else rank(self._side, seen[0])
        for order in self.orders.newest_per_price(above=at, up_to=left):
            self._later.append((due, self._shrink, (order.rank, ZERO, order.sequence)))

    def _shrink(self, at: Decimal, displayed: Decimal, newest: int) -> None:
        if self.orders.newest_at(at) is not None:
            self._queue(at).shrink(displayed, newest)

    def _settle(self, now: datetime) -> None:
        """Let everything count before which no more print can come; when the clock was set back, all."""
        is_back = self._now is not None and now < self._now
        self._now = now
        while self._later and (is_back or self._later[0][0] <= now):
            _, count, arguments = self._later.popleft()
            count(*arguments)

    def traded(self, trade: Trade, now: datetime) -> list[Filled]:
        """Give a printed trade out once: through better prices first, then to the queue at its own price."""
        self._settle(now)
        filled: list[Filled] = []
        at = rank(self._side, trade.price)
        left = trade.quantity
        for order in self.orders.down_to(at):
            if not order.is_placed:
                continue
            if order.rank == at:
                left -= self._queue(at).advance(order, left)
            quantity = min(left, order.leaves_quantity)
            if not quantity:
                break
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
