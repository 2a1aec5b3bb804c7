"""One journal after another, each killed many times: the process that is forked from, and that keeps the score.

    python -m tests.faults.lane HOME SEED NUMBER KILLS VARIANT

Prints one ``Score`` as JSON. It runs no event loop and no thread, or its children could not be trusted.
"""

from __future__ import annotations

import gc
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tests.faults.checker import check
from tests.faults.child import Life, configured, fork
from tests.faults.points import POINTS, Point
from tests.faults.venue import Dump

KILLS_A_JOURNAL: Final = 35
_KILLED: Final = -9
_APART: Final = 6  # points between the beginnings of two lanes
_WRONG_MAX: Final = 20  # orders with a story in a report; the rest is only counted
ROOT: Final = Path(__file__).resolve().parents[2]


class Score(msgspec.Struct):
    """Kills by point, lives that ended without one by the point that was armed, orders compared, what is wrong."""

    kills: dict[str, int] = {}
    misses: dict[str, int] = {}
    orders: int = 0
    wrong: list[str] = []


class Lane:
    """Kills routers, the points that have killed least first; the lanes of one campaign begin at different points."""

    def __init__(self, home: Path, seed: int, number: int, kills: int, variant: str) -> None:
        self.home = home
        self.seed = seed * 100 + number
        self.kills = kills
        self.variant = variant
        self.chance = random.Random(f"lane {self.seed}")
        order = random.Random(seed).sample(list(POINTS.values()), len(POINTS))
        begin = number * _APART % len(order)
        self.order = order[begin:] + order[:begin]
        self.killed: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.score = Score()

    def run(self) -> Score:
        gc.freeze()  # what is imported is nobody's garbage, and stays shared with the children
        number = 0
        while self.killed.total() < self.kills and not self.score.wrong:
            self._journal(number)
            number += 1
        self.score.kills, self.score.misses = dict(self.killed), dict(self.missed)
        return self.score

    def _journal(self, number: int) -> None:
        """Kill the routers of one journal, let the last one settle, and compare."""
        home, seed = self.home / f"journal-{number}", self.seed * 1000 + number
        home.mkdir(parents=True)
        with _venue(seed) as path:
            deaths, code = self._lives(Life(configured(home), path, seed, 0, None, 0, self.variant))
            dump = _dump(path)
        self.score.orders += len(dump.orders)
        wrong = [] if code == 0 else [_ended_badly(home, code)]
        wrong += check(home, dump)
        if wrong:
            died = f"seed {seed}, died at: {' '.join(deaths)} (point#hit; in brackets: survived)"
            more = [f"... and {len(wrong) - _WRONG_MAX} more"] if len(wrong) > _WRONG_MAX else []
            self.score.wrong += [died, *wrong[:_WRONG_MAX], *more]

    def _lives(self, life: Life) -> tuple[list[str], int]:
        """Let routers die and a last one settle; return where they died, and the exit status of the last."""
        wanted = min(self.kills, self.killed.total() + KILLS_A_JOURNAL)
        deaths: list[str] = []
        while self.killed.total() < wanted:
            point, hit = self._next(deaths)
            code = fork(life._replace(number=len(deaths), point=point, hit=hit))
            if code not in {0, _KILLED}:
                return [*deaths, f"{point}#{hit}"], code
            deaths.append(f"{point}#{hit}" if code else f"({point}#{hit})")
            (self.killed if code else self.missed)[point] += 1
        return deaths, fork(life._replace(number=len(deaths)))

    def _next(self, deaths: list[str]) -> tuple[str, int]:
        """Return where the next router dies, and at which time it passes there."""
        last = deaths[-1] if deaths else ""
        prepared = [point for point in self.order if point.prepared_by and last.startswith(point.prepared_by)]
        point = min(prepared, key=self._tried, default=self.order[0])
        if not prepared or self._tried(point) > 1:
            point = min((each for each in self.order if not each.prepared_by), key=self._tried)
        return point.name, 1 if self.missed[point.name] else self.chance.randint(1, point.most)

    def _tried(self, point: Point) -> int:
        return self.killed[point.name] + self.missed[point.name] // 2  # a miss is tried again, at the first passing


def _ended_badly(home: Path, code: int) -> str:
    errors = home / "errors.txt"
    return f"a life ended with status {code}: {errors.read_text() if errors.exists() else 'without a word'}"


@contextmanager
def _venue(seed: int) -> Iterator[Path]:
    """Run a venue of its own and yield the path of its socket, which must be short."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "venue"
        command = [sys.executable, "-m", "tests.faults.venue", str(path), str(seed)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as venue:
            try:
                while not path.exists():
                    assert venue.poll() is None, "the venue did not start"
                    time.sleep(0.01)
                yield path
            finally:
                venue.kill()


def _dump(path: Path) -> Dump:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b'{"number":0,"op":"dump"}\n')
        answer = b""
        while not answer.endswith(b"\n"):
            answer += client.recv(1 << 20)
    return msgspec.json.decode(answer, type=Dump)


def main(home: str, seed: str, number: str, kills: str, variant: str = "") -> None:
    score = Lane(Path(home), int(seed), int(number), int(kills), variant).run()
    sys.stdout.buffer.write(msgspec.json.encode(score))


if __name__ == "__main__":
    main(*sys.argv[1:])
