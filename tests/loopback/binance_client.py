"""The real ccxt client of Binance, pointed at a loopback venue as a user would do it; what its tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio.lowlevel
import ccxt.pro

from tests.loopback.driven import driving
from tools.loopback import LoopbackVenue

BTC = "BTC/USDT"


@asynccontextmanager
async def trading(**options: Any) -> AsyncIterator[tuple[LoopbackVenue, Any]]:
    async with LoopbackVenue("binance", seed=1) as venue:
        keys = {"apiKey": venue.key, "secret": venue.secret, "enableRateLimit": False, "timeout": 5000}
        client = ccxt.pro.binance(keys | options)
        client.number = str
        async with driving(client, venue) as both:
            yield both


async def limit(client: Any, client_id: str, price: str = "40000", **params: Any) -> Any:
    return await client.create_order(BTC, "limit", "buy", "0.01", price, {"clientOrderId": client_id, **params})


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():
            await anyio.lowlevel.checkpoint()  # lets the sockets work
