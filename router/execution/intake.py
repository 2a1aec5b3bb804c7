"""From what a strategy pushed to submissions on their way: ids, idempotency, back-pressure.

One bounded stream for everybody, drained in batches; ``submit_order`` puts its request on the same stream. The
same intent_id again gets the first answer, from memory or from the journal, never a second order (spec §3).
This module must not know what the chain does with a submission.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from router.clock import Clock
from router.domain.enums import ExecutionStatus
from router.domain.events import Answered
from router.domain.intent import OrderIntent, intent_from, plain, safe_repr, same_content, storable
from router.domain.order import Order
from router.domain.result import ExecutionResult
from router.execution.conductor import Conductor
from router.ids import INTENT_ID, IdFactory, client_order_id
from router.journal.base import Journal
from router.journal.seen import Seen
from router.logs import RouterLogger
from router.middleware import Fault, Next, Submission

MAX_IN_FLIGHT: Final = 4096
"""Submissions between intake and answer; beyond it the stream fills and senders wait."""
_BATCH: Final = 1024
_CONFLICT: Final = Fault(
    "intent_id",
    "intent_id was used before with other content",
    "The same intent_id asked for something else before",
)

Answer = Callable[[ExecutionResult], None]


class Request:
    """A submission that somebody waits for; bare intents on the stream have nobody waiting."""

    __slots__ = ("answer", "skip_risk_check", "thing")

    def __init__(self, thing: object, answer: Answer | None = None, *, skip_risk_check: bool = False) -> None:
        self.thing = thing
        self.answer = answer
        self.skip_risk_check = skip_risk_check


class Count(Protocol):
    """Who compares what enters with what leaves."""

    def entered(self, submission: Submission) -> None: ...

    def landed(self, submission: Submission) -> None: ...


class _Flight:
    """A submission on its way, and everybody who waits for its answer."""

    __slots__ = ("answers", "submission")

    def __init__(self, submission: Submission, answer: Answer | None) -> None:
        self.submission = submission
        self.answers = [answer] if answer is not None else []


class Intake:
    """Starts a submission for everything that arrives.

    Args:
        chain: the folded stages.
        environment: for intents that name none.
        session_id: of this run.
        seen: which client_order_ids were ever used.
        count: told of every submission that enters, and of its end.
    """

    def __init__(
        self,
        chain: Next,
        conductor: Conductor[ExecutionResult],
        journal: Journal,
        seen: Seen,
        clock: Clock,
        log: RouterLogger,
        *,
        count: Count,
        environment: str,
        session_id: str,
    ) -> None:
        self._chain = chain
        self._conductor = conductor
        self._journal = journal
        self._seen = seen
        self._clock = clock
        self._log = log
        self._count = count
        self._environment = environment
        self._session_id = session_id
        self._ids = IdFactory()
        self._flights: dict[str, _Flight] = {}
        self._changed = anyio.Event()
        self.in_flight = 0

    async def run(self, stream: MemoryObjectReceiveStream[Any]) -> None:
        """Start what arrives until the stream is closed and empty."""
        async for thing in stream:
            self._begin(thing)
            for _ in range(min(_BATCH, MAX_IN_FLIGHT - self.in_flight)):
                try:
                    self._begin(stream.receive_nowait())
                except (anyio.WouldBlock, anyio.EndOfStream):
                    break
            while self.in_flight >= MAX_IN_FLIGHT:
                await self._change()

    def attach(self, client_order_id: str, answer: Answer) -> bool:
        """Have ``answer`` called too when this submission is answered; False when it is not in flight."""
        flight = self._flights.get(client_order_id)
        if flight is not None:
            flight.answers.append(answer)
        return flight is not None

    def amend(self, order: Order, intent: OrderIntent, answer: Answer) -> None:
        """Send a request for other terms of ``order`` through the chain; it needs no place in the queue."""
        now = self._clock.now()
        submission = Submission(
            intent,
            run_id=self._ids.run_id(now),
            session_id=self._session_id,
            environment=order.environment,
            client_order_id=order.client_order_id,
            received_at=now,
            amends=order,
        )
        flight = _Flight(submission, answer)
        self.in_flight += 1
        self._count.entered(submission)
        if self._journal.error is not None:
            self._land(None, flight, self._stopped(submission))
        else:
            self._start(submission, None, flight)

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        while self.in_flight:
            await self._change()

    def abandon(self) -> None:
        """Forget what is in flight: the pipeline has ended, and the next start answers it."""
        self.in_flight = 0
        self._flights.clear()
        self._changed.set()

    async def _change(self) -> None:
        if self._changed.is_set():
            self._changed = anyio.Event()
        await self._changed.wait()

    def _begin(self, thing: object) -> None:
        request = thing if type(thing) is Request else Request(thing)
        intent = _readable(request.thing)
        submission = self._submission(intent, request)
        key = submission.client_order_id
        known = self._flights.get(key) if key is not None else None
        if known is not None:
            if not same_content(known.submission.intent, intent):
                known.answers.append(lambda _: self._begin(request))  # what the journal says by then decides
            elif request.answer is not None:
                known.answers.append(request.answer)
            return
        flight = _Flight(submission, request.answer)
        self.in_flight += 1
        self._count.entered(submission)
        if key is not None:
            self._flights[key] = flight
        if key is not None and intent.intent_id is not None and self._seen.maybe(key):
            self._conductor.start(self._again(submission, key), lambda result: self._land(key, flight, result))
        elif self._journal.error is not None:
            self._land(key, flight, self._stopped(submission))
        else:
            self._start(submission, key, flight)

    def _start(self, submission: Submission, key: str | None, flight: _Flight) -> None:
        self._conductor.start(self._chain(submission), lambda result: self._land(key, flight, result))

    def _submission(self, intent: OrderIntent, request: Request) -> Submission:
        now = self._clock.now()
        intent_id, fault = intent.intent_id, None
        if intent_id is None:
            intent_id = self._ids.intent_id(now)
        elif not isinstance(intent_id, str) or not INTENT_ID.match(intent_id):
            fault = Fault(
                "intent_id",
                "intent_id must be 1-64 printable ASCII characters",
                f"intent_id is {safe_repr(intent_id)}",
            )
        environment = intent.environment if intent.environment is not None else self._environment
        submission = Submission(
            intent,
            run_id=self._ids.run_id(now),
            session_id=self._session_id,
            environment=environment if isinstance(environment, str) else safe_repr(environment),
            client_order_id=client_order_id(intent_id) if fault is None else None,
            received_at=now,
            skip_risk_check=request.skip_risk_check,
        )
        submission.fault = fault
        return submission

    async def _again(self, submission: Submission, key: str) -> ExecutionResult:
        """Answer an intent_id that may have been used before: from the journal if it was."""
        try:
            if self._journal.error is None:
                await self._journal.durable()  # or an answer that waits for its write would not be found
            story = await self._journal.events_of(key)
        except Exception as error:  # noqa: BLE001 -- whether it is a repeat cannot be known: nothing may leave
            self._log.error("look_up_failed", run_id=submission.run_id, client_order_id=key, exc_info=error)
            return submission.answer(ExecutionStatus.ERROR, reason=f"The intent_id could not be looked up: {error}")
        for event in story:
            if isinstance(event, Answered):
                if same_content(event.result.order_intent, submission.intent):
                    self._log.info("answered_again", run_id=event.run_id, client_order_id=key)
                    return event.result
                submission.fault, submission.client_order_id = _CONFLICT, None
                break
        if self._journal.error is not None:
            return self._stopped(submission)
        return await self._chain(submission)

    def _stopped(self, submission: Submission) -> ExecutionResult:
        """Refuse a new order while the journal cannot be written; nothing of it is recorded."""
        self._log.error("order_refused", run_id=submission.run_id, reason=str(self._journal.error))
        return submission.answer(
            ExecutionStatus.ERROR,
            reason=f"New orders are stopped, nothing was handed over: {self._journal.error} Cancels still work.",
        )

    def _land(self, key: str | None, flight: _Flight, result: ExecutionResult) -> None:
        self.in_flight -= 1
        self._count.landed(flight.submission)
        if key is not None:
            self._flights.pop(key, None)
        self._changed.set()
        for answer in flight.answers:
            answer(result)


def _readable(thing: object) -> OrderIntent:
    """Return ``thing`` as an intent that the journal can hold, however it behaves when it is looked at."""
    with suppress(Exception):  # a foreign object may raise anything
        intent = intent_from(thing)
        if storable(intent):
            return intent
        intent = plain(intent)
        if storable(intent):
            return intent
    return intent_from(f"an unreadable {type(thing).__name__}")
