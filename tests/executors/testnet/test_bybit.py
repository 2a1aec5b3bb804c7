from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from router.domain.enums import ExecutionStatus, Liquidity, OrderSide, OrderType, TimeInForce
from router.domain.order import Order, Replacement
from router.executors.testnet.bybit import BybitDialect
from router.executors.testnet.dialect import NoProofError, RefusedHereError, is_named, moment
from tests.executors.testnet.answers import BYBIT_INFO, NOW_MS, Answers, answering
from tests.factories import NOW, D, order

S = ExecutionStatus
DAY_MS = 86_400_000

# Documented answers, with our symbol and client id in them.
ORDER: dict[str, Any] = {
    "orderId": "fd4300ae-7847-404e-b947-b46980a4d140",
    "orderLinkId": "U1",
    "blockTradeId": "",
    "symbol": "BTCUSDT",
    "price": "1600.00",
    "qty": "0.10",
    "side": "Buy",
    "isLeverage": "",
    "positionIdx": 0,
    "orderStatus": "New",
    "cancelType": "UNKNOWN",
    "rejectReason": "EC_NoError",
    "avgPrice": "0",
    "leavesQty": "0.10",
    "leavesValue": "160",
    "cumExecQty": "0.00",
    "cumExecValue": "0",
    "cumExecFee": "0",
    "timeInForce": "GTC",
    "orderType": "Limit",
    "stopOrderType": "",
    "createdTime": "1684738540559",
    "updatedTime": "1684738540561",
}
TRADE: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "orderType": "Market",
    "underlyingPrice": "",
    "orderLinkId": "U1",
    "side": "Buy",
    "stopOrderType": "UNKNOWN",
    "leavesQty": "0",
    "execTime": "1672282722429",
    "feeCurrency": "",
    "isMaker": False,
    "execFee": "0.000071409",
    "feeRate": "0.0006",
    "execId": "e0cbe81d-0f18-5866-9415-cf319b5dab3b",
    "execPrice": "1190.15",
    "execQty": "0.1",
    "execType": "Trade",
    "execValue": "119.015",
    "orderId": "1666798627926730752",
    "orderPrice": "1236.9",
    "orderQty": "0.1",
}
WALLET: dict[str, Any] = {
    "accountType": "UNIFIED",
    "totalEquity": "3.31216591",
    "coin": [
        {"coin": "BTC", "walletBalance": "0.00123456", "locked": "0.001", "equity": "0", "free": ""},
        {"coin": "USDT", "walletBalance": "", "locked": "0", "equity": "0"},
    ],
}


def result(**fields: Any) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": fields, "retExtInfo": {}, "time": NOW_MS}


def page(*entries: dict[str, Any], cursor: str = "") -> dict[str, Any]:
    return result(category="spot", list=list(entries), nextPageCursor=cursor)


ACK = result(orderId="1321003749386327552", orderLinkId="U1")


def limit(**fields: Any) -> Order:
    return order(**{"symbol": "BTC/USDT", "order_type": OrderType.LIMIT, "price": "6", **fields})


@asynccontextmanager
async def bybit() -> AsyncIterator[tuple[BybitDialect, Answers]]:
    async with answering("bybit", BYBIT_INFO) as answers:
        yield BybitDialect(answers.client), answers


@pytest.mark.asyncio
async def test_an_acknowledgement_shows_that_the_order_is_there_and_nothing_else() -> None:
    async with bybit() as (dialect, answers):
        answers.will(ACK)
        shown, trades = await dialect.create(limit())
    assert (shown.venue_order_id, shown.client_order_id) == ("1321003749386327552", "U1")
    assert (shown.status, shown.filled_quantity, shown.quantity) == (S.SUBMITTED, None, None)
    assert shown.at == NOW
    assert tuple(trades) == ()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (order(symbol="BTC/USDT", price="50000"), {"orderType": "Market", "marketUnit": "baseCoin"}),
        (
            order(symbol="BTC/USDT", side=OrderSide.SELL),
            {"orderType": "Market", "marketUnit": "baseCoin", "side": "Sell"},
        ),
        (limit(), {"orderType": "Limit", "timeInForce": "GTC", "price": "6"}),
        (limit(time_in_force=TimeInForce.GTD), {"orderType": "Limit", "timeInForce": "GTC", "price": "6"}),
        (limit(time_in_force=TimeInForce.IOC), {"orderType": "Limit", "timeInForce": "IOC", "price": "6"}),
        (limit(time_in_force=TimeInForce.FOK), {"orderType": "Limit", "timeInForce": "FOK", "price": "6"}),
        (limit(post_only=True), {"orderType": "Limit", "timeInForce": "PostOnly", "price": "6"}),
    ],
)
async def test_an_order_is_sent_exactly_as_it_was_decided(sent: Order, expected: dict[str, str]) -> None:
    async with bybit() as (dialect, answers):
        answers.will(ACK)
        await dialect.create(sent)
    terms = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "qty": "1", "orderLinkId": "U1", "isLeverage": 0}
    assert answers.sent == [("POST", "/v5/order/create", terms | expected)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "refused",
    [
        limit(quantity="1.123456789"),
        limit(price="6.005"),
        limit(quantity="0.0000001"),
        limit(symbol="XYZ/USDT"),
        order(symbol="BTC/USDT", time_in_force=TimeInForce.FOK),
    ],
)
async def test_what_would_be_sent_as_something_else_is_not_sent(refused: Order) -> None:
    async with bybit() as (dialect, answers):
        with pytest.raises(RefusedHereError):
            await dialect.create(refused)
        with pytest.raises(RefusedHereError):
            await dialect.amend(limit(), Replacement("r", D("0.1234567"), D(6)))
        with pytest.raises(RefusedHereError):
            await dialect.amend(limit(), Replacement("r", D("0.5"), D("6.005")))
    assert answers.sent == []


@pytest.mark.asyncio
@pytest.mark.parametrize("body", ["", "<html>502</html>", '{"retCode":0,"result":{}}'])
async def test_an_answer_without_an_order_leaves_all_open(body: str) -> None:
    async with bybit() as (dialect, answers):
        answers.will(body)
        shown, trades = await dialect.create(limit())
    assert (shown.venue_order_id, shown.status, tuple(trades)) == (None, None, ())


@pytest.mark.asyncio
@pytest.mark.parametrize("body", ["", "<html>502</html>", '{"retCode":0,"result":{}}'])
async def test_a_body_that_is_no_answer_is_never_taken_for_absence(body: str) -> None:
    async with bybit() as (dialect, answers):
        for look in (
            lambda: dialect.find(limit()),
            lambda: dialect.open_orders("BTC/USDT"),
            lambda: dialect.trades_of(limit(), "1"),
            lambda: dialect.trades_since("BTC/USDT", NOW),
            dialect.balances,
        ):
            answers.will(body)
            with pytest.raises(NoProofError):
                await look()
        answers.will(page(), body)  # nothing among the open ones, and no word from history
        with pytest.raises(NoProofError):
            await dialect.find(limit())


@pytest.mark.asyncio
async def test_cancel_and_amend_name_the_order_by_its_client_id_and_are_only_acknowledged() -> None:
    async with bybit() as (dialect, answers):
        answers.will(ACK, ACK)
        assert await dialect.cancel(limit()) is None
        assert await dialect.amend(limit(), Replacement("r", D("0.5"), D(7))) is None
    named = {"category": "spot", "symbol": "BTCUSDT", "orderLinkId": "U1"}
    assert answers.sent == [
        ("POST", "/v5/order/cancel", {**named, "orderFilter": "Order"}),
        ("POST", "/v5/order/amend", {**named, "qty": "0.5", "price": "7"}),
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [110001, 170213])
async def test_a_cancel_of_what_the_venue_does_not_have_passes_through(code: int) -> None:
    async with bybit() as (dialect, answers):
        answers.will({"retCode": code, "retMsg": "Order does not exist.", "result": {}, "time": NOW_MS})
        with pytest.raises(Exception, match="does not exist") as refused:
            await dialect.cancel(limit())
    assert is_named(refused.value, "OrderNotFound")


@pytest.mark.asyncio
async def test_an_order_is_looked_up_by_its_client_id_among_the_open_ones_first() -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(ORDER))
        shown = await dialect.find(limit())
    named = {"category": "spot", "symbol": "BTCUSDT", "limit": "50", "orderLinkId": "U1"}
    assert answers.sent == [("GET", "/v5/order/realtime", named)]
    assert shown is not None
    assert (shown.venue_order_id, shown.client_order_id) == (ORDER["orderId"], "U1")
    assert (shown.status, shown.quantity, shown.filled_quantity) == (S.SUBMITTED, D("0.1"), D(0))
    assert (shown.price, shown.side, shown.reason) == (D(1600), OrderSide.BUY, None)
    assert shown.at == moment(1684738540561)


@pytest.mark.asyncio
async def test_then_history_is_searched_from_well_before_the_order() -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(), page(ORDER | {"orderStatus": "Filled", "cumExecQty": "0.10"}))
        shown = await dialect.find(limit())
    assert shown is not None
    assert shown.status is S.FILLED
    last = answers.sent[-1]
    assert (last.path, last.params["orderLinkId"]) == ("/v5/order/history", "U1")
    assert int(last.params["startTime"]) == NOW_MS - DAY_MS
    assert int(last.params["endTime"]) - int(last.params["startTime"]) < 7 * DAY_MS


@pytest.mark.asyncio
async def test_an_order_that_neither_list_has_is_absent() -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(), page())
        assert await dialect.find(limit()) is None


@pytest.mark.asyncio
async def test_another_order_than_the_one_asked_for_is_no_find() -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(ORDER | {"orderLinkId": "U2"}))
        assert await dialect.find(limit()) is None


@pytest.mark.asyncio
async def test_absence_proves_nothing_once_the_venue_may_have_forgotten() -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(), page())
        with pytest.raises(NoProofError, match="for a day only"):
            await dialect.find(limit(created_at=NOW - timedelta(hours=24)))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("raw", "executed", "more", "status"),
    [
        ("Created", "0", {}, S.SUBMITTED),
        ("New", "0", {}, S.SUBMITTED),
        ("Untriggered", "0", {}, S.SUBMITTED),
        ("PartiallyFilled", "0.04", {}, S.PARTIALLY_FILLED),
        ("Filled", "0.10", {}, S.FILLED),
        ("PartiallyFilledCanceled", "0.04", {}, S.CANCELLED),
        ("PartiallyFilledCanceled", "0.04", {"timeInForce": "IOC"}, S.EXPIRED),
        ("Cancelled", "0", {"cancelType": "CancelByUser"}, S.CANCELLED),
        ("Cancelled", "0", {"timeInForce": "FOK", "rejectReason": "EC_NoEnoughQtyToFill"}, S.EXPIRED),
        ("Cancelled", "0", {"timeInForce": "PostOnly", "rejectReason": "EC_PostOnlyWillTakeLiquidity"}, S.REJECTED),
        ("Deactivated", "0", {}, S.CANCELLED),
        ("Rejected", "0", {"rejectReason": "EC_Others"}, S.REJECTED),
        ("SomethingNew", "0", {}, None),
    ],
)
async def test_every_status_of_the_venue_is_known_and_no_other(
    raw: str, executed: str, more: dict[str, str], status: ExecutionStatus | None
) -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(ORDER | {"orderStatus": raw, "cumExecQty": executed, **more}))
        shown = await dialect.find(limit())
    assert shown is not None
    assert (shown.status, shown.filled_quantity) == (status, D(executed))
    why = more.get("rejectReason") or more.get("cancelType")
    assert shown.reason == why


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("more", "quantity"),
    [
        ({"marketUnit": "baseCoin"}, D("0.1")),
        ({"marketUnit": "quoteCoin"}, None),
        ({}, None),
        ({"side": "Sell"}, D("0.1")),
    ],
)
async def test_a_quantity_in_quote_units_is_not_taken_for_one_in_base_units(
    more: dict[str, str], quantity: object
) -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(ORDER | {"orderType": "Market", "price": "0", **more}))
        (shown,) = await dialect.open_orders("BTC/USDT")
    assert (shown.quantity, shown.price) == (quantity, None)


@pytest.mark.asyncio
async def test_lists_are_read_to_the_last_page() -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(ORDER, cursor="a%3D1"), page(ORDER | {"orderId": "2"}, cursor="b"), page(cursor="c"))
        shown = await dialect.open_orders("BTC/USDT")
    assert [each.venue_order_id for each in shown] == [ORDER["orderId"], "2"]
    assert len(answers.sent) == 3


@pytest.mark.asyncio
async def test_a_list_that_goes_round_in_a_circle_proves_nothing() -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(ORDER, cursor="a"), page(ORDER, cursor="a"))
        with pytest.raises(NoProofError, match="circle"):
            await dialect.open_orders("BTC/USDT")


@pytest.mark.asyncio
async def test_trades_are_real_and_name_their_order() -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(TRADE, TRADE | {"execId": "2", "isMaker": True, "side": "Sell", "feeCurrency": "MNT"}))
        first, second = await dialect.trades_of(limit(), "1666798627926730752")
    asked = answers.sent[0].params
    assert (asked["orderId"], asked["execType"], asked["limit"]) == ("1666798627926730752", "Trade", "100")
    assert (first.trade_id, first.venue_order_id, first.client_order_id) == (
        "e0cbe81d-0f18-5866-9415-cf319b5dab3b",
        "1666798627926730752",
        "U1",
    )
    assert (first.quantity, first.price, first.side) == (D("0.1"), D("1190.15"), OrderSide.BUY)
    assert (first.fee, first.fee_currency, first.liquidity) == (D("0.000071409"), "BTC", Liquidity.TAKER)
    assert first.at == moment(1672282722429)
    assert (second.fee_currency, second.liquidity, second.side) == ("MNT", Liquidity.MAKER, OrderSide.SELL)


@pytest.mark.asyncio
async def test_trades_of_a_longer_time_are_asked_for_week_by_week() -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(TRADE), page(), page(TRADE | {"execId": "2"}))
        trades = await dialect.trades_since("BTC/USDT", NOW - timedelta(days=14))
    assert len(trades) == 2
    starts = [NOW_MS - 14 * DAY_MS, NOW_MS - 7 * DAY_MS, NOW_MS]
    assert [int(each.params["startTime"]) for each in answers.sent] == starts


@pytest.mark.asyncio
async def test_the_venues_id_leads_to_the_client_id() -> None:
    async with bybit() as (dialect, answers):
        answers.will(page(ORDER))
        assert await dialect.name_of("BTC/USDT", ORDER["orderId"]) == "U1"
        answers.will(page(), page(ORDER | {"orderLinkId": ""}))
        assert await dialect.name_of("BTC/USDT", ORDER["orderId"]) is None
        answers.will(page(), page())
        assert await dialect.name_of("BTC/USDT", ORDER["orderId"]) is None


@pytest.mark.asyncio
async def test_balances_are_the_wallets() -> None:
    async with bybit() as (dialect, answers):
        answers.will(result(list=[WALLET]))
        assert await dialect.balances() == {"BTC": D("0.00123456"), "USDT": D(0)}
    assert answers.sent == [("GET", "/v5/account/wallet-balance", {"accountType": "UNIFIED"})]


@pytest.mark.asyncio
async def test_an_instrument_is_the_venues() -> None:
    async with bybit() as (dialect, _):
        found = dialect.instrument("BTC/USDT")
    assert found is not None
    assert (found.tick_size, found.lot_size, found.min_quantity) == (D("0.01"), D("0.000001"), D("0.000048"))
    assert (found.max_quantity, found.min_notional, found.tradable) == (D("71.73956243"), D(1), True)


@pytest.mark.asyncio
async def test_the_stream_speaks_as_the_lists_do() -> None:
    async with bybit() as (dialect, answers):
        ex = answers.client.ex

        async def orders() -> list[Any]:
            return [ex.parse_order(ORDER | {"category": "spot"})]

        async def trades() -> list[Any]:
            return [ex.parse_trade(TRADE | {"category": "spot"})]

        ex.watch_orders, ex.watch_my_trades = orders, trades
        (shown,), (trade,) = await dialect.watch_orders(), await dialect.watch_trades()
        answers.will(page(ORDER), page(TRADE))
        assert [shown] == await dialect.open_orders("BTC/USDT")
        assert [trade] == await dialect.trades_of(limit(), "1")
