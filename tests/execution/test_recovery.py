"""A start on any prefix of a journal gives every submission its one answer and doubles nothing."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from router import ExecutionPipeline, ExecutionStatus
from router.clock import VirtualClock
from router.domain.events import Answered, AnyEvent, Filled, PartiallyFilled, Pending, decode_event
from router.journal.memory import MemoryJournal
from tests.execution.world import NOON
from tests.pipelines import encoded, intent, move, resting, settings

S = ExecutionStatus


async def lived(tmp_path: Path) -> MemoryJournal:
    """Return the journal of a run with every kind of event a paper order can have."""
    journal = MemoryJournal(VirtualClock(NOON))
    async with ExecutionPipeline("paper", settings(tmp_path), clock=journal.clock, journal=journal) as pipeline:
        await pipeline.submit_order(intent(intent_id="market"))
        await pipeline.submit_order(intent(intent_id="invalid", quantity=0))
        rests = await pipeline.submit_order(resting(intent_id="resting"))
        await pipeline.submit_order(resting(intent_id="shadow", environment="shadow"))
        await pipeline.submit_order(resting(intent_id="ioc", time_in_force="IOC"))
        await pipeline.submit_order(intent(intent_id="post", order_type="limit", price=60000, post_only=True))
        cancelled = await pipeline.submit_order(resting(intent_id="cancelled"))
        await pipeline.cancel_order(cancelled.client_order_id or "")
        move(pipeline, "BTC/USD", "39000", "39001")
        await pipeline.wait_for(rests.client_order_id or "", timeout=5)
    return journal


def events_in(journal: MemoryJournal) -> list[AnyEvent]:
    return [decode_event(row.payload) for row in journal.rows]


@pytest.mark.asyncio
async def test_every_prefix_of_a_journal_recovers_to_one_answer_each(tmp_path: Path) -> None:
    whole = await lived(tmp_path)
    unanswered = 0
    for cut in range(len(whole.rows) + 1):
        journal = MemoryJournal(VirtualClock(NOON))
        journal.rows = whole.rows[:cut]
        before = events_in(journal)
        async with ExecutionPipeline("paper", settings(tmp_path), clock=journal.clock, journal=journal) as pipeline:
            seen = pipeline.positions().get("BTC/USD")
            for order in pipeline.open_orders():
                assert order.status is not S.PENDING
        events = events_in(journal)
        assert events[:cut] == before
        pending = {event.client_order_id for event in events if isinstance(event, Pending)}
        answers = Counter(event.client_order_id for event in events if isinstance(event, Answered))
        assert set(answers.values()) <= {1}
        assert pending <= set(answers)
        done = {event.client_order_id for event in before if isinstance(event, Answered)}
        unanswered += any(isinstance(event, Pending) and event.client_order_id not in done for event in before)
        bought = sum(
            event.last_quantity or 0
            for event in events
            if isinstance(event, Filled | PartiallyFilled)
            and event.client_order_id
            in {e.client_order_id for e in events if isinstance(e, Pending) and e.environment == "paper"}
        )
        assert (seen.quantity if seen else Decimal(0)) == bought
    assert unanswered >= 5, "too few cuts fell between an order and its answer"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("until", "verdict", "state"),
    [("pending", S.REJECTED, S.REJECTED), ("submitted", S.SUCCESS, S.EXPIRED), ("filled", S.SUCCESS, S.FILLED)],
)
async def test_what_was_left_is_answered_from_what_is_proved(
    tmp_path: Path, until: str, verdict: ExecutionStatus, state: ExecutionStatus
) -> None:
    whole = await lived(tmp_path)
    journal = MemoryJournal(VirtualClock(NOON))
    last = next(number for number, event in enumerate(events_in(whole), start=1) if event.event == until)
    journal.rows = whole.rows[:last]
    async with ExecutionPipeline("paper", settings(tmp_path), clock=journal.clock, journal=journal) as pipeline:
        result = await pipeline.submit_order(intent(intent_id="market"))
        order = await pipeline.wait_for(result.client_order_id or "", timeout=5)
        again = await pipeline.submit_order(intent(intent_id="market"))
    assert encoded(again) == encoded(result)
    assert (result.status, result.executor_called) == (verdict, True)
    assert order.status is state
    if until == "pending":
        assert "not placed" in (result.reason or "")
    assert sum(isinstance(event, Pending) for event in events_in(journal)) == 1
