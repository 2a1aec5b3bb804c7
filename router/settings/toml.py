"""Reading one TOML file exactly, and saying where a file is wrong.

Every configuration file of the package (settings, risk limits, instruments, presets) comes through here, so
that numbers stay exact, credentials are refused and mistakes are reported in one manner: file, key, what to
do. This module must not know which keys any file has.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from router.errors import ConfigError

CREDENTIALS_BELONG_ELSEWHERE: Final = (
    "looks like a credential; keys belong in the environment variables <VENUE>_TESTNET_API_KEY, "
    "<VENUE>_TESTNET_API_SECRET and <VENUE>_TESTNET_API_PASSPHRASE, never in configuration"
)
_SECRET_PARTS = (
    "apikey",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "privatekey",
    "accesskey",
    "credential",
)
_SECRET_WORDS = frozenset({"token", "tokens", "pwd", "mnemonic"})
_CHANNELS = ("alerts", "channels")  # its keys are names a user chose for alert channels
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_CURRENCY = re.compile(r"[A-Z0-9]{2,10}")
_AT_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")


def toml_table(path: Path) -> dict[str, object]:
    """Return the table in the file at ``path``; integers stay int, other numbers become exact Decimals.

    Raises:
        ConfigError: the file is missing, unreadable or not TOML (the line is named), or a key in it looks
            like a credential (the key is named, its value never is).
    """
    name = display_path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{name} is a folder; name the TOML file in it") from None
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is not UTF-8 text (byte {error.start})") from None
    try:
        table = tomllib.loads(text.replace("\r\n", "\n"), parse_float=_exact)
    except (ValueError, RecursionError) as error:
        raise _syntax_error(name, text, error) from None
    for where in secret_keys(table):
        raise ConfigError(f"{name}: {dotted(where)} {CREDENTIALS_BELONG_ELSEWHERE}")
    return table


def unknown_key_error(path: Path | str, where: str, key: str, known: Iterable[str]) -> ConfigError:
    """Return the error for ``key`` found in table ``where`` of ``path``, with the nearest known key.

    Args:
        path: the file, or a word for another origin ("environment variable ROUTER__X").
        where: dotted path of the table, "" for the top of the file.
        key: the key that is not known there; it is quoted where TOML would quote it.
        known: the keys that table may hold.
    """
    origin = display_path(path) if isinstance(path, Path) else path
    table = (where,) if where else ()
    candidates = {name: ".".join((*table, dotted((name,)))) for name in known}
    found = ".".join((*table, dotted((key,))))
    return ConfigError(f"{origin}: {found} {not_a_known_key(key, candidates)}")


def not_a_known_key(key: str, here: Mapping[str, str], elsewhere: Mapping[str, str] | None = None) -> str:
    """Return "is not a known key; did you mean …?", looking at the keys ``here`` before those ``elsewhere``.

    Both map a bare key to the path to show for it.
    """
    folded = key.lower().replace("-", "_")
    for names in (here, elsewhere or {}):
        by_folded = {name.lower(): name for name in names}
        near = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
        if near:
            return f"is not a known key; did you mean {names[by_folded[near[0]]]}?"
    listing = ", ".join(sorted(here.values())) or "none"
    return f"is not a known key; known here: {listing}"


def secret_keys(table: Mapping[str, object], where: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of all keys under ``table`` that look like API credentials."""
    found: list[tuple[str, ...]] = []
    for key, value in table.items():
        path = (*where, str(key))
        if where != _CHANNELS and looks_secret(str(key)) and not _is_currency_amount(str(key), value):
            found.append(path)
            continue
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, Mapping):
                found.extend(secret_keys(item, path))
    return found


def looks_secret(key: str) -> bool:
    """Return whether a key's name says that its value is a credential; symbols ("TOKEN/USD") are not."""
    if "/" in key:
        return False
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower())
    joined = "".join(words)
    return any(part in joined for part in _SECRET_PARTS) or not _SECRET_WORDS.isdisjoint(words)


def dotted(path: Sequence[str]) -> str:
    """Return ``path`` as TOML writes it: ``market_data.static."BTC/USD".bid``."""
    return ".".join(part if _BARE_KEY.fullmatch(part) else f'"{part}"' for part in path)


def display_path(path: Path) -> str:
    """Return ``path`` as a person in the working directory would type it."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def _is_currency_amount(key: str, value: object) -> bool:
    """Whether this is an amount of an asset that happens to be called TOKEN or SECRET."""
    if not _CURRENCY.fullmatch(key) or isinstance(value, bool):
        return False
    try:
        return Decimal(str(value)).is_finite()
    except InvalidOperation:
        return False


def _exact(text: str) -> Decimal | str:
    """Return the number in ``text``; one that Decimal cannot hold stays text and is refused later."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _syntax_error(name: str, text: str, error: Exception) -> ConfigError:
    if isinstance(error, RecursionError):
        return ConfigError(f"{name} is not valid TOML: nested too deeply")
    message = str(error)
    at = _AT_LINE.search(message)
    if at:
        reason, line = message[: at.start()], at[1]
    else:
        reason, line = message.removesuffix(" (at end of document)"), str(len(text.splitlines()) or 1)
    return ConfigError(f"{name}, line {line}: not valid TOML: {reason}")
