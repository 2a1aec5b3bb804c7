"""The portfolio's limits, loaded whole or not at all: a missing limit refuses to start (default deny, P06).

``risk_limits.toml`` first, then the preset's keys over it. Decimals are exact; quantities are tables by symbol
with an optional ``default``; fractions are of equity (spec §9). This module must not know orders or positions.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from router.domain.intent import exact
from router.domain.order import ZERO
from router.errors import ConfigError
from router.journal.audit import last_account
from router.settings import Settings, load_settings, toml_table, unknown_key_error

_TABLES = ("max_order_quantity", "max_position_size", "fixed_rates")
_OPTIONAL = frozenset({"fixed_rates"})
_AT_PAR = frozenset({"USD", "USDT"})
"""One counts as the other where neither a quote nor ``fixed_rates`` tells better."""


class LiveRiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Every limit of the portfolio.

    ``max_order_notional`` is in ``base_currency``; ``max_order_quantity`` and ``max_position_size`` in base units by
    symbol; ``max_exposure``, ``max_drawdown``, ``max_daily_loss`` and ``max_concentration`` are fractions of equity;
    ``fixed_rates`` is the value of one unit of a currency in ``base_currency`` where no quote tells it.
    ``current_exposure`` and ``current_drawdown`` are fractions too, as of the journal's last fill.
    """

    base_currency: str
    max_order_notional: Decimal
    max_order_quantity: dict[str, Decimal]
    max_position_size: dict[str, Decimal]
    max_exposure: Decimal
    max_drawdown: Decimal
    max_daily_loss: Decimal
    max_concentration: Decimal
    max_open_orders: int
    fixed_rates: dict[str, Decimal]
    current_exposure: Decimal = ZERO
    current_drawdown: Decimal = ZERO

    @classmethod
    def load(cls, path: str | Path | None = None) -> LiveRiskLimits:
        """Load the limits from ``path``, or as the configuration says (file and preset).

        Raises:
            ConfigError: a file is missing or malformed, a key unknown or missing, a value out of its bounds;
                file and key are named.
        """
        settings = load_settings()
        files = [Path(path)] if path is not None else limit_files(settings)
        limits = read_limits(files)
        account = last_account(settings.home_path / "journal.db")
        if account is None:
            return limits
        peak = account.peak_equity
        drawdown = (peak - account.equity) / peak if peak > 0 else ZERO
        return msgspec.structs.replace(limits, current_exposure=account.exposure, current_drawdown=drawdown)

    def for_symbol(self, table: str, symbol: str) -> Decimal | None:
        """Return the limit of ``table`` for ``symbol``, its default, or None: then the symbol may not trade."""
        values: dict[str, Decimal] = getattr(self, table)
        return values.get(symbol, values.get("default"))


def limit_files(settings: Settings) -> list[Path]:
    """Return the files that make up the limits: the base file, then the preset if one is chosen."""
    preset = settings.preset_path
    return [settings.risk_limits_path] if preset is None else [settings.risk_limits_path, preset]


def read_limits(files: list[Path]) -> LiveRiskLimits:
    """Overlay ``files`` in order (tables key by key) and return the limits; raises ConfigError."""
    known = set(LiveRiskLimits.__struct_fields__) - {"current_exposure", "current_drawdown"}
    values: dict[str, Any] = {}
    for file in files:
        for key, raw in toml_table(file).items():
            if key not in known:
                raise unknown_key_error(file, "", key, sorted(known))
            value = _value(file, key, raw)
            values[key] = values.get(key, {}) | value if isinstance(value, dict) else value
    missing = sorted(known - _OPTIONAL - set(values))
    if missing:
        raise ConfigError(
            f"{files[0]}: {', '.join(missing)} missing. Every limit must be stated; without it no order may leave."
        )
    values.setdefault("fixed_rates", {})
    if values["base_currency"] in _AT_PAR:
        values["fixed_rates"] = dict.fromkeys(_AT_PAR, Decimal(1)) | values["fixed_rates"]
    return LiveRiskLimits(**values)


def _value(file: Path, key: str, value: Any) -> Any:
    if key == "base_currency":
        if not isinstance(value, str) or not value:
            raise ConfigError(f'{file}: base_currency must be a currency such as "USD", not {value!r}')
        return value
    if key == "max_open_orders":
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{file}: max_open_orders must be a whole number from 1, not {value!r}")
        return value
    if key in _TABLES:
        return _table(file, key, value)
    return _positive(file, key, value)


def _table(file: Path, key: str, value: Any) -> dict[str, Decimal]:
    if not isinstance(value, dict):
        raise ConfigError(f'{file}: {key} must be a table by symbol, e.g. {{ default = "1" }}, not {value!r}')
    return {name: _positive(file, f'{key}."{name}"', number) for name, number in value.items()}


def _positive(file: Path, key: str, value: Any) -> Decimal:
    number = exact(value)
    if not isinstance(number, Decimal) or not number.is_finite() or number <= 0:
        raise ConfigError(f"{file}: {key} must be a number above 0, not {value!r}")
    return number
