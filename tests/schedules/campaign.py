"""Several lanes side by side, and one score: what the test and the command line run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
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
    """Return memory, open files and tasks of the first and the last third, and whether nothing grew."""
    third = len(score.sizes) // 3
    first, last = score.sizes[third // 2 : third], score.sizes[-third:]

    def mean(sizes: list[tuple[int, int, int]], column: int) -> float:
        return sum(each[column] for each in sizes) / max(1, len(sizes))

    pairs = [(mean(first, column), mean(last, column)) for column in range(3)]
    names = ("RSS, KiB", "open files", "tasks")
    rows = [f"{name:<12} {before:>10.1f} -> {after:>10.1f}" for name, (before, after) in zip(names, pairs, strict=True)]
    (rss, rss_after), (fds, fds_after), (tasks, tasks_after) = pairs
    return "\n".join(rows), rss_after < rss + 8192 and fds_after < fds + 2 and tasks_after < tasks + 2
