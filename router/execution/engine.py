"""The life of a running pipeline: lock, replay, recovery, everything in the background, and the orderly end.

All background work lives in one task group inside one task, so that a pipeline may be entered and left from
different tasks. A part that breaks ends the engine, loudly: start-up is recovery. This module must not know the
gates or the public API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream

from router.clock import Clock
from router.domain.enums import ExecutionStatus
from router.domain.events import Pending
from router.domain.result import ExecutionResult
from router.errors import ExecutionPipelineError, JournalError, RouterError
from router.execution.conductor import Conductor
from router.execution.dispatch import accepted
from router.execution.intake import Intake
from router.execution.recovery import NOT_IN_FORCE, UNKNOWN_AFTER_RESTART, never_received, resumed
from router.execution.tracker import Tracker
from router.execution.venues import Venues
from router.executors.base import OrderExecutor
from router.journal.base import Journal
from router.journal.lock import HomeLock
from router.logs import RouterLogger
from router.market.feeds import Feed
from router.market.quotes import MarketData
from router.risk.account import Account
from router.watchers.watchdog import Watchdog

_STOP_S: Final = 10.0
CHECKPOINT_EVERY: Final = 50_000
"""Events between two checkpoints; a start replays at most about that many."""
_WORTH_IT: Final = 5_000
"""Events since the last checkpoint for which a clean stop takes one."""
STOPPED: Final = (
    "The pipeline stopped before the answer was durable. Send the same intent_id again after the next start: "
    "it is answered from the journal, never executed twice."
)


class Engine:
    """Starts, runs and stops the parts of one pipeline.

    ``register()`` returns the governance register, which every answer carries.
    ``on_end(error)`` is called once when the engine has ended, with what anyone still waiting should be told.
    """

    def __init__(
        self,
        *,
        lock: HomeLock,
        journal: Journal,
        tracker: Tracker,
        accounts: Mapping[str, Account],
        executors: Mapping[str, OrderExecutor],
        venues: Venues,
        feed: Feed,
        market: MarketData,
        watchdog: Watchdog,
        clock: Clock,
        log: RouterLogger,
        register: Callable[[], dict[str, str]],
        on_end: Callable[[RouterError], None],
    ) -> None:
        self.lock = lock
        self.journal = journal
        self.running = False
        self._over = False
        self.feed_error: RouterError | None = None
        self._tracker = tracker
        self._accounts = accounts
        self._executors = executors
        self._venues = venues
        self._feed = feed
        self._market = market
        self._watchdog = watchdog
        self._clock = clock
        self._log = log
        self._register = register
        self._on_end = on_end
        self._stop = anyio.Event()
        self._background: TaskGroup
        self._runner: asyncio.Task[None] | None = None
        self._arrivals: MemoryObjectReceiveStream[Any]
        self._intake: Intake
        self._recovered: Callable[[], None]
        self._companions: tuple[Callable[[], Coroutine[Any, Any, None]], ...]
        self.conductor: Conductor[ExecutionResult] = Conductor(journal, self.spawn)
        journal.on_durable = self._durable
        journal.on_failure = self._failed

    async def start(
        self,
        intake: Intake,
        arrivals: MemoryObjectReceiveStream[Any],
        *,
        recovered: Callable[[], None],
        companions: Sequence[Callable[[], Coroutine[Any, Any, None]]],
    ) -> None:
        """Take the lock, replay, recover, start the background; on failure everything is released again.

        ``recovered`` is called once the journal's state is known; ``companions`` run beside the intake.

        Raises:
            JournalError: the journal is locked, unreadable or not trustworthy.
            MarketDataError: the feed cannot start.
        """
        if self._stop.is_set():
            raise ExecutionPipelineError("A pipeline runs once: create a new one on the same journal.")
        self._intake, self._arrivals = intake, arrivals
        self._recovered, self._companions = recovered, tuple(companions)
        try:
            self.lock.acquire()
            await self._recover()
            started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._runner = asyncio.create_task(self._run(started))  # noqa: TID251 -- holds the group, awaited by stop
            await asyncio.wait({started, self._runner}, return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                self._runner.result()
            started.result()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.stop()
            raise
        self.running = True
        self._log.info("pipeline_started", events=self.journal.durable_seq)

    async def _recover(self) -> None:
        """Load the last checkpoint, replay the rest, then give every submission of an earlier run its one answer."""
        await self.journal.open(self._tracker.replay, self._tracker.load)
        for reason in self.journal.passed_over:
            self._log.warning("checkpoint_passed_over", reason=reason)
        self._recovered()
        for name in self._accounts.keys() - self._tracker.ledger.opened - self._venues.reconcilers.keys():
            self._tracker.open_account(name, self._accounts[name].portfolio)
        for name, executor in self._executors.items():
            executor.restore([order for order in self._tracker.orders.open_orders() if order.environment == name])
        for pending in list(self._tracker.unanswered.values()):
            self._answer_left_over(pending)
        for order in self._tracker.orders.working_orders():
            for asked in order.pending_replaces if self._has_no_book(order.environment) else ():
                self._tracker.replace_failed(order.client_order_id, asked.request_id, NOT_IN_FORCE)
        self._watchdog.resume(self._tracker.orders.working_orders())

    def _answer_left_over(self, pending: Pending) -> None:
        """Answer a submission of an earlier run by what is proved of it."""
        client_order_id = pending.client_order_id or ""
        order = self._tracker.orders.recall(client_order_id)
        if order is not None and order.status is ExecutionStatus.PENDING:
            if self._has_no_book(order.environment):
                self._tracker.report(never_received(pending, self._clock.now()))
            else:
                self._tracker.unknown(client_order_id, UNKNOWN_AFTER_RESTART)
        submission = resumed(pending)
        submission.governance = self._register()
        self._tracker.answer(submission, accepted(submission, self._tracker))
        self._log.warning("answered_after_restart", run_id=pending.run_id, client_order_id=client_order_id)

    def _has_no_book(self, environment: str) -> bool:
        """Whether the executor's book is our journal, so that what is not recorded has not happened."""
        executor = self._executors.get(environment)
        return executor is not None and not executor.remote

    async def stop(self) -> None:
        """Finish what is in flight, make it durable, release the journal. Working orders stay in the journal.

        Waits at most ``_STOP_S`` for answers; a submission without one by then is answered after the next start.
        """
        started, self.running = self._runner is not None, False
        self._stop.set()
        try:
            if self._runner is not None:
                await asyncio.wait({self._runner})
            await self.journal.flush()
            await self._last_checkpoint()
        except JournalError as error:
            self._log.critical("journal_not_flushed", reason=str(error))
        finally:
            await self.journal.close()
            self.lock.release()
            self._arrivals.close()
        if started:
            self._log.info("pipeline_stopped", events=self.journal.durable_seq)
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.result()

    async def _last_checkpoint(self) -> None:
        """Take a checkpoint at a clean stop if it saves the next start something; not after anything broke."""
        clean = self._runner is not None and not self._runner.cancelled() and self._runner.exception() is None
        if clean and self.journal.durable_seq - self.journal.checkpointed >= _WORTH_IT:
            taken = self._tracker.checkpoint()
            if taken is not None:
                await self.journal.flush()
                await self._keep(*taken)

    async def _keep(self, seq: int, state: bytes) -> None:
        """Store a checkpoint; without it the next start takes longer, and that is all."""
        try:
            await self.journal.keep(seq, state)
        except JournalError as error:
            self._log.warning("checkpoint_not_stored", seq=seq, reason=str(error))

    async def _run(self, started: asyncio.Future[None]) -> None:
        """Hold everything that runs in the background until ``stop``, or until a part of it breaks."""
        try:
            async with anyio.create_task_group() as background:
                self._background = background
                background.start_soon(self.journal.run)
                for executor in self._executors.values():
                    background.start_soon(executor.run)
                background.start_soon(self._watchdog.run)
                for reconciler in self._venues.reconcilers.values():
                    background.start_soon(reconciler.run)
                ready = anyio.Event()
                background.start_soon(self._feed_market, ready.set)
                await ready.wait()
                if self.feed_error is None:
                    await self._venues.compared()
                    for companion in self._companions:
                        background.start_soon(companion)
                    background.start_soon(self._intake.run, self._arrivals)
                    started.set_result(None)
                    await self._stop.wait()
                    with anyio.move_on_after(_STOP_S):
                        await self.idle()
                else:
                    started.set_exception(self.feed_error)
                background.cancel_scope.cancel()
        finally:
            self.running, self._over = False, True
            self._intake.abandon()
            self._on_end(ExecutionPipelineError(STOPPED))

    @property
    def waiting(self) -> int:
        """How many intents wait in the queue."""
        return self._arrivals.statistics().current_buffer_used

    async def idle(self) -> None:
        """Wait until everything that was sent has its answer; raises ExecutionPipelineError when none will come."""
        while not self._over and (self.waiting or self._intake.in_flight):
            await anyio.lowlevel.checkpoint()
            await self._intake.idle()
        if self._over:
            raise ExecutionPipelineError(STOPPED)

    async def _feed_market(self, ready: Callable[[], None]) -> None:
        try:
            await self._feed.run(self._market, ready)
        except RouterError as error:
            self.feed_error = error
            self._log.error("feed_failed", reason=str(error))
        finally:
            ready()

    def spawn(self, function: Callable[..., Any], *arguments: object) -> None:
        """Run a coroutine function in the background; it ends with the engine."""
        self._background.start_soon(function, *arguments)

    def _durable(self, seq: int) -> None:
        self._tracker.publish(seq)
        self.conductor.durable(seq)
        if self.running and seq - self.journal.checkpointed >= CHECKPOINT_EVERY:
            taken = self._tracker.checkpoint()
            if taken is not None:
                self.spawn(self._keep, *taken)

    def _failed(self, error: JournalError) -> None:
        self._log.critical("journal_failed", reason=str(error))
        self.conductor.failed(error)
