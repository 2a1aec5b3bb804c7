"""Several lanes side by side, and one score: what the test and the command line run."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from tests.faults.lane import ROOT, Score
from tests.faults.points import POINTS

LANES: Final = 8  # lives mostly wait: for windows, for the disk, for the venue
_MORE: Final = 3


def campaign(home: Path, seed: int, kills: int, *, variant: str = "", lanes: int = LANES) -> Score:
    """Kill routers at least ``kills`` times; return the score of all lanes.

    A lane more is run, a few times at most, when some point has not killed by then.
    """

    def lane(number: int) -> Score:
        arguments = [str(home / f"lane-{number}"), str(seed), str(number), str(-(-kills // lanes)), variant]
        command = [sys.executable, "-m", "tests.faults.lane", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        if done.returncode:
            return Score(wrong=[f"lane {number} broke: {done.stderr.decode()}"])
        return msgspec.json.decode(done.stdout, type=Score)

    with ThreadPoolExecutor(lanes) as pool:
        score = _sum(pool.map(lane, range(lanes)))
    for number in range(lanes, lanes + _MORE):
        if score.wrong or variant or score.kills.keys() == POINTS.keys():
            break
        score = _sum([score, lane(number)])
    return score


def _sum(scores: Iterable[Score]) -> Score:
    kills: Counter[str] = Counter()
    misses: Counter[str] = Counter()
    total = Score()
    for score in scores:
        kills.update(score.kills)
        misses.update(score.misses)
        total.orders += score.orders
        total.wrong += score.wrong
    total.kills, total.misses = dict(kills), dict(misses)
    return total


def table(score: Score) -> str:
    """Return the kills by point, and what they add up to."""
    wide = max(map(len, POINTS))
    rows = [f"{name:<{wide}} {score.kills.get(name, 0):>4}  {point.what}" for name, point in POINTS.items()]
    survived = sum(score.misses.values())
    rows.append(f"{sum(score.kills.values())} kills ({survived} lives survived), {score.orders} orders compared")
    return "\n".join(rows)
