"""What Binance checks before it does anything: key, signature, clock window, parameters, request budget.

This module must not know what any request does.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tools.loopback.wire import Call

KEY_FORMAT = re.compile(r"[A-Za-z0-9]{64}")
NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
INTEGER = re.compile(r"[0-9]{1,20}")
CLIENT_ID = re.compile(r"[a-zA-Z0-9-_]{1,36}")
SIGNATURE = re.compile(r"(?:^|&)signature=([^&]*)")
PLACES = 8  # of any amount
AHEAD_MS = 1_000
WINDOW_MS, WINDOW_MAX_MS = 5_000, 60_000

WEIGHTS = {  # without a symbol, where that is another
    "GET /api/v3/exchangeInfo": (20, 20),
    "GET /api/v3/depth": (5, 5),
    "GET /api/v3/ticker/24hr": (2, 80),
    "GET /api/v3/ticker/bookTicker": (2, 4),
    "GET /api/v3/order": (4, 4),
    "GET /api/v3/openOrders": (6, 80),
    "GET /api/v3/allOrders": (20, 20),
    "GET /api/v3/account": (20, 20),
    "GET /api/v3/myTrades": (20, 20),
    "PUT /api/v3/order/amend/keepPriority": (4, 4),
}
ORDER_ROUTES = frozenset({"POST /api/v3/order", "POST /api/v3/order/cancelReplace"})
MINUTE_MS, ORDERS_MS = 60_000, 10_000
PATIENCE = 10  # requests in a row that were told to wait, until the address is banned
BAN_MS = 120_000


class BinanceError(Exception):
    """A refusal in Binance's words; ``data`` for those that carry more."""

    def __init__(self, code: int, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.more = more

    def body(self) -> dict[str, Any]:
        return {"code": self.code, "msg": self.message, **self.more}


class BusyError(BinanceError):
    """Told to wait: HTTP 429, or 418 for a ban."""

    def __init__(self, code: int, message: str, status: int, wait_ms: int) -> None:
        super().__init__(code, message, status)
        self.retry_after_s = math.ceil(wait_ms / 1000)


class Params:
    """The parameters of one request, each read as what it must be."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values

    def text(self, name: str, default: str | None = None) -> str:
        value = self.values.get(name) or default
        if value is None:
            raise BinanceError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return value

    def optional(self, name: str) -> str | None:
        return self.values.get(name) or None

    def choice(self, name: str, among: frozenset[str], code: int, message: str) -> str:
        value = self.text(name)
        if value not in among:
            raise BinanceError(code, message)
        return value

    def integer(self, name: str) -> int | None:
        value = self._matching(name, INTEGER)
        return None if value is None else int(value)

    def amount(self, name: str) -> Decimal | None:
        value = self._matching(name, NUMBER)
        if value is None:
            return None
        if len(value.partition(".")[2].rstrip("0")) > PLACES:
            raise BinanceError(-1111, f"Parameter '{name}' has too much precision.")
        return Decimal(value)

    def client_id(self, name: str) -> str | None:
        return self._matching(name, CLIENT_ID)

    def _matching(self, name: str, legal: re.Pattern[str]) -> str | None:
        value = self.values.get(name) or None
        if value is not None and not legal.fullmatch(value):
            text = f"Illegal characters found in parameter '{name}'; legal range is '^{legal.pattern}$'."
            raise BinanceError(-1100, text)
        return value


def check_key(key: str | None, expected: str) -> None:
    if not key or not KEY_FORMAT.fullmatch(key):
        raise BinanceError(-2014, "API-key format invalid.", 401)
    if not hmac.compare_digest(key, expected):
        raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def check_signature(payload: str, signature: str, secret: str) -> None:
    expected = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise BinanceError(-1022, "Signature for this request is not valid.")


def signed_payload(call: Call) -> tuple[str, str]:
    """Return what is signed, the query and the form one after the other, and the signature in it."""
    everything = call.query + call.body.decode(errors="replace")
    found = SIGNATURE.search(everything)
    if found is None:
        raise BinanceError(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
    return everything[: found.start()] + everything[found.end() :], found[1]


def check_window(params: Params, now: int) -> None:
    """Refuse a request from the future, or one that took longer than it allows itself."""
    window = params.integer("recvWindow")
    if window is not None and window > WINDOW_MAX_MS:
        raise BinanceError(-1131, "recvWindow must be less than 60000")
    params.text("timestamp")
    sent = params.integer("timestamp") or 0
    if sent >= now + AHEAD_MS:
        raise BinanceError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now - sent > (WINDOW_MS if window is None else window):
        raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")


class Budget:
    """Request weight per minute and orders per ten seconds; going on regardless gets a ban."""

    def __init__(self) -> None:
        self.weight_limit = 6_000
        self.order_limit = 100
        self._minute = self._orders_window = 0
        self._used = self._orders = self._refused = 0
        self._banned_until = 0

    def charge(self, route: str, params: Params, now: int) -> dict[str, str]:
        """Count a request and return the headers of its answer; raises BusyError."""
        if now // MINUTE_MS != self._minute:
            self._minute, self._used = now // MINUTE_MS, 0
        if now // ORDERS_MS != self._orders_window:
            self._orders_window, self._orders = now // ORDERS_MS, 0
        if now < self._banned_until:
            text = f"Way too much request weight used; IP banned until {self._banned_until}."
            raise BusyError(-1003, text, 418, self._banned_until - now)
        weight, without_symbol = WEIGHTS.get(route, (1, 1))
        self._used += weight if "symbol" in params.values else without_symbol
        if self._used > self.weight_limit:
            text = f"Too much request weight used; current limit is {self.weight_limit} request weight per 1 MINUTE."
            self._refuse(text, -1003, now, MINUTE_MS)
        headers = {"X-MBX-USED-WEIGHT": str(self._used), "X-MBX-USED-WEIGHT-1M": str(self._used)}
        if route in ORDER_ROUTES:
            self._orders += 1
            headers["X-MBX-ORDER-COUNT-10S"] = str(self._orders)
            if self._orders > self.order_limit:
                text = f"Too many new orders; current limit is {self.order_limit} orders per 10 SECOND."
                self._refuse(text, -1015, now, ORDERS_MS)
        self._refused = 0
        return headers

    def _refuse(self, text: str, code: int, now: int, window_ms: int) -> None:
        self._refused += 1
        if self._refused >= PATIENCE:
            self._refused, self._banned_until = 0, now + BAN_MS
        raise BusyError(code, text, 429, window_ms - now % window_ms)
