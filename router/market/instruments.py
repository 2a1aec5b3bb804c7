"""Reads ``instruments.toml``: what may be traded and in which steps; a mistake stops the start, naming the
key.

It also guesses which symbol a misspelt one was meant to be. This module must not know quotes, feeds or
orders.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

from router.domain.market import Instrument
from router.errors import ConfigError
from router.settings import decimal_from, display_path, toml_table, unknown_key_error

_SYMBOL = re.compile(r"([^\s/:]+)/([^\s/:]+)(:[^\s/:]+)?")
_STEPS: Final = ("tick_size", "lot_size", "min_quantity", "max_quantity")
_NUMBERS: Final = (*_STEPS, "min_notional")
_REQUIRED: Final = ("base", "quote", *_NUMBERS)
_KNOWN: Final = (*_REQUIRED, "tradable")
_LIKENESS = 0.75
_LONGEST_SYMBOL = 40


def load_instruments(path: Path) -> dict[str, Instrument]:
    """Return the instruments in the file at ``path`` by symbol.

    Raises:
        ConfigError: the file or one of its keys is wrong; the message names both.
    """
    return {symbol: _instrument(path, symbol, table) for symbol, table in toml_table(path).items()}


def likely_symbol(text: object, symbols: Iterable[str]) -> str | None:
    """Return the one of ``symbols`` that ``text`` was probably meant to be, or None.

    "BTC-USDT", "BTCUSDT", "btc/usdt" and "BTC/USDTT" all mean "BTC/USDT".
    """
    if not isinstance(text, str) or len(text) > _LONGEST_SYMBOL:
        return None
    by_letters = {_letters(symbol): symbol for symbol in sorted(symbols, reverse=True)}
    near = difflib.get_close_matches(_letters(text), by_letters, n=1, cutoff=_LIKENESS)
    return by_letters[near[0]] if near else None


def _letters(symbol: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", symbol.upper())


def _instrument(path: Path, symbol: str, table: object) -> Instrument:
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise _error(path, symbol, "", 'must be a symbol like "BTC/USD"')
    if not isinstance(table, Mapping):
        raise _error(path, symbol, "", "must be a table")
    for key in table:
        if key not in _KNOWN:
            raise unknown_key_error(path, f'"{symbol}"', key, _KNOWN)
    for key in _REQUIRED:
        if key not in table:
            raise _error(path, symbol, key, "is missing")
    for key, expected in (("base", match[1]), ("quote", match[2])):
        if table[key] != expected:
            raise _error(path, symbol, key, f'contradicts the symbol: must be "{expected}"')
    numbers = {key: _number(path, symbol, key, table[key]) for key in _NUMBERS}
    if numbers["max_quantity"] < numbers["min_quantity"]:
        raise _error(path, symbol, "max_quantity", "must not be below min_quantity")
    tradable = table.get("tradable", True)
    if not isinstance(tradable, bool):
        raise _error(path, symbol, "tradable", "must be true or false")
    return Instrument(symbol=symbol, base=match[1], quote=match[2], tradable=tradable, **numbers)


def _number(path: Path, symbol: str, key: str, value: object) -> Decimal:
    try:
        number = decimal_from(value)
    except ValueError as error:
        raise _error(path, symbol, key, f"must be a number; {value!r} is {error}") from None
    if number < 0 or (number == 0 and key in _STEPS):
        bound = "above 0" if key in _STEPS else "at least 0"
        raise _error(path, symbol, key, f"must be a number {bound}; found {number}")
    return number


def _error(path: Path, symbol: str, key: str, problem: str) -> ConfigError:
    where = f'"{symbol}".{key}' if key else f'"{symbol}"'
    return ConfigError(f"{display_path(path)}: {where} {problem}")
