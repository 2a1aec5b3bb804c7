"""The faults of a loopback venue: each does in the bytes what it says, and leaves nothing open behind it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
import anyio.lowlevel
import pytest

from router.clock import VirtualClock
from tools.loopback import Faults, LoopbackVenue, Rule, StreamFaults
from tools.loopback.faults import Kind

ORDER = "POST /api/v3/order"
PATIENCE_S = 10  # never waited for in full


@asynccontextmanager
async def venue_and_client() -> AsyncIterator[tuple[LoopbackVenue, VirtualClock, aiohttp.ClientSession]]:
    clock = VirtualClock()
    async with (
        LoopbackVenue("binance", seed=1, clock=clock) as venue,
        aiohttp.ClientSession(venue.url, timeout=aiohttp.ClientTimeout(PATIENCE_S)) as client,
    ):
        yield venue, clock, client


async def place(
    venue: LoopbackVenue, client: aiohttp.ClientSession, client_id: str = "a", **more: Any
) -> tuple[int, str]:
    """Send an order as it was signed at the venue's present time; return the answer's status and text."""
    form = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "1",
        "price": "40000",
    }
    stamp = {"newClientOrderId": client_id, "recvWindow": 5000, "timestamp": venue.exchange.time()}
    text = urlencode(form | stamp | more)
    signature = hmac.new(venue.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    headers = {"X-MBX-APIKEY": venue.key, "Content-Type": "application/x-www-form-urlencoded"}
    async with client.post(
        "/api/v3/order", data=f"{text}&signature={signature}", headers=headers, allow_redirects=False
    ) as answer:
        return answer.status, await answer.text()


def exists(venue: LoopbackVenue, client_id: str = "a") -> bool:
    return venue.exchange.find(client_id=client_id) is not None


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not happened():
            await anyio.lowlevel.checkpoint()  # lets the sockets work


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "status", "body", "processed"),
    [
        ("empty", 200, "", True),
        ("html", 200, "<html>", True),
        ("status", 502, "<b>no</b>", False),
        ("status_after", 502, "<b>no</b>", True),
        ("code", 400, '{"code":-1001,"msg":"made to fail"}', False),
        ("not_found_once", 400, '{"code":-2013,"msg":"Order does not exist."}', False),
        ("redirect", 307, "", False),
    ],
)
async def test_an_answer_is_replaced_and_the_next_is_right(kind: Kind, status: int, body: str, processed: bool) -> None:
    async with venue_and_client() as (venue, _, client):
        venue.faults.add(Rule(ORDER, kind, status=502, body="<b>no</b>", code="-1001"))
        answered, text = await place(venue, client)
        assert answered == status
        assert text.startswith(body)
        assert exists(venue) == processed
        assert (await place(venue, client, "b"))[0] == 200
        assert venue.faults.hits == {kind: 1}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "error", "processed"),
    [
        ("drop_before", aiohttp.ServerDisconnectedError, False),
        ("drop_after", aiohttp.ServerDisconnectedError, True),
        ("truncate", aiohttp.ClientPayloadError, True),
    ],
)
async def test_a_connection_is_cut_before_or_after_the_work(
    kind: Kind, error: type[Exception], processed: bool
) -> None:
    async with venue_and_client() as (venue, _, client):
        venue.faults.add(Rule(ORDER, kind))
        with pytest.raises(error):
            await place(venue, client)
        assert exists(venue) == processed


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "processed"), [("hang", False), ("hang_after", True)])
async def test_a_request_that_hangs_ends_with_its_client(kind: Kind, processed: bool) -> None:
    async with venue_and_client() as (venue, _, client):
        venue.faults.add(Rule(ORDER, kind))
        waiting = asyncio.create_task(place(venue, client))
        await until(lambda: venue.faults.hits[kind] == 1 and exists(venue) == processed)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await until(lambda: venue.connections == 0)


@pytest.mark.asyncio
async def test_a_venue_stops_although_a_request_hangs() -> None:
    async with venue_and_client() as (venue, _, client):
        venue.faults.add(Rule(ORDER, "hang"))
        waiting = asyncio.create_task(place(venue, client))
        await until(lambda: venue.faults.hits["hang"] == 1)
    with pytest.raises(aiohttp.ClientError):
        await waiting


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "early"), [("delay", False), ("delay_after", True)])
async def test_a_delay_is_before_or_after_the_work(kind: Kind, early: bool) -> None:
    async with venue_and_client() as (venue, clock, client):
        venue.faults.add(Rule(ORDER, kind, delay_s=2))
        waiting = asyncio.create_task(place(venue, client))
        await until(lambda: venue.faults.hits[kind] == 1)
        await clock.advance(1.9)
        assert exists(venue) == early
        assert not waiting.done()
        await clock.advance(0.1)
        assert exists(venue)
        assert (await waiting)[0] == 200


@pytest.mark.asyncio
@pytest.mark.parametrize(("delay_s", "executed"), [(4.5, True), (5.5, False)])
async def test_a_late_request_executes_after_the_cut_while_its_window_is_open(delay_s: float, executed: bool) -> None:
    async with venue_and_client() as (venue, clock, client):
        venue.faults.add(Rule(ORDER, "late", delay_s=delay_s))
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await place(venue, client)
        assert not exists(venue)
        await clock.advance(delay_s)
        assert exists(venue) == executed


@pytest.mark.asyncio
async def test_a_delayed_request_executes_although_its_client_has_gone() -> None:
    async with venue_and_client() as (venue, clock, client):
        venue.faults.add(Rule(ORDER, "delay", delay_s=2))
        waiting = asyncio.create_task(place(venue, client))
        await until(lambda: venue.faults.hits["delay"] == 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await until(lambda: venue.connections == 0)
        await clock.advance(2)
        assert exists(venue)


@pytest.mark.asyncio
async def test_a_thousand_disturbed_connections_leave_nothing_open() -> None:
    kinds: tuple[Kind, ...] = ("drop_before", "drop_after", "truncate", "empty", "late")
    async with venue_and_client() as (venue, _, client):
        for number in range(1000):
            venue.faults.add(Rule("GET /api/v3/time", kinds[number % len(kinds)]))
            headers = {"Connection": "close"} if number % 2 else {}
            try:
                async with client.get("/api/v3/time", headers=headers) as answer:
                    await answer.read()
            except aiohttp.ClientError:
                pass
            if number % 20 == 0:
                async with client.ws_connect("/ws") as socket:
                    await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 1})
                    await socket.receive_json()
                    venue.cut()
                    await socket.receive()
        await until(lambda: venue.connections <= 1)
        assert not venue.peers
        assert not venue._tasks


# -- the rules as data -----------------------------------------------------------------------------------------


def test_a_rule_matches_a_beginning_counts_down_and_is_gone() -> None:
    faults = Faults()
    rule = Rule("GET /api/v3", "hang", times=2)
    faults.add(rule)
    assert faults.take("POST", "/api/v3/order") is None
    assert [faults.take("GET", "/api/v3/order") is not None for _ in range(3)] == [True, True, False]
    assert (faults.rules, rule.times) == ([], 2)
    faults.add(Rule("", "hang", times=None))
    assert [faults.take("GET", "/").__class__ for _ in range(3)] == [Rule] * 3
    faults.clear()
    assert faults.take("GET", "/") is None


@pytest.mark.parametrize("wrong", [{"times": 0}, {"delay_s": -1}, {"chance": 0}, {"chance": 1.5}])
def test_a_senseless_rule_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Rule("", "hang", **wrong)  # type: ignore[arg-type]


def test_chance_is_repeatable() -> None:
    def taken(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add(Rule("", "hang", times=None, chance=0.5))
        return [faults.take("GET", "/") is not None for _ in range(50)]

    assert taken(1) == taken(1) != taken(2)
    assert 10 < sum(taken(1)) < 40


def sent(stream: StreamFaults, events: int = 4) -> list[int]:
    faults, held = Faults(), list[int]()
    faults.stream = stream
    return [number for event in range(events) for number in faults.disturb(event, held)]


def test_the_stream_is_silent_doubled_or_out_of_order() -> None:
    assert sent(StreamFaults()) == [0, 1, 2, 3]
    assert sent(StreamFaults(silent=True)) == sent(StreamFaults(drop=1)) == []
    assert sent(StreamFaults(duplicate=1)) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert sent(StreamFaults(reorder=1)) == [1, 0, 3, 2]
