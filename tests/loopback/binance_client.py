"""The real ccxt client of Binance, pointed at a loopback venue as a user would do it; what its tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio.lowlevel
import ccxt.pro

from tools.loopback import LoopbackVenue

BTC = "BTC/USDT"


def rebase(node: Any, base: str) -> Any:
    if isinstance(node, dict):
        return {key: rebase(value, base) for key, value in node.items()}
    url = urlsplit(node)
    return ("ws" if url.scheme.startswith("ws") else "http") + base.removeprefix("http") + url.path


@asynccontextmanager
async def trading(**options: Any) -> AsyncIterator[tuple[LoopbackVenue, Any]]:
    async with LoopbackVenue("binance", seed=1) as venue:
        keys = {"apiKey": venue.key, "secret": venue.secret, "enableRateLimit": False, "timeout": 5000}
        client = ccxt.pro.binance(keys | options)
        client.number = str
        client.set_sandbox_mode(True)
        client.urls["api"] = rebase(client.urls["api"], venue.url)
        try:
            yield venue, client
        finally:
            await client.close()


async def limit(client: Any, client_id: str, price: str = "40000", **params: Any) -> Any:
    return await client.create_order(BTC, "limit", "buy", "0.01", price, {"clientOrderId": client_id, **params})


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():
            await anyio.lowlevel.checkpoint()  # lets the sockets work
