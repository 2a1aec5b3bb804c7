"""One reader a stream: what is heard is told at once and in order; every interruption is a gap, and none ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Self

import anyio
import pytest

from router.clock import VirtualClock
from router.executors.testnet.streams import Streams
from router.logs import get_logger

pytestmark = pytest.mark.asyncio


class Listener:
    """Two streams whose next words are put into queues: a list is heard, an exception is raised."""

    def __init__(self) -> None:
        self.said: dict[str, asyncio.Queue[Any]] = {"orders": asyncio.Queue(), "trades": asyncio.Queue()}
        self.dialled: list[str] = []

    async def _next(self, name: str) -> Sequence[Any]:
        self.dialled.append(name)
        word = await self.said[name].get()
        if isinstance(word, BaseException):
            raise word
        return list(word)

    async def watch_orders(self) -> Sequence[Any]:
        return await self._next("orders")

    async def watch_trades(self) -> Sequence[Any]:
        return await self._next("trades")

    async def hang_up(self) -> None:
        self.dialled.append("hung up")


class World:
    """Streams on virtual time, and what they told."""

    def __init__(self, tell: Callable[[Any], None] | None = None) -> None:
        self.clock, self.listener = VirtualClock(), Listener()
        self.told: list[Any] = []
        self.gaps = 0
        self.streams = Streams(
            self.listener, self.clock, get_logger(), tell or self.told.append, self.told.append, self._gap
        )

    def _gap(self) -> None:
        self.gaps += 1

    async def __aenter__(self) -> Self:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self.streams.run)
        await self.clock.advance(0)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._group.cancel_scope.cancel()
        await self._group.__aexit__(None, None, None)

    async def say(self, name: str, word: Any) -> None:
        self.listener.said[name].put_nowait(word)
        await self.clock.advance(0)


async def test_what_is_heard_is_told_in_order_and_at_once() -> None:
    async with World() as world:
        await world.say("orders", ["new", "filled"])
        await world.say("trades", ["trade"])
        await world.say("orders", ["late"])
        assert (world.told, world.gaps) == (["new", "filled", "trade", "late"], 0)


@pytest.mark.parametrize("error", [KeyError("spot"), ConnectionError("cut"), ValueError("what is this")])
async def test_any_error_is_a_gap_and_the_stream_is_dialled_again_after_a_pause(error: Exception) -> None:
    async with World() as world:
        await world.say("orders", error)
        assert (world.gaps, world.listener.dialled) == (1, ["orders", "trades"])
        await world.clock.advance(0.49)
        assert world.listener.dialled == ["orders", "trades"], "dialled at once, ccxt delivers nothing any more"
        await world.clock.advance(0.01)
        await world.say("orders", ["again"])
        assert world.told == ["again"]


async def test_the_pause_grows_and_starts_small_again_after_a_word() -> None:
    async with World() as world:
        pauses = []
        for _ in range(9):
            await world.say("orders", ConnectionError("down"))
            before, dialled = world.clock.monotonic(), len(world.listener.dialled)
            while len(world.listener.dialled) == dialled:
                await world.clock.advance(0.5)
            pauses.append(world.clock.monotonic() - before)
        assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
        await world.say("orders", ["up"])
        await world.say("orders", ConnectionError("down"))
        dialled = len(world.listener.dialled)
        await world.clock.advance(0.5)
        assert len(world.listener.dialled) == dialled + 1


async def test_a_shared_future_that_is_cancelled_by_others_is_a_gap_not_our_end() -> None:
    async with World() as world:
        await world.say("trades", asyncio.CancelledError())
        assert world.gaps == 1
        await world.clock.advance(0.5)
        await world.say("trades", ["alive"])
        assert world.told == ["alive"]


async def test_renewed_streams_hang_up_and_listen_again() -> None:
    async with World() as world:
        world.streams.renew()
        await world.clock.advance(0)
        assert world.listener.dialled == ["orders", "trades", "hung up"]
        await world.clock.advance(0.5)
        await world.say("orders", ["after"])
        assert world.told == ["after"]


async def test_an_error_of_whoever_is_told_is_not_taken_for_the_streams() -> None:
    def broken(word: Any) -> None:
        raise RuntimeError(word)

    world = World(broken)
    world.listener.said["orders"].put_nowait(["word"])
    with pytest.raises(ExceptionGroup) as caught:
        await world.streams.run()
    assert caught.group_contains(RuntimeError, match="word")
    assert world.gaps == 0
