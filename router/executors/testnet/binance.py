"""Binance spot in its own words: full answers, client ids that a cancel renames, and amendments downwards only.

A client id is unique among open orders only, so nothing here ever sends an order's id twice. Raw answers are read, not
ccxt's picture of them, which guesses 0 for quantities that are not told and calls a cancel by its own id.
This module must not know when to ask, or what an answer means for the router's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

import msgspec

from router.domain.enums import ExecutionStatus, OrderType
from router.domain.market import Instrument
from router.domain.order import Order, Replacement
from router.domain.venue import VenueOrder, VenueTrade
from router.executors.testnet.dialect import (
    CcxtDialect,
    NoProofError,
    UnsupportedAmendError,
    built,
    check_exact,
    check_takable,
    has,
    is_named,
    limit_price,
    liquidity,
    milliseconds,
    moment,
    needed,
    needed_side,
    number,
    plain,
    positive,
    record,
    rows,
    side_of,
    standing,
    time_in_force,
    unexplained,
)

S = ExecutionStatus

_PAGE: Final = 1000
_DAY_MS: Final = 86_400_000
"""The longest stretch of trades that may be asked for by time."""
_SAID: Final[Mapping[str, ExecutionStatus]] = MappingProxyType(
    {
        "NEW": S.SUBMITTED,
        "PENDING_NEW": S.SUBMITTED,
        "PARTIALLY_FILLED": S.SUBMITTED,
        "PENDING_CANCEL": S.SUBMITTED,
        "FILLED": S.FILLED,
        "CANCELED": S.CANCELLED,
        "REJECTED": S.REJECTED,
        "EXPIRED": S.EXPIRED,
        "EXPIRED_IN_MATCH": S.EXPIRED,
    }
)
_NO_REASON: Final = frozenset({None, "", "NONE"})
_ONLY_LESS: Final = "Binance spot changes only to a lower quantity in place; cancel and send a new order"


class BinanceDialect(CcxtDialect):
    """Speaks Binance spot."""

    costs: Mapping[str, float] = MappingProxyType(
        {
            "load": 20,
            "create": 1,
            "cancel": 1,
            "amend": 4,
            "open_orders": 6,
            "find": 4,
            "trades_of": 5,
            "trades_since": 20,
            "balances": 20,
        }
    )

    async def create(self, order: Order) -> tuple[VenueOrder, Sequence[VenueTrade]]:
        answer = await self.ask("POST", "order", self._request(order))
        if not has(answer, "orderId"):
            return unexplained(order), ()
        shown = self._order(order.symbol, answer)
        return shown, tuple(self._fill(order, shown, fill) for fill in answer.get("fills", ()))

    def _request(self, order: Order) -> dict[str, Any]:
        check_takable(order)
        params: dict[str, Any] = {"newClientOrderId": order.client_order_id}
        if order.post_only:
            params["postOnly"] = True  # becomes LIMIT_MAKER, which takes no time in force
        elif order.order_type is OrderType.LIMIT:
            params["timeInForce"] = time_in_force(order)
        price = limit_price(order)
        request: dict[str, Any] = built(
            lambda: self._ex.create_order_request(
                order.symbol, str(order.order_type), str(order.side), plain(order.quantity), plain(price), params
            )
        )
        check_exact("quantity", order.quantity, request.get("quantity"))
        check_exact("price", price, request.get("price"))
        return request

    async def cancel(self, order: Order) -> VenueOrder | None:
        answer = await self.ask("DELETE", "order", self._named(order))
        return self._order(order.symbol, answer) if has(answer, "orderId") else None

    async def amend(self, order: Order, asked: Replacement) -> VenueOrder | None:
        if asked.price != limit_price(order) or asked.quantity >= order.quantity:
            raise UnsupportedAmendError(_ONLY_LESS)
        quantity = built(lambda: self._ex.amount_to_precision(order.symbol, plain(asked.quantity)))
        check_exact("quantity", asked.quantity, quantity)
        keep = {"newQty": quantity, "newClientOrderId": order.client_order_id}  # it would get a new id otherwise
        answer = await self.ask("PUT", "order/amend/keepPriority", self._named(order) | keep)
        if not has(answer, "amendedOrder"):
            return None
        return self._order(order.symbol, answer["amendedOrder"] | {"transactTime": answer.get("transactTime")})

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        answer = rows(await self.ask("GET", "openOrders", {"symbol": self._ex.market_id(symbol)}))
        return [self._order(symbol, record(each, "orderId")) for each in answer]

    async def find(self, order: Order) -> VenueOrder | None:
        answer = await self._query(self._named(order))
        if answer is None:
            return None
        return msgspec.structs.replace(self._order(order.symbol, answer), client_order_id=order.client_order_id)

    async def name_of(self, symbol: str, venue_order_id: str) -> str | None:
        answer = await self._query({"symbol": self._ex.market_id(symbol), "orderId": venue_order_id})
        return answer["clientOrderId"] if answer else None

    async def _query(self, params: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            return record(await self.ask("GET", "order", params), "orderId")
        except Exception as error:
            if is_named(error, "OrderNotFound"):
                return None
            raise

    async def trades_of(self, order: Order, venue_order_id: str) -> list[VenueTrade]:
        params = {"symbol": self._ex.market_id(order.symbol), "orderId": venue_order_id, "limit": _PAGE}
        found = page = rows(await self.ask("GET", "myTrades", params))
        while len(page) >= _PAGE:
            page = rows(await self.ask("GET", "myTrades", params | {"fromId": int(page[-1]["id"]) + 1}))
            found = found + page
        return [self._trade(order.symbol, each) for each in found]

    async def trades_since(self, symbol: str, since: datetime) -> list[VenueTrade]:
        found: list[VenueTrade] = []
        start, now = milliseconds(since), int(self._ex.nonce())
        while start <= now:
            end = start + _DAY_MS - 1
            found += await self._trades_between(symbol, start, end)
            start = end + 1
        return found

    async def _trades_between(self, symbol: str, start: int, end: int) -> list[VenueTrade]:
        """Return the trades of a stretch; a full page leaves open what is missing, so it is asked for in halves."""
        params = {"symbol": self._ex.market_id(symbol), "startTime": start, "endTime": end, "limit": _PAGE}
        page = rows(await self.ask("GET", "myTrades", params))
        if len(page) < _PAGE:
            return [self._trade(symbol, each) for each in page]
        if start == end:
            raise NoProofError(f"{_PAGE} trades or more in one millisecond cannot be told apart")
        middle = (start + end) // 2
        earlier = await self._trades_between(symbol, start, middle)
        return earlier + await self._trades_between(symbol, middle + 1, end)

    async def balances(self) -> dict[str, Decimal]:
        answer = record(await self.ask("GET", "account", {}), "balances")
        return {
            str(self.currency(each["asset"])): needed(each["free"]) + needed(each["locked"])
            for each in rows(answer["balances"])
        }

    def instrument(self, symbol: str) -> Instrument | None:
        found = super().instrument(symbol)
        if found is not None and self._ex.markets[symbol]["info"].get("isSpotTradingAllowed") is False:
            return msgspec.structs.replace(found, tradable=False)
        return found

    async def watch_orders(self) -> list[VenueOrder]:
        return [self._heard(each["symbol"], each["info"]) for each in await self._ex.watch_orders()]

    async def watch_trades(self) -> list[VenueTrade]:
        return [self._heard_trade(each["symbol"], each["info"]) for each in await self._ex.watch_my_trades()]

    def _named(self, order: Order) -> dict[str, Any]:
        return {"symbol": self._ex.market_id(order.symbol), "origClientOrderId": order.client_order_id}

    # -- what the venue writes -------------------------------------------------------------------------------

    def _order(self, symbol: str, raw: Mapping[str, Any]) -> VenueOrder:
        quantity, filled = positive(raw.get("origQty", raw.get("qty"))), number(raw.get("executedQty"))
        return VenueOrder(
            symbol=symbol,
            client_order_id=raw.get("origClientOrderId") or raw.get("clientOrderId"),
            venue_order_id=str(raw["orderId"]),
            status=standing(_SAID.get(raw.get("status", "")), filled, quantity),
            at=moment(raw.get("transactTime"), raw.get("updateTime"), raw.get("time")),
            side=side_of(raw.get("side")),
            quantity=quantity,
            filled_quantity=filled,
            price=positive(raw.get("price")),
        )

    def _fill(self, order: Order, shown: VenueOrder, raw: Mapping[str, Any]) -> VenueTrade:
        """Return a trade that the answer to a new order brings: what trades at once has taken."""
        assert shown.venue_order_id is not None
        return VenueTrade(
            symbol=order.symbol,
            trade_id=str(raw["tradeId"]),
            venue_order_id=shown.venue_order_id,
            side=order.side,
            quantity=needed(raw["qty"]),
            price=needed(raw["price"]),
            at=shown.at,
            client_order_id=order.client_order_id,
            fee=number(raw.get("commission")),
            fee_currency=self.currency(raw.get("commissionAsset")),
            liquidity=liquidity(maker=False),
        )

    def _trade(self, symbol: str, raw: Mapping[str, Any]) -> VenueTrade:
        return VenueTrade(
            symbol=symbol,
            trade_id=str(raw["id"]),
            venue_order_id=str(raw["orderId"]),
            side=needed_side("buy" if raw["isBuyer"] else "sell"),
            quantity=needed(raw["qty"]),
            price=needed(raw["price"]),
            at=moment(raw["time"]),
            fee=number(raw.get("commission")),
            fee_currency=self.currency(raw.get("commissionAsset")),
            liquidity=liquidity(maker=raw["isMaker"]),
        )

    def _heard(self, symbol: str, raw: Mapping[str, Any]) -> VenueOrder:
        """Return an executionReport's order; ``C`` is its own id where ``c`` is that of the cancel or amendment."""
        quantity, filled = positive(raw["q"]), number(raw["z"])
        renamed = raw.get("C")
        return VenueOrder(
            symbol=symbol,
            client_order_id=raw["c"] if renamed in (None, "", "null") else renamed,
            venue_order_id=str(raw["i"]),
            status=standing(_SAID.get(raw["X"]), filled, quantity),
            at=moment(raw.get("T"), raw.get("E")),
            side=side_of(raw.get("S")),
            quantity=quantity,
            filled_quantity=filled,
            price=positive(raw.get("p")),
            reason=None if raw.get("r") in _NO_REASON else raw["r"],
        )

    def _heard_trade(self, symbol: str, raw: Mapping[str, Any]) -> VenueTrade:
        return VenueTrade(
            symbol=symbol,
            trade_id=str(raw["t"]),
            venue_order_id=str(raw["i"]),
            side=needed_side(raw["S"]),
            quantity=needed(raw["l"]),
            price=needed(raw["L"]),
            at=moment(raw.get("T"), raw.get("E")),
            client_order_id=raw["c"],
            fee=number(raw.get("n")),
            fee_currency=self.currency(raw.get("N")),
            liquidity=liquidity(maker=raw["m"]),
        )
