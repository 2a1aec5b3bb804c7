"""``router bench watchers``: what it costs to watch open orders, per order and per look-up.

The watchdog, its heap and the judging of every answer are the real ones; the executor answers each look-up at once
with the order as it stands, and time is virtual. This module must not know how a deadline is kept.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

import anyio
import msgspec

from router.cli.common import CommandError, ExitCode, settle_heap
from router.clock import VirtualClock
from router.domain.enums import ExecType, ExecutionStatus, OrderSide, OrderType
from router.domain.evidence import Proof, judge
from router.domain.order import Order
from router.domain.report import ExecutionReport
from router.logs import get_logger
from router.watchers.watchdog import Watchdog
from router.watchers.windows import Windows

_OPEN: Final = (1_000, 10_000, 100_000)
_WINDOWS: Final = Windows(30.0, 300.0)
_ROUNDS_S: Final = 60.0
_STEP_S: Final = 0.5
_IDLE_TICKS: Final = 1000


class WatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """One number of open orders.

    ``arm_us``: note an order that has changed. ``idle_tick_us``: a wake-up at which nothing is due. ``due_us``: a due
    order from its deadline through look-up and judgement to the next deadline. ``bytes_per_order``: what the
    watchdog keeps of an open order, beside the order itself.
    """

    open_orders: int
    arm_us: float
    idle_tick_us: float
    due_us: float
    looked_up: int
    bytes_per_order: float


class WatchReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rows; the ratio is the last row's cost per due order over the first's."""

    rows: list[WatchRow]
    due_cost_growth: float


class _Book:
    """Open orders, and an executor that knows them all."""

    environment = "paper"
    remote = False
    look_up_batch = 100
    look_ups_per_s = None
    settle_s = 0.0

    def __init__(self, count: int, clock: VirtualClock) -> None:
        self.orders = {order.client_order_id: order for order in (_order(n, clock) for n in range(count))}
        self.watchdog = Watchdog(_WINDOWS, clock, get_logger())
        self.watchdog.attach({self.environment: self}, self)
        self.looked_up = 0
        self._clock = clock

    async def look_up(self, orders: Sequence[Order]) -> None:
        now = self._clock.now()
        self.looked_up += len(orders)
        for order in orders:
            shown = ExecutionReport(
                exec_type=ExecType.ORDER_STATUS,
                client_order_id=order.client_order_id,
                ts_event=now,
                order_status=order.status,
                filled_quantity=order.filled_quantity,
                quantity=order.quantity,
                price=order.price,
            )
            self.watchdog.note(order, judge(order, {}, shown, seq=1, now=now).proof)

    # The keeper: nothing ever happens to these orders.

    def current(self, client_order_id: str) -> Order | None:
        return self.orders.get(client_order_id)

    def open_count(self) -> int:
        return len(self.orders)

    def open_orders(self) -> Iterable[Order]:
        return self.orders.values()

    def expire(self, order: Order) -> None:
        raise AssertionError(f"{order.client_order_id} has no expiry")

    def cancel_again(self, order: Order) -> None:
        raise AssertionError(f"{order.client_order_id} was never cancelled")

    def not_replaced(self, order: Order) -> None:
        raise AssertionError(f"{order.client_order_id} was never amended")

    def overdue(self, order: Order, reason: str) -> None:
        raise AssertionError(f"{order.client_order_id} was always answered: {reason}")

    def absent(self, order: Order) -> None:
        raise AssertionError(f"{order.client_order_id} was always found")


def _order(number: int, clock: VirtualClock) -> Order:
    now = clock.now()
    return Order(
        client_order_id=f"U{number:024d}",
        run_id="run",
        symbol="BTC/USD",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=Decimal(40000),
        environment="paper",
        created_at=now - timedelta(seconds=1),
        updated_at=now,
        status=ExecutionStatus.SUBMITTED,
    )


def run(counts: Sequence[int] = _OPEN) -> WatchReport:
    """Measure each number of open orders over a minute of virtual time."""
    rows = [asyncio.run(_measure(count)) for count in counts]
    return WatchReport(rows=rows, due_cost_growth=round(rows[-1].due_us / rows[0].due_us, 2))


async def _measure(count: int) -> WatchRow:
    clock = VirtualClock()
    book = _Book(count, clock)
    orders = list(book.orders.values())
    gc.collect()
    tracemalloc.start()
    for order in orders:
        book.watchdog.note(order, Proof.STANDS)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    start = time.perf_counter()
    for order in orders:
        book.watchdog.note(order, Proof.STANDS)
    arm_s = time.perf_counter() - start
    async with anyio.create_task_group() as group:
        group.start_soon(book.watchdog.run)
        start = time.perf_counter()
        for _ in range(_IDLE_TICKS):
            book.watchdog.tick()  # nothing is due before 25 s
        idle_s = (time.perf_counter() - start) / _IDLE_TICKS
        start = time.perf_counter()
        steps = int(_ROUNDS_S / _STEP_S)
        for _ in range(steps):
            await clock.advance(_STEP_S)
            while book.watchdog.busy:
                await anyio.lowlevel.checkpoint()
        due_s = time.perf_counter() - start
        group.cancel_scope.cancel()
    return WatchRow(
        open_orders=count,
        arm_us=round(arm_s / count * 1e6, 2),
        idle_tick_us=round(idle_s * 1e6, 2),
        due_us=round(due_s / book.looked_up * 1e6, 2),
        looked_up=book.looked_up,
        bytes_per_order=round(kept / count, 1),
    )


def bench_watchers(*, open_orders: list[int] | None = None, json: bool = False) -> int:
    """Measure the cost of watching open orders at 1 000, 10 000 and 100 000 of them.

    Args:
        open_orders: Other numbers of open orders, smallest first.
        json: print the report as one JSON object.
    """
    counts = open_orders or list(_OPEN)
    if min(counts) < 1:
        raise CommandError("--open-orders must be above 0", ExitCode.USAGE)
    settle_heap()
    report = run(counts)
    print(msgspec.json.encode(report).decode() if json else table(report))
    return 0


def table(report: WatchReport) -> str:
    """Return the report as text."""
    titles = f"{'open orders':>11}{'arm µs':>9}{'idle tick µs':>14}{'per due order µs':>18}{'looked up':>11}"
    lines = [
        f"{titles}{'bytes/order':>13}",
        *(
            f"{row.open_orders:>11,}{row.arm_us:>9.2f}{row.idle_tick_us:>14.2f}{row.due_us:>18.2f}"
            f"{row.looked_up:>11,}{row.bytes_per_order:>13.0f}"
            for row in report.rows
        ),
        "",
        f"cost per due order, most over fewest open orders: {report.due_cost_growth:.2f} x",
        f"windows {_WINDOWS.submitted_s:.0f} s and {_WINDOWS.partial_s:.0f} s; {_ROUNDS_S:.0f} s of virtual time a row",
    ]
    return "\n".join(lines)
