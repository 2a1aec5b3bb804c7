"""What an error proves about the request that it ended: that nothing was placed, or nothing at all.

"Not placed" is said only by a positive list: the venue's codes in its profile, and the few classes of ccxt that no
venue's answer gets by accident. Everything else is unknown, and the order is looked up: a cut connection, any 5xx, a
code that is on no list, even when ccxt calls it InvalidOrder (Bybit's 170146 is "Order creation timeout").
Errors are recognised by the names of their classes and by what ccxt 4.5.90 writes into their text (``ccxt_facts.md``).
This module must not know ccxt, what was asked, or what follows from an outcome.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from types import TracebackType
from typing import Any, Final

import msgspec

from router.executors.testnet.profiles import Profile

LONGEST_PAUSE_S: Final = 259_200.0
"""Binance's longest ban, three days; a venue that asks for more is not believed."""


class Kind(Enum):
    """What happened to a request."""

    NOT_PLACED = "not placed"
    DUPLICATE = "duplicate"
    NOT_FOUND = "not found"
    AUTH = "auth"
    CLOCK = "clock"
    RATE = "rate"
    BANNED = "banned"
    MAINTENANCE = "maintenance"
    MARKET_CLOSED = "market closed"
    LIVE_HOST = "live host"
    UNKNOWN = "unknown"


class Outcome(msgspec.Struct, frozen=True):
    """What an error proves.

    ``reason`` is for people. ``retry_after_s`` is the venue's own wish. ``keys_doubted``: ccxt calls it a rate limit
    because the keys have worked before, but the venue said that it refuses them.
    """

    kind: Kind
    reason: str
    retry_after_s: float | None = None
    keys_doubted: bool = False


_TEXT: Final[Mapping[Kind, str]] = {
    Kind.NOT_PLACED: "{venue} refused it: {words}.",
    Kind.DUPLICATE: "{venue} already had an order with this client_order_id ({words}); it is looked up.",
    Kind.NOT_FOUND: "{venue} does not know the order ({words}): it has ended, or was never placed; it is looked up.",
    Kind.AUTH: "{venue} refused the keys ({words}), so nothing was placed. "
    "Check the keys, their permissions and their list of addresses, then restart.",
    Kind.CLOCK: "{venue} refused the request's time ({words}), so nothing was placed. Its clock is measured anew.",
    Kind.RATE: "{venue} was asked too often ({words}), so nothing was placed. Wait, then send it again.",
    Kind.BANNED: "{venue} has banned this address for a while ({words}), so nothing was placed. "
    "Wait for the end of the ban, then reschedule the order.",
    Kind.MAINTENANCE: "{venue} is under maintenance ({words}): an expected block (runbook §5.2), no error of ours. "
    "Wait for the end of the maintenance (see the venue's status page), then reschedule the order "
    "if its look-up has not found it.",
    Kind.MARKET_CLOSED: "The market is closed at {venue} ({words}), so nothing was placed: an expected block "
    "(runbook §5.2). Wait for the market to open, then reschedule the order.",
    Kind.LIVE_HOST: "A request to an address outside of {venue}'s sandbox was refused here ({words}). "
    "Check testnet.base_url and the network, then restart.",
    Kind.UNKNOWN: "{venue} did not say what became of it ({words}); it is looked up by its client_order_id.",
}
_NOT_SENT: Final = "It was refused before anything was sent: {words}."
_DELISTED: Final = " If it was listed before, remove the symbol from the configuration (runbook §5.2)."

_BY_CODE: Final = (
    Kind.DUPLICATE,
    Kind.NOT_PLACED,
    Kind.NOT_FOUND,
    Kind.AUTH,
    Kind.CLOCK,
    Kind.RATE,
    Kind.BANNED,
    Kind.MAINTENANCE,
    Kind.MARKET_CLOSED,
)
"""Each has a set of codes of its name in the profile."""
_BY_CLASS: Final = (
    ("LiveHostError", Kind.LIVE_HOST),
    ("OrderNotFound", Kind.NOT_FOUND),
    ("DuplicateOrderId", Kind.DUPLICATE),
    ("OrderImmediatelyFillable", Kind.NOT_PLACED),
    ("InsufficientFunds", Kind.NOT_PLACED),
    ("MarketClosed", Kind.MARKET_CLOSED),
    ("AuthenticationError", Kind.AUTH),  # PermissionDenied and AccountSuspended are its subclasses
    ("InvalidNonce", Kind.CLOCK),
    ("DDoSProtection", Kind.RATE),
    ("RateLimitExceeded", Kind.RATE),
    ("OnMaintenance", Kind.MAINTENANCE),
)
"""What ccxt's class proves when the code is on no list; the first that fits. BadRequest and InvalidOrder prove nothing:
among their codes are "timeout" and "submitted for processing"."""
_LOCAL: Final = frozenset({"ArgumentsRequired", "BadSymbol", "InvalidOrder", "NotSupported"})
"""What ccxt also raises before it sends anything."""
_FILTERED: Final = re.compile(r"\S+ Filter failure: [A-Z_]+")
"""Of two of Binance's filters ccxt passes on the words but not the code, -1013."""
_AFTER_SENDING: Final = ("handle_errors", "handle_http_status_code", "_request", "parse_order", "parse_trade", "safe_")
"""Beginnings of the names of functions of ccxt and aiohttp that run only once a request is out."""

_CODE_FIELDS: Final = ("code", "retCode", "ret_code")
_WORD_FIELDS: Final = ("msg", "retMsg", "ret_msg", "message")
_SECRETIVE: Final = re.compile(r"\S*(?:://|signature=|origin_string)\S*|\b(?=\w*\d)\w{16,}\b")
"""Addresses, signed strings, and whatever could be a key."""
_WORDS_MAX: Final = 200


def classify(error: BaseException, profile: Profile) -> Outcome:
    """Return what ``error``, raised by a call of ccxt for this venue, proves; never raises."""
    names = frozenset(each.__name__ for each in type(error).__mro__)
    status = _status(error)
    answer = _json(str(error))
    code, said = _field(answer, _CODE_FIELDS), _field(answer, _WORD_FIELDS)
    filtered = status is not None and _FILTERED.fullmatch(str(error)) is not None
    local = bool(names & _LOCAL) and status is None and "{" not in str(error) and not _came_after_sending(error)
    disguised = "DDoSProtection" in names and code in profile.auth
    kind = Kind.RATE if disguised else _kind(names, status, code, said, profile, refused=local or filtered)
    words = _words(error, status, code, said, ours=local or kind is Kind.LIVE_HOST)
    text = _NOT_SENT if local and kind is Kind.NOT_PLACED else _TEXT[kind]
    reason = text.format(venue=profile.venue, words=words)
    if kind is Kind.NOT_PLACED and "BadSymbol" in names:
        reason += _DELISTED
    return Outcome(kind, reason, _retry_after(error), disguised)


def _kind(
    names: frozenset[str], status: int | None, code: str | None, said: str | None, profile: Profile, *, refused: bool
) -> Kind:
    if status is not None and status >= 500:  # whatever it says: a gateway may speak while the venue executes
        return Kind.MAINTENANCE if "OnMaintenance" in names else Kind.UNKNOWN
    if status == 418:
        return Kind.BANNED
    for kind in _BY_CODE:
        if code in getattr(profile, kind.name.lower()):
            duplicate = kind is Kind.NOT_PLACED and "duplicate" in (said or "").lower()
            return Kind.DUPLICATE if duplicate else kind
    for name, kind in _BY_CLASS:
        if name in names:
            return kind
    return Kind.NOT_PLACED if refused else Kind.UNKNOWN


def _json(text: str) -> dict[str, Any]:
    """Return the first JSON object in the text; ccxt puts the venue's whole answer at its end."""
    start = text.find("{")
    if start < 0:
        return {}
    try:
        found, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _field(answer: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((str(answer[name]) for name in names if isinstance(answer.get(name), int | str)), None)


def _status(error: BaseException) -> int | None:
    status = getattr(error, "http_status", None)
    return status if isinstance(status, int) else None


def _came_after_sending(error: BaseException) -> bool:
    """Return whether the error comes from reading an answer, or from inside a request; ccxt's classes do not tell."""
    at: TracebackType | None = error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_name.startswith(_AFTER_SENDING):
            return True
        at = at.tb_next
    return False


def _words(error: BaseException, status: int | None, code: str | None, said: str | None, *, ours: bool) -> str:
    """Return the venue's own words if there are any; never an address, a signature, a key or a page of HTML."""
    text = said or ""
    if not text and ours:
        text = str(error)
    elif not text and not code and status is not None and not set("<{") & set(str(error)):
        text = str(error).partition(" ")[2]  # ccxt's name of the venue comes first
    text = " ".join(_SECRETIVE.sub("…", text).split())[:_WORDS_MAX].rstrip(". ")
    cause = f" by {type(error.__cause__).__name__}" if error.__cause__ is not None else ""
    notes = [f"code {code}" if code else "", f"HTTP {status}" if status is not None and not code else ""]
    told = ", ".join(each for each in (text, *notes) if each)
    return told or f"{type(error).__name__}{cause}"


def _retry_after(error: BaseException) -> float | None:
    """Return the answer's Retry-After in seconds, within reason; a date counts from the answer's own Date."""
    headers = getattr(error, "http_headers", None)
    if not isinstance(headers, Mapping):
        return None
    found = {str(name).lower(): str(value).strip() for name, value in headers.items()}
    wish = found.get("retry-after", "")
    try:
        seconds = float(wish)
    except ValueError:
        until, answered = _date(wish), _date(found.get("date", ""))
        if until is None or answered is None:
            return None
        seconds = (until - answered).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_PAUSE_S)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return found if found.tzinfo is not None else None
