"""The whole account: a symbol that is listed no more takes nothing from the rest, and half a picture is none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.clock import SystemClock
from router.errors import RouterError
from tests.executors.testnet.world import World, limit

pytestmark = pytest.mark.asyncio
SINCE = timedelta(minutes=1)


@pytest.mark.parametrize("name", ["binance", "bybit"])
async def test_a_symbol_that_was_delisted_takes_nothing_from_the_rest(name: str) -> None:
    async with World(name, streams=False) as world:
        await world.executor.submit(limit("U1"))
        world.venue.exchange.delist("ETHUSDT")
        book = await world.executor.book(SystemClock().now() - SINCE)
        assert [each.client_order_id for each in book.orders] == ["U1"]
        assert book.balances["USDT"] > 0


@pytest.mark.parametrize("name", ["binance", "bybit"])
@pytest.mark.parametrize("kind", ["status", "drop_before", "html"])
async def test_half_a_picture_is_none(name: str, kind: str) -> None:
    async with World(name, streams=False) as world:
        balance = {"binance": "GET /api/v3/account", "bybit": "GET /v5/account/wallet-balance"}
        world.fail(balance, kind, times=3)
        with pytest.raises(RouterError):
            await world.executor.book(SystemClock().now() - SINCE)
