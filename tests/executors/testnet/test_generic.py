from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from router.domain.enums import ExecutionStatus, Liquidity, OrderSide, OrderType, TimeInForce
from router.domain.order import Order, Replacement
from router.executors.testnet.dialect import NoProofError, RefusedHereError, UnsupportedAmendError
from router.executors.testnet.generic import GenericDialect
from tests.executors.testnet.answers import BINANCE_INFO, BYBIT_INFO, NOW_MS, Answers, answering
from tests.executors.testnet.test_binance import CANCELLED, FULL, NOT_FOUND, QUERY, TRADE
from tests.executors.testnet.test_bybit import ACK, ORDER, page
from tests.factories import NOW, D, order

S = ExecutionStatus
KNOWN = {"venue_order_id": "1"}


def limit(**fields: Any) -> Order:
    return order(**{"symbol": "BTC/USDT", "order_type": OrderType.LIMIT, "price": "6", **fields})


@asynccontextmanager
async def generic(venue: str = "binance") -> AsyncIterator[tuple[GenericDialect, Answers]]:
    """A venue that is well known, spoken to as if it were not."""
    async with answering(venue, BINANCE_INFO if venue == "binance" else BYBIT_INFO) as answers:
        yield GenericDialect(answers.client), answers


def test_the_operator_is_told_that_nothing_was_verified() -> None:
    assert "not verified" in GenericDialect.notes[0]


@pytest.mark.asyncio
async def test_an_answer_shows_the_order_and_leaves_its_trades_to_the_look_up() -> None:
    async with generic() as (dialect, answers):
        answers.will(FULL)
        shown, trades = await dialect.create(order(symbol="BTC/USDT", side=OrderSide.SELL, quantity="10"))
    assert (shown.venue_order_id, shown.client_order_id) == ("28", "U1")
    assert (shown.status, shown.filled_quantity) == (S.FILLED, D(10))
    assert tuple(trades) == ()


@pytest.mark.asyncio
async def test_an_acknowledgement_proves_no_quantity() -> None:
    async with generic() as (dialect, answers):
        answers.will({"symbol": "BTCUSDT", "orderId": 28, "clientOrderId": "U1", "transactTime": NOW_MS})
        shown, _ = await dialect.create(limit())
    assert (shown.venue_order_id, shown.status) == ("28", S.SUBMITTED)
    assert shown.filled_quantity is None  # ccxt guesses 0


@pytest.mark.asyncio
@pytest.mark.parametrize("body", ["", "<html>502</html>", "{}"])
async def test_an_answer_without_an_order_leaves_all_open(body: str) -> None:
    async with generic() as (dialect, answers):
        answers.will(body)
        shown, _ = await dialect.create(limit())
    assert (shown.venue_order_id, shown.status) == (None, None)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (order(symbol="BTC/USDT", price="50000"), {"type": "MARKET"}),
        (limit(time_in_force=TimeInForce.DAY), {"type": "LIMIT", "timeInForce": "GTC", "price": "6"}),
        (limit(time_in_force=TimeInForce.FOK), {"type": "LIMIT", "timeInForce": "FOK", "price": "6"}),
        (limit(post_only=True), {"type": "LIMIT_MAKER", "price": "6"}),
    ],
)
async def test_an_order_is_sent_exactly_as_it_was_decided(sent: Order, expected: dict[str, str]) -> None:
    async with generic() as (dialect, answers):
        answers.will(FULL)
        await dialect.create(sent)
    terms = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "newClientOrderId": "U1", "newOrderRespType": "FULL"}
    assert answers.sent == [("POST", "/api/v3/order", terms | expected)]


@pytest.mark.asyncio
@pytest.mark.parametrize("refused", [limit(quantity="1.123456789"), limit(price="6.005"), limit(symbol="XYZ/USDT")])
async def test_what_would_be_sent_as_something_else_is_not_sent(refused: Order) -> None:
    async with generic() as (dialect, answers):
        with pytest.raises(RefusedHereError):
            await dialect.create(refused)
    assert answers.sent == []


@pytest.mark.asyncio
async def test_nothing_is_amended_in_place() -> None:
    async with generic() as (dialect, answers):
        with pytest.raises(UnsupportedAmendError):
            await dialect.amend(limit(), Replacement("r", D("0.5"), D(6)))
    assert answers.sent == []


@pytest.mark.asyncio
async def test_a_cancel_goes_by_the_venues_id() -> None:
    async with generic() as (dialect, answers):
        answers.will(CANCELLED)
        shown = await dialect.cancel(limit(**KNOWN))
    assert answers.sent == [("DELETE", "/api/v3/order", {"symbol": "BTCUSDT", "orderId": "1"})]
    assert shown is not None
    assert (shown.client_order_id, shown.status, shown.filled_quantity) == ("U1", S.CANCELLED, D("0.4"))


@pytest.mark.asyncio
async def test_without_the_venues_id_it_is_found_among_the_open_orders_first() -> None:
    async with generic() as (dialect, answers):
        answers.will([QUERY | {"orderId": 7}], CANCELLED)
        await dialect.cancel(limit())
        assert answers.sent[-1].params["orderId"] == "7"
        answers.will([])
        with pytest.raises(NoProofError, match="not among the open orders"):
            await dialect.cancel(limit())


@pytest.mark.asyncio
async def test_a_cancel_that_is_only_acknowledged_shows_nothing() -> None:
    async with generic("bybit") as (dialect, answers):
        answers.will(ACK)
        assert await dialect.cancel(limit(**KNOWN)) is None


@pytest.mark.asyncio
async def test_an_order_is_found_open_or_by_its_id_or_in_history() -> None:
    async with generic() as (dialect, answers):
        answers.will([QUERY])
        assert await dialect.find(limit()) is not None
        answers.will([], QUERY)
        assert await dialect.find(limit(**KNOWN)) is not None
        answers.will([], NOT_FOUND, [QUERY | {"status": "FILLED", "executedQty": "1.0", "orderId": 9, "time": NOW_MS}])
        shown = await dialect.find(limit(**KNOWN))
    assert shown is not None
    assert (shown.venue_order_id, shown.status) == ("9", S.FILLED)


@pytest.mark.asyncio
async def test_the_venues_id_is_enough_where_it_drops_ours() -> None:
    async with generic() as (dialect, answers):
        answers.will([QUERY | {"clientOrderId": "x-another"}])
        shown = await dialect.find(limit(**KNOWN))
    assert shown is not None
    assert shown.client_order_id == "U1"
    assert len(answers.sent) == 1


@pytest.mark.asyncio
async def test_an_order_that_is_nowhere_is_never_called_absent() -> None:
    async with generic() as (dialect, answers):
        answers.will([], *[[] for _ in range(5)])
        with pytest.raises(NoProofError, match="proves nothing"):
            await dialect.find(limit())


@pytest.mark.asyncio
async def test_a_look_up_that_the_venue_does_not_have_leads_to_the_next() -> None:
    async with generic("bybit") as (dialect, answers):  # ccxt refuses fetch_order there
        answers.will(page(), page(ORDER | {"orderStatus": "Filled", "cumExecQty": "0.10", "createdTime": str(NOW_MS)}))
        shown = await dialect.find(limit(**KNOWN))
    assert shown is not None
    assert shown.status is S.FILLED


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("raw", "executed", "time_in_force", "status"),
    [
        ("New", "0", "GTC", S.SUBMITTED),
        ("PartiallyFilled", "0.04", "GTC", S.PARTIALLY_FILLED),
        ("Filled", "0.10", "GTC", S.FILLED),
        ("PartiallyFilledCanceled", "0.04", "GTC", S.CANCELLED),  # ccxt calls it closed
        ("PartiallyFilledCanceled", "0.04", "IOC", S.EXPIRED),
        ("Cancelled", "0", "GTC", S.CANCELLED),
        ("Rejected", "0", "GTC", S.REJECTED),
        ("SomethingNew", "0", "GTC", None),
    ],
)
async def test_a_status_is_decided_by_quantities_not_by_ccxts_name(
    raw: str, executed: str, time_in_force: str, status: ExecutionStatus | None
) -> None:
    async with generic("bybit") as (dialect, answers):
        answers.will(page(ORDER | {"orderStatus": raw, "cumExecQty": executed}))
        shown = await dialect.find(limit(time_in_force=TimeInForce(time_in_force)))
    assert shown is not None
    assert (shown.status, shown.filled_quantity) == (status, D(executed))


@pytest.mark.asyncio
async def test_gates_prefix_is_not_part_of_the_client_id() -> None:
    async with generic() as (dialect, answers):
        answers.will([QUERY | {"clientOrderId": "t-U1"}])
        assert await dialect.find(limit()) is not None
        answers.will([QUERY | {"clientOrderId": "t-U1"}])
        assert [each.client_order_id for each in await dialect.open_orders("BTC/USDT")] == ["U1"]


@pytest.mark.asyncio
async def test_a_list_as_long_as_the_venue_makes_them_may_be_cut_off() -> None:
    async with generic() as (dialect, answers):
        answers.client.ex.features = {"spot": {"fetchOpenOrders": {"limit": 2}}}
        answers.will([QUERY])
        assert len(await dialect.open_orders("BTC/USDT")) == 1
        answers.will([QUERY, QUERY | {"orderId": 2}])
        with pytest.raises(NoProofError, match="at most"):
            await dialect.open_orders("BTC/USDT")


@pytest.mark.asyncio
async def test_trades_are_asked_for_on_and_on_until_nothing_new_comes() -> None:
    later = TRADE | {"id": 2, "time": NOW_MS, "orderId": 5, "isMaker": True}
    async with generic() as (dialect, answers):
        answers.will([TRADE | {"time": NOW_MS}], [TRADE | {"time": NOW_MS}, later], [later])
        trades = await dialect.trades_since("BTC/USDT", NOW)
        assert [(trade.trade_id, trade.venue_order_id) for trade in trades] == [("28457", "100234"), ("2", "5")]
        assert (trades[0].fee, trades[0].fee_currency, trades[0].liquidity) == (D("10.1"), "BNB", Liquidity.TAKER)
        answers.will([TRADE | {"time": NOW_MS}, later], [later])
        assert [trade.trade_id for trade in await dialect.trades_of(limit(), "5")] == ["2"]


@pytest.mark.asyncio
async def test_trades_without_ids_cannot_be_counted() -> None:
    async with generic() as (dialect, answers):
        answers.will([{key: value for key, value in (TRADE | {"time": NOW_MS}).items() if key != "id"}])
        with pytest.raises(NoProofError):
            await dialect.trades_since("BTC/USDT", NOW)


@pytest.mark.asyncio
async def test_balances_are_totals() -> None:
    async with generic() as (dialect, answers):
        answers.will({"balances": [{"asset": "BTC", "free": "1.00000001", "locked": "0.5"}]})
        assert await dialect.balances() == {"BTC": D("1.50000001")}


@pytest.mark.asyncio
async def test_the_venues_id_leads_to_the_client_id() -> None:
    async with generic() as (dialect, answers):
        answers.will(QUERY)
        assert await dialect.name_of("BTC/USDT", "1") == "U1"
        answers.will(NOT_FOUND)
        assert await dialect.name_of("BTC/USDT", "1") is None


@pytest.mark.asyncio
async def test_the_stream_speaks_as_the_lists_do() -> None:
    async with generic() as (dialect, answers):
        ex = answers.client.ex

        async def orders() -> list[Any]:
            return [ex.parse_order(QUERY)]

        async def trades() -> list[Any]:
            return [ex.parse_trade(TRADE | {"time": NOW_MS})]

        ex.watch_orders, ex.watch_my_trades = orders, trades
        answers.will([QUERY], [TRADE | {"time": NOW_MS}], [])
        assert await dialect.watch_orders() == await dialect.open_orders("BTC/USDT")
        assert await dialect.watch_trades() == await dialect.trades_since("BTC/USDT", NOW)


@pytest.mark.asyncio
async def test_an_order_without_a_time_keeps_ours() -> None:
    untimed = {key: value for key, value in QUERY.items() if key not in {"time", "updateTime"}}
    async with generic() as (dialect, answers):
        answers.will([untimed])
        shown = await dialect.find(limit())
    assert shown is not None
    assert shown.at == NOW
