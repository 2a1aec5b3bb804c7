from __future__ import annotations

import asyncio
import gc
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ccxt
import msgspec
import pytest
from aiohttp import web
from yarl import URL

from router.clock import Clock, SystemClock, VirtualClock
from router.executors.testnet.client import ClockReading, SandboxClient
from router.executors.testnet.credentials import Credentials
from router.executors.testnet.guard import LiveHostError
from router.executors.testnet.profiles import PROFILES, Profile

KEYS = Credentials(key="the-key", secret="the-secret", passphrase="the-phrase")
NOON_MS = 1_767_268_800_000
BINANCE_TIME = "/api/v3/time"


class Venue:
    """A loopback server that answers by path and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
        self.requests: list[web.Request] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        await request.read()
        return await self.answers[request.path](request)

    def says(self, path: str, body: object, **response: Any) -> None:
        async def say(_: web.Request) -> web.Response:
            if isinstance(body, str):
                return web.Response(text=body, **response)
            return web.json_response(body, **response)

        self.answers[path] = say

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


@asynccontextmanager
async def venue() -> AsyncIterator[Venue]:
    it = Venue()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield it
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(
    it: Venue, name: str = "binance", clock: Clock | None = None, keys: Credentials | None = KEYS
) -> AsyncIterator[SandboxClient]:
    client = SandboxClient(
        PROFILES[name], keys, base_url=it.url, recv_window_ms=3000, clock=clock or SystemClock(), timeout_ms=2000
    )
    try:
        yield client
    finally:
        await client.close()


def addresses(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [url for value in node.values() for url in addresses(value)]
    return [node]


# -- where it goes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_every_venue_is_built_in_sandbox_mode_without_an_event_loop(profile: Profile) -> None:
    client = SandboxClient(profile, KEYS, recv_window_ms=3000, clock=SystemClock())
    assert client.ex.isSandboxModeEnabled or client.ex.options["sandboxMode"]
    assert {getattr(client.ex, field) for field in profile.key_fields[:2]} == {KEYS.key, KEYS.secret}
    assert client.ex.enableRateLimit is False


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_on_loopback_every_address_is_a_loopback_one_and_keeps_its_path(profile: Profile) -> None:
    there = SandboxClient(profile, None, recv_window_ms=3000, clock=SystemClock()).ex
    here = SandboxClient(profile, None, base_url="http://127.0.0.1:9", recv_window_ms=3000, clock=SystemClock()).ex
    for before, after in zip(addresses(there.urls["api"]), addresses(here.urls["api"]), strict=True):
        assert URL(after).authority == "127.0.0.1:9"
        assert URL(after).scheme == ("ws" if before.startswith("ws") else "http")
        assert after.removesuffix("/").endswith(URL(there.implode_hostname(before)).raw_path.removesuffix("/"))


@pytest.mark.parametrize("base_url", ["http://api.binance.com", "http://127.0.0.1@api.binance.com", "http://10.0.0.1"])
def test_a_venue_elsewhere_is_refused(base_url: str) -> None:
    with pytest.raises(LiveHostError, match="must be a loopback venue"):
        SandboxClient(PROFILES["binance"], KEYS, base_url=base_url, recv_window_ms=3000, clock=SystemClock())


@pytest.mark.parametrize("name", ["kraken", "coinbase", "kucoin", "no_such_exchange"])
def test_a_profile_without_a_sandbox_in_ccxt_is_refused(name: str) -> None:
    profile = msgspec.structs.replace(PROFILES["binance"], venue=name)
    with pytest.raises(LiveHostError, match=f"{name} has no sandbox that can be used"):
        SandboxClient(profile, KEYS, recv_window_ms=3000, clock=SystemClock())


def test_a_ccxt_that_has_moved_the_sandbox_is_refused() -> None:
    profile = msgspec.structs.replace(PROFILES["binance"], origins=frozenset({"https://testnet.example"}))
    with pytest.raises(LiveHostError, match="knows none of the sandbox's addresses"):
        SandboxClient(profile, KEYS, recv_window_ms=3000, clock=SystemClock())


@pytest.mark.asyncio
async def test_the_sandbox_must_show_a_certificate_for_its_name() -> None:
    client = SandboxClient(PROFILES["binance"], KEYS, recv_window_ms=3000, clock=SystemClock())
    client.ex.open()
    verified = client.session().connector._ssl  # type: ignore[union-attr]
    assert isinstance(verified, ssl.SSLContext)
    assert verified.check_hostname
    assert verified.verify_mode is ssl.CERT_REQUIRED
    await client.close()


# -- what goes out -----------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_binance_reads_the_spot_markets_with_one_request_and_exact_numbers() -> None:
    async with venue() as it, client_of(it, keys=None) as client:
        it.says("/api/v3/exchangeInfo", {"symbols": [SYMBOL]})
        await client.ex.load_markets()
        assert it.paths == ["/api/v3/exchangeInfo"]
        assert client.ex.markets["BTC/USDT"]["limits"]["amount"]["min"] == "0.00001000"


SYMBOL = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "isSpotTradingAllowed": True,
    "permissions": ["SPOT"],
    "filters": [{"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000", "stepSize": "0.00001000"}],
}


@pytest.mark.asyncio
async def test_bybit_reads_the_spot_markets_with_one_request() -> None:
    async with venue() as it, client_of(it, "bybit") as client:
        it.says("/v5/market/instruments-info", {"retCode": 0, "result": {"category": "spot", "list": []}})
        await client.ex.load_markets()
        assert it.paths == ["/v5/market/instruments-info"]


@pytest.mark.asyncio
async def test_a_signed_request_has_our_window_and_the_venues_time() -> None:
    clock = VirtualClock()
    async with venue() as it, client_of(it, clock=clock) as client:
        it.says(BINANCE_TIME, {"serverTime": NOON_MS})
        it.says("/api/v3/account", {})
        await client.measure_clock()
        clock.jump(-86_400)
        await clock.advance(2.5)
        await client.ex.private_get_account()
        query = it.requests[-1].query
        assert (query["recvWindow"], query["timestamp"]) == ("3000", str(NOON_MS + 2500))
        assert it.requests[-1].headers["X-MBX-APIKEY"] == "the-key"


@pytest.mark.asyncio
async def test_bybits_header_and_stream_signatures_have_the_venues_time() -> None:
    clock = VirtualClock()
    async with venue() as it, client_of(it, "bybit", clock) as client:
        it.says("/v5/market/time", {"retCode": 0, "time": NOON_MS})
        it.says("/v5/account/info", {"retCode": 0, "result": {}})
        await client.measure_clock()
        await client.ex.private_get_v5_account_info()
        headers = it.requests[-1].headers
        assert (headers["X-BAPI-TIMESTAMP"], headers["X-BAPI-RECV-WINDOW"]) == (str(NOON_MS), "3000")
        assert client.ex.nonce() == client.ex.milliseconds() == NOON_MS
        assert client.ex.seconds() == NOON_MS // 1000
        assert client.ex.microseconds() == NOON_MS * 1000


@pytest.mark.asyncio
async def test_without_keys_a_signed_request_does_not_leave() -> None:
    async with venue() as it, client_of(it, keys=None) as client:
        with pytest.raises(ccxt.AuthenticationError):
            await client.ex.private_get_account()
        assert it.requests == []


@pytest.mark.asyncio
async def test_no_secret_reaches_a_log_even_at_debug_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with venue() as it, client_of(it) as client:
        it.says("/api/v3/account", {})
        await client.ex.private_get_account()
        signature = it.requests[-1].query["signature"]
    assert "the-key" not in caplog.text
    assert signature not in caplog.text
    assert "the-secret" not in f"{client!r} {vars(client)} {client.ex!r}"


# -- time --------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_sample_with_the_shortest_way_counts() -> None:
    clock = VirtualClock()
    ways = iter([(0.5, 0.1), (0.02, 0.06), (0.3, 0.3)])  # there and back, in seconds
    started = clock.now().timestamp()

    async def time_of_day(_: web.Request) -> web.Response:
        there, back = next(ways)
        await clock.advance(there)
        shown = 1000 * (started + clock.monotonic() + 7)
        await clock.advance(back)
        return web.json_response({"serverTime": round(shown)})

    async with venue() as it, client_of(it, clock=clock) as client:
        it.answers[BINANCE_TIME] = time_of_day
        # the venue is 7 s ahead; half of the way's 80 ms is taken for one direction, which is 20 ms wrong
        assert await client.measure_clock() == ClockReading(offset_ms=6980, round_trip_ms=80)
        assert client.venue_time() == round(1000 * (started + clock.monotonic())) + 6980


@pytest.mark.asyncio
async def test_before_the_first_measurement_the_wall_clock_counts_and_its_jumps_do_not() -> None:
    clock = VirtualClock()
    async with venue() as it, client_of(it, clock=clock) as client:
        before = round(1000 * clock.now().timestamp())
        clock.jump(3600)
        await clock.advance(1)
        assert client.venue_time() == before + 1000


@pytest.mark.asyncio
async def test_a_venue_that_tells_no_time_is_taken_to_have_ours() -> None:
    clock = VirtualClock()
    async with venue() as it, client_of(it, "gemini", clock) as client:
        clock.jump(3600)
        assert await client.measure_clock() == ClockReading(offset_ms=0, round_trip_ms=0)
        assert client.venue_time() == round(1000 * clock.now().timestamp())
        assert it.requests == []


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [{}, {"serverTime": None}, {"serverTime": "soon"}, "", "<html>"])
async def test_an_answer_without_a_time_changes_nothing(body: object) -> None:
    clock = VirtualClock()
    async with venue() as it, client_of(it, clock=clock) as client:
        it.says(BINANCE_TIME, {"serverTime": NOON_MS})
        await client.measure_clock()
        it.says(BINANCE_TIME, body)
        with pytest.raises(ccxt.BaseError):
            await client.measure_clock()
        assert client.venue_time() == NOON_MS


# -- what comes back ---------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"code": -1003, "msg": "Too many requests."}, ccxt.DDoSProtection),
        (418, "<html>banned</html>", ccxt.DDoSProtection),
        (503, "<html>unavailable</html>", ccxt.ExchangeNotAvailable),
        (400, {"code": -1021, "msg": "Timestamp outside of the recvWindow."}, ccxt.InvalidNonce),
        (503, {"code": -1008, "msg": "Server is overloaded."}, ccxt.OperationFailed),  # by Binance's spot-only table
        (200, {"code": -2013, "msg": "Order does not exist."}, ccxt.OrderNotFound),
    ],
)
async def test_an_error_carries_status_and_headers_of_its_own_answer(
    status: int, body: object, kind: type[Exception]
) -> None:
    async with venue() as it, client_of(it) as client:
        it.says(BINANCE_TIME, body, status=status, headers={"Retry-After": "7"})
        with pytest.raises(kind) as caught:
            await client.ex.fetch_time()
        it.says(BINANCE_TIME, {"serverTime": NOON_MS})
        await client.ex.fetch_time()
        assert vars(caught.value)["http_status"] == status
        assert vars(caught.value)["http_headers"]["Retry-After"] == "7"


@pytest.mark.asyncio
async def test_an_error_without_an_answer_carries_no_status() -> None:
    async with venue() as it, client_of(it) as client:

        async def cut(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        it.answers[BINANCE_TIME] = cut
        with pytest.raises(ccxt.ExchangeNotAvailable) as caught:
            await client.ex.fetch_time()
        assert not hasattr(caught.value, "http_status")


# -- the end -----------------------------------------------------------------------------------------------------


def open_files() -> int:
    gc.collect()
    return len([*Path("/dev/fd").iterdir()])


@pytest.mark.asyncio
async def test_closing_leaves_no_socket_and_no_task_and_is_done_once() -> None:
    files, tasks = open_files(), asyncio.all_tasks()
    both = asyncio.Barrier(3)

    async def hang(_: web.Request) -> web.StreamResponse:
        await both.wait()
        return await asyncio.Event().wait()  # type: ignore[return-value]

    async def listen(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await both.wait()
        await socket.receive()
        return socket

    async with venue() as it:
        it.answers = {"/ws": listen, BINANCE_TIME: hang}
        it.says("/api/v3/ping", {})
        for _ in range(3):
            async with client_of(it) as client:
                await client.ex.public_get_ping()
                watcher = asyncio.create_task(_watch(client.ex))
                asker = asyncio.create_task(client.measure_clock())
                await both.wait()
                asker.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asker
                await client.close()
                await client.close()
                with pytest.raises(asyncio.CancelledError):
                    await watcher
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
    assert open_files() == files


async def _watch(ex: Any) -> None:
    await ex.watch(f"{ex.urls['api']['ws']['spot']}", "hash", {}, "hash")


@pytest.mark.asyncio
async def test_a_closed_client_asks_no_more() -> None:
    async with venue() as it, client_of(it) as client:
        it.says(BINANCE_TIME, {"serverTime": NOON_MS})
        await client.ex.fetch_time()
        await client.close()
        for call in (client.ex.fetch_time, client.measure_clock, lambda: _watch(client.ex)):
            with pytest.raises(ccxt.ExchangeClosedByUser):
                await call()
        assert it.paths == [BINANCE_TIME]


@pytest.mark.asyncio
async def test_a_client_that_was_never_used_closes_without_a_word() -> None:
    client = SandboxClient(PROFILES["bybit"], None, recv_window_ms=3000, clock=SystemClock())
    await client.close()
