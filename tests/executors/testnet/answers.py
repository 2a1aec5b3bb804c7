"""A venue that answers from a list: what its documentation shows, read by the real client and the real ccxt.

It serves on 127.0.0.1, so nothing between the dialect and the socket is replaced.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web

from router.clock import VirtualClock
from router.executors.testnet.client import SandboxClient
from router.executors.testnet.credentials import Credentials
from router.executors.testnet.profiles import profile_of
from tests.factories import NOW

_UNSIGNED = {"timestamp", "recvWindow", "signature"}
NOW_MS = int(NOW.timestamp() * 1000)

BINANCE_INFO: dict[str, Any] = {
    "timezone": "UTC",
    "serverTime": NOW_MS,
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "isSpotTradingAllowed": True,
            "permissions": [],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01000000"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001000"},
                {"filterType": "NOTIONAL", "minNotional": "5.00000000", "maxNotional": "9000000.00000000"},
            ],
        },
    ],
}
BYBIT_INFO: dict[str, Any] = {
    "retCode": 0,
    "retMsg": "OK",
    "result": {
        "category": "spot",
        "list": [
            {
                "symbol": "BTCUSDT",
                "baseCoin": "BTC",
                "quoteCoin": "USDT",
                "status": "Trading",
                "marginTrading": "utaOnly",
                "lotSizeFilter": {
                    "basePrecision": "0.000001",
                    "quotePrecision": "0.00000001",
                    "minOrderQty": "0.000048",
                    "maxOrderQty": "71.73956243",
                    "minOrderAmt": "1",
                    "maxOrderAmt": "4000000",
                },
                "priceFilter": {"tickSize": "0.01"},
            }
        ],
    },
    "time": NOW_MS,
}


class Sent(NamedTuple):
    """What arrived, without what signs it."""

    method: str
    path: str
    params: dict[str, Any]


class Answers:
    """The answers to come, and what was asked so far."""

    def __init__(self, client: SandboxClient) -> None:
        self.client = client
        self.coming: list[Any] = []
        self.sent: list[Sent] = []

    def will(self, *answers: Any) -> None:
        """Set what the next requests are answered with: a document, or a body as it is."""
        self.coming = list(answers)
        self.sent.clear()


@asynccontextmanager
async def answering(venue: str, info: dict[str, Any]) -> AsyncIterator[Answers]:
    """Yield a client of ``venue`` with the markets of ``info``, in the year of ``NOW``."""
    answers: Answers | None = None

    async def handle(request: web.Request) -> web.Response:
        if answers is None:
            return web.json_response(info)
        body = await request.text()
        params = json.loads(body) if body.startswith("{") else dict(parse_qsl(request.query_string or body))
        kept = {key: value for key, value in params.items() if key not in _UNSIGNED}
        answers.sent.append(Sent(request.method, request.path, kept))
        answer = answers.coming.pop(0)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return web.Response(text=text, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    profile = profile_of(venue)
    assert profile is not None
    client = SandboxClient(
        profile,
        Credentials(key="key", secret="secret"),
        base_url=f"http://127.0.0.1:{runner.addresses[0][1]}",
        recv_window_ms=5000,
        clock=VirtualClock(NOW),
    )
    try:
        await client.ex.load_markets()
        answers = Answers(client)
        yield answers
    finally:
        await client.close()
        await runner.cleanup()
