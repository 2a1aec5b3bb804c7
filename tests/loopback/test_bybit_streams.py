"""The websockets of the Bybit-shaped venue, as raw messages and as ccxt.pro watches them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import ccxt.pro
import pytest

from tests.loopback.bybit_client import PAIR, D, bid, rest, trading, until
from tools.loopback import LoopbackVenue, StreamFaults
from tools.loopback.bybit_rules import sign


@asynccontextmanager
async def listening(venue: LoopbackVenue, path: str) -> AsyncIterator[Callable[..., Any]]:
    """Open a websocket; what is yielded sends a message, if any, and returns the next one that arrives."""
    async with aiohttp.ClientSession() as session, session.ws_connect(venue.url + path) as socket:

        async def talk(message: Any = None) -> dict[str, Any]:
            if message is not None:
                await socket.send_json(message)
            return dict(await socket.receive_json(timeout=10))

        yield talk


def credentials(venue: LoopbackVenue, expires_in_ms: int = 10_000) -> list[str]:
    expires = str(venue.exchange.time() + expires_in_ms)
    return [venue.key, expires, sign(venue.secret, f"GET/realtime{expires}")]


@asynccontextmanager
async def watching(venue: LoopbackVenue, *topics: str) -> AsyncIterator[Callable[..., Any]]:
    async with listening(venue, "/v5/private") as talk:
        assert (await talk({"op": "auth", "args": credentials(venue)}))["success"]
        assert (await talk({"op": "subscribe", "args": list(topics)}))["success"]
        yield talk


@pytest.mark.asyncio
async def test_the_private_stream_must_be_signed_before_it_is_subscribed() -> None:
    async with LoopbackVenue("bybit") as venue, listening(venue, "/v5/private") as talk:
        early = await talk({"op": "subscribe", "args": ["order"], "req_id": "1"})
        assert (early["success"], early["req_id"]) == (False, "1")
        for wrong in ([], credentials(venue, -1), [*credentials(venue)[:2], "0"], ["no", *credentials(venue)[1:]]):
            assert (await talk({"op": "auth", "args": wrong}))["success"] is False
        rest(venue, "unseen")
        assert (await talk({"op": "auth", "args": credentials(venue)}))["success"] is True
        assert (await talk({"op": "subscribe", "args": ["order", "moon"]}))["success"] is False
        assert (await talk({"op": "subscribe", "args": ["order"]}))["success"] is True
        rest(venue, "seen")
        assert (await talk())["data"][0]["orderLinkId"] == "seen"


@pytest.mark.asyncio
async def test_both_sockets_answer_pings_and_nonsense() -> None:
    async with LoopbackVenue("bybit") as venue:
        async with listening(venue, "/v5/private") as talk:
            pong = await talk({"op": "ping", "req_id": 7})
            assert (pong["op"], pong["req_id"], "success" in pong) == ("pong", "7", False)
            assert (await talk([1]))["success"] is False
            assert (await talk({"op": "subscribe", "args": 5}))["success"] is False
        async with listening(venue, "/v5/public/spot") as talk:
            pong = await talk({"op": "ping"})
            assert (pong["success"], pong["ret_msg"], pong["op"]) == (True, "pong", "ping")
            for topic in ("orderbook.1.NOPE", "orderbook.7.BTCUSDT", "order", "tickers"):
                assert (await talk({"op": "subscribe", "args": [topic]}))["success"] is False


@pytest.mark.asyncio
async def test_an_order_is_told_from_new_to_its_end_with_each_execution() -> None:
    async with LoopbackVenue("bybit") as venue, watching(venue, "order", "execution") as talk:
        order = rest(venue, "a-1")
        venue.exchange.fill(order, D("0.004"))
        venue.exchange.cancel(order)
        told = [await talk() for _ in range(4)]

        assert [message["topic"] for message in told] == ["order", "execution", "order", "order"]
        entries = [message["data"][0] for message in told]
        assert [entry["orderStatus"] for entry in entries if "orderStatus" in entry] == [
            "New",
            "PartiallyFilled",
            "PartiallyFilledCanceled",
        ]
        assert entries[1]["execQty"] == entries[2]["cumExecQty"] == "0.004"
        assert {entry["category"] for entry in entries} == {"spot"}


@pytest.mark.asyncio
async def test_ccxt_watches_orders_trades_and_the_wallet() -> None:
    async with trading() as (venue, client):
        topics = {"order", "execution", "wallet"}
        watches = [asyncio.create_task(work()) for work in (client.watch_orders, client.watch_my_trades)]
        watches.append(asyncio.create_task(client.watch_balance()))
        await until(lambda: any(topics <= peer.topics for peer in venue.peers))
        await bid(client, "a-1", price="50001", quantity="0.01")
        orders, trades, balance = await asyncio.gather(*watches)

        assert {order["clientOrderId"] for order in orders} == {"a-1"}
        assert orders[-1]["symbol"] == PAIR
        assert (trades[-1]["amount"], trades[-1]["fee"]["currency"]) == ("0.01", "BTC")
        assert balance["USDT"]["total"] is not None
        await until(lambda: client.orders[-1]["status"] == "closed")


@pytest.mark.asyncio
async def test_ccxt_is_told_of_a_refused_stream() -> None:
    async with trading(secret="no") as (_, client):
        with pytest.raises(ccxt.BaseError):
            await asyncio.wait_for(client.watch_orders(), 10)


@pytest.mark.asyncio
async def test_the_public_book_is_a_snapshot_and_then_what_changed() -> None:
    async with LoopbackVenue("bybit") as venue, listening(venue, "/v5/public/spot") as talk:
        assert (await talk({"op": "subscribe", "args": ["orderbook.1.BTCUSDT"]}))["success"]
        first = await talk()
        assert (first["type"], first["data"]["b"]) == ("snapshot", [["49999.99", "2"]])
        venue.exchange.move_price("ETHUSDT", D(2_000))
        venue.exchange.move_price("BTCUSDT", D(50_100))
        change = await talk()
        assert (change["type"], change["data"]["b"]) == ("delta", [["49999.99", "0"], ["50099.99", "2"]])
        assert change["data"]["u"] > first["data"]["u"]
        rest(venue, "taker", price=D(60_000), quantity=D("0.5"))
        assert (await talk())["data"] | {"u": 0, "seq": 0} == {
            "s": "BTCUSDT",
            "b": [],
            "a": [["50100.01", "1.5"]],
            "u": 0,
            "seq": 0,
        }


@pytest.mark.asyncio
async def test_who_unsubscribes_hears_nothing_and_starts_anew_with_a_snapshot() -> None:
    async with LoopbackVenue("bybit") as venue, listening(venue, "/v5/public/spot") as talk:
        topic = ["orderbook.1.BTCUSDT"]
        await talk({"op": "subscribe", "args": topic})
        await talk()
        assert (await talk({"op": "unsubscribe", "args": topic}))["success"]
        venue.exchange.move_price("BTCUSDT", D(50_100))
        assert (await talk({"op": "subscribe", "args": topic}))["op"] == "subscribe"
        assert (await talk())["type"] == "snapshot"


@pytest.mark.asyncio
async def test_ccxt_watches_the_best_prices_and_the_ticker() -> None:
    async with trading() as (venue, client):
        assert (await client.watch_bids_asks([PAIR]))[PAIR]["bid"] == "49999.99"
        ticker = await client.watch_ticker(PAIR)
        assert (ticker["symbol"], ticker["last"]) == (PAIR, "50000")
        for mid in (D(50_100), D(49_900)):
            watch = asyncio.create_task(client.watch_bids_asks([PAIR]))
            await asyncio.sleep(0)
            venue.exchange.move_price("BTCUSDT", mid)
            best = (await watch)[PAIR]
            assert (D(best["bid"]), D(best["ask"])) == (mid - D("0.01"), mid + D("0.01"))


@pytest.mark.asyncio
async def test_stream_faults_touch_events_and_not_answers() -> None:
    async with LoopbackVenue("bybit") as venue, watching(venue, "order") as talk:
        venue.faults.stream = StreamFaults(silent=True)
        rest(venue, "lost")
        assert "pong" in (await talk({"op": "ping"}))["op"]
        venue.faults.stream = StreamFaults(duplicate=1)
        rest(venue, "twice")
        assert [(await talk())["data"][0]["orderLinkId"] for _ in range(2)] == ["twice", "twice"]


@pytest.mark.asyncio
async def test_a_cut_stream_raises_and_can_be_watched_again() -> None:
    async with trading() as (venue, client):
        watch = asyncio.create_task(client.watch_orders())
        await until(lambda: any("order" in peer.topics for peer in venue.peers))
        venue.cut()
        with pytest.raises(ccxt.NetworkError):
            await watch
        await until(lambda: not venue.peers)
        again = asyncio.create_task(client.watch_orders())
        await until(lambda: any("order" in peer.topics for peer in venue.peers))
        rest(venue, "after")
        assert [order["clientOrderId"] for order in await again] == ["after"]


@pytest.mark.asyncio
async def test_a_terminated_subscription_is_silent_though_the_socket_answers() -> None:
    async with LoopbackVenue("bybit") as venue, watching(venue, "order") as talk:
        venue.dialect.terminate()
        rest(venue, "lost")
        assert (await talk({"op": "ping"}))["op"] == "pong"
        assert (await talk({"op": "subscribe", "args": ["order"]}))["success"]
        rest(venue, "seen")
        assert (await talk())["data"][0]["orderLinkId"] == "seen"
