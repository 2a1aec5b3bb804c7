"""``router bench``: what the chain costs on this machine, as figures that later changes can be compared with.

Every row runs the whole chain (queue, gates, journal, paper fill, answer) in this process on a fixed quote, and
is set beside a floor measured in the same minute: a one-row SQLite commit with synchronous=FULL. Quote the
ratios; the absolute figures belong to the machine. This module must not know how any stage works.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from router import logs
from router.cli.common import CommandError, ExitCode, settle_heap
from router.clock import SystemClock
from router.domain.enums import ExecutionStatus
from router.domain.intent import OrderIntent
from router.errors import RouterError
from router.execution.pipeline import ExecutionPipeline
from router.journal.base import Journal
from router.journal.memory import MemoryJournal
from router.settings import Settings, load_settings

_FLOOR_COMMITS = 200
_SYMBOL = "BTC/USD"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measured way of running; latencies from hand-in to durable answer, in microseconds."""

    name: str
    in_flight: int
    intents: int
    intents_per_s: float
    p50_us: float
    p99_us: float
    cpu_us_per_intent: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All rows beside the floor of the same run."""

    floor_commit_p50_us: float
    closed_loop_over_two_commits: float
    journal_on_over_off: float
    rows: list[Row]


def run(intents: int = 5000, config: str | None = None) -> Report:
    """Measure every row with ``intents`` intents (the closed loop with a fifth of them)."""
    floor = _commit_floor()
    rows = [
        _row("durable, logged", intents, 1000, config, durable=True, logged=True),
        _row("durable", intents, 1000, config, durable=True, logged=False),
        _row("no journal", intents, 1000, config, durable=False, logged=False),
        _row("durable, logged", max(100, intents // 5), 1, config, durable=True, logged=True),
        _row("durable", max(100, intents // 5), 1, config, durable=True, logged=False),
        _row("no journal", max(100, intents // 5), 1, config, durable=False, logged=False),
    ]
    by_name = {(row.name, row.in_flight): row for row in rows}
    return Report(
        floor_commit_p50_us=round(floor, 1),
        closed_loop_over_two_commits=round(by_name["durable", 1].p50_us / (2 * floor), 2),
        journal_on_over_off=round(
            by_name["durable", 1000].intents_per_s / by_name["no journal", 1000].intents_per_s, 2
        ),
        rows=rows,
    )


def _row(name: str, intents: int, in_flight: int, config: str | None, *, durable: bool, logged: bool) -> Row:
    with tempfile.TemporaryDirectory(prefix="router-bench-") as home, _logging(Path(home), logged):
        settings = load_settings(config, overrides=overrides(home))
        journal = None if durable else MemoryJournal(SystemClock())
        return asyncio.run(_measure(name, settings, journal, intents, in_flight))


def overrides(home: str) -> dict[str, Any]:
    """Return the settings that every row runs with: a still market, and limits that a flood does not reach."""
    return {
        "execution.home": home,
        "execution.portfolio_preset": "",
        "market_data.source": "static",
        "market_data.static": {_SYMBOL: {"bid": "49999.5", "ask": "50000.5"}},
        "paper.fill_model": "instant",
        "safety.window_notional": 10**12,
        "safety.duplicate_window_s": "off",  # it sends the same order again and again
        "safety.max_orders_per_second": 10**6,
        "safety.max_orders_per_second_per_strategy": 10**6,
        "safety.max_repeated_executions": 10**6,
    }


async def _measure(name: str, settings: Settings, journal: Journal | None, intents: int, in_flight: int) -> Row:
    latencies: list[float] = []
    numbers = iter(range(intents))
    async with ExecutionPipeline("paper", settings, journal=journal) as pipeline:

        async def strategy() -> None:
            for number in numbers:
                intent = OrderIntent(
                    symbol=_SYMBOL, side="buy" if number % 2 else "sell", quantity="0.001", strategy_key="bench"
                )
                start = time.perf_counter()
                result = await pipeline.submit_order(intent)
                latencies.append(time.perf_counter() - start)
                if result.status is not ExecutionStatus.SUCCESS:
                    raise RouterError(f"bench: an intent was answered {result.status}: {result.reason}")

        gc.collect()
        cpu, start = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(strategy())
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    latencies.sort()
    return Row(
        name=name,
        in_flight=in_flight,
        intents=intents,
        intents_per_s=round(intents / seconds, 1),
        p50_us=round(_quantile(latencies, 0.50) * 1e6, 1),
        p99_us=round(_quantile(latencies, 0.99) * 1e6, 1),
        cpu_us_per_intent=round(cpu / intents * 1e6, 1),
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


@contextlib.contextmanager
def _logging(home: Path, on: bool) -> Iterator[None]:
    """Log at full weight into ``home``, or leave logging as a library does."""
    if not on:
        yield
        return
    logs.configure(home, SystemClock().now)
    try:
        yield
    finally:
        logs.shutdown()


def _commit_floor() -> float:
    """Return the median time of a one-row commit with synchronous=FULL, in microseconds."""
    with tempfile.TemporaryDirectory(prefix="router-bench-") as home:
        db = sqlite3.connect(os.path.join(home, "floor.db"), isolation_level=None)  # noqa: PTH118 -- plain sqlite3
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE floor (payload TEXT)")
        times = []
        for _ in range(_FLOOR_COMMITS):
            start = time.perf_counter()
            db.execute("INSERT INTO floor VALUES (?)", ("x" * 400,))
            times.append(time.perf_counter() - start)
        db.close()
    return statistics.median(times) * 1e6


def bench(*, intents: int = 5000, config: str | None = None, json: bool = False) -> int:
    """Measure intents per second and latency on this machine.

    Args:
        intents: how many each row runs; the closed loop runs a fifth of them.
        config: path of config.toml.
        json: print the report as one JSON object.
    """
    if intents < 1:
        raise CommandError("--intents must be above 0", ExitCode.USAGE)
    settle_heap()
    report = run(intents, config)
    print(msgspec.json.encode(report).decode() if json else table(report))
    return 0


def table(report: Report) -> str:
    """Return the report as text."""
    lines = [
        f"{'run':<18}{'in flight':>10}{'intents':>9}{'intents/s':>12}{'p50 µs':>10}{'p99 µs':>11}{'CPU µs':>9}",
        *(
            f"{row.name:<18}{row.in_flight:>10}{row.intents:>9}{row.intents_per_s:>12,.0f}{row.p50_us:>10,.0f}"
            f"{row.p99_us:>11,.0f}{row.cpu_us_per_intent:>9,.0f}"
            for row in report.rows
        ),
        "",
        f"floor: one-row commit with synchronous=FULL, p50 {report.floor_commit_p50_us:,.0f} µs",
        f"closed loop, durable: {report.closed_loop_over_two_commits:.2f} x two such commits",
        f"throughput with the journal: {report.journal_on_over_off:.2f} x without",
    ]
    return "\n".join(lines)
