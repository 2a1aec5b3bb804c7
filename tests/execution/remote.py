"""A whole pipeline whose testnet trades at a scripted venue with a book of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import anyio
import pytest

from router.domain.enums import ExecType
from router.domain.market import Instrument
from router.domain.order import Order, Replacement
from router.domain.report import ExecutionReport
from router.domain.venue import VenueBook, VenueOrder, VenueTrade
from router.execution import environments
from router.execution.environments import Parts
from tests.factories import D

LOOPBACK = {"execution.environments": ["paper", "testnet"], "testnet.base_url": "http://127.0.0.1:1"}
"""Settings of a testnet that needs no keys; nothing listens there."""


class Remote:
    """The executor of one environment: it takes every order, and shows what the test wants it to."""

    remote = True
    look_up_batch = 100
    look_ups_per_s = None
    settle_s = 0.0
    venue = "toy"

    def __init__(self, environment: str, parts: Parts) -> None:
        self.environment = environment
        self.parts = parts
        self.on_gap: Callable[[], None] = lambda: None
        self.stops: Callable[[Order], str | None] = lambda _: None
        self.unready: str | None = None
        self.halt: str | None = None
        self.broken: Exception | None = None
        self.hangs = False
        self.orders: list[VenueOrder] = []
        self.trades: list[VenueTrade] = []
        self.balances = {"USD": D(50_000)}
        self.rules: Mapping[str, Instrument] = parts.instruments
        self.asked: list[datetime] = []
        self.handed: list[Order] = []

    def not_ready(self) -> str | None:
        return self.unready

    def halted(self) -> str | None:
        return self.halt

    def instrument(self, symbol: str) -> Instrument | None:
        return self.rules.get(symbol)

    async def book(self, since: datetime) -> VenueBook:
        self.asked.append(since)
        if self.hangs:
            await anyio.sleep_forever()
        if self.broken is not None:
            raise self.broken
        return VenueBook(
            orders=tuple(self.orders),
            trades=tuple(self.trades),
            balances=dict(self.balances),
            at=self.parts.clock.now(),
        )

    def listen_anew(self) -> None: ...

    def restore(self, orders: Iterable[Order]) -> None: ...

    async def submit(self, order: Order) -> None:
        self.handed.append(order)
        self.parts.teller.report(
            ExecutionReport(
                exec_type=ExecType.NEW, client_order_id=order.client_order_id, ts_event=self.parts.clock.now()
            )
        )

    async def cancel(self, order: Order, reason: str) -> None: ...

    async def amend(self, order: Order, asked: Replacement) -> None: ...

    async def look_up(self, orders: Sequence[Order]) -> None: ...

    async def run(self) -> None:
        await anyio.sleep_forever()


def remotes(monkeypatch: pytest.MonkeyPatch, **state: Any) -> list[Remote]:
    """Have the testnet's executor be a ``Remote`` in ``state``; returns those that are made."""
    made: list[Remote] = []

    def build(environment: str, parts: Parts) -> Remote:
        made.append(Remote(environment, parts))
        for name, value in state.items():
            setattr(made[-1], name, value)
        return made[-1]

    # there is no public way, on purpose
    monkeypatch.setattr(environments, "EXECUTORS", MappingProxyType({**environments.EXECUTORS, "testnet": build}))
    return made
