"""Every request passes here: halted, paused or too late means not sent; a failure means what its outcome proves."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from router.clock import VirtualClock
from router.executors.testnet.client import ClockReading, SandboxClient
from router.executors.testnet.dialect import NoProofError, UnreadableError, UnsupportedAmendError
from router.executors.testnet.limiter import Budget, Limiter, Priority
from router.executors.testnet.link import CLOCK_EVERY_S, Link, NotSentError, RequestFailedError
from router.executors.testnet.outcomes import Kind
from router.executors.testnet.profiles import PROFILES
from router.executors.testnet.standing import VenueStanding
from router.logs import get_logger

pytestmark = pytest.mark.asyncio


class Client(SandboxClient):
    """A client whose clock is measured without a venue."""

    def __init__(self) -> None:
        self.profile = PROFILES["binance"]
        self.measured: list[float] = []
        self.failure: Exception | None = None
        self.clock = VirtualClock()

    async def measure_clock(self) -> ClockReading:
        self.measured.append(self.clock.monotonic())
        if self.failure is not None:
            raise self.failure
        return ClockReading(0.0, 0.0)


class World:
    def __init__(self) -> None:
        self.client = Client()
        self.clock = self.client.clock
        budget = Budget(weight_per_s=1, burst=10, reserve=2, orders_per_s=1, orders_burst=5)
        self.standing = VenueStanding(self.clock)
        self.link = Link(self.client, Limiter(budget, self.clock), self.standing, self.clock, get_logger())
        self.sent = 0

    async def call(self) -> str:
        self.sent += 1
        return "answer"


class InvalidNonce(Exception):  # noqa: N818
    """ccxt's name for it."""


async def stale() -> None:
    error = InvalidNonce('binance {"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}')
    error.http_status = 400  # type: ignore[attr-defined]
    raise error


async def test_an_answer_is_passed_on() -> None:
    world = World()
    assert await world.link.ask(Priority.POLL, 1, world.call) == "answer"


@pytest.mark.parametrize("priority", list(Priority))
async def test_a_venue_that_is_paused_gets_nothing_at_all(priority: Priority) -> None:
    world = World()
    world.standing.pause(60, "The venue asked for it.")
    with pytest.raises(NotSentError, match="asked for it"):
        await world.link.ask(priority, 1, world.call)
    assert world.sent == 0


async def test_an_order_that_would_have_to_wait_too_long_is_not_sent() -> None:
    world = World()
    await world.link.ask(Priority.CREATE, 8, world.call)
    with pytest.raises(NotSentError):
        await world.link.ask(Priority.CREATE, 8, world.call)
    assert world.sent == 1


@pytest.mark.parametrize("error", [NoProofError("silent"), UnsupportedAmendError("never")])
async def test_what_the_dialect_says_itself_is_no_failure_of_the_venue(error: Exception) -> None:
    world = World()

    async def says() -> None:
        raise error

    for _ in range(6):
        with pytest.raises(type(error)):
            await world.link.ask(Priority.CANCEL, 0, says)
    assert world.standing.refusal(Priority.CREATE) is None


@pytest.mark.parametrize(
    ("error", "is_open"),
    [(NoProofError("silent"), True), (UnreadableError("a page"), False), (UnsupportedAmendError("never"), False)],
)
async def test_only_an_answer_closes_the_circuit(error: Exception, is_open: bool) -> None:
    world = World()

    async def says(what: Exception) -> None:
        raise what

    for _ in range(5):
        with pytest.raises(RequestFailedError):
            await world.link.ask(Priority.CANCEL, 0, partial(says, ConnectionError("cut")))
    await world.clock.advance(2)
    with pytest.raises(type(error)):
        await world.link.ask(Priority.CANCEL, 0, partial(says, error))
    assert (world.standing.refusal(Priority.CREATE) is None) is is_open


async def test_a_failure_says_what_it_proves_and_failures_in_a_row_open_the_circuit() -> None:
    world = World()

    async def cut() -> None:
        raise ConnectionError("cut")

    for _ in range(5):
        with pytest.raises(RequestFailedError) as caught:
            await world.link.ask(Priority.LOOK_UP, 1, cut)
        assert caught.value.outcome.kind is Kind.UNKNOWN
    with pytest.raises(NotSentError, match="5 times in a row"):
        await world.link.ask(Priority.CREATE, 1, world.call)


async def test_the_clock_is_measured_every_few_minutes_and_soon_after_it_was_found_wrong() -> None:
    world = World()
    async with anyio.create_task_group() as group:
        group.start_soon(world.link.keep_time)
        await world.clock.advance(CLOCK_EVERY_S - 1)
        assert world.client.measured == []
        await world.clock.advance(1)
        assert world.client.measured == [CLOCK_EVERY_S]
        with pytest.raises(RequestFailedError) as caught:
            await world.link.ask(Priority.LOOK_UP, 1, stale)
        assert caught.value.outcome.kind is Kind.CLOCK
        await world.clock.advance(0)
        assert len(world.client.measured) == 2
        group.cancel_scope.cancel()


async def test_a_clock_that_cannot_be_measured_is_tried_again_soon() -> None:
    world = World()
    world.client.failure = ConnectionError("down")
    async with anyio.create_task_group() as group:
        group.start_soon(world.link.keep_time)
        await world.clock.advance(CLOCK_EVERY_S)
        await world.clock.advance(5)
        world.client.failure = None
        await world.clock.advance(5)
        assert len(world.client.measured) == 3
        await world.clock.advance(CLOCK_EVERY_S)
        assert len(world.client.measured) == 4
        group.cancel_scope.cancel()


async def test_what_was_stopped_while_it_waited_for_its_turn_is_not_sent() -> None:
    world = World()
    stopped: list[str] = []
    refused: list[str] = []

    async def ask() -> None:
        try:
            await world.link.ask(Priority.CREATE, 1, world.call, lambda: stopped[0] if stopped else None)
        except NotSentError as error:
            refused.append(str(error))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert world.sent == 5, "the burst; the others wait for their turn"
        stopped.append("everything is halted")
        await world.clock.advance(10)
    assert (world.sent, refused) == (5, ["everything is halted"] * 3)
