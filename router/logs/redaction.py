"""Secrets leave no trace in what people read: blanked by key, by the shape of the text, and by known value.

Used as the last step before a line is written, and by whatever else shows settings or errors to people.
This module must not know logging.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import msgspec

from router.domain.intent import safe_repr

REDACTED: Final = "[redacted]"
PLAIN_TYPES: Final = frozenset({int, float, bool, type(None), Decimal})
"""Types that can hold no secret."""

_WORDS: Final = r"api[_-]?key|access[_-]?key|private[_-]?key|secret|passphrase|password|token|signature|authorization"
_KEY: Final = re.compile(_WORDS, re.IGNORECASE)
_IN_TEXT: Final = re.compile(
    rf"([\w-]*(?:{_WORDS})[\w-]*[\"'\\]*\s*[:=]\s*[\"'\\]*(?:(?:Bearer|Basic)\s+)?)[^\s\"'\\&,;}}\])]+",
    re.IGNORECASE,
)
_MAX_TEXT: Final = 8_000
_MAX_DEPTH: Final = 8
_MIN_SECRET: Final = 4  # blanking a shorter "secret" would blank ordinary text
_secrets: dict[str, bytes] = {}  # as in text -> as in JSON


def register_secret(value: str) -> None:
    """Blank ``value`` wherever it appears from now on, also in its URL-quoted forms."""
    for text in {value, quote(value, safe=""), quote(value)}:
        if len(text) >= _MIN_SECRET:
            _secrets[text] = msgspec.json.encode(text)[1:-1]
    redact_often.cache_clear()


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Whether a field of this name holds a secret."""
    return _KEY.search(key) is not None


def redact(value: Any, depth: int = 0) -> Any:
    """Return ``value`` as plain data without secrets, at any depth; what is too deep or too long is cut."""
    if isinstance(value, str):
        return redact_text(value)
    if type(value) in PLAIN_TYPES or hasattr(value, "isoformat"):
        return value
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        items = ((safe_str(key), item) for key, item in value.items())
        return {redact_text(key): redact_item(key, item, depth) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth + 1) for item in value]
    return redact_text(safe_repr(value))


def redact_item(key: str, value: Any, depth: int = 0) -> Any:
    """Return the value of a field called ``key`` without secrets."""
    return REDACTED if value and is_secret_key(key) else redact(value, depth + 1)


def redact_text(text: str) -> str:
    """Return ``text`` without registered secrets, and without what follows ``signature=``, ``apiKey:``, …"""
    if len(text) > _MAX_TEXT:
        text = text[:_MAX_TEXT] + "…"
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, REDACTED)
    if "=" in text or ":" in text:
        return _IN_TEXT.sub(rf"\g<1>{REDACTED}", text)
    return text


@lru_cache(maxsize=1024)
def redact_often(text: str) -> str:
    """Return ``redact_text(text)``, remembered: for events, symbols and the like, which are few and come often."""
    return redact_text(str(text))


def redact_json(line: bytes) -> bytes:
    """Return an encoded line without registered secrets, wherever in it they stand."""
    for secret in _secrets.values():
        if secret in line:
            line = line.replace(secret, REDACTED.encode())
    return line


def safe_str(key: object) -> str:
    """Return a mapping's key as text, whatever it is."""
    return key if isinstance(key, str) else safe_repr(key)
