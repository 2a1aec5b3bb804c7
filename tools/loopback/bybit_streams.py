"""The websockets of a Bybit-v5-shaped venue: /v5/private (orders, executions, wallet) and /v5/public/spot.

This module must not know the REST routes, or how a websocket's bytes travel.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tools.loopback import bybit_shapes as shapes
from tools.loopback.bybit_rules import is_whole, sign
from tools.loopback.bybit_shapes import Json
from tools.loopback.exchange import Exchange
from tools.loopback.model import Event, Trade
from tools.loopback.wire import Peer

PRIVATE = "/v5/private"
PRIVATE_TOPICS = frozenset({"order", "order.spot", "execution", "execution.spot", "wallet", "position", "greeks"})
DEPTHS = frozenset({"1", "50", "200", "1000"})

_Levels = dict[str, dict[str, str]]  # "b" and "a" → price → size, as a websocket was last told


class Streams:
    """Answers what websockets ask, and pushes to ``peers`` what they have subscribed.

    ``trades`` are each order's trades so far, kept by the owner.
    """

    def __init__(
        self, exchange: Exchange, key: str, secret: str, peers: set[Peer], trades: Mapping[int, Sequence[Trade]]
    ) -> None:
        self._exchange = exchange
        self._key, self._secret = key, secret
        self._peers = peers
        self._trades = trades
        self._serial = itertools.count(1)
        exchange.order_listeners.append(self._on_order)
        exchange.balance_listeners.append(lambda _currency, _change: self._push_wallet())
        exchange.book_listeners.append(self._on_book)

    # -- what they ask -----------------------------------------------------------------------------------------

    def hear(self, peer: Peer, text: str) -> None:
        conn_id = peer.state.setdefault("conn_id", f"loopback-{next(self._serial)}")
        try:
            message = msgspec.json.decode(text, type=dict[str, Any])
            op, args = message.get("op"), list(message.get("args") or ())
        except (msgspec.MsgspecError, TypeError):
            peer.say({"success": False, "ret_msg": "error:invalid message", "conn_id": conn_id})
            return
        answer = {"success": True, "ret_msg": "", "conn_id": conn_id, "op": op}
        if "req_id" in message:
            answer["req_id"] = str(message["req_id"])
        match op:
            case "ping" if peer.path.startswith(PRIVATE):
                answer = {**answer, "op": "pong", "args": [str(self._exchange.time())]}
                del answer["success"], answer["ret_msg"]
            case "ping":
                answer["ret_msg"] = "pong"
            case "auth":
                self._auth(peer, args, answer)
            case "subscribe":
                self._subscribe(peer, args, answer)
                return
            case "unsubscribe":
                peer.topics -= set(map(str, args))
            case _:
                answer |= {"success": False, "ret_msg": f"error:invalid op:{op}"}
        peer.say(answer)

    def terminate(self) -> None:
        """Forget the private subscriptions without a word, as after a restart behind the gateway."""
        for peer in self._peers:
            if peer.path.startswith(PRIVATE):
                peer.topics.clear()

    def _auth(self, peer: Peer, args: list[Any], answer: Json) -> None:
        key, expires, signature = (*map(str, args), "", "", "")[:3]
        in_time = is_whole(expires) and int(expires) > self._exchange.time()
        if in_time and (key, signature) == (self._key, sign(self._secret, f"GET/realtime{expires}")):
            peer.state["trusted"] = True
        else:
            answer |= {"success": False, "ret_msg": "Params Error" if not in_time else "error:auth failed"}

    def _subscribe(self, peer: Peer, args: list[Any], answer: Json) -> None:
        topics = [str(topic) for topic in args]
        private = peer.path.startswith(PRIVATE)
        unknown = [topic for topic in topics if not (topic in PRIVATE_TOPICS if private else self._is_public(topic))]
        if private and not peer.state.get("trusted"):
            answer |= {"success": False, "ret_msg": "Request not authorized"}
        elif unknown:
            answer |= {"success": False, "ret_msg": f"error:handler not found,topic:{unknown[0]}"}
        peer.say(answer)
        if answer["success"]:
            peer.topics |= set(topics)
            for topic in topics:
                peer.state.pop(topic, None)
                self._show(peer, topic)

    def _is_public(self, topic: str) -> bool:
        kind, _, rest = topic.partition(".")
        depth, _, symbol = rest.rpartition(".")
        known = (kind == "orderbook" and depth in DEPTHS) or (kind in {"tickers", "publicTrade"} and not depth)
        return known and symbol in self._exchange.markets

    # -- what they are told ------------------------------------------------------------------------------------

    def _on_order(self, event: Event) -> None:
        order, trades = event.order, self._trades.get(event.order.id, ())
        if event.trade is not None:
            entry = shapes.execution(event.trade, order, order.remaining)
            self._push("execution", {"category": "spot", **entry})
        self._push("order", shapes.order(order, trades))
        self._push_wallet()

    def _push_wallet(self) -> None:
        self._push("wallet", shapes.wallet(self._exchange))

    def _push(self, topic: str, entry: Json) -> None:
        for peer in self._peers:
            for name in (topic, f"{topic}.spot"):
                if name in peer.topics and peer.path.startswith(PRIVATE):
                    number = next(self._serial)
                    peer.push(
                        {"id": f"{number:032x}", "topic": name, "creationTime": self._exchange.time(), "data": [entry]}
                    )

    def _on_book(self, symbol: str) -> None:
        for peer in self._peers:
            for topic in sorted(peer.topics):
                if topic.endswith(f".{symbol}"):
                    self._show(peer, topic)

    def _show(self, peer: Peer, topic: str) -> None:
        """Show what a public topic says now; a book after the first time as what has changed of it."""
        kind, _, rest = topic.partition(".")
        depth, _, symbol = rest.rpartition(".")
        now, number = self._exchange.time(), next(self._serial)
        message = {"topic": topic, "ts": now, "type": "snapshot", "cs": number}
        if kind == "tickers":
            peer.show({**message, "data": shapes.ticker(self._exchange, symbol)})
        elif kind == "orderbook":
            data = shapes.book(self._exchange, symbol, int(depth))
            levels = {side: dict(data[side]) for side in ("b", "a")}
            told: _Levels | None = peer.state.get(topic)
            peer.state[topic] = levels
            if told is not None:
                message["type"] = "delta"
                data |= {side: _changes(told[side], levels[side]) for side in ("b", "a")}
            peer.show({**message, "cts": now, "data": {**data, "u": number, "seq": number}})


def _changes(told: dict[str, str], levels: dict[str, str]) -> list[list[str]]:
    """Return the levels that are new or other than told; one that is gone has the size 0."""
    gone = [[price, "0"] for price in told if price not in levels]
    return gone + sorted(([*level] for level in levels.items() - told.items()), key=lambda level: Decimal(level[0]))
