"""The router of a schedule: a real process, forked from one that has imported everything, at a venue of its own.

It sends what the plan wants, then says "busy over" and waits for the faults to end; then it settles and tells what it
holds. What was told is what the router is held to. ``VARIANTS`` are broken on purpose.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import anyio
from msgspec.structs import replace

from router import ExecutionPipeline, OrderIntent
from router.domain.order import Order
from router.errors import ExecutionPipelineError
from router.executors.testnet import executor as under_test
from router.executors.testnet.link import RequestFailedError
from router.executors.testnet.outcomes import Kind
from router.settings import Settings
from tests.faults.child import Told
from tests.pipelines import LOOSE, QUOTES, settings
from tests.schedules.plan import BUSY_S, SYMBOL, Plan

WINDOW_S: Final = 2.0
_QUIET_S: Final = 1.2  # longer than the time between two comparisons with the venue
_OPEN_QUIET_S: Final = 7.0  # longer than the time after which one looks up an order that it misses
_SETTLE_S: Final = 40.0
_BROKEN_SETTLE_S: Final = 12.0
_HUNG_S: Final = 120
_INSTRUMENT: Final = """["BTC/USDT"]
base = "BTC"
quote = "USDT"
tick_size = "0.01"
lot_size = "0.00001"
min_quantity = "0.00001"
max_quantity = "1000"
min_notional = "5"
"""
"""One is enough: a comparison every second with all that are shipped would use up the venue's rate budget."""


class Life(NamedTuple):
    """One router process. It reads a byte from ``orders`` when a schedule's faults have ended, and writes one to
    ``says`` when it begins to trade, when it has done so, and when it has settled."""

    home: Path
    url: str
    plans: Sequence[Plan]
    variant: str
    orders: int
    says: int


def fork(life: Life, others: Sequence[int]) -> int:
    """Live in a forked process, without the pipe ends ``others``; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.alarm(_HUNG_S * len(life.plans))
        for each in others:
            os.close(each)
        errors = os.open(life.home / "errors.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(errors, 1)
        os.dup2(errors, 2)
        logging.getLogger("router").addHandler(logging.NullHandler())
        VARIANTS[life.variant]()
        code = asyncio.run(live(life))
    except BaseException:  # noqa: BLE001 -- nothing may go on in the parent's copy
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def configured(home: Path, url: str, venue: str, recv_window_ms: int) -> Settings:
    """Return settings with short windows and limits that nothing reaches."""
    instruments = home / "instruments.toml"
    instruments.write_text(_INSTRUMENT)
    return settings(
        home,
        {
            "execution.instruments": str(instruments),
            "execution.environments": ["testnet"],
            "execution.environment": "testnet",
            "testnet.venue": venue,
            "testnet.base_url": url,
            "testnet.recv_window_ms": recv_window_ms,
            "testnet.reconcile_s": 1.0,
            "watchers.submitted_window_s": WINDOW_S,
            "watchers.partial_window_s": WINDOW_S,
        },
        limits=LOOSE,
        quotes={SYMBOL: QUOTES[SYMBOL]},
    )


async def live(life: Life) -> int:
    """Run a router through the plans; return the exit status."""
    first = life.plans[0]
    told = Told(life.home / "told.jsonl")
    loop = asyncio.get_running_loop()
    go: asyncio.Queue[bytes] = asyncio.Queue()
    loop.add_reader(life.orders, lambda: go.put_nowait(os.read(life.orders, 1)))
    async with ExecutionPipeline(
        "testnet", configured(life.home, life.url, first.venue, first.recv_window_ms)
    ) as pipeline:
        for plan in life.plans:
            os.write(life.says, b"t")
            await busy(pipeline, plan, told)
            os.write(life.says, b"b")
            if not await go.get():
                return 1
            await again(pipeline, plan, told)
            await settle(pipeline, _BROKEN_SETTLE_S if life.variant else _SETTLE_S)
            told.say(**ending(pipeline))
            os.write(life.says, b"s")
    return 0


async def busy(pipeline: ExecutionPipeline, plan: Plan, told: Told) -> None:
    """Do what the plan's strategies want."""
    async with anyio.create_task_group() as group:
        for number in range(len(plan.wishes)):
            group.start_soon(one, pipeline, plan, number, told)
        await anyio.sleep(BUSY_S)


async def one(pipeline: ExecutionPipeline, plan: Plan, number: int, told: Told) -> None:
    wish = plan.wishes[number]
    await anyio.sleep(wish.at)
    result = await pipeline.submit_order(intent(plan, number))
    told.say(answer=result)
    name = result.client_order_id or ""
    for terms in wish.amends if wish.amend_after is not None and pipeline.order(name) is not None else ():
        await anyio.sleep(wish.amend_after or 0.0)
        told.say(amended=await pipeline.amend_order(name, **terms))
    if wish.cancel_after is not None and pipeline.order(name) is not None:
        await anyio.sleep(wish.cancel_after)
        await pipeline.cancel_order(name)


async def again(pipeline: ExecutionPipeline, plan: Plan, told: Told) -> None:
    """Send every intent once more, as a strategy that is not sure does: each has its answer already, or has it now."""
    for number in range(len(plan.wishes)):
        told.say(answer=await pipeline.submit_order(intent(plan, number)))


def intent(plan: Plan, number: int) -> OrderIntent:
    return OrderIntent(
        symbol=SYMBOL, intent_id=plan.intent_id(number), strategy_key="schedule", **plan.wishes[number].fields
    )


async def settle(pipeline: ExecutionPipeline, seconds: float) -> None:
    """Wait until nothing has been unproved for some time, or ``seconds`` have passed."""
    quiet = 0.0
    with anyio.move_on_after(seconds):
        while quiet < (_OPEN_QUIET_S if pipeline.open_orders() else _QUIET_S):
            await anyio.sleep(
                0.1
            )  # that nothing happens any more is no event to wait for, and the venue's time is real
            loud = any(unproved(order) for order in pipeline.open_orders())
            venue = pipeline.health()["testnet"]  # what others trade on the account stays a difference
            heard = venue["ok"] or "against our books" in str(venue["detail"])
            quiet = 0.0 if loud or not heard else quiet + 0.1


def unproved(order: Order) -> bool:
    return (
        order.outcome_unknown
        or order.pending_cancel is not None
        or order.status == "PENDING"
        or bool(order.pending_replaces)
    )


def ending(pipeline: ExecutionPipeline) -> dict[str, Any]:
    """Return what the router holds, and how much of the machine it takes."""
    try:
        position = pipeline.positions().get(SYMBOL)
    except ExecutionPipelineError:
        position = None
    cash = pipeline._accounts["testnet"].portfolio.cash
    gc.collect()
    with Path("/proc/self/status").open() as status:
        rss_kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return {
        "cash": {currency: str(cash.get(currency, 0)) for currency in ("USDT", "BTC")},
        "held": str(position.quantity if position is not None else 0),
        "unproved": [order.client_order_id for order in pipeline.open_orders() if unproved(order)],
        "rss_kib": rss_kib,
        "fds": len(list(Path("/proc/self/fd").iterdir())),
        "tasks": len(asyncio.all_tasks()),
    }


# -- broken on purpose ----------------------------------------------------------------------------------------------


def _resends() -> None:
    """Sends an order again, with another id, when its answer is lost."""
    sound = under_test.TestnetExchangeOrderExecutor._create

    async def create(self: Any, order: Order) -> Any:
        try:
            return await sound(self, order)
        except RequestFailedError:
            return await sound(self, replace(order, client_order_id=f"{order.client_order_id}X"))

    under_test.TestnetExchangeOrderExecutor._create = create  # type: ignore[method-assign]


def _despairs() -> None:
    """Takes every failure for a refusal."""
    under_test._PROVED = frozenset(Kind)  # type: ignore[misc]


def _forgets_trades() -> None:
    """Asks for no order's trades."""

    async def nothing(*_: object) -> list[Any]:
        return []

    for dialect in ("binance", "bybit"):
        module = __import__(f"router.executors.testnet.{dialect}", fromlist=["*"])
        kind = getattr(module, f"{dialect.capitalize()}Dialect")
        kind.trades_of = kind.trades_since = nothing


def _hurries() -> None:
    """Does not wait until a request can no longer be executed."""
    sound = under_test.TestnetExchangeOrderExecutor.__init__

    def init(self: Any, *arguments: Any, **named: Any) -> None:
        sound(self, *arguments, **named)
        self.settle_s = 0.0

    under_test.TestnetExchangeOrderExecutor.__init__ = init  # type: ignore[method-assign]


VARIANTS: Final[MappingProxyType[str, Callable[[], None]]] = MappingProxyType(
    {
        "": lambda: None,
        "resends": _resends,
        "despairs": _despairs,
        "forgets_trades": _forgets_trades,
        "hurries": _hurries,
    }
)
FORCED: Final = MappingProxyType(
    {"resends": "drop_after", "despairs": "truncate", "forgets_trades": "silent", "hurries": "late"}
)
"""Which fault shows what is broken."""
