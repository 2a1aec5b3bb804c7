"""What every table of the configuration file is made of: it checks and converts itself whenever it is made.

This module must not know any section, files, the environment or the order in which they count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.inspect import Type
from msgspec.structs import force_setattr

from router.settings.fit import fit, struct_fields

Symbol: TypeAlias = Annotated[str, Meta(pattern=r"^[^/\s]+/[^/\s]+$", description='a symbol like "BTC/USD"')]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration file.

    Raises:
        ConfigError: a value has the wrong type or is out of its bounds; the key is named.
    """

    def __post_init__(self) -> None:
        self.prepare()
        self.fit_fields(struct_fields(type(self)))
        self.check()

    def fit_fields(self, fields: Mapping[str, Type]) -> None:
        """Replace each of ``fields`` by its value in the type it asks for."""
        for name, kind in fields.items():
            force_setattr(self, name, fit(getattr(self, name), kind, (name,)))

    def prepare(self) -> None:
        """Look at the raw values, before they are checked against their types."""

    def check(self) -> None:
        """Refuse what no single field can show."""
