"""Runs the demo: a router on paper, three strategies, one meter, and a check of what the journal says.

On a made-up market time is real. On recordings the strategies act in turns: the market stands still until all
of them have acted and every intent has its answer, so that a fast replay loses nothing. This module must not
know what the strategies do, nor how a report is shown.
"""

from __future__ import annotations

import asyncio
import gzip
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import TaskStatus

from router import logs
from router.cli.common import CommandError
from router.cli.demo_report import Report, progress
from router.cli.demo_strategies import CARELESS_EVERY, Desk, careless, market_maker, momentum_taker
from router.clock import SystemClock
from router.domain.events import Answered, Filled, OrderEvent, PartiallyFilled, decode_event
from router.domain.intent import OrderIntent
from router.errors import RouterError
from router.execution.pipeline import ExecutionPipeline
from router.ids import client_order_id
from router.journal.audit import export, verify
from router.market.feeds.replay import ReplayFeed
from router.market.quotes import MarketData
from router.settings import Settings

_RUN_S: Final = 6.0  # how long the made-up market is traded
_SLICE_MS: Final = 100  # recorded time between two looks at a recording
_PATIENCE_S: Final = 30.0  # without any answer something is broken
_TAKER_SHARE: Final = 0.4
_PLAYERS: Final = (market_maker, momentum_taker, careless)
_SYMBOLS: Final = ("BTC/USD", "ETH/USD")


async def run(settings: Settings, *, paths: list[Path], count: int, seed: int, speed: Decimal | None) -> Report:
    """Run the demo and return what came of it.

    Args:
        settings: of the router; its home may hold the journal of a demo that was interrupted.
        paths: recordings to trade on; none: the made-up market.
        count: intents to push, garbage not counted.
        seed: part of every intent id.
        speed: factor of time; None: 1, on recordings as fast as possible.
    """
    clock = SystemClock()
    logs.configure(settings.home_path, clock.now)
    ids = {client_order_id(name): name for name in (f"demo-{seed}-{number}" for number in range(count))}
    known = _journaled(settings.home_path / "journal.db")
    meter = Meter(known)
    market = _Recordings(paths, speed, meter) if paths else _MadeUp(speed)
    try:
        async with ExecutionPipeline("paper", settings, clock=clock, feed=market.feed) as pipeline:
            with progress(count) as meter.on_answer:
                report = await _trade(pipeline, market, meter, list(ids.values()))
        report.earlier = len(known & ids.keys())
        return _checked(report, {key: name for key, name in ids.items() if key in meter.sent or key in known})
    finally:
        logs.shutdown()


async def _trade(pipeline: ExecutionPipeline, market: _MadeUp | _Recordings, meter: Meter, ids: list[str]) -> Report:
    """Let the strategies trade until their ids are used up or the market has closed, then tidy up."""
    started, equity = time.perf_counter(), pipeline.risk_snapshot().equity
    symbols = market.symbols(pipeline)
    if not symbols:
        raise CommandError("no instrument is configured for the symbols of this market")
    turns = Turns(len(_PLAYERS))
    async with anyio.create_task_group() as group:
        await group.start(meter.watch, pipeline)
        for player, strategy in enumerate(_PLAYERS):
            mine = [name for number, name in enumerate(ids) if _player_of(number) == player and not meter.knows(name)]
            desk = Desk(pipeline, symbols, iter(mine), partial(meter.send, pipeline), turns.tick)
            group.start_soon(_play, strategy, desk, turns)
        await market.trade(pipeline, turns, math.ceil(len(ids) * _TAKER_SHARE / len(symbols) * 1.1))
        await meter.settled(pipeline)
        for order_id in await pipeline.cancel_all(reason="end of the demo"):
            await pipeline.wait_for(order_id, timeout=_PATIENCE_S)
        group.cancel_scope.cancel()
    return meter.report(pipeline, equity, time.perf_counter() - started)


def _player_of(number: int) -> int:
    """Half of the ids are the market maker's, one in ten the careless one's, the rest the taker's."""
    place = number % CARELESS_EVERY
    return 2 if place == CARELESS_EVERY - 1 else int(place >= CARELESS_EVERY // 2)


async def _play(strategy: Callable[[Desk], Awaitable[None]], desk: Desk, turns: Turns) -> None:
    try:
        await strategy(desk)
    finally:
        turns.leave()


class Turns:
    """Lets every strategy act once, then whoever drives the market goes on."""

    def __init__(self, players: int) -> None:
        self.players = players
        self._waiting = 0
        self._over = False
        self._go = anyio.Event()
        self._all_wait = anyio.Event()

    async def tick(self) -> bool:
        """Wait, in a strategy, for its next turn; False once there is none."""
        self._waiting += 1
        self._look()
        await self._go.wait()
        return not self._over

    def leave(self) -> None:
        """Note that a strategy is done."""
        self.players -= 1
        self._look()

    async def play(self) -> None:
        """Give every strategy one turn."""
        await self._all_wait.wait()
        go, self._go, self._all_wait, self._waiting = self._go, anyio.Event(), anyio.Event(), 0
        self._look()
        go.set()
        await self._all_wait.wait()

    def end(self) -> None:
        """Tell all strategies that the market has closed."""
        self._over = True
        self._go.set()

    def _look(self) -> None:
        if self._waiting == self.players:
            self._all_wait.set()


class _MadeUp:
    """The router's own synthetic market, in real time."""

    feed = None

    def __init__(self, speed: Decimal | None) -> None:
        self._speed = float(speed or 1)

    def symbols(self, pipeline: ExecutionPipeline) -> list[str]:
        return [symbol for symbol in _SYMBOLS if pipeline.market.quote(symbol) is not None]

    async def trade(self, _pipeline: ExecutionPipeline, turns: Turns, rounds: int) -> None:
        while turns.players:
            await turns.play()
            await asyncio.sleep(_RUN_S / rounds / self._speed)


class _Recordings:
    """Recorded markets that stand still while the strategies act."""

    def __init__(self, paths: list[Path], speed: Decimal | None, meter: Meter) -> None:
        self.feed = self
        self._paths = paths
        self._speed = speed
        self._meter = meter
        self._ready = False
        self._opened = anyio.Event()
        self._closed = anyio.Event()
        self._error: RouterError | None = None
        self._pipeline: ExecutionPipeline
        self._turns: Turns
        self._slices = 0
        self._stride = 1

    def symbols(self, pipeline: ExecutionPipeline) -> list[str]:
        return [symbol for symbol in pipeline.instruments if pipeline.market.quote(symbol) is not None]

    async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
        """Feed the recordings to the pipeline; it is the pipeline that runs this."""

        def quoted() -> None:
            self._ready = True
            ready()

        feed = ReplayFeed(self._paths, speed=self._speed, clock=SystemClock(), pace=self._pace, slice_ms=_SLICE_MS)
        try:
            await feed.run(market, quoted)
        except RouterError as error:
            self._error = error
            raise
        finally:
            self._closed.set()

    async def trade(self, pipeline: ExecutionPipeline, turns: Turns, rounds: int) -> None:
        """Let the market run, and return when it has closed; ``rounds`` turns are spread over it."""
        self._pipeline, self._turns = pipeline, turns
        self._stride = max(1, _slices(self._paths) // rounds)
        self._opened.set()
        await self._closed.wait()
        turns.end()
        if self._error is not None:
            raise self._error

    async def _pace(self) -> None:
        if not self._ready:
            return
        await self._opened.wait()
        self._slices += 1
        if self._slices % self._stride == 0 and self._turns.players:
            await self._turns.play()
            await self._meter.settled(self._pipeline)


def _slices(paths: list[Path]) -> int:
    """Return how many slices the smallest recording spans; 0 if it cannot be told (the feed will say why)."""
    path = min(paths, key=lambda each: each.stat().st_size)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            rows = file.read().splitlines()
        first, last = (int(row.split(b",", 1)[0]) for row in (rows[1], rows[-1]))
    except (OSError, EOFError, ValueError, IndexError):
        return 0
    return (last - first) // (_SLICE_MS * 1_000_000)


class Meter:
    """Sends intents, watches the events, and counts what comes back.

    Args:
        known: client_order_ids that the journal held before.
    """

    def __init__(self, known: set[str]) -> None:
        self.sent: dict[str, float] = {}
        self.on_answer: Callable[[], None] = lambda: None
        self._known = known
        self._expected = 0
        self._answered = 0
        self._news = anyio.Event()
        self._answers: Counter[str] = Counter()
        self._latencies: list[float] = []

    def knows(self, intent_id: str) -> bool:
        """Whether an earlier run has pushed this intent."""
        return client_order_id(intent_id) in self._known

    async def send(self, pipeline: ExecutionPipeline, thing: object) -> None:
        """Push one intent; the same id again, and only that, is expected to get no answer of its own."""
        name = thing.intent_id if isinstance(thing, OrderIntent) else None
        key = client_order_id(name) if name is not None else f"garbage {self._expected}"
        if key not in self.sent:
            self.sent[key] = time.perf_counter()
            self._expected += 1
        await pipeline.intents.send(thing)

    async def watch(self, pipeline: ExecutionPipeline, *, task_status: TaskStatus[None]) -> None:
        """Count every event from now on."""
        async with pipeline.subscribe() as events:
            task_status.started()
            async for event in events:
                self._note(event)

    async def settled(self, pipeline: ExecutionPipeline) -> None:
        """Wait until every intent has its answer.

        Raises:
            CommandError: none came for a long time; the red health checks are named.
        """
        while self._answered < self._expected:
            with anyio.move_on_after(_PATIENCE_S) as patience:
                await self._news.wait()
            if patience.cancelled_caught:
                red = [f"{name}: {check['detail']}" for name, check in pipeline.health().items() if not check["ok"]]
                raise CommandError(
                    f"no answer for {_PATIENCE_S:.0f} s, {self._expected - self._answered} intents wait; "
                    + ("; ".join(red) or "no health check is red")
                )
            self._news = anyio.Event()
        await pipeline.idle()

    def _note(self, event: OrderEvent) -> None:
        key = event.client_order_id or ""
        if not isinstance(event, Answered) or key in self._known:
            return  # an earlier run's was answered at this start
        self._answered += 1
        self._answers[event.status] += 1
        if key in self.sent:
            self._latencies.append(time.perf_counter() - self.sent[key])
            self.on_answer()
        self._news.set()

    def report(self, pipeline: ExecutionPipeline, equity: Decimal, seconds: float) -> Report:
        """Return what was counted since ``equity`` was measured."""
        latencies = sorted(self._latencies)
        orders = (pipeline.order(key) for key in self.sent)
        return Report(
            intents=len(self.sent),
            seconds=seconds,
            answers=dict(self._answers),
            orders=dict(Counter(str(order.status) for order in orders if order is not None)),
            fees={currency: fee for currency, fee in pipeline.fees().items() if fee},
            pnl=pipeline.risk_snapshot().equity - equity,
            currency=pipeline.limits.base_currency,
            latency_p50_ms=_percentile(latencies, 0.5),
            latency_p99_ms=_percentile(latencies, 0.99),
            journal=str(pipeline.journal_path),
            log=str(max((pipeline.settings.home_path / "logs").glob("execution_*.log"), default="–")),
        )


def _percentile(ordered: list[float], share: float) -> float | None:
    """Return a latency in ms; None when nothing was measured."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else None


def _journaled(journal: Path) -> set[str]:
    """Return the client_order_ids that an earlier run left in the journal."""
    if not journal.exists():
        return set()
    events = map(decode_event, export(journal))
    return {event.client_order_id for event in events if isinstance(event, OrderEvent) and event.client_order_id}


def _checked(report: Report, names: dict[str, str]) -> Report:
    """Verify the journal, and that each intent has exactly one answer in it.

    Args:
        report: what the meter saw; fills and the verdict on the journal are added.
        names: client_order_id -> intent_id of all that was ever pushed.
    """
    journal = Path(report.journal)
    verified = verify(journal)
    answers: Counter[str | None] = Counter()
    for event in map(decode_event, export(journal)):
        if isinstance(event, Answered):
            answers[event.client_order_id] += 1
        report.fills += isinstance(event, Filled | PartiallyFilled)
    wrong = [f"{name} has {answers[key]}" for key, name in names.items() if answers[key] != 1]
    report.events, report.head = verified.events, verified.head
    report.problems = wrong[:10] + ([f"and {len(wrong) - 10} more"] if len(wrong) > 10 else [])
    return report
