"""Types and values in words, for the messages that say what was expected and what was found.

This module must not know where a value came from, nor print one whose type is marked private.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any, Final

from msgspec import inspect as types

OFF: Final = "off"
"""The word that switches a control off; it becomes None."""
_BOUND_WORDS: Final = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_USERINFO = re.compile(r"//[^/\s]*@")
_MAX_SHOWN = 60


def expected(kind: types.Type) -> str:
    """Return in words what ``kind`` accepts."""
    match bare(kind):
        case types.VarTupleType(item_type=item):
            words = f"a list, each item {expected(item)}"
        case types.UnionType(types=members):
            words = expected(members[0]) + (f', or "{OFF}"' if extra(kind).get("off") else "")
        case types.LiteralType(values=values):
            words = "one of " + ", ".join(f'"{word}"' for word in values)
        case types.StrType():
            words = _described(kind) or "text"
        case types.IntType():
            words = "a whole number" + _bounds(kind)
        case types.DecimalType() | types.FloatType():
            words = "a number" + _bounds(kind)
        case _:
            words = "a table"
    return words


def shown(value: object, kind: types.Type) -> str:
    """Return ``value`` as TOML writes it, shortened; not at all where ``kind`` may hold a credential."""
    match value:
        case bool():
            words = "true" if value else "false"
        case str() if extra(kind).get("private"):
            words = "text that is not shown because it may hold a credential"
        case str():
            text = _USERINFO.sub("//…@", value)
            words = f'"{text}"' if len(text) <= _MAX_SHOWN else f'"{text[:_MAX_SHOWN]}…"'
        case int() | float() | Decimal():
            words = str(value)[:_MAX_SHOWN]
        case Mapping():
            words = "a table"
        case list() | tuple():
            words = "a list"
        case date() | time():
            words = "a date or time"
        case _:
            words = type(value).__name__
    return words


def limits(kind: types.Type) -> dict[str, Decimal]:
    """Return the bounds of a number: msgspec's own, or for Decimal the annotation's ``extra``."""
    inner = bare(kind)
    if isinstance(inner, types.IntType | types.FloatType):
        raw = {name: getattr(inner, name) for name in _BOUND_WORDS}
    else:
        raw = extra(kind)
    return {name: Decimal(str(raw[name])) for name in _BOUND_WORDS if raw.get(name) is not None}


def bare(kind: types.Type) -> types.Type:
    """Return ``kind`` without its annotation."""
    return kind.type if isinstance(kind, types.Metadata) else kind


def extra(kind: types.Type) -> dict[str, Any]:
    """Return what the annotation adds: bounds of a Decimal, ``off`` allowed, ``private`` text."""
    match kind:
        case types.Metadata(extra=found):
            return found or {}
        case types.UnionType(types=members):
            return extra(members[0])
        case types.DictType(value_type=inner) | types.VarTupleType(item_type=inner):
            return extra(inner)
        case _:
            return {}


def _described(kind: types.Type) -> str:
    schema = kind.extra_json_schema if isinstance(kind, types.Metadata) else None
    return str((schema or {}).get("description", ""))


def _bounds(kind: types.Type) -> str:
    words = [f"{_BOUND_WORDS[name]} {bound}" for name, bound in limits(kind).items()]
    return " " + " and ".join(words) if words else ""
