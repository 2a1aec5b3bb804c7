"""Every known way to a live host, each refused before a name is looked up, a socket opened or a byte sent.

The proof is the interpreter's own audit events for look-ups and connects, plus a listener that plays the live host
under another loopback address and must see nobody. ``ccxt_facts.md`` §1 and §4 name most of the ways.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import ccxt
import ccxt.pro
import pytest
from aiohttp import web
from yarl import URL

from router.clock import SystemClock
from router.executors.testnet.client import SandboxClient
from router.executors.testnet.credentials import Credentials
from router.executors.testnet.guard import LiveHostError
from router.executors.testnet.profiles import PROFILES

KEYS = Credentials(key="key", secret="secret", passphrase="phrase")
LIVE = "https://api.binance.com"
Attack = Callable[[Any, str], Awaitable[object]]


class Spy:
    """What this process looked up and connected to, whoever did it: asyncio, a thread or C code."""

    def __init__(self) -> None:
        self.seen: list[object] | None = None

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.seen is not None and event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}:
            self.seen.append(args[1] if event == "socket.connect" else args[0])


SPY = Spy()
sys.addaudithook(SPY)


@pytest.fixture
def seen() -> Iterator[list[object]]:
    SPY.seen = []
    yield SPY.seen
    SPY.seen = None


class Host:
    """A host on a loopback address: answers a time, redirects when told, takes any websocket."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.redirect: tuple[int, str] | None = None
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        self.headers.append(request.headers)
        if self.redirect is not None:
            status, to = self.redirect
            return web.Response(status=status, headers={"Location": to.replace("PATH", request.path_qs)})
        if request.headers.get("Upgrade") == "websocket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.receive()
            return socket
        return web.json_response({"serverTime": 1_790_000_000_000, "code": "0"})


@asynccontextmanager
async def host(address: str) -> AsyncIterator[Host]:
    it = Host()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, address, 0)
    await site.start()
    it.url = f"http://{address}:{runner.addresses[0][1]}"
    try:
        yield it
    finally:
        await runner.cleanup()


def sandbox(venue: str = "binance", base_url: str = "") -> SandboxClient:
    return SandboxClient(PROFILES[venue], KEYS, base_url=base_url, recv_window_ms=5000, clock=SystemClock())


@asynccontextmanager
async def closing(client: SandboxClient) -> AsyncIterator[Any]:
    try:
        yield client.ex
    finally:
        await client.close()


async def refused(call: Awaitable[object]) -> None:
    """Await ``call``, which must fail by the guard's word, also where ccxt wraps it."""
    with pytest.raises((LiveHostError, ccxt.NetworkError)) as caught:
        await call
    words = ("refused before anything was sent there", "reached directly", "a redirect was refused")
    assert any(each in str(caught.value) for each in words)


def everywhere(node: Any, url: str) -> Any:
    """Return ccxt's tree of URLs with this address in every place."""
    if isinstance(node, dict):
        return {key: everywhere(value, url) for key, value in node.items()}
    return ("ws" if node.startswith("ws") else "http") + url.removeprefix("http") + URL(node).path


# -- what the exchange is told, before or after ------------------------------------------------------------------


async def fetch_of_a_live_url(ex: Any, live: str) -> object:
    return await ex.fetch(f"{live}/api/v3/time")


async def fetch_past_the_subclass(ex: Any, live: str) -> object:
    return await ccxt.async_support.Exchange.fetch(ex, f"{live}/api/v3/time")


async def the_session_itself(ex: Any, live: str) -> object:
    ex.open()
    return await ex.session.get(live)


async def urls_changed_afterwards(ex: Any, live: str) -> object:
    ex.urls["api"] = everywhere(ex.urls["api"], live)
    return await ex.fetch_time()


async def a_signed_request_after_urls_changed(ex: Any, live: str) -> object:
    ex.urls["api"] = everywhere(ex.urls["api"], live)
    return await ex.private_get_account()


async def an_implicit_call_of_another_section(ex: Any, live: str) -> object:
    ex.urls["api"]["sapi"] = f"{live}/sapi/v1"
    return await ex.sapi_get_system_status()


async def request_by_path(ex: Any, live: str) -> object:
    ex.urls["api"]["public"] = f"{live}/api/v3"
    return await ex.request("time", ["public"])


async def fetch2_by_path(ex: Any, live: str) -> object:
    ex.urls["api"]["public"] = f"{live}/api/v3"
    return await ex.fetch2("time", ["public"])


async def markets_of_a_live_host(ex: Any, live: str) -> object:
    ex.urls["api"]["public"] = f"{live}/api/v3"
    return await ex.load_markets()


async def an_order_to_a_live_host(ex: Any, live: str) -> object:
    ex.urls["api"]["private"] = f"{live}/api/v3"
    return await ex.private_post_order({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"})


async def sandbox_mode_off(ex: Any, live: str) -> object:
    ex.set_sandbox_mode(False)
    return await ex.fetch_time()


async def demo_trading(ex: Any, live: str) -> object:
    with pytest.raises(ccxt.NotSupported):
        ex.enable_demo_trading(True)
    ex.isSandboxModeEnabled = False
    ex.enable_demo_trading(True)
    return await ex.fetch_time()


async def urls_in_a_constructor(ex: Any, live: str) -> object:
    other = type(ex)({"session": None, "urls": {"api": {"public": f"{live}/api/v3"}}})
    other.open()
    try:
        return await other.fetch_time()
    finally:
        await other.close()


async def a_constructor_without_anything(ex: Any, live: str) -> object:
    other = type(ex)({"session": None})
    try:
        return await other.fetch_time()
    finally:
        await other.close()


async def another_host_in_the_header(ex: Any, live: str) -> object:
    return await ex.fetch(f"{ex.urls['api']['public']}/time", headers={"Host": URL(live).authority})


# -- proxies -----------------------------------------------------------------------------------------------------


def proxy(name: str) -> Attack:
    async def attack(ex: Any, live: str) -> object:
        given = (lambda *_: live) if name.lower().endswith("callback") else live
        setattr(ex, name, given)
        return await ex.fetch_time()

    attack.__name__ = f"proxy_by_{name}"
    return attack


def stream_proxy(name: str) -> Attack:
    async def attack(ex: Any, live: str) -> object:
        setattr(ex, name, live)
        return await ex.watch(ex.urls["api"]["ws"]["spot"], "hash", {}, "hash")

    attack.__name__ = f"stream_proxy_by_{name}"
    return attack


_BY_AGENT = """aiohttp_proxy httpProxy http_proxy httpsProxy https_proxy httpProxyCallback http_proxy_callback
    httpsProxyCallback https_proxy_callback socksProxy socks_proxy socksProxyCallback socks_proxy_callback"""
_BY_URL = "proxy proxyUrl proxy_url proxyUrlCallback proxy_url_callback"
_BY_STREAM = "wsProxy wssProxy wsSocksProxy ws_proxy wss_proxy ws_socks_proxy"
PROXIES = [
    *(proxy(name) for name in (_BY_AGENT + " " + _BY_URL).split()),
    *(stream_proxy(name) for name in _BY_STREAM.split()),
]


# -- websockets --------------------------------------------------------------------------------------------------


def ws(live: str) -> str:
    return live.replace("http", "ws", 1)


async def a_stream_by_url(ex: Any, live: str) -> object:
    return ex.client(f"{ws(live)}/ws")


async def watch_of_a_live_url(ex: Any, live: str) -> object:
    return await ex.watch(f"{ws(live)}/ws", "hash", {}, "hash")


async def watch_multiple_of_a_live_url(ex: Any, live: str) -> object:
    return await ex.watch_multiple(f"{ws(live)}/ws", ["hash"], {}, ["hash"])


async def a_stream_redirected_by_hand(ex: Any, live: str) -> object:
    url = ex.urls["api"]["ws"]["spot"]
    ex.client(url).url = f"{ws(live)}/ws"
    return await ex.watch(url, "hash", {}, "hash")


async def the_signed_stream(ex: Any, live: str) -> object:
    ex.urls["api"]["ws"]["ws-api"]["spot"] = f"{ws(live)}/ws-api/v3"
    ex.markets, ex.markets_by_id, ex.symbols = {}, {}, []
    return await ex.watch_balance({"type": "spot"})


async def a_stream_of_the_session(ex: Any, live: str) -> object:
    ex.open()
    return await ex.session.ws_connect(f"{ws(live)}/ws")


async def another_host_in_a_streams_header(ex: Any, live: str) -> object:
    ex.options["ws"] = {"headers": {"Host": URL(live).authority}}
    return await ex.watch(ex.urls["api"]["ws"]["spot"], "hash", {}, "hash")


ATTACKS: list[Attack] = [
    fetch_of_a_live_url,
    fetch_past_the_subclass,
    the_session_itself,
    urls_changed_afterwards,
    a_signed_request_after_urls_changed,
    an_implicit_call_of_another_section,
    request_by_path,
    fetch2_by_path,
    markets_of_a_live_host,
    an_order_to_a_live_host,
    sandbox_mode_off,
    demo_trading,
    urls_in_a_constructor,
    a_constructor_without_anything,
    another_host_in_the_header,
    *PROXIES,
    a_stream_by_url,
    watch_of_a_live_url,
    watch_multiple_of_a_live_url,
    a_stream_redirected_by_hand,
    the_signed_stream,
    a_stream_of_the_session,
    another_host_in_a_streams_header,
]


@pytest.mark.asyncio
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_no_way_from_the_sandbox_to_a_live_host(attack: Attack, seen: list[object]) -> None:
    async with closing(sandbox()) as ex:
        await refused(attack(ex, LIVE))
    assert seen == []


@pytest.mark.asyncio
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_no_way_from_a_loopback_venue_to_another_host(attack: Attack, seen: list[object]) -> None:
    async with host("127.0.0.1") as venue, host("127.0.0.2") as live, closing(sandbox(base_url=venue.url)) as ex:
        await refused(attack(ex, live.url))
        assert live.requests == venue.requests == seen == []


@pytest.mark.asyncio
@pytest.mark.parametrize("attack", [fetch_of_a_live_url, a_stream_by_url], ids=lambda attack: attack.__name__)
async def test_the_exchange_itself_refuses_whatever_the_session_would_do(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host("127.0.0.2") as live, aiohttp.ClientSession() as unguarded:
        monkeypatch.setattr(SandboxClient, "session", lambda _: unguarded)
        async with closing(sandbox()) as ex:
            await refused(attack(ex, live.url))
        assert live.requests == []


# -- what is ignored, so the request still reaches the sandbox only ----------------------------------------------


async def another_session(ex: Any) -> None:
    ex.session = aiohttp.ClientSession()
    await ex.session.close()


async def a_session_of_its_own(ex: Any) -> None:
    ex.own_session, ex.session = True, None


async def the_environment_is_trusted(ex: Any) -> None:
    ex.aiohttp_trust_env = True


async def sandbox_mode_on_twice_then_off(ex: Any) -> None:
    before = ex.urls["api"]
    ex.set_sandbox_mode(True)
    ex.set_sandbox_mode(True)
    ex.set_sandbox_mode(False)
    ex.urls["api"] = before


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "change",
    [the_environment_is_trusted, another_session, a_session_of_its_own, sandbox_mode_on_twice_then_off],
    ids=lambda change: change.__name__,
)
async def test_what_is_changed_afterwards_still_reaches_the_sandbox_alone(
    change: Callable[[Any], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host("127.0.0.1") as venue, host("127.0.0.2") as live, closing(sandbox(base_url=venue.url)) as ex:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
            monkeypatch.setenv(name, live.url)
            monkeypatch.setenv(name.upper(), live.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        await change(ex)
        assert await ex.fetch_time() == 1_790_000_000_000
        venue.redirect = (307, f"{live.url}PATH")
        await refused(ex.fetch_time())
        assert (len(venue.requests), live.requests) == (2, [])


# -- redirects ---------------------------------------------------------------------------------------------------


LOCATIONS = {
    "the sandbox itself": "http://{sandbox}PATH",
    "a path of the sandbox": "PATH",
    "absolute": "{live}PATH",
    "without a scheme": "//{authority}PATH",
    "a live host": f"{LIVE}PATH",
    "another port": "http://127.0.0.1:9PATH",
    "a user name that looks like the sandbox": "http://{sandbox}@{authority}PATH",
    "another scheme": "https://{sandbox}PATH",
    "a name that is looked up": "http://localhost.evil.example:{port}PATH",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", LOCATIONS.values(), ids=list(LOCATIONS))
async def test_no_redirect_is_followed(status: int, location: str, seen: list[object]) -> None:
    async with host("127.0.0.1") as venue, host("127.0.0.2") as live, closing(sandbox(base_url=venue.url)) as ex:
        at = URL(venue.url)
        venue.redirect = (
            status,
            location.format(live=live.url, authority=URL(live.url).authority, sandbox=at.authority, port=at.port),
        )
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
        await refused(ex.fetch_time())
        await refused(ex.private_post_order(order))
        await refused(ex.private_delete_order({"symbol": "BTCUSDT", "orderId": 1}))
        await refused(ex.watch(ex.urls["api"]["ws"]["spot"], "hash", {}, "hash"))
        assert live.requests == []
        assert {*seen} <= {("127.0.0.1", at.port)}
        assert len(venue.requests) == 4


# -- venues with tricks of their own -----------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("venue", sorted(name for name in PROFILES if name in ccxt.pro.exchanges))
async def test_another_hostname_leads_nowhere(venue: str, seen: list[object]) -> None:
    async with closing(sandbox(venue)) as ex:
        before = {*_http(ex)}
        ex.hostname = "live.example"
        for url in {*_http(ex)} - before:
            await refused(ex.fetch(url))
    assert seen == []


def _http(ex: Any) -> Iterator[str]:
    nodes = [ex.urls["api"]]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes.extend(node.values())
        elif node.startswith("http"):
            yield ex.implode_hostname(node)


@pytest.mark.asyncio
async def test_pacifica_rebuilds_its_host_and_is_refused_on_loopback(seen: list[object]) -> None:
    async with closing(sandbox("pacifica", "http://127.0.0.1:9")) as ex:
        await refused(ex.fetch_markets())
    assert seen == []


@pytest.mark.asyncio
async def test_bybits_signed_stream_and_orders_have_no_other_host(seen: list[object]) -> None:
    async with closing(sandbox("bybit")) as ex:
        ex.urls["api"]["ws"] = everywhere(ex.urls["api"]["ws"], "https://stream.bybit.com")
        ex.urls["api"]["private"] = "https://api.bybit.com"
        ex.markets, ex.markets_by_id, ex.symbols = {}, {}, []
        await refused(ex.watch_orders())
        await refused(ex.private_post_v5_order_create({"category": "spot"}))
    assert seen == []


# -- venues that are the live host and a header ------------------------------------------------------------------


async def no_headers(ex: Any) -> None:
    ex.headers = {}
    ex.options["sandboxMode"] = False


async def another_value(ex: Any) -> None:
    ex.options["sandboxMode"] = False
    ex.headers = dict.fromkeys(ex.headers, "0")


async def a_second_value_in_other_letters(ex: Any) -> None:
    ex.headers = {**ex.headers, **{name.swapcase(): "0" for name in ex.headers}}


async def sandbox_off_and_no_headers(ex: Any) -> None:
    ex.set_sandbox_mode(False)
    ex.headers = {}


@pytest.mark.asyncio
@pytest.mark.parametrize("venue", [name for name, profile in PROFILES.items() if profile.paper_header])
@pytest.mark.parametrize(
    "change", [no_headers, another_value, a_second_value_in_other_letters, sandbox_off_and_no_headers]
)
async def test_no_request_without_the_paper_header(
    change: Callable[[Any], Awaitable[None]], venue: str, seen: list[object]
) -> None:
    async with closing(sandbox(venue)) as ex:
        rest = next(origin for origin in PROFILES[venue].origins if origin.startswith("https"))
        await change(ex)
        await refused(ex.fetch(f"{rest}/api/v5/trade/order", "POST", {}, "{}"))
        ex.open()
        await refused(ex.session.post(f"{rest}/api/v5/trade/order"))
    assert seen == []


@pytest.mark.asyncio
async def test_the_exchange_itself_misses_the_paper_header(monkeypatch: pytest.MonkeyPatch) -> None:
    async with host("127.0.0.1") as venue, aiohttp.ClientSession() as unguarded:
        monkeypatch.setattr(SandboxClient, "session", lambda _: unguarded)
        async with closing(sandbox("okx", venue.url)) as ex:
            ex.headers = {}
            await refused(ex.fetch(f"{venue.url}/api/v5/trade/order", "POST", {}, "{}"))
        assert venue.requests == []


@pytest.mark.asyncio
@pytest.mark.parametrize("venue", [name for name, profile in PROFILES.items() if profile.paper_header])
async def test_every_request_carries_the_paper_header(venue: str) -> None:
    async with host("127.0.0.1") as it, closing(sandbox(venue, it.url)) as ex:
        for method, path in (("GET", "/public"), ("POST", "/private")):
            with suppress(ccxt.ExchangeError):  # to most of them this is no answer
                await ex.fetch(it.url + path, method, {"X": "1"})
        name, value = PROFILES[venue].paper_header or ("", "")
        assert [headers[name] for headers in it.headers] == [value, value]


@pytest.mark.asyncio
async def test_the_streams_of_paper_venues_have_addresses_of_their_own_and_need_no_header() -> None:
    async with host("127.0.0.1") as it, closing(sandbox("okx", it.url)) as ex:
        connected = ex.client(f"{ws(it.url)}/ws/v5/private").connected
        stream = ex.watch(f"{ws(it.url)}/ws/v5/private", "hash", {}, "hash")
        await asyncio.wait([stream, connected], return_when=asyncio.FIRST_COMPLETED)
        assert it.requests == ["GET /ws/v5/private"]
        stream.cancel()


# -- what a plain ccxt does: the ways above are real ones --------------------------------------------------------


@pytest.mark.asyncio
async def test_without_the_guard_the_same_exchange_goes_to_the_live_host(seen: list[object]) -> None:
    async with host("127.0.0.1") as venue, host("127.0.0.2") as live:
        ex = ccxt.pro.binance({"timeout": 2000})
        ex.set_sandbox_mode(True)
        ex.urls["api"] = everywhere(ex.urls["api"], venue.url)
        venue.redirect = (307, f"{live.url}PATH")
        try:
            assert await ex.fetch_time() == 1_790_000_000_000
        finally:
            await ex.close()
        assert live.requests == ["GET /api/v3/time"]
        assert seen == [("127.0.0.1", URL(venue.url).port), ("127.0.0.2", URL(live.url).port)]
