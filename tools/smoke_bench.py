"""What the steps of the testnet's smoke test share: placing orders, waiting, and comparing the router with the venue.

This module must not know which steps there are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any, Final

from aiohttp import ClientError, ClientSession

from router import ExecutionPipeline, ExecutionResult, ExecutionStatus, OrderIntent
from router.domain.enums import OrderSide, TimeInForce
from router.domain.events import AccountOpened, AnyEvent, Fill
from router.domain.order import ZERO, Order
from router.domain.venue import VenueOrder
from router.executors.testnet.client import SandboxClient
from router.executors.testnet.dialect import Dialect
from router.executors.testnet.profiles import Profile
from router.settings import Settings
from tools.sandbox_checks import FailedError

S = ExecutionStatus

_AT_VENUE: Final = {(S.EXPIRED, TimeInForce.GTD): S.CANCELLED}
"""The router ends such orders by a cancel, so the venue calls them otherwise."""


class Bench:
    """The router and, past it, the venue.

    Args:
        profile: of the venue.
        local: it is a loopback venue, which can be told to trade.
        seconds: how long one step may take.
    """

    client: SandboxClient
    dialect: Dialect
    pipeline: ExecutionPipeline

    def __init__(self, settings: Settings, profile: Profile, symbol: str, *, local: bool, seconds: float) -> None:
        self.settings = settings
        self.profile = profile
        self.symbol = symbol
        self.local = local
        self.seconds = seconds
        self.stack = AsyncExitStack()
        self.sent: list[str] = []
        self.held: dict[str, Decimal] = {}
        self.far = self.unit = self.tick = ZERO
        self._run_id = f"smoke-{time.time_ns()}"
        self._asked = 0
        self._ends = 0.0

    def begin(self) -> None:
        """A step begins: what it waits for is given up a little before the step's time is over, to say what it was."""
        self._ends = time.monotonic() + self.seconds * 0.9

    def intent(self, units: int, **fields: Any) -> OrderIntent:
        self._asked += 1
        name = f"{self._run_id}-{self._asked}"
        common = {"symbol": self.symbol, "side": OrderSide.BUY, "strategy_key": "smoke_test", "intent_id": name}
        return OrderIntent(**{**common, "quantity": self.unit * units, **fields})

    def price(self) -> Decimal:
        """Return a price far below the market, another one each time: equal orders would look like a mistake."""
        self._asked += 1
        return self.far - self._asked * self.tick

    async def submit(self, intent: OrderIntent) -> ExecutionResult:
        result = await self.pipeline.submit_order(intent)
        name = result.client_order_id
        if name is not None and name not in self.sent and self.pipeline.order(name) is not None:
            self.sent.append(name)
        if result.status not in {S.SUCCESS, S.SUBMITTED}:
            raise FailedError(f"{result.status}: {result.reason}")
        return result

    async def ended(self, result: ExecutionResult) -> Order:
        return await self.pipeline.wait_for(result.client_order_id or "", self.seconds)

    async def work(self, units: int, **fields: Any) -> Order:
        """Place an order far from the market and wait until it works there."""
        result = await self.submit(self.intent(units, order_type="limit", price=self.price(), **fields))
        name = result.client_order_id or ""
        await self.until(lambda: self.works(name), lambda: f"it is {self.order(name).status}: {result.reason}")
        return self.order(name)

    def works(self, name: str) -> bool:
        return self.order(name).status is S.SUBMITTED and not self.order(name).outcome_unknown

    def order(self, name: str) -> Order:
        order = self.pipeline.order(name)
        assert order is not None, "it was submitted"
        return order

    async def until(self, holds: Callable[[], bool], otherwise: Callable[[], str]) -> None:
        async def look() -> bool:
            return holds()

        await self.seen(look, otherwise, 0.02)

    async def seen(self, look: Callable[[], Awaitable[bool]], otherwise: Callable[[], str], pause: float) -> None:
        """Look until it holds; in the end say what there is instead."""
        while not await look():
            if time.monotonic() > self._ends:
                raise FailedError(otherwise())
            await asyncio.sleep(pause)

    async def shown(self, order: Order, agrees: Callable[[VenueOrder], bool]) -> None:
        """Wait until the venue's own picture of the order agrees; its lists may lag a little."""
        shown: VenueOrder | None = None

        async def look() -> bool:
            nonlocal shown
            shown = await self.dialect.find(order)
            return shown is not None and agrees(shown)

        await self.seen(look, lambda: f"{named(order)} is {order.status} here, at the venue {_seen(shown)}", 0.3)

    async def compare(self, order: Order, fills: Mapping[str, Fill]) -> None:
        """Wait until the venue shows the order and its trades as the router has them."""
        state = (_AT_VENUE.get((order.status, order.time_in_force), order.status), order.filled_quantity)
        await self.shown(order, lambda shown: (shown.status, shown.filled_quantity) == state)
        ours = {key: (fill.last_quantity, fill.last_price) for key, fill in fills.items()}
        theirs: dict[str, tuple[Decimal, Decimal]] = {}

        async def look() -> bool:
            trades = await self.dialect.trades_of(order, order.venue_order_id or "")
            theirs.update({trade.trade_id: (trade.quantity, trade.price) for trade in trades})
            return ours == theirs

        await self.seen(look, lambda: f"{named(order)} has the trades {[*ours]} here, {[*theirs]} there", 0.3)

    async def agree(self, expected: Mapping[str, Decimal]) -> None:
        odd: dict[str, Decimal] = {}

        async def look() -> bool:
            held = await self.dialect.balances()
            odd.update({name: held.get(name, ZERO) - amount for name, amount in expected.items()})
            return not any(odd.values())

        await self.seen(look, lambda: f"the venue has {_signed(odd)} more than the router's books", 0.3)

    async def tell_venue(self, deed: Mapping[str, str]) -> None:
        try:
            async with (
                ClientSession() as session,
                session.post(f"{self.settings.testnet.base_url}/_venue/do", json=dict(deed)) as answer,
            ):
                if answer.status != 200:
                    raise FailedError(f"the loopback venue refused {deed['do']}: {await answer.text()}")
        except ClientError as error:
            raise FailedError(f"the loopback venue cannot be told: {type(error).__name__}") from None


def books(events: list[AnyEvent], symbol: str, fills: Mapping[str, Mapping[str, Fill]]) -> dict[str, Decimal]:
    """Return what the account should hold of the symbol's currencies by the router's journal."""
    opened = next(event for event in events if isinstance(event, AccountOpened))
    base, quote = symbol.split("/")
    held = {name: opened.balances.get(name, ZERO) for name in (base, quote)}
    for fill in (fill for trades in fills.values() for fill in trades.values()):
        assert fill.last_quantity is not None
        assert fill.last_price is not None
        held[base] += fill.last_quantity
        held[quote] -= fill.last_quantity * fill.last_price
        if fill.fee_currency in held:
            held[fill.fee_currency] -= fill.fee
    return held


def plain(value: Decimal | None) -> str:
    """Return a number without exponent and needless zeros."""
    text = f"{value or 0:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def stepped(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    """Return the nearest multiple of ``step`` on the side that is asked for."""
    return (value / step).to_integral_value(rounding) * step


def _seen(shown: VenueOrder | None) -> str:
    if shown is None:
        return "unknown"
    return f"{shown.status}, {shown.filled_quantity} of {shown.quantity} at {shown.price}"


def _signed(amounts: Mapping[str, Decimal]) -> str:
    return " and ".join(f"{'+' * (amount > 0)}{plain(amount)} {name}" for name, amount in amounts.items() if amount)


def named(order: Order) -> str:
    return f"order {order.venue_order_id} (client id {order.client_order_id})"
