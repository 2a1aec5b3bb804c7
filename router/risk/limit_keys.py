"""The limits one by one: their keys as dotted paths, what each may be, and how a file's table becomes a list of them.

A file and an operator's command are judged by the same rules. Quantities are by symbol, with an optional ``default``;
``environments.NAME`` and ``strategies.NAME`` hold any of the limits. This module must not know orders or positions,
nor which of two values for the same limit counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from router.domain.enums import Environment
from router.domain.intent import exact
from router.errors import ConfigError
from router.settings import dotted, unknown_key_error

Key: TypeAlias = tuple[str, ...]
"""``("environments", "testnet", "max_position_size", "BTC/USD")``."""
Value: TypeAlias = Decimal | int | str


class Kind(NamedTuple):
    """What a limit may be: above 0, and at most ``most``; beyond that it limits nothing anybody means."""

    most: Decimal
    by_symbol: bool = False
    whole: bool = False


LIMITS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "max_order_notional": Kind(Decimal(10**12)),
        "max_order_quantity": Kind(Decimal(10**12), by_symbol=True),
        "max_position_size": Kind(Decimal(10**12), by_symbol=True),
        "max_exposure": Kind(Decimal(1000)),
        "max_drawdown": Kind(Decimal(1)),
        "max_daily_loss": Kind(Decimal(1)),
        "max_concentration": Kind(Decimal(1000)),
        "max_open_orders": Kind(Decimal(1_000_000), whole=True),
    }
)
BASE_CURRENCY: Final = ("base_currency",)
FIXED_RATES: Final = "fixed_rates"
DEFAULT: Final = "default"
ENVIRONMENTS: Final = tuple(each.value for each in Environment if each is not Environment.LIVE)
OWNERS: Final = ("environments", "strategies")
_DECIMALS: Final = 18
"""More are no amount, and a number like 1e-999999999 has a text that no journal holds."""
_RATE: Final = Kind(Decimal(10**12))
_TOP: Final = (*BASE_CURRENCY, *LIMITS, FIXED_RATES, *OWNERS)
_PARTS: Final = re.compile(r'(?:"([^"]+)"|([^."]+))(?:\.|$)')


def text_of(value: Value) -> str:
    """Return a value in its one form, so that "1.0" and "1" are no change."""
    if not isinstance(value, Decimal):
        return str(value)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def values_of(table: Mapping[str, object], origin: str, strategies: Collection[str] | None) -> dict[Key, Value]:
    """Return every limit in a file's ``table`` by its key.

    Args:
        table: as it was read.
        origin: the file, for complaints.
        strategies: that are registered; None: they are not looked at.

    Raises:
        ConfigError: naming file and key.
    """
    return {key: judged(key, raw, origin, strategies) for key, raw in _leaves(table, origin, strategies)}


def _leaves(
    table: Mapping[str, object], origin: str, strategies: Collection[str] | None
) -> Iterator[tuple[Key, object]]:
    """Yield every key of a file with its raw value; what is a table where none belongs is left to ``judged``."""
    for name, raw in table.items():
        if name in OWNERS:
            for owner, limits in _table((name,), raw, origin).items():
                _must_exist((name, owner), origin, strategies)
                for limit, value in _table((name, owner), limits, origin).items():
                    yield from _values((name, owner, limit), value, origin)
        else:
            yield from _values((name,), raw, origin)


def _values(key: Key, raw: object, origin: str) -> Iterator[tuple[Key, object]]:
    kind = LIMITS.get(key[-1])
    if key == (FIXED_RATES,) or (kind is not None and kind.by_symbol):
        for name, value in _table(key, raw, origin).items():
            yield (*key, name), value
    else:
        yield key, raw


def _table(key: Key, raw: object, origin: str) -> Mapping[str, object]:
    if not isinstance(raw, Mapping):
        example = {FIXED_RATES: 'by currency, e.g. { EUR = "1.08" }', **dict.fromkeys(OWNERS, "of tables by name")}
        of_limits = "of limits, e.g. { max_open_orders = 10 }"
        default = 'by symbol, e.g. { default = "1" }' if key[-1] in LIMITS else of_limits
        what = f"a table {example.get(key[0], default) if len(key) == 1 else default}"
        raise ConfigError(f"{origin}: {dotted(key)} must be {what}, not {raw!r}")
    return raw


def judged(key: Key, raw: object, origin: str, strategies: Collection[str] | None = None) -> Value:
    """Return what ``raw`` is worth as the value of ``key``.

    Raises:
        ConfigError: there is no such limit, or it cannot be that; ``origin`` and key are named.
    """
    if key == BASE_CURRENCY:
        if not isinstance(raw, str) or not raw:
            raise ConfigError(f'{origin}: base_currency must be a currency such as "USD", not {raw!r}')
        return raw
    where, limit = _split(key, origin, strategies)
    if where == () and limit[0] == FIXED_RATES:
        return _number(key, raw, origin, _RATE)
    return _number(key, raw, origin, LIMITS[limit[0]])


def _split(key: Key, origin: str, strategies: Collection[str] | None) -> tuple[Key, Key]:
    """Return whose limit it is (nobody's: the account's) and which one, by symbol where it is."""
    where, limit = owner_and_limit(key)
    if len(where) == 2:
        _must_exist(where, origin, strategies)
    if not limit:
        raise ConfigError(
            f"{origin}: {dotted(key)} is no limit but a table; name one in it, like {key[0]}.NAME.max_exposure"
        )
    names = LIMITS if where else _TOP
    if limit[0] not in names:
        raise unknown_key_error(origin, dotted(where), limit[0], names)
    named = limit[0] == FIXED_RATES or LIMITS[limit[0]].by_symbol
    if len(limit) != (2 if named else 1):
        what = f'{dotted((*where, limit[0]))}."BTC/USD"' if named else dotted((*where, limit[0]))
        raise ConfigError(f"{origin}: {dotted(key)} is no limit; name it {what}")
    if named and limit[0] in LIMITS and limit[1] != DEFAULT and "/" not in limit[1]:
        raise ConfigError(f'{origin}: {dotted(key)} must be named by a symbol like "BTC/USD", or default')
    return where, limit


def _must_exist(where: Key, origin: str, strategies: Collection[str] | None) -> None:
    """Refuse the limits of an environment or a strategy that nobody knows."""
    kind, name = where
    known = ENVIRONMENTS if kind == "environments" else strategies
    if known is None or name in known:
        return
    there_are = ", ".join(sorted(known)) or "none"
    if kind == "environments":
        raise ConfigError(f"{origin}: {dotted(where)} is no environment with an account; there are {there_are}")
    raise ConfigError(
        f"{origin}: {dotted(where)} is no registered strategy. Register it in config.toml: [{dotted(where)}]; "
        f"registered there: {there_are}"
    )


def owner_and_limit(key: Key) -> tuple[Key, Key]:
    """Return whose limit it is, ``("strategies", "maker")``, nothing for the account's, and the rest of its key."""
    return (key[:2], key[2:]) if key[0] in OWNERS else ((), key)


def _number(key: Key, raw: object, origin: str, kind: Kind) -> Value:
    if kind.whole:
        if isinstance(raw, bool) or not isinstance(raw, int) or raw < 1:
            raise ConfigError(f"{origin}: {dotted(key)} must be a whole number from 1, not {raw!r}")
        number: Value = raw
    else:
        number = exact(raw)
        if not isinstance(number, Decimal) or not number.is_finite() or number <= 0:
            raise ConfigError(f"{origin}: {dotted(key)} must be a number above 0, not {raw!r}")
        if -int(number.as_tuple().exponent) > _DECIMALS:
            raise ConfigError(f"{origin}: {dotted(key)} must have at most {_DECIMALS} decimals, not {raw!r}")
    assert not isinstance(number, str), "a limit is a number"
    if number > kind.most:
        raise ConfigError(f"{origin}: {dotted(key)} must be at most {kind.most:f}, not {raw!r}")
    return number


def key_from(text: str, origin: str) -> Key:
    """Return the key that a person typed: ``max_position_size.BTC/USD``, quoted or not.

    Raises:
        ConfigError: it is none.
    """
    parts, at = [], 0
    while at < len(text):
        part = _PARTS.match(text, at)
        if part is None:
            raise ConfigError(f"{origin}: {text!r:.100} is no key like max_exposure or environments.paper.max_exposure")
        parts.append(part[1] or part[2])
        at = part.end()
    if not parts or text.endswith("."):
        raise ConfigError(f"{origin}: {text!r:.100} is no key like max_exposure or environments.paper.max_exposure")
    return tuple(parts)


def typed(key: Key, text: str) -> object:
    """Return what a person typed as a file would say it: a whole number where one is wanted."""
    kind = LIMITS.get(key[-1])
    return int(text) if kind is not None and kind.whole and re.fullmatch(r"[0-9]{1,12}", text) else text


def contradictions(values: Mapping[Key, Value]) -> Iterator[str]:
    """Yield, for one file, each limit that another one in it makes meaningless; both keys are named."""
    for key in values:
        where, limit = owner_and_limit(key)
        for inner, outer, why in _WITHIN:
            other = (*where, outer, *limit[1:])
            if limit[0] == inner and other in values and _above(values[key], values[other]):
                yield f"{dotted(key)} {values[key]} contradicts {dotted(other)} {values[other]}: {why}"


_WITHIN: Final = (
    ("max_order_quantity", "max_position_size", "no position could take such an order"),
    ("max_concentration", "max_exposure", "what is in one asset is exposed"),
)


_NEVER_REACHED: Final = frozenset({"max_order_quantity", "max_order_notional", "max_open_orders"})
"""What no strategy reaches above its account's own limit. Positions and losses of strategies offset each other, so that
one may hold or lose more than the account does."""


def beyond_the_account(values: Mapping[Key, Value], key: Key) -> Key | None:
    """Return the account's limit that a strategy's limit ``key`` is above in every environment, or None."""
    where, limit = owner_and_limit(key)
    if not where or where[0] != "strategies" or limit[0] not in _NEVER_REACHED:
        return None
    counting = {found for name in ENVIRONMENTS for found in _counting(values, limit, name)}
    largest = max(counting, key=lambda each: Decimal(values[each]), default=None)
    return largest if largest is not None and _above(values[key], values[largest]) else None


def _counting(values: Mapping[Key, Value], limit: Key, environment: str) -> Iterator[Key]:
    """Yield the keys that count for ``limit`` in an environment's account: one, but many for a ``default``."""
    name, *symbol = limit
    if symbol == [DEFAULT]:
        yield from (key for key in values if key[-2:-1] == (name,) and key[0] != "strategies")
        return
    names = [limit, (name, DEFAULT)] if symbol else [limit]
    keys = (key for each in names for key in (("environments", environment, *each), each) if key in values)
    yield from islice(keys, 1)


def _above(value: Value, other: Value) -> bool:
    return Decimal(value) > Decimal(other)
