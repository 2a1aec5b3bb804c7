"""What a journal tells of the controls: how often each did something (``controls.md`` G10), which limits were set.

One pass over the file, beside a running router too; what is kept is one number or value per name. This module must not
know which control answers for a name.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from router.domain.events import LimitChanged, decode_event
from router.journal.audit import reading

_NAMES: Final = {
    "answered": "coalesce(json_extract(payload, '$.result.violation'), json_extract(payload, '$.status'))",
    "amendment_answered": "coalesce(json_extract(payload, '$.result.violation'), json_extract(payload, '$.status'))",
    "halted": "'halted:' || coalesce(json_extract(payload, '$.halt.control'), 'operator')",
    "session_closed": "'session_closed:' || coalesce(json_extract(payload, '$.closure.violation'), 'operator')",
    "alert_raised": "'alert:' || json_extract(payload, '$.topic')",
    "report_quarantined": "'report_quarantined'",
    "overdue": "'overdue'",
    "limit_changed": "'limit_changed'",
}
"""What an event is counted as, by kind. The kind is what an event's text begins with, so the others are not parsed."""
_PREFIX: Final = '{{"event":"{}",'
_CHANGES: Final = f"substr(payload, 1, {len(_PREFIX.format('limit_changed'))}) = '{_PREFIX.format('limit_changed')}'"
_COUNTED: Final = " ".join(
    f"WHEN substr(payload, 1, {len(prefix)}) = '{prefix}' THEN {name}"
    for prefix, name in ((_PREFIX.format(kind), name) for kind, name in _NAMES.items())
)
_QUERY: Final = (
    f"SELECT name FROM (SELECT payload, CASE {_COUNTED} END AS name FROM events) "  # noqa: S608 -- made of the above
    "WHERE name IS NOT NULL AND json_extract(payload, '$.ts_recorded') >= ?"
)
_BACKWARDS: Final = (
    "SELECT json_extract(payload, '$.ts_recorded'), json_extract(payload, '$.event'), "
    "json_extract(payload, '$.intent.strategy_key') FROM events ORDER BY seq DESC"
)


def triggered(path: Path, since: date | None = None) -> Counter[str]:
    """Count what the journal tells of the controls, from the UTC day ``since`` on.

    An answer counts as its violation, or without one as its status; ``halted:`` and ``session_closed:`` are followed
    by the control or limit that did it, or "operator"; ``alert:`` by its topic.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """
    with reading(path) as db:
        return Counter(name for (name,) in db.execute(_QUERY, (since.isoformat() if since is not None else "",)))


def limits_set(path: Path) -> dict[str, str]:
    """Return the limits that operators have set and no file has changed since, by key.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """
    found: dict[str, str] = {}
    with reading(path) as db:
        for (payload,) in db.execute(f"SELECT payload FROM events WHERE {_CHANGES} ORDER BY seq"):  # noqa: S608 -- ours
            event = decode_event(payload)
            assert isinstance(event, LimitChanged)
            if event.is_override and event.new is not None:
                found[event.key] = event.new
            else:
                found.pop(event.key, None)
    return found


def orders_of_day(path: Path, day: date) -> Counter[str]:
    """Count the orders that passed the gates on a UTC day, by strategy; nothing without a journal.

    Reads back from the newest event to the first of the day, so it costs what the day holds.

    Raises:
        JournalError: the journal cannot be read.
    """
    found: Counter[str] = Counter()
    if not path.exists():
        return found
    begin, end = day.isoformat(), (day + timedelta(days=1)).isoformat()
    with reading(path) as db:
        for at, kind, strategy in db.execute(_BACKWARDS):
            if at < begin:
                break
            if kind == "pending" and strategy is not None and at < end:
                found[strategy] += 1
    return found
