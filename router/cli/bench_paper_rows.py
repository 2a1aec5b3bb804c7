"""The rows of recordings, read a second time for ``bench paper``: what printed and what was displayed, and when.

Deliberately nothing of ``router.market`` is used: the check of the paper executor must not share a mistake with what
it checks. Only the order of messages is the same, by receive time and then by file. This module must not know orders.
"""

from __future__ import annotations

import csv
import gzip
import heapq
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeAlias

BID, ASK = "bid", "ask"
ZERO = Decimal(0)
INFINITE = Decimal("Infinity")
Level: TypeAlias = tuple[Decimal, Decimal]


class Printed(NamedTuple):
    """A trade; it hit resting orders of ``side``."""

    side: str
    price: Decimal
    quantity: Decimal


class Best(NamedTuple):
    """A best bid and ask with their update number."""

    number: int
    bid: Level
    ask: Level


class Depth(NamedTuple):
    """A depth message: new sizes by side and price."""

    snapshot: bool
    first: int
    last: int
    previous: int | None
    levels: list[tuple[str, Decimal, Decimal]]


class Message(NamedTuple):
    """One message of a recording and its receive time."""

    ns: int
    file: int
    symbol: str
    said: Printed | Best | Depth
    rows: int


def messages(paths: Sequence[Path]) -> Iterator[Message]:
    """Yield all messages of well-formed recordings in the order in which they were received."""
    yield from heapq.merge(*(_read(file, path) for file, path in enumerate(paths)), key=lambda each: each[:2])


def _read(file: int, path: Path) -> Iterator[Message]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as text:
        rows = csv.reader(text)
        header = next(rows)
        if "trade_id" in header:
            for ns, _, symbol, _, side, price, size in rows:
                hit = BID if side == "sell" else ASK
                yield Message(int(ns), file, symbol, Printed(hit, Decimal(price), Decimal(size)), 1)
        elif "update_id" in header:
            for ns, _, symbol, number, *sizes in rows:
                bid, bid_size, ask, ask_size = map(Decimal, sizes)
                yield Message(int(ns), file, symbol, Best(int(number), (bid, bid_size), (ask, ask_size)), 1)
        else:
            for (ns, symbol, kind, last), group in groupby(rows, key=lambda row: (row[0], row[2], row[3], row[5])):
                each = list(group)
                first, previous = each[0][4], each[0][6]
                levels = [(row[7], Decimal(row[8]), Decimal(row[9])) for row in each]
                said = Depth(
                    kind == "snapshot", int(first or 0), int(last), int(previous) if previous else None, levels
                )
                yield Message(int(ns), file, symbol, said, len(each))


def sign(side: str) -> int:
    """Return 1 for bids, -1 for asks: ``sign * price`` is higher for what trades first."""
    return 1 if side == BID else -1


class Display:
    """What one symbol's market shows: the depth, and over it the best quotes since."""

    def __init__(self) -> None:
        self._levels: dict[str, dict[Decimal, Decimal]] = {BID: {}, ASK: {}}
        self._early: list[Depth] = []
        self._is_deep = False
        self._number = -1
        self._after_snapshot = False
        self._best: Best | None = None
        self._touch: dict[str, Level | None] = {BID: None, ASK: None}
        self._trail: dict[str, dict[Decimal, Decimal]] = {BID: {}, ASK: {}}  # where the touch was since the depth spoke
        self._gone: dict[str, Decimal] = {}  # better prices than this have gone since, but for the trail

    def hear(self, said: Best | Depth) -> None:
        """Take a message in."""
        if isinstance(said, Depth):
            self._hear_depth(said)
        elif said.bid[0] > said.ask[0] or not (said.bid[1] and said.ask[1]):
            return
        elif said.number >= max(self._number, -1 if self._best is None else self._best.number):
            self._best = said
            self._follow(said)
        best = self._newest_best()
        for side in (BID, ASK):
            levels = self._levels[side]
            price = None if best else (max if side == BID else min)(levels, default=None)
            self._touch[side] = self._of(best, side) if best else None if price is None else (price, levels[price])

    def _newest_best(self) -> Best | None:
        return self._best if self._best is not None and self._best.number >= self._number else None

    @staticmethod
    def _of(best: Best, side: str) -> Level:
        return best.bid if side == BID else best.ask

    def _follow(self, best: Best) -> None:
        for side in (BID, ASK):
            price, size = self._of(best, side)
            trail = self._trail[side].items() if self._is_deep else ()
            self._trail[side] = {each: shown for each, shown in trail if sign(side) * each < sign(side) * price}
            self._trail[side][price] = size
            self._gone[side] = sign(side) * min(sign(side) * price, sign(side) * self._gone.get(side, price))

    def _restart_trail(self) -> None:
        self._trail, self._gone = {BID: {}, ASK: {}}, {}
        best = self._newest_best()
        if best is not None:
            self._follow(best)

    def _hear_depth(self, said: Depth) -> None:
        if said.snapshot:
            if self._is_deep and said.last < self._number:
                return
            self._levels = {BID: {}, ASK: {}}
            self._set(said)
            self._is_deep = self._after_snapshot = True
            early, self._early = self._early, []
            for each in early:
                self._hear_depth(each)
        elif not self._is_deep:
            self._early.append(said)
        elif said.last > self._number:
            before = said.first - 1 if said.previous is None else said.previous
            if before != self._number and not (self._after_snapshot and before < self._number):
                self._is_deep, self._levels, self._early = False, {BID: {}, ASK: {}}, [said]
                self._restart_trail()
                return
            self._after_snapshot = False
            self._set(said)

    def _set(self, said: Depth) -> None:
        self._number = said.last
        for side, price, size in said.levels:
            if size:
                self._levels[side][price] = size
            else:
                self._levels[side].pop(price, None)
        self._restart_trail()

    def touch(self, side: str) -> Level | None:
        """Return the best price and its size, or None."""
        return self._touch[side]

    def middle(self) -> Decimal | None:
        """Return the price between both touches, or None."""
        bid, ask = self._touch[BID], self._touch[ASK]
        return None if bid is None or ask is None else (bid[0] + ask[0]) / 2

    def size(self, side: str, price: Decimal) -> Decimal:
        """Return the size shown at ``price``; infinite where nothing can be seen."""
        touch = self._touch[side]
        if touch is not None and sign(side) * price >= sign(side) * touch[0]:
            return touch[1] if price == touch[0] else ZERO
        if price in self._trail[side]:
            return self._trail[side][price]
        levels = self._levels[side]
        if side in self._gone and sign(side) * price > sign(side) * self._gone[side]:
            return ZERO
        if price in levels:
            return levels[price]
        return ZERO if any(sign(side) * each < sign(side) * price for each in levels) else INFINITE

    def offered(self, side: str, price: Decimal) -> Decimal:
        """Return what there is to take at ``price``: the touch, behind it no more than the depth shows."""
        touch = self._touch[side]
        if touch is not None and price == touch[0]:
            return touch[1]
        return min(self._levels[side].get(price, ZERO), self.size(side, price))

    def levels(self, side: str, limit: Decimal) -> list[Level]:
        """Return what is offered no worse than ``limit``, best first."""
        touch = self._touch[side]
        if touch is None or sign(side) * touch[0] < sign(side) * limit:
            return []
        behind = [
            (price, self.offered(side, price))
            for price in self._levels[side]
            if sign(side) * limit <= sign(side) * price < sign(side) * touch[0]
        ]
        return [touch, *sorted(behind, key=lambda level: -sign(side) * level[0])]
