"""A loopback venue as a process and from outside: one line, a clean end, sentences for mistakes, the whole truth."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from router.clock import VirtualClock
from tools.loopback import LoopbackVenue

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 30


def start(*arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "tools/venue.py", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def first_line(venue: subprocess.Popen[str]) -> dict[str, str]:
    assert venue.stdout is not None
    line: dict[str, str] = json.loads(venue.stdout.readline())
    return line


async def get(url: str) -> Any:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return await answer.json()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_venue_says_where_it_is_and_ends_when_told(end: signal.Signals) -> None:
    with start("--exchange", "binance", "--seed", "3", "--walk") as venue:
        line = first_line(venue)
        assert (line["exchange"], len(line["key"]), len(line["secret"])) == ("binance", 64, 64)
        assert asyncio.run(get(f"{line['url']}/api/v3/ping")) == {}
        venue.send_signal(end)
        assert venue.communicate(timeout=PATIENCE_S) == ("", "")
    assert venue.returncode == 0


def test_a_venue_ends_with_its_input_if_asked() -> None:
    with start("--exchange", "binance", "--until-eof") as venue:
        first_line(venue)
        assert venue.communicate(timeout=PATIENCE_S) == ("", "")  # closes its input
    assert venue.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "the following arguments are required: --exchange"),
        (("--exchange", "kraken"), "invalid choice: 'kraken' (choose from 'binance', 'bybit')"),
        (("--exchange", "binance", "--port", "99999"), "99999 is no port: 0 to 65535"),
        (("--exchange", "binance", "--port", "http"), "http is no port: 0 to 65535"),
    ],
)
def test_a_wrong_argument_gets_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    with start(*arguments) as venue:
        out, error = venue.communicate(timeout=PATIENCE_S)
    assert (venue.returncode, out) == (2, "")
    assert sentence in error
    assert "Traceback" not in error


def test_a_port_in_use_gets_a_sentence() -> None:
    with start("--exchange", "binance", "--until-eof") as first:
        port = first_line(first)["url"].rpartition(":")[2]
        with start("--exchange", "binance", "--port", port) as second:
            assert second.communicate(timeout=PATIENCE_S)[1].startswith(f"venue.py: cannot serve on port {port}: ")
        assert second.returncode == 1


# -- the control routes -------------------------------------------------------------------------------------


@asynccontextmanager
async def controlled() -> AsyncIterator[tuple[LoopbackVenue, Any]]:
    async with LoopbackVenue("binance") as venue, aiohttp.ClientSession(venue.url) as client:

        async def post(route: str, **what: Any) -> Any:
            async with client.post(f"/_venue/{route}", json=what) as answer:
                return answer.status, await answer.json()

        yield venue, post


@pytest.mark.asyncio
async def test_what_others_do_can_be_done_from_outside_and_all_of_it_is_shown() -> None:
    async with controlled() as (venue, post):
        deeds: list[dict[str, Any]] = [
            {"do": "place_foreign", "symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "price": "40000"},
            {"do": "fill", "client_id": "foreign-1", "quantity": "0.25"},
            {"do": "cancel", "order_id": 1001},
            {"do": "place_foreign", "symbol": "BTCUSDT", "side": "BUY", "quantity": "2", "price": "45000"},
            {"do": "move", "symbol": "BTCUSDT", "mid": "44000"},
            {"do": "place_foreign", "symbol": "ETHUSDT", "side": "SELL", "quantity": "1", "price": "9000"},
            {"do": "expire", "order_id": 1003},
            {"do": "deposit", "currency": "EUR", "amount": "-1000"},
            {"do": "halt_symbol", "symbol": "ETHUSD"},
            {"do": "delist", "symbol": "BTCEUR"},
            {"do": "clock", "offset_ms": 5000},
        ]
        for deed in deeds:
            assert await post("do", **deed) == (200, {"ok": True})
        book = await get(f"{venue.url}/_venue/book")
        assert [(order["client_id"], order["status"], order["filled"]) for order in book["orders"]] == [
            ("foreign-1", "CANCELED", "0.25"),
            ("foreign-1", "FILLED", "2"),
            ("foreign-1", "EXPIRED", "0"),
        ]
        assert [(trade["order_id"], trade["price"]) for trade in book["trades"]] == [(1001, "40000"), (1002, "45000")]
        assert book["balances"]["EUR"] == {"free": "999000", "locked": "0"}
        assert book["duplicates"] == {"foreign-1": 3}
        assert book["markets"]["ETHUSD"]["status"] == "BREAK"
        assert "BTCEUR" not in book["markets"]
        assert all(order["foreign"] for order in book["orders"])
        assert await post("do", do="resume") == (200, {"ok": True})
        assert venue.exchange.market("ETHUSD").status == "TRADING"


@pytest.mark.asyncio
async def test_faults_maintenance_and_streams_are_made_and_cleared_from_outside() -> None:
    async with controlled() as (venue, post):
        assert (await post("faults", match="GET", kind="status", status=500, times=None))[0] == 200
        assert (await post("do", do="stream", switches={"drop": 0.5}, cut=True, terminate=True))[0] == 200
        assert venue.faults.stream.drop == 0.5
        assert await status(f"{venue.url}/api/v3/time") == 500
        assert (await post("do", do="maintenance"))[0] == 200
        assert await status(f"{venue.url}/api/v3/time") == 503
        assert await post("clear") == (200, {"ok": True})
        assert await status(f"{venue.url}/api/v3/time") == 200
        assert venue.faults.stream.drop == 0
        shown = await get(f"{venue.url}/_venue/book")
        assert (shown["requests"], shown["faults"]) == ({"GET /api/v3/time": 3}, {"status": 1})


async def status(url: str) -> int:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return answer.status


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("route", "what", "error"),
    [
        ("do", {"do": "dance"}, "not understood: Invalid value 'dance' - at `$.do`"),
        ("do", {"do": "fill", "client_id": "x"}, "the exchange refuses: NOT_FOUND"),
        ("do", {"do": "move", "symbol": "DOGE", "mid": "1"}, "the exchange refuses: UNKNOWN_SYMBOL"),
        ("do", {"do": "clock", "offset_ms": 1, "more": 2}, "not understood: Object contains unknown field `more`"),
        ("faults", {"match": "", "kind": "burn"}, "not understood: Invalid enum value 'burn' - at `$.kind`"),
        ("faults", {"match": "", "kind": "code"}, "not understood: kind 'code' needs the venue's error code, not ''"),
    ],
)
async def test_a_wrong_request_gets_a_sentence_and_changes_nothing(
    route: str, what: dict[str, Any], error: str
) -> None:
    async with controlled() as (venue, post):
        assert await post(route, **what) == (400, {"error": error})
        assert venue.faults.rules == []


@pytest.mark.asyncio
async def test_an_unknown_control_route_names_those_there_are() -> None:
    async with controlled() as (_, post):
        assert await post("book") == (
            404,
            {"error": "POST /_venue/book: there are POST faults, clear, do and GET book"},
        )


# -- in a test's own loop -----------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_same_seed_walks_the_same_way_by_the_given_clock() -> None:
    async def walked(seed: int) -> list[Decimal]:
        clock = VirtualClock()
        async with LoopbackVenue("binance", seed=seed, clock=clock, walk=True) as venue:
            await clock.advance(10)
            return [market.mid for market in venue.exchange.markets.values()]

    assert await walked(1) == await walked(1) != await walked(2)


@pytest.mark.asyncio
async def test_venues_side_by_side_share_nothing_and_are_gone_when_they_end() -> None:
    async with LoopbackVenue("binance", seed=1) as one, LoopbackVenue("binance", seed=2) as other:
        assert one.url != other.url
        one.exchange.deposit("BTC", Decimal(1))
        assert one.exchange.balances()["BTC"] != other.exchange.balances()["BTC"]
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(f"{one.url}/api/v3/ping")


@pytest.mark.asyncio
async def test_what_is_no_route_or_no_json_is_answered_as_a_venue_would() -> None:
    async with LoopbackVenue("binance") as venue, aiohttp.ClientSession(venue.url) as client:
        assert await status(f"{venue.url}/api/v3/nothing") == 404
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect("/nothing")
        for path in ("/ws-api/v3", "/ws"):
            async with client.ws_connect(path) as socket:
                for text in ("{", '{"method":"x","params":7}'):
                    await socket.send_str(text)
                    assert (await socket.receive_json(timeout=PATIENCE_S))["error"]["code"] == -1135
                await socket.send_json({"method": "dance", "id": 1})
                assert "nknown method" in (await socket.receive_json(timeout=PATIENCE_S))["error"]["msg"]


def test_any_python_will_do() -> None:
    command = [sys.executable, "-S", "tools/venue.py", "--exchange", "nowhere"]  # without the project's packages
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "nowhere" in done.stderr or "tools/router --help" in done.stderr
