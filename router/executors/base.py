"""What the dispatcher, the cancel lane and the watchers know of an executor, whatever is behind it.

This module must not know any executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from router.domain.order import Order, Replacement
from router.domain.report import ExecutionReport

Emit: TypeAlias = Callable[[ExecutionReport], None]
"""Where an executor says what happened; it returns at once."""


class OrderExecutor(Protocol):
    """Works the orders of one environment.

    Whatever it learns it says through ``emit``. When a call raises, nothing is known of what it asked for, and only
    a later report tells.
    """

    @property
    def environment(self) -> str:
        """The environment's name."""
        ...

    @property
    def remote(self) -> bool:
        """True: calls do IO and need a task of their own, and the executor keeps a book of its own that outlives this
        process; False: calls never suspend, and its book is the journal."""
        ...

    @property
    def look_up_batch(self) -> int:
        """How many orders one ``look_up`` takes at most."""
        ...

    @property
    def look_ups_per_s(self) -> float | None:
        """How many ``look_up`` calls the venue's rate budget allows per second; None: any number."""
        ...

    @property
    def settle_s(self) -> float:
        """Seconds after which a request that was sent can no longer be executed (recvWindow and skew): before that
        NOT_FOUND proves nothing (``ccxt_facts.md`` §3)."""
        ...

    def restore(self, orders: Iterable[Order]) -> None:
        """Take over the open orders that the journal knows, after a restart and before anything else."""
        ...

    async def submit(self, order: Order) -> None:
        """Hand the order over; return when it is answered."""
        ...

    async def cancel(self, order: Order, reason: str) -> None:
        """Ask for the end of the order; CANCELED or CANCEL_REJECTED follows. Asking twice does no harm."""
        ...

    async def amend(self, order: Order, asked: Replacement) -> None:
        """Ask for other terms; REPLACED or REPLACE_REJECTED with the request's id follows."""
        ...

    async def look_up(self, orders: Sequence[Order]) -> None:
        """Say what the venue knows of each order: its trades, busts and corrections (repeated ones do no harm), then
        ORDER_STATUS with its quantities and terms, or NOT_FOUND. An order it learns nothing about is left out.

        ``ts_event`` is the venue's time of the picture, not that of its receipt: an old picture must not bring old
        terms back.
        """
        ...

    async def run(self) -> None:
        """Do the background work (timers, streams); returns only when cancelled."""
        ...
