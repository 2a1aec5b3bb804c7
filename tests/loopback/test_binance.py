"""The Binance-shaped venue as the real ccxt client, unmodified, meets it: the public rules, the awkward ones too."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt.pro
import pytest

from tests.loopback.binance_client import BTC, limit, trading, until
from tools.loopback import Rule
from tools.loopback.binance import BinanceDialect


async def refusal(client: Any, *order: Any, **params: Any) -> tuple[str, str]:
    """Return the class and text of the error that an order gets."""
    with pytest.raises(ccxt.BaseError) as caught:
        await client.create_order(*order, params=params)
    return type(caught.value).__name__, str(caught.value)


# -- before the first order --------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_markets_prices_and_the_account_are_as_the_exchange_has_them() -> None:
    async with trading() as (venue, client):
        markets = await client.load_markets()
        assert set(markets) == {"BTC/USDT", "BTC/USD", "BTC/EUR", "ETH/USDT", "ETH/USD"}
        market = markets[BTC]
        assert Decimal(market["precision"]["price"]) == Decimal("0.01")
        assert Decimal(market["precision"]["amount"]) == Decimal("0.00001")
        assert (market["limits"]["cost"]["min"], market["active"]) == ("5.00000000", True)
        assert abs(await client.fetch_time() - venue.exchange.time()) < 5000
        ticker = await client.fetch_ticker(BTC)
        assert (ticker["bid"], ticker["ask"]) == ("49999.99000000", "50000.01000000")
        book = await client.fetch_order_book(BTC, 5)
        assert (book["bids"][0], len(book["asks"])) == ([49999.99, 2.0], 5)
        assert (await client.fetch_balance())["USDT"]["free"] == "1000000.00000000"
        venue.exchange.market("BTCUSDT").status = "BREAK"
        assert (await client.load_markets(True))[BTC]["active"] is False


@pytest.mark.asyncio
async def test_a_wrong_key_secret_or_clock_is_refused() -> None:
    async with trading() as (venue, client):
        await client.load_markets()
        for change, error, code in (
            ({"apiKey": "short"}, "AuthenticationError", "-2014"),
            ({"apiKey": "A" * 64}, "AuthenticationError", "-2015"),
            ({"secret": "wrong"}, "AuthenticationError", "-1022"),
        ):
            good = {name: getattr(client, name) for name in change}
            for name, value in change.items():
                setattr(client, name, value)
            kind, text = await refusal(client, BTC, "limit", "buy", "0.01", "40000")
            assert (kind, code in text) == (error, True)
            for name, value in good.items():
                setattr(client, name, value)
        for offset_ms, recv_window in ((-1500, 5000), (6000, 5000)):
            venue.exchange.clock_offset_ms = offset_ms
            kind, text = await refusal(client, BTC, "limit", "buy", "0.01", "40000", recvWindow=recv_window)
            assert (kind, "-1021" in text) == ("InvalidNonce", True)
        venue.exchange.clock_offset_ms = 6000
        await client.load_time_difference()
        assert (await limit(client, "a"))["status"] == "open"
        assert "-1131" in (await refusal(client, BTC, "limit", "buy", "0.01", "40000", recvWindow=60001))[1]


# -- orders --------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_every_refusal_has_binances_code_and_ccxts_class() -> None:
    async with trading() as (venue, client):
        await client.load_markets()
        await limit(client, "a")
        for order, params, error, text in (
            ((BTC, "limit", "buy", "0.01", "40000"), {"clientOrderId": "a"}, "InvalidOrder", "Duplicate order sent."),
            ((BTC, "limit", "buy", "0.01", "60000"), {"postOnly": True}, "OrderImmediatelyFillable", "match and take"),
            ((BTC, "limit", "buy", "100", "40000"), {}, "InsufficientFunds", "insufficient balance"),
            ((BTC, "limit", "buy", "0.0001", "40000"), {}, "BadRequest", "Filter failure: NOTIONAL"),
            ((BTC, "limit", "buy", "9001", "40000"), {}, "InvalidOrder", "lot size"),
            ((BTC, "limit", "buy", "0.01", "40000"), {"price": "40000.005"}, "InvalidOrder", "PRICE_FILTER"),
            ((BTC, "limit", "buy", "0.01", "40000"), {"clientOrderId": "ä"}, "BadRequest", "-1100"),
            ((BTC, "limit", "buy", "0.01", "40000"), {"quantity": "0.010000001"}, "BadRequest", "-1111"),
            ((BTC, "limit", "buy", "0.01", "40000"), {"timeInForce": "GTT"}, "BadRequest", "-1115"),
            ((BTC, "limit", "buy", "0.01", "40000"), {"symbol": "NOPE"}, "BadSymbol", "-1121"),
        ):
            kind, said = await refusal(client, *order, **params)
            assert (kind, text in said) == (error, True), said
        venue.exchange.market("BTCUSDT").status = "BREAK"
        assert (await refusal(client, BTC, "market", "buy", "0.01"))[0] == "MarketClosed"
        assert list(venue.exchange.orders) == [1001]


@pytest.mark.asyncio
async def test_a_market_order_answers_with_its_fills_and_the_fee_in_what_was_received() -> None:
    async with trading() as (_, client):
        order = await client.create_order(BTC, "market", "buy", "3")
        assert (order["status"], order["filled"], len(order["trades"])) == ("closed", "3.00000000", 2)
        assert [(fee["currency"], Decimal(fee["cost"])) for fee in order["fees"]] == [("BTC", Decimal("0.003"))]
        trades = await client.fetch_order_trades(order["id"], BTC)
        assert [trade["id"] for trade in trades] == [trade["id"] for trade in order["trades"]] == ["501", "502"]
        assert (trades[0]["price"], trades[0]["takerOrMaker"]) == ("50000.01000000", "taker")


@pytest.mark.asyncio
async def test_the_rest_of_ioc_fok_and_market_expires() -> None:
    async with trading() as (venue, client):
        some = await client.create_order(BTC, "limit", "buy", "3", "50000.01", {"timeInForce": "IOC"})
        assert (some["status"], some["filled"]) == ("expired", "2.00000000")
        none = await client.create_order(BTC, "limit", "buy", "3", "50010.01", {"timeInForce": "FOK"})
        assert (none["status"], none["filled"]) == ("expired", "0.00000000")
        venue.exchange.deposit("BTC", Decimal(100))
        rest = await client.create_order(BTC, "market", "sell", "60")
        assert (rest["status"], rest["filled"], rest["timeInForce"]) == ("expired", "40.00000000", "GTC")


@pytest.mark.asyncio
async def test_a_client_id_is_unique_among_open_orders_only() -> None:
    async with trading() as (venue, client):
        first = await limit(client, "a")
        cancelled = await client.cancel_order(None, BTC, {"clientOrderId": "a"})
        assert (cancelled["status"], cancelled["info"]["origClientOrderId"]) == ("canceled", "a")
        assert cancelled["clientOrderId"] != "a"
        second = await limit(client, "a")
        assert first["id"] != second["id"]
        assert (await client.fetch_order(None, BTC, {"clientOrderId": "a"}))["id"] == second["id"]
        assert venue.exchange.duplicates() == {"a": 2}


@pytest.mark.asyncio
async def test_what_does_not_exist_is_said_to_be_unknown() -> None:
    async with trading() as (_, client):
        order = await limit(client, "a")
        await client.cancel_order(order["id"], BTC)
        for call, code in (
            (client.cancel_order(order["id"], BTC), "-2011"),
            (client.cancel_all_orders(BTC), "-2011"),
            (client.fetch_order("77", BTC), "-2013"),
            (client.fetch_order(None, BTC, {"clientOrderId": "x"}), "-2013"),
            (client.fetch_order(order["id"], "ETH/USDT"), "-2013"),
        ):
            with pytest.raises(ccxt.OrderNotFound, match=code):
                await call


@pytest.mark.asyncio
async def test_an_amendment_shrinks_in_place_and_gives_the_order_another_client_id() -> None:
    async with trading() as (venue, client):
        order = await limit(client, "a")

        async def amend(quantity: str, **params: str) -> Any:
            request = {"symbol": "BTCUSDT", "orderId": order["id"], "newQty": quantity, **params}
            return await client.request("order/amend/keepPriority", ["private"], "PUT", request)

        kept = (await amend("0.009", newClientOrderId="a"))["amendedOrder"]
        assert (kept["qty"], kept["clientOrderId"], str(kept["orderId"])) == ("0.00900000", "a", order["id"])
        other = (await amend("0.008"))["amendedOrder"]
        assert other["origClientOrderId"] == "a" != other["clientOrderId"]
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(None, BTC, {"clientOrderId": "a"})
        for quantity in ("0.02", "0.008"):
            with pytest.raises(ccxt.BaseError, match="-2038"):
                await amend(quantity)
        assert (await client.fetch_open_orders(BTC))[0]["amount"] == "0.00800000"
        assert venue.exchange.orders[1001].quantity == Decimal("0.008")


@pytest.mark.asyncio
async def test_cancel_replace_makes_another_order_or_stops_at_the_first_failure() -> None:
    async with trading() as (venue, client):
        old = await limit(client, "a")
        new = await client.edit_order(old["id"], BTC, "limit", "buy", "0.02", "41000", {"clientOrderId": "b"})
        assert (new["clientOrderId"], new["status"], venue.exchange.orders[1001].status) == ("b", "open", "CANCELED")
        with pytest.raises(ccxt.BaseError, match="-2022"):
            await client.edit_order(old["id"], BTC, "limit", "buy", "0.02", "41000")
        with pytest.raises(ccxt.BaseError, match="-2021"):
            await client.edit_order(new["id"], BTC, "limit", "buy", "100", "41000")
        assert venue.exchange.open_orders() == []


@pytest.mark.asyncio
async def test_history_comes_in_pages_by_time_and_id() -> None:
    async with trading() as (venue, client):
        order = await limit(client, "a")
        for _ in range(4):
            venue.exchange.fill(venue.exchange.orders[1001], Decimal("0.001"))
        await client.create_order("ETH/USDT", "market", "buy", "1")

        async def ids(**params: Any) -> list[str]:
            return [trade["id"] for trade in await client.fetch_my_trades(BTC, **params)]

        assert await ids() == ["501", "502", "503", "504"]
        assert await ids(limit=2) == ["503", "504"]
        assert await ids(limit=2, params={"fromId": 502}) == ["502", "503"]
        assert await ids(since=venue.exchange.time() + 60_000) == []
        with pytest.raises(ccxt.BaseError, match="-1127"):
            await client.fetch_my_trades(BTC, 0, params={"endTime": 90_000_000})
        states = await client.fetch_orders(BTC)
        assert [(state["id"], state["status"], state["filled"]) for state in states] == [
            (order["id"], "open", "0.00400000")
        ]


# -- the budget ----------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_used_weight_and_orders_are_counted_and_too_many_are_told_to_wait_then_banned() -> None:
    async with trading(options={"fetchMarkets": {"types": ["spot"]}}) as (venue, client):
        await client.load_markets()
        await limit(client, "a")
        headers = {name.upper(): value for name, value in client.last_response_headers.items()}
        assert (headers["X-MBX-USED-WEIGHT-1M"], headers["X-MBX-ORDER-COUNT-10S"]) == ("21", "1")
        assert isinstance(venue.dialect, BinanceDialect)
        venue.dialect.budget.order_limit = 0
        kind, text = await refusal(client, BTC, "limit", "buy", "0.01", "40000")
        assert (kind, "-1015" in text) == ("DDoSProtection", True)
        assert 1 <= int(client.last_response_headers["Retry-After"]) <= 10
        venue.dialect.budget.weight_limit = 0
        for _ in range(9):
            with pytest.raises(ccxt.DDoSProtection, match="429"):
                await client.fetch_time()
        with pytest.raises(ccxt.DDoSProtection, match="418"):
            await client.fetch_time()
        assert client.last_response_headers["Retry-After"] == "120"


# -- what the router must survive (facts on ccxt, section 3) -------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("rule", "error", "placed"),
    [
        (Rule("POST", "drop_before"), "ExchangeNotAvailable", False),
        (Rule("POST", "drop_after"), "ExchangeNotAvailable", True),
        (Rule("POST", "late"), "ExchangeNotAvailable", True),
        (Rule("POST", "truncate"), "ExchangeError", True),
        (Rule("POST", "status", status=503, body="<html>"), "ExchangeNotAvailable", False),
        (Rule("POST", "status", status=429, headers={"Retry-After": "7"}), "DDoSProtection", False),
        (Rule("POST", "status", status=418, headers={"Retry-After": "7"}), "DDoSProtection", False),
        (Rule("POST", "code", code="-1007"), "RequestTimeout", False),
        (Rule("POST", "redirect", body="http://127.0.0.1:1"), "ExchangeNotAvailable", False),
    ],
)
async def test_ccxt_reports_a_fault_as_it_does_of_the_real_venue(rule: Rule, error: str, placed: bool) -> None:
    async with trading() as (venue, client):
        await client.load_markets()
        venue.faults.add(rule)
        kind, _ = await refusal(client, BTC, "limit", "buy", "0.01", "40000", clientOrderId="a")
        assert kind == error
        await until(lambda: (venue.exchange.find(client_id="a") is not None) == placed)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["empty", "html"])
async def test_ccxt_takes_an_answer_without_content_for_an_order_without_id(kind: Any) -> None:
    async with trading() as (venue, client):
        await client.load_markets()
        venue.faults.add(Rule("POST", kind))
        order = await limit(client, "a")
        assert (order["id"], order["status"]) == (None, None)
        assert venue.exchange.find(client_id="a") is not None


@pytest.mark.asyncio
async def test_a_lagging_look_up_denies_an_order_that_exists() -> None:
    async with trading() as (venue, client):
        order = await limit(client, "a")
        venue.faults.add(Rule("GET /api/v3/order", "not_found_once"))
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(order["id"], BTC)
        assert (await client.fetch_order(order["id"], BTC))["status"] == "open"
        venue.faults.add(Rule("GET /api/v3/openOrders", "not_found_once"))
        assert await client.fetch_open_orders(BTC) == []


@pytest.mark.asyncio
async def test_maintenance_answers_everything_with_a_page() -> None:
    async with trading() as (venue, client):
        await client.load_markets()
        venue.maintenance = True
        with pytest.raises(ccxt.ExchangeNotAvailable, match="503"):
            await client.fetch_balance()
        venue.clear()
        await client.fetch_balance()
