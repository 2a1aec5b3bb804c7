"""One schedule after another: the process that forks venues and routers, plays the plan, and keeps the score.

    python -m tests.schedules.lane HOME VENUE VARIANT FLAT SEED...

Prints one ``Score`` as JSON. It runs no event loop and no thread, or its children could not be trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import select
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import ccxt.pro
import msgspec

from tests.schedules.checker import Delays, check, delays
from tests.schedules.child import FORCED, Life, fork
from tests.schedules.plan import Plan, plan
from tools.loopback import LoopbackVenue

ROOT: Final = Path(__file__).resolve().parents[2]
_PATIENCE_S: Final = 90.0
_DOWN_S: Final = 0.2
assert ccxt.pro.binance, "imported here, so that no router pays for it"


class Score(msgspec.Struct):
    """Schedules, kills, faults by kind, orders and trades compared, delays of changes with the stream off (s), what is
    wrong, and how much of the machine each journal's routers took after each schedule."""

    schedules: int = 0
    kills: int = 0
    faults: dict[str, int] = {}
    orders: int = 0
    trades: int = 0
    unseen: Delays = []
    wrong: list[str] = []
    sizes: list[list[tuple[int, int, int]]] = []


class Venue:
    """A venue in a process of its own, and its control routes."""

    def __init__(self, name: str, seed: int) -> None:
        reads, says = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(reads)
            os._exit(_serve(name, seed, says))
        os.close(says)
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(reads, 4096)
            assert part, "the venue did not start"
            line += part
        os.close(reads)
        self.url, self.key, self.secret = line.decode().split()

    def tell(self, path: str, body: dict[str, Any]) -> bool:
        """Ask for something; returns whether it was done."""
        request = urllib.request.Request(f"{self.url}/_venue/{path}", json.dumps(body).encode(), method="POST")
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10):
            return True
        return False

    def book(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_venue/book", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def do(self, deed: dict[str, Any]) -> None:
        """Do what a plan asks for; a fill is of the first of our orders that rests."""
        if deed["do"] == "fill":
            resting = [
                o for o in self.book()["orders"] if o["status"] in {"NEW", "PARTIALLY_FILLED"} and not o["foreign"]
            ]
            if not resting:
                return
            deed = {**deed, "order_id": resting[0]["id"]}
        self.tell("do", deed)

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _serve(name: str, seed: int, says: int) -> int:
    async def main() -> None:
        async with LoopbackVenue(name, seed=seed) as venue:
            os.write(says, f"{venue.url} {venue.key} {venue.secret}\n".encode())
            os.close(says)
            await asyncio.Event().wait()

    asyncio.run(main())
    return 0


class Lane:
    """Plays plans, each with a venue and a journal of its own, or (``flat``) all in one life."""

    def __init__(self, home: Path, venue: str, variant: str) -> None:
        self.home, self.venue, self.variant = home, venue, variant
        self.score = Score()

    def play(self, seeds: list[str], *, flat: bool) -> Score:
        gc.freeze()
        plans = [plan(seed, self.venue, force=FORCED.get(self.variant, ""), kills=not flat) for seed in seeds]
        for each in [plans] if flat else [[one] for one in plans]:
            home = self.home / each[0].seed
            home.mkdir(parents=True)
            with _venue(self.venue, len(self.score.wrong) + 1) as venue:
                self._lives(home, venue, each)
                self._reckon(home, venue, each)
            if self.score.wrong and not self.variant:
                break
        return self.score

    def _lives(self, home: Path, venue: Venue, plans: list[Plan]) -> None:
        """Let one router live through the plans; one that is killed has a successor."""
        gone: set[int] = set()
        router = Router(home, venue, plans, self.variant)
        for each in plans:
            if not router.hears(b"t") or not self._storm(venue, router, each):
                if router.code() != -signal.SIGKILL:
                    self.score.wrong.append(f"seed {each.seed}: a life ended with {router.code()}: {router.words()}")
                    return
                time.sleep(_DOWN_S)
                router = Router(home, venue, [each], self.variant)
                router.hears(b"t")
                gone.add(router.pid)
                router.hears(b"b")
            venue.tell("clear", {})
            router.go()
            if not router.hears(b"s"):
                self.score.wrong.append(f"seed {each.seed}: a life did not settle: {router.code()} {router.words()}")
                return
            self.score.schedules += 1
        self.score.kills += len(gone)
        if router.code() != 0:
            self.score.wrong.append(f"seed {plans[-1].seed}: the end was {router.code()}: {router.words()}")

    def _storm(self, venue: Venue, router: Router, each: Plan) -> bool:
        """Play deeds, faults and the kill at their times; returns whether the router lives."""
        began = time.monotonic()
        acts = [(at, "do", deed) for at, deed in each.deeds] + [(at, "faults", rule) for at, rule in each.rules]
        if each.kill_at is not None:
            acts.append((each.kill_at, "kill", {}))
        for at, what, body in sorted(acts, key=lambda act: act[0]):
            time.sleep(max(0.0, began + at - time.monotonic()))
            if what == "do":
                venue.do(body)
            elif what == "faults":
                venue.tell("faults", body)
            else:
                os.kill(router.pid, signal.SIGKILL)
                return False
        return router.hears(b"b")

    def _reckon(self, home: Path, venue: Venue, plans: list[Plan]) -> None:
        book = venue.book()
        ours = [order for order in book["orders"] if not order["foreign"]]
        self.score.orders += len(ours)
        self.score.trades += len(book["trades"])
        for kind, count in book["faults"].items():
            self.score.faults[kind] = self.score.faults.get(kind, 0) + count
        if not self.score.wrong:
            wrong, told = check(home, book)
            self.score.wrong += [f"seed {plans[0].seed} {self.venue}: {each}" for each in wrong]
            self.score.sizes.append([(each["rss_kib"], each["fds"], each["tasks"]) for each in told])
        if len(plans) == 1 and plans[0].healthy:
            self.score.unseen += delays(home, book)


class Router:
    """A router process and the two pipes to it."""

    def __init__(self, home: Path, venue: Venue, plans: list[Plan], variant: str) -> None:
        orders, self._go = os.pipe()
        self._says, says = os.pipe()
        name = plans[0].venue.upper()
        os.environ[f"{name}_TESTNET_API_KEY"], os.environ[f"{name}_TESTNET_API_SECRET"] = venue.key, venue.secret
        self.pid = fork(Life(home, venue.url, plans, variant, orders, says), (self._go, self._says))
        os.close(orders)
        os.close(says)
        self._home = home
        self._code: int | None = None

    def hears(self, word: bytes) -> bool:
        """Wait for a word; returns whether it came before the router's end."""
        ready, _, _ = select.select([self._says], [], [], _PATIENCE_S)
        return bool(ready) and os.read(self._says, 1) == word

    def go(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._go, b"g")

    def code(self) -> int:
        """Wait for the end and return the exit status, negative for a signal."""
        if self._code is None:
            with contextlib.suppress(OSError):
                os.close(self._go)
            _, status = os.waitpid(self.pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
            os.close(self._says)
        return self._code

    def words(self) -> str:
        errors = self._home / "errors.txt"
        return errors.read_text()[-3000:] if errors.exists() else "without a word"


@contextmanager
def _venue(name: str, seed: int) -> Iterator[Venue]:
    venue = Venue(name, seed)
    try:
        yield venue
    finally:
        venue.stop()


def main(home: str, venue: str, variant: str, flat: str, *seeds: str) -> None:
    score = Lane(Path(home), venue, variant).play(list(seeds), flat=flat == "flat")
    sys.stdout.buffer.write(msgspec.json.encode(score))


if __name__ == "__main__":
    main(*sys.argv[1:])
