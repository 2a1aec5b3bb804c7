"""One reader for each stream of the venue; what it hears is passed on at once, in the order in which it came.

A stream may lose, repeat and reorder what it says, or fall silent without an error (``ccxt_facts.md`` §4), so nothing
relies on it: it is only faster than looking up. Every interruption is a gap, told to whoever closes gaps.
This module must not know what an order is, or what follows from what was heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

import anyio

from router.clock import Clock
from router.domain.venue import VenueOrder, VenueTrade
from router.logs import RouterLogger

_FIRST_PAUSE_S: Final = 0.5
"""Before another subscription: at once, ccxt would subscribe and then deliver nothing (``ccxt_facts.md`` §4)."""
_LONGEST_PAUSE_S: Final = 30.0

_Watch: TypeAlias = Callable[[], Awaitable[Sequence[Any]]]


class Listener(Protocol):
    """What streams a venue has."""

    async def watch_orders(self) -> Sequence[VenueOrder]: ...

    async def watch_trades(self) -> Sequence[VenueTrade]: ...

    async def hang_up(self) -> None:
        """Close the streams' connections; the next watch dials again."""
        ...


class Streams:
    """The readers.

    Args:
        on_gap: called whenever something may have been missed.
    """

    def __init__(
        self,
        listener: Listener,
        clock: Clock,
        log: RouterLogger,
        on_order: Callable[[VenueOrder], None],
        on_trade: Callable[[VenueTrade], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._log = log
        self._on_gap = on_gap
        self._readers: tuple[tuple[str, _Watch, Callable[[Any], None]], ...] = (
            ("orders", listener.watch_orders, on_order),
            ("trades", listener.watch_trades, on_trade),
        )
        self._round: anyio.CancelScope | None = None

    async def run(self) -> None:
        """Listen, for ever."""
        while True:
            self._round = anyio.CancelScope()
            with self._round:
                async with anyio.create_task_group() as group:
                    for reader in self._readers:
                        group.start_soon(self._read, *reader)
            try:
                await self._listener.hang_up()
            except Exception as error:  # noqa: BLE001 -- the next watch dials again, whatever was left open
                self._log.warning("stream_not_closed", reason=f"{type(error).__name__}: {error}")
            await self._clock.sleep(_FIRST_PAUSE_S)

    def renew(self) -> None:
        """Hang up and subscribe again: the streams have kept something to themselves."""
        self._log.warning("streams_renewed", reason="something was found that they should have told")
        if self._round is not None:
            self._round.cancel()

    async def _read(self, name: str, watch: _Watch, tell: Callable[[Any], None]) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                heard = await watch()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                reason = "the stream was closed"  # by another watcher's end, not ours
            except Exception as error:  # noqa: BLE001 -- a refused subscription may be any error, KeyError too
                reason = f"{type(error).__name__}: {error}"
            else:
                pause = _FIRST_PAUSE_S
                for each in heard:
                    tell(each)
                continue
            self._log.warning("stream_interrupted", stream=name, reason=reason, again_s=pause)
            self._on_gap()
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
