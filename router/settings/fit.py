"""Making one raw value fit the type its key asks for, or saying in words why it does not.

msgspec's own conversion names neither the key of a table nor the value it found; a person who edits a file
at night needs both. This module must not know the settings themselves, nor where a value came from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect as types

from router.errors import ConfigError
from router.settings.toml import dotted, not_a_known_key
from router.settings.words import OFF, bare, expected, extra, limits, shown

_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_MAX_EXPONENT = 30  # 10^±30 is beyond any price, quantity or balance anybody means
_Path = tuple[str, ...]


class MisfitError(ConfigError):
    """A value is wrong; ``path`` leads to its key, ``problem`` says what is wrong with it."""

    def __init__(self, path: _Path, problem: str) -> None:
        super().__init__(f"{dotted(path)} {problem}")
        self.path = path
        self.problem = problem

    def under(self, *above: str) -> MisfitError:
        """Return the same complaint seen from further up."""
        return MisfitError((*above, *self.path), self.problem)


class UnknownKeyError(MisfitError):
    """A table holds a key that is not one of ``known``."""

    def __init__(self, path: _Path, known: Iterable[str]) -> None:
        self.known = tuple(known)
        beside = {name: dotted((*path[:-1], name)) for name in self.known}
        super().__init__(path, not_a_known_key(path[-1], beside))

    def under(self, *above: str) -> UnknownKeyError:
        """Return the same complaint seen from further up; the key it suggests moves along."""
        return UnknownKeyError((*above, *self.path), self.known)


@cache
def struct_fields(cls: type[msgspec.Struct]) -> dict[str, types.Type]:
    """Return the type of every field of ``cls``."""
    info = types.type_info(cls)
    assert isinstance(info, types.StructType)
    return {field.encode_name: field.type for field in info.fields}


def decimal_from(value: object) -> Decimal:
    """Return ``value`` (int, float, Decimal or plain decimal text) exactly as it was written.

    Raises:
        ValueError: it is no number, not finite, or its magnitude is beyond 10^±30.
    """
    written = repr(value) if isinstance(value, float) else str(value)
    if isinstance(value, bool) or (isinstance(value, str) and not _DECIMAL.fullmatch(written)):
        raise ValueError("not a number")
    try:
        number = Decimal(written)
    except InvalidOperation:
        raise ValueError("not a number") from None
    if not number.is_finite() or (number and abs(number.adjusted()) > _MAX_EXPONENT):
        raise ValueError("not finite, or beyond 10^±30")
    return number


def fit(value: object, kind: types.Type, path: _Path = ()) -> Any:
    """Return ``value`` as the type ``kind`` describes; what is not set stays so.

    Raises:
        MisfitError: it does not fit; tables below ``path`` are followed to the exact key.
    """
    if value is msgspec.UNSET:
        return value
    match kind:
        case types.StructType():
            return _fit_struct(value, kind, path)
        case types.DictType():
            return _fit_table(value, kind, path)
        case types.VarTupleType() if isinstance(value, list | tuple):
            return tuple(fit(item, kind.item_type, path) for item in value)
        case types.UnionType():
            return _fit_optional(value, kind, path)
        case _:
            return _fit_scalar(value, kind, path)


def _fit_struct(value: object, kind: types.StructType, path: _Path) -> msgspec.Struct:
    if isinstance(value, kind.cls):
        return value
    if not isinstance(value, Mapping):
        raise _misfit(value, kind, path)
    known = struct_fields(kind.cls)
    for key in value:
        if key not in known:
            raise UnknownKeyError((*path, str(key)), known)
    for field in kind.fields:
        if field.required and field.encode_name not in value:
            raise MisfitError((*path, field.encode_name), "is missing")
    try:
        return kind.cls(**value)
    except MisfitError as misfit:
        raise misfit.under(*path) from None


def _fit_table(value: object, kind: types.DictType, path: _Path) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _misfit(value, kind, path)
    fitted = {}
    for key, item in value.items():
        here = (*path, str(key))
        try:
            name = fit(key, kind.key_type, here)
        except MisfitError:
            if isinstance(kind.key_type, types.LiteralType):
                raise UnknownKeyError(here, map(str, kind.key_type.values)) from None
            raise MisfitError(here, f"must be named by {expected(kind.key_type)}") from None
        fitted[name] = fit(item, kind.value_type, here)
    return fitted


def _fit_optional(value: object, kind: types.UnionType, path: _Path) -> Any:
    if value is None or (value == OFF and extra(kind).get("off")):
        return None
    try:
        return fit(value, kind.types[0], path)
    except MisfitError:
        raise _misfit(value, kind, path) from None


def _fit_scalar(value: object, kind: types.Type, path: _Path) -> object:
    match bare(kind), value:
        case types.LiteralType(values=values), str() if value in values:
            return str(value)
        case types.StrType(pattern=pattern), str() if re.search(pattern or "", value) and value[-1:] != "\n":
            return str(value)  # "$" alone would let a last line end through
        case types.IntType(), int() if not isinstance(value, bool) and _inside(Decimal(value), kind):
            return value
        case types.FloatType(), int() | float() | Decimal() if not isinstance(value, bool):
            number = _float(value)
            if math.isfinite(number) and _inside(Decimal(repr(number)), kind):
                return number
        case types.DecimalType(), int() | float() | Decimal() | str():
            exact = _decimal(value)
            if exact is not None and _inside(exact, kind):
                return exact
    raise _misfit(value, kind, path)


def _float(value: float | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond 1e308
        return math.inf


def _decimal(value: object) -> Decimal | None:
    try:
        return decimal_from(value)
    except ValueError:
        return None


def _inside(number: Decimal, kind: types.Type) -> bool:
    bounds = limits(kind)
    return not (
        ("gt" in bounds and number <= bounds["gt"])
        or ("ge" in bounds and number < bounds["ge"])
        or ("lt" in bounds and number >= bounds["lt"])
        or ("le" in bounds and number > bounds["le"])
    )


def _misfit(value: object, kind: types.Type, path: _Path) -> MisfitError:
    return MisfitError(path, f"must be {expected(kind)}; found {shown(value, kind)}")
