"""``router bench recovery``: how long a start takes on a long journal, with checkpoints and without.

The journal is built in bulk by the real tracker and the real SQLite journal: for each order the same calls as the
chain and an executor make, but without gates, tasks or a wait for each commit. Each start is the real pipeline's, in
a process of its own, so that its memory is its own. This module must not know what a checkpoint holds.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from router.cli.common import CommandError, ExitCode, settle_heap
from router.clock import SystemClock
from router.domain.enums import ExecType, ExecutionStatus
from router.domain.intent import OrderIntent
from router.domain.market import Quote
from router.domain.report import ExecutionReport
from router.errors import RouterError
from router.execution.dispatch import accepted
from router.execution.engine import CHECKPOINT_EVERY
from router.execution.environments import accounts_for
from router.execution.pipeline import ExecutionPipeline
from router.execution.tracker import Tracker
from router.execution.validation import order_from
from router.ids import IdFactory, client_order_id
from router.journal.sqlite import SqliteJournal
from router.logs import get_logger
from router.market.quotes import MarketData
from router.middleware import Submission
from router.risk.limits import limit_files, read_limits
from router.settings import Settings, load_settings

_SYMBOLS: Final = {"BTC/USD": ("49999.5", "50000.5"), "ETH/USD": ("2999.5", "3000.5")}
_LATER: Final = {
    "BTC/USD": ("45000", "55000"),
    "ETH/USD": ("2000", "4000"),
}  # so that nothing fills while it is measured
_FLUSH: Final = 4000
_OPEN: Final = 5000


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """One start of the router; ``peak_mb`` is the process's, ``before_mb`` what it had before the start."""

    name: str
    seconds: float
    replayed: int
    us_per_event: float | None
    peak_mb: float
    before_mb: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The journal, what a checkpoint cost (the last, largest ones: median), and the starts; ``bound_s`` is the longest
    start with checkpoints: one state loaded, a whole interval replayed. ``pause_cpu_ms`` is the pause if nothing else
    runs.
    """

    events: int
    orders: int
    open_orders: int
    journal_mb: float
    build_s: float
    interval: int
    checkpoints: int
    pause_ms: float
    pause_cpu_ms: float
    state_mb: float
    stored_mb: float
    store_ms: float
    starts: list[Start]
    full_over_checkpoint: float
    bound_s: float


class Builder:
    """Fills a journal with orders of every kind; ``open_orders`` of them stay open."""

    def __init__(self, home: Path, open_orders: int) -> None:
        settings = _settings(home)
        self.clock = SystemClock()
        self.journal = SqliteJournal(home / "journal.db", self.clock)
        market = MarketData(self.clock)
        for symbol, (bid, ask) in _SYMBOLS.items():
            market.pin(Quote(symbol, Decimal(bid), Decimal(ask), None, None, self.clock.now(), 0.0))
        accounts = accounts_for(settings, read_limits(limit_files(settings)), market)
        self.tracker = Tracker(
            self.journal, accounts, self.clock, get_logger(), _nothing, watch=_nothing, market_time=market.time
        )
        self.journal.on_durable = self.tracker.publish
        self.orders = self.checkpoints = 0
        self.pauses_s: list[float] = []
        self.pauses_cpu_s: list[float] = []
        self.stores_s: list[float] = []
        self.state_bytes = 0
        self._accounts = accounts
        self._open_orders = open_orders
        self._ids = IdFactory()

    async def fill(self, events: int) -> None:
        """Write ``events`` events, the last checkpoint half an interval (or half of all) before the end."""
        await self.journal.open(self.tracker.replay)
        for name, account in self._accounts.items():
            self.tracker.open_account(name, account.portfolio)
        tail = min(CHECKPOINT_EVERY, events) // 2
        due = (events - tail) % CHECKPOINT_EVERY or CHECKPOINT_EVERY
        while self.journal.next_seq <= events:
            self._order(events)
            if self.journal.next_seq > due:
                due += CHECKPOINT_EVERY
                await self._checkpoint()
            elif self.journal.next_seq - self.journal.durable_seq > _FLUSH:
                await self.journal.flush()
        await self.journal.flush()
        await self.journal.close()

    async def _checkpoint(self) -> None:
        start, cpu = time.perf_counter(), time.thread_time()
        taken = self.tracker.checkpoint()
        self.pauses_s.append(time.perf_counter() - start)
        self.pauses_cpu_s.append(time.thread_time() - cpu)
        assert taken is not None, "nothing broke off"
        await self.journal.flush()
        start = time.perf_counter()
        await self.journal.keep(*taken)
        self.stores_s.append(time.perf_counter() - start)
        self.state_bytes = len(taken[1])
        self.checkpoints += 1

    def _order(self, events: int) -> None:
        """Let one order live, by turns: filled at once, in three parts, cancelled, amended, busted; or stay open."""
        number, tracker = self.orders, self.tracker
        self.orders += 1
        turn = number % 20
        submission = self._submission(number, rests=turn > 11)
        if turn == 19:
            tracker.answer(submission, submission.answer(ExecutionStatus.INVALID, reason="so"))
            return
        key = submission.client_order_id or ""
        submission.order = order_from(submission)
        tracker.pending(submission)
        self._say(key, ExecType.NEW, venue_order_id=f"P{key}")
        if turn <= 11:
            self._trade(key, "0.004", 1)
        tracker.answer(submission, accepted(submission, tracker))
        if turn <= 11:
            return
        if tracker.orders.open_count < self._open_orders * self.journal.next_seq / events:
            return
        if turn <= 14:
            for part in (1, 2):
                self._trade(key, "0.001", part)
            self._trade(key, "0.002", 3)
        elif turn <= 17:
            tracker.cancel_asked(key, "so")
            self._say(key, ExecType.CANCELED)
        else:
            self._trade(key, "0.001", 1)
            self._say(key, ExecType.TRADE_CANCEL, trade_id=f"{key}-1")
            self._trade(key, "0.004", 2)

    def _submission(self, number: int, *, rests: bool) -> Submission:
        now = self.clock.now()
        symbol = tuple(_SYMBOLS)[number % 7 % 2]
        terms: dict[str, Any] = {"order_type": "limit", "price": _SYMBOLS[symbol][0]} if rests else {}
        return Submission(
            OrderIntent(
                symbol=symbol, side="sell" if number % 2 else "buy", quantity="0.004", strategy_key="bench", **terms
            ),
            run_id=self._ids.run_id(now),
            session_id="bench",
            environment="paper",
            client_order_id=client_order_id(f"bench {number}"),
            received_at=now,
        )

    def _trade(self, key: str, quantity: str, part: int) -> None:
        fields = {"fee": Decimal("0.02"), "fee_currency": "USD", "trade_id": f"{key}-{part}"}
        self._say(key, ExecType.TRADE, last_quantity=Decimal(quantity), last_price=Decimal("49999.5"), **fields)

    def _say(self, key: str, what: ExecType, **fields: Any) -> None:
        self.tracker.report(ExecutionReport(exec_type=what, client_order_id=key, ts_event=self.clock.now(), **fields))


def _nothing(*_: object) -> None:
    """Nobody listens."""


def _settings(home: Path) -> Settings:
    return load_settings(
        None,
        overrides={
            "execution.home": str(home),
            "execution.portfolio_preset": "",
            "market_data.source": "static",
            "market_data.static": {name: {"bid": bid, "ask": ask} for name, (bid, ask) in _LATER.items()},
        },
    )


def run(events: int, tell: Callable[[str], None] = _nothing) -> Report:
    """Build a journal of ``events`` events and start on it; ``tell`` hears what is being done."""
    with tempfile.TemporaryDirectory(prefix="router-bench-") as name:
        home = Path(name)
        tell(f"building a journal of {events:,} events")
        start = time.perf_counter()
        builder = Builder(home, min(_OPEN, events // 100))
        asyncio.run(builder.fill(events))
        build_s = time.perf_counter() - start
        stored = _stored(home)
        tell("starting on it")
        killed = _start(home, "killed half-way between checkpoints")
        stopped = _start(home, "after a clean stop")
        with closing(sqlite3.connect(home / "journal.db")) as db, db:
            db.execute("DELETE FROM checkpoints")
        full = _start(home, "without checkpoints")
        size = sum(file.stat().st_size for file in home.glob("journal.db*"))
    return Report(
        events=events,
        orders=builder.orders,
        open_orders=builder.tracker.orders.open_count,
        journal_mb=round(size / 1e6, 1),
        build_s=round(build_s, 1),
        interval=CHECKPOINT_EVERY,
        checkpoints=builder.checkpoints,
        pause_ms=_late_ms(builder.pauses_s),
        pause_cpu_ms=_late_ms(builder.pauses_cpu_s),
        state_mb=round(builder.state_bytes / 1e6, 2),
        stored_mb=round(stored / 1e6, 2),
        store_ms=_late_ms(builder.stores_s),
        starts=[killed, stopped, full],
        full_over_checkpoint=round(full.seconds / killed.seconds, 1),
        bound_s=round(killed.seconds + (CHECKPOINT_EVERY - killed.replayed) * (full.us_per_event or 0) / 1e6, 2),
    )


def _late_ms(seconds: list[float]) -> float:
    """Return the median of the last ones, milliseconds."""
    return round(statistics.median(seconds[-5:]) * 1e3, 1)


def _stored(home: Path) -> int:
    """Return the size of the newest stored checkpoint."""
    with closing(sqlite3.connect(home / "journal.db")) as db:
        return int(db.execute("SELECT length(state) FROM checkpoints ORDER BY seq DESC").fetchone()[0])


def _start(home: Path, name: str) -> Start:
    done = subprocess.run(  # noqa: S603 -- ourselves
        [sys.executable, "-m", "router.cli.bench_recovery", str(home), name], capture_output=True, check=False
    )
    if done.returncode:
        raise RouterError(f"bench: a start failed: {done.stderr.decode().strip()}")
    return msgspec.json.decode(done.stdout, type=Start)


async def _started(home: Path, name: str) -> Start:
    """Start the router on what is in ``home``, in this process, and stop it."""
    clock = SystemClock()
    journal = SqliteJournal(home / "journal.db", clock)
    with closing(sqlite3.connect(journal.path)) as db:
        events = int(db.execute("SELECT max(seq) FROM events").fetchone()[0])
    settle_heap()
    before = _peak_mb()
    start = time.perf_counter()
    async with ExecutionPipeline("paper", _settings(home), clock=clock, journal=journal):
        seconds, peak = time.perf_counter() - start, _peak_mb()
        replayed = events - journal.checkpointed
    return Start(
        name=name,
        seconds=round(seconds, 3),
        replayed=replayed,
        us_per_event=round(seconds / replayed * 1e6, 1) if replayed else None,
        peak_mb=peak,
        before_mb=before,
    )


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()  # getrusage would tell the parent's peak too
    return next(round(int(line.split()[1]) / 1000, 1) for line in lines if line.startswith("VmHWM"))


def bench_recovery(*, events: int = 1_000_000, json: bool = False) -> int:
    """Measure how long a start takes on a long journal, with checkpoints and without.

    Args:
        events: how many the journal holds; a million take about two minutes and 1 GB under the temporary directory.
        json: print the report as one JSON object.
    """
    if events < 1000:
        raise CommandError("--events must be 1000 or more", ExitCode.USAGE)
    settle_heap()
    report = run(events, lambda text: print(f"{text} …", file=sys.stderr, flush=True))
    print(msgspec.json.encode(report).decode() if json else table(report))
    return 0


def table(report: Report) -> str:
    """Return the report as text."""
    starts = (
        f"{start.name:<37}{start.seconds:>9.2f}{start.replayed:>11,}{start.us_per_event or '–':>10}"
        f"{start.peak_mb:>9,.0f}{start.before_mb:>8,.0f}"
        for start in report.starts
    )
    journal = (
        f"journal: {report.events:,} events of {report.orders:,} orders, {report.open_orders:,} open, "
        f"{report.journal_mb:,.0f} MB, built in {report.build_s:,.0f} s"
    )
    cost = (
        f"one checkpoint: {report.pause_ms:.0f} ms pause on the loop ({report.pause_cpu_ms:.0f} ms of CPU), "
        f"{report.state_mb:.1f} MB, stored as {report.stored_mb:.1f} MB in {report.store_ms:.0f} ms beside it"
    )
    bound = (
        f"bound, however long the journal: one state is loaded and at most {report.interval:,} events are replayed "
        f"(twice as many after a kill while a checkpoint was being stored): {report.bound_s:.1f} s here"
    )
    ratio = f"without checkpoints: {report.full_over_checkpoint:.1f} x the time"
    titles = f"{'start':<37}{'seconds':>9}{'replayed':>11}{'µs/event':>10}{'peak MB':>9}{'before':>8}"
    return "\n".join([titles, *starts, "", journal, cost, ratio, bound])


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(_started(Path(sys.argv[1]), sys.argv[2]))).decode())
