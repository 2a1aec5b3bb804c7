"""What a Bybit-v5-shaped venue demands of any request: its signature, parameters, pages and error codes.

This module must not know the routes, or what they do.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec

from tools.loopback.bybit_shapes import Json
from tools.loopback.model import Refusal
from tools.loopback.wire import Call

LONGEST = 20  # digits of a number
EARLY_MS = 1000  # how far a timestamp may be ahead
OTHER_CATEGORIES = frozenset({"linear", "inverse", "option"})

REFUSALS: Mapping[Refusal, tuple[int, str]] = {
    Refusal.UNKNOWN_SYMBOL: (170121, "Invalid symbol."),
    Refusal.MARKET_CLOSED: (170157, "The trading pair is not available for api trading."),
    Refusal.PRICE_STEP: (170134, "Order price has too many decimals."),
    Refusal.QUANTITY_STEP: (170137, "Order quantity has too many decimals."),
    Refusal.QUANTITY_RANGE: (170136, "Order quantity exceeded lower limit."),
    Refusal.MIN_NOTIONAL: (170140, "Order value exceeded lower limit."),
    Refusal.INSUFFICIENT: (170131, "Insufficient balance."),
    Refusal.DUPLICATE: (170141, "Duplicate clientOrderId."),
    Refusal.NOT_FOUND: (170213, "Order does not exist."),
    Refusal.NOT_OPEN: (170213, "Order does not exist."),
    Refusal.NO_CHANGE: (10001, "The order remains unchanged as the parameters entered match the existing ones."),
    Refusal.BAD_AMEND: (110064, "The modified quantity cannot be less than or equal to the filled quantity."),
}

T = TypeVar("T")


class VenueError(Exception):
    """A refusal in the venue's own words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Params(dict[str, Any]):
    """The parameters of a request: text, as the venue wants even numbers to be."""

    @classmethod
    def of(cls, call: Call) -> Params:
        if call.method == "GET":
            return cls(call.params())
        try:
            return cls(msgspec.json.decode(call.body, type=dict[str, Any]))
        except msgspec.MsgspecError:
            raise VenueError(10001, "Request parameter error: not a JSON object.") from None

    def text(self, name: str) -> str:
        value = self.get(name, "")
        if not isinstance(value, str):
            raise VenueError(10001, f"Request parameter error: {name} must be a string.")
        return value

    def number(self, name: str) -> Decimal | None:
        given = self.text(name)
        if not given:
            return None
        try:
            number = Decimal(given)
        except InvalidOperation:
            number = Decimal(0)
        if not number.is_finite() or number <= 0 or not -LONGEST < number.adjusted() < LONGEST:
            raise VenueError(170130, f"Data sent for parameter '{name}' is not valid.")
        return number

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        given = str(self.get(name, default))
        if not (is_whole(given) and least <= int(given) <= most):
            raise VenueError(10001, f"params error: {name} must be between {least} and {most}.")
        return int(given)

    def choice(self, name: str, choices: Mapping[str, T], code: int) -> T:
        try:
            return choices[self.text(name)]
        except KeyError:
            raise VenueError(code, f"Invalid {name}.") from None

    def is_spot(self) -> bool:
        """Tell spot from the other categories, which exist but hold nothing here."""
        category = self.text("category")
        if category != "spot" and category not in OTHER_CATEGORIES:
            raise VenueError(181001, "category only support linear or option or spot.")
        return category == "spot"

    def must_be_spot(self) -> None:
        if not self.is_spot():
            raise VenueError(10001, "Illegal category")


def is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST


def sign(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def check_signature(call: Call, key: str, secret: str, now: int) -> None:
    """Refuse a call that ``key`` did not sign, or not at this time."""
    given, stamp = call.headers.get("x-bapi-api-key", ""), call.headers.get("x-bapi-timestamp", "")
    window, signature = call.headers.get("x-bapi-recv-window", "5000"), call.headers.get("x-bapi-sign", "")
    if not (given and signature and is_whole(stamp) and is_whole(window)):
        raise VenueError(10001, "empty value: apiTimestamp[] apiKey[] apiSignature[]: openapi sign params error!")
    if given != key:
        raise VenueError(10003, "API key is invalid.")
    if not now - int(window) <= int(stamp) < now + EARLY_MS:
        raise VenueError(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{stamp}],server_timestamp[{now}],recv_window[{window}]",
        )
    payload = call.body.decode(errors="replace") if call.method == "POST" else call.query
    if sign(secret, stamp + key + window + payload) != signature:
        raise VenueError(10004, "error sign! please check your signature generation algorithm.")


def page_of(
    params: Params,
    newest_first: Sequence[T],
    mark: Callable[[T], tuple[int, int]],
    show: Callable[[T], Json],
    *,
    default: int,
    most: int,
) -> Json:
    """Return a page; its cursor names its first and last entry, so that new entries do not shift the next page."""
    limit, cursor = params.whole("limit", default, 1, most), params.text("cursor")
    if cursor:
        last = cursor.replace("%3A", ":").replace("%2C", ",").rpartition(",")[2].partition(":")[0]
        if not is_whole(last):
            raise VenueError(10001, "params error: invalid cursor.")
        newest_first = [entry for entry in newest_first if mark(entry)[0] < int(last)]
    page = newest_first[:limit]
    ends = [f"{number}%3A{at_ms}" for number, at_ms in (mark(entry) for entry in (*page[:1], *page[-1:]))]
    return {"category": params["category"], "list": [show(entry) for entry in page], "nextPageCursor": "%2C".join(ends)}
