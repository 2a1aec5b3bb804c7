"""The chain composed and kept running: the one object that strategies and operators hold.

A submit reads: pipeline -> validation -> governance/gate -> safety/guard -> risk/gate -> dispatch ->
executors/paper -> tracker. The order of the stages is ``chain.STAGES``; ``engine`` keeps it all running.
This module must not know HTTP, signals, the command line, or how logs are written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from router.clock import Clock, SystemClock
from router.domain.events import TRADES, OrderEvent
from router.domain.intent import OrderIntent
from router.domain.order import Order
from router.domain.result import ExecutionResult
from router.errors import (
    ExecutionPipelineError,
    GovernanceViolationError,
    LiveExecutionLockedError,
    RouterError,
)
from router.execution.alarm import Alarm
from router.execution.cancels import CancelLane
from router.execution.chain import dispatcher, stages
from router.execution.console import NOT_RUNNING, Console
from router.execution.desk import BooksDesk
from router.execution.engine import Engine
from router.execution.environments import Parts, accounts_for, executor_for, feed_for, refusals, venue_names
from router.execution.event_log import EventLog
from router.execution.intake import Intake, Request
from router.execution.operate import AccountView, Operations
from router.execution.risk_desk import RiskDesk
from router.execution.safeguards import Safeguards, sanity_of
from router.execution.tracker import Tracker
from router.execution.upkeep import Upkeep
from router.execution.validation import intent_for
from router.execution.venues import Venues
from router.execution.waiting import Answers, Endings, order_events, resolve
from router.governance.go_no_go import LIVE, RISK_OVERRIDE, governance_status
from router.ids import session_id
from router.journal.base import Journal
from router.journal.lock import HomeLock
from router.journal.sqlite import SqliteJournal
from router.journal.statistics import orders_of_day
from router.logs import get_logger
from router.market.feeds import Feed
from router.market.instruments import load_instruments
from router.market.quotes import MarketData
from router.middleware import Next, compose
from router.risk.limit_book import LimitBook
from router.risk.limits import limit_files, read_limits
from router.settings import Settings, load_settings
from router.watchers.watchdog import Watchdog
from router.watchers.windows import Windows


class ExecutionPipeline(Console):
    """The router in one process; ``async with`` starts it, recovers what the journal holds, and stops it cleanly.

    Args:
        env: default environment of intents that name none; None: the configuration's. An unknown one blocks
            every order (BLOCKED_BY_ENVIRONMENT), ``live`` is locked.
        config: path of a ``config.toml``, a ``Settings``, or None for the working directory's or shipped one.
        clock: where time comes from.
        feed: market data instead of what the configuration names.
        journal: another journal than ``home/journal.db``, for simulations and benchmarks.

    Raises:
        ConfigError: configuration, limits or instruments are wrong; nothing was started.
    """

    def __init__(
        self,
        env: str | None = None,
        config: str | Path | Settings | None = None,
        *,
        clock: Clock | None = None,
        feed: Feed | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.settings = load_settings(config)
        self.clock = clock or SystemClock()
        self.env = str(env if env is not None else self.settings.execution.environment)
        self.session_id = session_id(self.env, self.clock.now())
        self.home = self.settings.home_path
        self.journal_path = self.home / "journal.db"
        self.market = MarketData(self.clock, sanity_of(self.settings.safety))
        self.instruments = load_instruments(self.settings.instruments_path)
        self._intents: MemoryObjectSendStream[Any] | None = None
        self._log = get_logger(session_id=self.session_id, env=self.env)
        self._journal = journal or SqliteJournal(self.journal_path, self.clock)
        self._answers = Answers()
        self._endings = Endings(self.clock)
        self._event_log = EventLog(self._log)
        refused, limits = refusals(self.settings), read_limits(limit_files(self.settings), self.settings.strategies)
        self._accounts = accounts_for(self.settings, limits, self.market, refused)
        watch = self.settings.watchers
        self._watchdog = Watchdog(Windows(watch.submitted_window_s, watch.partial_window_s), self.clock, self._log)
        self._tracker = Tracker(
            self._journal,
            self._accounts,
            self.clock,
            self._log,
            self._published,
            watch=self._watchdog.note,
            market_time=self.market.time,
        )
        self._orders = self._tracker.orders
        parts = Parts(self.settings, self.instruments, self.market, self.clock, self._tracker, self._log)
        self._executors = {name: executor_for(name, parts) for name in self._accounts}
        self._venues = Venues(
            self._executors.values(),
            refused,
            BooksDesk(self._tracker, self._accounts, self.instruments.values(), self._watchdog.look_now),
            self.clock,
            self._log,
            reconcile_s=self.settings.testnet.reconcile_s,
        )
        self._feed = feed or feed_for(parts)
        self._wire(self._chain(parts))

    def _chain(self, parts: Parts) -> Next:
        """Make the gates, what stands beside them, and the chain."""
        alarm = Alarm(self._tracker.alert, self.clock)
        self._risk = RiskDesk(
            LimitBook(limit_files(self.settings), self.settings.strategies, self._tracker.standing),
            self._accounts,
            self._tracker,
            self._journal,
            self.market,
            alarm,
            self.clock,
            symbols=self.instruments.keys(),
            on_closed=lambda: self._engine.spawn(self._operations.enforce),
        )
        self._safeguards = Safeguards(parts, self._accounts, self._venues, self._tracker, alarm, self._counted())
        self.stages = stages(
            parts, self._executors, self._venues, self._safeguards, self._risk.gate, self._tracker, self._journal
        )
        last = dispatcher(self._executors, self._safeguards, self._tracker, self._journal, self._log)
        return compose(list(self.stages.values()), last)

    def _wire(self, chain: Next) -> None:
        """Make the engine and the ways in: the intake with the chain behind it, and the lane for cancels beside it."""
        self._engine = Engine(
            lock=HomeLock(self.home),
            journal=self._journal,
            tracker=self._tracker,
            accounts=self._accounts,
            executors=self._executors,
            venues=self._venues,
            feed=self._feed,
            market=self.market,
            watchdog=self._watchdog,
            clock=self.clock,
            log=self._log,
            register=lambda: governance_status({RISK_OVERRIDE: self.settings.governance.risk_check_override}),
            on_end=self._ended,
        )
        self._intake = Intake(
            chain,
            self._engine.conductor,
            self._journal,
            self._orders.seen,
            self.clock,
            self._log,
            count=self._safeguards.out_versus_in,
            environment=self.env,
            session_id=self.session_id,
        )
        self._cancels = CancelLane(
            self._tracker,
            self._executors,
            self._journal,
            self._intake,
            self._log,
            waiter=self._answers.new,
            spawn=self._engine.spawn,
            leaving=self._safeguards.cancelled,
        )
        self._tracker.standing.operators = self.settings.governance.operators
        self._operations = Operations(
            self._tracker.standing,
            self._orders,
            self._cancels,
            self._journal,
            self.clock,
            self._log,
            venues=venue_names(self.settings),
            symbols=self.instruments.keys(),
            strategies=self.settings.strategies,
            account=AccountView(
                self._risk.gate.still_closed_by,
                lambda name: self._account_of(name).equity(),
                self._risk.gained,
                lambda name, symbol: self._account_of(name).portfolio.position(symbol).quantity,
            ),
            resumed=self._safeguards.resumed,
        )
        self._watchdog.attach(self._executors, Upkeep(self._tracker, self._cancels, self.clock))

    def _counted(self) -> Mapping[str, int]:
        """Return what strategies whose orders a day are limited have sent today already."""
        limited = any(each.max_orders_per_day is not None for each in self.settings.strategies.values())
        return orders_of_day(self.journal_path, self.clock.now().date()) if limited else {}

    async def __aenter__(self) -> Self:
        capacity = self.settings.execution.intake_capacity
        self._intents, arrivals = anyio.create_memory_object_stream[Any](capacity)
        try:
            await self._engine.start(
                self._intake,
                arrivals,
                recovered=self._risk.book.start,
                companions=(self._operations.enforce, self._risk.monitor.run),
            )
        except BaseException:
            self._intents.close()
            arrivals.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with anyio.CancelScope(shield=True):  # a body that was cancelled is still stopped cleanly
                await self._engine.stop()
        finally:
            self.intents.close()

    @property
    def intents(self) -> MemoryObjectSendStream[Any]:
        """The bounded queue: ``await intents.send(intent)`` waits when it is full; nobody waits for the answer.

        Raises:
            ExecutionPipelineError: the pipeline was not started.
        """
        if self._intents is None:
            raise ExecutionPipelineError(NOT_RUNNING)
        return self._intents

    def _published(self, event: OrderEvent, order: Order | None) -> None:
        self._event_log.write(event, order)
        self._safeguards.published(event, order)
        if isinstance(event, TRADES) and self._engine.running and self._operations.restricts:
            self._engine.spawn(self._operations.enforce)
        self._risk.monitor.moved()
        if order is not None:
            self._endings.tell(order)

    def _ended(self, error: RouterError) -> None:
        self._answers.abandon(error)
        self._endings.abandon(error)

    # -- intents -------------------------------------------------------------------------------------------

    async def submit_order(
        self,
        intent: OrderIntent,
        *,
        raise_on_governance_violation: bool = True,
        skip_risk_check: bool = False,
    ) -> ExecutionResult:
        """Send one intent through the chain; returns once the executor has answered and that is durable.

        Args:
            intent: what is wanted; nonsense is answered INVALID.
            raise_on_governance_violation: raise instead of answering BLOCKED_BY_GOVERNANCE.
            skip_risk_check: needs the governance key ``risk_check_override``; never for testnet.

        Raises:
            LiveExecutionLockedError: env=live (runbook §9.3); the answer is journaled and in ``result``.
            GovernanceViolationError: another governance key forbids it.
            ExecutionPipelineError: the pipeline is not running, or stopped before the answer was durable.
        """
        self._require_running()
        answer = self._answers.new()
        request = Request(intent, partial(resolve, answer), skip_risk_check=skip_risk_check)
        try:
            self.intents.send_nowait(request)
        except anyio.WouldBlock:
            await self.intents.send(request)
        result = await answer
        if raise_on_governance_violation and result.is_blocked_by_governance:
            kind = LiveExecutionLockedError if result.violation == LIVE else GovernanceViolationError
            raise kind(f"{result.reason} (run_id {result.run_id})", result)
        return result

    async def amend_order(
        self, client_order_id: str, *, quantity: object = None, price: object = None
    ) -> ExecutionResult:
        """Ask for another quantity or price of a working limit order, with cancel/replace semantics (FIX 35=G).

        The order keeps its id and what it has traded. The new terms pass every gate, hold the larger of both
        quantities until the executor has answered, and are in force when it says so: SUCCESS. Refused by it: REJECTED,
        the old terms stand. Not known yet: SUBMITTED with ``outcome_unknown``, looked up like an order; until then no
        other amendment is taken.

        Args:
            client_order_id: of the order.
            quantity: the new total, base units, what has traded included; None: as it is.
            price: the new limit, quote units; None: as it is.

        Raises:
            ExecutionPipelineError: not running, or no order has this id.
        """
        self._require_running()
        self._known(client_order_id)
        order = await self._cancels.handed_over(client_order_id) or self._known(client_order_id)
        answer = self._answers.new()
        self._intake.amend(order, intent_for(order, quantity, price), partial(resolve, answer))
        return await answer

    async def idle(self) -> None:
        """Wait until everything that was sent has its answer."""
        await self._engine.idle()

    # -- cancels -------------------------------------------------------------------------------------------

    async def cancel_order(self, client_order_id: str, *, reason: str = "cancelled by request") -> Order:
        """Ask the executor to end an order, past every gate and queue; returns the order as far as it is durable.

        While the journal cannot be written that is still the working order: the cancel was carried out, but a
        restart would not know of it.

        Raises:
            ExecutionPipelineError: not running, or no order has this id.
        """
        self._require_running()
        self._known(client_order_id)
        await self._cancels.cancel([client_order_id], reason)
        return self._orders.order(client_order_id) or self._known(client_order_id)

    def _known(self, client_order_id: str) -> Order:
        """Return the order as decided; raises ExecutionPipelineError when no order has this id."""
        order = self._orders.current(client_order_id) or self._orders.order(client_order_id)
        if order is None:
            raise ExecutionPipelineError(f"No order has the client_order_id {client_order_id!r}.")
        return order

    async def cancel_all(
        self,
        *,
        symbol: str | None = None,
        strategy_key: str | None = None,
        environment: str | None = None,
        reason: str = "cancelled by request",
    ) -> list[str]:
        """Ask for the end of every open order that matches all given filters; returns their client_order_ids.

        Raises:
            ExecutionPipelineError: not running, or an order's environment is not enabled (the others are cancelled).
        """
        self._require_running()
        matching = [
            order.client_order_id
            for order in self._orders.working_orders()
            if symbol in {None, order.symbol}
            and strategy_key in {None, order.strategy_key}
            and environment in {None, order.environment}
        ]
        await self._cancels.cancel(matching, reason)
        return matching

    # -- views ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def subscribe(self, from_seq: int | None = None) -> AsyncIterator[AsyncIterator[OrderEvent]]:
        """Every durable order event in journal order, from now on or from ``from_seq``; ends with the pipeline."""
        events = order_events(self._journal, self._journal.durable_seq + 1 if from_seq is None else from_seq)
        try:
            yield events
        finally:
            await events.aclose()

    async def wait_for(self, client_order_id: str, timeout: float | None = None) -> Order:  # noqa: ASYNC109 -- the contract's name
        """Return the order once it has ended.

        Raises:
            TimeoutError: it has not within ``timeout`` seconds (of the pipeline's clock).
            ExecutionPipelineError: not running, or no order has this id.
        """
        self._require_running()
        self._known(client_order_id)
        order = self._orders.order(client_order_id)
        if order is not None and not order.is_open:
            return order
        return await self._endings.of(client_order_id, timeout)
