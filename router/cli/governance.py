"""What is approved and locked, and the control report: every control of the catalogue as it stands here.

Both need no running router: the configuration and the journal's file tell. This module must not know how any control
works.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter, Token

from router.cli.common import DEFAULTS, CommandError, Common, ExitCode, plain_number, say, show_json, show_table
from router.governance.catalogue import Entry, catalogue
from router.governance.go_no_go import APPROVED, RISK_OVERRIDE
from router.governance.register import register
from router.journal.statistics import limits_set, triggered
from router.risk.limit_keys import OWNERS, text_of
from router.risk.limits import file_values, limit_files, limits_from
from router.settings import Settings, dotted, settings_to_builtins

OFF: Final = "⚠ off"
_TITLES: Final = ("Id", "Control", "Implemented by", "Limit in force", "Triggered", "Test", "Left to do")


def governance(*, common: Common = DEFAULTS) -> None:
    """Show which features are approved and which are locked, and who signed that off."""
    settings = common.settings()
    origin = settings.origins.get(f"governance.{RISK_OVERRIDE}", "default")
    entries = register(settings.governance.risk_check_override, origin)
    if common.json:
        return show_json({entry.key: entry for entry in entries})
    rows = (
        (
            f"{'✅' if entry.status == APPROVED else '🔒'} {entry.key}",
            entry.status,
            entry.reason,
            entry.signed_off_by or "⚠ nobody",
            entry.date or None,
        )
        for entry in entries
    )
    return show_table(("Key", "Status", "Reason", "Signed off by", "Date"), rows)


def _day(_type: object, tokens: Sequence[Token]) -> date:
    text = tokens[0].value
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text}" is not a day; write it like 2025-12-09') from None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One control as it stands. ``limits`` are in force, by key; ``triggered`` is a count by what was counted."""

    id: str
    title: str
    kind: str
    state: str
    implemented_by: tuple[str, ...]
    limits: dict[str, str]
    triggered: dict[str, int]
    tests: tuple[str, ...]
    missing: str
    people: str
    not_applicable: str


def controls(
    *,
    markdown: Annotated[bool, Parameter(negative=())] = False,
    journal: Path | None = None,
    since: Annotated[date | None, Parameter(converter=_day)] = None,
    common: Common = DEFAULTS,
) -> None:
    """Report every control of the catalogue: where it is, its limit in force, how often it acted, its test.

    Args:
        markdown: Print a Markdown document.
        journal: The journal file to count from; default journal.db under execution.home.
        since: Count from this UTC day on, e.g. 2025-12-09.
    """
    if markdown and common.json:
        raise CommandError("Choose one of --markdown and --json.", ExitCode.USAGE)
    settings = common.settings()
    path = journal or settings.home_path / "journal.db"
    has_journal = journal is not None or path.exists()
    counted = triggered(path, since) if has_journal else Counter[str]()
    values = in_force(settings, limits_set(path) if has_journal else {})
    rows = [_row(entry, values, counted) for entry in catalogue().values()]
    when = f"since {since}" if since is not None else "since it began"
    source = f"Counted in {path} {when}." if has_journal else f"There is no journal yet ({path}): nothing was counted."
    source += " Limits are those of the files now: a running router took [safety] and [strategies] over at its start."
    if common.json:
        document = {"journal": path if has_journal else None, "since": since, "note": source, "controls": rows}
        return show_json(document)
    cells = [_cells(row) for row in rows]
    if markdown:
        return say("\n".join(_markdown(source, cells)))
    show_table(_TITLES, ([cell.replace("\n", " · ") for cell in row] for row in cells))
    return say(f"\n{source}")


def in_force(settings: Settings, set_by_operators: Mapping[str, str]) -> dict[str, str]:
    """Return every limit in words, by dotted key: the base value, then where another one counts."""
    tables = settings_to_builtins(settings)
    strategies: dict[str, dict[str, Any]] = tables["strategies"]
    scopes = {
        **tables["safety"].pop("environments", {}),
        **{f"strategy {name}": strategy.get("safety", {}) for name, strategy in strategies.items()},
    }
    values = {
        f"{section}.{key}": _words(value)
        for section, table in tables.items()
        if section != "strategies"
        for key, value in table.items()
    }
    for scope, changes in scopes.items():
        for key, value in changes.items():
            values[f"safety.{key}"] += f"; {scope}: {_words(value)}"
    values["strategies"] = "; ".join(f"{name}: {_words(each)}" for name, each in strategies.items()) or OFF
    files = limit_files(settings)
    filed = file_values(files, settings.strategies)
    scoped = {dotted(key): text_of(value) for key, value in filed.items() if key[0] in OWNERS}
    scoped |= {name: f"{text} by an operator" for name, text in set_by_operators.items()}
    for key, value in msgspec.structs.asdict(limits_from(filed, files[0])).items():
        others = [f"; {name} = {text}" for name, text in scoped.items() if _names(name, key)]
        values[f"risk.{key}"] = _words(value) + "".join(others)
    return values


def _names(name: str, key: str) -> bool:
    """Whether the limit that was set, of whatever scope and symbol, is one of ``key``."""
    return key in name.split(".")


def _words(value: object) -> str:
    match value:
        case "off" | None:
            return OFF
        case Mapping():
            return ", ".join(f"{name} {_words(item)}" for name, item in value.items()) or "none"
        case list() | tuple():
            return ", ".join(map(str, value)) or "any"
        case Decimal():
            return plain_number(value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _row(entry: Entry, values: Mapping[str, str], counted: Counter[str]) -> Row:
    limits = {key: values[key] for key in entry.limits}
    return Row(
        id=entry.id,
        title=entry.title,
        kind=entry.kind,
        state=_state(entry, limits),
        implemented_by=entry.implemented_by,
        limits=limits,
        triggered={name: _count(name, counted) for name in entry.counted_as},
        tests=entry.tests,
        missing=entry.missing,
        people=entry.people,
        not_applicable=entry.not_applicable,
    )


def _state(entry: Entry, limits: Mapping[str, str]) -> str:
    if entry.not_applicable:
        return "not applicable"
    if OFF in limits.values():
        return "off" if set(limits.values()) == {OFF} else "partly off"
    return "partly" if entry.missing else "implemented"


def _count(name: str, counted: Counter[str]) -> int:
    if name.endswith(":"):
        return sum(number for counted_name, number in counted.items() if counted_name.startswith(name))
    return counted[name]


def _cells(row: Row) -> tuple[str, ...]:
    by = f"not applicable: {row.not_applicable}" if row.not_applicable else "\n".join(row.implemented_by)
    limits = "\n".join(f"{key} = {value}" for key, value in row.limits.items())
    acted = "\n".join(f"{number} × {name}" for name, number in row.triggered.items() if number)
    left = "\n".join(text for text in (row.missing, row.people and f"People: {row.people}") if text)
    number = acted or ("0" if row.triggered else "–")
    return (row.id, row.title, by, limits or "–", number, "\n".join(row.tests) or "–", left or "–")


def _markdown(source: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"# Controls\n\n{source}\n"
    yield f"| {' | '.join(_TITLES)} |"
    yield "|" + "---|" * len(_TITLES)
    for row in rows:
        cells = (cell.replace("|", "\\|").replace("\n", "<br>") for cell in row)
        yield f"| {' | '.join(cells)} |"
