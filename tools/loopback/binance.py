"""A Binance-spot-shaped venue: its REST routes over the exchange, with its codes and texts.

The public API's rules, the awkward ones too: client ids are unique among open orders only, a cancel answers under its
own client id, an amendment gives the order another one. This module must not know HTTP's bytes; ``binance_rules`` has
what is checked first, ``binance_shapes`` the JSON, ``binance_streams`` the websockets.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar, cast

from tools.loopback import binance_shapes as shapes
from tools.loopback.binance_rules import (
    BinanceError,
    Budget,
    BusyError,
    Params,
    check_key,
    check_signature,
    check_window,
    signed_payload,
)
from tools.loopback.binance_streams import Streams
from tools.loopback.exchange import Exchange
from tools.loopback.model import Order, Policy, Refusal, RefusedError, Side, TimeInForce
from tools.loopback.wire import Answer, Call, Peer

REFUSALS = {
    Refusal.UNKNOWN_SYMBOL: (-1121, "Invalid symbol."),
    Refusal.MARKET_CLOSED: (-1013, "Market is closed."),
    Refusal.PRICE_STEP: (-1013, "Filter failure: PRICE_FILTER"),
    Refusal.QUANTITY_STEP: (-1013, "Filter failure: LOT_SIZE"),
    Refusal.QUANTITY_RANGE: (-1013, "Filter failure: LOT_SIZE"),
    Refusal.MIN_NOTIONAL: (-1013, "Filter failure: NOTIONAL"),
    Refusal.INSUFFICIENT: (-2010, "Account has insufficient balance for requested action."),
    Refusal.DUPLICATE: (-2010, "Duplicate order sent."),
    Refusal.WOULD_TAKE: (-2010, "Order would immediately match and take."),
    Refusal.NOT_FOUND: (-2013, "Order does not exist."),
    Refusal.NOT_OPEN: (-2011, "Unknown order sent."),
}
AMEND_REFUSALS = REFUSALS | {
    Refusal.NO_CHANGE: (-2038, "The requested action would change no state; rejecting."),
    Refusal.BAD_AMEND: (-2038, "Order amend (quantity increase) is not supported."),
    Refusal.NOT_OPEN: (-2038, "Unknown order sent."),
    Refusal.DUPLICATE: (-2038, "Duplicate order sent."),
}
SIDES = frozenset({"BUY", "SELL"})
TYPES = frozenset({"LIMIT", "LIMIT_MAKER", "MARKET"})
TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK"})
RESPONSES = frozenset({"ACK", "RESULT", "FULL"})
MODES = frozenset({"STOP_ON_FAILURE", "ALLOW_FAILURE"})
LIMIT, LIMIT_MAX = 500, 1000
DAY_MS = 86_400_000
PAGE_404 = "<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1></body></html>"


class BinanceDialect:
    """The routes; ``budget`` may be set lower to be told to wait sooner."""

    policy: ClassVar[Policy] = Policy(client_ids="open", post_only="refuse", amend="decrease")
    sockets: ClassVar[tuple[str, ...]] = ("/ws-api/v3", "/ws", "/stream")

    def __init__(self, exchange: Exchange, key: str, secret: str, peers: set[Peer]) -> None:
        self.exchange = exchange
        self.budget = Budget()
        self.streams = Streams(exchange, key, secret, peers)
        self._key = key
        self._secret = secret
        self._random = Random(secret)  # noqa: S311  # repeatable, not secret
        self._public: dict[str, Callable[[Params], Any]] = {
            "GET /api/v3/ping": lambda _: {},
            "GET /api/v3/time": lambda _: {"serverTime": exchange.time()},
            "GET /api/v3/exchangeInfo": lambda _: shapes.exchange_info(exchange),
            "GET /fapi/v1/exchangeInfo": lambda _: {"symbols": []},
            "GET /dapi/v1/exchangeInfo": lambda _: {"symbols": []},
            "GET /api/v3/depth": self._depth,
            "GET /api/v3/ticker/24hr": lambda params: self._tickers(params, shapes.ticker),
            "GET /api/v3/ticker/bookTicker": lambda params: self._tickers(params, shapes.book_ticker),
        }
        self._signed: dict[str, Callable[[Params], Any]] = {
            "POST /api/v3/order": self._place,
            "GET /api/v3/order": self._look_up,
            "DELETE /api/v3/order": self._cancel,
            "GET /api/v3/openOrders": self._open_orders,
            "DELETE /api/v3/openOrders": self._cancel_all,
            "GET /api/v3/allOrders": self._all_orders,
            "GET /api/v3/account": lambda _: shapes.account(exchange),
            "GET /api/v3/myTrades": self._my_trades,
            "PUT /api/v3/order/amend/keepPriority": self._amend,
            "POST /api/v3/order/cancelReplace": self._cancel_replace,
        }

    # -- the protocol ------------------------------------------------------------------------------------------

    def handle(self, call: Call) -> Answer:
        route = f"{call.method} {call.path}"
        handler = self._public.get(route) or self._signed.get(route)
        if handler is None:
            return Answer(PAGE_404, 404)
        params = Params(call.params())
        headers: dict[str, str] = {}
        try:
            headers = self.budget.charge(route, params, self.exchange.time())
            if route in self._signed:
                self._check(call, params)
            return Answer(handler(params), 200, headers)
        except BusyError as error:
            return Answer(error.body(), error.status, {**headers, "Retry-After": str(error.retry_after_s)})
        except BinanceError as error:
            return Answer(error.body(), error.status, headers)
        except RefusedError as error:
            return Answer(_refusal(error).body(), 400, headers)

    def hear(self, peer: Peer, text: str) -> None:
        self.streams.hear(peer, text)

    def joined(self, peer: Peer) -> None:
        self.streams.joined(peer)

    def terminate(self) -> None:
        self.streams.terminate()

    def refusal(self, code: str, message: str) -> Answer:
        error = BinanceError(int(code), message)
        return Answer(error.body(), error.status)

    def not_found(self, call: Call) -> Answer:
        if call.path == "/api/v3/order":
            return Answer(_refusal(RefusedError(Refusal.NOT_FOUND)).body(), 400)
        return Answer([])

    def maintenance(self) -> Answer:
        return Answer("<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>", 503)

    def _check(self, call: Call, params: Params) -> None:
        check_key(call.headers.get("x-mbx-apikey"), self._key)
        payload, signature = signed_payload(call)
        check_signature(payload, signature, self._secret)
        check_window(params, self.exchange.time())

    # -- market data -------------------------------------------------------------------------------------------

    def _depth(self, params: Params) -> Any:
        limit = params.integer("limit") or 100
        symbol = params.text("symbol")
        return shapes.depth(self.exchange, symbol, limit, self.streams.update_id(symbol))

    def _tickers(self, params: Params, shape: Callable[[Exchange, str], Any]) -> Any:
        symbol = params.optional("symbol")
        if symbol is not None:
            return shape(self.exchange, symbol)
        return [shape(self.exchange, name) for name in self.exchange.markets]

    # -- orders ------------------------------------------------------------------------------------------------

    def _place(self, params: Params) -> Any:
        self.exchange.market(params.text("symbol"))
        side = params.choice("side", SIDES, -1117, "Invalid side.")
        kind = params.choice("type", TYPES, -1116, "Invalid orderType.")
        default = "ACK" if kind == "LIMIT_MAKER" else "FULL"
        response = params.text("newOrderRespType", default)
        if response not in RESPONSES:
            raise BinanceError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
        time_in_force = params.optional("timeInForce")
        if kind == "LIMIT":
            time_in_force = params.choice("timeInForce", TIMES_IN_FORCE, -1115, "Invalid timeInForce.")
        elif time_in_force is not None:
            raise BinanceError(-1106, "Parameter 'timeInForce' sent when not required.")
        quantity, quote = params.amount("quantity"), params.amount("quoteOrderQty")
        price = params.amount("price")
        if kind == "MARKET" and price is not None:
            raise BinanceError(-1106, "Parameter 'price' sent when not required.")
        if kind != "MARKET":
            params.text("price")
            params.text("quantity")
        elif (quantity is None) == (quote is None):
            raise BinanceError(-1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!")
        placed = self.exchange.place(
            symbol=params.text("symbol"),
            side=cast("Side", side),
            type="MARKET" if kind == "MARKET" else "LIMIT",
            client_id=params.client_id("newClientOrderId") or self._random_id(),
            quantity=quantity,
            quote_quantity=quote,
            price=price,
            time_in_force=cast("TimeInForce", time_in_force or "GTC"),
            post_only=kind == "LIMIT_MAKER",
        )
        return shapes.order_answer(placed.order, placed.trades, response)

    def _look_up(self, params: Params) -> Any:
        return shapes.order_state(self._order(params, Refusal.NOT_FOUND))

    def _cancel(self, params: Params) -> Any:
        return self._cancel_one(self._order(params, Refusal.NOT_OPEN), params.client_id("newClientOrderId"))

    def _cancel_one(self, order: Order, request_id: str | None) -> Any:
        request_id = request_id or self._random_id()
        return shapes.cancel_answer(self.exchange.cancel(order, request_id=request_id), request_id)

    def _cancel_all(self, params: Params) -> Any:
        orders = self._open(params.text("symbol"))
        if not orders:
            raise RefusedError(Refusal.NOT_OPEN)
        return [self._cancel_one(order, None) for order in orders]

    def _open_orders(self, params: Params) -> Any:
        return [shapes.order_state(order) for order in self._open(params.optional("symbol"))]

    def _open(self, symbol: str | None) -> list[Order]:
        if symbol is not None:
            self.exchange.market(symbol)
        return self.exchange.open_orders(symbol)

    def _amend(self, params: Params) -> Any:
        order = self._order(params, Refusal.NOT_OPEN)
        params.text("newQty")
        old = order.client_id
        client_id = params.client_id("newClientOrderId") or self._random_id()
        try:
            self.exchange.amend(order, quantity=params.amount("newQty"), client_id=client_id)
        except RefusedError as error:
            raise BinanceError(*AMEND_REFUSALS[error.why]) from None
        return shapes.amend_answer(order, old, self.streams.executions)

    def _cancel_replace(self, params: Params) -> Any:
        mode = params.choice(
            "cancelReplaceMode", MODES, -1130, "Data sent for parameter 'cancelReplaceMode' is not valid."
        )
        names = {"orderId": "cancelOrderId", "origClientOrderId": "cancelOrigClientOrderId"}
        old = Params(
            {"symbol": params.text("symbol")} | {ours: params.values.get(name, "") for ours, name in names.items()}
        )
        cancelled, cancel_answer = _attempt(
            lambda: self._cancel_one(self._order(old, Refusal.NOT_OPEN), params.client_id("cancelNewClientOrderId"))
        )
        if cancelled or mode == "ALLOW_FAILURE":
            placed, place_answer = _attempt(lambda: self._place(params))
            result = "SUCCESS" if placed else "FAILURE"
        else:
            placed, place_answer, result = False, None, "NOT_ATTEMPTED"
        data = {
            "cancelResult": "SUCCESS" if cancelled else "FAILURE",
            "newOrderResult": result,
            "cancelResponse": cancel_answer,
            "newOrderResponse": place_answer,
        }
        if cancelled and placed:
            return data
        if cancelled or placed:
            raise BinanceError(-2021, "Order cancel-replace partially failed.", 409, data=data)
        raise BinanceError(-2022, "Order cancel-replace failed.", data=data)

    # -- history -----------------------------------------------------------------------------------------------

    def _all_orders(self, params: Params) -> Any:
        self.exchange.market(params.text("symbol"))
        since, until, first = _span(params, "orderId")
        orders = [order for order in self.exchange.orders.values() if order.symbol == params.text("symbol")]
        found = [order for order in orders if order.id >= first and since <= order.created_ms <= until]
        return [shapes.order_state(order) for order in _page(params, found, newest=since == first == 0)]

    def _my_trades(self, params: Params) -> Any:
        self.exchange.market(params.text("symbol"))
        since, until, first = _span(params, "fromId")
        order_id = params.integer("orderId")
        found = [
            trade
            for trade in self.exchange.trades
            if trade.symbol == params.text("symbol") and order_id in {None, trade.order_id}
            if trade.id >= first and since <= trade.at_ms <= until
        ]
        return [shapes.my_trade(trade) for trade in _page(params, found, newest=since == first == 0)]

    def _order(self, params: Params, missing: Refusal) -> Order:
        """Return the order by its id, else by its client id."""
        symbol = params.text("symbol")
        self.exchange.market(symbol)
        order_id, client_id = params.integer("orderId"), params.client_id("origClientOrderId")
        if order_id is None and client_id is None:
            raise BinanceError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        order = self.exchange.find(order_id=order_id, client_id=client_id)
        if order is None or order.symbol != symbol:
            raise RefusedError(missing)
        if client_id not in {None, order.client_id}:
            raise BinanceError(-2039, "Client order ID is not correct for this order ID.")
        return order

    def _random_id(self) -> str:
        return "".join(self._random.choices(string.ascii_letters + string.digits, k=22))


def _refusal(error: RefusedError) -> BinanceError:
    return BinanceError(*REFUSALS[error.why])


def _attempt(action: Callable[[], Any]) -> tuple[bool, Any]:
    """Return whether it went well, and its answer or error."""
    try:
        return True, action()
    except BinanceError as error:
        return False, error.body()
    except RefusedError as error:
        return False, _refusal(error).body()


def _span(params: Params, first: str) -> tuple[int, int, int]:
    since, until = params.integer("startTime"), params.integer("endTime")
    if since is not None and until is not None and until - since > DAY_MS:
        raise BinanceError(-1127, "More than 24 hours between startTime and endTime.")
    return since or 0, until if until is not None else 2**63, params.integer(first) or 0


def _page(params: Params, found: list[Any], *, newest: bool) -> list[Any]:
    limit = min(params.integer("limit") or LIMIT, LIMIT_MAX)
    return found[-limit:] if newest else found[:limit]
