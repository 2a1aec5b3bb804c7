"""The Binance-shaped venue's websockets: the account's events agree with the look-ups, market streams with the book."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import ccxt.pro
import pytest

from tests.loopback.binance_client import BTC, limit, trading, until
from tools.loopback import LoopbackVenue, StreamFaults

# -- the account's stream ------------------------------------------------------------------------------------


async def collected(client: Any, count: int) -> list[dict[str, Any]]:
    """Return the raw events of ``count`` order updates."""
    events: list[dict[str, Any]] = []
    while len(events) < count:
        events += [order["info"] for order in await asyncio.wait_for(client.watch_orders(), 10)]
    return events


def subscription(venue: LoopbackVenue) -> dict[str, Any]:
    params = {"apiKey": venue.key, "recvWindow": 5000, "timestamp": venue.exchange.time()}
    signature = hmac.new(venue.secret.encode(), urlencode(params).encode(), hashlib.sha256).hexdigest()
    return {"id": "1", "method": "userDataStream.subscribe.signature", "params": params | {"signature": signature}}


@asynccontextmanager
async def account_stream(venue: LoopbackVenue) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{venue.url}/ws-api/v3") as socket:
        await socket.send_json(subscription(venue))
        assert (await socket.receive_json())["result"] == {"subscriptionId": 0}
        yield socket


async def reports(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        event = (await socket.receive_json(timeout=10))["event"]
        found += [event] if event["e"] == "executionReport" else []
    return found


@pytest.mark.asyncio
async def test_the_stream_tells_of_an_order_what_a_look_up_shows() -> None:
    async with trading() as (venue, client), account_stream(venue) as socket:
        order = await limit(client, "a")
        venue.exchange.fill(venue.exchange.orders[1001], Decimal("0.004"))
        await client.cancel_order(order["id"], BTC, {"newClientOrderId": "c"})
        new, trade, cancelled = await reports(socket, 3)
        assert [(event["x"], event["X"], event["c"], event["C"]) for event in (new, trade, cancelled)] == [
            ("NEW", "NEW", "a", ""),
            ("TRADE", "PARTIALLY_FILLED", "a", ""),
            ("CANCELED", "CANCELED", "c", "a"),
        ]
        assert (trade["l"], trade["L"], trade["n"], trade["N"]) == ("0.00400000", "40000.00000000", "0.00000400", "BTC")
        assert (trade["t"], trade["m"], cancelled["t"], cancelled["N"]) == (501, True, -1, None)
        state = (await client.fetch_order(order["id"], BTC))["info"]
        for event_name, name in (("X", "status"), ("z", "executedQty"), ("Z", "cummulativeQuoteQty"), ("q", "origQty")):
            assert cancelled[event_name] == state[name]
        assert (cancelled["T"], cancelled["O"]) == (int(state["updateTime"]), int(state["time"]))


@pytest.mark.asyncio
async def test_the_stream_tells_of_expiry_amendment_and_balances() -> None:
    async with trading() as (venue, client), account_stream(venue) as socket:
        await client.create_order(BTC, "limit", "buy", "3", "50000.01", {"timeInForce": "IOC"})
        assert [(event["x"], event["X"]) for event in await reports(socket, 3)] == [
            ("NEW", "NEW"),
            ("TRADE", "PARTIALLY_FILLED"),
            ("EXPIRED", "EXPIRED"),
        ]
        position = (await socket.receive_json())["event"]
        assert position["e"] == "outboundAccountPosition"
        assert position["B"][0] == {"a": "BTC", "f": "101.99800000", "l": "0.00000000"}
        venue.exchange.amend(
            venue.exchange.place(
                symbol="BTCUSDT", side="BUY", type="LIMIT", client_id="b", quantity=Decimal(2), price=Decimal(40_000)
            ).order,
            quantity=Decimal(1),
            client_id="d",
        )
        _, amended = await reports(socket, 2)
        assert (amended["x"], amended["c"], amended["C"], amended["q"]) == ("REPLACED", "d", "b", "1.00000000")
        await socket.receive_json()
        venue.exchange.deposit("ETH", Decimal(5))
        assert (await socket.receive_json())["event"]["B"][0]["f"] == "1005.00000000"
        update = (await socket.receive_json())["event"]
        assert (update["e"], update["a"], update["d"]) == ("balanceUpdate", "ETH", "5.00000000")


@pytest.mark.asyncio
async def test_ccxt_watches_orders_over_the_websocket_api_and_survives_a_cut() -> None:
    async with trading() as (venue, client):
        await client.load_markets()
        watching = asyncio.create_task(collected(client, 1))
        await venue_has(venue, subscribed=1)
        await limit(client, "a")
        assert [event["x"] for event in await watching] == ["NEW"]
        watching = asyncio.create_task(collected(client, 1))
        await asyncio.sleep(0)
        venue.cut()
        with pytest.raises(ccxt.NetworkError):
            await watching
        await venue_has(venue, subscribed=0)
        watching = asyncio.create_task(collected(client, 1))
        await venue_has(venue, subscribed=1)
        await client.cancel_order(None, BTC, {"clientOrderId": "a"})
        assert [event["x"] for event in await watching] == ["CANCELED"]


async def venue_has(venue: LoopbackVenue, subscribed: int) -> None:
    await until(lambda: sum("userDataStream" in peer.topics for peer in venue.peers) == subscribed)


@pytest.mark.asyncio
async def test_a_terminated_stream_stays_connected_and_says_nothing_more() -> None:
    async with trading() as (venue, client), account_stream(venue) as socket:
        venue.dialect.terminate()
        assert (await socket.receive_json())["event"]["e"] == "eventStreamTerminated"
        await limit(client, "a")
        await socket.send_json({"id": "2", "method": "ping"})
        assert (await socket.receive_json())["id"] == "2"


@pytest.mark.asyncio
async def test_a_wrong_subscription_is_refused_and_a_second_one_too() -> None:
    async with trading() as (venue, _), account_stream(venue) as socket:
        for params, status, code in (
            ({"apiKey": "x"}, 401, -2014),
            ({"apiKey": venue.key, "timestamp": 1, "signature": "y"}, 400, -1022),
        ):
            await socket.send_json({"id": "2", "method": "userDataStream.subscribe.signature", "params": params})
            answer = await socket.receive_json()
            assert (answer["status"], answer["error"]["code"]) == (status, code)
        await socket.send_json(subscription(venue))
        assert (await socket.receive_json())["error"]["code"] == -2035


@pytest.mark.asyncio
async def test_the_streams_switches_touch_events_and_not_the_truth() -> None:
    async with trading() as (venue, client), account_stream(venue) as socket:
        venue.faults.stream = StreamFaults(silent=True)
        await limit(client, "a")
        venue.faults.stream = StreamFaults(duplicate=1)
        await limit(client, "b")
        first, second = await reports(socket, 2)
        assert first == second
        assert first["c"] == "b"
        assert len(await client.fetch_open_orders(BTC)) == 2
        venue.faults.stream = StreamFaults(refuse=True)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with account_stream(venue):
                pass


# -- market streams ------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_ccxt_watches_best_prices_and_the_book() -> None:
    async with trading() as (venue, client):
        ticker = (await asyncio.wait_for(client.watch_bids_asks([BTC]), 10))[BTC]
        assert (ticker["bid"], ticker["ask"]) == ("49999.99000000", "50000.01000000")
        watching = asyncio.create_task(client.watch_bids_asks([BTC]))
        await asyncio.sleep(0)
        venue.exchange.move_price("BTCUSDT", Decimal(51_000))
        assert (await asyncio.wait_for(watching, 10))[BTC]["bid"] == "50999.99000000"


@pytest.mark.asyncio
async def test_depth_updates_lead_from_one_book_to_the_next() -> None:
    async with (
        LoopbackVenue("binance") as venue,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{venue.url}/stream?streams=btcusdt@depth") as socket,
    ):
        async with session.get(f"{venue.url}/api/v3/depth?symbol=BTCUSDT") as answer:
            snapshot = await answer.json()
        book = {side: dict(snapshot[side]) for side in ("bids", "asks")}
        venue.exchange.move_price("BTCUSDT", Decimal("50000.02"))
        venue.exchange.place(
            symbol="BTCUSDT", side="BUY", type="MARKET", client_id="a", quantity=Decimal("2.5"), price=None
        )
        for number in (1, 2):
            update = (await socket.receive_json(timeout=10))["data"]
            assert update["U"] == snapshot["lastUpdateId"] + number
            for side, changes in (("bids", update["b"]), ("asks", update["a"])):
                book[side].update(changes)
        left = {side: {price: size for price, size in book[side].items() if float(size)} for side in book}
        async with session.get(f"{venue.url}/api/v3/depth?symbol=BTCUSDT") as answer:
            after = await answer.json()
        assert left == {side: dict(after[side]) for side in ("bids", "asks")}
