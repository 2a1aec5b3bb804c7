"""Binance's websockets: the account's events over the websocket API, and market streams by subscription.

This module must not know the REST routes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from tools.loopback import binance_shapes as shapes
from tools.loopback.binance_rules import BinanceError, Params, check_key, check_signature, check_window
from tools.loopback.exchange import Exchange
from tools.loopback.model import Event
from tools.loopback.wire import Peer

API = "/ws-api/v3"
ACCOUNT = "userDataStream"


class ApiRequest(msgspec.Struct):
    method: str
    id: Any = None
    params: dict[str, Any] = {}


class MarketRequest(msgspec.Struct):
    method: str
    id: Any = None
    params: list[str] = []


class Streams:
    """Who has subscribed what; ``executions`` is the number of the account's last event."""

    def __init__(self, exchange: Exchange, key: str, secret: str, peers: set[Peer]) -> None:
        self.executions = 0
        self._exchange = exchange
        self._key = key
        self._secret = secret
        self._peers = peers
        self._updates: Counter[str] = Counter()
        self._shown: dict[str, tuple[dict[Decimal, Decimal], ...]] = {}
        self._methods: dict[str, Callable[[Peer, dict[str, Any]], dict[str, Any]]] = {
            "userDataStream.subscribe.signature": self._subscribe_account,
            "userDataStream.unsubscribe": self._unsubscribe_account,
            "ping": lambda _peer, _params: {},
            "time": lambda _peer, _params: {"serverTime": exchange.time()},
        }
        for symbol in exchange.markets:
            self._diff(symbol)
        exchange.order_listeners.append(self._on_order)
        exchange.balance_listeners.append(self._on_balance)
        exchange.book_listeners.append(self._on_book)

    def update_id(self, symbol: str) -> int:
        return self._updates[symbol]

    def joined(self, peer: Peer) -> None:
        """Subscribe the streams that the path names: /ws/<stream> or /stream?streams=<stream>/<stream>."""
        path, _, query = peer.path.partition("?")
        if path.startswith("/ws/"):
            self._subscribe(peer, path.removeprefix("/ws/").split("/"))
        elif query.startswith("streams="):
            self._subscribe(peer, query.removeprefix("streams=").split("/"))

    def hear(self, peer: Peer, text: str) -> None:
        try:
            if peer.path.startswith(API):
                peer.say(self._api(peer, msgspec.json.decode(text, type=ApiRequest)))
            else:
                peer.say(self._market(peer, msgspec.json.decode(text, type=MarketRequest)))
        except msgspec.MsgspecError:
            peer.say({"id": None, "status": 400, "error": {"code": -1135, "msg": "Invalid JSON Request"}})

    def terminate(self) -> None:
        """End the account's subscriptions with eventStreamTerminated; the websockets stay open."""
        event = {"e": "eventStreamTerminated", "E": self._exchange.time()}
        for peer in self._subscribed(ACCOUNT):
            peer.say({"subscriptionId": 0, "event": event})
            peer.topics.discard(ACCOUNT)

    # -- requests ----------------------------------------------------------------------------------------------

    def _api(self, peer: Peer, request: ApiRequest) -> dict[str, Any]:
        """Answer a request to the websocket API."""
        head = {"id": request.id}
        try:
            result = self._methods.get(request.method, _unknown)(peer, request.params)
        except BinanceError as error:
            return {**head, "status": error.status, "error": error.body(), "rateLimits": []}
        return {**head, "status": 200, "result": result, "rateLimits": []}

    def _subscribe_account(self, peer: Peer, raw: dict[str, Any]) -> dict[str, Any]:
        params = {name: str(value) for name, value in raw.items()}
        check_key(params.get("apiKey"), self._key)
        signature = params.pop("signature", "")
        check_signature("&".join(f"{name}={params[name]}" for name in sorted(params)), signature, self._secret)
        check_window(Params(params), self._exchange.time())
        if ACCOUNT in peer.topics:
            raise BinanceError(-2035, "User Data Stream subscription already active.")
        peer.topics.add(ACCOUNT)
        return {"subscriptionId": 0}

    def _unsubscribe_account(self, peer: Peer, _params: dict[str, Any]) -> dict[str, Any]:
        if ACCOUNT not in peer.topics:
            raise BinanceError(-2036, "User Data Stream subscription not active.")
        peer.topics.discard(ACCOUNT)
        return {}

    def _market(self, peer: Peer, request: MarketRequest) -> dict[str, Any]:
        """Answer a request on a market stream."""
        head = {"id": request.id}
        match request.method:
            case "SUBSCRIBE":
                self._subscribe(peer, request.params)
            case "UNSUBSCRIBE":
                peer.topics.difference_update(request.params)
            case "LIST_SUBSCRIPTIONS":
                return {"result": sorted(peer.topics), **head}
            case method:
                return {"error": {"code": 2, "msg": f"Invalid request: unknown method {method}"}, **head}
        return {"result": None, **head}

    def _subscribe(self, peer: Peer, streams: list[str]) -> None:
        peer.topics.update(streams)
        for stream in streams:
            symbol, _, kind = stream.partition("@")
            if kind == "bookTicker" and symbol.upper() in self._exchange.markets:
                self._show(peer, stream, self._ticker(symbol.upper()))

    # -- events ------------------------------------------------------------------------------------------------

    def _subscribed(self, topic: str) -> list[Peer]:
        return [peer for peer in self._peers if topic in peer.topics]

    def _on_order(self, event: Event) -> None:
        self.executions += 1
        market = self._exchange.market(event.order.symbol)
        report = shapes.execution_report(event, self.executions, self._exchange.time())
        self._tell(report)
        self._tell(shapes.account_position(self._exchange, (market.base, market.quote), event.at_ms))

    def _on_balance(self, currency: str, change: Decimal) -> None:
        now = self._exchange.time()
        self._tell(shapes.account_position(self._exchange, (currency,), now))
        self._tell(shapes.balance_update(currency, change, now))

    def _tell(self, event: dict[str, Any]) -> None:
        for peer in self._subscribed(ACCOUNT):
            peer.push({"subscriptionId": 0, "event": event})

    def _on_book(self, symbol: str) -> None:
        diff = self._diff(symbol)
        for stream, message in (
            (f"{symbol.lower()}@bookTicker", self._ticker(symbol)),
            (f"{symbol.lower()}@depth", diff),
            (f"{symbol.lower()}@depth@100ms", diff),
        ):
            for peer in self._subscribed(stream):
                self._show(peer, stream, message)

    def _show(self, peer: Peer, stream: str, message: dict[str, Any]) -> None:
        peer.show({"stream": stream, "data": message} if peer.path.startswith("/stream") else message)

    def _ticker(self, symbol: str) -> dict[str, Any]:
        (bid, bid_size), (ask, ask_size) = shapes.top(self._exchange, symbol)
        return {
            "u": self._updates[symbol],
            "s": symbol,
            "b": shapes.number(bid),
            "B": shapes.number(bid_size),
            "a": shapes.number(ask),
            "A": shapes.number(ask_size),
        }

    def _diff(self, symbol: str) -> dict[str, Any]:
        """Return a depth update from what was shown last; a level that is gone has quantity 0."""
        before = self._shown.get(symbol, ({}, {}))
        now = tuple(dict(side) for side in self._exchange.book(symbol))
        self._shown[symbol] = now
        self._updates[symbol] += 1
        gone = [{price: Decimal(0) for price in old} for old in before]
        changes = [shapes.levels(list((gone[side] | now[side]).items())) for side in (0, 1)]
        return {
            "e": "depthUpdate",
            "E": self._exchange.time(),
            "s": symbol,
            "U": self._updates[symbol],
            "u": self._updates[symbol],
            "b": changes[0],
            "a": changes[1],
        }


def _unknown(_peer: Peer, _params: dict[str, Any]) -> dict[str, Any]:
    raise BinanceError(-1000, "Unknown method.")
