"""What others may see of the settings: the schema for editors, and a redacted copy for screens and snapshots.

Alert URLs may hold credentials, so nothing of them but the scheme leaves here. This module must not know
where its output goes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from router.settings.fit import struct_fields
from router.settings.safety import Safety, SafetyOverride, Strategy
from router.settings.schema import Alerts, Sections, Settings
from router.settings.words import OFF

_DECIMAL_IN_SCHEMA = {"type": "string", "format": "decimal"}
_NULL_IN_SCHEMA = {"type": "null"}
_OFF_MEANS_NONE = (Safety, SafetyOverride, Strategy)


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema of config.toml."""
    schema = _as_written(msgspec.json.schema(Sections))
    assert isinstance(schema, dict)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "router config.toml",
        **schema,
    }


def settings_to_builtins(settings: Settings) -> dict[str, Any]:
    """Return the settings as JSON-ready tables: Decimals as exact strings, alert URLs as ``scheme://…``."""
    return {name: _plain(getattr(settings, name), private=False) for name in struct_fields(Sections)}


def redacted_url(url: str) -> str:
    """Return what may be shown of a URL that may hold credentials: ``slack://…``."""
    scheme, separator, _ = url.partition("://")
    return f"{scheme}://…" if separator else "…"


def _section(section: msgspec.Struct) -> dict[str, Any]:
    off_means_none = isinstance(section, _OFF_MEANS_NONE)
    private = isinstance(section, Alerts)
    table = {}
    for name, value in msgspec.structs.asdict(section).items():
        if value is UNSET or (value is None and not off_means_none):
            continue
        table[name] = _plain(OFF if value is None else value, private=private)
    return table


def _plain(value: object, *, private: bool) -> Any:
    match value:
        case msgspec.Struct():
            return _section(value)
        case Decimal():
            return f"{value:f}"
        case str():
            return redacted_url(value) if private else value
        case dict():
            return {key: _plain(item, private=private) for key, item in value.items()}
        case tuple():
            return [_plain(item, private=private) for item in value]
        case _:
            return value


def _as_written(node: Any, *, off: bool = False) -> Any:
    """Describe what a file may hold: Decimals also as numbers, for None the word "off" or nothing at all."""
    if isinstance(node, list | tuple):
        return [_as_written(item, off=off) for item in node if off or item != _NULL_IN_SCHEMA]
    if not isinstance(node, dict):
        return node
    if node.items() >= _DECIMAL_IN_SCHEMA.items():
        return {**node, "type": ["string", "number"]}
    if node == _NULL_IN_SCHEMA:
        return {"const": OFF}
    return {
        key: _as_written(item, off=off or key in {kind.__name__ for kind in _OFF_MEANS_NONE})
        for key, item in node.items()
        if not (key == "default" and item is None)
    }
