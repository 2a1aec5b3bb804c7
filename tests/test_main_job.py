"""The main job on real input: the demo trades the recordings, and what it says it did is checked against them.

Without the recordings (``ROUTER_MARKET_DATA``) it trades small generated ones and only the figures that need the
real ones are left out, which is said.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
import subprocess
import sys
import threading
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from router.domain.enums import Liquidity, OrderSide
from router.domain.events import Answered, AnyEvent, Filled, PartiallyFilled, Pending, decode_event
from router.journal.audit import export, verify
from tests.cli.processes import command, environment
from tests.recordings import MARKETS, real_market, small_market

KILLS = 6
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def demo(home: Path, *arguments: object) -> dict[str, Any]:
    """Run the demo as a process of its own; return its report."""
    ended = subprocess.run(
        command("demo", "--home", home, "--json", *arguments),
        capture_output=True,
        env=environment(),
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


def events(home: Path) -> list[AnyEvent]:
    return [decode_event(payload) for payload in export(home / "journal.db")]


def rows(paths: list[Path], kind: str) -> Iterator[dict[str, str]]:
    for path in paths:
        if kind in path.name:
            with gzip.open(path, "rt") as lines:
                yield from csv.DictReader(lines)


def microseconds(row: dict[str, str]) -> int:
    return int(row["ts_recv_ns"]) // 1000


class Recorded:
    """What the recording printed and quoted, read by other means than the router's."""

    def __init__(self, paths: list[Path]) -> None:
        self.trades: dict[str, list[tuple[int, str, Decimal, Decimal]]] = defaultdict(list)
        self.quotes: dict[str, list[tuple[int, dict[OrderSide, tuple[Decimal, Decimal]]]]] = defaultdict(list)
        for row in rows(paths, "trades"):
            self.trades[row["symbol"]].append(
                (microseconds(row), row["side"], Decimal(row["price"]), Decimal(row["qty"]))
            )
        for row in rows(paths, "quotes"):
            offered = {
                OrderSide.BUY: (Decimal(row["ask"]), Decimal(row["ask_size"])),
                OrderSide.SELL: (Decimal(row["bid"]), Decimal(row["bid_size"])),
            }
            self.quotes[row["symbol"]].append((microseconds(row), offered))

    def printed(self, symbol: str, side: OrderSide, price: Decimal, at: int) -> Decimal:
        """What traded against ``side`` at ``price`` or through it, at that microsecond."""
        trades = self.trades[symbol]
        total = Decimal(0)
        for when, aggressor, level, quantity in trades[bisect_left(trades, (at,)) :]:
            if when > at:
                break
            through = level <= price if side is OrderSide.BUY else level >= price
            total += quantity if aggressor != side and through else 0
        return total

    def offered(self, symbol: str, side: OrderSide, at: int) -> tuple[int, Decimal, Decimal]:
        """The touch that ``side`` could take: which quote it was, its price and size."""
        place = bisect_right(self.quotes[symbol], at, key=lambda quote: quote[0]) - 1
        return (place, *self.quotes[symbol][place][1][side])


def overfills(journaled: list[AnyEvent], recorded: Recorded) -> list[str]:
    """Name every fill that the recording does not cover, alone or together with the others it shares a source with."""
    intents = {event.client_order_id: event.intent for event in journaled if isinstance(event, Pending)}
    used: Counter[object] = Counter()
    found = []
    for event in journaled:
        if not isinstance(event, Filled | PartiallyFilled):
            continue
        assert event.last_price is not None
        assert event.last_quantity is not None
        assert event.ts_event is not None
        intent = intents[event.client_order_id]
        symbol, side, price = intent.symbol, OrderSide(intent.side), event.last_price
        at = (event.ts_event - EPOCH) // timedelta(microseconds=1)
        place, touch, size = recorded.offered(symbol, side, at)
        crosses = touch <= price if side is OrderSide.BUY else touch >= price
        if event.liquidity is Liquidity.TAKER:
            source: object = (symbol, side, place, price)
            most = size if price == touch else Decimal("Infinity")
            if not (price >= touch if side is OrderSide.BUY else price <= touch):
                found.append(f"{event.trade_id} took at {price}, better than the touch {touch}")
        else:
            source = (symbol, side, at, "resting")
            most = recorded.printed(symbol, side, price, at) + (size if crosses else 0)
        used[source] += event.last_quantity  # type: ignore[assignment] # Counter adds Decimals just as well
        if used[source] > most:
            found.append(f"{event.trade_id}: {used[source]} of {most} that were there")
    return found


def test_the_recordings_are_traded_and_no_fill_exceeds_what_was_printed_or_quoted(tmp_path: Path) -> None:
    real = real_market(MARKETS[0]) + real_market(MARKETS[1])
    report = demo(tmp_path / "home", "--replay", *(real or small_market(tmp_path)))

    journaled = events(tmp_path / "home")
    answers = Counter(event.client_order_id or event.run_id for event in journaled if isinstance(event, Answered))
    assert report["ok"] is True
    assert report["intents"] == len(answers) == sum(answers.values()), "one answer each"
    assert verify(tmp_path / "home" / "journal.db").events == len(journaled)
    if real:
        assert report["intents"] >= 2000
        assert report["fills"] > 500
        assert overfills(journaled, Recorded(real)) == []


def test_a_demo_that_is_killed_again_and_again_loses_and_doubles_no_intent(tmp_path: Path) -> None:
    moments = random.Random(9)
    for _ in range(KILLS):
        child = subprocess.Popen(
            command("demo", "--home", tmp_path, "--intents", 300),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        killer = threading.Timer(moments.uniform(0.8, 3.0), child.kill)
        killer.start()
        child.wait(60)
        killer.cancel()

    report = demo(tmp_path, "--intents", 300)

    journaled = events(tmp_path)
    pending = Counter(event.client_order_id for event in journaled if isinstance(event, Pending))
    answered = Counter(event.client_order_id or event.run_id for event in journaled if isinstance(event, Answered))
    assert report["ok"] is True
    assert set(pending.values()) == {1}
    assert set(answered.values()) == {1}
    assert pending.keys() <= answered.keys()
    verify(tmp_path / "journal.db")


def test_a_paper_demo_never_imports_ccxt(tmp_path: Path) -> None:
    script = (
        "import sys; from router.cli import main; "
        f"code = main(['demo', '--home', {str(tmp_path)!r}, '--intents', '20']); "
        "sys.exit(code or ('ccxt' in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment(), check=False)
    assert ended.returncode == 0, ended.stderr.decode()
