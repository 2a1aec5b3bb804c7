"""`router bench paper` finds nothing wrong with the paper executor, and finds every lie that is put into it."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from router.cli import bench_paper as command
from router.cli.bench_paper import Report, bench_paper, run, table
from router.cli.common import CommandError, ExitCode
from router.domain.enums import Liquidity
from router.domain.market import Trade
from router.executors.fill_model import Filled, QueueModel
from router.executors.paper import PaperExecutor
from router.executors.resting import OpenOrder
from router.market.book import Level
from tests.recordings import DEPTH, MARKETS, QUOTES, START_NS, TRADES, real_market, write_csv

MILLISECOND_NS = 1_000_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two minutes of an invented market: each trade is told after the quote that it caused, as on real streams."""
    chance = Random(7)
    trades, quotes, depth = list[str](), list[str](), list[str]()
    ns, number, bid = START_NS, 1, Decimal(1000)
    sizes = {"bid": Decimal(5), "ask": Decimal(5)}

    def message(kind: str) -> None:
        first = "" if kind == "snapshot" else number - 4
        for side, start, step in (("bid", bid, -1), ("ask", bid + 1, 1)):
            for at in range(8):
                size = sizes[side] if not at else Decimal(3 + at)
                depth.append(f"{ns},1,A/B,{kind},{first},{number},,{side},{start + at * step},{size}")
        if kind == "diff":
            depth.extend(f"{ns},1,A/B,diff,{first},{number},,bid,{bid + at},0" for at in range(1, 4))
            depth.extend(f"{ns},1,A/B,diff,{first},{number},,ask,{bid + 1 - at},0" for at in range(1, 4))

    message("snapshot")
    while ns < START_NS + 120_000 * MILLISECOND_NS:
        ns += chance.randint(20, 60) * MILLISECOND_NS
        side = chance.choice(["bid", "ask"])
        traded = min(Decimal(chance.randint(1, 30)) / 10, sizes[side])
        price = bid if side == "bid" else bid + 1
        sizes[side] -= traded
        if not sizes[side]:
            bid += 1 if side == "ask" else -1
            sizes = {"bid": Decimal(5), "ask": Decimal(5)}
        elif chance.random() < 0.5:
            sizes[chance.choice(["bid", "ask"])] += Decimal(chance.randint(1, 20)) / 10
        number += 1
        quotes.append(f"{ns},,A/B,{number},{bid},{sizes['bid']},{bid + 1},{sizes['ask']}")
        aggressor = "sell" if side == "bid" else "buy"
        trades.append(f"{ns + 5 * MILLISECOND_NS},1,A/B,{number},{aggressor},{price},{traded}")
        if number % 5 == 0:
            number += 1
            message("diff")
    folder = tmp_path_factory.mktemp("recorded")
    return [
        write_csv(folder / "a_trades.csv.gz", TRADES, trades),
        write_csv(folder / "a_quotes.csv", QUOTES, quotes),
        write_csv(folder / "a_depth.csv.gz", DEPTH, depth),
    ]


def without_speed(report: Report) -> Report:
    return msgspec.structs.replace(report, rows_per_s=0)


@pytest.mark.parametrize("latency_ms", [0, 30])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_paper_executor_does_not_lie(files: list[Path], seed: int, latency_ms: int) -> None:
    report = run(files, seed=seed, latency_ms=latency_ms)
    (row,) = report.rows
    assert report.violations == []
    assert row.violations == report.refused == 0
    assert row.symbol == "A/B"
    assert row.passive_fills > 50
    assert row.taker_fills > 30
    assert row.queue_s is not None
    assert row.queue_s > 0.15
    assert row.share_of_printed is not None
    assert 0 < row.share_of_printed < 1
    assert report.recorded_rows == sum(len(_lines(path)) - 1 for path in files)


@pytest.mark.parametrize("market", MARKETS)
def test_nor_on_the_recordings(market: str) -> None:
    paths = real_market(market)
    if not paths:
        return
    report = run(paths, seed=11, latency_ms=15)
    assert report.violations == []
    assert report.rows[0].passive_fills > 500


def test_the_same_seed_sends_and_finds_the_same(files: list[Path]) -> None:
    assert without_speed(run(files, seed=5)) == without_speed(run(files, seed=5))
    assert without_speed(run(files, seed=5)).rows != without_speed(run(files, seed=6)).rows


# Lies put in on purpose


class Pusher(QueueModel):
    """Ignores who is ahead."""

    def rest(self, order: OpenOrder, now: datetime) -> None:
        super().rest(order, now)
        order.mark = Decimal(0)


class Hasty(QueueModel):
    """Lets what printed before it joined count for an order."""

    def rest(self, order: OpenOrder, now: datetime) -> None:
        super().rest(order, now)
        order.is_placed = True


class Generous(QueueModel):
    """Gives a print to everybody whom it reaches."""

    def matched(self, trade: Trade | None, now: datetime) -> list[Filled]:
        filled = super().matched(trade, now)
        if trade is None or not filled:
            return filled
        return [(order, order.leaves_quantity) for order, _ in filled]


class Greedy(QueueModel):
    """Takes twice what is displayed."""

    def take(self, order: OpenOrder, *, all_or_nothing: bool) -> list[Level]:
        taken = super().take(order, all_or_nothing=all_or_nothing)
        return [(price, min(2 * quantity, order.leaves_quantity / len(taken))) for price, quantity in taken]


class Flattering(QueueModel):
    """Takes at a better price than anybody showed."""

    def take(self, order: OpenOrder, *, all_or_nothing: bool) -> list[Level]:
        better = Decimal(-1 if order.side == "buy" else 1)
        return [(price + better, each) for price, each in super().take(order, all_or_nothing=all_or_nothing)]


class Selfish(QueueModel):
    """Trades with itself."""

    def opposing(self, order: OpenOrder) -> OpenOrder | None:
        return None


class Cheap(PaperExecutor):
    """Charges everybody as a maker."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._fee_rate[Liquidity.TAKER] = self._fee_rate[Liquidity.MAKER]


def with_model(model: type[QueueModel]) -> type[PaperExecutor]:
    class Broken(PaperExecutor):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self._new_model = model

    return Broken


LIES = {
    "too early in the queue": with_model(Pusher),
    "after it joined: it may be older": with_model(Hasty),
    "more than printed": with_model(Generous),
    "was displayed and not yet taken": with_model(Greedy),
    "where 0 was displayed": with_model(Flattering),
    "although an own order of the other side rests": with_model(Selfish),
    "is not 4.5 bp": Cheap,
}


@pytest.mark.parametrize("found", LIES)
def test_a_lie_is_found(files: list[Path], monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(command, "_SHOWN", 10_000)
    report = run(files, executor=LIES[found])
    assert report.rows[0].violations == len(report.violations) > 0
    assert any(found in violation for violation in report.violations), report.violations[:5]


# The command


def test_the_command_shows_a_table_and_ends_with_0(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_paper(*files) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "A/B" in shown
    assert "0 violations: every fill was possible given what printed and was shown" in shown
    assert bench_paper(*files, json=True) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["rows"][0]["violations"] == 0


def test_a_violation_is_named_and_ends_with_1(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lying = run(files, executor=Cheap)
    assert "is not 4.5 bp" in table(lying)
    monkeypatch.setattr(command, "run", lambda *_, **__: lying)
    assert bench_paper(*files) == ExitCode.ERROR
    assert f"{lying.rows[0].violations} violations" in capsys.readouterr().out


def test_without_files_it_says_what_to_pass() -> None:
    with pytest.raises(CommandError, match=r"name the recordings.*_trades\.csv\.gz") as caught:
        bench_paper()
    assert caught.value.code == ExitCode.USAGE
    with pytest.raises(CommandError, match="--latency-ms"):
        bench_paper(Path("x"), latency_ms=-1)


def _lines(path: Path) -> list[str]:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines()
