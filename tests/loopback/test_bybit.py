"""The Bybit-shaped venue keeps Bybit's public rules, as the real ccxt.pro client meets them."""

from __future__ import annotations

from typing import Any

import ccxt.pro
import pytest

from tests.loopback.bybit_client import PAIR, D, bid, look_up, refused, rest, trading
from tools.loopback import Rule

# -- markets -------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_markets_carry_the_steps_and_limits_of_the_venue() -> None:
    async with trading() as (venue, client):
        venue.exchange.market("ETHUSDT").status = "BREAK"
        markets = await client.load_markets()

        market = markets[PAIR]
        assert (market["precision"]["amount"], market["precision"]["price"]) == ("0.00001", "0.01")
        assert (market["limits"]["cost"]["min"], market["limits"]["amount"]["max"]) == ("5", "9000")
        assert (market["active"], markets["ETH/USDT"]["active"]) == (True, False)
        assert dict(venue.requests) == {"GET /v5/market/instruments-info": 1}


@pytest.mark.asyncio
async def test_an_unprepared_client_finds_every_route_it_asks_before_its_first_order() -> None:
    async with trading(lean=False) as (venue, client):
        order = await client.create_order(PAIR, "limit", "buy", "0.01", "49000")

        assert venue.exchange.find(order_id=int(order["id"])) is not None
        assert sum(venue.requests.values()) == 15  # as measured against the real one's routes


@pytest.mark.asyncio
async def test_time_book_and_tickers_are_the_venues_own() -> None:
    async with trading() as (venue, client):
        venue.exchange.clock_offset_ms = 3_600_000
        book = await client.fetch_order_book(PAIR, 5)
        ticker = await client.fetch_ticker(PAIR)
        tickers = await client.fetch_tickers()

        assert abs(await client.fetch_time() - client.milliseconds() - 3_600_000) < 60_000
        assert book["bids"][0] == [49999.99, 2.0]
        assert len(book["asks"]) == 5
        assert (ticker["bid"], ticker["ask"]) == ("49999.99", "50000.01")
        assert set(tickers) == {"BTC/USDT", "BTC/USD", "BTC/EUR", "ETH/USDT", "ETH/USD"}


# -- orders --------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_order_is_answered_with_its_ids_only_and_found_by_client_id() -> None:
    async with trading() as (venue, client):
        answer = await client.create_order(PAIR, "limit", "buy", "0.01", "49000", {"orderLinkId": "a-1"})

        assert set(answer["info"]) == {"orderId", "orderLinkId"}
        assert (answer["clientOrderId"], answer["status"], answer["filled"]) == ("a-1", None, None)
        (found,) = await client.fetch_open_orders(PAIR, params={"orderLinkId": "a-1"})
        assert (found["id"], found["status"], found["price"], found["amount"]) == (
            answer["id"],
            "open",
            "49000",
            "0.01",
        )

        order = venue.exchange.find(client_id="a-1")
        assert order is not None
        venue.exchange.fill(order, D("0.004"))
        part = await look_up(client, "a-1")
        assert (part["orderStatus"], part["cumExecQty"], part["leavesQty"]) == ("PartiallyFilled", "0.004", "0.006")
        venue.exchange.fill(order)
        whole = await look_up(client, "a-1")
        assert (whole["orderStatus"], whole["avgPrice"], whole["leavesQty"]) == ("Filled", "49000", "0")
        assert int(whole["updatedTime"]) >= int(whole["createdTime"])


@pytest.mark.asyncio
async def test_looking_up_by_no_id_finds_nothing_though_the_order_exists() -> None:
    """ccxt sends orderId=None when only a client id is given: a false OrderNotFound that must not be believed."""
    async with trading() as (_, client):
        await bid(client, "a-1")
        for look in (client.fetch_open_order, client.fetch_closed_order):
            with pytest.raises(ccxt.OrderNotFound):
                await look(None, PAIR, {"orderLinkId": "a-1"})


@pytest.mark.parametrize(
    ("kind", "quantity", "price", "params", "told"),
    [
        ("limit", "0.01", "49000", {}, ("New", "0", "EC_NoError")),
        ("limit", "0.01", "50001", {}, ("Filled", "0.01", "EC_NoError")),
        ("limit", "3", "50000.01", {}, ("PartiallyFilled", "2", "EC_NoError")),
        ("limit", "3", "50000.01", {"timeInForce": "IOC"}, ("PartiallyFilledCanceled", "2", "EC_NoImmediateQtyToFill")),
        ("limit", "0.01", "49000", {"timeInForce": "IOC"}, ("Cancelled", "0", "EC_NoImmediateQtyToFill")),
        ("limit", "3", "50000.01", {"timeInForce": "FOK"}, ("Cancelled", "0", "EC_NoImmediateQtyToFill")),
        ("limit", "3", "51000", {"timeInForce": "FOK"}, ("Filled", "3", "EC_NoError")),
        ("limit", "0.01", "50001", {"postOnly": True}, ("Cancelled", "0", "EC_PostOnlyWillTakeLiquidity")),
        ("limit", "0.01", "49000", {"postOnly": True}, ("New", "0", "EC_NoError")),
        ("market", "0.01", None, {}, ("Filled", "0.01", "EC_NoError")),
        ("market", "41", None, {}, ("PartiallyFilledCanceled", "40", "EC_NoImmediateQtyToFill")),
    ],
)
@pytest.mark.asyncio
async def test_what_came_of_an_order_is_seen_in_the_order_never_in_the_answer(
    kind: str, quantity: str, price: str | None, params: dict[str, Any], told: tuple[str, str, str]
) -> None:
    async with trading() as (venue, client):
        venue.exchange.deposit("USDT", D(10_000_000))
        answer = await client.create_order(PAIR, kind, "buy", quantity, price, {"orderLinkId": "a-1", **params})
        order = await look_up(client, "a-1")

        assert answer["id"] == order["orderId"]
        assert (order["orderStatus"], order["cumExecQty"], order["rejectReason"]) == told
        assert (order["timeInForce"] == "PostOnly") is ("postOnly" in params)


@pytest.mark.asyncio
async def test_a_market_buy_is_in_quote_units_unless_it_says_base() -> None:
    async with trading() as (_, client):
        await client.load_markets()
        request = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "500"}
        await client.private_post_v5_order_create({**request, "orderLinkId": "quote"})
        await client.private_post_v5_order_create(
            {**request, "orderLinkId": "base", "qty": "0.02", "marketUnit": "baseCoin"}
        )
        await client.private_post_v5_order_create({**request, "orderLinkId": "sell", "side": "Sell", "qty": "0.03"})
        quote, base, sold = [await look_up(client, link_id) for link_id in ("quote", "base", "sell")]

        assert (quote["qty"], quote["marketUnit"], quote["cumExecQty"]) == ("500", "quoteCoin", "0.00999")
        assert (base["qty"], base["cumExecQty"]) == ("0.02", "0.02")
        assert (sold["qty"], sold["cumExecQty"]) == ("0.03", "0.03")


@pytest.mark.asyncio
async def test_a_wrong_order_is_refused_with_the_venues_code_and_nothing_happens() -> None:
    sound: dict[str, Any] = {
        "category": "spot",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Limit",
        "qty": "1",
        "price": "100",
    }
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"symbol": "XXXUSDT"}, "InvalidOrder", "170121"),
        ({"side": "buy"}, "InvalidOrder", "170117"),
        ({"orderType": "Stop"}, "InvalidOrder", "170116"),
        ({"timeInForce": "DAY"}, "InvalidOrder", "170115"),
        ({"qty": ""}, "BadRequest", "170105"),
        ({"price": ""}, "BadRequest", "170105"),
        ({"qty": "-1"}, "BadRequest", "170130"),
        ({"qty": "a lot"}, "BadRequest", "170130"),
        ({"qty": "1e-99"}, "BadRequest", "170130"),
        ({"price": "1e999999"}, "BadRequest", "170130"),
        ({"qty": 1}, "BadRequest", "10001"),
        ({"qty": "1.000001"}, "InvalidOrder", "170137"),
        ({"qty": "0.000001"}, "InvalidOrder", "170136"),
        ({"qty": "9001"}, "InvalidOrder", "170135"),
        ({"price": "100.001"}, "InvalidOrder", "170134"),
        ({"qty": "0.01"}, "InvalidOrder", "170140"),
        ({"price": "1000001"}, "InsufficientFunds", "170131"),
        ({"symbol": "ETHUSDT"}, "InvalidOrder", "170157"),
        ({"orderLinkId": "x" * 37}, "BadRequest", "10001"),
        ({"orderLinkId": "a b"}, "BadRequest", "10001"),
        ({"category": "linear"}, "BadRequest", "10001"),
        ({"category": ""}, "BadRequest", "181001"),
    ]
    async with trading() as (venue, client):
        await client.load_markets()
        venue.exchange.market("ETHUSDT").status = "HALT"
        venue.dialect.limits["POST /v5/order/create"] = 100  # type: ignore[attr-defined]
        for change, error, code in cases:
            assert await refused(client.private_post_v5_order_create({**sound, **change})) == (error, code), change
        assert not venue.exchange.orders


@pytest.mark.asyncio
async def test_a_client_id_is_taken_for_ever() -> None:
    async with trading() as (venue, client):
        order_id = await bid(client, "a-1")
        assert await refused(bid(client, "a-1")) == ("InvalidOrder", "170141")
        await client.cancel_order(order_id, PAIR)
        assert await refused(bid(client, "a-1", price="48000")) == ("InvalidOrder", "170141")
        await client.create_order(PAIR, "limit", "buy", "0.01", "49000")
        await client.create_order(PAIR, "limit", "buy", "0.01", "49000")  # none given: the venue makes its own
        assert len(venue.exchange.orders) == 3


@pytest.mark.asyncio
async def test_a_cancel_is_answered_with_ids_and_a_second_one_finds_no_order() -> None:
    async with trading() as (venue, client):
        order_id = await bid(client, "a-1")
        order = venue.exchange.find(client_id="a-1")
        assert order is not None
        venue.exchange.fill(order, D("0.004"))
        answer = await client.cancel_order(order_id, PAIR)

        assert (answer["id"], answer["status"]) == (order_id, None)
        told = await look_up(client, "a-1")
        assert (told["orderStatus"], told["cancelType"]) == ("PartiallyFilledCanceled", "CancelByUser")
        assert (told["cumExecQty"], told["leavesQty"]) == ("0.004", "0")
        assert await refused(client.cancel_order(order_id, PAIR)) == ("OrderNotFound", "170213")
        assert await refused(client.cancel_order("123", PAIR)) == ("OrderNotFound", "170213")
        await bid(client, "a-2")
        by_client_id = {"category": "spot", "symbol": "BTCUSDT", "orderLinkId": "a-2"}
        elsewhere = client.private_post_v5_order_cancel({**by_client_id, "symbol": "ETHUSDT"})
        assert await refused(elsewhere) == ("OrderNotFound", "170213")
        assert (await client.private_post_v5_order_cancel(by_client_id))["result"]["orderLinkId"] == "a-2"
        assert await refused(client.private_post_v5_order_cancel(by_client_id)) == ("OrderNotFound", "170213")
        assert not venue.exchange.open_orders()


@pytest.mark.asyncio
async def test_cancel_all_ends_the_symbols_orders_only() -> None:
    async with trading() as (venue, client):
        rest(venue, "a-1")
        rest(venue, "a-2")
        other = rest(venue, "e-1", symbol="ETHUSDT", price=D(2_900), quantity=D("0.1"))
        cancelled = await client.cancel_all_orders(PAIR)

        assert {order["clientOrderId"] for order in cancelled} == {"a-1", "a-2"}
        assert venue.exchange.open_orders() == [other]


@pytest.mark.asyncio
async def test_an_amendment_keeps_the_ids_and_may_take_at_once() -> None:
    async with trading() as (_, client):
        order_id = await bid(client, "a-1")
        answer = await client.edit_order(order_id, PAIR, "limit", "buy", "0.02", "49500")
        assert (answer["id"], answer["clientOrderId"], answer["status"]) == (order_id, "a-1", None)
        told = await look_up(client, "a-1")
        assert (told["qty"], told["price"], told["orderStatus"]) == ("0.02", "49500", "New")

        same = client.edit_order(order_id, PAIR, "limit", "buy", "0.02", "49500")
        assert await refused(same) == ("BadRequest", "10001")
        await client.edit_order(order_id, PAIR, "limit", "buy", None, "50100")
        assert (await look_up(client, "a-1"))["orderStatus"] == "Filled"
        late = client.edit_order(order_id, PAIR, "limit", "buy", None, "49000")
        assert await refused(late) == ("OrderNotFound", "110001")


@pytest.mark.asyncio
async def test_an_amendment_cannot_go_below_what_is_filled() -> None:
    async with trading() as (venue, client):
        order_id = await bid(client, "a-1")
        venue.exchange.fill(venue.exchange.orders[int(order_id)], D("0.004"))
        less = client.edit_order(order_id, PAIR, "limit", "buy", "0.003", None)
        assert await refused(less) == ("InvalidOrder", "110064")


# -- look-ups ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_open_orders_come_in_pages_that_new_orders_do_not_shift() -> None:
    async with trading() as (venue, client):
        placed = [rest(venue, f"a-{number}").client_id for number in range(70)]
        seen: list[str] = []
        request: dict[str, Any] = {"category": "spot", "symbol": "BTCUSDT", "limit": "50"}
        while True:
            page = (await client.private_get_v5_order_realtime(request))["result"]
            if not page["list"]:
                break
            seen += [order["orderLinkId"] for order in page["list"]]
            request["cursor"] = page["nextPageCursor"]
            rest(venue, f"late-{len(seen)}")

        assert seen == placed[::-1]
        assert page["nextPageCursor"] == ""
        assert len(await client.fetch_open_orders(PAIR)) == 20  # what one who does not page gets
        assert len(await client.fetch_open_orders(PAIR, params={"paginate": True})) == 72
        too_many = client.private_get_v5_order_realtime({"category": "spot", "limit": "51"})
        assert await refused(too_many) == ("BadRequest", "10001")


@pytest.mark.asyncio
async def test_realtime_still_shows_a_closed_order_by_id_until_500_others_have_closed() -> None:
    async with trading() as (venue, client):
        order = rest(venue, "a-1")
        venue.exchange.cancel(order)
        by_id = {"orderLinkId": "a-1"}
        assert [shown["status"] for shown in await client.fetch_open_orders(PAIR, params=by_id)] == ["canceled"]
        assert await client.fetch_open_orders(PAIR) == []
        for number in range(500):
            venue.exchange.cancel(rest(venue, f"b-{number}"))

        assert await client.fetch_open_orders(PAIR, params=by_id) == []
        (kept,) = await client.fetch_canceled_and_closed_orders(PAIR, params=by_id)
        assert kept["id"] == str(order.id)


@pytest.mark.asyncio
async def test_history_is_of_closed_orders_and_one_week() -> None:
    async with trading() as (venue, client):
        rest(venue, "open")
        venue.exchange.cancel(rest(venue, "gone"))
        venue.exchange.fill(rest(venue, "done"))
        now = venue.exchange.time()

        assert await client.fetch_canceled_and_closed_orders(PAIR, params={"orderLinkId": "open"}) == []
        assert [order["clientOrderId"] for order in await client.fetch_closed_orders(PAIR)] == ["done"]
        assert {order["clientOrderId"] for order in await client.fetch_canceled_and_closed_orders(PAIR)} == {
            "gone",
            "done",
        }
        assert await client.fetch_closed_orders(PAIR, since=now - 9 * 86_400_000) == []  # a week from there
        long = client.fetch_closed_orders(PAIR, since=now - 9 * 86_400_000, params={"until": now})
        assert await refused(long) == ("BadRequest", "10001")


@pytest.mark.asyncio
async def test_executions_tell_price_fee_currency_and_who_made() -> None:
    async with trading() as (venue, client):
        order_id = await bid(client, "a-1", price="50000.01", quantity="3")
        venue.exchange.fill(venue.exchange.orders[int(order_id)], D("0.4"))
        await client.create_order(PAIR, "market", "sell", "0.1", None, {"orderLinkId": "a-2"})
        by_order = await client.fetch_order_trades(order_id, PAIR)
        by_link = await client.fetch_order_trades(None, PAIR, params={"orderLinkId": "a-2"})

        assert [(trade["takerOrMaker"], trade["amount"]) for trade in by_order] == [("taker", "2"), ("maker", "0.4")]
        assert [trade["info"]["leavesQty"] for trade in by_order] == ["1", "0.6"]
        assert {trade["order"] for trade in by_order} == {order_id}
        assert (by_order[0]["fee"]["currency"], by_order[0]["info"]["execFee"]) == ("BTC", "0.002")
        assert (by_link[0]["fee"]["currency"], by_link[0]["info"]["execFee"]) == ("USDT", "4.999999")
        assert by_link[0]["info"]["feeCurrency"] == "USDT"
        assert len({trade["id"] for trade in await client.fetch_my_trades(PAIR)}) == 3
        assert await client.fetch_order_trades("123", PAIR) == []


@pytest.mark.asyncio
async def test_executions_come_in_pages_of_a_week() -> None:
    async with trading() as (venue, client):
        for number in range(120):
            venue.exchange.fill(rest(venue, f"a-{number}"))
        now = venue.exchange.time()
        assert len(await client.fetch_my_trades(PAIR)) == 50
        assert len(await client.fetch_my_trades(PAIR, limit=100)) == 100
        assert len(await client.fetch_my_trades(PAIR, params={"paginate": True})) == 120
        assert await client.fetch_my_trades(PAIR, since=now + 60_000) == []
        long = client.fetch_my_trades(PAIR, since=now - 8 * 86_400_000, params={"endTime": now})
        assert await refused(long) == ("BadRequest", "10001")


@pytest.mark.asyncio
async def test_balances_show_what_is_held_and_what_orders_lock() -> None:
    async with trading() as (venue, client):
        await bid(client, "a-1")
        balance = await client.fetch_balance()
        assert (balance["USDT"]["total"], balance["USDT"]["used"], balance["USDT"]["free"]) == (
            "1000000",
            "490",
            "999510",
        )
        venue.exchange.deposit("BTC", D(-100))
        assert "BTC" not in (await client.fetch_balance())["total"]


# -- who asks, when and how often ----------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_wrong_key_or_secret_is_refused() -> None:
    async with trading(secret="no") as (_, client):
        assert await refused(client.fetch_balance()) == ("AuthenticationError", "10004")
    async with trading(key="no") as (_, client):
        assert await refused(client.fetch_balance()) == ("AuthenticationError", "10003")


@pytest.mark.parametrize("offset_ms", [-2_000, 6_000])
@pytest.mark.asyncio
async def test_a_request_from_another_time_is_refused_until_the_clock_is_set(offset_ms: int) -> None:
    async with trading() as (venue, client):
        await client.load_markets()
        venue.exchange.clock_offset_ms = offset_ms
        assert await refused(bid(client, "a-1")) == ("InvalidNonce", "10002")
        assert not venue.exchange.orders
        await client.load_time_difference()
        await bid(client, "a-1")


# -- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "error", "exists"),
    [
        ({"kind": "drop_before"}, "ExchangeNotAvailable", False),
        ({"kind": "drop_after"}, "ExchangeNotAvailable", True),
        ({"kind": "truncate"}, "ExchangeError", True),
        ({"kind": "status", "status": 403}, "RateLimitExceeded", False),
        ({"kind": "status_after", "status": 502}, "ExchangeNotAvailable", True),
        ({"kind": "code", "code": "10016"}, "ExchangeError", False),
        ({"kind": "code", "code": "10006"}, "RateLimitExceeded", False),
        ({"kind": "code", "code": "10005"}, "PermissionDenied", False),
        ({"kind": "empty"}, "", True),
        ({"kind": "html"}, "", True),
    ],
)
@pytest.mark.asyncio
async def test_a_fault_on_a_new_order_looks_as_the_real_ones_and_the_truth_can_be_looked_up(
    rule: dict[str, Any], error: str, exists: bool
) -> None:
    async with trading() as (venue, client):
        await client.load_markets()
        venue.faults.add(Rule(match="POST /v5/order/create", **rule))
        raised = ""
        try:
            assert await bid(client, "a-1") == "None"  # silence: ccxt returns an order of nothing
        except ccxt.BaseError as failure:
            raised = type(failure).__name__
        assert raised == error
        assert bool(await client.fetch_open_orders(PAIR, params={"orderLinkId": "a-1"})) is exists
        assert bool(venue.exchange.orders) is exists


@pytest.mark.asyncio
async def test_a_lagging_look_up_finds_nothing_once() -> None:
    async with trading() as (venue, client):
        await bid(client, "a-1")
        venue.faults.add(Rule(match="GET /v5/order/realtime", kind="not_found_once"))
        venue.faults.add(Rule(match="POST /v5/order/cancel", kind="not_found_once"))
        by_id = {"orderLinkId": "a-1"}
        assert await client.fetch_open_orders(PAIR, params=by_id) == []
        assert len(await client.fetch_open_orders(PAIR, params=by_id)) == 1
        assert await refused(client.cancel_order("1", PAIR)) == ("OrderNotFound", "170213")


@pytest.mark.asyncio
async def test_maintenance_answers_nobody_and_cuts_the_streams() -> None:
    async with trading() as (venue, client):
        await client.load_markets()
        venue.maintenance = True
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await bid(client, "a-1")
        venue.clear()
        await bid(client, "a-1")
