"""Plays recorded streams as if they came from the venue now: merged by receive time, at a chosen speed.

Market time during a replay is the recorder's clock (see ``recording``). This module must not know how a file
is laid out.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeAlias

from anyio.lowlevel import checkpoint

from router.clock import Clock
from router.domain.market import Trade
from router.errors import ConfigError
from router.market.feeds.recording import Recorded, read_recording
from router.market.quotes import MarketData

_Ranked: TypeAlias = tuple[int, int, Recorded]
_UPDATES_PER_TURN: Final = 256  # others get the event loop at least this often: some 2 ms


class ReplayFeed:
    """Feeds files in the format of the recordings (trades, quotes, depth; gzip or plain CSV).

    Args:
        paths: the files, in any number and mixture of symbols.
        speed: factor of recorded time; None: as fast as possible.
        clock: what it sleeps on.
        pace: awaited after every slice of recorded time, so that others keep up with a fast replay.
        slice_ms: recorded time between two awaits of ``pace``.

    Raises:
        ConfigError: there are no paths, or the speed is not positive.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        speed: Decimal | None,
        clock: Clock,
        pace: Callable[[], Awaitable[None]] | None = None,
        slice_ms: int = 100,
    ) -> None:
        if not paths:
            raise ConfigError("market_data.paths is empty; name the recordings to replay")
        if speed is not None and speed <= 0:
            raise ConfigError(f'market_data.speed must be a number above 0, or "max"; found {speed}')
        self._paths = tuple(paths)
        self._speed = None if speed is None else float(speed)
        self._clock = clock
        self._pace = pace
        self._slice_ns = slice_ms * 1_000_000

    async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
        """Play the files once.

        ``ready`` is called when every symbol that begins a file of quotes or depth has a quote, at the latest at
        the end; files of trades alone never will.

        Raises:
            MarketDataError: a file is missing, damaged or malformed; file and line are named.
        """
        waiting, streams = self._open()
        market.follow_recording()
        start = self._clock.monotonic()
        first_ns = slice_end = None
        if not waiting:
            ready()
        for count, (ns, _, (_, update)) in enumerate(heapq.merge(*streams), 1):
            if first_ns is None or slice_end is None:
                first_ns, slice_end = ns, ns + self._slice_ns
            elif ns >= slice_end:
                slice_end = ns + self._slice_ns
                await self._yield()
            if self._speed is not None:
                wait_s = start + (ns - first_ns) / 1e9 / self._speed - self._clock.monotonic()
                if wait_s > 0:
                    await self._clock.sleep(wait_s)
            market.apply(update)
            if waiting and update.symbol in waiting and market.quote(update.symbol) is not None:
                waiting.discard(update.symbol)
                if not waiting:
                    ready()
            if count % _UPDATES_PER_TURN == 0:
                await checkpoint()
        if waiting:
            ready()

    async def _yield(self) -> None:
        if self._pace is not None:
            await self._pace()
        await checkpoint()

    def _open(self) -> tuple[set[str], list[Iterator[_Ranked]]]:
        """Begin every file; return the symbols that quotes can be expected of, and the streams to merge."""
        symbols = set()
        streams = []
        for rank, path in enumerate(self._paths):
            stream = read_recording(path)
            first = next(stream, None)
            if first is not None:
                if not isinstance(first[1], Trade):
                    symbols.add(first[1].symbol)
                streams.append(_ranked(rank, first, stream))
        return symbols, streams


def _ranked(rank: int, first: Recorded, rest: Iterator[Recorded]) -> Iterator[_Ranked]:
    """Make a stream comparable: by time, then by the order of the files."""
    yield first[0], rank, first
    for recorded in rest:
        yield recorded[0], rank, recorded
