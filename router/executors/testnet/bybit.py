"""Bybit v5 spot in its own words: acknowledgements that show nothing, and client ids that are unique for ever.

Look-ups are lists filtered by orderLinkId, open orders first and then history; ccxt's own look-ups by id would send
``orderId=None`` and answer with a false OrderNotFound. History forgets cancelled orders after a day.
This module must not know when to ask, or what an answer means for the router's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from router.domain.enums import ExecutionStatus, OrderType
from router.domain.order import Order, Replacement
from router.domain.venue import VenueOrder, VenueTrade
from router.executors.testnet.dialect import (
    LEEWAY,
    TAKES_OR_ENDS,
    CcxtDialect,
    NoProofError,
    built,
    check_exact,
    check_takable,
    has,
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

_REALTIME, _HISTORY, _TRADES = "v5/order/realtime", "v5/order/history", "v5/execution/list"
_PAGE: Final = {_REALTIME: 50, _HISTORY: 50, _TRADES: 100}
_WEEK_MS: Final = 7 * 86_400_000
"""The longest stretch that may be asked for by time; without a time only the last one is answered."""
_REMEMBERED: Final = timedelta(hours=23)
"""For how long history surely shows an order that was cancelled or rejected: the venue says 24 hours."""
_SAID: Final[Mapping[str, ExecutionStatus]] = MappingProxyType(
    {
        "Created": S.SUBMITTED,
        "New": S.SUBMITTED,
        "PartiallyFilled": S.SUBMITTED,
        "Untriggered": S.SUBMITTED,
        "Triggered": S.SUBMITTED,
        "Active": S.SUBMITTED,
        "PendingCancel": S.SUBMITTED,
        "Filled": S.FILLED,
        "PartiallyFilledCanceled": S.CANCELLED,
        "Cancelled": S.CANCELLED,
        "Deactivated": S.CANCELLED,
        "Rejected": S.REJECTED,
    }
)
_WOULD_TAKE: Final = "EC_PostOnlyWillTakeLiquidity"
_NO_REASON: Final = frozenset({None, "", "EC_NoError", "UNKNOWN"})
_SPOT: Final = {"category": "spot"}


class BybitDialect(CcxtDialect):
    """Speaks Bybit v5, unified account, spot without leverage."""

    costs: Mapping[str, float] = MappingProxyType(
        {
            "load": 1,
            "create": 1,
            "cancel": 1,
            "amend": 1,
            "open_orders": 1,
            "find": 2,
            "trades_of": 1,
            "trades_since": 1,
            "balances": 1,
        }
    )

    async def create(self, order: Order) -> tuple[VenueOrder, Sequence[VenueTrade]]:
        answer = await self.ask("POST", "v5/order/create", self._request(order))
        if not has(answer, "result") or not has(answer["result"], "orderId"):
            return unexplained(order), ()
        shown = VenueOrder(
            symbol=order.symbol,
            client_order_id=order.client_order_id,
            venue_order_id=str(answer["result"]["orderId"]),
            status=S.SUBMITTED,
            at=moment(answer.get("time")),
        )
        return shown, ()

    def _request(self, order: Order) -> dict[str, Any]:
        check_takable(order)
        params: dict[str, Any] = {"orderLinkId": order.client_order_id, "isLeverage": 0}
        if order.order_type is OrderType.LIMIT:
            params["timeInForce"] = "PostOnly" if order.post_only else time_in_force(order)
        price = limit_price(order)  # with a price, a market buy's quantity would be sent in quote units
        request: dict[str, Any] = built(
            lambda: self._ex.create_order_request(
                order.symbol, str(order.order_type), str(order.side), plain(order.quantity), plain(price), params, True
            )
        )
        check_exact("quantity", order.quantity, request.get("qty"))
        check_exact("price", price, request.get("price"))
        return request

    async def cancel(self, order: Order) -> VenueOrder | None:
        request = built(lambda: self._ex.cancel_order_request(None, order.symbol, self._named(order)))
        await self.ask("POST", "v5/order/cancel", request)
        return None

    async def amend(self, order: Order, asked: Replacement) -> VenueOrder | None:
        quantity, price = plain(asked.quantity), plain(asked.price)
        request = built(
            lambda: self._ex.edit_order_request(
                None, order.symbol, str(order.order_type), str(order.side), quantity, price, self._named(order)
            )
        )
        check_exact("quantity", asked.quantity, request.get("qty"))
        check_exact("price", asked.price, request.get("price"))
        await self.ask("POST", "v5/order/amend", request)
        return None

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        return [self._order(symbol, each) for each in await self._pages(_REALTIME, symbol, {})]

    async def find(self, order: Order) -> VenueOrder | None:
        name = self._named(order)
        found = await self._pages(_REALTIME, order.symbol, name)
        if not found:
            found = await self._since(_HISTORY, order.symbol, order.created_at - LEEWAY, name)
        for each in found:
            if each.get("orderLinkId") == order.client_order_id:
                return self._order(order.symbol, each)
        if moment(self._ex.nonce()) - order.created_at > _REMEMBERED:
            raise NoProofError("Bybit shows cancelled orders for a day only: that it shows none proves nothing")
        return None

    async def name_of(self, symbol: str, venue_order_id: str) -> str | None:
        name = {"orderId": venue_order_id}
        found = await self._pages(_REALTIME, symbol, name) or await self._pages(_HISTORY, symbol, name)
        return found[0].get("orderLinkId") or None if found else None

    async def trades_of(self, order: Order, venue_order_id: str) -> list[VenueTrade]:
        only = {"orderId": venue_order_id, "execType": "Trade"}
        found = await self._since(_TRADES, order.symbol, order.created_at - LEEWAY, only)
        return [self._trade(order.symbol, each) for each in found]

    async def trades_since(self, symbol: str, since: datetime) -> list[VenueTrade]:
        found = await self._since(_TRADES, symbol, since, {"execType": "Trade"})
        return [self._trade(symbol, each) for each in found]

    async def balances(self) -> dict[str, Decimal]:
        accounts = self._list(await self.ask("GET", "v5/account/wallet-balance", {"accountType": "UNIFIED"}))
        return {
            str(self.currency(each["coin"])): needed(each["walletBalance"] or 0)
            for account in accounts
            for each in rows(account.get("coin"))
        }

    async def watch_orders(self) -> list[VenueOrder]:
        return [self._order(each["symbol"], each["info"]) for each in await self._ex.watch_orders()]

    async def watch_trades(self) -> list[VenueTrade]:
        return [self._trade(each["symbol"], each["info"]) for each in await self._ex.watch_my_trades()]

    # -- lists -----------------------------------------------------------------------------------------------

    async def _since(self, path: str, symbol: str, since: datetime, only: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what the list holds from ``since`` on, a week at a time."""
        found: list[dict[str, Any]] = []
        start, now = milliseconds(since), int(self._ex.nonce())
        while start <= now:
            found += await self._pages(path, symbol, {**only, "startTime": start, "endTime": start + _WEEK_MS - 1})
            start += _WEEK_MS
        return found

    async def _pages(self, path: str, symbol: str, only: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return every page of a list; raises NoProofError when a page leads nowhere."""
        params = {**_SPOT, "symbol": self._ex.market_id(symbol), "limit": _PAGE[path], **only}
        found: list[dict[str, Any]] = []
        seen: set[str] = set()
        while True:
            answer = await self.ask("GET", path, params)
            page = self._list(answer)
            found += page
            cursor = answer["result"].get("nextPageCursor")
            if not cursor or not page:
                return found
            if cursor in seen:
                raise NoProofError("the venue's list goes round in a circle")
            seen.add(cursor)
            params["cursor"] = cursor

    @staticmethod
    def _list(answer: object) -> list[dict[str, Any]]:
        return rows(record(record(answer, "result")["result"], "list")["list"])

    @staticmethod
    def _named(order: Order) -> dict[str, Any]:
        return {"orderLinkId": order.client_order_id}

    # -- what the venue writes -------------------------------------------------------------------------------

    def _order(self, symbol: str, raw: Mapping[str, Any]) -> VenueOrder:
        quantity, filled = _base_quantity(raw), number(raw.get("cumExecQty"))
        status = standing(_said(raw), filled, quantity)
        reasons = (raw.get("rejectReason"), raw.get("cancelType"))
        return VenueOrder(
            symbol=symbol,
            client_order_id=raw.get("orderLinkId") or None,
            venue_order_id=str(raw["orderId"]),
            status=status,
            at=moment(raw.get("updatedTime"), raw.get("createdTime")),
            side=side_of(raw.get("side")),
            quantity=quantity,
            filled_quantity=filled,
            price=positive(raw.get("price")),
            reason=next((each for each in reasons if each not in _NO_REASON), None),
        )

    def _trade(self, symbol: str, raw: Mapping[str, Any]) -> VenueTrade:
        fee_currency = raw.get("feeCurrency") or raw.get("feeCoin") or self._fee_currency(symbol, raw)
        return VenueTrade(
            symbol=symbol,
            trade_id=str(raw["execId"]),
            venue_order_id=str(raw["orderId"]),
            side=needed_side(raw["side"]),
            quantity=needed(raw["execQty"]),
            price=needed(raw["execPrice"]),
            at=moment(raw["execTime"]),
            client_order_id=raw.get("orderLinkId") or None,
            fee=number(raw.get("execFee")),
            fee_currency=self.currency(fee_currency),
            liquidity=liquidity(maker=raw["isMaker"]),
        )

    def _fee_currency(self, symbol: str, raw: Mapping[str, Any]) -> str | None:
        """Return what ccxt knows of Bybit's rule: a fee is taken from what was received, a rebate from the other."""
        fee = self._ex.parse_trade(dict(raw), self._ex.market(symbol))["fee"]
        found: str | None = fee["currency"] if fee else None
        return found


def _said(raw: Mapping[str, Any]) -> ExecutionStatus | None:
    said = _SAID.get(raw.get("orderStatus", ""))
    if said is not S.CANCELLED:
        return said
    if raw.get("rejectReason") == _WOULD_TAKE:
        return S.REJECTED
    return S.EXPIRED if raw.get("timeInForce") in TAKES_OR_ENDS else said


def _base_quantity(raw: Mapping[str, Any]) -> Decimal | None:
    """Return the order's quantity; None when it is, or may be, quote units (a market order that is not ours)."""
    unit = raw.get("marketUnit")
    is_quote = unit == "quoteCoin" or (not unit and raw.get("orderType") == "Market" and raw.get("side") == "Buy")
    return None if is_quote else positive(raw.get("qty"))
