"""Which control of the catalogue (``controls.md`` §1) is where, tested by what, limited by what, counted as what.

The data is ``controls.toml``; its titles are our own words. This module must not know configuration, the journal, or
how any control works.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

import msgspec

_FILE: Final = files("router.governance") / "controls.toml"
_KINDS: Final = {"P": "pre-trade", "A": "at-trade", "T": "post-trade", "G": "governance"}


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One control.

    Args:
        implemented_by: modules, or files outside the package.
        tests: pytest node ids.
        limits: dotted keys of the settings; ``risk.`` is risk_limits.toml.
        counted_as: what ``journal.statistics`` counts for it; a name that ends in ":" stands for all that begin so.
        missing: what is not there yet.
        people: what only people can do.
        not_applicable: why it does not apply here; then nothing but the title is said.
    """

    id: str
    title: str
    implemented_by: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    counted_as: tuple[str, ...] = ()
    missing: str = ""
    people: str = ""
    not_applicable: str = ""

    @property
    def kind(self) -> str:
        """When it acts."""
        return _KINDS[self.id[0]]


@cache
def catalogue() -> Mapping[str, Entry]:
    """Return every control by its id, in the catalogue's order."""
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return MappingProxyType({key: msgspec.convert({"id": key, **table}, Entry) for key, table in tables.items()})
