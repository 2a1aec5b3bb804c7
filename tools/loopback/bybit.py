"""A Bybit-v5-shaped spot venue: its routes, signature, parameter rules and error codes.

The awkward rules are kept: an error is HTTP 200 with a ``retCode``; an order, amendment or cancel is answered with its
ids only, and what came of it (a post-only order that would have taken, an order that found nothing) is seen later, in
the order; ``orderLinkId`` is unique for ever; a market buy's ``qty`` is in quote units unless ``marketUnit`` says
otherwise; a page names a next one even if that is empty. ``bybit_rules`` has what is checked first, ``bybit_shapes``
the JSON, ``bybit_streams`` the websockets. This module must not know HTTP's bytes or how orders are matched.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import ClassVar, Literal

import msgspec

from tools.loopback import bybit_shapes as shapes
from tools.loopback.bybit_rules import REFUSALS, Params, VenueError, check_signature, is_whole, page_of
from tools.loopback.bybit_shapes import Json
from tools.loopback.bybit_streams import Streams
from tools.loopback.exchange import Exchange
from tools.loopback.model import Event, Order, Policy, Refusal, RefusedError, Side, TimeInForce, Trade
from tools.loopback.wire import Answer, Call, Peer

WEEK_MS = 7 * 24 * 3600 * 1000
RECENT = 500  # closed orders that /v5/order/realtime still shows
LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
SIDES: Mapping[str, Side] = {"Buy": "BUY", "Sell": "SELL"}
TYPES: Mapping[str, Literal["LIMIT", "MARKET"]] = {"Limit": "LIMIT", "Market": "MARKET"}
TIMES_IN_FORCE: Mapping[str, TimeInForce] = {"": "GTC", "GTC": "GTC", "PostOnly": "GTC", "IOC": "IOC", "FOK": "FOK"}


class _Route(msgspec.Struct, frozen=True):
    handle: Callable[[BybitDialect, Params], Json]
    per_second: int = 0  # 0: public, neither signed nor counted


class BybitDialect:
    """Bybit's REST routes; ``limits`` is what each may be asked a second, as the real one's headers say."""

    policy: ClassVar[Policy] = Policy(
        client_ids="ever",
        post_only="cancel",
        amend="any",
        first_order_id=1_672_211_918_471_327_552,
        first_trade_id=2_210_000_000_097_330_907,
    )
    sockets: ClassVar[tuple[str, ...]] = ("/v5/private", "/v5/public/spot")

    def __init__(self, exchange: Exchange, key: str, secret: str, peers: set[Peer]) -> None:
        self.limits = {name: route.per_second for name, route in ROUTES.items() if route.per_second}
        self._exchange = exchange
        self._key, self._secret = key, secret
        self._asked: dict[str, deque[int]] = defaultdict(deque)
        self._trades: dict[int, list[Trade]] = defaultdict(list)
        self._lefts: dict[int, Decimal] = {}  # what a trade left open of its order
        self._recent: deque[int] = deque(maxlen=RECENT)
        exchange.order_listeners.append(self._note)
        self._streams = Streams(exchange, key, secret, peers, self._trades)
        self.hear, self.terminate = self._streams.hear, self._streams.terminate

    def joined(self, peer: Peer) -> None:
        """Do nothing: a websocket is silent until it subscribes."""

    # -- calls -------------------------------------------------------------------------------------------------

    def handle(self, call: Call) -> Answer:
        name = f"{call.method} {call.path}"
        route = ROUTES.get(name)
        if route is None:
            return self._answer(10017, "Route not found.", status=404)
        headers: Mapping[str, str] = {}
        try:
            if route.per_second:
                check_signature(call, self._key, self._secret, self._exchange.time())
                allowed, headers = self._count(name)
                if not allowed:
                    return self._answer(10006, "Too many visits. Exceeded the API Rate Limit.", headers=headers)
            return self._answer(0, "OK", route.handle(self, Params.of(call)), headers)
        except VenueError as error:
            return self._answer(error.code, str(error), headers=headers)
        except RefusedError as error:
            code, message = REFUSALS[error.why]
            return self._answer(code, message, headers=headers)

    def refusal(self, code: str, message: str) -> Answer:
        return self._answer(int(code), message)

    def not_found(self, call: Call) -> Answer:
        if call.method == "POST":
            return self._answer(*REFUSALS[Refusal.NOT_FOUND])
        return self._answer(0, "OK", {"category": "spot", "list": [], "nextPageCursor": ""})

    def maintenance(self) -> Answer:
        return Answer("<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>", 503)

    def _answer(
        self, code: int, message: str, result: Json | None = None, headers: Mapping[str, str] = {}, status: int = 200
    ) -> Answer:
        body = {
            "retCode": code,
            "retMsg": message,
            "result": result or {},
            "retExtInfo": {},
            "time": self._exchange.time(),
        }
        return Answer(body, status, headers)

    def _count(self, name: str) -> tuple[bool, dict[str, str]]:
        """Count a request in its rolling second; return whether it is allowed, and the rate headers."""
        now, limit, asked = self._exchange.time(), self.limits[name], self._asked[name]
        while asked and not now - 1000 < asked[0] <= now:
            asked.popleft()
        allowed = len(asked) < limit
        if allowed:
            asked.append(now)
        return allowed, {
            "X-Bapi-Limit": str(limit),
            "X-Bapi-Limit-Status": str(limit - len(asked)),
            "X-Bapi-Limit-Reset-Timestamp": str(now if allowed else asked[0] + 1000),
        }

    def _note(self, event: Event) -> None:
        if event.trade is not None:
            self._trades[event.order.id].append(event.trade)
            self._lefts[event.trade.id] = event.order.remaining
        if not event.order.is_open:
            self._recent.append(event.order.id)

    # -- market ------------------------------------------------------------------------------------------------

    def time(self, _: Params) -> Json:
        now = self._exchange.time()
        return {"timeSecond": str(now // 1000), "timeNano": str(now * 1_000_000)}

    def instruments(self, params: Params) -> Json:
        markets = self._exchange.markets.values() if params.is_spot() else ()
        symbol = params.text("symbol")
        listed = [shapes.instrument(market) for market in markets if symbol in {"", market.symbol}]
        return {"category": params["category"], "list": listed}

    def orderbook(self, params: Params) -> Json:
        symbol = self._listed(params)
        depth = params.whole("limit", 1, 1, 200)
        now = self._exchange.time()
        return {**shapes.book(self._exchange, symbol, depth), "ts": now, "cts": now, "u": now, "seq": now}

    def tickers(self, params: Params) -> Json:
        if not params.is_spot():
            return {"category": params["category"], "list": []}
        symbols = [self._listed(params)] if params.text("symbol") else list(self._exchange.markets)
        return {"category": "spot", "list": [shapes.ticker(self._exchange, symbol) for symbol in symbols]}

    def _listed(self, params: Params) -> str:
        symbol = params.text("symbol")
        if not params.is_spot() or symbol not in self._exchange.markets:
            raise VenueError(10001, "Not supported symbols")
        return symbol

    # -- account -----------------------------------------------------------------------------------------------

    def key_info(self, _: Params) -> Json:
        permissions = {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer"], "ContractTrade": [], "Options": []}
        return {
            "id": "1",
            "note": "loopback",
            "apiKey": self._key,
            "readOnly": 0,
            "secret": "",
            "permissions": permissions,
            "ips": ["*"],
            "type": 1,
            "unified": 0,
            "uta": 1,
            "userID": 1,
            "isMaster": True,
        }

    def account_info(self, _: Params) -> Json:
        return {
            "marginMode": "REGULAR_MARGIN",
            "updatedTime": str(self._exchange.time()),
            "unifiedMarginStatus": 6,
            "dcpStatus": "OFF",
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
        }

    def balance(self, params: Params) -> Json:
        if params.text("accountType") != "UNIFIED":
            raise VenueError(10001, "accountType only support UNIFIED.")
        coins = frozenset(filter(None, params.text("coin").split(",")))
        return {"list": [shapes.wallet(self._exchange, coins)]}

    def coins(self, _: Params) -> Json:
        rows = [{"name": coin, "coin": coin, "remainAmount": "0", "chains": []} for coin in sorted(self._exchange.free)]
        return {"rows": rows}

    # -- orders ------------------------------------------------------------------------------------------------

    def create(self, params: Params) -> Json:
        params.must_be_spot()
        symbol = params.text("symbol")
        side, kind = params.choice("side", SIDES, 170117), params.choice("orderType", TYPES, 170116)
        time_in_force = params.choice("timeInForce", TIMES_IN_FORCE, 170115)
        units = {"": side == "SELL", "baseCoin": True, "quoteCoin": False}
        in_base = params.choice("marketUnit", units, 10001) or kind == "LIMIT"
        quantity, price = params.number("qty"), params.number("price")
        if quantity is None or (kind == "LIMIT" and price is None):
            raise VenueError(170105, f"Parameter '{'price' if quantity else 'qty'}' was empty.")
        if quantity > self._exchange.market(symbol).max_qty and in_base:
            raise VenueError(170135, "Order quantity exceeded upper limit.")
        link_id = params.text("orderLinkId")
        if link_id and not LINK_ID.fullmatch(link_id):
            raise VenueError(10001, "params error: orderLinkId has at most 36 letters, digits, dashes and underscores.")
        placed = self._exchange.place(
            symbol=symbol,
            side=side,
            type=kind,
            client_id=link_id or f"{self._exchange.time()}{len(self._exchange.orders)}",
            quantity=quantity if in_base else None,
            quote_quantity=None if in_base else quantity,
            price=price if kind == "LIMIT" else None,
            time_in_force=time_in_force,
            post_only=params.text("timeInForce") == "PostOnly",
        )
        return _ids(placed.order)

    def amend(self, params: Params) -> Json:
        order = self._named(params)
        if order is None or not order.is_open:
            raise VenueError(110001, "order not exists or too late to replace")
        return _ids(self._exchange.amend(order, quantity=params.number("qty"), price=params.number("price")).order)

    def cancel(self, params: Params) -> Json:
        order = self._named(params)
        if order is None:
            raise RefusedError(Refusal.NOT_FOUND)
        return _ids(self._exchange.cancel(order))

    def cancel_all(self, params: Params) -> Json:
        params.must_be_spot()
        orders = self._exchange.open_orders(params.text("symbol") or None)
        return {"list": [_ids(self._exchange.cancel(order)) for order in orders], "success": "1"}

    def _named(self, params: Params) -> Order | None:
        """Return the order an amendment or cancel is for; the venue's id goes before the client's."""
        params.must_be_spot()
        if not params.text("symbol"):
            raise VenueError(181002, "symbol is null.")
        if not (params.text("orderId") or params.text("orderLinkId")):
            raise VenueError(10001, "params error: either orderId or orderLinkId is required.")
        order = self._by_id(params)
        return order if order is not None and order.symbol == params["symbol"] else None

    def _by_id(self, params: Params) -> Order | None:
        order_id, link_id = params.text("orderId"), params.text("orderLinkId")
        if order_id:
            return self._exchange.find(order_id=int(order_id)) if is_whole(order_id) else None
        return self._exchange.find(client_id=link_id)

    # -- look-ups ----------------------------------------------------------------------------------------------

    def realtime(self, params: Params) -> Json:
        """Show open orders; asked by id, or with openOnly=1, also those closed most recently."""
        symbol, exchange = params.text("symbol") or None, self._exchange
        if params.text("orderId") or params.text("orderLinkId"):
            order = self._by_id(params)
            orders = [order] if order is not None and (order.is_open or order.id in self._recent) else []
        elif params.whole("openOnly", 0, 0, 2):
            orders = [order for order in exchange.closed_orders(symbol) if order.id in self._recent]
        else:
            orders = exchange.open_orders(symbol)
        return self._order_page(params, orders)

    def history(self, params: Params) -> Json:
        """Show closed orders: those of the last seven days, unless it is asked by id or for another week."""
        if params.text("orderId") or params.text("orderLinkId"):
            order = self._by_id(params)
            orders = [order] if order is not None and not order.is_open else []
        else:
            first, last = self._week(params)
            orders = [
                order
                for order in self._exchange.closed_orders(params.text("symbol") or None)
                if first <= order.created_ms <= last
            ]
        status = params.text("orderStatus")
        return self._order_page(params, [order for order in orders if status in {"", shapes.status_of(order)}])

    def executions(self, params: Params) -> Json:
        trades: Sequence[Trade] = self._exchange.trades
        if params.text("orderId") or params.text("orderLinkId"):
            order = self._by_id(params)
            trades = () if order is None else self._trades.get(order.id, ())
        symbol, (first, last) = params.text("symbol"), self._week(params)
        found = [trade for trade in trades if first <= trade.at_ms <= last and symbol in {"", trade.symbol}]
        return page_of(
            params,
            sorted(found if params.is_spot() else (), key=lambda trade: trade.id, reverse=True),
            lambda trade: (trade.id, trade.at_ms),
            lambda trade: shapes.execution(trade, self._exchange.orders[trade.order_id], self._lefts[trade.id]),
            default=50,
            most=100,
        )

    def _week(self, params: Params) -> tuple[int, int]:
        """Return the times asked for: at most seven days, and seven from whichever end was given."""
        latest = 10**15
        first, last = params.whole("startTime", 0, 0, latest), params.whole("endTime", 0, 0, latest)
        if not last:
            last = first + WEEK_MS if first else self._exchange.time()
        first = first or last - WEEK_MS
        if not 0 <= last - first <= WEEK_MS:
            raise VenueError(10001, "The time range between startTime and endTime must be within 7 days.")
        return first, last

    def _order_page(self, params: Params, orders: Sequence[Order]) -> Json:
        return page_of(
            params,
            sorted(orders if params.is_spot() else (), key=lambda order: order.id, reverse=True),
            lambda order: (order.id, order.created_ms),
            lambda order: shapes.order(order, self._trades.get(order.id, ())),
            default=20,
            most=50,
        )


def _ids(order: Order) -> Json:
    return {"orderId": str(order.id), "orderLinkId": order.client_id}


ROUTES: Mapping[str, _Route] = {
    "GET /v5/market/time": _Route(BybitDialect.time),
    "GET /v5/market/instruments-info": _Route(BybitDialect.instruments),
    "GET /v5/market/orderbook": _Route(BybitDialect.orderbook),
    "GET /v5/market/tickers": _Route(BybitDialect.tickers),
    "GET /v5/user/query-api": _Route(BybitDialect.key_info, 10),
    "GET /v5/account/info": _Route(BybitDialect.account_info, 50),
    "GET /v5/account/wallet-balance": _Route(BybitDialect.balance, 50),
    "GET /v5/asset/coin/query-info": _Route(BybitDialect.coins, 5),
    "POST /v5/order/create": _Route(BybitDialect.create, 20),
    "POST /v5/order/amend": _Route(BybitDialect.amend, 20),
    "POST /v5/order/cancel": _Route(BybitDialect.cancel, 20),
    "POST /v5/order/cancel-all": _Route(BybitDialect.cancel_all, 20),
    "GET /v5/order/realtime": _Route(BybitDialect.realtime, 50),
    "GET /v5/order/history": _Route(BybitDialect.history, 50),
    "GET /v5/execution/list": _Route(BybitDialect.executions, 50),
}
