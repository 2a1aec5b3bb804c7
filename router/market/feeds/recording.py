"""Reads one recorded stream (CSV, gzip or plain) as a sequence of updates, and says where a file is wrong.

The kind of a file is told by its header. Times are the recorder's receive times: the one order that all
streams share. The exchange's own times in the files run apart from them (1.27 s in the shipped recordings),
so they are not used; ``ts_event`` of every update is the receive time. This module must not know when to
apply an update.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import IO, Final, TypeAlias

from router.domain.enums import OrderSide
from router.domain.market import Trade
from router.errors import MarketDataError
from router.market.book import ZERO, DepthUpdate, Level
from router.market.quotes import QuoteUpdate

Recorded: TypeAlias = tuple[int, QuoteUpdate | DepthUpdate | Trade]
"""Receive time in ns since the epoch, and the update."""
_Rows: TypeAlias = Iterator[list[str]]

_TRADES: Final = "ts_recv_ns,ts_exch_ms,symbol,trade_id,side,price,qty"
_QUOTES: Final = "ts_recv_ns,ts_exch_ms,symbol,update_id,bid,bid_size,ask,ask_size"
_DEPTH: Final = "ts_recv_ns,ts_exch_ms,symbol,kind,first_id,last_id,prev_id,side,price,size"
_BARS: Final = "ts_ms,symbol,open,high,low,close,volume"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST: Final = Decimal("1e30")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_UNREADABLE: Final = (OSError, EOFError, zlib.error, csv.Error, UnicodeError)
_WRONG_NUMBER: Final = (ValueError, InvalidOperation)


class _BadRowError(Exception):
    """The row under the reader cannot be; the text says why."""


def read_recording(path: Path) -> Iterator[Recorded]:
    """Yield the updates in the file at ``path``, in its order.

    Raises:
        MarketDataError: the file is missing, damaged or malformed; its text names file and line, and what to do.
    """
    try:
        with path.open("rb") as plain:
            is_gzip = plain.read(2) == _GZIP_MAGIC
    except OSError as error:
        raise MarketDataError(f"{path}: cannot be read: {error.strerror}; check market_data.paths") from None
    if path.suffix == ".gz" and not is_gzip:
        raise MarketDataError(f"{path}: is named .gz but is not gzip data; fetch it again or rename it")
    lines = 0
    try:
        with _open(path, is_gzip=is_gzip) as text:
            reader = csv.reader(text)
            try:
                parse = _parser_for(path, next(reader, []))
                yield from _in_order(parse(reader))
            finally:
                lines = reader.line_num
    except _BadRowError as error:
        raise MarketDataError(f"{path}, line {lines}: {error}; fix or remove the row") from None
    except _UNREADABLE as error:
        raise MarketDataError(f"{path}, after line {lines}: damaged: {error}; fetch the file again") from None
    except _WRONG_NUMBER as error:
        reason = "a number that is none" if isinstance(error, InvalidOperation) else error
        raise MarketDataError(f"{path}, line {lines}: {reason}; fix or remove the row") from None


def _open(path: Path, *, is_gzip: bool) -> IO[str]:
    if is_gzip:
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _parser_for(path: Path, header: list[str]) -> Callable[[_Rows], Iterator[Recorded]]:
    columns = ",".join(header)
    if columns == _TRADES:
        return _trades
    if columns == _QUOTES:
        return _quotes
    if columns == _DEPTH:
        return _depth
    if columns.startswith(_BARS):
        raise MarketDataError(
            f"{path}: bars hold no executable quotes; replay files of trades, quotes and depth instead"
        )
    raise MarketDataError(
        f"{path}, line 1: not the header of a recording; it must be one of\n"
        f"  trades: {_TRADES}\n  quotes: {_QUOTES}\n  depth:  {_DEPTH}"
    )


def _in_order(updates: Iterator[Recorded]) -> Iterator[Recorded]:
    last = 0
    for recorded in updates:
        if recorded[0] < last:
            raise _BadRowError(f"time goes back from {last} to {recorded[0]} ns")
        last = recorded[0]
        yield recorded


def _moment(ns: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=ns // 1000)
    except OverflowError:
        raise _BadRowError(f"{ns} ns since 1970 is no time anybody recorded") from None


@lru_cache(maxsize=1 << 14)  # the prices near the touch return all the time; a cached one costs a quarter
def _number(text: str) -> Decimal:
    """Return a price or traded quantity; it must be positive."""
    number = Decimal(text)
    if not 0 < number < _LARGEST:
        raise _BadRowError(f"{text} must be a number above 0")
    return number


def _size(text: str) -> Decimal:
    """Return a level's size; 0 removes the level."""
    if text == "0":
        return ZERO
    size = Decimal(text)
    if not 0 <= size < _LARGEST:
        raise _BadRowError(f"size {text} must be at least 0")
    return size


def _cells(row: list[str], count: int) -> list[str]:
    if len(row) != count:
        raise _BadRowError(f"{len(row)} cells where the header has {count}")
    return row


def _trades(rows: _Rows) -> Iterator[Recorded]:
    for row in rows:
        received, _, symbol, trade_id, side, price, quantity = _cells(row, 7)
        ns = int(received)
        if side not in ("buy", "sell"):
            raise _BadRowError(f'side "{side}" must be buy or sell')
        yield ns, Trade(symbol, OrderSide(side), _number(price), _number(quantity), trade_id, _moment(ns))


def _quotes(rows: _Rows) -> Iterator[Recorded]:
    for row in rows:
        received, _, symbol, update_id, bid, bid_size, ask, ask_size = _cells(row, 8)
        ns = int(received)
        yield (
            ns,
            QuoteUpdate(
                symbol,
                _number(bid),
                _size(bid_size),
                _number(ask),
                _size(ask_size),
                int(update_id),
                _moment(ns),
            ),
        )


def _depth(rows: _Rows) -> Iterator[Recorded]:
    """Group the adjacent rows of one message."""
    head: list[str] = [""] * 7
    bids: list[Level] = []
    asks: list[Level] = []
    for row in rows:
        received, _, symbol, kind, _, last_id, _, side, price, size = _cells(row, 10)
        if last_id != head[5] or received != head[0] or kind != head[3] or symbol != head[2]:
            if bids or asks:
                yield _message(head, bids, asks)
            head, bids, asks = row[:7], [], []
        if side == "bid":
            bids.append((_number(price), _size(size)))
        elif side == "ask":
            asks.append((_number(price), _size(size)))
        else:
            raise _BadRowError(f'side "{side}" must be bid or ask')
    if bids or asks:
        yield _message(head, bids, asks)


def _message(head: list[str], bids: list[Level], asks: list[Level]) -> Recorded:
    received, _, symbol, kind, first_id, last_id, prev_id = head
    if kind not in ("diff", "snapshot"):
        raise _BadRowError(f'kind "{kind}" must be diff or snapshot')
    ns = int(received)
    snapshot = kind == "snapshot"
    return ns, DepthUpdate(
        symbol=symbol,
        snapshot=snapshot,
        first_id=0 if snapshot else int(first_id),
        last_id=int(last_id),
        prev_id=int(prev_id) if prev_id else None,
        bids=bids,
        asks=asks,
        ts_event=_moment(ns),
    )
