"""The portfolio's limits, loaded whole or not at all: a missing limit refuses to start (default deny, P06).

``risk_limits.toml`` first, then the preset's keys over it, then what operators have set. Decimals are exact; quantities
are by symbol with an optional ``default``; fractions are of equity (spec §9). An environment's table overlays the
account of that environment, a strategy's limits what that strategy itself holds, works and loses. Nothing here can be
changed from outside (``controls.md`` A11). This module must not know orders or positions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from router.domain.order import ZERO
from router.errors import ConfigError, JournalError
from router.journal.audit import last_account
from router.journal.statistics import limits_set
from router.risk.limit_keys import (
    DEFAULT,
    FIXED_RATES,
    LIMITS,
    OWNERS,
    Key,
    Value,
    beyond_the_account,
    contradictions,
    judged,
    key_from,
    text_of,
    typed,
    values_of,
)
from router.settings import Settings, dotted, load_settings, toml_table

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_AT_PAR: Final = ("USD", "USDT")
"""One counts as the other where neither a quote nor ``fixed_rates`` tells better."""
_OPERATOR: Final = "risk set"


class StrategyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one strategy may hold, work and lose in an environment; None: only the account's limit counts."""

    max_order_notional: Decimal | None = None
    max_order_quantity: Mapping[str, Decimal] = _NONE
    max_position_size: Mapping[str, Decimal] = _NONE
    max_exposure: Decimal | None = None
    max_drawdown: Decimal | None = None
    max_daily_loss: Decimal | None = None
    max_concentration: Decimal | None = None
    max_open_orders: int | None = None

    def for_symbol(self, table: str, symbol: str) -> Decimal | None:
        """Return the limit of ``table`` for ``symbol``, its default, or None."""
        return _by_symbol(getattr(self, table), symbol)


class LiveRiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Every limit of the portfolio.

    ``max_order_notional`` is in ``base_currency``; ``max_order_quantity`` and ``max_position_size`` in base units by
    symbol; ``max_exposure``, ``max_drawdown``, ``max_daily_loss`` and ``max_concentration`` are fractions of equity;
    ``fixed_rates`` is the value of one unit of a currency in ``base_currency`` where no quote tells it.
    ``environments`` holds what differs in an environment's account, ``strategies`` what a strategy may do besides.
    ``current_exposure`` and ``current_drawdown`` are fractions too, as of the journal's last fill.
    """

    base_currency: str
    max_order_notional: Decimal
    max_order_quantity: Mapping[str, Decimal]
    max_position_size: Mapping[str, Decimal]
    max_exposure: Decimal
    max_drawdown: Decimal
    max_daily_loss: Decimal
    max_concentration: Decimal
    max_open_orders: int
    fixed_rates: Mapping[str, Decimal]
    environments: Mapping[str, LiveRiskLimits] = _NONE
    strategies: Mapping[str, StrategyLimits] = _NONE
    current_exposure: Decimal = ZERO
    current_drawdown: Decimal = ZERO

    @classmethod
    def load(cls, path: str | Path | None = None) -> LiveRiskLimits:
        """Load the limits from ``path``, or as the configuration says (file and preset) and operators have set them.

        Raises:
            ConfigError: a file is missing or malformed, a key unknown or missing, a value out of its bounds;
                file and key are named.
        """
        settings = load_settings()
        journal = settings.home_path / "journal.db"
        if path is not None:
            limits = read_limits([Path(path)])
        else:
            filed = file_values(limit_files(settings), settings.strategies)
            limits = limits_from(overlaid(filed, _overrides(journal), settings.strategies), limit_files(settings)[0])
        account = last_account(journal)
        if account is None:
            return limits
        peak = account.peak_equity
        drawdown = (peak - account.equity) / peak if peak > 0 else ZERO
        return msgspec.structs.replace(limits, current_exposure=account.exposure, current_drawdown=drawdown)

    def __str__(self) -> str:
        """One line a limit in force; of an environment only what differs."""
        lines = _texts(self)
        for kind, owners in (("environments", self.environments), ("strategies", self.strategies)):
            for name, limits in owners.items():
                own = ((key, text) for key, text in _texts(limits).items() if text != _texts(self).get(key))
                lines |= {(kind, name, *key): text for key, text in own if not key[0].startswith("current_")}
        return "\n".join(f"{dotted(key)} = {text}" for key, text in lines.items())

    def for_environment(self, name: str) -> LiveRiskLimits:
        """Return the limits of an environment's account."""
        return self.environments.get(name, self)

    def for_symbol(self, table: str, symbol: str) -> Decimal | None:
        """Return the limit of ``table`` for ``symbol``, its default, or None: then the symbol may not trade."""
        return _by_symbol(getattr(self, table), symbol)


def limit_files(settings: Settings) -> list[Path]:
    """Return the files that make up the limits: the base file, then the preset if one is chosen."""
    preset = settings.preset_path
    return [settings.risk_limits_path] if preset is None else [settings.risk_limits_path, preset]


def read_limits(files: list[Path], strategies: Collection[str] | None = None) -> LiveRiskLimits:
    """Overlay ``files`` in order (tables key by key) and return the limits.

    Args:
        files: the base file first.
        strategies: that are registered; None: any.

    Raises:
        ConfigError: naming file and key.
    """
    return limits_from(file_values(files, strategies), files[0])


def file_values(files: list[Path], strategies: Collection[str] | None = None) -> dict[Key, Value]:
    """Return every limit of ``files`` by its key, later ones over earlier.

    A preset must not contradict itself, and no strategy may have more than its account, whichever file says so.

    Raises:
        ConfigError: naming file and key.
    """
    values: dict[Key, Value] = {}
    origin: dict[Key, Path] = {}
    for number, file in enumerate(files):
        found = values_of(toml_table(file), str(file), strategies)
        wrong = next(contradictions(found), None) if number else None
        if wrong is not None:
            raise ConfigError(f"{file}: {wrong}")
        values.update(found)
        origin.update(dict.fromkeys(found, file))
    for key in values:
        require_within_account(values, key, f"{origin[key]}", lambda other: f" in {origin[other]}")
    return values


def require_within_account(
    values: Mapping[Key, Value], key: Key, origin: str, place: Callable[[Key], str] = lambda _: ""
) -> None:
    """Refuse a strategy's limit that is above its account's own wherever it trades.

    Raises:
        ConfigError: naming both, with ``origin`` and the ``place`` of the account's.
    """
    other = beyond_the_account(values, key)
    if other is not None:
        raise ConfigError(
            f"{origin}: {dotted(key)} {text_of(values[key])} is above the account's own {dotted(other)} "
            f"{text_of(values[other])}{place(other)}: it would never count"
        )


def overlaid(
    values: Mapping[Key, Value], overrides: Mapping[str, str], strategies: Collection[str] | None = None
) -> dict[Key, Value]:
    """Return ``values`` with what operators have set, by dotted key; what no longer can be is left out.

    A strategy that is not registered any more has no limits.
    """
    found = dict(values)
    for text, value in overrides.items():
        try:
            key = key_from(text, _OPERATOR)
            found[key] = judged(key, typed(key, value), _OPERATOR, strategies)
        except ConfigError:
            continue
    return found


def limits_from(values: Mapping[Key, Value], file: Path) -> LiveRiskLimits:
    """Return the limits that ``values`` make up; raises ConfigError, naming ``file``, when one is missing."""
    account = _fields(values, ())
    known = ("base_currency", *LIMITS)
    missing = sorted(name for name in known if name not in account)
    if missing:
        raise ConfigError(
            f"{file}: {', '.join(missing)} missing. Every limit must be stated; without it no order may leave."
        )
    if account["base_currency"] in _AT_PAR:
        account[FIXED_RATES] = dict.fromkeys(_AT_PAR, Decimal(1)) | account.get(FIXED_RATES, {})
    strategies = {
        name: StrategyLimits(**_frozen(_fields(values, ("strategies", name)))) for name in _owners(values, "strategies")
    }
    common: dict[str, Any] = {"strategies": MappingProxyType(strategies)}
    environments = {
        name: LiveRiskLimits(**_frozen(_merged(account, _fields(values, ("environments", name)))), **common)
        for name in _owners(values, "environments")
    }
    return LiveRiskLimits(**_frozen(_merged(account, {})), environments=MappingProxyType(environments), **common)


def _owners(values: Mapping[Key, Value], kind: str) -> list[str]:
    return sorted({key[1] for key in values if key[0] == kind})


def _fields(values: Mapping[Key, Value], where: Key) -> dict[str, Any]:
    """Return the limits at ``where`` by name; those by symbol as tables."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        own = key[len(where) :] if key[: len(where)] == where else ()
        if not own or (not where and own[0] in ("environments", "strategies")):
            continue
        if len(own) == 1:
            found[own[0]] = value
        else:
            found.setdefault(own[0], {})[own[1]] = value
    return found


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = {FIXED_RATES: {}, **base}
    for name, value in over.items():
        merged[name] = {**merged.get(name, {}), **value} if isinstance(value, dict) else value
    return merged


def _frozen(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: MappingProxyType(value) if isinstance(value, dict) else value for name, value in fields.items()}


def _texts(limits: LiveRiskLimits | StrategyLimits) -> dict[Key, str]:
    """Return the values by key, without other owners' tables."""
    found: dict[Key, str] = {}
    for name, value in msgspec.structs.asdict(limits).items():
        if isinstance(value, Mapping) and name not in OWNERS:
            found |= {(name, each): text_of(amount) for each, amount in value.items()}
        elif value is not None and name not in OWNERS:
            found[name,] = text_of(value)
    return found


def _by_symbol(table: Mapping[str, Decimal], symbol: str) -> Decimal | None:
    return table.get(symbol, table.get(DEFAULT))


def _overrides(journal: Path) -> dict[str, str]:
    """Return what operators have set; none without a journal."""
    if not journal.exists():
        return {}
    try:
        return limits_set(journal)
    except JournalError as error:
        raise ConfigError(f"{journal}: the limits that operators have set cannot be read: {error}") from None
