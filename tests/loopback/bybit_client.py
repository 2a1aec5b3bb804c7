"""The real ccxt.pro client on a loopback Bybit, and the calls that several tests make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import ccxt.pro
import msgspec
import pytest

from tests.loopback.driven import driving
from tools.loopback import LoopbackVenue
from tools.loopback.model import Order

D = Decimal
PAIR = "BTC/USDT"
LEAN = {"fetchMarkets": {"types": ["spot"]}, "enableUnifiedAccount": True, "enableUnifiedMargin": False}


@asynccontextmanager
async def trading(*, key: str = "", secret: str = "", lean: bool = True) -> AsyncIterator[tuple[LoopbackVenue, Any]]:
    """Serve the venue, and let ccxt trade on it with its key unless another is given."""
    async with LoopbackVenue("bybit", seed=1) as venue:
        client = ccxt.pro.bybit(
            {
                "apiKey": key or venue.key,
                "secret": secret or venue.secret,
                "timeout": 3000,
                "enableRateLimit": False,
                "number": str,
                "has": {"fetchCurrencies": not lean},
                "options": {"defaultType": "spot", **(LEAN if lean else {})},
            }
        )
        async with driving(client, venue) as both:
            yield both


async def bid(client: Any, link_id: str, price: str = "49000", quantity: str = "0.01", **params: Any) -> str:
    """Place a limit buy that rests at the default price; return the venue's id."""
    order = await client.create_order(PAIR, "limit", "buy", quantity, price, {"orderLinkId": link_id, **params})
    return str(order["id"])


async def look_up(client: Any, link_id: str) -> dict[str, Any]:
    """Find an order by client id, in the only way that is right."""
    found = await client.fetch_open_orders(PAIR, params={"orderLinkId": link_id})
    found = found or await client.fetch_canceled_and_closed_orders(PAIR, params={"orderLinkId": link_id})
    return dict(found[0]["info"])


def rest(venue: LoopbackVenue, link_id: str, **fields: Any) -> Order:
    """Put a resting order on the venue without asking it."""
    return venue.exchange.place(
        **{
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "client_id": link_id,
            "quantity": D("0.01"),
            "price": D(49_000),
            **fields,
        }
    ).order


async def until(done: Callable[[], bool]) -> None:
    """Let the loop run until ``done``."""
    for _ in range(200_000):
        if done():
            return
        await asyncio.sleep(0)
    pytest.fail("it never happened")


async def refused(work: Any) -> tuple[str, str]:
    """Return the class of ccxt's error and the venue's code in it."""
    with pytest.raises(ccxt.BaseError) as error:
        await work
    text = str(error.value).partition("bybit ")[2]
    return type(error.value).__name__, str(msgspec.json.decode(text)["retCode"]) if text.startswith("{") else ""
