"""Best bids and asks of a sandbox venue, without keys: what the feed of ``market_data.source = "ccxt"`` is handed.

ccxt hands on one symbol of a message and keeps what comes while nobody awaits in its cache, so each word of the stream
is an occasion to read the whole cache. Numbers are the venue's own digits; only Bybit's stream passes through ccxt's
order book, whose floats keep 15 of them.
This module must not know what becomes of the quotes, or when it is asked for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import anyio

from router.clock import Clock
from router.executors.testnet.client import SandboxClient
from router.executors.testnet.dialect import NoProofError, moment, number, positive
from router.executors.testnet.guard import LiveHostError
from router.executors.testnet.outcomes import classify
from router.executors.testnet.profiles import no_sandbox_reason, profile_of
from router.market.feeds.ccxt import Best, QuotesError
from router.settings import Testnet

_REASON_MAX: Final = 200


def sandbox_quotes(settings: Testnet, clock: Clock) -> SandboxQuotes:
    """Return the quotes of the venue that ``[testnet]`` names.

    Raises:
        LiveHostError: it has no sandbox, or ``base_url`` is no loopback address.
    """
    profile = profile_of(settings.venue)
    if profile is None:
        raise LiveHostError(no_sandbox_reason(settings.venue))
    return SandboxQuotes(
        SandboxClient(profile, None, base_url=settings.base_url, recv_window_ms=settings.recv_window_ms, clock=clock)
    )


class SandboxQuotes:
    """A ``PublicQuotes`` over ccxt."""

    def __init__(self, client: SandboxClient) -> None:
        self.venue = client.profile.venue
        self._client = client
        self._ex = client.ex
        self._symbols: list[str] = []
        self._seen: dict[str, Any] = {}  # the cache's entries that were handed on

    @property
    def streams(self) -> bool:
        return self._ex.has.get("watchBidsAsks") is True

    async def load(self, symbols: Sequence[str]) -> Sequence[str]:
        with self._trouble():
            await self._ex.load_markets(True)
            if not self._ex.markets:  # what ccxt makes of an empty or HTML body
                raise QuotesError("the venue's list of markets is empty")
            self._symbols = [symbol for symbol in symbols if symbol in self._ex.markets]
        return self._symbols

    async def quotes(self) -> Sequence[Best]:
        with self._trouble():
            try:
                told = await self._ex.watch_bids_asks(self._symbols)
            except BaseException as error:  # a connection that has failed, or a watch that was left, delivers no more
                with anyio.CancelScope(shield=True):
                    await self._ex.close_ws_clients()
                if isinstance(error, asyncio.CancelledError) and not _is_cancelled():
                    raise QuotesError("the stream was closed") from error
                raise
            return _best([*told.values(), *self._unseen()])

    def _unseen(self) -> list[Any]:
        """Return what has come into the cache since the last time."""
        now = {symbol: self._ex.bidsasks[symbol] for symbol in self._symbols if symbol in self._ex.bidsasks}
        found = [ticker for symbol, ticker in now.items() if ticker is not self._seen.get(symbol)]
        self._seen = now
        return found

    async def poll(self, symbols: Sequence[str]) -> Sequence[Best]:
        with self._trouble():
            if self._ex.has.get("fetchBidsAsks") is True:
                return _best((await self._ex.fetch_bids_asks(symbols)).values())
            if self._client.profile.verified or not self._ex.has.get("fetchTickers"):
                # the whole list of a venue takes the loop some 30 ms
                return _best([await self._ex.fetch_ticker(symbol) for symbol in symbols])
            return _best((await self._ex.fetch_tickers(symbols)).values())

    async def close(self) -> None:
        await self._client.close()

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Make of any error one that the feed knows."""
        try:
            yield
        except Exception as error:
            if isinstance(error, QuotesError):
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:_REASON_MAX]
            raise QuotesError(reason, classify(error, self._client.profile).retry_after_s or 0.0) from error


def _is_cancelled() -> bool:
    """Return whether our own task is being cancelled, not only a future of ccxt's."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _best(tickers: Iterable[Mapping[str, Any]]) -> list[Best]:
    """Return what is a market among ccxt's tickers: both sides there, not crossed."""
    found = {}
    for ticker in tickers:
        try:
            bid, ask = positive(ticker["bid"]), positive(ticker["ask"])
            bid_size, ask_size = number(ticker["bidVolume"]), number(ticker["askVolume"])
            at = moment(ticker["timestamp"]) if ticker["timestamp"] else None
        except NoProofError:
            continue
        if bid is not None and ask is not None and bid <= ask and 0 not in (bid_size, ask_size):
            found[ticker["symbol"]] = Best(ticker["symbol"], bid, ask, bid_size, ask_size, at)
    return list(found.values())
