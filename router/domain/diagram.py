"""The order's life as a picture: a mermaid diagram drawn from the table, for the README.

A row that leaves the status as it is would be an arrow from a box to itself; these are gathered in two notes. This
module must not decide what may follow what (``lifecycle``).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from router.domain.enums import TERMINAL, ExecutionStatus
from router.domain.events import OrderEvent, TradeBusted
from router.domain.lifecycle import BY_QUANTITY, TRANSITIONS

S = ExecutionStatus
_WIDE: Final = '%%{init: {"flowchart": {"wrappingWidth": 600}}}%%'  # one line of a note on one line
_Arrows: TypeAlias = dict[tuple[ExecutionStatus, ExecutionStatus], list[str]]
_TRADED: Final = (S.PARTIALLY_FILLED, S.FILLED)
_ENDED: Final = frozenset({S.CANCELLED, S.EXPIRED})


def mermaid() -> str:
    """Return the table as a mermaid ``stateDiagram-v2``."""
    arrows: _Arrows = {}
    for status, kind in TRANSITIONS:
        for to in leads_to(status, kind):
            arrows.setdefault((status, to), []).append(str(kind.__struct_config__.tag).replace("_", " "))
    lines = [
        _WIDE,
        "stateDiagram-v2",
        f"    [*] --> {S.PENDING}",
        *(f"    {status} --> {to}: {', '.join(kinds)}" for (status, to), kinds in arrows.items() if status is not to),
        *(f"    {status} --> [*]" for status in S if status in TERMINAL),
        f"    note right of {S.PENDING}",
        "        These change no status",
        *_stays(arrows, frozenset(S) - _ENDED),
        "    end note",
        f"    note right of {S.EXPIRED}",
        "        Late, but they count: no change of status either",
        *_stays(arrows, _ENDED),
        "    end note",
    ]
    return "\n".join(lines)


def _stays(arrows: _Arrows, among: frozenset[ExecutionStatus]) -> list[str]:
    """Return the rows of ``among`` that change no status, those with the same statuses on one line."""
    statuses: dict[str, list[str]] = {}
    for (status, to), kinds in arrows.items():
        for kind in kinds:
            if status is to and status in among:
                statuses.setdefault(kind, []).append(status)
    lines: dict[tuple[str, ...], list[str]] = {}
    for kind, where in statuses.items():
        lines.setdefault(tuple(where), []).append(kind)
    return [f"        {', '.join(kinds)}: {', '.join(where)}" for where, kinds in lines.items()]


def leads_to(status: ExecutionStatus, kind: type[OrderEvent]) -> tuple[ExecutionStatus, ...]:
    """Return every status that a row of the table can lead to."""
    to = TRANSITIONS[status, kind]
    if to is not BY_QUANTITY:
        return (to,)
    if status not in _TRADED:
        return (S.SUBMITTED,)
    return (S.SUBMITTED, S.PARTIALLY_FILLED) if kind is TradeBusted else (S.PARTIALLY_FILLED, S.FILLED)
