"""What the dispatcher knows of an executor, whatever is behind it.

This module must not know any executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from router.domain.order import Order
from router.domain.report import ExecutionReport

Emit: TypeAlias = Callable[[ExecutionReport], None]
"""Where an executor says what happened; it returns at once."""


class OrderExecutor(Protocol):
    """Works the orders of one environment."""

    @property
    def environment(self) -> str:
        """The environment's name."""
        ...

    @property
    def remote(self) -> bool:
        """True: submit and cancel do IO and need a task of their own; False: they never suspend."""
        ...

    def restore(self, orders: Iterable[Order]) -> None:
        """Take over the open orders that the journal knows, after a restart and before anything else."""
        ...

    async def submit(self, order: Order) -> None:
        """Hand the order over; return when it is answered. All that is said goes through ``emit``."""
        ...

    async def cancel(self, order: Order, reason: str) -> None:
        """Ask for the end of the order; CANCELED or CANCEL_REJECTED follows through ``emit``."""
        ...

    async def run(self) -> None:
        """Do the background work (timers, streams); returns only when cancelled."""
        ...
