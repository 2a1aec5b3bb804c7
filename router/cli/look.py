"""Answers that need no running router: statuses, configuration, the journal.

The journal is read as a file, beside a running router too. This module must not know the socket, nor how any
of it is written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import Parameter

from router.cli.common import DEFAULTS, CommandError, Common, ExitCode, say, show_json, show_table
from router.errors import RouterError
from router.journal.audit import export, verify
from router.operations.actions import StatusAction, status_table
from router.operations.actions import explain as action_for
from router.settings import settings_schema, settings_to_builtins

_File = Annotated[Path | None, Parameter(name="--journal")]
_LABELS: Final = {
    "en": ("action", "deadline", "severity", "category"),
    "de": ("Aktion", "Frist", "Schweregrad", "Kategorie"),
}
_TITLES: Final = {"en": ("Meaning", "Action", "Deadline"), "de": ("Bedeutung", "Aktion", "Frist")}


def explain(status: str | None = None, *, lang: Literal["en", "de"] = "en", common: Common = DEFAULTS) -> None:
    """Say what a status means, what to do and by when.

    Args:
        status: One of the 14 statuses; without it, all of them.
        lang: The language of the answer.
    """
    if status is None:
        table = list(status_table(lang).values())
        if common.json:
            return show_json(table)
        rows = ((f"{entry.icon} {entry.status}", entry.meaning, entry.action, entry.deadline) for entry in table)
        return show_table(("Status", *_TITLES[lang]), rows)
    try:
        entry = action_for(status, lang)
    except RouterError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    return show_json(entry) if common.json else _say_action(entry, lang)


def _say_action(entry: StatusAction, lang: str) -> None:
    action, deadline, severity, category = _LABELS[lang]
    say(f"{entry.icon} {entry.status}: {entry.meaning}")
    say(f"   {action}: {entry.action}")
    say(f"   {deadline}: {entry.deadline}")
    if entry.severity or entry.category:
        say(f"   {severity}: {entry.severity or '–'} · {category}: {entry.category or '–'}")


def config_show(*, origin: bool = False, common: Common = DEFAULTS) -> None:
    """Show the settings that count, secrets redacted.

    Args:
        origin: Also tell where each value comes from.
    """
    settings = common.settings()
    values = settings_to_builtins(settings)
    if common.json:
        return show_json({"settings": values, "origins": settings.origins} if origin else values)
    say(f"# {settings.source or 'defaults'}")
    flat = [(f"{section}.{key}", value) for section, table in values.items() for key, value in table.items()]
    width = max(len(key) for key, _ in flat)
    for key, value in flat:
        shown = f"{key:<{width}} = {msgspec.json.encode(value).decode()}"
        say(f"{shown}   # {_origin(settings.origins, key)}" if origin else shown)
    return None


def _origin(origins: dict[str, str], key: str) -> str:
    """Return where ``key`` comes from; a table's entries may come from several places."""
    places = {place for name, place in origins.items() if name == key or name.startswith(f"{key}.")}
    return ", ".join(sorted(places)) or "default"


def config_schema(*, common: Common = DEFAULTS) -> None:
    """Print the JSON Schema of config.toml."""
    del common  # the schema is JSON in any case
    show_json(settings_schema())


def journal_verify(*, journal: _File = None, common: Common = DEFAULTS) -> None:
    """Check the hash chain and every event.

    Args:
        journal: The journal file; default journal.db under execution.home.
    """
    path = _path(journal, common)
    report = verify(path)
    if common.json:
        show_json({"journal": path, "ok": True, "events": report.events, "head": report.head})
    else:
        say(f"✅ {path}: {report.events} events, the chain holds (head {report.head[:16]})")


def journal_export(*, journal: _File = None, common: Common = DEFAULTS) -> None:
    """Write every event as one JSON line.

    Args:
        journal: The journal file; default journal.db under execution.home.
    """
    for event in export(_path(journal, common)):
        sys.stdout.buffer.write(event + b"\n")
    sys.stdout.buffer.flush()


def _path(journal: Path | None, common: Common) -> Path:
    return journal or common.settings().home_path / "journal.db"
