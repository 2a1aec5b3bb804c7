"""The victim of test_crash: a real pipeline that pushes known intents and prints every answer once it is durable.

    python -m tests.crash_child HOME SEED COUNT TURN

Intents are a pure function of seed and number. Those already answered in the journal are not sent again; the
others are, by the queue or by ``submit_order``, until all are answered. Lines: ``started``, then one ExecutionResult
as JSON an answer, then ``done``.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from pathlib import Path

import anyio

from router import ExecutionPipeline, OrderIntent
from router.domain.events import Answered
from router.ids import client_order_id
from tests.pipelines import encoded, intent, move, resting, settings, stored

BLOCK = 25


def intents(seed: int, count: int) -> list[OrderIntent]:
    """Return what is to be pushed: market, resting, invalid and over a limit, each with its own id."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        name, side = f"crash {number}", chance.choice(["buy", "sell"])
        kind = chance.choice(["market", "market", "resting", "resting", "invalid", "over", "live"])
        if kind == "market":
            made.append(intent(intent_id=name, side=side, quantity=chance.randint(1, 50) * 1000 / 1_000_000))
        elif kind == "resting":
            price = 40000 + chance.randint(0, 15000)
            made.append(resting(intent_id=name, side=side, price=str(price), quantity="0.002"))
        elif kind == "invalid":
            made.append(intent(intent_id=name, quantity=0))
        elif kind == "over":
            made.append(intent(intent_id=name, quantity=100))
        else:
            made.append(intent(intent_id=name, environment="live"))
    return made


def say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


async def one(pipeline: ExecutionPipeline, wanted: OrderIntent) -> None:
    say(encoded(await pipeline.submit_order(wanted, raise_on_governance_violation=False)))


async def main(home: Path, seed: int, count: int, turn: int) -> None:
    logging.getLogger("router").addHandler(logging.NullHandler())  # or its warnings would fill stderr
    chance = random.Random(seed + turn)
    async with ExecutionPipeline("paper", settings(home, limits={"max_position_size": {"default": "1"}})) as pipeline:
        say(b"started")
        async with pipeline.subscribe(from_seq=1) as events, anyio.create_task_group() as group:

            async def listen() -> None:
                async for event in events:
                    if isinstance(event, Answered):
                        say(encoded(event.result))

            group.start_soon(listen)
            known = {event.client_order_id for event in stored(home) if isinstance(event, Answered)}
            todo = [each for each in intents(seed, count) if client_order_id(each.intent_id) not in known]
            for start in range(0, len(todo), BLOCK):
                block = todo[start : start + BLOCK]
                async with anyio.create_task_group() as senders:
                    for wanted in block:
                        if chance.random() < 0.5:
                            senders.start_soon(one, pipeline, wanted)
                        else:
                            await pipeline.intents.send(wanted)
                mid = 50000 + chance.randint(-3000, 3000)
                move(pipeline, "BTC/USD", f"{mid - 1}", f"{mid}")
                if chance.random() < 0.2:
                    await pipeline.cancel_all(strategy_key="test", reason="now and then")
            await pipeline.idle()
            group.cancel_scope.cancel()
    say(b"done")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
