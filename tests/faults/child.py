"""The victim: a real router process, forked from one that has imported everything, that lives until its trap springs.

Each life takes the same journal on: it sends new intents and some old ones again, cancels and amends what it finds
open, and tells every answer it gets. What was told is what the router is held to. ``variants`` are broken on purpose.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import traceback
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import anyio
import msgspec

from router import ExecutionPipeline, ExecutionResult, OrderIntent
from router.clock import SystemClock
from router.domain.order import Order, order_document
from router.execution import environments
from router.settings import Settings
from tests.faults.points import Trap
from tests.faults.variants import VARIANTS
from tests.pipelines import LOOSE, intent, settings

INTENTS: Final = 8  # new ones a life
_LIFE_S: Final = 0.9  # of a life whose trap does not spring
_PATIENCE_S: Final = 1.6  # of some lives, so that look-ups conclude something before anybody meddles
_QUIET_S: Final = 1.0
_SETTLE_S: Final = 90.0  # at most: a look-up in five is not answered, and each failure doubles the wait
_BROKEN_SETTLE_S: Final = 4.0
_HUNG_S: Final = 150


class Life(NamedTuple):
    """``point`` None: undisturbed, until every order is settled. ``number`` counts the lives of one journal."""

    settings: Settings
    socket: Path
    seed: int
    number: int
    point: str | None
    hit: int
    variant: str


def fork(life: Life) -> int:
    """Live in a forked process; return its exit status, negative for a signal."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    code = 1
    try:
        signal.alarm(_HUNG_S)
        errors = os.open(life.settings.home_path / "errors.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(errors, 1)
        os.dup2(errors, 2)
        logging.getLogger("router").addHandler(logging.NullHandler())
        code = asyncio.run(live(life))
    except BaseException:  # noqa: BLE001 -- nothing may go on in the parent's copy
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


async def live(life: Life) -> int:
    """Run a router on the journal; return the exit status."""
    chance, variant = random.Random(f"{life.seed} {life.number}"), VARIANTS[life.variant]
    trap, told = Trap(life.point, life.hit), Told(life.settings.home_path / "told.jsonl")
    executor = partial(
        variant.executor, socket=life.socket, trap=trap, streams=life.point is None or chance.random() < 0.7
    )
    environments.EXECUTORS = MappingProxyType(  # type: ignore[misc]  # there is no public way, on purpose
        {"paper": lambda name, parts: executor(name, parts.teller.report)}
    )
    journal = variant.journal(life.settings.home_path / "journal.db", SystemClock(), trap)
    async with ExecutionPipeline("paper", life.settings, journal=journal) as pipeline:
        if life.point is None:
            await again(pipeline, told, life)
            await settle(pipeline, _BROKEN_SETTLE_S if life.variant else _SETTLE_S)
            left = [order.client_order_id for order in pipeline.open_orders() if unproved(order)]
            told.say(position=pipeline.positions().get("BTC/USD"), unproved=left)
            return 0
        patience = _PATIENCE_S if chance.random() < 0.15 else 0.0
        with anyio.move_on_after(patience + _LIFE_S):
            await anyio.sleep(patience)
            await busy(pipeline, told, life, chance)
            await anyio.sleep(_LIFE_S)
    return 0


def configured(home: Path) -> Settings:
    """Return settings with short windows and limits that nothing reaches."""
    windows = {"watchers.submitted_window_s": "0.4", "watchers.partial_window_s": "0.4"}
    return settings(home, windows, limits=LOOSE)


class Told:
    """What the router told somebody: whole lines, written at once, which no kill takes back."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(self, **what: Any) -> None:
        os.write(self._file, msgspec.json.encode(what, enc_hook=repr) + b"\n")


def intents(life: Life) -> list[OrderIntent]:
    """Return what one life sends first: a pure function of seed and number."""
    chance = random.Random(f"intents {life.seed} {life.number}")
    made = []
    for number in range(INTENTS):
        fields: dict[str, Any] = {"intent_id": f"{life.seed} {life.number} {number}"}
        fields |= {"side": chance.choice(["buy", "sell"]), "quantity": "0.04"}
        if chance.random() < 0.8:
            fields |= {"order_type": "limit", "price": str(chance.randint(45000, 55000))}
        made.append(intent(**fields))
    return made


async def busy(pipeline: ExecutionPipeline, told: Told, life: Life, chance: random.Random) -> None:
    """Meddle with what is open, send old intents again and new ones, and meddle with those."""
    async with anyio.create_task_group() as group:
        for order in pipeline.open_orders():
            if chance.random() < 0.5:
                group.start_soon(meddle, pipeline, told, order.client_order_id, random.Random(chance.random()))
        group.start_soon(again, pipeline, told, life)
        for wanted in intents(life):
            group.start_soon(one, pipeline, told, wanted, random.Random(chance.random()))


async def again(pipeline: ExecutionPipeline, told: Told, life: Life) -> None:
    """Send what the last two lives sent once more, as a strategy that got no answer does."""
    for number in range(max(0, life.number - 2), life.number):
        for wanted in intents(life._replace(number=number)):
            told.say(answer=await pipeline.submit_order(wanted))


async def one(pipeline: ExecutionPipeline, told: Told, wanted: OrderIntent, chance: random.Random) -> None:
    await anyio.sleep(chance.choice([0, 0, chance.uniform(0, 0.3)]))
    result: ExecutionResult = await pipeline.submit_order(wanted)
    told.say(answer=result)
    await anyio.sleep(chance.uniform(0, 0.1))
    order = pipeline.order(result.client_order_id or "")
    if order is not None and order.is_open and chance.random() < 0.7:
        await meddle(pipeline, told, order.client_order_id, chance)


async def meddle(pipeline: ExecutionPipeline, told: Told, name: str, chance: random.Random) -> None:
    """Cancel, amend, or both at once."""
    what = chance.choice(["cancel", "cancel", "amend", "amend twice", "both"])
    async with anyio.create_task_group() as group:
        for _ in range(2 if what == "amend twice" else what != "cancel"):
            group.start_soon(amend, pipeline, told, name, chance)
        if what in {"cancel", "both"}:
            group.start_soon(cancel, pipeline, told, name)


async def amend(pipeline: ExecutionPipeline, told: Told, name: str, chance: random.Random) -> None:
    quantity = Decimal(chance.choice(["0.03", "0.06", "0.08", "0.1"]))
    order = pipeline.order(name)
    if order is not None and order.price is not None:
        price = chance.choice([None, order.price + chance.randint(-50, 50)])
        told.say(amended=await pipeline.amend_order(name, quantity=quantity, price=price))


async def cancel(pipeline: ExecutionPipeline, told: Told, name: str) -> None:
    order = await pipeline.cancel_order(name)
    told.say(cancelled=order_document(order))


async def settle(pipeline: ExecutionPipeline, seconds: float) -> None:
    """Wait until nothing about any open order has been unproved for some time, or ``seconds`` have passed."""
    quiet: float = 0.0
    with anyio.move_on_after(seconds):
        while quiet < _QUIET_S:
            await anyio.sleep(0.1)
            quiet = 0.0 if any(unproved(order) for order in pipeline.open_orders()) else quiet + 0.1


def unproved(order: Order) -> bool:
    return order.outcome_unknown or order.pending_cancel is not None or order.status == "PENDING"
