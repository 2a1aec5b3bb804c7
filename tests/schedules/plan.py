"""What happens in one schedule, as data: a pure function of its seed.

Times are seconds after the router of a schedule began to trade. This module must not know how anything is carried out.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

BUSY_S: Final = 1.6
"""How long strategies, the market and the faults go on."""
_MID: Final = 50000
SYMBOL, MARKET = "BTC/USDT", "BTCUSDT"
ROUTES: Final = MappingProxyType(
    {
        "binance": {
            "create": "POST /api/v3/order",
            "cancel": "DELETE /api/v3/order",
            "amend": "PUT /api/v3/order/amend",
            "find": "GET /api/v3/order",
            "open": "GET /api/v3/openOrders",
            "trades": "GET /api/v3/myTrades",
            "time": "GET /api/v3/time",
            "balance": "GET /api/v3/account",
        },
        "bybit": {
            "create": "POST /v5/order/create",
            "cancel": "POST /v5/order/cancel",
            "amend": "POST /v5/order/amend",
            "find": "GET /v5/order/history",
            "open": "GET /v5/order/realtime",
            "trades": "GET /v5/execution/list",
            "time": "GET /v5/market/time",
            "balance": "GET /v5/account",
        },
    }
)
_WRITES: Final = ("create", "create", "create", "cancel", "amend")
_READS: Final = ("find", "open", "trades", "time", "balance")
_SLOW: Final[Mapping[str, dict[str, Any]]] = MappingProxyType(
    {
        "status": {"status": 429, "headers": {"Retry-After": "1"}},
        "status_after": {"status": 502},
    }
)
_KINDS: Final = (
    "delay", "delay_after", "drop_before", "drop_after", "late", "truncate", "empty", "html", "status", "status_after",
    "hang", "hang_after", "code", "unavailable", "ban",
)  # fmt: skip
_STREAMS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},
    {"silent": True},
    {"drop": 0.4},
    {"duplicate": 0.5, "reorder": 0.5},
    {"drop": 0.2, "duplicate": 0.3, "reorder": 0.3},
    {"refuse": True},
)


class Wish(NamedTuple):
    """What a strategy does at a time: ``fields`` of an intent, then perhaps other terms, and a cancel."""

    at: float
    fields: dict[str, Any]
    cancel_after: float | None
    amend_after: float | None
    amends: tuple[dict[str, str], ...]


class Plan(NamedTuple):
    """One schedule. ``deeds`` and ``rules`` are what the venue's control routes take; ``kill_at``: the router dies."""

    seed: str
    venue: str
    recv_window_ms: int
    wishes: tuple[Wish, ...]
    deeds: tuple[tuple[float, dict[str, Any]], ...]
    rules: tuple[tuple[float, dict[str, Any]], ...]
    kill_at: float | None
    healthy: bool

    def intent_id(self, number: int) -> str:
        """Return the id of a wish's intent."""
        return f"{self.seed} {number}"


def plan(seed: str, venue: str, *, force: str = "", kills: bool = True) -> Plan:
    """Return the schedule of a seed.

    Args:
        force: a fault that the first order meets, whatever else happens; "silent": no stream and no other fault.
        kills: False: the router lives through it.
    """
    chance = random.Random(f"{seed} {venue}")
    healthy = force == "silent" or (not force and chance.random() < 0.15)
    recv_window_ms = 4000 if force == "late" else chance.choice([500, 500, 500, 800])
    wishes = tuple(_wish(chance, venue, calm=bool(force)) for _ in range(chance.randint(3, 6)))
    rules: list[tuple[float, dict[str, Any]]] = []
    deeds: list[tuple[float, dict[str, Any]]] = []
    if force and not healthy:
        rules.append((0.0, _rule(chance, venue, force, "create", recv_window_ms)))
    elif not healthy:
        for _ in range(chance.randint(1, 5)):
            route = chance.choice(_WRITES) if chance.random() < 0.6 else chance.choice(_READS)
            kind = chance.choice(_KINDS) if route in _WRITES else chance.choice([*_KINDS, "not_found_once"])
            at = 0.0 if chance.random() < 0.6 else chance.uniform(0, BUSY_S)
            rules.append((at, _rule(chance, venue, kind, route, recv_window_ms)))
        if chance.random() < 0.2:
            deeds.append((chance.uniform(0.2, 1), {"do": "clock", "offset_ms": chance.choice([-9000, 9000, -900])}))
        if chance.random() < 0.2:
            deeds.append((chance.uniform(0.2, 1), {"do": "stream", "cut": True}))
    switches = {"silent": True} if healthy or force else chance.choice(_STREAMS)
    deeds.append((0.0, {"do": "stream", "switches": switches}))
    if force == "silent":
        deeds.append((0.6, {"do": "fill", "quantity": "0.004"}))
    deeds += [(chance.uniform(0.1, BUSY_S), _move(chance)) for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.25 and not force:
        fields = {"symbol": MARKET, "side": chance.choice(["BUY", "SELL"]), "quantity": "0.01", "type": "MARKET"}
        deeds.append(
            (chance.uniform(0.1, 1), {"do": "place_foreign", "client_id": f"else{chance.randrange(10**6)}", **fields})
        )
    kill_at = chance.uniform(0.15, BUSY_S) if kills and not force and not healthy and chance.random() < 0.4 else None
    by_time = sorted(deeds, key=lambda each: each[0]), sorted(rules, key=lambda each: each[0])
    return Plan(seed, venue, recv_window_ms, wishes, tuple(by_time[0]), tuple(by_time[1]), kill_at, healthy)


def _wish(chance: random.Random, venue: str, *, calm: bool) -> Wish:
    side = chance.choice(["buy", "sell"])
    quantity = chance.choice(["0.01", "0.02", "0.03"])
    away = _MID - 3000 if side == "buy" else _MID + 3000
    through = _MID + 500 if side == "buy" else _MID - 500
    kind = (
        "resting"
        if calm
        else chance.choice(["market", "resting", "resting", "resting", "taking", "ioc", "fok", "post"])
    )
    fields: dict[str, Any] = {"side": side, "quantity": quantity, "order_type": "limit"}
    if kind == "market":
        fields["order_type"] = "market"
    else:
        price = through if kind in {"taking", "fok"} else away + chance.randint(-500, 500)
        fields |= {"price": str(price), "post_only": kind == "post"}
        if kind in {"ioc", "fok"}:
            fields["time_in_force"] = kind.upper()
    rests = kind in {"resting", "post"}
    changes = (
        [{"quantity": "0.007"}, {"quantity": "0.005"}]
        if venue == "binance"
        else [{"price": str(away + n)} for n in (7, 9)]
    )
    return Wish(
        at=0.3 if calm else chance.uniform(0, 0.8),  # a forced fault is there by then
        fields=fields,
        cancel_after=chance.uniform(0, 0.7) if rests and not calm and chance.random() < 0.5 else None,
        amend_after=chance.uniform(0, 0.4) if rests and not calm and chance.random() < 0.3 else None,
        amends=tuple(changes),
    )


def _rule(chance: random.Random, venue: str, kind: str, route: str, recv_window_ms: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"match": ROUTES[venue][route], "kind": kind, "times": chance.choice([1, 1, 1, 2, 3])}
    rule |= _SLOW.get(kind, {})
    if kind in {"delay", "delay_after"}:
        rule["delay_s"] = chance.uniform(0.05, recv_window_ms / 1000)
    elif kind == "late":
        rule["delay_s"] = 0.9 * recv_window_ms / 1000 if recv_window_ms > 1000 else chance.uniform(0.1, 0.6)
    elif kind == "code":
        rule["code"] = {"binance": "-1001", "bybit": "10016"}[venue]
    elif kind == "unavailable":
        rule |= {"kind": "status", "status": 503, "times": 6}
    elif kind == "ban":
        body = {"binance": '{"code":-1003,"msg":"banned"}', "bybit": '{"retCode":10018,"retMsg":"banned"}'}[venue]
        rule |= {"kind": "status", "status": {"binance": 418, "bybit": 429}[venue], "times": 1, "body": body}
        rule["headers"] = {"Retry-After": "1"}
    return rule


def _move(chance: random.Random) -> dict[str, Any]:
    """Return a move of the price that may fill what rests, or a part fill of whatever rests first."""
    if chance.random() < 0.5:
        return {"do": "fill", "quantity": chance.choice(["0.004", "0.007"])}
    return {"do": "move", "symbol": MARKET, "mid": str(_MID + chance.choice([-3600, -1000, 0, 1000, 3600]))}
