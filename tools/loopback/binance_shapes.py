"""Binance spot's JSON: how orders, trades, markets and events look there. Only shapes, no rules.

Fields without a meaning here carry what Binance sends for a plain spot order.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tools.loopback.exchange import Exchange, Level
from tools.loopback.model import Event, Market, Order, Trade

EXECUTION = {"new": "NEW", "trade": "TRADE", "canceled": "CANCELED", "expired": "EXPIRED", "amended": "REPLACED"}
NO_PREVENTION = {"selfTradePreventionMode": "EXPIRE_MAKER"}


def number(value: Decimal | None) -> str:
    return f"{value or Decimal(0):.8f}"


def exchange_info(exchange: Exchange) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "serverTime": exchange.time(),
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [_symbol(market) for market in exchange.markets.values()],
    }


def _symbol(market: Market) -> dict[str, Any]:
    lot = {"minQty": number(market.min_qty), "maxQty": number(market.max_qty), "stepSize": number(market.lot)}
    return {
        "symbol": market.symbol,
        "status": market.status,
        "baseAsset": market.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": number(market.tick),
                "maxPrice": "1000000.00000000",
                "tickSize": number(market.tick),
            },
            {"filterType": "LOT_SIZE", **lot},
            {"filterType": "MARKET_LOT_SIZE", **lot, "stepSize": "0.00000000", "minQty": "0.00000000"},
            {
                "filterType": "NOTIONAL",
                "minNotional": number(market.min_notional),
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
    }


def depth(exchange: Exchange, symbol: str, limit: int, update_id: int) -> dict[str, Any]:
    bids, asks = exchange.book(symbol)
    return {"lastUpdateId": update_id, "bids": levels(bids[:limit]), "asks": levels(asks[:limit])}


def levels(side: list[Level]) -> list[list[str]]:
    return [[number(price), number(quantity)] for price, quantity in side]


def top(exchange: Exchange, symbol: str) -> tuple[Level, Level]:
    """Return best bid and ask; a side that is eaten up is zeros."""
    bids, asks = exchange.book(symbol)
    nothing = (Decimal(0), Decimal(0))
    return (bids[0] if bids else nothing, asks[0] if asks else nothing)


def book_ticker(exchange: Exchange, symbol: str) -> dict[str, Any]:
    (bid, bid_size), (ask, ask_size) = top(exchange, symbol)
    return {
        "symbol": symbol,
        "bidPrice": number(bid),
        "bidQty": number(bid_size),
        "askPrice": number(ask),
        "askQty": number(ask_size),
    }


def ticker(exchange: Exchange, symbol: str) -> dict[str, Any]:
    market, now = exchange.market(symbol), exchange.time()
    last = number(market.mid)
    zero = number(None)
    return {
        **book_ticker(exchange, symbol),
        "priceChange": zero,
        "priceChangePercent": "0.000",
        "weightedAvgPrice": last,
        "prevClosePrice": last,
        "lastPrice": last,
        "lastQty": number(market.min_qty),
        "openPrice": last,
        "highPrice": last,
        "lowPrice": last,
        "volume": zero,
        "quoteVolume": zero,
        "openTime": now - 86_400_000,
        "closeTime": now,
        "firstId": -1,
        "lastId": -1,
        "count": 0,
    }


def account(exchange: Exchange) -> dict[str, Any]:
    maker, taker = number(exchange.policy.maker_fee), number(exchange.policy.taker_fee)
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": maker, "taker": taker, "buyer": number(None), "seller": number(None)},
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": exchange.time(),
        "accountType": "SPOT",
        "balances": [
            {"asset": currency, "free": number(free), "locked": number(locked)}
            for currency, (free, locked) in exchange.balances().items()
        ],
        "permissions": ["SPOT"],
        "uid": 1,
    }


def order_type(order: Order) -> str:
    return "LIMIT_MAKER" if order.post_only else order.type


def time_in_force(order: Order) -> str:
    return "GTC" if order.type == "MARKET" else order.time_in_force


def _core(order: Order) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "price": number(order.price),
        "origQty": number(order.quantity),
        "executedQty": number(order.filled),
        "origQuoteOrderQty": number(order.quote_quantity),
        "cummulativeQuoteQty": number(order.quote_filled),
        "status": order.status,
        "timeInForce": time_in_force(order),
        "type": order_type(order),
        "side": order.side,
        **NO_PREVENTION,
    }


def order_state(order: Order) -> dict[str, Any]:
    """Return what a look-up shows."""
    return {
        **_core(order),
        "stopPrice": number(None),
        "icebergQty": number(None),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": True,
        "workingTime": order.created_ms,
    }


def order_answer(order: Order, trades: tuple[Trade, ...], kind: str) -> dict[str, Any]:
    """Return what placing answers: ACK, RESULT or FULL."""
    if kind == "ACK":
        core = {"symbol": order.symbol, "orderId": order.id, "orderListId": -1, "clientOrderId": order.client_id}
        return {**core, "transactTime": order.updated_ms}
    answer = {**_core(order), "transactTime": order.updated_ms, "workingTime": order.created_ms}
    return answer if kind == "RESULT" else {**answer, "fills": [_fill(trade) for trade in trades]}


def _fill(trade: Trade) -> dict[str, Any]:
    return {
        "price": number(trade.price),
        "qty": number(trade.quantity),
        "commission": number(trade.fee),
        "commissionAsset": trade.fee_currency,
        "tradeId": trade.id,
    }


def cancel_answer(order: Order, request_id: str) -> dict[str, Any]:
    """Return what cancelling answers: under clientOrderId the request's own id, the order's beside it."""
    ids = {"origClientOrderId": order.client_id, "clientOrderId": request_id}
    return {**_core(order), **ids, "transactTime": order.updated_ms}


def amend_answer(order: Order, old_client_id: str, execution_id: int) -> dict[str, Any]:
    amended = {**_core(order), "origClientOrderId": old_client_id, "workingTime": order.created_ms}
    amended["qty"] = amended.pop("origQty")
    amended["quoteOrderQty"] = amended.pop("origQuoteOrderQty")
    amended["cumulativeQuoteQty"] = amended.pop("cummulativeQuoteQty")  # Binance spells it both ways
    amended["preventedQty"] = number(None)
    return {"transactTime": order.updated_ms, "executionId": execution_id, "amendedOrder": amended}


def my_trade(trade: Trade) -> dict[str, Any]:
    return {
        "symbol": trade.symbol,
        "id": trade.id,
        "orderId": trade.order_id,
        "orderListId": -1,
        "price": number(trade.price),
        "qty": number(trade.quantity),
        "quoteQty": number(trade.price * trade.quantity),
        "commission": number(trade.fee),
        "commissionAsset": trade.fee_currency,
        "time": trade.at_ms,
        "isBuyer": trade.side == "BUY",
        "isMaker": trade.maker,
        "isBestMatch": True,
    }


def execution_report(event: Event, execution_id: int, now: int) -> dict[str, Any]:
    order, trade = event.order, event.trade
    report: dict[str, Any] = {
        "e": "executionReport",
        "E": now,
        "s": order.symbol,
        "c": event.request_id or order.client_id,
        "S": order.side,
        "o": order_type(order),
        "f": time_in_force(order),
        "q": number(order.quantity),
        "p": number(order.price),
        "P": number(None),
        "F": number(None),
        "g": -1,
        "C": order.client_id if event.request_id else event.old_client_id,
        "x": EXECUTION[event.kind],
        "X": order.status,
        "r": "NONE",
        "i": order.id,
        "l": number(trade.quantity if trade else None),
        "z": number(order.filled),
        "L": number(trade.price if trade else None),
        "n": number(trade.fee) if trade else "0",
        "N": trade.fee_currency if trade else None,
        "T": event.at_ms,
        "t": trade.id if trade else -1,
        "I": execution_id,
        "w": order.is_open and order.time_in_force == "GTC",
        "m": trade.maker if trade else False,
        "M": trade is not None,
        "O": order.created_ms,
        "Z": number(order.quote_filled),
        "Y": number(trade.price * trade.quantity if trade else None),
        "Q": number(order.quote_quantity),
        "V": "EXPIRE_MAKER",
    }
    return report | ({"W": order.created_ms} if report["w"] else {})


def account_position(exchange: Exchange, currencies: tuple[str, ...], at_ms: int) -> dict[str, Any]:
    held = [(name, exchange.free[name], exchange.locked[name]) for name in currencies]
    return {
        "e": "outboundAccountPosition",
        "E": exchange.time(),
        "u": at_ms,
        "B": [{"a": name, "f": number(free), "l": number(locked)} for name, free, locked in held],
    }


def balance_update(currency: str, change: Decimal, now: int) -> dict[str, Any]:
    return {"e": "balanceUpdate", "E": now, "a": currency, "d": number(change), "T": now}
