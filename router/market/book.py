"""One symbol's order book, rebuilt from a depth stream and the faster stream of best quotes.

Two facts shape it. A venue numbers its updates, so whichever stream has the higher number speaks for the top
of the book: levels better than a newer best quote are stale, and its sizes are the top's. And a recorded
market does not know about us: what a simulation takes stays displayed, so each simulation keeps a
``Consumption`` and the same displayed quantity is never sold twice.
In this module the side BUY means the bids and SELL the asks. It must not know files, feeds, clocks or orders.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec

from router.domain.enums import OrderSide

ZERO: Final = Decimal(0)
UNLIMITED: Final = Decimal("Infinity")
"""The size of a quote that never runs out."""
Level: TypeAlias = tuple[Decimal, Decimal]
"""A price and a size."""
_EARLY_DIFFS_MAX: Final = 1000  # messages kept while no snapshot has come; at 100 ms that is 100 s
_TAKEN_LEVELS_MAX: Final = 1000  # a side; the ones furthest from the touch are forgotten first


class DepthUpdate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message of a depth stream; sizes are absolute, 0 removes the level.

    ``first_id`` to ``last_id`` are the venue's update numbers in it (a snapshot has only ``last_id``);
    ``prev_id`` is the last number of the message before, where the venue tells (perpetuals).
    """

    symbol: str
    snapshot: bool
    first_id: int
    last_id: int
    prev_id: int | None
    bids: list[Level]
    asks: list[Level]
    ts_event: datetime


class Ladder:
    """One side's levels: sizes by price, iterated best first."""

    __slots__ = ("_prices", "_sizes", "side")

    def __init__(self, side: OrderSide) -> None:
        self.side = side
        self._prices: list[Decimal] = []  # ascending: bids have their best last, asks first
        self._sizes: dict[Decimal, Decimal] = {}

    def __iter__(self) -> Iterator[Level]:
        sizes = self._sizes
        for price in reversed(self._prices) if self.side is OrderSide.BUY else self._prices:
            yield price, sizes[price]

    def __len__(self) -> int:
        return len(self._prices)

    def best(self) -> Level | None:
        """Return the best level, or None when the side is empty."""
        if not self._prices:
            return None
        price = self._prices[-1 if self.side is OrderSide.BUY else 0]
        return price, self._sizes[price]

    def worst_price(self) -> Decimal | None:
        """Return the price of the last level, or None when the side is empty."""
        return self._prices[0 if self.side is OrderSide.BUY else -1] if self._prices else None

    def size(self, price: Decimal) -> Decimal:
        """Return the size displayed at ``price``, 0 when there is none."""
        return self._sizes.get(price, ZERO)

    def set(self, price: Decimal, size: Decimal) -> None:
        """Make ``size`` the size displayed at ``price``; 0 removes the level."""
        if size:
            if price not in self._sizes:
                insort(self._prices, price)
            self._sizes[price] = size
        elif self._sizes.pop(price, None) is not None:
            del self._prices[bisect_left(self._prices, price)]

    def better_than(self, price: Decimal) -> list[Decimal]:
        """Return the prices that trade before ``price``."""
        if self.side is OrderSide.BUY:
            return self._prices[bisect_right(self._prices, price) :]
        return self._prices[: bisect_left(self._prices, price)]

    def replace(self, levels: Iterable[Level]) -> None:
        """Forget everything and hold ``levels``."""
        self._sizes = {price: size for price, size in levels if size}
        self._prices = sorted(self._sizes)


class DepthBook:
    """The book of one symbol; only its best quote while no depth can be trusted."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids = Ladder(OrderSide.BUY)
        self.asks = Ladder(OrderSide.SELL)
        self.gaps = 0
        """How often the depth stream lost messages."""
        self.is_deep = False
        """Whether a snapshot and every diff since are in the book."""
        self._last_id = -1
        self._after_snapshot = False
        self._early: deque[DepthUpdate] = deque(maxlen=_EARLY_DIFFS_MAX)
        self._quote_id = -1
        self._best: tuple[Level, Level] | None = None
        self._hidden: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
        self._consumptions: list[Consumption] = []

    def ladder(self, side: OrderSide) -> Ladder:
        """Return the bids for BUY, the asks for SELL."""
        return self.bids if side is OrderSide.BUY else self.asks

    def top(self) -> tuple[Level, Level] | None:
        """Return best bid and best ask, or None while one side is empty."""
        bid, ask = self.bids.best(), self.asks.best()
        return None if bid is None or ask is None else (bid, ask)

    @property
    def last_id(self) -> int:
        """The number of the last depth update in the book, -1 before the first."""
        return self._last_id

    @property
    def depth_speaks(self) -> bool:
        """Whether the depth stream, not the best quote, is the newest word on the top."""
        return self.is_deep and self._last_id > self._quote_id

    def displayed(self, side: OrderSide, price: Decimal) -> Decimal | None:
        """Return the size that shows at ``price``; None where the book cannot see."""
        ladder = self.ladder(side)
        best, worst = ladder.best(), ladder.worst_price()
        if best is None or worst is None:
            return None
        size = ladder.size(price)
        beyond = price < worst if side is OrderSide.BUY else price > worst
        return None if beyond else size

    def sure_size(self, side: OrderSide, price: Decimal) -> Decimal:
        """Return what can be taken at ``price``: at the touch what shows, behind it no more than the depth stream says.

        A size that was the best quote a moment ago has often moved to the new one.
        """
        ladder = self.ladder(side)
        size = ladder.size(price)
        in_depth = self._hidden[0 if side is OrderSide.BUY else 1].get(price, size)
        if in_depth >= size:
            return size
        best = ladder.best()
        return size if best is not None and best[0] == price else in_depth

    def consumption(self) -> Consumption:
        """Return a new account of what one simulation takes from this book."""
        consumption = Consumption(self)
        self._consumptions.append(consumption)
        return consumption

    def quote(self, bid: Level, ask: Level, update_id: int | None) -> bool:
        """Take a best bid and ask; without a number (None) it is newer than anything before.

        Returns:
            False for one that is older than what the book knows: nothing changes.
        """
        newest = max(self._last_id, self._quote_id)
        if update_id is None:
            update_id = newest
        elif update_id < newest:
            return False
        self._quote_id = update_id
        self._best = (bid, ask)
        self._resized(*self._impose(bid, ask))
        return True

    def snapshot(self, bids: Iterable[Level], asks: Iterable[Level], last_id: int) -> None:
        """Start anew from a full picture as of ``last_id``, then apply what had already come after it."""
        if self.is_deep and last_id < self._last_id:
            return
        changed = [[price for price, _ in ladder] for ladder in (self.bids, self.asks)]
        self.bids.replace(bids)
        self.asks.replace(asks)
        self._hidden = ({}, {})
        self._last_id = last_id
        self.is_deep = self._after_snapshot = True
        if self._best is not None and self._quote_id >= last_id:
            self._impose(*self._best)
        self._resized(*changed)
        early, self._early = self._early, deque(maxlen=_EARLY_DIFFS_MAX)
        for update in early:
            self.diff(update)

    def diff(self, update: DepthUpdate) -> None:
        """Apply one message; a missing one before it leaves only the best quote, until the next snapshot."""
        if not self.is_deep:
            self._early.append(update)
            return
        if update.last_id <= self._last_id:
            return
        if not self._follows(update):
            self.gaps += 1
            self.lose_depth()
            self._early.append(update)
            return
        self._after_snapshot = False
        self._last_id = update.last_id
        hidden_bids, hidden_asks = self._hidden
        bids, asks = [*hidden_bids.items(), *update.bids], [*hidden_asks.items(), *update.asks]
        self._hidden = ({}, {})
        for price, size in bids:
            self.bids.set(price, size)
        for price, size in asks:
            self.asks.set(price, size)
        if self._best is not None and self._quote_id >= self._last_id:
            self._impose(*self._best)
        if self._consumptions:
            imposed_bids, imposed_asks = self._hidden
            self._resized(
                [*(price for price, _ in bids), *imposed_bids], [*(price for price, _ in asks), *imposed_asks]
            )

    def lose_depth(self) -> None:
        """Trust no depth until the next snapshot; the best quote stays, if it is the newest word."""
        changed = [[price for price, _ in ladder] for ladder in (self.bids, self.asks)]
        self.bids.replace(())
        self.asks.replace(())
        self._hidden = ({}, {})
        self.is_deep = False
        if self._best is not None and self._quote_id >= self._last_id:
            self._impose(*self._best)
        self._resized(*changed)

    def _follows(self, update: DepthUpdate) -> bool:
        """Whether no message is missing; the first after a snapshot may reach back behind it."""
        before = update.first_id - 1 if update.prev_id is None else update.prev_id
        return before <= self._last_id if self._after_snapshot else before == self._last_id

    def _impose(self, bid: Level, ask: Level) -> tuple[list[Decimal], list[Decimal]]:
        """Make ``bid`` and ``ask`` the top, noting what the depth stream had there; return changed prices."""
        return (
            self._impose_on(self.bids, self._hidden[0], *bid),
            self._impose_on(self.asks, self._hidden[1], *ask),
        )

    def _impose_on(
        self, ladder: Ladder, hidden: dict[Decimal, Decimal], price: Decimal, size: Decimal
    ) -> list[Decimal]:
        best = ladder.best()
        if best == (price, size):
            return []
        stale = []
        if best is not None and best[0] != price:
            stale = ladder.better_than(price) if self.is_deep else [best[0]]
        for other in stale:
            self._overwrite(ladder, hidden, other, ZERO)
        self._overwrite(ladder, hidden, price, size)
        return [*stale, price]

    def _overwrite(self, ladder: Ladder, hidden: dict[Decimal, Decimal], price: Decimal, size: Decimal) -> None:
        if self.is_deep:
            hidden.setdefault(price, ladder.size(price))
        ladder.set(price, size)

    def _resized(self, bids: Iterable[Decimal], asks: Iterable[Decimal]) -> None:
        for consumption in self._consumptions:
            consumption.limit(OrderSide.BUY, bids)
            consumption.limit(OrderSide.SELL, asks)


class Consumption:
    """What one simulation has taken of the sizes that one book displays (base units by price).

    A level that disappears is forgotten; one that the book merely cannot see (it shows only its best quote, say)
    is not, or flickering quotes would sell the same size over and over.
    """

    __slots__ = ("_book", "_taken")

    def __init__(self, book: DepthBook) -> None:
        self._book = book
        self._taken = {side: Ladder(side) for side in OrderSide}

    def levels(self, side: OrderSide) -> Iterator[Level]:
        """Yield the levels of a side, best first, with what is still there for us."""
        taken = self._taken[side]
        for price, _ in self._book.ladder(side):
            left = self._book.sure_size(side, price) - taken.size(price)
            if left > 0:
                yield price, left

    def available(self, side: OrderSide, price: Decimal) -> Decimal:
        """Return what is still there for us at ``price``."""
        return max(ZERO, self._book.sure_size(side, price) - self._taken[side].size(price))

    def take(self, side: OrderSide, price: Decimal, quantity: Decimal) -> None:
        """Note that ``quantity`` of the level at ``price`` is ours; it must have been available."""
        assert quantity <= self.available(side, price), "a displayed quantity is sold once"
        taken = self._taken[side]
        taken.set(price, taken.size(price) + quantity)
        worst = taken.worst_price()
        if len(taken) > _TAKEN_LEVELS_MAX and worst is not None:
            taken.set(worst, ZERO)

    def limit(self, side: OrderSide, prices: Iterable[Decimal]) -> None:
        """Forget what was taken of sizes that are gone: never more is taken than displayed.

        Args:
            side: the side that changed.
            prices: the prices whose size changed.
        """
        taken = self._taken[side]
        if not len(taken):
            return
        best = self._book.ladder(side).best()
        if best is not None:
            for passed in taken.better_than(best[0]):
                taken.set(passed, ZERO)
        for price in prices:
            displayed = self._book.displayed(side, price)
            if displayed is not None and displayed < taken.size(price):
                taken.set(price, displayed)
