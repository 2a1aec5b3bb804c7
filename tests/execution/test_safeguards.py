"""Every order-level control stands in the running chain: it blocks under its id, is alerted, counted and journaled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from router import ExecutionPipeline, ExecutionResult, ExecutionStatus
from router.clock import VirtualClock
from router.domain.control import HaltScope
from router.domain.enums import Severity
from router.domain.events import AlertRaised, Halted, Pending, decode_event
from router.domain.intent import OrderIntent
from router.domain.market import Quote
from router.execution.chain import dispatcher
from router.journal.memory import MemoryJournal
from router.journal.statistics import triggered
from router.middleware import Next, Submission, compose
from tests.pipelines import intent, resting, settings

pytestmark = pytest.mark.asyncio
S = ExecutionStatus
WHO: dict[str, Any] = {"operator": "anna", "reason": "a test"}


def pipeline_on(home: Path, journal: MemoryJournal | None = None, /, **overrides: object) -> ExecutionPipeline:
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    journal = journal or MemoryJournal(VirtualClock())
    return ExecutionPipeline("paper", settings(home, keys), clock=journal.clock, journal=journal)


def tick(pipeline: ExecutionPipeline, bid: str, ask: str, symbol: str = "BTC/USD") -> None:
    now = pipeline.clock
    pipeline.market.pin(Quote(symbol, Decimal(bid), Decimal(ask), None, None, now.now(), now.monotonic()))


async def submit(pipeline: ExecutionPipeline, **fields: Any) -> ExecutionResult:
    return await pipeline.submit_order(intent(**fields))


def events(pipeline: ExecutionPipeline) -> list[Any]:
    journal = pipeline._journal
    assert isinstance(journal, MemoryJournal)
    return [decode_event(row.payload) for row in journal.rows]


# -- one by one: what is done, and whose objection it meets ------------------------------------------------------

Deed = Callable[[ExecutionPipeline], Awaitable[ExecutionResult]]


async def halted(pipeline: ExecutionPipeline) -> ExecutionResult:
    await pipeline.halt(**WHO)
    return await submit(pipeline)


async def repeated(pipeline: ExecutionPipeline) -> ExecutionResult:
    for _ in range(3):
        assert (await submit(pipeline)).is_success
    return await submit(pipeline)


async def suspect(pipeline: ExecutionPipeline) -> ExecutionResult:
    tick(pipeline, "499995", "500005")
    return await submit(pipeline)


async def crossed(pipeline: ExecutionPipeline) -> ExecutionResult:
    tick(pipeline, "50001", "50000")
    return await submit(pipeline)


async def wide(pipeline: ExecutionPipeline) -> ExecutionResult:
    tick(pipeline, "45000", "50000")
    return await submit(pipeline)


async def volatile(pipeline: ExecutionPipeline) -> ExecutionResult:
    for step in range(6):
        tick(pipeline, str(50000 + 900 * step), str(50001 + 900 * step))
        assert isinstance(pipeline.clock, VirtualClock)
        await pipeline.clock.advance(1)
    return await submit(pipeline)


async def far(pipeline: ExecutionPipeline) -> ExecutionResult:
    return await submit(pipeline, order_type="limit", price="52600")


async def amended_far(pipeline: ExecutionPipeline) -> ExecutionResult:
    placed = await submit(pipeline, order_type="limit", price="49000")
    return await pipeline.amend_order(placed.client_order_id or "", price="53000")


async def walking(pipeline: ExecutionPipeline) -> ExecutionResult:
    for price in ("50100", "50700", "51300"):
        assert (await submit(pipeline, order_type="limit", price=price)).is_success
    return await submit(pipeline, order_type="limit", price="51900")


async def meets_itself(pipeline: ExecutionPipeline) -> ExecutionResult:
    await submit(pipeline, side="sell", order_type="limit", price="50100", strategy_key="maker")
    return await submit(pipeline, order_type="limit", price="50100", strategy_key="taker")


async def twice(pipeline: ExecutionPipeline) -> ExecutionResult:
    await submit(pipeline)
    return await submit(pipeline)


async def too_much(pipeline: ExecutionPipeline) -> ExecutionResult:
    await submit(pipeline, quantity="0.01")
    return await submit(pipeline, quantity="0.02")


async def stranger(pipeline: ExecutionPipeline) -> ExecutionResult:
    return await submit(pipeline, strategy_key="stranger")


async def third_today(pipeline: ExecutionPipeline) -> ExecutionResult:
    for _ in range(2):
        assert (await submit(pipeline)).is_success
    return await submit(pipeline)


async def too_fast(pipeline: ExecutionPipeline) -> ExecutionResult:
    placed = await submit(pipeline, order_type="limit", price="49000")
    await pipeline.cancel_order(placed.client_order_id or "")
    return await submit(pipeline)


TRIPS: dict[str, tuple[dict[str, object], Deed]] = {
    "A04_kill_switch": ({}, halted),
    "P13_permission": ({"strategies.test": {}}, stranger),
    "P11_repeated_execution": ({"safety.max_repeated_executions": 2}, repeated),
    "P19_reference_age": ({"safety.max_jump_pct": "10"}, suspect),
    "P19_reference_age crossed": ({}, crossed),
    "P19_reference_age spread": ({"safety.max_spread_pct": "5"}, wide),
    "A10_volatility": ({"safety.volatility_pct": "8"}, volatile),
    "P03_price_collar": ({"safety.price_collar_pct": "5"}, far),
    "P03_price_collar amended": ({"safety.price_collar_pct": "5"}, amended_far),
    "P04_price_walk": ({"safety.price_walk_pct": "3"}, walking),
    "P20_self_match": ({"safety.self_match": "on"}, meets_itself),
    "P08_duplicate_content": ({"safety.duplicate_window_s": 1.0}, twice),
    "P07_window_notional": ({"safety.window_notional": "1200"}, too_much),
    "P21_orders_per_day": ({"strategies.test.max_orders_per_day": 2}, third_today),
    "P09_message_rate": ({"safety.max_orders_per_second_per_strategy": 2}, too_fast),
}


@pytest.mark.parametrize("name", TRIPS)
async def test_it_blocks_alerts_counts_and_is_journaled_and_without_it_the_order_passes(
    tmp_path: Path, name: str
) -> None:
    overrides, deed = TRIPS[name]
    control = name.partition(" ")[0]
    async with pipeline_on(tmp_path / "with", **overrides) as pipeline:
        before = len(await _alerts(pipeline))
        result = await deed(pipeline)
        alerts = {alert.alert_id: alert for alert in await _alerts(pipeline)}
        assert (result.status, result.violation, result.executor_called) == (S.BLOCKED_BY_SAFETY, control, False)
        assert result.reason
        assert len(alerts) > before
        assert set(result.alert_ids) <= alerts.keys()
        assert result.alert_ids, "the answer names its alert"
        assert pipeline._safeguards.guard.triggered[control] == 1
    if overrides:
        async with pipeline_on(tmp_path / "without") as pipeline:
            if name != "P19_reference_age crossed":  # what cannot be true is never a matter of configuration
                assert (await deed(pipeline)).is_success


async def _alerts(pipeline: ExecutionPipeline) -> list[AlertRaised]:
    await pipeline._journal.reached(pipeline._journal.next_seq - 1)
    return [event for event in events(pipeline) if isinstance(event, AlertRaised)]


async def test_every_control_of_the_chain_is_tripped_above(tmp_path: Path) -> None:
    tripped = {name.partition(" ")[0] for name in TRIPS}
    there_are = {control.id for control in pipeline_on(tmp_path).controls}
    assert there_are - tripped == {"P16_venue_standing"}, "that one needs a venue: tests/executors/testnet"


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("kind", ["market", "limit"])
@pytest.mark.parametrize("tif", ["GTC", "IOC", "FOK", "DAY"])
async def test_the_collar_counts_for_every_side_type_and_time_in_force(
    tmp_path: Path, side: str, kind: str, tif: str
) -> None:
    """P22: Knight's collar skipped the opening auction."""
    price = {"buy": "53000", "sell": "47000"}[side] if kind == "limit" else None
    async with pipeline_on(tmp_path, safety__price_collar_pct="5") as pipeline:
        tick(pipeline, "46000", "54000")  # the touch is 8 % away from the mid
        result = await submit(pipeline, side=side, order_type=kind, price=price, time_in_force=tif)
        assert (result.status, result.violation) == (S.BLOCKED_BY_SAFETY, "P03_price_collar")


# -- what comes of it --------------------------------------------------------------------------------------------


async def test_a_flood_of_blocked_orders_is_one_alert(tmp_path: Path) -> None:
    async with pipeline_on(tmp_path, safety__price_collar_pct="5") as pipeline:
        results = [await far(pipeline) for _ in range(200)]
        assert len({each for result in results for each in result.alert_ids}) == 1
        assert len(await _alerts(pipeline)) == 1
        assert pipeline._safeguards.guard.triggered["P03_price_collar"] == 200


async def test_a_flood_of_strangers_names_is_one_alert_too(tmp_path: Path) -> None:
    async with pipeline_on(tmp_path, **{"strategies.test": {}}) as pipeline:
        results = [await submit(pipeline, strategy_key=f"stranger {number}") for number in range(100)]
        assert {result.violation for result in results} == {"P13_permission"}
        assert len(await _alerts(pipeline)) == 1


async def test_a_strategy_that_repeats_itself_is_halted_until_an_operator_resumes_it(tmp_path: Path) -> None:
    journal = MemoryJournal(VirtualClock())
    async with pipeline_on(tmp_path, journal, safety__max_repeated_executions=2) as pipeline:
        assert (await repeated(pipeline)).violation == "P11_repeated_execution"
        halt = pipeline.halts()[0]
        assert (halt.scope, halt.name, halt.control) == (HaltScope.STRATEGY, "test", "P11_repeated_execution")
        assert (await submit(pipeline, strategy_key="other")).is_success
        assert (await submit(pipeline, side="sell", reduce_only=True)).is_success, "it may still reduce"
        assert isinstance(pipeline.clock, VirtualClock)
        await pipeline.clock.advance(86400)
        assert (await submit(pipeline)).violation == "A04_kill_switch", "no timer re-arms it"
        await pipeline.resume("strategy", "test", **WHO)
        assert (await submit(pipeline)).is_success, "what it did before is forgotten"
    assert [type(event) for event in events(pipeline) if isinstance(event, Halted)] == [Halted]


async def test_an_order_that_leaves_twice_is_stopped_and_halts_everything(tmp_path: Path) -> None:
    """A12: a fault in the router itself, which sends what nobody asked for."""

    async def doubling(submission: Submission, call_next: Next) -> ExecutionResult:
        first = await call_next(submission)
        second = await call_next(submission)
        assert (second.status, second.violation) == (S.BLOCKED_BY_SAFETY, "A12_out_versus_in")
        return first

    async with pipeline_on(tmp_path) as pipeline:
        last = dispatcher(
            pipeline._executors,
            pipeline._safeguards,
            pipeline._tracker,
            pipeline._journal,
            pipeline._log,
        )
        pipeline._intake._chain = compose([*pipeline.stages.values(), doubling], last)
        result = await submit(pipeline)
        assert result.is_success
        assert len([event for event in events(pipeline) if isinstance(event, Pending)]) == 1
        halt = pipeline.halts()[0]
        assert (halt.scope, halt.control) == (HaltScope.ALL, "A12_out_versus_in")
        assert (await submit(pipeline)).violation == "A04_kill_switch"
        assert any(alert.severity is Severity.CRITICAL for alert in await _alerts(pipeline))


async def test_a_daily_number_of_orders_is_no_new_one_after_a_restart(tmp_path: Path) -> None:
    overrides = {"strategies.test.max_orders_per_day": 2}
    configured = settings(tmp_path, overrides)
    async with ExecutionPipeline("paper", configured) as pipeline:
        assert (await submit(pipeline)).is_success
        assert (await submit(pipeline)).is_success
    async with ExecutionPipeline("paper", configured) as pipeline:
        assert (await submit(pipeline)).violation == "P21_orders_per_day"
        assert triggered(pipeline.journal_path)["P21_orders_per_day"] == 1


async def test_a_rate_that_concurrent_intents_share_is_never_exceeded_and_cancels_always_leave(tmp_path: Path) -> None:
    async with pipeline_on(tmp_path, safety__max_orders_per_second=50) as pipeline:
        results: list[ExecutionResult] = []

        async def one(number: int) -> None:
            results.append(await pipeline.submit_order(resting(quantity="0.001", intent_id=f"n{number}")))

        async with anyio.create_task_group() as group:
            for number in range(400):
                group.start_soon(one, number)
        passed = [result for result in results if result.is_success]
        assert len(passed) == 50
        assert {result.violation for result in results if not result.is_success} == {"P09_message_rate"}
        await pipeline.cancel_all(reason="enough")
        assert pipeline.open_orders() == []


async def test_overrides_count_for_their_strategy_and_environment_only(tmp_path: Path) -> None:
    overrides: dict[str, object] = {
        "safety.environments.shadow.price_collar_pct": "5",
        "strategies.strict.safety.price_collar_pct": "1",
        "strategies.free": {},
    }

    async def passes(pipeline: ExecutionPipeline, price: str, strategy: str, environment: str) -> bool:
        wanted: OrderIntent = resting(price=price, strategy_key=strategy, environment=environment)
        return (await pipeline.submit_order(wanted)).is_success

    async with pipeline_on(tmp_path, **overrides) as pipeline:
        assert await passes(pipeline, "60000", "free", "paper")
        assert not await passes(pipeline, "60000", "free", "shadow")
        assert await passes(pipeline, "51000", "free", "shadow")
        assert not await passes(pipeline, "51000", "strict", "shadow")
        assert not await passes(pipeline, "51000", "strict", "paper")
        assert await passes(pipeline, "50100", "strict", "paper")
