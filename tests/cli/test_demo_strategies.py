"""The example strategies do what their names say, so that whoever copies them copies something that works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from router.cli.demo_strategies import CARELESS_EVERY, Desk, careless, market_maker, momentum_taker
from router.domain.enums import ExecutionStatus, OrderSide
from router.domain.intent import OrderIntent
from router.execution.pipeline import ExecutionPipeline
from router.ids import client_order_id

S = ExecutionStatus


async def play(
    pipeline: ExecutionPipeline, strategy: Callable[[Desk], Awaitable[None]], ids: int, ticks: int = 1000
) -> list[Any]:
    """Let ``strategy`` act ``ticks`` times; each intent is answered before the next look at the market."""
    sent: list[Any] = []
    left = count(ticks, -1)

    async def send(thing: object) -> None:
        sent.append(thing)
        await pipeline.intents.send(thing)

    async def tick() -> bool:
        await pipeline.idle()
        return next(left) > 0

    names = (f"{strategy.__name__}-{number * CARELESS_EVERY}" for number in range(ids))
    await strategy(Desk(pipeline, ["BTC/USD"], names, send, tick))
    await pipeline.idle()
    return sent


@pytest.mark.asyncio
async def test_the_market_maker_rests_at_both_sides_and_moves(config: Path) -> None:
    async with ExecutionPipeline("paper", config) as pipeline:
        sent = [
            intent for intent in await play(pipeline, market_maker, ids=100, ticks=3) if isinstance(intent, OrderIntent)
        ]
        orders = [pipeline.order(client_order_id(intent.intent_id)) for intent in sent]

        assert [intent.price for intent in sent] == [Decimal("49999.5"), Decimal("50000.5")] * 3
        assert [order.status for order in orders if order] == [S.CANCELLED] * 4 + [S.SUBMITTED] * 2


@pytest.mark.asyncio
async def test_a_large_position_is_only_reduced(config: Path) -> None:
    async with ExecutionPipeline("paper", config) as pipeline:
        await pipeline.submit_order(OrderIntent(symbol="BTC/USD", side="buy", quantity="0.2"))
        for strategy in (market_maker, momentum_taker):
            sent = await play(pipeline, strategy, ids=4, ticks=2)
            assert {intent.side for intent in sent} == {OrderSide.SELL}


@pytest.mark.asyncio
async def test_the_taker_takes_in_every_way(config: Path) -> None:
    async with ExecutionPipeline("paper", config) as pipeline:
        sent = await play(pipeline, momentum_taker, ids=4)
        orders = [pipeline.order(client_order_id(intent.intent_id)) for intent in sent]

        assert [(intent.order_type, intent.time_in_force, intent.post_only) for intent in sent] == [
            ("market", "GTC", False), ("limit", "IOC", False), ("limit", "FOK", False), ("limit", "GTC", True),
        ]  # fmt: skip
        assert [order.status for order in orders if order] == [S.FILLED] * 3 + [S.REJECTED]


@pytest.mark.parametrize("strategy", [market_maker, momentum_taker])
@pytest.mark.asyncio
async def test_without_ids_or_quotes_a_strategy_is_done(
    config: Path, strategy: Callable[[Desk], Awaitable[None]]
) -> None:
    async with ExecutionPipeline("paper", config) as pipeline:
        assert await play(pipeline, strategy, ids=0) == []
        assert len(await play(pipeline, strategy, ids=1)) == 1


@pytest.mark.asyncio
async def test_nothing_careless_ever_reaches_an_executor(config: Path) -> None:
    async with ExecutionPipeline("paper", config) as pipeline, pipeline.subscribe() as events:
        sent = await play(pipeline, careless, ids=24)
        ids = {intent.intent_id for intent in sent if isinstance(intent, OrderIntent)}
        seen: dict[str, int] = {}
        for _ in range(24 + 7):
            event = await anext(events)
            assert event.event == "answered", "no order came of it"
            seen[event.status] = seen.get(event.status, 0) + 1

        assert len(ids) == 24
        assert len(sent) == 24 + 7 + 1, "garbage, and one intent twice"
        assert seen == {S.INVALID: 27, S.BLOCKED_BY_RISK: 2, S.BLOCKED_BY_GOVERNANCE: 1, S.BLOCKED_BY_ENVIRONMENT: 1}
