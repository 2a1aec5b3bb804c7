"""An executor at a loopback venue, driven by the real ccxt, and what it told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Self

import anyio

from router.clock import SystemClock
from router.domain.enums import ExecType, OrderSide, OrderType, Severity
from router.domain.order import Order
from router.domain.report import ExecutionReport
from router.executors.testnet.build import build
from router.executors.testnet.executor import TestnetExchangeOrderExecutor
from router.logs import get_logger
from router.settings import Testnet
from tests.factories import order
from tools.loopback import LoopbackVenue, Rule
from tools.loopback.model import Order as Booked

X = ExecType
SYMBOL = "BTC/USDT"
CREATE: Mapping[str, str] = MappingProxyType({"binance": "POST /api/v3/order", "bybit": "POST /v5/order/create"})
CANCEL: Mapping[str, str] = MappingProxyType({"binance": "DELETE /api/v3/order", "bybit": "POST /v5/order/cancel"})
FIND: Mapping[str, str] = MappingProxyType({"binance": "GET /api/v3/order", "bybit": "GET /v5/order/"})
STREAM: Mapping[str, str] = MappingProxyType({"binance": "WS /ws-api/v3", "bybit": "WS /v5/private"})
_PATIENCE_S = 10.0


class World:
    """``async with World("binance") as world:`` has an executor that is open for orders.

    Args:
        streams: False: the venue says nothing unasked.
    """

    def __init__(self, name: str, *, streams: bool = True, recv_window_ms: int = 700, starts: bool = True) -> None:
        self.name = name
        self.venue = LoopbackVenue(name, seed=1)
        self.venue.faults.stream.silent = not streams
        self.told: list[ExecutionReport] = []
        self.alerts: list[tuple[Severity, str]] = []
        self.executor: TestnetExchangeOrderExecutor
        self._recv_window_ms = recv_window_ms
        self._starts = starts
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.venue)
        self._build()
        self._running = asyncio.create_task(self.executor.run())
        if self._starts:
            await self.until(lambda: self.executor.not_ready() is None)
            await self.until(lambda: self.venue.requests[STREAM[self.name]] > 0 and bool(self.venue.peers))
        return self

    async def __aexit__(self, *error: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._stack.aclose()

    def _build(self) -> None:
        environ = {
            f"{self.name.upper()}_TESTNET_API_KEY": self.venue.key,
            f"{self.name.upper()}_TESTNET_API_SECRET": self.venue.secret,
        }
        self.executor = build(
            "testnet",
            Testnet(venue=self.name, base_url=self.venue.url, recv_window_ms=self._recv_window_ms),
            environ,
            SystemClock(),
            self.told.append,
            get_logger(),
            symbols=[SYMBOL, "ETH/USDT"],
            alert=lambda text, severity: self.alerts.append((severity, text)),
        )

    async def restart(self) -> None:
        """End the executor and start another one; returns at once."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._build()
        self._running = asyncio.create_task(self.executor.run())

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds; raises TimeoutError when it never does."""
        with anyio.fail_after(_PATIENCE_S):
            while not holds():  # noqa: ASYNC110 -- of another process's doing there is no event
                await anyio.sleep(0.005)

    def fail(self, match: Mapping[str, str], kind: Any, **fields: Any) -> None:
        """Make the next request of the kind go wrong."""
        self.venue.faults.add(Rule(match[self.name], kind, **fields))

    def booked(self, client_order_id: str) -> Booked | None:
        """Return the order as the venue has it."""
        return self.venue.exchange.find(client_id=client_order_id)

    async def rest(self, order: Order) -> Booked:
        """Submit the order, which must be accepted, and return it as the venue has it."""
        await self.executor.submit(order)
        booked = self.booked(order.client_order_id)
        assert booked is not None
        return booked

    def of(self, client_order_id: str, *kinds: ExecType) -> list[ExecutionReport]:
        """Return what was told of an order."""
        return [
            each
            for each in self.told
            if each.client_order_id == client_order_id and (not kinds or each.exec_type in kinds)
        ]


def limit(name: str, price: str = "40000", quantity: str = "0.02", **fields: Any) -> Order:
    """Return a limit order that rests far from the market."""
    return _order(name, order_type=OrderType.LIMIT, price=Decimal(price), quantity=Decimal(quantity), **fields)


def market(name: str, quantity: str = "0.01", **fields: Any) -> Order:
    """Return a market order."""
    return _order(name, order_type=OrderType.MARKET, price=None, quantity=Decimal(quantity), **fields)


def _order(name: str, **fields: Any) -> Order:
    now = SystemClock().now()
    return order(
        client_order_id=name,
        symbol=SYMBOL,
        environment="testnet",
        created_at=now,
        updated_at=now,
        **{"side": OrderSide.BUY, **fields},
    )
