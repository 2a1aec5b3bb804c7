"""How a Bybit-v5-shaped venue writes its markets, orders, executions and wallet, as JSON-ready values.

Numbers are strings and empty strings stand for "not applicable", as the real one sends them. This module must not know
how a request arrives, is checked or is answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tools.loopback.exchange import CENT, Exchange
from tools.loopback.model import Market, Order, Trade

Json = dict[str, Any]

# The exchange's reason, and how the order says it: (cancelType, rejectReason).
ENDS: Mapping[str, tuple[str, str]] = {
    "": ("UNKNOWN", "EC_NoError"),
    "cancelled": ("CancelByUser", "EC_PerCancelRequest"),
    "cancelled elsewhere": ("CancelByUser", "EC_PerCancelRequest"),
    "post-only would take": ("UNKNOWN", "EC_PostOnlyWillTakeLiquidity"),
    "nothing left to take": ("UNKNOWN", "EC_NoImmediateQtyToFill"),
}
BY_THE_VENUE = ("CancelByAdmin", "EC_Others")
CONTRACT_FIELDS = {
    "isLeverage": "0",
    "positionIdx": 0,
    "orderIv": "",
    "stopOrderType": "",
    "triggerPrice": "",
    "takeProfit": "",
    "stopLoss": "",
    "tpTriggerBy": "",
    "slTriggerBy": "",
    "triggerDirection": 0,
    "triggerBy": "",
    "blockTradeId": "",
    "reduceOnly": False,
    "closeOnTrigger": False,
    "smpType": "None",
    "smpGroup": 0,
    "smpOrderId": "",
}


def text(value: Decimal | None) -> str:
    """Write a number without an exponent or trailing zeros; nothing for None."""
    if value is None:
        return ""
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def instrument(market: Market) -> Json:
    return {
        "symbol": market.symbol,
        "baseCoin": market.base,
        "quoteCoin": market.quote,
        "innovation": "0",
        "status": "Trading" if market.status == "TRADING" else "Closed",
        "marginTrading": "none",
        "lotSizeFilter": {
            "basePrecision": text(market.lot),
            "quotePrecision": "0.00000001",
            "minOrderQty": text(market.min_qty),
            "maxOrderQty": text(market.max_qty),
            "minOrderAmt": text(market.min_notional),
            "maxOrderAmt": "4000000",
        },
        "priceFilter": {"tickSize": text(market.tick)},
    }


def status_of(order: Order) -> str:
    """Return the order's status; one that ended with something filled has a name of its own on spot."""
    match order.status:
        case "NEW":
            return "New"
        case "PARTIALLY_FILLED":
            return "PartiallyFilled"
        case "FILLED":
            return "Filled"
        case _:
            return "PartiallyFilledCanceled" if order.filled else "Cancelled"


def order(order: Order, trades: Iterable[Trade]) -> Json:
    """Write an order; a market buy in quote units says its ``qty`` in them, as it was asked."""
    fees: dict[str, Decimal] = {}
    for trade in trades:
        fees[trade.fee_currency] = fees.get(trade.fee_currency, Decimal(0)) + trade.fee
    cancel_type, reject_reason = ENDS.get(order.reason, BY_THE_VENUE)
    remaining = order.remaining if order.is_open else Decimal(0)
    market_unit = ("baseCoin" if order.quote_quantity is None else "quoteCoin") if order.type == "MARKET" else ""
    return {
        "category": "spot",
        "symbol": order.symbol,
        "orderId": str(order.id),
        "orderLinkId": order.client_id,
        "side": order.side.capitalize(),
        "orderType": order.type.capitalize(),
        "price": text(order.price) or "0",
        "qty": text(order.quantity if order.quote_quantity is None else order.quote_quantity),
        "marketUnit": market_unit,
        "timeInForce": "PostOnly" if order.post_only else order.time_in_force,
        "orderStatus": status_of(order),
        "cancelType": cancel_type,
        "rejectReason": reject_reason,
        "cumExecQty": text(order.filled),
        "cumExecValue": text(order.quote_filled),
        "cumExecFee": text(sum(fees.values(), Decimal(0))),
        "cumFeeDetail": {currency: text(fee) for currency, fee in fees.items()},
        "avgPrice": text((order.quote_filled / order.filled).quantize(CENT)) if order.filled else "",
        "leavesQty": text(remaining),
        "leavesValue": text(remaining * (order.price or 0)),
        "lastPriceOnCreated": "",
        "createType": "CreateByUser",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
        **CONTRACT_FIELDS,
    }


def execution(trade: Trade, order: Order, left: Decimal) -> Json:
    """Write a trade; ``left`` is what its order had open just after it."""
    return {
        "symbol": trade.symbol,
        "orderId": str(trade.order_id),
        "orderLinkId": trade.client_id,
        "side": trade.side.capitalize(),
        "orderType": order.type.capitalize(),
        "orderPrice": text(order.price) or "0",
        "orderQty": text(order.quantity),
        "leavesQty": text(left),
        "execId": str(trade.id),
        "execType": "Trade",
        "execPrice": text(trade.price),
        "execQty": text(trade.quantity),
        "execValue": text(trade.price * trade.quantity),
        "execFee": text(trade.fee),
        "feeCurrency": trade.fee_currency,
        "feeRate": "0.001",
        "execTime": str(trade.at_ms),
        "isMaker": trade.maker,
        "stopOrderType": "",
        "isLeverage": "0",
        "blockTradeId": "",
        "markPrice": "",
        "indexPrice": "",
        "underlyingPrice": "",
        "closedSize": "",
        "seq": trade.id,
    }


def wallet(exchange: Exchange, only: frozenset[str] = frozenset()) -> Json:
    """Write the unified account; ``only``: these coins, default all that hold something."""
    coins = [
        {
            "coin": currency,
            "equity": text(free + locked),
            "walletBalance": text(free + locked),
            "locked": text(locked),
            "totalOrderIM": "0",
            "totalPositionIM": "0",
            "totalPositionMM": "0",
            "availableToWithdraw": "",
            "usdValue": "",
            "borrowAmount": "0",
            "accruedInterest": "0",
            "unrealisedPnl": "0",
            "cumRealisedPnl": "0",
            "bonus": "0",
            "spotHedgingQty": "0",
            "marginCollateral": True,
            "collateralSwitch": True,
        }
        for currency, (free, locked) in exchange.balances().items()
        if currency in only or (not only and free + locked)
    ]
    return {
        "accountType": "UNIFIED",
        "totalEquity": "",
        "totalWalletBalance": "",
        "totalMarginBalance": "",
        "totalAvailableBalance": "",
        "totalPerpUPL": "",
        "totalInitialMargin": "",
        "totalMaintenanceMargin": "",
        "accountIMRate": "",
        "accountMMRate": "",
        "accountLTV": "",
        "coin": coins,
    }


def ticker(exchange: Exchange, symbol: str) -> Json:
    bids, asks = exchange.book(symbol)
    mid = text(exchange.market(symbol).mid)
    sides: Json = {}
    for name, levels in (("bid1", bids), ("ask1", asks)):
        price, size = levels[0] if levels else (None, None)
        sides |= {f"{name}Price": text(price), f"{name}Size": text(size)}
    return {
        "symbol": symbol,
        **sides,
        "lastPrice": mid,
        "prevPrice24h": mid,
        "price24hPcnt": "0",
        "highPrice24h": mid,
        "lowPrice24h": mid,
        "turnover24h": "0",
        "volume24h": "0",
        "usdIndexPrice": mid,
    }


def book(exchange: Exchange, symbol: str, depth: int) -> Json:
    """Write the best ``depth`` levels of each side."""
    bids, asks = exchange.book(symbol)
    return {
        "s": symbol,
        "b": [[text(price), text(size)] for price, size in bids[:depth]],
        "a": [[text(price), text(size)] for price, size in asks[:depth]],
    }
