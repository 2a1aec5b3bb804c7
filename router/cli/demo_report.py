"""What a demo shows: progress while it runs, then what became of every intent.

This module must not know how the demo runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import msgspec

from router.cli.common import plain_number, say, show_json, show_table
from router.domain.enums import ExecutionStatus
from router.operations.actions import explain


class Report(msgspec.Struct, kw_only=True):
    """The demo's result.

    Amounts are exact, ``pnl`` is in ``currency``, fees by currency. ``earlier``: intents that an interrupted run
    had pushed; ``fills`` are all in the journal; ``problems``: intents without exactly one answer.
    """

    intents: int
    seconds: float
    answers: dict[str, int]
    orders: dict[str, int]
    fees: dict[str, Decimal]
    pnl: Decimal
    currency: str
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    journal: str
    log: str
    earlier: int = 0
    fills: int = 0
    events: int = 0
    head: str = ""
    problems: list[str] = []

    @property
    def ok(self) -> bool:
        """Whether the journal holds exactly one answer for every intent."""
        return not self.problems


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal; yields what to call after each step."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 - only terminals need it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("intents answered", total=total)
        yield lambda: bar.advance(task)


def show(report: Report, *, as_json: bool) -> None:
    """Print the report."""
    if as_json:
        show_json({**msgspec.structs.asdict(report), "ok": report.ok})
        return
    show_table(
        ("What the router answered", "Intents", "What to do"), map(_row, _ordered(report.answers)), right=("Intents",)
    )
    say()
    show_table(
        ("How accepted orders stand", "Orders", "What to do"), map(_row, _ordered(report.orders)), right=("Orders",)
    )
    say()
    rate = report.intents / report.seconds
    fees = ", ".join(f"{plain_number(_cents(fee))} {currency}" for currency, fee in report.fees.items())
    if report.earlier:
        say(f"continued: {report.earlier} intents were in the journal already")
    say(f"{report.intents} intents in {report.seconds:.1f} s ({rate:.0f}/s) · {report.fills} fills")
    say(f"fees {fees or 'none'} · PnL {plain_number(_cents(report.pnl))} {report.currency}")
    say(f"latency from push to durable answer: p50 {_ms(report.latency_p50_ms)}, p99 {_ms(report.latency_p99_ms)}")
    say(f"journal {report.journal}")
    say(f"log     {report.log}")
    if report.ok:
        say(f"✅ journal verified: {report.events} events, the chain holds; every intent has exactly one answer")
    else:
        say("🚨 not every intent has exactly one answer: " + "; ".join(report.problems))


def _ordered(counts: dict[str, int]) -> list[tuple[ExecutionStatus, int]]:
    return [(status, counts[status]) for status in ExecutionStatus if counts.get(status)]


def _row(counted: tuple[ExecutionStatus, int]) -> tuple[object, ...]:
    status, count = counted
    action = explain(status)
    return f"{action.icon} {status}", count, action.action


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"))


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} ms"
