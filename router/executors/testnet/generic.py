"""Any other venue in ccxt's words, believing little: an order that is not shown may still exist.

Nothing of these venues was measured, so nothing they leave out counts as proof, nothing is changed in place, and an
order whose venue id is unknown is cancelled only once it is seen among the open ones.
This module must not know any one venue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

import msgspec

from router.domain.enums import ExecutionStatus, OrderType
from router.domain.order import Order, Replacement
from router.domain.venue import VenueOrder, VenueTrade
from router.executors.testnet.dialect import (
    LEEWAY,
    TAKES_OR_ENDS,
    CcxtDialect,
    NoProofError,
    UnsupportedAmendError,
    built,
    check_exact,
    check_takable,
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
    side_of,
    standing,
    time_in_force,
    unexplained,
)

S = ExecutionStatus

_SAID: Final[Mapping[str | None, ExecutionStatus]] = MappingProxyType(
    {
        "open": S.SUBMITTED,
        "canceling": S.SUBMITTED,
        "closed": S.FILLED,
        "canceled": S.CANCELLED,
        "expired": S.EXPIRED,
        "rejected": S.REJECTED,
    }
)
_HISTORIES: Final = (
    "fetch_canceled_and_closed_orders",
    "fetch_closed_orders",
    "fetch_canceled_orders",
    "fetch_orders",
)
_UNVERIFIED: Final = (
    "The profile is generic and not verified: what the venue does not show is never taken for absent, "
    "and no order is amended in place"
)
_NO_ANSWER: Final = ("OrderNotFound", "ArgumentsRequired", "NotSupported")
"""What a look-up may end with when the venue has no such list, or nothing on it: then another one is searched."""
_GATE_PREFIX: Final = "t-"
"""Gate puts it before client ids and gives it back."""


class GenericDialect(CcxtDialect):
    """Speaks through ccxt's unified calls."""

    notes: Sequence[str] = (_UNVERIFIED,)
    costs: Mapping[str, float] = MappingProxyType(
        {
            "load": 1,
            "create": 1,
            "cancel": 1,
            "amend": 1,
            "open_orders": 1,
            "find": 4,
            "trades_of": 1,
            "trades_since": 1,
            "balances": 1,
        }
    )

    async def create(self, order: Order) -> tuple[VenueOrder, Sequence[VenueTrade]]:
        check_takable(order)
        quantity, price = plain(order.quantity), plain(limit_price(order))
        sent = built(lambda: self._ex.amount_to_precision(order.symbol, quantity))
        check_exact("quantity", order.quantity, sent)
        check_exact("price", limit_price(order), built(lambda: self._ex.price_to_precision(order.symbol, price)))
        params: dict[str, Any] = {"clientOrderId": order.client_order_id}
        if order.post_only:
            params["postOnly"] = True
        elif order.order_type is OrderType.LIMIT and order.time_in_force in TAKES_OR_ENDS:
            params["timeInForce"] = time_in_force(order)
        answer = await self._ex.create_order(
            order.symbol, str(order.order_type), str(order.side), quantity, price, params
        )
        if not answer.get("id"):
            return unexplained(order), ()
        shown = msgspec.structs.replace(self._order(order, answer), client_order_id=order.client_order_id)
        if shown.status is None:  # an acknowledgement; ccxt may have guessed 0 for what it does not show
            shown = msgspec.structs.replace(shown, status=S.SUBMITTED, filled_quantity=None)
        return shown, ()  # the trades that some answers bring lack what a trade must have; a look-up brings them

    async def cancel(self, order: Order) -> VenueOrder | None:
        venue_order_id = order.venue_order_id or await self._id_among_open(order)
        answer = await self._ex.cancel_order(venue_order_id, order.symbol)
        if not answer.get("id") or _SAID.get(answer.get("status")) in (None, S.SUBMITTED):
            return None
        return msgspec.structs.replace(self._order(order, answer), client_order_id=order.client_order_id)

    async def _id_among_open(self, order: Order) -> str:
        shown = self._ours(order, await self._open(order.symbol))
        if shown is None:
            raise NoProofError("the venue's id of the order is not known, and it is not among the open orders")
        return str(shown["id"])

    async def amend(self, order: Order, asked: Replacement) -> VenueOrder | None:
        del order, asked
        raise UnsupportedAmendError("no order is changed in place at a venue of the generic profile")

    async def open_orders(self, symbol: str) -> list[VenueOrder]:
        found = await self._open(symbol)
        limit = self._page("fetchOpenOrders")
        if limit is not None and len(found) >= limit:
            raise NoProofError(f"the venue lists {limit} open orders at most, and it lists that many")
        return [self._order(None, each) for each in found]

    async def find(self, order: Order) -> VenueOrder | None:
        shown = self._ours(order, await self._open(order.symbol))
        if shown is None and order.venue_order_id is not None:
            shown = await self._by_id(order.symbol, order.venue_order_id)
        for history in _HISTORIES:
            if shown is None:
                since = milliseconds(order.created_at - LEEWAY)
                shown = self._ours(order, await self._tried(history, order.symbol, since) or ())
        if shown is None:
            raise NoProofError("the venue does not show the order, which proves nothing for a generic profile")
        return msgspec.structs.replace(self._order(order, shown), client_order_id=order.client_order_id)

    async def name_of(self, symbol: str, venue_order_id: str) -> str | None:
        shown = await self._by_id(symbol, venue_order_id)
        return _name(shown) if shown else None

    async def _by_id(self, symbol: str, venue_order_id: str) -> dict[str, Any] | None:
        answer = await self._tried("fetch_order", venue_order_id, symbol)
        return None if answer is None else record(answer, "id")

    async def _tried(self, call: str, *args: object) -> Any:
        """Return what one of ccxt's look-ups brings; None when the venue has no such list, or nothing on it."""
        try:
            return await getattr(self._ex, call)(*args)
        except Exception as error:
            if any(is_named(error, name) for name in _NO_ANSWER):
                return None
            raise

    async def trades_of(self, order: Order, venue_order_id: str) -> list[VenueTrade]:
        found = await self._trades_from(order.symbol, order.created_at - LEEWAY)
        return [each for each in found if each.venue_order_id == venue_order_id]

    async def trades_since(self, symbol: str, since: datetime) -> list[VenueTrade]:
        return await self._trades_from(symbol, since)

    async def _trades_from(self, symbol: str, since: datetime) -> list[VenueTrade]:
        """Return the trades from ``since`` on, asking on from the last one until nothing new comes."""
        found: dict[str, VenueTrade] = {}
        start = milliseconds(since)
        while True:
            page = await self._ex.fetch_my_trades(symbol, start)
            fresh = [trade for each in page if (trade := self._trade(each)).trade_id not in found]
            if not fresh:
                return list(found.values())
            found |= {trade.trade_id: trade for trade in fresh}
            start = max(start, *(milliseconds(trade.at) for trade in fresh))

    async def balances(self) -> dict[str, Decimal]:
        totals = record(await self._ex.fetch_balance(), "total")["total"]
        return {currency: needed(total) for currency, total in totals.items() if total is not None}

    async def watch_orders(self) -> list[VenueOrder]:
        return [self._order(None, each) for each in await self._ex.watch_orders()]

    async def watch_trades(self) -> list[VenueTrade]:
        return [self._trade(each) for each in await self._ex.watch_my_trades()]

    # -- what ccxt makes of the venue's words ----------------------------------------------------------------

    def _page(self, claim: str) -> int | None:
        spot = (self._ex.features or {}).get("spot") or {}
        limit: int | None = (spot.get(claim) or {}).get("limit")
        return limit

    async def _open(self, symbol: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._ex.fetch_open_orders(symbol)
        return found

    @staticmethod
    def _ours(order: Order, shown: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        for each in shown:
            if _name(each) == order.client_order_id or each["id"] == order.venue_order_id:
                return each
        return None

    def _order(self, order: Order | None, raw: Mapping[str, Any]) -> VenueOrder:
        quantity, filled = positive(raw["amount"]), number(raw["filled"])
        said = _SAID.get(raw["status"])
        if said is S.FILLED and filled is not None and quantity is not None and filled < quantity:
            said = S.CANCELLED  # ccxt's "closed" is only an end
        ends_at_once = order.time_in_force if order is not None else raw.get("timeInForce")
        if said is S.CANCELLED and ends_at_once in TAKES_OR_ENDS:
            said = S.EXPIRED
        return VenueOrder(
            symbol=raw["symbol"] or (order.symbol if order else ""),
            client_order_id=_name(raw),
            venue_order_id=raw["id"],
            status=standing(said, filled, quantity),
            at=moment(
                raw["lastUpdateTimestamp"],
                raw["lastTradeTimestamp"],
                raw["timestamp"],
                milliseconds(order.created_at) if order else None,
            ),
            side=side_of(raw["side"]),
            quantity=quantity,
            filled_quantity=filled,
            price=positive(raw["price"]),
        )

    @staticmethod
    def _trade(raw: Mapping[str, Any]) -> VenueTrade:
        record(raw, "id")  # without ids, trades could not be told from each other
        fee, role = raw.get("fee") or {}, raw.get("takerOrMaker")
        return VenueTrade(
            symbol=raw["symbol"],
            trade_id=str(raw["id"]),
            venue_order_id=str(raw["order"]),
            side=needed_side(raw["side"]),
            quantity=needed(raw["amount"]),
            price=needed(raw["price"]),
            at=moment(raw["timestamp"]),
            fee=number(fee.get("cost")),
            fee_currency=fee.get("currency"),
            liquidity=None if role is None else liquidity(maker=role == "maker"),
        )


def _name(raw: Mapping[str, Any]) -> str | None:
    name = raw.get("clientOrderId")
    return str(name).removeprefix(_GATE_PREFIX) if name else None
