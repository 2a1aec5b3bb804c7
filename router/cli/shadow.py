"""What shadow orders would have come to, told from the journal alone; no running router is needed.

This module must not know how the figures are made, nor how the picture is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import Parameter, Token

from router.cli.common import DEFAULTS, CommandError, Common, ExitCode, say, show_json, show_table
from router.domain.events import AnyEvent, decode_event
from router.errors import JournalCorruptError
from router.journal.audit import export
from router.operations.shadow_picture import picture
from router.operations.shadow_report import ShadowReport, build_report
from router.operations.shadow_table import FOOTNOTES, comparison, outcomes, prices, remarks


def _moment(_type: object, tokens: Sequence[Token]) -> datetime:
    text = tokens[0].value
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text}" is not a moment; write it like 2025-12-09 or 2025-12-09T14:32:45Z') from None


_Moment = Annotated[datetime | None, Parameter(converter=_moment)]
_PICTURES: Final = (".html", ".htm")


def shadow_report(
    *,
    strategy: str | None = None,
    symbol: str | None = None,
    since: _Moment = None,
    environment: Literal["shadow", "paper"] = "shadow",
    journal: Path | None = None,
    html: Path | None = None,
    common: Common = DEFAULTS,
) -> None:
    """Compare what was decided with what would have been filled.

    Args:
        strategy: Only this strategy's orders; "–" for those of none.
        symbol: Only this symbol's orders.
        since: Only orders decided then or later, in the market's time, e.g. 2025-12-09T14:32:45Z; UTC without a zone.
        environment: Whose orders: shadow, or paper looked at in the same way.
        journal: The journal file; default journal.db under execution.home.
        html: Also draw it into this file.
    """
    if html is not None and html.suffix.lower() not in _PICTURES:
        raise CommandError(f"--html writes a picture: name a file that ends in .html, not {html}", ExitCode.USAGE)
    path = journal or common.settings().home_path / "journal.db"
    report = build_report(_events(path), environment=environment, strategy=strategy, symbol=symbol, since=since)
    if html is not None and report.orders:
        _write(html, picture(report, str(path)))
    if common.json:
        return show_json(report)
    if not report.orders:
        return say(_nothing(report, path) + (" No picture was drawn." if html is not None else ""))
    _show(report)
    return say(f"picture {html}") if html is not None else None


def _events(path: Path) -> Iterator[AnyEvent]:
    for number, payload in enumerate(export(path), 1):
        try:
            yield decode_event(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalCorruptError(
                f"{path}: event {number} cannot be read: {error}. "
                f"Check the file: router journal verify --journal {path}"
            ) from None


def _show(report: ShadowReport) -> None:
    for table in (outcomes(report.strategies), prices(report.strategies), comparison(report.strategies)):
        say(table.caption)
        show_table(table.titles, table.rows, right=table.right)
        say()
    for note in (*remarks(report), *FOOTNOTES):
        say(note)


def _nothing(report: ShadowReport, path: Path) -> str:
    """Say that there are no orders, and what to do about it."""
    name = report.environment
    if report.left_out:
        return f"No {name} order in {path} matches; {report.left_out} others are there. Ask for less: drop a filter."
    return (
        f'No {name} orders in {path}. Name "{name}" in execution.environments, then send some: '
        f"router submit BTC/USD buy 0.01 --env {name} --strategy mine"
    )


def _write(file: Path, page: str) -> None:
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{file}: the picture cannot be written: {error.strerror}. Name a file in a folder that you can write to."
        ) from None
