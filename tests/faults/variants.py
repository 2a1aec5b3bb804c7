"""Routers that are broken on purpose: a harness that does not catch them proves nothing.

Each is the executor's or the journal's stand-in with one lie in it, so that the code under test stays what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from router.clock import Clock
from router.domain.enums import ExecType, ExecutionStatus
from router.domain.order import Order
from router.domain.report import ExecutionReport
from router.journal.base import Row
from tests.faults.executor import VenueError, VenueExecutor
from tests.faults.journal import TrappedJournal
from tests.faults.points import Trap


class _Remembering(VenueExecutor):
    """Keeps what an earlier life left without any acknowledgement."""

    left_over: tuple[Order, ...] = ()

    def restore(self, orders: Iterable[Order]) -> None:
        known = list(orders)
        self.left_over = tuple(order for order in known if order.status is ExecutionStatus.PENDING)
        super().restore(known)


class Resending(_Remembering):
    """Sends what has no acknowledgement again after a restart: orders are doubled."""

    async def run(self) -> None:
        for order in self.left_over:
            with suppress(VenueError):
                await self.submit(order)
        await super().run()


class Despairing(_Remembering):
    """Takes what has no acknowledgement for refused after a restart: orders are lost."""

    async def run(self) -> None:
        for order in self.left_over:
            self.say(
                ExecutionReport(
                    exec_type=ExecType.REJECTED, client_order_id=order.client_order_id, ts_event=datetime.now(UTC)
                )
            )
        await super().run()


class Forgetful(VenueExecutor):
    """Never tells of some trades, and counts as if they were not there: fills are lost."""

    def say(self, report: ExecutionReport) -> None:
        if report.exec_type is ExecType.TRADE and (report.trade_id or "").endswith(("3", "7")):
            return
        super().say(msgspec.structs.replace(report, filled_quantity=None))


class Repeating(VenueExecutor):
    """Tells of some trades twice, under two ids and without the venue's count: fills are doubled."""

    def say(self, report: ExecutionReport) -> None:
        super().say(report)
        if report.exec_type is ExecType.TRADE and (report.trade_id or "").endswith(("3", "7")):
            super().say(msgspec.structs.replace(report, trade_id=f"{report.trade_id}-again", filled_quantity=None))


class Hasty(TrappedJournal):
    """Says that a batch is on disk while the last few wait in memory: what was told is not durable."""

    def __init__(self, path: Path, clock: Clock, trap: Trap) -> None:
        super().__init__(path, clock, trap)
        self._behind: list[Sequence[Row]] = []

    async def _write(self, rows: Sequence[Row]) -> None:
        self._behind.append(rows)
        if len(self._behind) > 3:
            await super()._write(self._behind.pop(0))


class Variant(NamedTuple):
    """Which stand-ins a router gets."""

    executor: type[VenueExecutor] = VenueExecutor
    journal: type[TrappedJournal] = TrappedJournal


VARIANTS: Final[Mapping[str, Variant]] = MappingProxyType(
    {
        "": Variant(),
        "resending": Variant(Resending),
        "despairing": Variant(Despairing),
        "forgetful": Variant(Forgetful),
        "repeating": Variant(Repeating),
        "hasty": Variant(journal=Hasty),
    }
)
