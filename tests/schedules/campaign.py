"""Several lanes side by side, and one score: what the test and the command line run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Final

import msgspec

from tests.schedules.child import WINDOW_S
from tests.schedules.lane import ROOT, Score

LANES: Final = 6  # schedules mostly wait
_SLACK_S: Final = 1.5
"""Beside the window: a machine that runs many lanes is late."""


def campaign(
    home: Path,
    seed: int,
    schedules: int,
    *,
    venues: Sequence[str] = ("binance", "bybit"),
    variant: str = "",
    lanes: int = LANES,
    flat: bool = False,
) -> Score:
    """Play schedules at each venue and return the score of all lanes."""
    shares: list[tuple[str, list[str]]] = []
    for venue in venues:
        seeds = [f"{seed}-{number}" for number in range(-(-schedules // len(venues)))]
        width = 1 if flat else max(1, lanes // len(venues))
        shares += [(venue, seeds[start::width]) for start in range(width) if seeds[start::width]]

    def lane(share: tuple[int, tuple[str, list[str]]]) -> Score:
        number, (venue, seeds) = share
        arguments = [str(home / f"lane-{number}"), venue, variant, "flat" if flat else "", *seeds]
        command = [sys.executable, "-m", "tests.schedules.lane", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        if done.returncode:
            return Score(wrong=[f"lane {number} broke: {done.stderr.decode()[-3000:]}"])
        return msgspec.json.decode(done.stdout, type=Score)

    with ThreadPoolExecutor(lanes) as pool:
        score = _sum(pool.map(lane, enumerate(shares)))
    late = [each for each in score.unseen if each > WINDOW_S + _SLACK_S]
    if late:
        score.wrong.append(f"{len(late)} changes were emitted after their window: {max(late)} s")
    return score


def _sum(scores: Iterable[Score]) -> Score:
    total = Score()
    for score in scores:
        total.schedules += score.schedules
        total.kills += score.kills
        total.orders += score.orders
        total.trades += score.trades
        total.unseen += score.unseen
        total.wrong += score.wrong
        total.sizes += score.sizes
        for kind, count in score.faults.items():
            total.faults[kind] = total.faults.get(kind, 0) + count
    return total


def table(score: Score) -> str:
    """Return the figures."""
    rows = [f"{kind:<16} {count:>5}" for kind, count in sorted(score.faults.items())]
    unseen = sorted(score.unseen)
    if unseen:
        median, late = unseen[len(unseen) // 2], unseen[int(len(unseen) * 0.99)]
        rows.append(
            f"stream off: {len(unseen)} changes emitted after {median} s (median), {late} s (99 %), {unseen[-1]} s"
        )
    rows.append(
        f"{score.schedules} schedules, {score.kills} kills, {score.orders} orders and {score.trades} trades compared"
    )
    return "\n".join(rows)


def flatness(score: Score) -> tuple[str, bool]:
    """Return memory, open files and tasks in the first and the last third of each life, and whether nothing grew."""
    lives = [_thirds(sizes) for sizes in score.sizes]
    rows = [
        f"{name:<12} {before:>10.1f} -> {after:>10.1f}"
        for life in lives
        for name, (before, after) in zip(_GROWS, life, strict=True)
    ]
    grew = [
        after >= before + most for life in lives for (before, after), most in zip(life, _GROWS.values(), strict=True)
    ]
    return "\n".join(rows), bool(lives) and not any(grew)


def _thirds(sizes: list[tuple[int, int, int]]) -> list[tuple[float, float]]:
    """Return the mean of each size in the first third, without its beginning, and in the last one."""
    third = len(sizes) // 3
    first, last = sizes[third // 2 : third], sizes[-third:]
    return [(fmean(each[column] for each in first), fmean(each[column] for each in last)) for column in range(3)]


_GROWS: Final = MappingProxyType({"RSS, KiB": 8192, "open files": 2, "tasks": 2})
"""What is measured, and how much more of it is growth."""
