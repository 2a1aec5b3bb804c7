"""Other terms for a working order: through every gate, held in their worst case, in force when the executor says so."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from router import ExecutionPipeline, ExecutionStatus
from router.clock import VirtualClock
from router.domain.enums import ExecType
from router.domain.order import Order, Replacement
from router.errors import ExecutionPipelineError
from router.execution.validation import intent_for
from router.journal.memory import MemoryJournal
from tests.execution.world import World, report
from tests.journal.events import MoodyDisk
from tests.pipelines import intent, kinds, move, resting, settings

pytestmark = pytest.mark.asyncio
S = ExecutionStatus
D = Decimal


def memory(
    tmp_path: Path, journal: MemoryJournal | None = None, limits: Any = None, **fields: Any
) -> ExecutionPipeline:
    journal = journal or MemoryJournal(VirtualClock())
    return ExecutionPipeline("paper", settings(tmp_path, fields, limits=limits), clock=journal.clock, journal=journal)


async def placed(pipeline: ExecutionPipeline, **fields: Any) -> str:
    result = await pipeline.submit_order(resting(**fields))
    assert result.is_success
    return result.client_order_id or ""


async def test_quantity_and_price_change_and_the_order_keeps_its_id(tmp_path: Path) -> None:
    async with memory(tmp_path) as pipeline:
        name = await placed(pipeline)
        result = await pipeline.amend_order(name, quantity="0.03", price="41000")
        order = pipeline.order(name)
        assert order is not None
        assert (result.status, result.order_status, result.leaves_quantity) == (S.SUCCESS, S.SUBMITTED, D("0.03"))
        assert (order.quantity, order.price, order.pending_replaces) == (D("0.03"), D(41000), ())
        assert kinds(await pipeline.story(name)) == [  # type: ignore[arg-type]
            "pending", "submitted", "answered", "pending_replace", "replaced", "amendment_answered",
        ]  # fmt: skip
        assert result.governance_status["live_order_execution"] == "locked"
        again = await pipeline.submit_order(resting(intent_id=None))
        assert again.client_order_id != name


async def test_one_term_alone_leaves_the_other(tmp_path: Path) -> None:
    async with memory(tmp_path) as pipeline:
        name = await placed(pipeline)
        await pipeline.amend_order(name, price="41000")
        await pipeline.amend_order(name, quantity="0.02")
        order = pipeline.order(name)
        assert order is not None
        assert (order.quantity, order.price) == (D("0.02"), D(41000))


@pytest.mark.parametrize(
    ("terms", "message", "field"),
    [
        ({"quantity": 0}, "Quantity must be > 0", "quantity"),
        ({"quantity": -1}, "Quantity must be positive", "quantity"),
        ({"quantity": float("nan")}, "Quantity must be a finite number", "quantity"),
        ({"quantity": "much"}, "Quantity must be a number", "quantity"),
        ({"quantity": "0.000000001"}, "Quantity is not a multiple of lot size 0.00001", "quantity"),
        ({"price": 0}, "Price must be positive", "price"),
        ({"price": "40000.001"}, "Price is not a multiple of tick size 0.01", "price"),
        ({"price": "0.01"}, "Notional below minimum 5", "quantity"),
    ],
)
async def test_terms_that_cannot_be_are_invalid_and_the_old_ones_stand(
    tmp_path: Path, terms: dict[str, Any], message: str, field: str
) -> None:
    async with memory(tmp_path) as pipeline:
        name = await placed(pipeline)
        before = pipeline.order(name)
        result = await pipeline.amend_order(name, **terms)
        assert (result.status, result.validation_error, result.invalid_field) == (S.INVALID, message, field)
        assert not result.executor_called
        assert pipeline.order(name) == before


async def test_what_has_ended_or_has_no_price_is_not_amended(tmp_path: Path) -> None:
    async with memory(tmp_path) as pipeline:
        filled = await pipeline.submit_order(intent())
        result = await pipeline.amend_order(filled.client_order_id or "", quantity="0.02")
        assert (result.status, result.validation_error) == (S.INVALID, "Order has ended")
        with pytest.raises(ExecutionPipelineError, match="No order has the client_order_id 'nobody'"):
            await pipeline.amend_order("nobody", quantity=1)


async def test_no_less_than_has_traded_can_be_asked_for() -> None:
    async def half(order: Order, emit: Any) -> None:
        emit(report(order, ExecType.NEW))
        emit(report(order, ExecType.TRADE, trade_id="t", last_quantity=D("0.005"), last_price=D(40000), fee=D(0)))

    world = World(half)
    async with world.running():
        name = (await world.submit(resting())).client_order_id or ""
        assert await amended(world, name, quantity="0.004") == (S.INVALID, "Quantity below filled quantity 0.005")
        assert await amended(world, name, quantity="0.005") == (S.SUCCESS, None)
        order = world.tracker.orders.current(name)
        assert order is not None
        assert (order.status, order.leaves_quantity, world.held) == (S.FILLED, D(0), 0.0)


async def test_an_amendment_that_would_break_a_limit_is_blocked_and_holds_nothing_more(tmp_path: Path) -> None:
    async with memory(tmp_path, limits={"max_position_size": {"default": "1"}}) as pipeline:
        name = await placed(pipeline, quantity="0.6")
        held = pipeline.risk_snapshot().exposure
        result = await pipeline.amend_order(name, quantity="1.1")
        assert (result.status, result.violation) == (S.BLOCKED_BY_RISK, "Max position size exceeded")
        assert pipeline.risk_snapshot().exposure == held
        assert (await pipeline.amend_order(name, quantity="1")).status is S.SUCCESS
        other = await pipeline.submit_order(resting(quantity="0.1"))
        assert other.violation == "Max position size exceeded"


async def test_taking_risk_away_passes_a_broken_limit(tmp_path: Path) -> None:
    async with memory(tmp_path, limits={"max_exposure": "0.51"}) as pipeline:
        await pipeline.submit_order(intent(quantity="1"))
        name = await placed(pipeline)
        move(pipeline, "BTC/USD", "60000", "60001")
        assert (await pipeline.submit_order(resting())).status is S.BLOCKED_BY_RISK
        assert (await pipeline.amend_order(name, price="41000")).status is S.BLOCKED_BY_RISK
        assert (await pipeline.amend_order(name, quantity="0.005")).status is S.SUCCESS


# -- the executor's answer ------------------------------------------------------------------------------------


async def accepts(order: Order, emit: Any) -> None:
    emit(report(order, ExecType.NEW))


async def amended(world: World, name: str, **terms: Any) -> tuple[ExecutionStatus, str | None]:
    """Ask for other terms; return the verdict and what was wrong."""
    order = world.tracker.orders.current(name)
    assert order is not None
    submission = world.submission(intent_for(order, terms.get("quantity"), terms.get("price")), amends=order)
    answers: list[Any] = []
    world.conductor.start(world.chain(submission), answers.append)
    with anyio.fail_after(5):
        while not answers:
            await anyio.lowlevel.checkpoint()
    return answers[0].status, answers[0].validation_error or answers[0].reason


@pytest.mark.parametrize("remote", [False, True])
async def test_the_larger_quantity_is_held_until_the_venue_has_answered(remote: bool) -> None:
    world = World(accepts, remote=remote)
    held: list[float] = []

    async def looks(order: Order, asked: Replacement) -> None:
        current = world.tracker.orders.current(order.client_order_id)
        assert current is not None
        assert (current.quantity, current.pending_replaces) == (D("0.01"), (asked,)), "not in force before it says so"
        assert world.disk.durable_seq >= 4, "durable before the hand-over"
        held.append(world.held)
        world.tracker.report(report(order, ExecType.REPLACE_REJECTED, request_id=asked.request_id, reason="too late"))

    world.venue.amend = looks  # type: ignore[method-assign]
    async with world.running():
        name = (await world.submit(resting())).client_order_id or ""
        assert await amended(world, name, quantity="0.05") == (S.REJECTED, "too late")
        assert (held, world.held) == ([0.05], 0.01)


@pytest.mark.parametrize("remote", [False, True])
async def test_silence_leaves_the_amendment_pending_and_its_exposure_held(remote: bool) -> None:
    world = World(accepts, remote=remote)

    async def cut(order: Order, asked: Replacement) -> None:
        raise ConnectionError("cut")

    world.venue.amend = cut  # type: ignore[method-assign]
    async with world.running():
        name = (await world.submit(resting())).client_order_id or ""
        verdict, reason = await amended(world, name, quantity="0.05")
        assert (verdict, world.held) == (S.SUBMITTED, 0.05)
        assert await amended(world, name, quantity="0.06") == (S.INVALID, "A replacement is pending")
        assert world.held == 0.05
        assert "do not send it again" in (reason or "")
        order = world.tracker.orders.current(name)
        assert order is not None
        shown = {"quantity": D("0.05"), "price": order.price, "order_status": S.SUBMITTED}
        world.tracker.report(report(name, ExecType.ORDER_STATUS, **shown))  # the evidence, late
        order = world.tracker.orders.current(name)
        assert order is not None
        assert (order.quantity, order.pending_replaces) == (D("0.05"), ())


async def test_a_cancel_that_wins_the_race_is_the_answer() -> None:
    world = World(accepts)

    async def cancels(order: Order, asked: Replacement) -> None:
        world.tracker.report(report(order, ExecType.CANCELED, reason="by the venue"))

    world.venue.amend = cancels  # type: ignore[method-assign]
    async with world.running():
        name = (await world.submit(resting())).client_order_id or ""
        assert await amended(world, name, quantity="0.05") == (S.REJECTED, "the order is CANCELLED")
        assert world.held == 0


async def test_an_amendment_that_cannot_be_recorded_is_not_handed_over(tmp_path: Path) -> None:
    disk = MoodyDisk(VirtualClock())
    async with memory(tmp_path, disk) as pipeline:
        name = await placed(pipeline)
        disk.full = True
        result = await pipeline.amend_order(name, quantity="0.02")
        assert (result.status, result.executor_called) == (S.ERROR, False)
        refused = await pipeline.amend_order(name, quantity="0.03")  # by now the journal is known to fail
        assert refused.status is S.ERROR
        disk.full = False
        await disk.clock.advance(2)  # type: ignore[attr-defined]
        order = pipeline.order(name)
        assert order is not None
        assert (order.quantity, order.pending_replaces) == (D("0.01"), ())


async def test_terms_survive_a_restart_and_those_not_in_force_are_refused_by_it(tmp_path: Path) -> None:
    journal = MemoryJournal(VirtualClock())
    async with memory(tmp_path, journal, **{"paper.latency_ms": 50}) as pipeline:
        name = await placed(pipeline)
        await journal.clock.advance(1)  # type: ignore[attr-defined]
        pending = await pipeline.amend_order(name, quantity="0.02")
        assert (pending.status, pending.outcome_unknown) == (S.SUBMITTED, True)
        await journal.clock.advance(1)  # type: ignore[attr-defined]
        order = pipeline.order(name)
        assert order is not None
        assert order.quantity == D("0.02")
        await pipeline.amend_order(name, quantity="0.03")
    async with memory(tmp_path, journal) as pipeline:
        order = pipeline.order(name)
        assert order is not None
        assert (order.quantity, order.pending_replaces) == (D("0.02"), ())
        assert (await pipeline.story(name))[-1].event == "replace_rejected"
        assert (await pipeline.amend_order(name, quantity="0.03")).status is S.SUCCESS
        assert (await pipeline.cancel_order(name)).status is S.CANCELLED


async def test_a_wall_clock_that_is_set_back_makes_no_amendment_a_thing_of_the_past(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with memory(tmp_path, MemoryJournal(clock)) as pipeline:
        name = await placed(pipeline)
        await pipeline.amend_order(name, price="41000")
        clock.jump(-60)
        assert (await pipeline.amend_order(name, quantity="0.03", price="42000")).status is S.SUCCESS
        order = pipeline.order(name)
        assert order is not None
        assert (order.quantity, order.price) == (D("0.03"), D(42000))
        move(pipeline, "BTC/USD", "39000", "39001")
        filled = await pipeline.wait_for(name, timeout=5)
        assert (filled.status, pipeline.positions()["BTC/USD"].quantity) == (S.FILLED, D("0.03"))


async def test_an_order_with_an_unknown_outcome_is_not_amended() -> None:
    world = World()  # its venue says nothing
    async with world.running():
        name = (await world.submit(resting())).client_order_id or ""
        assert await amended(world, name, quantity="0.05") == (S.INVALID, "Outcome unknown")


async def test_terms_that_are_in_force_already_are_nothing_to_amend(tmp_path: Path) -> None:
    async with memory(tmp_path) as pipeline:
        name = await placed(pipeline)
        for terms in ({}, {"quantity": "0.01"}, {"price": "40000.00"}):
            result = await pipeline.amend_order(name, **terms)
            assert (result.status, result.validation_error) == (S.INVALID, "Nothing to amend")
