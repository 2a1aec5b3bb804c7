"""A chain with everything real but time, the disk's mood and the venue, which a test scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from anyio.abc import TaskGroup

from router import ExecutionResult, OrderIntent
from router.clock import VirtualClock
from router.domain.enums import ExecType
from router.domain.events import OrderEvent, decode_event
from router.domain.evidence import Proof
from router.domain.market import Instrument, Quote
from router.domain.order import Order, Replacement
from router.domain.portfolio import Portfolio
from router.domain.report import ExecutionReport
from router.errors import JournalError
from router.execution.alarm import Alarm
from router.execution.boundary import Boundary
from router.execution.conductor import Conductor
from router.execution.dispatch import Dispatch
from router.execution.last_look import LastLook, reducing
from router.execution.tracker import Tracker
from router.execution.validation import Validation
from router.executors.base import Emit
from router.governance.go_no_go import governance_status
from router.ids import IdFactory, client_order_id
from router.journal.memory import MemoryJournal
from router.logs import get_logger
from router.market.instruments import load_instruments
from router.market.quotes import MarketData
from router.middleware import Middleware, Submission, compose
from router.risk.account import Account
from router.risk.consequences import Consequences
from router.risk.gate import RiskGate
from router.risk.limits import LiveRiskLimits, read_limits
from router.safety.out_versus_in import OutVersusIn
from tests.journal.events import MoodyDisk

NOON = datetime(2025, 12, 9, 12, tzinfo=UTC)
CONFIG = Path(__file__).resolve().parents[2] / "config"
Script: TypeAlias = Callable[[Order, Emit], Awaitable[None]]
AmendScript: TypeAlias = Callable[[Order, Replacement, Emit], Awaitable[None]]


def report(order: Order | str, exec_type: ExecType, **fields: Any) -> ExecutionReport:
    """Return what a venue says about ``order``."""
    name = order if isinstance(order, str) else order.client_order_id
    return ExecutionReport(exec_type=exec_type, client_order_id=name, ts_event=NOON, **fields)


def trade(order: Order | str, quantity: object, trade_id: str | None = "t1", **fields: Any) -> ExecutionReport:
    """Return a fill at 50,000."""
    fields = {"last_price": Decimal(50000), "fee": Decimal(0), "fee_currency": "USD"} | fields
    return report(order, ExecType.TRADE, last_quantity=Decimal(str(quantity)), trade_id=trade_id, **fields)


class Venue:
    """An executor that does what its script says."""

    environment = "paper"
    look_up_batch = 100
    look_ups_per_s = None
    settle_s = 0.0

    def __init__(self, emit: Emit, script: Script, amends: AmendScript, *, remote: bool) -> None:
        self.remote = remote
        self.handed: list[Order] = []
        self._emit = emit
        self._script = script
        self._amends = amends

    def restore(self, orders: Iterable[Order]) -> None: ...

    async def submit(self, order: Order) -> None:
        self.handed.append(order)
        await self._script(order, self._emit)

    async def cancel(self, order: Order, reason: str) -> None:
        self._emit(report(order, ExecType.CANCELED, reason=reason))

    async def amend(self, order: Order, asked: Replacement) -> None:
        await self._amends(order, asked, self._emit)

    async def look_up(self, orders: Sequence[Order]) -> None: ...

    async def run(self) -> None:
        await anyio.sleep_forever()


async def silent(order: Order, emit: Emit) -> None:
    """Say nothing."""


async def grants(order: Order, asked: Replacement, emit: Emit) -> None:
    """Put the terms that were asked for in force."""
    emit(report(order, ExecType.REPLACED, request_id=asked.request_id, quantity=asked.quantity, price=asked.price))


@cache
def shipped() -> tuple[LiveRiskLimits, dict[str, Instrument]]:
    """Return the shipped limits and instruments."""
    return read_limits([CONFIG / "risk_limits.toml"]), load_instruments(CONFIG / "instruments.toml")


class World:
    """Boundary, validation, risk, dispatch and tracker around one scripted venue."""

    def __init__(
        self,
        script: Script = silent,
        amends: AmendScript = grants,
        *,
        remote: bool = False,
        journal: MemoryJournal | None = None,
        clock: VirtualClock | None = None,
        stages: Any = None,
    ) -> None:
        self.clock = clock or VirtualClock(NOON)
        self.disk = journal or MoodyDisk(self.clock)
        self.market = MarketData(self.clock)
        self.market.pin(Quote("BTC/USD", Decimal("49999.5"), Decimal("50000.5"), None, None, NOON, 0.0))
        self.account = Account(Portfolio({"USD": Decimal(100000)}), self.market, "USD", {})
        self.published: list[OrderEvent] = []
        log = get_logger()
        self.noted: list[tuple[str, Proof]] = []
        self.tracker = Tracker(
            self.disk,
            {"paper": self.account},
            self.clock,
            log,
            lambda event, _: self.published.append(event),
            watch=lambda order, proof: self.noted.append((order.client_order_id, proof)),
            market_time=self.market.time,
        )
        self.venue = Venue(self.tracker.report, script, amends, remote=remote)
        limits, instruments = shipped()
        self._group: TaskGroup
        self.conductor: Conductor[ExecutionResult] = Conductor(self.disk, self._spawn)
        self.disk.on_durable = self._durable
        self.disk.on_failure = self._failed
        inner: list[Middleware] = [
            Reference(self.market),
            RiskGate(
                limits.for_environment,
                {"paper": self.account},
                self._today,
                Consequences(self.tracker.standing, Alarm(self.tracker.alert, self.clock), self._today, lambda: None),
            ),
        ]
        reduces = reducing({"paper": self.account}, self.tracker.orders.current)
        self.excess: list[str] = []
        self.out = OutVersusIn(self.excess.append)
        look = LastLook(self.tracker.standing.blocking, reduces, {"paper": "paper"})
        outer: list[Middleware] = [
            Boundary(self.tracker, self.disk, log, governance_status),
            Validation(instruments, self.market.quote),
        ]
        self.chain = compose(
            [*outer, *(inner if stages is None else stages)],
            Dispatch({"paper": self.venue}, self.tracker, self.disk, log, halted=look, leaving=self.out.leaving),
        )
        self._ids = IdFactory()

    def _spawn(self, function: Callable[..., Any], *arguments: object) -> None:
        self._group.start_soon(function, *arguments)

    def _today(self) -> date:
        return self.clock.now().date()

    def _durable(self, seq: int) -> None:
        self.tracker.publish(seq)
        self.conductor.durable(seq)

    def _failed(self, error: JournalError) -> None:
        self.conductor.failed(error)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        """Write the journal in the background."""
        await self.disk.open(self.tracker.replay)
        async with anyio.create_task_group() as self._group:
            self._group.start_soon(self.disk.run)
            try:
                yield self
            finally:
                if isinstance(self.disk, MoodyDisk):
                    self.disk.gate.set()  # or a write that was begun would never end
                self._group.cancel_scope.cancel()

    def submission(self, intent: OrderIntent, amends: Order | None = None) -> Submission:
        now = self.clock.now()
        its_id = client_order_id(intent.intent_id or self._ids.intent_id(now))
        made = Submission(
            intent,
            run_id=self._ids.run_id(now),
            session_id="session",
            environment=intent.environment or "paper",
            client_order_id=its_id if amends is None else amends.client_order_id,
            received_at=now,
            amends=amends,
        )
        self.out.entered(made)
        return made

    def start(self, intent: OrderIntent) -> asyncio.Future[ExecutionResult]:
        """Send an intent through the chain."""
        answer: asyncio.Future[ExecutionResult] = asyncio.get_running_loop().create_future()
        self.conductor.start(self.chain(self.submission(intent)), answer.set_result)
        return answer

    async def submit(self, intent: OrderIntent) -> ExecutionResult:
        with anyio.fail_after(5):
            return await self.start(intent)

    @property
    def events(self) -> list[Any]:
        """What is durable."""
        return [decode_event(row.payload) for row in self.disk.rows]

    @property
    def kinds(self) -> list[str]:
        return [event.event for event in self.events]

    @property
    def held(self) -> float:
        """Base units of BTC/USD that working buys hold."""
        return float(self.account.holds.working("BTC/USD").buys)


class Reference:
    """Notes the quote, as safety does."""

    def __init__(self, market: MarketData) -> None:
        self._market = market

    async def __call__(self, submission: Submission, call_next: Any) -> ExecutionResult:
        submission.reference = self._market.quote("BTC/USD")
        result: ExecutionResult = await call_next(submission)
        return result
