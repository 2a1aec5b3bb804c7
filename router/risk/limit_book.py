"""The limits in force: the files' and, over them, what operators have set; replaced as a whole, never changed in part.

A value that an operator has set counts, over restarts too, until the file's own value for that limit changes. This
module must not know orders, or how a change is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Protocol

from router.errors import ConfigError
from router.risk.limit_keys import BASE_CURRENCY, FIXED_RATES, Key, Value, judged, key_from, text_of, typed
from router.risk.limits import LiveRiskLimits, file_values, limits_from, overlaid, require_within_account
from router.settings import dotted

FILE: Final = "file"
"""What an operator sets a limit to that the files shall tell again."""
_OPERATOR: Final = "risk set"
_AT_START: Final = (*BASE_CURRENCY, FIXED_RATES)
"""What every account is valued by; nothing changes it while the router runs."""


class Standing(Protocol):
    """Who keeps what operators have set, and what the files said last."""

    overrides: dict[str, str]
    filed: dict[str, str]

    def set_override(self, key: str, old: str | None, new: str | None, *, operator: str, reason: str) -> None: ...

    def limits_read(self, filed: Mapping[str, str], *, reason: str = ...) -> list[str]: ...


class LimitBook:
    """Reads, sets and re-reads limits.

    Args:
        files: the base file, then the preset.
        strategies: that are registered.
        standing: keeps the changes.

    Raises:
        ConfigError: a file is wrong.
    """

    def __init__(self, files: list[Path], strategies: Collection[str], standing: Standing) -> None:
        self._files = files
        self._strategies = strategies
        self._standing = standing
        self._filed = file_values(files, strategies)
        self.current: LiveRiskLimits = limits_from(self._filed, files[0])
        """The limits in force."""

    def start(self) -> None:
        """Let what operators have set count again, as far as the files have not changed since; to be called once the
        journal is known."""
        self._standing.limits_read(_flat(self._filed))
        self.current = self._in_force(self._filed)

    def set(self, text: str, value: str, *, operator: str, reason: str) -> tuple[str | None, str]:
        """Set the limit ``text`` names; returns its old and its new value. ``FILE`` lets the files' value count again.

        Raises:
            ConfigError: there is no such limit, or it cannot be that; nothing has changed.
            ExecutionPipelineError: operator or reason are not to be had.
        """
        key = key_from(text, _OPERATOR)
        if key[0] in _AT_START:
            raise ConfigError(f"{_OPERATOR}: {dotted(key)} is read at the start only: change it in a file, and restart")
        values = self._values(self._filed)
        if value.strip().lower() == FILE:
            return self._take_back(key, values, operator=operator, reason=reason)
        new = judged(key, typed(key, value), _OPERATOR, self._strategies)
        require_within_account({**values, key: new}, key, _OPERATOR)
        old = text_of(values[key]) if key in values else None
        self._standing.set_override(dotted(key), old, text_of(new), operator=operator, reason=reason)
        self.current = self._in_force(self._filed)
        return old, text_of(new)

    def _take_back(
        self, key: Key, values: Mapping[Key, Value], *, operator: str, reason: str
    ) -> tuple[str | None, str]:
        name = dotted(key)
        if name not in self._standing.overrides:
            there_are = ", ".join(self._standing.overrides) or "none"
            raise ConfigError(f"{_OPERATOR}: {name} was not set by an operator; of those there are {there_are}")
        old = text_of(values[key]) if key in values else None
        self._standing.set_override(name, old, None, operator=operator, reason=reason)
        self.current = self._in_force(self._filed)
        return old, text_of(self._filed[key]) if key in self._filed else "not limited"

    def reload(self, reason: str) -> dict[str, tuple[str | None, str | None]]:
        """Read the files again, all or nothing; returns old and new value of each limit that has changed, by key.

        Raises:
            ConfigError: a file is wrong; nothing has changed.
        """
        filed = file_values(self._files, self._strategies)
        limits_from(filed, self._files[0])
        if _fixed(filed) != _fixed(self._filed):
            raise ConfigError(f"{self._files[0]}: base_currency and fixed_rates are read at the start only: restart")
        before = self.flat()
        self._standing.limits_read(_flat(filed), reason=reason)
        self._filed = filed
        self.current = self._in_force(filed)
        after = self.flat()
        keys = (key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key))
        return {key: (before.get(key), after.get(key)) for key in keys}

    @property
    def overrides(self) -> dict[str, str]:
        """The limits in force that operators have set, by dotted key."""
        return {key: value for key, value in self.flat().items() if key in self._standing.overrides}

    def flat(self) -> dict[str, str]:
        """Return every limit in force by its dotted key, as text."""
        return _flat(self._values(self._filed))

    def _values(self, filed: Mapping[Key, Value]) -> dict[Key, Value]:
        return overlaid(filed, self._standing.overrides, self._strategies)

    def _in_force(self, filed: Mapping[Key, Value]) -> LiveRiskLimits:
        return limits_from(self._values(filed), self._files[0])


def _fixed(values: Mapping[Key, Value]) -> dict[Key, Value]:
    return {key: value for key, value in values.items() if key[0] in _AT_START}


def _flat(values: Mapping[Key, Value]) -> dict[str, str]:
    return {dotted(key): text_of(value) for key, value in values.items()}
