"""``router bench gates``: what each gate of the chain costs an order, and each control of the safety gate.

The gates are the running pipeline's own, on a fixed quote and without a journal's disk; behind the one that is
measured stands an answer that called no executor, so that what a gate has counted or held is undone again and every
order finds the same state. This module must not know what any gate does.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Sequence

import msgspec

from router.cli.bench import overrides
from router.cli.common import CommandError, ExitCode, settle_heap
from router.clock import SystemClock
from router.domain.enums import ExecutionStatus
from router.domain.intent import OrderIntent
from router.domain.result import ExecutionResult
from router.errors import RouterError
from router.execution.pipeline import ExecutionPipeline
from router.ids import IdFactory, client_order_id
from router.journal.memory import MemoryJournal
from router.middleware import Middleware, Submission
from router.safety.guard import Control, Remembering
from router.settings import load_settings

_SYMBOL = "BTC/USD"
_BEFORE = "validation"
"""The gate that makes an order of an intent; each later one is measured with orders that passed it."""
_OUTERMOST = "boundary"


class GateRow(msgspec.Struct, frozen=True, kw_only=True):
    """One gate, or one control of the safety gate: microseconds an order."""

    name: str
    us: float


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """All gates but the outermost, which writes the answer to the journal; ``controls`` are part of safety."""

    orders: int
    gates: list[GateRow]
    controls: list[GateRow]
    gates_us: float


class _Bench:
    """Makes submissions and runs them through one gate."""

    def __init__(self, pipeline: ExecutionPipeline, orders: int) -> None:
        self._pipeline = pipeline
        self._orders = orders
        self._ids = IdFactory()
        self.template: ExecutionResult

    def submission(self) -> Submission:
        pipeline, now = self._pipeline, self._pipeline.clock.now()
        intent_id = self._ids.intent_id(now)
        return Submission(
            OrderIntent(symbol=_SYMBOL, side="buy", quantity="0.001", strategy_key="bench", intent_id=intent_id),
            run_id=self._ids.run_id(now),
            session_id=pipeline.session_id,
            environment=pipeline.env,
            client_order_id=client_order_id(intent_id),
            received_at=now,
        )

    async def _end(self, submission: Submission) -> ExecutionResult:
        self.seen = submission
        return self.template

    async def prepared(self) -> list[Submission]:
        """Return submissions that have passed validation, with the quote the gates see."""
        made = [self.submission() for _ in range(self._orders)]
        self.template = made[0].answer(ExecutionStatus.SUCCESS)
        validation = self._pipeline.stages[_BEFORE]
        for each in made:
            result = await validation(each, self._end)
            if not result.is_success:
                raise RouterError(f"bench: an intent was answered {result.status}: {result.reason}")
            each.reference = self._pipeline.market.quote(_SYMBOL)
        return made

    async def gate(self, stage: Middleware | None, submissions: Sequence[Submission]) -> float:
        """Return the seconds that all orders take through ``stage``; None: through nothing."""
        start = time.perf_counter()
        for each in submissions:
            if stage is None:
                await self._end(each)
            else:
                result = await stage(each, self._end)
                if result is not self.template:
                    raise RouterError(f"bench: an order was answered {result.status}: {result.reason}")
        return time.perf_counter() - start

    def control(self, control: Control, submissions: Sequence[Submission]) -> float:
        """Return the seconds that one control takes over all orders, its counting and undoing included."""
        settings, pipeline = self._pipeline.settings, self._pipeline
        limits = settings.safety_for(pipeline.env, "bench")
        remembers = control if isinstance(control, Remembering) else None
        start = time.perf_counter()
        for each in submissions:
            control.objection(each, limits)
            if remembers is not None:
                remembers.passed(each, limits)
                remembers.undone(each, limits)
        return time.perf_counter() - start


def run(orders: int = 5000, config: str | None = None) -> GateReport:
    """Measure every gate with ``orders`` orders."""
    with tempfile.TemporaryDirectory(prefix="router-bench-") as home:
        settings = load_settings(config, overrides=overrides(home))
        return asyncio.run(
            _measured(ExecutionPipeline("paper", settings, journal=MemoryJournal(SystemClock())), orders)
        )


async def _measured(pipeline: ExecutionPipeline, orders: int) -> GateReport:
    async with pipeline:
        bench = _Bench(pipeline, orders)
        submissions = await bench.prepared()
        gc.collect()
        nothing = await bench.gate(None, submissions)

        def row(name: str, seconds: float) -> GateRow:
            return GateRow(name=name, us=round(seconds / orders * 1e6, 2))

        gates = [
            row(name, await bench.gate(stage, submissions) - nothing)
            for name, stage in pipeline.stages.items()
            if name != _OUTERMOST
        ]
        controls = [row(each.id, bench.control(each, submissions)) for each in pipeline.controls]
    return GateReport(orders=orders, gates=gates, controls=controls, gates_us=round(sum(each.us for each in gates), 2))


def bench_gates(*, orders: int = 5000, config: str | None = None, json: bool = False) -> int:
    """Measure what each gate costs an order on this machine.

    Args:
        orders: how many each gate is measured with.
        config: path of config.toml.
        json: print the report as one JSON object.
    """
    if orders < 1:
        raise CommandError("--orders must be above 0", ExitCode.USAGE)
    settle_heap()
    report = run(orders, config)
    print(msgspec.json.encode(report).decode() if json else table(report))
    return 0


def table(report: GateReport) -> str:
    """Return the report as text."""
    show: Callable[[GateRow], str] = lambda row: f"{row.name:<28}{row.us:>9.2f}"  # noqa: E731
    return "\n".join(
        [
            f"{'gate':<28}{'µs':>9}",
            *map(show, report.gates),
            f"{'all gates':<28}{report.gates_us:>9.2f}",
            "",
            f"{'control (part of safety)':<28}{'µs':>9}",
            *map(show, report.controls),
        ]
    )
