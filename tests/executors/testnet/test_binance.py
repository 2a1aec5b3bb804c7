from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from router.domain.enums import ExecutionStatus, Liquidity, OrderSide, OrderType, TimeInForce
from router.domain.order import Order, Replacement
from router.executors.testnet.binance import BinanceDialect
from router.executors.testnet.dialect import (
    NoProofError,
    NotExactError,
    RefusedHereError,
    UnsupportedAmendError,
    is_named,
    moment,
)
from tests.executors.testnet.answers import BINANCE_INFO, NOW_MS, Answers, answering
from tests.factories import NOW, D, order

S = ExecutionStatus
DAY_MS = 86_400_000

# Documented answers, with our symbol and client id in them.
FULL: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "orderListId": -1,
    "clientOrderId": "U1",
    "transactTime": 1507725176595,
    "price": "0.00000000",
    "origQty": "10.00000000",
    "executedQty": "10.00000000",
    "origQuoteOrderQty": "0.000000",
    "cummulativeQuoteQty": "39996.00000000",
    "status": "FILLED",
    "timeInForce": "GTC",
    "type": "MARKET",
    "side": "SELL",
    "workingTime": 1507725176595,
    "selfTradePreventionMode": "NONE",
    "fills": [
        {
            "price": "4000.00000000",
            "qty": "1.00000000",
            "commission": "4.00000000",
            "commissionAsset": "USDT",
            "tradeId": 56,
        },
        {
            "price": "3999.00000000",
            "qty": "9.00000000",
            "commission": "35.99100000",
            "commissionAsset": "USDT",
            "tradeId": 57,
        },
    ],
}
QUERY: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "orderId": 1,
    "orderListId": -1,
    "clientOrderId": "U1",
    "price": "0.10000000",
    "origQty": "1.00000000",
    "executedQty": "0.00000000",
    "cummulativeQuoteQty": "0.0",
    "status": "NEW",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
    "stopPrice": "0.0",
    "icebergQty": "0.0",
    "time": 1499827319559,
    "updateTime": 1499827319777,
    "isWorking": True,
}
CANCELLED: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "origClientOrderId": "U1",
    "orderId": 4,
    "clientOrderId": "cancelMyOrder1",
    "transactTime": 1684804350068,
    "price": "2.00000000",
    "origQty": "1.00000000",
    "executedQty": "0.40000000",
    "status": "CANCELED",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
}
AMENDED: dict[str, Any] = {
    "transactTime": 1741926410255,
    "executionId": 75,
    "amendedOrder": {
        "symbol": "BTCUSDT",
        "orderId": 33,
        "origClientOrderId": "U1",
        "clientOrderId": "U1",
        "price": "6.00000000",
        "qty": "0.50000000",
        "executedQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "workingTime": 1741926410242,
    },
}
TRADE: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "id": 28457,
    "orderId": 100234,
    "price": "4.00000100",
    "qty": "12.00000000",
    "quoteQty": "48.000012",
    "commission": "10.10000000",
    "commissionAsset": "BNB",
    "time": 1499865549590,
    "isBuyer": True,
    "isMaker": False,
    "isBestMatch": True,
}
REPORT: dict[str, Any] = {
    "e": "executionReport",
    "E": 1499405658658,
    "s": "BTCUSDT",
    "c": "U1",
    "S": "BUY",
    "o": "LIMIT",
    "f": "GTC",
    "q": "1.00000000",
    "p": "0.10264410",
    "P": "0.00000000",
    "g": -1,
    "C": "",
    "x": "NEW",
    "X": "NEW",
    "r": "NONE",
    "i": 4293153,
    "l": "0.00000000",
    "z": "0.00000000",
    "L": "0.00000000",
    "n": "0",
    "N": None,
    "T": 1499405658657,
    "t": -1,
    "w": True,
    "m": False,
    "O": 1499405658657,
    "Z": "0.00000000",
    "Y": "0.00000000",
    "Q": "0.00000000",
}
NOT_FOUND = {"code": -2013, "msg": "Order does not exist."}


def limit(**fields: Any) -> Order:
    return order(**{"symbol": "BTC/USDT", "order_type": OrderType.LIMIT, "price": "6", **fields})


@asynccontextmanager
async def binance() -> AsyncIterator[tuple[BinanceDialect, Answers]]:
    async with answering("binance", BINANCE_INFO) as answers:
        yield BinanceDialect(answers.client), answers


@pytest.mark.asyncio
async def test_a_full_answer_brings_the_order_and_its_real_trades() -> None:
    sold = order(symbol="BTC/USDT", side=OrderSide.SELL, quantity="10")
    async with binance() as (dialect, answers):
        answers.will(FULL)
        shown, trades = await dialect.create(sold)
    assert (shown.venue_order_id, shown.client_order_id, shown.status) == ("28", "U1", S.FILLED)
    assert (shown.quantity, shown.filled_quantity, shown.price) == (D(10), D(10), None)
    assert shown.at == moment(1507725176595)
    assert [(t.trade_id, t.quantity, t.price, t.fee, t.fee_currency) for t in trades] == [
        ("56", D(1), D(4000), D(4), "USDT"),
        ("57", D(9), D(3999), D("35.991"), "USDT"),
    ]
    assert {(t.venue_order_id, t.client_order_id, t.side, t.liquidity) for t in trades} == {
        ("28", "U1", OrderSide.SELL, Liquidity.TAKER)
    }


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (order(symbol="BTC/USDT", price="50000"), {"type": "MARKET"}),  # the decision price stays here
        (limit(), {"type": "LIMIT", "timeInForce": "GTC", "price": "6"}),
        (limit(time_in_force=TimeInForce.DAY), {"type": "LIMIT", "timeInForce": "GTC", "price": "6"}),
        (limit(time_in_force=TimeInForce.IOC), {"type": "LIMIT", "timeInForce": "IOC", "price": "6"}),
        (limit(time_in_force=TimeInForce.FOK), {"type": "LIMIT", "timeInForce": "FOK", "price": "6"}),
        (limit(post_only=True), {"type": "LIMIT_MAKER", "price": "6"}),
    ],
)
async def test_an_order_is_sent_exactly_as_it_was_decided(sent: Order, expected: dict[str, str]) -> None:
    async with binance() as (dialect, answers):
        answers.will(FULL)
        await dialect.create(sent)
    assert answers.sent == [
        (
            "POST",
            "/api/v3/order",
            {
                "symbol": "BTCUSDT",
                "side": "BUY",
                "quantity": "1",
                "newClientOrderId": "U1",
                "newOrderRespType": "FULL",
                **expected,
            },
        )
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "refused",
    [
        limit(quantity="1.123456789"),
        limit(price="6.005"),
        limit(quantity="0.000001"),
        limit(symbol="XYZ/USDT"),
        order(symbol="BTC/USDT", time_in_force=TimeInForce.FOK),
    ],
)
async def test_what_would_be_sent_as_something_else_is_not_sent(refused: Order) -> None:
    async with binance() as (dialect, answers):
        with pytest.raises(RefusedHereError):
            await dialect.create(refused)
    assert answers.sent == []


@pytest.mark.asyncio
async def test_a_price_that_ccxt_would_round_up_is_named() -> None:
    async with binance() as (dialect, _):
        with pytest.raises(NotExactError, match=r"price 6\.005 would be sent as 6\.01"):
            await dialect.create(limit(price="6.005"))


@pytest.mark.asyncio
@pytest.mark.parametrize("body", ["", "<html>502</html>", "{}"])
async def test_an_answer_without_an_order_leaves_all_open(body: str) -> None:
    async with binance() as (dialect, answers):
        answers.will(body, body, body)
        shown, trades = await dialect.create(limit())
        assert (shown.venue_order_id, shown.status, tuple(trades)) == (None, None, ())
        assert await dialect.cancel(limit()) is None
        assert await dialect.amend(limit(), Replacement("r", D("0.5"), D(6))) is None


@pytest.mark.asyncio
@pytest.mark.parametrize("body", ["", "<html>502</html>", "{}"])
async def test_a_body_that_is_no_answer_is_never_taken_for_absence(body: str) -> None:
    async with binance() as (dialect, answers):
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


@pytest.mark.asyncio
async def test_a_cancel_answer_is_known_by_the_orders_own_id() -> None:
    async with binance() as (dialect, answers):
        answers.will(CANCELLED)
        shown = await dialect.cancel(limit())
    assert answers.sent == [("DELETE", "/api/v3/order", {"symbol": "BTCUSDT", "origClientOrderId": "U1"})]
    assert shown is not None
    assert (shown.client_order_id, shown.status, shown.filled_quantity) == ("U1", S.CANCELLED, D("0.4"))
    assert shown.at == moment(1684804350068)


@pytest.mark.asyncio
async def test_a_cancel_of_what_the_venue_does_not_have_passes_through() -> None:
    async with binance() as (dialect, answers):
        answers.will({"code": -2011, "msg": "Unknown order sent."})
        with pytest.raises(Exception, match="Unknown order") as refused:
            await dialect.cancel(limit())
    assert is_named(refused.value, "OrderNotFound")


@pytest.mark.asyncio
async def test_a_lower_quantity_is_amended_in_place_under_the_same_id() -> None:
    async with binance() as (dialect, answers):
        answers.will(AMENDED)
        shown = await dialect.amend(limit(), Replacement("r", D("0.5"), D(6)))
    named = {"symbol": "BTCUSDT", "origClientOrderId": "U1"}
    assert answers.sent == [
        ("PUT", "/api/v3/order/amend/keepPriority", {**named, "newQty": "0.5", "newClientOrderId": "U1"})
    ]
    assert shown is not None
    assert (shown.client_order_id, shown.quantity, shown.price) == ("U1", D("0.5"), D(6))
    assert shown.at == moment(1741926410255)


@pytest.mark.asyncio
@pytest.mark.parametrize(("quantity", "price"), [("0.5", "7"), ("1", "6"), ("2", "6")])
async def test_other_amendments_would_end_the_order_and_are_not_sent(quantity: str, price: str) -> None:
    async with binance() as (dialect, answers):
        with pytest.raises(UnsupportedAmendError, match="cancel and send a new order"):
            await dialect.amend(limit(), Replacement("r", D(quantity), D(price)))
    assert answers.sent == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("raw", "executed", "status"),
    [
        ("NEW", "0", S.SUBMITTED),
        ("PENDING_NEW", "0", S.SUBMITTED),
        ("PARTIALLY_FILLED", "0.3", S.PARTIALLY_FILLED),
        ("PENDING_CANCEL", "0.3", S.PARTIALLY_FILLED),
        ("FILLED", "1", S.FILLED),
        ("CANCELED", "0.3", S.CANCELLED),
        ("REJECTED", "0", S.REJECTED),
        ("EXPIRED", "0.3", S.EXPIRED),
        ("EXPIRED_IN_MATCH", "0", S.EXPIRED),
        ("SOMETHING_NEW", "0", None),
    ],
)
async def test_every_status_of_the_venue_is_known_and_no_other(
    raw: str, executed: str, status: ExecutionStatus | None
) -> None:
    async with binance() as (dialect, answers):
        answers.will(QUERY | {"status": raw, "executedQty": executed})
        shown = await dialect.find(limit())
    assert shown is not None
    assert (shown.status, shown.filled_quantity) == (status, D(executed))


@pytest.mark.asyncio
async def test_an_order_is_looked_up_by_its_client_id() -> None:
    async with binance() as (dialect, answers):
        answers.will(QUERY)
        shown = await dialect.find(limit())
        assert answers.sent == [("GET", "/api/v3/order", {"symbol": "BTCUSDT", "origClientOrderId": "U1"})]
        assert shown is not None
        assert (shown.venue_order_id, shown.price, shown.at) == ("1", D("0.1"), moment(1499827319777))
        answers.will(NOT_FOUND)
        assert await dialect.find(limit()) is None


@pytest.mark.asyncio
async def test_an_order_that_was_archived_is_not_absent() -> None:
    async with binance() as (dialect, answers):
        answers.will({"code": -2026, "msg": "Order was canceled or expired with no executed qty over 90 days ago."})
        with pytest.raises(Exception, match="-2026"):
            await dialect.find(limit())


@pytest.mark.asyncio
async def test_the_venues_id_leads_to_the_client_id() -> None:
    async with binance() as (dialect, answers):
        answers.will(QUERY)
        assert await dialect.name_of("BTC/USDT", "1") == "U1"
        assert answers.sent == [("GET", "/api/v3/order", {"symbol": "BTCUSDT", "orderId": "1"})]
        answers.will(NOT_FOUND)
        assert await dialect.name_of("BTC/USDT", "1") is None


@pytest.mark.asyncio
async def test_open_orders_are_listed_with_their_client_ids() -> None:
    async with binance() as (dialect, answers):
        answers.will([QUERY, QUERY | {"orderId": 2, "clientOrderId": "web_x"}])
        shown = await dialect.open_orders("BTC/USDT")
    assert [each.client_order_id for each in shown] == ["U1", "web_x"]
    assert answers.sent == [("GET", "/api/v3/openOrders", {"symbol": "BTCUSDT"})]


@pytest.mark.asyncio
async def test_an_orders_trades_are_read_to_the_last_page() -> None:
    pages = [[TRADE | {"id": number} for number in range(1000)], [TRADE | {"id": 1000}]]
    async with binance() as (dialect, answers):
        answers.will(*pages)
        trades = await dialect.trades_of(limit(), "100234")
    assert [trade.trade_id for trade in trades] == [str(number) for number in range(1001)]
    assert [each.params.get("fromId") for each in answers.sent] == [None, "1000"]
    assert {each.params["orderId"] for each in answers.sent} == {"100234"}
    last = trades[-1]
    assert (last.venue_order_id, last.side, last.quantity, last.price) == (
        "100234",
        OrderSide.BUY,
        D(12),
        D("4.000001"),
    )
    assert (last.fee, last.fee_currency, last.liquidity) == (D("10.1"), "BNB", Liquidity.TAKER)
    assert last.at == moment(1499865549590)


@pytest.mark.asyncio
async def test_trades_of_a_longer_time_are_asked_for_day_by_day() -> None:
    async with binance() as (dialect, answers):
        answers.will([TRADE], [], [TRADE | {"id": 2, "isMaker": True}])
        trades = await dialect.trades_since("BTC/USDT", NOW - timedelta(days=2))
    starts = [NOW_MS - 2 * DAY_MS, NOW_MS - DAY_MS, NOW_MS]
    assert [int(each.params["startTime"]) for each in answers.sent] == starts
    assert [int(each.params["endTime"]) for each in answers.sent] == [start + DAY_MS - 1 for start in starts]
    assert [(trade.trade_id, trade.liquidity) for trade in trades] == [
        ("28457", Liquidity.TAKER),
        ("2", Liquidity.MAKER),
    ]


@pytest.mark.asyncio
async def test_a_full_page_of_trades_is_asked_for_again_in_halves() -> None:
    full = [TRADE | {"id": number} for number in range(1000)]
    async with binance() as (dialect, answers):
        answers.will(full, full[:500], [*full[500:], TRADE | {"id": 1000}][:999])
        trades = await dialect.trades_since("BTC/USDT", NOW)
    assert len(trades) == 500 + 501
    (whole, first, second) = (each.params for each in answers.sent)
    assert (first["startTime"], second["endTime"]) == (whole["startTime"], whole["endTime"])
    assert int(second["startTime"]) == int(first["endTime"]) + 1


@pytest.mark.asyncio
async def test_balances_count_what_is_locked_in_orders() -> None:
    async with binance() as (dialect, answers):
        answers.will(
            {
                "balances": [
                    {"asset": "BTC", "free": "4723846.89208129", "locked": "0.00000001"},
                    {"asset": "LTC", "free": "0.00000000", "locked": "0.00000000"},
                ]
            }
        )
        assert await dialect.balances() == {"BTC": D("4723846.89208130"), "LTC": D(0)}


@pytest.mark.asyncio
async def test_an_instrument_is_the_venues_and_may_be_closed() -> None:
    async with binance() as (dialect, answers):
        found = dialect.instrument("BTC/USDT")
        assert found is not None
        assert (found.tick_size, found.lot_size, found.min_notional) == (D("0.01"), D("0.00001"), D(5))
        assert found.tradable
        answers.client.ex.markets["BTC/USDT"]["info"]["isSpotTradingAllowed"] = False
        found = dialect.instrument("BTC/USDT")
        assert found is not None
        assert not found.tradable
        assert dialect.instrument("XYZ/USDT") is None


async def heard(event: dict[str, Any]) -> Any:
    """Return what the dialect makes of a stream's event, read by ccxt's own parsers."""
    async with binance() as (dialect, answers):
        ex = answers.client.ex

        async def orders() -> list[Any]:
            return [ex.parse_ws_order(event)]

        async def trades() -> list[Any]:
            return [ex.parse_ws_trade(event)]

        ex.watch_orders, ex.watch_my_trades = orders, trades
        return (await dialect.watch_orders())[0], (await dialect.watch_trades())[0] if event["x"] == "TRADE" else None


@pytest.mark.asyncio
async def test_the_stream_tells_of_orders() -> None:
    shown, _ = await heard(REPORT)
    assert (shown.symbol, shown.client_order_id, shown.venue_order_id) == ("BTC/USDT", "U1", "4293153")
    assert (shown.status, shown.quantity, shown.filled_quantity) == (S.SUBMITTED, D(1), D(0))
    assert (shown.price, shown.at, shown.reason) == (D("0.1026441"), moment(1499405658657), None)


@pytest.mark.asyncio
@pytest.mark.parametrize("execution", ["CANCELED", "REPLACED"])
async def test_the_stream_calls_a_changed_order_by_its_own_id(execution: str) -> None:
    shown, _ = await heard(REPORT | {"x": execution, "c": "changes", "C": "U1"})
    assert shown.client_order_id == "U1"


@pytest.mark.asyncio
async def test_the_stream_says_why_an_order_was_refused() -> None:
    shown, _ = await heard(REPORT | {"x": "REJECTED", "X": "REJECTED", "r": "INSUFFICIENT_BALANCES"})
    assert (shown.status, shown.reason) == (S.REJECTED, "INSUFFICIENT_BALANCES")


@pytest.mark.asyncio
async def test_the_stream_tells_of_trades() -> None:
    event = REPORT | {
        "x": "TRADE",
        "X": "PARTIALLY_FILLED",
        "l": "0.30000000",
        "z": "0.70000000",
        "L": "0.10000000",
        "n": "0.00070000",
        "N": "BTC",
        "t": 77,
        "m": True,
    }
    shown, trade = await heard(event)
    assert (shown.status, shown.filled_quantity) == (S.PARTIALLY_FILLED, D("0.7"))
    assert (trade.trade_id, trade.venue_order_id, trade.client_order_id) == ("77", "4293153", "U1")
    assert (trade.quantity, trade.price, trade.side) == (D("0.3"), D("0.1"), OrderSide.BUY)
    assert (trade.fee, trade.fee_currency, trade.liquidity) == (D("0.0007"), "BTC", Liquidity.MAKER)
    assert trade.at == moment(1499405658657)


def test_asking_costs_what_the_venue_says() -> None:
    costs = BinanceDialect.costs
    assert (costs["create"], costs["cancel"], costs["find"], costs["open_orders"]) == (1, 1, 4, 6)
    assert (costs["trades_of"], costs["trades_since"], costs["balances"], costs["amend"]) == (5, 20, 20, 4)
