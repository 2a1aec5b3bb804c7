"""Putting the settings together: file < environment < command line, each value knowing where it came from.

The only module of the package that reads the process environment. It must not know what any setting is for.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect as types

from router.errors import ConfigError
from router.settings.fit import MisfitError, fit, struct_fields
from router.settings.schema import Sections, Settings, default_folder
from router.settings.toml import (
    CREDENTIALS_BELONG_ELSEWHERE,
    display_path,
    dotted,
    not_a_known_key,
    secret_keys,
    toml_table,
)
from router.settings.words import bare, shown

_PREFIX: Final = "ROUTER__"
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_PLAIN = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_HOME: Final = ("execution", "home")
_ANY: Final = types.AnyType()
_TABLES: Final = (types.StructType, types.DictType)
_Tree = dict[str, Any]
_Path = tuple[str, ...]


def load_settings(
    config: str | Path | Settings | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings in ``config``, overlaid by the environment, overlaid by ``overrides``.

    Args:
        config: a TOML file. None: ``config/config.toml`` here, else the shipped one. Settings
            are taken as they are: the environment does not count again.
        environ: the process environment unless given. ``ROUTER__SECTION__KEY=value`` sets a key, a further
            ``__`` goes into its table; ``ROUTER_HOME`` sets execution.home unless that has its own.
            Lists are written with commas (URLs: with spaces) or, like tables, as in TOML.
        overrides: "section.key" → value; text is read like an environment variable's.

    Raises:
        ConfigError: a file, key or value is wrong; the file or variable, the dotted key, what was found and
            what is expected are named.
    """
    if isinstance(config, Settings):
        if not overrides:
            return config
        source, layers = config.source, _Layers(_as_tree(config), config.origins, "settings")
    else:
        source = _config_file(config)
        tree = toml_table(source)
        layers = _Layers(tree, _file_origins(tree), display_path(source))
        for name, (path, text) in _from_environment(os.environ if environ is None else environ).items():
            layers.put(path, text, f"env {name}")
    for key, value in (overrides or {}).items():
        layers.put(tuple(part.strip('"') for part in key.split(".")), value, "override")
    return layers.settings(source)


class _Layers:
    """A tree of raw values being overlaid, with the origin of each."""

    def __init__(self, tree: _Tree, origins: Mapping[str, str], base: str) -> None:
        self._tree = tree
        self._base = base
        self._base_origins = origins
        self._set: dict[_Path, str] = {}

    def put(self, path: _Path, value: object, origin: str) -> None:
        """Set the value at ``path``; text becomes what its key asks for where that is not text itself."""
        try:
            if self._put(path, value):
                self._set[path] = origin
        except MisfitError as misfit:
            raise ConfigError(f"{_place(origin)}: {misfit}") from None

    def _put(self, path: _Path, value: object) -> bool:
        """Return whether there was a table to put it into; if not, the layer below is what is wrong."""
        for secret in secret_keys(_nested(path, value)):
            raise MisfitError(secret, CREDENTIALS_BELONG_ELSEWHERE)
        if len(path) < 2:
            raise MisfitError(path, 'is not one setting; name it "section.key", as a variable ROUTER__SECTION__KEY')
        parent = self._tree
        for depth, part in enumerate(path[:-1], start=1):
            kind = _kind_at(path[:depth])
            if kind is not None and not isinstance(kind, _TABLES):
                raise MisfitError(path, f"is not a known key; {dotted(path[:depth])} is not a table")
            parent = parent.setdefault(part, _default_table(path[:depth]))
            if not isinstance(parent, dict):
                return False
        parent[path[-1]] = _meant(value, _kind_at(path), path)
        return True

    def settings(self, source: Path | None) -> Settings:
        """Return the checked settings."""
        try:
            _refuse_unknown(self._tree)
            sections: dict[str, Any] = {
                name: fit(self._tree.get(name, {}), kind, (name,)) for name, kind in struct_fields(Sections).items()
            }
        except MisfitError as misfit:
            raise self._located(misfit) from None
        return Settings(**sections, source=source, origins=self._origins())

    def _located(self, misfit: MisfitError) -> ConfigError:
        """The complaint, with the origin of the value it is about in front."""
        setters = [path for path in self._set if all(a == b for a, b in zip(path, misfit.path, strict=False))]
        place = _place(self._set[max(setters, key=len)]) if setters else self._base
        return ConfigError(f"{place}: {misfit}")

    def _origins(self) -> dict[str, str]:
        keys = [f"{name}.{key}" for name, kind in struct_fields(Sections).items() for key in _keys(kind)]
        set_later = {dotted(path): origin for path, origin in self._set.items()}
        return dict.fromkeys(keys, "default") | dict(self._base_origins) | set_later


def _place(origin: str) -> str:
    return f"environment variable {origin[4:]}" if origin.startswith("env ") else origin


def _file_origins(tree: _Tree) -> dict[str, str]:
    return {
        dotted((section, key)): "file" for section, table in tree.items() if isinstance(table, dict) for key in table
    }


def _config_file(config: str | Path | None) -> Path:
    if config is None:
        path = default_folder() / "config.toml"
        if not path.is_file():
            raise ConfigError(f"{display_path(path)}: no such file; name one with --config")
        return path
    return Path(config).expanduser().absolute()


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[_Path, str]]:
    """Return variable → (path, text), ROUTER_HOME first so that a more exact variable wins over it."""
    found: dict[str, tuple[_Path, str]] = {}
    if home := environ.get("ROUTER_HOME"):
        found["ROUTER_HOME"] = (_HOME, home)
    for name in sorted(environ):
        if name.startswith(_PREFIX):
            found[name] = (_written_path(name.removeprefix(_PREFIX).split("__")), environ[name])
    return found


def _written_path(parts: list[str]) -> _Path:
    """Keys are lower case and words of a fixed set in any case; other names (currencies, symbols) stay as written."""
    path: list[str] = []
    for part in parts:
        above = _kind_at(tuple(path))
        names = above.key_type if isinstance(above, types.DictType) else None
        words = {str(word).lower(): str(word) for word in names.values} if isinstance(names, types.LiteralType) else {}
        path.append(words.get(part.lower(), part) if names is not None else part.lower())
    return tuple(path)


def _keys(kind: types.Type) -> list[str]:
    """Return the keys of a section; one whose keys are names that a user chose has none."""
    return list(struct_fields(kind.cls)) if isinstance(kind, types.StructType) else []


def _refuse_unknown(tree: _Tree) -> None:
    """Refuse sections and keys that do not exist, looking for the likely one in every section."""
    sections = {name: _keys(kind) for name, kind in struct_fields(Sections).items()}
    everywhere = {key: f"{name}.{key}" for name, keys in sections.items() for key in keys}
    for section, table in tree.items():
        if section not in sections:
            raise MisfitError((section,), not_a_known_key(section, {name: name for name in sections}, everywhere))
        if not isinstance(table, Mapping):
            raise MisfitError((section,), f"must be a table; found {shown(table, _ANY)}")
        for key in table if sections[section] else ():
            if key not in sections[section]:
                here = {name: f"{section}.{name}" for name in sections[section]}
                raise MisfitError((section, key), not_a_known_key(key, here, everywhere))


def _kind_at(path: _Path) -> types.Type | None:
    """Return the type of the setting at ``path``, None where there is none."""
    kind: types.Type | None = types.type_info(Sections)
    for part in path:
        if isinstance(kind, types.StructType):
            kind = struct_fields(kind.cls).get(part)
        else:
            kind = kind.value_type if isinstance(kind, types.DictType) else None
    return kind


def _meant(value: object, kind: types.Type | None, path: _Path) -> object:
    """Return what an environment variable's or command line's text means for a key of this ``kind``."""
    if not isinstance(value, str):
        return os.fspath(value) if isinstance(value, os.PathLike) else value
    meant: object = value
    match bare(kind.types[0] if isinstance(kind, types.UnionType) else kind) if kind else None:
        case types.IntType() if _WHOLE.fullmatch(value):
            meant = int(value)
        case types.FloatType() if _PLAIN.fullmatch(value):
            meant = Decimal(value)
        case types.VarTupleType() if not value.lstrip().startswith("["):
            meant = value.split() if "://" in value else [part for part in re.split(r"\s*,\s*", value) if part]
        case types.VarTupleType() | types.DictType() | types.StructType():
            try:
                meant = tomllib.loads(f"value = {value}", parse_float=Decimal)["value"]
            except (ValueError, ArithmeticError):
                raise MisfitError(path, "must be a list [ … ] or a table { … } as in TOML") from None
    return meant


def _nested(path: _Path, value: object) -> _Tree:
    tree: Any = value
    for part in reversed(path):
        tree = {part: tree}
    return tree if isinstance(tree, dict) else {}


def _default_table(path: _Path) -> _Tree:
    """A fresh copy of the default table at ``path``, so that setting one entry keeps the others."""
    node: Any = Sections()
    for part in path:
        node = node.get(part) if isinstance(node, dict) else getattr(node, part, None)
    return dict(node) if isinstance(node, dict) else {}


def _as_tree(settings: Settings) -> _Tree:
    """The settings as raw values again."""
    return {name: _raw(getattr(settings, name)) for name in struct_fields(Sections)}


def _raw(value: Any) -> Any:
    match value:
        case msgspec.Struct():
            return {key: _raw(item) for key, item in msgspec.structs.asdict(value).items()}
        case dict():
            return {key: _raw(item) for key, item in value.items()}
        case _:
            return value
