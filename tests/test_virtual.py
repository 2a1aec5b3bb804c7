"""Virtual time: the loop jumps to the next timer, never past what takes real time, and never hangs in silence."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import ExecutionPipeline, ExecutionStatus, OrderIntent
from router.domain.events import OrderEvent
from router.domain.order import Order
from router.journal.memory import MemoryJournal
from router.settings import load_settings
from router.virtual import DeadlockError, LoopClock, VirtualLoop, run
from tests import pipelines
from tests.factories import NOW, PROPERTY
from tests.pipelines import intent, resting

HOUR_S = 3600


class CountingLoop(VirtualLoop):
    """Counts its turns: what virtual time costs, without a real clock."""

    turns = 0

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]  # asyncio's own


# -- time passes, exactly and in order ---------------------------------------------------------------------


def test_an_hour_of_sleeps_is_a_few_turns_of_the_loop() -> None:
    async def main() -> None:
        for _ in range(HOUR_S):
            await anyio.sleep(1)

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, CountingLoop)
        runner.run(main())
        assert loop.time() == loop.clock.monotonic() == HOUR_S
        assert loop.turns < 3 * HOUR_S


def test_the_result_comes_back_and_a_failure_too() -> None:
    async def main(clock: LoopClock) -> float:
        await clock.sleep(2.5)
        return clock.monotonic()

    async def fails(clock: LoopClock) -> None:
        await clock.sleep(1)
        raise LookupError("as it is")

    assert run(main) == 2.5
    with pytest.raises(LookupError, match="as it is"):
        run(fails)


def test_the_wall_clock_goes_with_it_and_can_be_set_wrong_without_waking_anybody() -> None:
    async def main(clock: LoopClock) -> None:
        assert clock.now() == NOW
        async with anyio.create_task_group() as group:
            group.start_soon(clock.sleep, 10)
            await clock.sleep(1)
            clock.jump(86400)
            assert clock.now() == NOW + timedelta(days=1, seconds=1)
            clock.jump(-2 * 86400)
            assert clock.now() == NOW - timedelta(days=1) + timedelta(seconds=1)
        assert clock.monotonic() == 10
        assert clock.now() == NOW - timedelta(days=1) + timedelta(seconds=10)

    run(main, start=NOW)


@settings(PROPERTY, max_examples=50)
@given(st.lists(st.floats(0, 1e9), max_size=12))
def test_everybody_wakes_at_exactly_their_moment_in_order_however_late(naps: list[float]) -> None:
    woken: list[tuple[float, int]] = []

    async def main(clock: LoopClock) -> None:
        async def nap(number: int) -> None:
            await clock.sleep(naps[number])
            woken.append((clock.monotonic(), number))

        async with anyio.create_task_group() as group:
            for number in range(len(naps)):
                group.start_soon(nap, number)

    run(main)
    assert woken == sorted((seconds, number) for number, seconds in enumerate(naps))


def test_timers_of_one_moment_are_first_come_first_served() -> None:
    woken: list[int] = []

    async def main(clock: LoopClock) -> None:
        loop = asyncio.get_running_loop()
        for number in range(50):
            loop.call_later(1 + number % 2, woken.append, number)
        await clock.sleep(3)

    run(main)
    assert woken == [*range(0, 50, 2), *range(1, 50, 2)]


def test_after_half_a_century_a_second_is_still_a_second() -> None:
    """With asyncio's fixed clock resolution the loop spins for ever here: 1e9 + 1e-9 is 1e9."""

    async def main(clock: LoopClock) -> float:
        await clock.sleep(1.7e9)
        await clock.sleep(1)
        return clock.monotonic()

    assert run(main) == 1.7e9 + 1


def test_deadlines_of_anyio_and_asyncio_pass_by_it() -> None:
    async def main(clock: LoopClock) -> list[float]:
        moments = []
        with anyio.move_on_after(5):
            await anyio.sleep_forever()
        moments.append(clock.monotonic())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        moments.append(clock.monotonic())
        return moments

    assert run(main) == [5, 65]


def test_a_cancelled_group_waits_in_virtual_time_for_who_is_shielded() -> None:
    async def main(clock: LoopClock) -> float:
        async def tidy() -> None:
            with anyio.CancelScope(shield=True):
                await clock.sleep(HOUR_S)

        async with anyio.create_task_group() as group:
            group.start_soon(tidy)
            await clock.sleep(1)
            group.cancel_scope.cancel()
        return clock.monotonic()

    assert run(main) == HOUR_S


def seeded_program(seed: int) -> list[tuple[float, int, str]]:
    """Let 200 tasks sleep, wait for each other and time out as ``seed`` says; return what happened when."""
    chance, log = random.Random(seed), list[tuple[float, int, str]]()

    async def main(clock: LoopClock) -> None:
        send, receive = anyio.create_memory_object_stream[int](3)

        async def task(number: int) -> None:
            for _ in range(5):
                await clock.sleep(chance.choice([0, 0.5, 1, 1, 2]))
                if chance.random() < 0.5:
                    with anyio.move_on_after(chance.choice([1, 3])) as scope:
                        await send.send(number)
                    log.append((clock.monotonic(), number, "timed out" if scope.cancel_called else "sent"))
                else:
                    with anyio.move_on_after(chance.choice([1, 3])):
                        log.append((clock.monotonic(), await receive.receive(), f"received by {number}"))

        async with send, receive, anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(task, number)

    run(main)
    return log


def test_a_seeded_program_of_200_tasks_happens_the_same_way_twice() -> None:
    log = seeded_program(1)
    assert len(log) > 400
    assert {what.partition(" ")[0] for _, _, what in log} == {"sent", "received", "timed"}
    assert seeded_program(1) == log
    assert seeded_program(2) != log


# -- what takes real time is not outrun --------------------------------------------------------------------


def test_calls_into_executor_threads_and_held_blocks_take_no_virtual_time() -> None:
    async def main(clock: LoopClock) -> None:
        def answer() -> int:
            going.wait()  # for real: the thread ends only after the loop went idle
            return 7

        going = threading.Event()
        for call in (partial(asyncio.to_thread, answer), partial(anyio.to_thread.run_sync, answer)):
            going.clear()
            release = threading.Timer(0.01, going.set)
            release.start()
            with clock.hold() if call.func is anyio.to_thread.run_sync else nullcontext(), anyio.fail_after(5):
                assert await call() == 7
            release.join()
        assert clock.monotonic() == 0
        await clock.sleep(1)  # and it goes on afterwards
        assert clock.monotonic() == 1

    run(main)


async def submit_200(home: Path, clock: LoopClock) -> list[ExecutionStatus]:
    statuses = []
    async with ExecutionPipeline("paper", pipelines.settings(home), clock=clock) as pipeline:
        for number in range(200):
            with anyio.fail_after(5):
                statuses.append((await pipeline.submit_order(intent(intent_id=f"n{number}", quantity="0.001"))).status)
            assert clock.monotonic() == number
            await clock.sleep(1)
        with anyio.fail_after(5):
            story = await pipeline.story(pipeline.recent_orders()[0].client_order_id)
            async with pipeline.subscribe(1) as events:
                first = await anext(events)
        assert [event.event for event in story] == ["pending", "submitted", "filled", "answered"]
        assert first.event == "pending"
    return statuses


def test_no_call_into_the_journals_thread_times_out_falsely(tmp_path: Path) -> None:
    assert run(partial(submit_200, tmp_path)) == [ExecutionStatus.SUCCESS] * 200
    assert run(partial(submit_200, tmp_path)) == [ExecutionStatus.SUCCESS] * 200  # answered from a journal replayed


def test_both_ends_of_a_socket_in_the_loop_are_heard_before_time_moves() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()
        await writer.wait_closed()

    async def busy() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    async def main(clock: LoopClock) -> float:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            async with anyio.create_task_group() as group:
                for number in range(100):
                    if number == 50:
                        group.start_soon(busy)  # a loop that is never idle listens too
                    with anyio.fail_after(5):
                        writer.write(b"%d\n" % number)
                        assert await reader.readline() == b"%d\n" % number
                group.cancel_scope.cancel()
            writer.close()
            await writer.wait_closed()
            heard = clock.monotonic()
            await clock.sleep(1)  # an open listening socket does not stop it
            assert clock.monotonic() == heard + 1
        return heard

    assert run(main) == 0


@pytest.mark.parametrize("deadline", [None, 5], ids=["no timer", "a timer"])
def test_a_peer_outside_the_loop_is_given_real_time(monkeypatch: pytest.MonkeyPatch, deadline: float | None) -> None:
    monkeypatch.setattr("router.virtual.QUIET_S", 30.0)  # a busy machine's thread may be late; nobody waits that long

    async def main(clock: LoopClock) -> bytes:
        here, there = socket.socketpair()
        with here, there:
            reader, writer = await asyncio.open_connection(sock=here)
            late = threading.Timer(0.01, there.sendall, [b"late\n"])
            late.start()
            with anyio.fail_after(deadline):
                line = await reader.readline()
            late.join()
            writer.close()
            await writer.wait_closed()
        assert clock.monotonic() == 0
        return line

    assert run(main) == b"late\n"


# -- it never hangs in silence -----------------------------------------------------------------------------


@pytest.mark.parametrize("wait", [lambda: asyncio.Event().wait(), anyio.sleep_forever], ids=["event", "for ever"])
def test_when_nothing_can_happen_any_more_it_says_who_waits_and_what_to_do(
    wait: Callable[[], Awaitable[object]],
) -> None:
    tidied = []

    async def main(clock: LoopClock) -> None:
        try:
            await wait()
        finally:
            await clock.sleep(1)
            tidied.append(clock.monotonic())

    with pytest.raises(
        DeadlockError, match=r"nothing can wake anybody.*clock\.hold.*Task-\d+ at .*test_virtual\.py:\d+"
    ):
        run(main)
    assert tidied == [1]  # who waited was cancelled and could tidy up


def test_waiting_for_time_while_it_is_held_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.virtual.HELD_S", 0.01)

    async def main(clock: LoopClock) -> None:
        with clock.hold():
            await clock.sleep(1)

    with pytest.raises(DeadlockError, match=r"held for .* real seconds.*Do not wait for time"):
        run(main)


# -- a whole pipeline --------------------------------------------------------------------------------------


def test_a_day_order_of_2359_expires_at_midnight_and_the_day_after_is_another_one(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        async with ExecutionPipeline("paper", pipelines.settings(tmp_path), clock=clock) as pipeline:
            rests = await pipeline.submit_order(resting(time_in_force="day"))
            assert rests.client_order_id is not None
            await clock.sleep(59)
            assert len(pipeline.open_orders()) == 1
            order = await pipeline.wait_for(rests.client_order_id, timeout=HOUR_S)
            assert order.status is ExecutionStatus.EXPIRED
            assert clock.now() == datetime(2025, 3, 2, tzinfo=UTC)
            await clock.sleep(86400)
            assert (await pipeline.submit_order(intent())).is_success
        assert clock.monotonic() == 60 + 86400

    run(main, start=datetime(2025, 3, 1, 23, 59, tzinfo=UTC))


def traded_hour(home: Path) -> list[tuple[int, datetime, str]]:
    """Let 50 seeded strategies trade for up to an hour; return what the journal says happened when."""
    chance = random.Random(7)

    async def main(clock: LoopClock) -> list[tuple[int, datetime, str]]:
        async def trade(number: int) -> None:
            for _ in range(4):
                await clock.sleep(chance.randrange(HOUR_S // 4))
                make = chance.choice([intent, resting])
                await pipeline.submit_order(make(strategy_key=f"s{number}", quantity="0.001"))

        journal = MemoryJournal(clock)
        async with ExecutionPipeline("paper", pipelines.settings(home), clock=clock, journal=journal) as pipeline:
            async with anyio.create_task_group() as group:
                for number in range(50):
                    group.start_soon(trade, number)
            events = await journal.read(1, limit=10_000)
        return [(event.seq, event.ts_recorded, event.event) for event in events if isinstance(event, OrderEvent)]

    return run(main)


def test_a_pipelines_hour_in_memory_happens_the_same_way_twice(tmp_path: Path) -> None:
    hour = traded_hour(tmp_path / "first")
    assert len(hour) > 500
    assert hour[-1][1] - hour[0][1] > timedelta(minutes=30)
    assert traded_hour(tmp_path / "second") == hour


# -- the README's example, as it stands there --------------------------------------------------------------

PAPER = {"market_data.source": "static", "market_data.static": {"BTC/USD": {"bid": "49999.5", "ask": "50000.5"}}}


async def patient_buy(pipeline: ExecutionPipeline) -> Order:
    wanted = OrderIntent("BTC/USD", "buy", "0.01", order_type="limit", price="49000", strategy_key="patient")
    result = await pipeline.submit_order(wanted)
    assert result.client_order_id is not None, result.reason
    try:
        return await pipeline.wait_for(result.client_order_id, timeout=3600)
    except TimeoutError:
        return await pipeline.cancel_order(result.client_order_id, reason="not filled within an hour")


def test_it_gives_up_after_an_hour(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        config = load_settings(overrides={**PAPER, "execution.home": str(tmp_path)})
        async with ExecutionPipeline("paper", config, clock=clock) as pipeline:
            order = await patient_buy(pipeline)
        assert (order.status, clock.monotonic()) == ("CANCELLED", 3600)

    run(main)
