"""Look-ups of one environment: batched, the most urgent first, inside the venue's rate budget, one call at a time.

This module must not know deadlines, windows or what an answer means.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import anyio

from router.clock import Clock, within
from router.domain.order import Order
from router.logs import RouterLogger

_ANSWER_S: Final = 10.0
"""How long one look-up may take before it counts as unanswered."""


class Source(Protocol):
    """Who can be asked about orders: an executor."""

    @property
    def environment(self) -> str: ...

    @property
    def remote(self) -> bool: ...

    @property
    def look_up_batch(self) -> int: ...

    @property
    def look_ups_per_s(self) -> float | None: ...

    @property
    def settle_s(self) -> float: ...

    async def look_up(self, orders: Sequence[Order]) -> None: ...


class Lane:
    """Orders that wait for a look-up at one source.

    Args:
        source: who is asked.
        order: the order of an id as it stands; None once it has ended.
        looked: called after each call that was answered: which orders were asked about, and when it was begun.
        unanswered: called after each call that was not: which orders were asked about.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        log: RouterLogger,
        order: Callable[[str], Order | None],
        looked: Callable[[Sequence[Order], float], None],
        unanswered: Callable[[Sequence[Order]], None],
    ) -> None:
        self.source = source
        self._clock = clock
        self._log = log
        self._order = order
        self._looked = looked
        self._unanswered = unanswered
        self._waiting: list[tuple[float, str]] = []
        self._wanted: set[str] = set()
        self._arrived = anyio.Event()
        self.busy = False
        """Whether orders wait for a look-up or are looked up now."""
        self._free_at = 0.0

    @property
    def room(self) -> int:
        """How many more orders the next call could take along."""
        return max(0, self.source.look_up_batch - len(self._waiting)) if self._waiting else 0

    def clears_in(self, crowd: int) -> float:
        """Return how many seconds the budget needs to look up ``crowd`` orders once."""
        if self.source.look_ups_per_s is None:
            return 0.0
        return crowd / (self.source.look_ups_per_s * self.source.look_up_batch)

    def wants(self, client_order_id: str) -> bool:
        """Whether the order waits for a look-up."""
        return client_order_id in self._wanted

    def want(self, client_order_id: str, until: float) -> None:
        """Have the order looked up before those whose silence may last longer; asked twice is asked once."""
        if client_order_id not in self._wanted:
            self._wanted.add(client_order_id)
            heapq.heappush(self._waiting, (until, client_order_id))
            self.busy = True
            self._arrived.set()

    async def run(self) -> None:
        """Ask, for ever."""
        while True:
            await self._arrived.wait()
            while self._waiting:
                await self._pace()
                orders = self._batch()
                started = self._clock.monotonic()
                if not orders:
                    continue
                if await self._ask(orders):
                    self._looked(orders, started)
                else:
                    self._unanswered(orders)
            self.busy = False
            self._arrived = anyio.Event()

    def _batch(self) -> list[Order]:
        orders: list[Order] = []
        while self._waiting and len(orders) < self.source.look_up_batch:
            _, client_order_id = heapq.heappop(self._waiting)
            self._wanted.discard(client_order_id)
            order = self._order(client_order_id)
            if order is not None:
                orders.append(order)
        return orders

    async def _pace(self) -> None:
        if self.source.look_ups_per_s is None:
            await anyio.lowlevel.checkpoint()  # thousands of orders are asked about: let others run in between
            return
        now = self._clock.monotonic()
        if self._free_at > now:
            await self._clock.sleep(self._free_at - now)
        self._free_at = max(now, self._free_at) + 1 / self.source.look_ups_per_s

    async def _ask(self, orders: Sequence[Order]) -> bool:
        """Look ``orders`` up; returns whether that was answered."""
        try:
            if self.source.remote:
                await within(self._clock, _ANSWER_S, lambda: self.source.look_up(orders))
            else:
                await self.source.look_up(orders)
        except Exception as error:  # noqa: BLE001 -- no answer is no evidence; the deadline stands
            self._log.warning(
                "look_up_failed",
                env=self.source.environment,
                orders=len(orders),
                reason=f"{type(error).__name__}: {error}",
            )
            return False
        return True
