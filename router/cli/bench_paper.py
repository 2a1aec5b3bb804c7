"""``router bench paper``: does the paper executor lie? A seeded crowd of orders meets recordings, and every fill is
held against the rows (``bench_paper_check`` has the rules).

The recordings are replayed as fast as possible, on a clock that tells recorded time, against the executor alone. What
is shown beside the violations tells how the fills were: how long they took, and where the market went after them.
This module must not know how fills are decided or checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from router.cli.bench_paper_check import Entry, Mean, Rules, SymbolCheck, check
from router.cli.common import CommandError, ExitCode
from router.clock import SettableClock, SystemClock
from router.domain.enums import ExecType, Liquidity, OrderSide, OrderType, TimeInForce
from router.domain.order import Order, Replacement
from router.domain.report import ExecutionReport
from router.executors.paper import PaperExecutor
from router.market.feeds.replay import ReplayFeed
from router.market.quotes import MarketData, Update

_RULES: Final = Rules(maker_fee_bps=Decimal("1.5"), taker_fee_bps=Decimal("4.5"), latency_ms=0)
_NOTIONALS: Final = (20, 200, 2_000, 20_000, 200_000)
_LOT: Final = Decimal("0.00001")
_OPEN_MAX: Final = 30
_SHOWN: Final = 10
_MEANT: Final = ("touch", "touch", "touch", "touch", "behind", "behind", "inside", "inside", "taker", "taker")
_TAKERS: Final = (TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC, None)
_GONE: Final = frozenset({ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED})


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol. ``filled_…``: mean filled share of an order; bp: basis points, above 0 a taker lost, a maker won."""

    symbol: str
    orders: int
    passive_fills: int
    taker_fills: int
    share_of_printed: float | None
    filled_at_touch: float | None
    filled_behind: float | None
    filled_inside: float | None
    queue_s: float | None
    slippage_bp: float | None
    markout_1s_bp: float | None
    markout_10s_bp: float | None
    violations: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All symbols, and the first violations in words."""

    seed: int
    latency_ms: int
    recorded_rows: int
    rows_per_s: float
    refused: int
    rows: list[Row]
    violations: list[str]


class _RecordedClock(SettableClock):
    """Time as it was recorded: whoever sleeps moves it."""

    def __init__(self) -> None:
        super().__init__()
        self._elapsed_ns = 0

    def monotonic(self) -> float:
        return self._elapsed_ns / 1e9

    async def sleep(self, seconds: float) -> None:
        self._elapsed_ns += round(seconds * 1e9)

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()


class _CountedMarket(MarketData):
    """Numbers the messages, so that both readings of the files speak of the same ones."""

    count = 0

    def apply(self, update: Update) -> None:
        self.count += 1
        super().apply(update)


class _Crowd:
    """Sends, replaces and cancels orders by chance, and writes down what was sent and said."""

    def __init__(self, market: _CountedMarket, clock: SettableClock, seed: int) -> None:
        self.tape: list[Entry] = []
        self.executor: PaperExecutor
        self._market = market
        self._clock = clock
        self._chance = Random(seed)  # noqa: S311 - an experiment, not a secret
        self._open: dict[str, dict[str, Order]] = {}
        self._ticks: dict[str, Decimal] = {}
        self._sent = 0

    def heard(self, report: ExecutionReport) -> None:
        """Take a report in."""
        self.tape.append(Entry(self._market.count, report))
        for own in self._open.values():
            order = own.get(report.client_order_id)
            if order is None:
                continue
            if report.exec_type is ExecType.REPLACED:
                order = msgspec.structs.replace(order, quantity=report.quantity, price=report.price)
                own[order.client_order_id] = order
            if report.exec_type in _GONE or report.filled_quantity == order.quantity:
                del own[order.client_order_id]

    def watch(self, symbol: str, _: object) -> None:
        """Learn of a symbol and of the smallest step of its prices."""
        quote = self._market.quote(symbol)
        if quote is not None:
            exponent = min(0, *(int(each.as_tuple().exponent) for each in (quote.bid, quote.ask)))
            self._ticks[symbol] = min(self._ticks.get(symbol, Decimal(1)), Decimal(1).scaleb(exponent))
            self._open.setdefault(symbol, {})

    async def act(self) -> None:
        """Do something, or nothing, in each symbol."""
        for symbol, own in self._open.items():
            what = self._chance.random()
            if own and (what < 0.15 or len(own) >= _OPEN_MAX):
                await self.executor.cancel(self._chance.choice(list(own.values())), "enough")
            elif own and what < 0.25:
                await self._amend(self._chance.choice(list(own.values())))
            elif what < 0.6:
                await self._send(symbol)

    async def _send(self, symbol: str) -> None:
        chance, self._sent = self._chance, self._sent + 1
        side, meant = chance.choice(list(OrderSide)), chance.choice(_MEANT)
        price, tif = self._price(symbol, side, meant), TimeInForce.GTC
        quantity = (chance.choice(_NOTIONALS) / price).quantize(_LOT)
        kind, more = OrderType.LIMIT, dict[str, Any]()
        if meant == "taker":
            taking = chance.choice(_TAKERS)
            kind, tif = (OrderType.MARKET, tif) if taking is None else (kind, taking)
        elif chance.random() < 0.2:
            more["post_only"] = True
        elif chance.random() < 0.2:
            tif, more["expire_at"] = TimeInForce.GTD, self._clock.now() + timedelta(seconds=chance.randint(1, 20))
        now = self._clock.now()
        order = Order(
            client_order_id=f"B{self._sent}",
            run_id="bench",
            symbol=symbol,
            side=side,
            order_type=kind,
            quantity=max(quantity, _LOT),
            price=price,
            time_in_force=tif,
            environment="paper",
            created_at=now,
            updated_at=now,
            **more,
        )
        self.tape.append(Entry(self._market.count, order, meant))
        self._open[symbol][order.client_order_id] = order
        await self.executor.submit(order)

    def _price(self, symbol: str, side: OrderSide, meant: str) -> Decimal:
        """Return a price at the own touch, one tick behind it or inside the spread, or one that takes."""
        quote, tick = self._market.quote(symbol), self._ticks[symbol]
        assert quote is not None, "watched"
        own, other = (quote.bid, quote.ask) if side is OrderSide.BUY else (quote.ask, quote.bid)
        better = tick if side is OrderSide.BUY else -tick
        prices = {"touch": own, "behind": own - better, "inside": own + better, "taker": other + 20 * better}
        return prices[meant]

    async def _amend(self, order: Order) -> None:
        chance = self._chance
        factor = chance.choice((Decimal("0.5"), Decimal(1), Decimal(2)))
        price = order.price if chance.random() < 0.5 else self._price(order.symbol, order.side, "touch")
        asked = Replacement(f"R{len(self.tape)}", max((order.quantity * factor).quantize(_LOT), _LOT), price)
        await self.executor.amend(order, asked)


def run(
    paths: Sequence[Path], *, seed: int = 1, latency_ms: int = 0, executor: type[PaperExecutor] = PaperExecutor
) -> Report:
    """Replay ``paths`` against a crowd of orders from ``seed``, and check every fill."""
    rules = _RULES._replace(latency_ms=latency_ms)
    timer = SystemClock()
    start = timer.monotonic()
    tape, refused = asyncio.run(_replay(paths, seed, rules, executor))
    seconds = timer.monotonic() - start
    checks, recorded = check(paths, tape, rules)
    return Report(
        seed=seed,
        latency_ms=latency_ms,
        recorded_rows=recorded,
        rows_per_s=round(recorded / seconds, 1),
        refused=refused,
        rows=[_row(symbol, checks[symbol]) for symbol in sorted(checks)],
        violations=[f"{symbol}: {each}" for symbol in sorted(checks) for each in checks[symbol].violations][:_SHOWN],
    )


async def _replay(paths: Sequence[Path], seed: int, rules: Rules, kind: type[PaperExecutor]) -> tuple[list[Entry], int]:
    clock = _RecordedClock()
    market = _CountedMarket(clock)
    crowd = _Crowd(market, clock, seed)
    market.listen(crowd.watch)
    crowd.executor = kind("paper", market, clock, crowd.heard, **rules._asdict(), fill_model="queue")
    await ReplayFeed(paths, speed=Decimal(1), clock=clock, pace=crowd.act).run(market, lambda: None)
    return crowd.tape, market.refused.total()


def _row(symbol: str, found: SymbolCheck) -> Row:
    filled = {meant: Mean() for meant in _MEANT}
    for own in found.own.values():
        filled[own.meant].add(own.filled / own.quantity, Decimal(1))
    after_1s, after_10s = (each.value for each in found.markouts)
    return Row(
        symbol=symbol,
        orders=len(found.own),
        passive_fills=found.fills[Liquidity.MAKER],
        taker_fills=found.fills[Liquidity.TAKER],
        share_of_printed=round(float(found.got_of_prints / found.printed), 4) if found.printed else None,
        filled_at_touch=filled["touch"].value,
        filled_behind=filled["behind"].value,
        filled_inside=filled["inside"].value,
        queue_s=found.waits.value,
        slippage_bp=found.slippage.value,
        markout_1s_bp=after_1s,
        markout_10s_bp=after_10s,
        violations=len(found.violations),
    )


_COLUMNS: Final = {
    "symbol": "symbol",
    "orders": "orders",
    "passive_fills": "passive",
    "taker_fills": "taker",
    "share_of_printed": "of printed",
    "filled_at_touch": "at touch",
    "filled_behind": "behind",
    "filled_inside": "inside",
    "queue_s": "queue s",
    "slippage_bp": "slippage bp",
    "markout_1s_bp": "after 1 s bp",
    "markout_10s_bp": "after 10 s bp",
    "violations": "violations",
}
_RATIOS: Final = frozenset({"share_of_printed", "filled_at_touch", "filled_behind", "filled_inside"})


def table(report: Report) -> str:
    """Return the report as text."""
    cells = [list(_COLUMNS.values()), *([_cell(row, name) for name in _COLUMNS] for row in report.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    return "\n".join((*lines, _LEGEND, _summary(report), *(f"  {each}" for each in report.violations)))


def _summary(report: Report) -> str:
    total = sum(row.violations for row in report.rows)
    verdict = (
        f"{total} violations" if total else "0 violations: every fill was possible given what printed and was shown"
    )
    return (
        f"seed {report.seed}, latency {report.latency_ms} ms, {report.recorded_rows:,} rows, "
        f"{report.rows_per_s:,.0f} rows/s, {report.refused} refused\n{verdict}"
    )


_LEGEND: Final = """
passive, taker: fills. of printed: our passive fills in the volume that printed. at touch, behind, inside: the mean
share of an order there that filled. queue: mean time to the first passive fill. slippage: takers, from the touch at the
decision. after 1 s, 10 s: the middle against the price of passive fills, below 0 the market went on against them.
"""


def _cell(row: Row, name: str) -> str:
    value = getattr(row, name)
    if value is None:
        return "-"
    if name in _RATIOS:
        return f"{value:.2%}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def bench_paper(*files: Path, seed: int = 1, latency_ms: int = 0, json: bool = False) -> int:
    """Check the paper executor against recordings: every fill must have been possible; exit code 1 otherwise.

    Args:
        files: recordings of trades, quotes and depth, of one or more symbols.
        seed: another one sends other orders.
        latency_ms: how long every request travels.
        json: print the report as one JSON object.
    """
    if not files:
        raise CommandError(
            "name the recordings, as in: router bench paper X_trades.csv.gz X_quotes.csv.gz X_depth.csv.gz",
            ExitCode.USAGE,
        )
    if latency_ms < 0:
        raise CommandError("--latency-ms must not be below 0", ExitCode.USAGE)
    report = run(files, seed=seed, latency_ms=latency_ms)
    print(msgspec.json.encode(report).decode() if json else table(report))
    return ExitCode.ERROR if any(row.violations for row in report.rows) else ExitCode.DONE
