from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from router.errors import RouterError
from router.executors.testnet.guard import GuardedConnector, HostGuard, LiveHostError, loopback_authority
from tests.factories import PROPERTY

SANDBOX = HostGuard("binance", ["https://testnet.binance.vision", "wss://stream.testnet.binance.vision"])
PAPER = HostGuard("okx", ["https://www.okx.com", "wss://wspap.okx.com"], ("x-simulated-trading", "1"))

PIECES = [
    "testnet.binance.vision",
    "api.binance.com",
    "@",
    "/",
    "\\",
    "#",
    "?",
    ":",
    ":443",
    ":80",
    ".",
    "%40",
    "%2f",
    ";",
    "\t",
]

ALLOWED = [
    "https://testnet.binance.vision",
    "https://testnet.binance.vision/api/v3/order?symbol=BTCUSDT",
    "https://testnet.binance.vision:443/api",
    "wss://stream.testnet.binance.vision/ws",
]
REFUSED = [
    "https://api.binance.com/api/v3/order",
    "http://testnet.binance.vision/api",  # in the clear
    "ws://stream.testnet.binance.vision/ws",
    "wss://testnet.binance.vision/ws",  # a host that is right for REST only
    "https://stream.testnet.binance.vision/",
    "https://testnet.binance.vision:8443/api",
    "https://testnet.binance.vision.",
    "https://testnet.binance.vision.evil.example",
    "https://evil.testnet.binance.vision",
    "https://testnet-binance.vision",
    "https://testnet.binance.vision@api.binance.com/",
    "https://testnet.binance.vision:x@api.binance.com/",
    "https://user@testnet.binance.vision/",
    "https://user:word@testnet.binance.vision/",
    "https://:word@testnet.binance.vision/",
    "https://api.binance.com#@testnet.binance.vision/",
    "https://api.binance.com?@testnet.binance.vision/",
    "https://api.binance.com/@testnet.binance.vision/",
    "https://api.binance.com\\@testnet.binance.vision/",
    "https://testnet.binance.vision\\.api.binance.com/",
    "https://testnet.binance.vision%2eapi.binance.com/",
    "https://testnet%2ebinance.vision/",
    "https://tеstnet.binance.vision/",  # a Cyrillic е
    "https://testnet。binance。vision.evil.example/",
    "https://xn--tstnet-9ve.binance.vision/",
    "//testnet.binance.vision/api",
    "testnet.binance.vision/api",
    "/api/v3/time",
    "https:testnet.binance.vision",
    "https:///testnet.binance.vision",
    "https://",
    "",
    "ftp://testnet.binance.vision/",
    "file:///etc/passwd",
    "https://testnet.binance.vision:99999/",
    "https://testnet.binance.vision:0/",
    "https://[::1/",
]


@pytest.mark.parametrize("url", ALLOWED)
def test_the_sandbox_may_be_reached(url: str) -> None:
    SANDBOX.check_url(url)
    SANDBOX.check_url(URL(url))


@pytest.mark.parametrize("url", REFUSED)
def test_nothing_else_may_be_reached(url: str) -> None:
    with pytest.raises(LiveHostError, match=r"binance: a request to .* refused before anything was sent there: only "):
        SANDBOX.check_url(url)


@pytest.mark.parametrize("url", [None, 1, b"https://testnet.binance.vision"])
def test_what_is_no_url_is_refused_too(url: object) -> None:
    with pytest.raises(LiveHostError):
        SANDBOX.check_url(url)  # type: ignore[arg-type]


@PROPERTY
@given(st.lists(st.sampled_from(PIECES), max_size=6))
def test_a_url_is_allowed_only_if_another_parser_reads_the_sandbox_in_it_too(pieces: list[str]) -> None:
    url = "https://" + "".join(pieces)
    try:
        SANDBOX.check_url(url)
    except LiveHostError:
        return
    assert urlsplit(url).hostname == URL(url).host == "testnet.binance.vision"
    assert urlsplit(url).username is None


def test_a_refusal_shows_the_host_and_no_query() -> None:
    with pytest.raises(RouterError) as caught:
        SANDBOX.check_url("https://api.binance.com/api/v3/order?signature=c0ffee")
    assert "api.binance.com" in str(caught.value)
    assert "c0ffee" not in str(caught.value)


@pytest.mark.parametrize("headers", [{"x-simulated-trading": "1"}, {"X-Simulated-Trading": "1", "A": "b"}])
def test_a_paper_request_may_leave(headers: dict[str, str]) -> None:
    PAPER.check_headers(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-simulated-trading": "0"},
        {"x-simulated-trading": ""},
        {"x-simulated-trading": "1 "},
        {"x-simulated-trading": "1", "X-SIMULATED-TRADING": "0"},
        {"simulated-trading": "1"},
    ],
)
def test_without_the_paper_header_nothing_leaves(headers: dict[str, str]) -> None:
    with pytest.raises(LiveHostError, match="it lacks the header x-simulated-trading: 1"):
        PAPER.check_headers(headers)


def test_a_venue_with_hosts_of_its_own_needs_no_header() -> None:
    SANDBOX.check_headers({})


@pytest.mark.asyncio
async def test_the_connector_asks_for_every_request_also_on_an_open_connection() -> None:
    """A connection that is kept alive is no way around: the Host header would decide who answers."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.headers["Host"])

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    authority = f"127.0.0.1:{runner.addresses[0][1]}"
    guard = HostGuard("okx", [f"http://{authority}"], ("x-simulated-trading", "1"))
    paper = {"x-simulated-trading": "1"}
    async with ClientSession(connector=GuardedConnector(guard)) as session:
        async with session.get(f"http://{authority}/", headers=paper) as response:
            assert await response.text() == authority
        for headers in ({}, {**paper, "Host": "www.okx.com"}):
            with pytest.raises(LiveHostError):
                await session.get(f"http://{authority}/", headers=headers)
        with pytest.raises(LiveHostError, match=r"through the proxy 127\.0\.0\.1"):
            await session.get(f"http://{authority}/", headers=paper, proxy="http://127.0.0.1:9")
    await runner.cleanup()


@pytest.mark.parametrize(
    ("base_url", "authority"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
        ("http://127.0.0.1", "127.0.0.1:80"),
        ("http://127.9.8.7:1", "127.9.8.7:1"),
        ("http://localhost:8080", "127.0.0.1:8080"),
        ("HTTP://LOCALHOST:8080", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_a_loopback_venue(base_url: str, authority: str) -> None:
    assert loopback_authority(base_url) == authority


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.binance.com",
        "https://testnet.binance.vision",
        "http://10.0.0.1:8080",
        "http://0.0.0.0:8080",
        "http://[::]:8080",
        "http://169.254.169.254",
        "http://127.0.0.1@api.binance.com",
        "http://127.0.0.1:80@api.binance.com:443",
        "http://api.binance.com@127.0.0.1",
        "http://user:word@127.0.0.1:8080",
        "http://127.0.0.1\\@api.binance.com",
        "http://127.0.0.1#@api.binance.com",
        "http://127.0.0.1?@api.binance.com",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1.",
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://0177.0.0.1",
        "http://localhost.",
        "http://localhost.evil.example",
        "http://evil.localhost",
        "http://localhost.localdomain",
        "http://ip6-localhost",
        "http://lоcalhost",  # a Cyrillic о
        "http://127.0.0.1:8080/api",
        "http://127.0.0.1:8080?x=1",
        "http://127.0.0.1:99999",
        "https://127.0.0.1:8080",
        "ws://127.0.0.1:8080",
        "127.0.0.1:8080",
        "//127.0.0.1:8080",
        "http://",
        "",
    ],
)
def test_anything_else_is_no_loopback_venue(base_url: str) -> None:
    with pytest.raises(LiveHostError, match="must be a loopback venue like") as caught:
        loopback_authority(base_url)
    assert "word" not in str(caught.value)
