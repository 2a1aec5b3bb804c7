"""Runbook §9.1, §9.2, §9.4, §8.1 and the pipeline's promises to strategies: ids, order of stages, streams, views."""

from __future__ import annotations

import asyncio
import math
import re
import sys
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from router import (
    ExecutionPipeline,
    ExecutionPipelineError,
    ExecutionResult,
    ExecutionStatus,
    OrderIntent,
    OrderSide,
    OrderType,
    TimeInForce,
)
from router.clock import VirtualClock
from router.domain.events import Answered
from router.execution.chain import STAGES
from tests.pipelines import LOOSE, encoded, intent, kinds, move, resting, settings, stored

pytestmark = pytest.mark.asyncio
S = ExecutionStatus
NOON = datetime(2025, 12, 9, 12, tzinfo=UTC)
NAN = float("nan")


# -- runbook §9.1 and §9.2: the good case ---------------------------------------------------------------------


@pytest.mark.parametrize("environment", ["paper", "shadow"])
async def test_a_normal_order_succeeds(tmp_path: Path, environment: str) -> None:
    async with ExecutionPipeline(env=environment, config=settings(tmp_path), clock=VirtualClock(NOON)) as pipeline:
        result = await pipeline.submit_order(
            OrderIntent(
                symbol="BTC/USD", side=OrderSide.BUY, quantity=0.01, order_type="market", strategy_key="smoke_test"
            ),
            raise_on_governance_violation=True,
        )
    assert result.status is S.SUCCESS
    assert result.is_success
    assert not result.is_blocked_by_governance
    assert not result.is_blocked_by_risk
    assert result.environment == environment
    assert result.executor_called
    assert (result.order_status, result.filled_quantity, result.average_price) == (
        S.FILLED,
        Decimal("0.01"),
        Decimal("50000.5"),
    )
    assert re.fullmatch(r"run_20251209_120000_[0-9a-f]{6}", result.run_id)
    assert result.session_id == f"session_{environment}_20251209"
    assert result.timestamp == NOON
    assert result.governance_status["live_order_execution"] == "locked"
    assert result.client_order_id is not None
    assert re.fullmatch(r"[A-Za-z0-9]{1,32}", result.client_order_id)


async def test_shadow_and_paper_keep_accounts_of_their_own(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(intent(environment="shadow"))
        assert (result.status, result.environment) == (S.SUCCESS, "shadow")
        assert pipeline.positions() == {}


async def test_run_ids_are_unique_under_load(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path, limits=LOOSE)) as pipeline:
        results = await asyncio.gather(*(pipeline.submit_order(intent()) for _ in range(500)))
    assert len({result.run_id for result in results}) == 500
    assert len({result.client_order_id for result in results}) == 500


# -- runbook §8.1, §9.4 and the messages of the contract ------------------------------------------------------

INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({"quantity": 0.0}, "Quantity must be > 0", "quantity"),
    ({"quantity": 0}, "Quantity must be > 0", "quantity"),
    ({"quantity": "-0.00"}, "Quantity must be > 0", "quantity"),
    ({"quantity": -0.5}, "Quantity must be positive", "quantity"),
    ({"quantity": Decimal("-1e-30")}, "Quantity must be positive", "quantity"),
    ({"quantity": NAN}, "Quantity must be a finite number", "quantity"),
    ({"quantity": "sNaN"}, "Quantity must be a finite number", "quantity"),
    ({"quantity": math.inf}, "Quantity must be a finite number", "quantity"),
    ({"quantity": -math.inf}, "Quantity must be a finite number", "quantity"),
    ({"quantity": None}, "Quantity must be a number", "quantity"),
    ({"quantity": "much"}, "Quantity must be a number", "quantity"),
    ({"quantity": True}, "Quantity must be a number", "quantity"),
    ({"quantity": [1]}, "Quantity must be a number", "quantity"),
    ({"quantity": "9001"}, "Quantity above maximum 9000", "quantity"),
    ({"quantity": "1e999999"}, "Quantity above maximum 9000", "quantity"),
    ({"quantity": "0.000015"}, "Quantity is not a multiple of lot size 0.00001", "quantity"),
    ({"quantity": "1e-400"}, "Quantity is not a multiple of lot size 0.00001", "quantity"),
    ({"quantity": 0.1 + 0.2}, "Quantity is not a multiple of lot size 0.00001", "quantity"),
    ({"quantity": "0.00009"}, "Notional below minimum 5", "quantity"),
    ({"quantity": "0.0001", "order_type": "limit", "price": "40000"}, "Notional below minimum 5", "quantity"),
    ({"symbol": None}, "Symbol required", "symbol"),
    ({"symbol": ""}, "Symbol required", "symbol"),
    ({"symbol": "INVALID/PAIR"}, "Unknown symbol", "symbol"),
    ({"symbol": "btc/usd"}, "Unknown symbol", "symbol"),
    ({"symbol": 7}, "Unknown symbol", "symbol"),
    ({"symbol": ["BTC/USD"]}, "Unknown symbol", "symbol"),
    ({"symbol": "ETH/EUR"}, "Symbol not tradable", "symbol"),
    ({"side": None}, "Invalid side", "side"),
    ({"side": "hold"}, "Invalid side", "side"),
    ({"order_type": None}, "Invalid order_type", "order_type"),
    ({"order_type": "stop"}, "Invalid order_type", "order_type"),
    ({"time_in_force": None}, "Invalid time_in_force", "time_in_force"),
    ({"time_in_force": "FOREVER"}, "Invalid time_in_force", "time_in_force"),
    ({"order_type": "limit", "price": None}, "Limit orders require price", "price"),
    ({"order_type": "limit", "price": 0}, "Price must be positive", "price"),
    ({"order_type": "limit", "price": -1}, "Price must be positive", "price"),
    ({"order_type": "limit", "price": NAN}, "Price must be positive", "price"),
    ({"order_type": "limit", "price": math.inf}, "Price must be positive", "price"),
    ({"order_type": "limit", "price": "cheap"}, "Price must be positive", "price"),
    ({"order_type": "limit", "price": "40000.001"}, "Price is not a multiple of tick size 0.01", "price"),
    ({"time_in_force": "GTD"}, "GTD orders require expire_at", "expire_at"),
    ({"time_in_force": "GTD", "expire_at": NOON}, "GTD orders require expire_at", "expire_at"),
    ({"time_in_force": "GTD", "expire_at": NOON.replace(tzinfo=None)}, "GTD orders require expire_at", "expire_at"),
    ({"time_in_force": "GTD", "expire_at": "soon"}, "GTD orders require expire_at", "expire_at"),
    ({"time_in_force": "GTD", "expire_at": "2025-12-09T11:59:59Z"}, "GTD orders require expire_at", "expire_at"),
]


@pytest.fixture
def instruments(tmp_path: Path) -> Path:
    """The shipped instruments, the last of them not tradable."""
    shipped = Path(__file__).resolve().parent.parent / "config" / "instruments.toml"
    head, _, last = shipped.read_text().rpartition("tradable = true")
    file = tmp_path / "instruments.toml"
    file.write_text(f"{head}tradable = false{last}")
    return file


async def test_every_invalid_field_is_answered_with_the_contracts_message_and_reaches_nothing(
    tmp_path: Path, instruments: Path
) -> None:
    configured = settings(tmp_path, {"execution.instruments": str(instruments)}, limits=LOOSE)
    async with ExecutionPipeline("paper", configured, clock=VirtualClock(NOON)) as pipeline:
        results = [await pipeline.submit_order(intent(**fields)) for fields, _, _ in INVALID]
        live = await pipeline.submit_order(intent(quantity=0, environment="live"))
        assert pipeline.positions() == {}
    for result, (fields, message, field) in zip(results, INVALID, strict=True):
        assert (result.status, result.validation_error, result.invalid_field) == (S.INVALID, message, field), fields
        assert not result.is_blocked_by_governance, fields
        assert not result.is_blocked_by_risk, fields
        assert not result.executor_called, fields
        assert result.run_id
    assert (live.status, live.executor_called) == (S.INVALID, False)
    assert set(kinds(stored(tmp_path))) == {"limits_read", "account_opened", "answered"}


@pytest.mark.parametrize("close", ["BTC-USD", "BTCUSD", "btc/usd", "BTC/USDD"])
async def test_an_unknown_symbol_names_the_likely_one(tmp_path: Path, close: str) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(intent(symbol=close))
    assert result.validation_error == "Unknown symbol"
    assert "BTC/USD" in (result.reason or "")


@pytest.mark.parametrize("quantity", [1, 0.1, "0.1", Decimal("0.1"), " 0.1 "], ids=repr)
async def test_every_way_to_write_a_number_becomes_an_exact_one(tmp_path: Path, quantity: Any) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path, limits=LOOSE)) as pipeline:
        result = await pipeline.submit_order(intent(quantity=quantity))
    assert result.filled_quantity == Decimal(str(quantity).strip())


@pytest.mark.parametrize("number", [Decimal("0.01" + "0" * 120), Decimal("1" + "0" * 120 + "E-122")], ids=["0.01", "E"])
async def test_a_number_with_many_digits_never_stops_the_next_start(tmp_path: Path, number: Decimal) -> None:
    configured = settings(tmp_path)
    async with ExecutionPipeline("paper", configured) as pipeline:
        result = await pipeline.submit_order(intent(quantity=number))
        held = pipeline.positions()
    assert result.status in {S.SUCCESS, S.INVALID}
    async with ExecutionPipeline("paper", configured) as pipeline:
        assert pipeline.positions() == held


@pytest.mark.parametrize("intent_id", ["", "x" * 65, "ü", "a\n", 5, b"a", ["a"]], ids=repr)
async def test_an_intent_id_that_is_no_printable_text_is_invalid(tmp_path: Path, intent_id: Any) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(intent(intent_id=intent_id))
    assert (result.status, result.invalid_field, result.client_order_id) == (S.INVALID, "intent_id", None)


# -- garbage on the queue -------------------------------------------------------------------------------------


class _Surrogate:
    def __repr__(self) -> str:
        return "\ud800"


class _NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class _NoTruth:
    """As a numpy array: neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


class _NoClass:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")

    @__class__.setter
    def __class__(self, _: object) -> None: ...


class _NoEquality:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        return 1


class _NoFloat(float):
    def __float__(self) -> float:
        raise RuntimeError("no float")


_loop: dict[str, Any] = {}
_loop["self"] = _loop

GARBAGE: dict[str, Any] = {
    "None": None,
    "number": 5,
    "text": "buy",
    "bytes": b"\xff",
    "object": object(),
    "list": [1],
    "class": OrderIntent,
    "exception": ValueError("x"),
    "empty": {},
    "unknown field": {"symbol": "BTC/USD", "size": 1},
    "empty intent": OrderIntent(),
    "no repr": _NoRepr(),
    "no repr inside": intent(symbol=_NoRepr(), side=_NoRepr(), quantity=_NoRepr()),
    "surrogate": intent(symbol="\ud800"),
    "surrogate repr": intent(symbol=_Surrogate()),
    "surrogate environment": intent(quantity=0, environment=_Surrogate()),
    "surrogate key": {_Surrogate(): 1},
    "no truth": {"symbol": "BTC/USD", "metadata": _NoTruth()},
    "no class": _NoClass(),
    "no equality": {_NoEquality(): 1},
    "no float": {"quantity": _NoFloat(1)},
    "loop": {"symbol": "BTC/USD", "metadata": _loop},
    "metadata list": intent(metadata=[1]),
    "metadata words": intent(metadata={"unknown_fields": 5, "received": 5}, quantity=0),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_on_the_queue_is_answered_invalid_and_later_intents_work(tmp_path: Path, name: str) -> None:
    with anyio.fail_after(5):
        async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
            await pipeline.intents.send(GARBAGE[name])
            await pipeline.intents.send(intent())
            await pipeline.idle()
    answers = [event.status for event in stored(tmp_path) if isinstance(event, Answered)]
    assert answers == [S.INVALID, S.SUCCESS]


async def test_metadata_nested_to_any_depth_is_answered_and_readable_after_a_restart(tmp_path: Path) -> None:
    configured = settings(tmp_path, limits=LOOSE)
    depths = [*range(1, 1200, 97), *range(850, 1000)]
    with anyio.fail_after(10):
        async with ExecutionPipeline("paper", configured) as pipeline:
            for depth in depths:
                metadata: dict[str, Any] = {}
                for _ in range(depth):
                    metadata = {"a": metadata}
                await pipeline.intents.send(intent(metadata=metadata))
            await pipeline.idle()
    answers = [event.status for event in stored(tmp_path) if isinstance(event, Answered)]
    assert len(answers) == len(depths)
    async with ExecutionPipeline("paper", configured) as pipeline:
        assert (await pipeline.submit_order(intent())).is_success


async def test_metadata_is_copied_and_not_interpreted(tmp_path: Path) -> None:
    metadata: dict[str, Any] = {"received": 1, "1": [1.5, None, {"a": "b"}]}
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(intent(metadata=metadata))
    assert result.status is S.SUCCESS
    assert result.order_intent.metadata == metadata


async def test_a_stage_that_raises_is_an_error_with_its_stack_trace_and_later_intents_work(tmp_path: Path) -> None:
    class NoHash(str):
        __slots__ = ()

        def __hash__(self) -> int:
            raise RuntimeError("boom")

    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(intent(symbol=NoHash("BTC/USD")))
        after = await pipeline.submit_order(intent())
    assert (result.status, result.executor_called) == (S.ERROR, False)
    assert "RuntimeError: boom" in (result.stacktrace or "")
    assert result.run_id in (result.reason or "")
    assert after.is_success


# -- the order of the stages ----------------------------------------------------------------------------------


async def test_stages_answer_in_their_order(tmp_path: Path) -> None:
    assert STAGES == ("boundary", "validation", "governance", "safety", "risk")
    quotes = {"BTC/USD": ("49999.5", "50000.5")}
    wrong: dict[str, Any] = {"quantity": 0, "environment": "live", "symbol": "BTC/USDT"}
    async with ExecutionPipeline("paper", settings(tmp_path, quotes=quotes)) as pipeline:
        seen = []
        for cure in ({}, {"quantity": 100}, {"environment": "paper"}, {"symbol": "BTC/USD"}, {"quantity": 1}):
            wrong |= cure
            result = await pipeline.submit_order(intent(**wrong), raise_on_governance_violation=False)
            seen.append(result.status)
            assert result.executor_called is result.is_success
    assert seen == [S.INVALID, S.BLOCKED_BY_GOVERNANCE, S.BLOCKED_BY_SAFETY, S.BLOCKED_BY_RISK, S.SUCCESS]


# -- one intent_id, one order ---------------------------------------------------------------------------------


async def test_the_same_intent_again_returns_the_first_result_and_no_second_order(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        first = await pipeline.submit_order(intent(intent_id="x"))
        again = await pipeline.submit_order(intent(intent_id="x"))
        other = await pipeline.submit_order(intent(intent_id="x", quantity="0.02"))
        third = await pipeline.submit_order(intent(intent_id="x"))
        assert pipeline.positions()["BTC/USD"].quantity == Decimal("0.01")
    assert encoded(again) == encoded(first) == encoded(third)
    assert (other.status, other.invalid_field) == (S.INVALID, "intent_id")
    assert Counter(kinds(stored(tmp_path)))["pending"] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"quantity": 0},
        {"quantity": 100},
        {"environment": "mars"},
        {"order_type": "limit", "price": 40000.5, "time_in_force": "GTD", "expire_at": NOON + timedelta(days=9)},
        {"metadata": {"a": 1, "b": [NAN, object()], "c": b"x"}},
        {"symbol": "\ud800"},
    ],
    ids=lambda fields: str(next(iter(fields), "good")),
)
async def test_an_intent_id_is_remembered_across_restarts(tmp_path: Path, fields: dict[str, Any]) -> None:
    configured, clock = settings(tmp_path), VirtualClock(NOON)
    async with ExecutionPipeline("paper", configured, clock=clock) as pipeline:
        first = await pipeline.submit_order(intent(intent_id="x", **fields))
    async with ExecutionPipeline("paper", configured, clock=clock) as pipeline:
        other = await pipeline.submit_order(intent(intent_id="x", side="sell"))
        again = await pipeline.submit_order(intent(intent_id="x", **fields))
    assert encoded(again) == encoded(first)
    assert (other.status, other.invalid_field) == (S.INVALID, "intent_id")
    assert Counter(kinds(stored(tmp_path)))["answered"] == 2


async def test_fifty_copies_at_once_are_one_order(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        results = await asyncio.gather(*(pipeline.submit_order(intent(intent_id="x")) for _ in range(50)))
    assert {result.run_id for result in results} == {results[0].run_id}
    assert results[0].is_success
    assert Counter(kinds(stored(tmp_path))) == {
        "limits_read": 1,
        "account_opened": 2,
        "pending": 1,
        "submitted": 1,
        "filled": 1,
        "answered": 1,
    }


async def test_other_content_under_an_id_in_flight_is_invalid_and_leaves_the_first_alone(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        first, other = await asyncio.gather(
            pipeline.submit_order(intent(intent_id="x")), pipeline.submit_order(intent(intent_id="x", quantity="0.02"))
        )
        assert pipeline.positions()["BTC/USD"].quantity == Decimal("0.01")
    assert (first.status, other.status, other.invalid_field) == (S.SUCCESS, S.INVALID, "intent_id")


async def test_a_repeat_finds_its_first_result_while_a_stranger_with_its_id_is_looked_up(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        first = await pipeline.submit_order(intent(intent_id="x"))
        stranger, again = await asyncio.gather(
            pipeline.submit_order(intent(intent_id="x", quantity="0.02")), pipeline.submit_order(intent(intent_id="x"))
        )
    assert (stranger.status, stranger.invalid_field) == (S.INVALID, "intent_id")
    assert encoded(again) == encoded(first)


async def test_a_word_and_its_enum_member_are_the_same_content(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        first = await pipeline.submit_order(intent(intent_id="x"))
        written = intent(
            intent_id="x", order_type=OrderType.MARKET, time_in_force=TimeInForce.GTC, side="buy", reduce_only=False
        )
        assert encoded(await pipeline.submit_order(written)) == encoded(first)
        read = intent(intent_id="x", order_type=b"market".decode(), metadata={})
        assert encoded(await pipeline.submit_order(read)) == encoded(first)


# -- restarts -------------------------------------------------------------------------------------------------


async def test_positions_open_orders_and_peak_survive_a_restart(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    async with ExecutionPipeline("paper", configured) as pipeline:
        await pipeline.submit_order(intent(quantity="0.5"))
        await pipeline.submit_order(intent(side="sell", quantity="0.2"))
        result = await pipeline.submit_order(resting())
        before = pipeline.positions(), pipeline.open_orders(), pipeline.risk_snapshot()
        assert result.client_order_id is not None
        assert pipeline.order(result.client_order_id) == before[1][0]
    async with ExecutionPipeline("paper", configured) as pipeline:
        assert (pipeline.positions(), pipeline.open_orders(), pipeline.risk_snapshot()) == before
        move(pipeline, "BTC/USD", "39999.5", "40000")
        order = await pipeline.wait_for(result.client_order_id, timeout=5)
    assert (order.status, order.filled_quantity) == (S.FILLED, Decimal("0.01"))


@pytest.mark.parametrize("yields", range(6))
async def test_a_fill_at_the_moment_of_the_stop_is_never_lost(tmp_path: Path, yields: int) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        await pipeline.submit_order(resting(price="40000"))
        await pipeline.submit_order(resting(price="30000"))
        move(pipeline, "BTC/USD", "39000", "39001")
        for _ in range(yields):
            await anyio.lowlevel.checkpoint()
        move(pipeline, "BTC/USD", "29000", "29001")
    assert Counter(kinds(stored(tmp_path)))["filled"] == 2


async def test_an_open_order_of_an_environment_that_was_disabled_stays_and_its_cancel_says_why_not(
    tmp_path: Path,
) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(resting(environment="shadow"))
    assert result.client_order_id is not None
    async with ExecutionPipeline("paper", settings(tmp_path, {"execution.environments": ["paper"]})) as pipeline:
        with pytest.raises(ExecutionPipelineError, match="shadow"):
            await pipeline.cancel_order(result.client_order_id)
        assert [order.status for order in pipeline.open_orders()] == [S.SUBMITTED]


async def test_a_start_next_to_a_running_pipeline_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        with pytest.raises(Exception, match="in use by the router with pid"):
            await ExecutionPipeline("paper", settings(tmp_path)).__aenter__()
        assert (await pipeline.submit_order(intent())).is_success


# -- the queue ------------------------------------------------------------------------------------------------


async def test_the_queue_is_bounded_and_a_sender_waits(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path, {"execution.intake_capacity": 10})) as pipeline:
        sent = 0
        with suppress(anyio.WouldBlock):
            while sent < 100:
                pipeline.intents.send_nowait(intent())
                sent += 1
        await pipeline.intents.send(intent())
        result = await pipeline.submit_order(intent())
        await pipeline.idle()
        assert pipeline.positions()["BTC/USD"].quantity == (sent + 2) * Decimal("0.01")
    assert sent in {10, 11}  # ten wait, and one may be in the hands of the intake
    assert result.is_success


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_pipeline_that_does_not_run_says_so(tmp_path: Path, when: str) -> None:
    pipeline = ExecutionPipeline("paper", settings(tmp_path))
    if when == "after":
        async with pipeline:
            pass
    with pytest.raises(ExecutionPipelineError, match="not running"):
        await pipeline.submit_order(intent())
    with pytest.raises(ExecutionPipelineError, match="not running"):
        await pipeline.cancel_order("x")
    with pytest.raises(ExecutionPipelineError, match="not running"):
        await pipeline.wait_for("x")
    if when == "before":
        async with pipeline:
            pass


async def test_everything_sent_before_the_stop_is_answered(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path, limits=LOOSE)) as pipeline:
        for number in range(300):
            await pipeline.intents.send(intent(intent_id=f"n{number}"))
    answers = [event for event in stored(tmp_path) if isinstance(event, Answered)]
    assert len({event.client_order_id for event in answers}) == len(answers) == 300


async def test_an_intent_after_the_stop_is_refused_not_swallowed(tmp_path: Path) -> None:
    pipeline = ExecutionPipeline("paper", settings(tmp_path))
    async with pipeline:
        pass
    with pytest.raises((anyio.ClosedResourceError, anyio.BrokenResourceError)):
        await pipeline.intents.send(intent())


# -- watching -------------------------------------------------------------------------------------------------


async def test_subscribers_see_every_transition_in_journal_order_and_can_resume(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    async with ExecutionPipeline("paper", configured) as pipeline:
        await pipeline.submit_order(intent())
        async with pipeline.subscribe() as events:
            result = await pipeline.submit_order(resting())
            move(pipeline, "BTC/USD", "39999.5", "40000")
            seen = [await anext(events) for _ in range(4)]
        async with pipeline.subscribe(from_seq=seen[1].seq) as events:
            resumed = [await anext(events) for _ in range(3)]
    assert [event.event for event in seen] == ["pending", "submitted", "answered", "filled"]
    assert [event.seq for event in seen] == list(range(seen[0].seq, seen[0].seq + 4))
    assert {event.client_order_id for event in seen} == {result.client_order_id}
    assert (seen[3].last_quantity, seen[3].last_price) == (Decimal("0.01"), Decimal(40000))
    assert (seen[3].filled_quantity, seen[3].leaves_quantity) == (Decimal("0.01"), Decimal(0))
    assert resumed == seen[1:]
    async with ExecutionPipeline("paper", configured) as pipeline, pipeline.subscribe(from_seq=0) as events:
        everything = [await anext(events) for _ in range(8)]
    assert everything[4:] == seen


async def test_a_slow_subscribers_stream_ends_with_the_pipeline_and_has_no_gap(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path, limits=LOOSE)) as pipeline:
        for _ in range(1500):
            await pipeline.intents.send(intent())
        await pipeline.idle()
        stream = pipeline.subscribe(from_seq=1)
        events = await stream.__aenter__()
        first = await anext(events)
    with anyio.fail_after(5):
        rest = [event.seq async for event in events]
    await stream.__aexit__(None, None, None)
    assert rest == list(range(first.seq + 1, first.seq + 1 + len(rest)))
    assert len(rest) >= 900


async def test_wait_for_returns_the_ended_order_or_times_out_on_the_pipelines_clock(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    async with ExecutionPipeline("paper", settings(tmp_path), clock=clock) as pipeline:
        result = await pipeline.submit_order(resting())
        assert result.client_order_id is not None
        waiting = asyncio.create_task(pipeline.wait_for(result.client_order_id, timeout=30))
        await clock.advance(0)
        await clock.advance(29.9)
        assert not waiting.done()
        await clock.advance(0.2)
        with pytest.raises(TimeoutError, match="30 s"):
            await waiting
        waiting = asyncio.create_task(pipeline.wait_for(result.client_order_id, timeout=30))
        move(pipeline, "BTC/USD", "39999.5", "40000")
        assert (await waiting).status is S.FILLED
        assert (await pipeline.wait_for(result.client_order_id)).status is S.FILLED
        with pytest.raises(ExecutionPipelineError, match="nobody"):
            await pipeline.wait_for("nobody")


async def test_whoever_waits_when_the_pipeline_stops_is_told(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(resting())
        assert result.client_order_id is not None
        waiting = asyncio.create_task(pipeline.wait_for(result.client_order_id))
        await anyio.lowlevel.checkpoint()
    with pytest.raises(ExecutionPipelineError, match="stopped"):
        await waiting


# -- cancels and views ----------------------------------------------------------------------------------------


async def test_a_cancel_ends_the_order_durably(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        result = await pipeline.submit_order(resting())
        assert result.client_order_id is not None
        order = await pipeline.cancel_order(result.client_order_id, reason="no more")
        assert (order.status, order.leaves_quantity) == (S.CANCELLED, Decimal(0))
        last = stored(tmp_path)[-1]
        assert (last.event, getattr(last, "reason", None)) == ("cancelled", "no more")
        assert pipeline.open_orders() == []
        assert await pipeline.cancel_order(result.client_order_id) == order
        with pytest.raises(ExecutionPipelineError, match="'nobody'"):
            await pipeline.cancel_order("nobody")
    assert Counter(kinds(stored(tmp_path)))["cancelled"] == 1


async def test_cancel_all_ends_what_matches_and_nothing_else(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path, limits=LOOSE)) as pipeline:
        orders = {}
        for symbol in ("BTC/USD", "BTC/USDT"):
            for strategy in ("a", "b"):
                for environment in ("paper", "shadow"):
                    key = (symbol, strategy, environment)
                    wanted = resting(symbol=symbol, strategy_key=strategy, environment=environment)
                    orders[key] = (await pipeline.submit_order(wanted)).client_order_id
        done = await pipeline.cancel_all(symbol="BTC/USD", strategy_key="a", environment="paper", reason="x")
        assert done == [orders["BTC/USD", "a", "paper"]]
        assert len(await pipeline.cancel_all(strategy_key="b")) == 4
        assert len(await pipeline.cancel_all(symbol="BTC/USDT")) == 2
        assert len(pipeline.open_orders()) == 1
        assert len(await pipeline.cancel_all()) == 1
        assert await pipeline.cancel_all() == []
        assert pipeline.open_orders() == []


async def test_views_have_the_contracts_shapes(tmp_path: Path) -> None:
    async with ExecutionPipeline("paper", settings(tmp_path, {"paper.taker_fee_bps": "10"})) as pipeline:
        bought = await pipeline.submit_order(intent(quantity=1))
        await pipeline.submit_order(intent(side="sell", quantity="0.5"))
        rests = await pipeline.submit_order(resting())
        position = pipeline.positions()["BTC/USD"]
        snapshot = pipeline.risk_snapshot()
        assert bought.client_order_id is not None
        assert rests.client_order_id is not None
        ended, order = pipeline.order(bought.client_order_id), pipeline.order(rests.client_order_id)
        assert pipeline.order("nobody") is None
        assert pipeline.open_orders() == [order]
    assert (position.quantity, position.average_price, position.realised_pnl) == (
        Decimal("0.5"),
        Decimal("50000.5"),
        Decimal("-0.5"),
    )
    fees = Decimal("50.0005") + Decimal("24.99975")
    equity = 100000 - Decimal("50000.5") + Decimal("24999.75") - fees + Decimal("0.5") * 50000
    assert (snapshot.equity, snapshot.peak_equity, snapshot.daily_pnl) == (equity, Decimal(100000), equity - 100000)
    assert snapshot.drawdown == (100000 - equity) / 100000
    assert snapshot.exposure == Decimal("0.51") * 50000 / equity
    for limit in snapshot.limits:
        assert limit.headroom == limit.limit - limit.value, limit.name
    assert ended is not None
    assert (ended.status, ended.average_price, ended.leaves_quantity) == (S.FILLED, Decimal("50000.5"), Decimal(0))
    assert order is not None
    assert (order.symbol, order.side, order.order_type, order.price) == (
        "BTC/USD",
        OrderSide.BUY,
        OrderType.LIMIT,
        Decimal(40000),
    )
    assert (order.status, order.leaves_quantity, order.outcome_unknown) == (S.SUBMITTED, Decimal("0.01"), False)
    assert (order.run_id, order.venue_order_id) == (rests.run_id, rests.venue_order_id)


async def test_results_survive_json(tmp_path: Path) -> None:
    import msgspec

    async with ExecutionPipeline("paper", settings(tmp_path)) as pipeline:
        results = [
            await pipeline.submit_order(intent(intent_id="x")),
            await pipeline.submit_order(intent(quantity=100)),
            await pipeline.submit_order(intent(quantity=0)),
        ]
    for result in results:
        assert encoded(msgspec.json.decode(encoded(result), type=ExecutionResult)) == encoded(result)


async def test_a_paper_run_never_imports_ccxt(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, pathlib; from tests.pipelines import intent, settings; from router import "
        "ExecutionPipeline\n"
        "async def main():\n"
        "    async with ExecutionPipeline('paper', settings(pathlib.Path(sys.argv[1]))) as pipeline:\n"
        "        assert (await pipeline.submit_order(intent())).is_success\n"
        "asyncio.run(main())\n"
        "sys.exit('ccxt' in sys.modules)"
    )
    done = await anyio.run_process([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == 0, done.stderr
