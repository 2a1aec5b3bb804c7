"""The chain: outermost first, awaited directly, built once."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from router.domain.enums import ExecutionStatus
from router.domain.result import ExecutionResult
from router.middleware import Next, Submission, compose
from tests.factories import NOW, Last, intent, order, submission

pytestmark = pytest.mark.asyncio


class Stage:
    def __init__(self, name: str, notes: list[str], *, answers: bool = False) -> None:
        self.name, self.notes, self.answers = name, notes, answers

    async def __call__(self, submission: Submission, call_next: Next) -> ExecutionResult:
        self.notes.append(f"into {self.name}")
        if self.answers:
            return submission.answer(ExecutionStatus.BLOCKED_BY_SAFETY, violation=self.name)
        result = await call_next(submission)
        self.notes.append(f"out of {self.name}")
        return result


async def test_the_first_stage_is_the_outermost() -> None:
    notes: list[str] = []
    result = await compose([Stage("a", notes), Stage("b", notes)], Last())(submission())
    assert notes == ["into a", "into b", "out of b", "out of a"]
    assert result.status is ExecutionStatus.SUCCESS


async def test_what_a_stage_refuses_reaches_nothing_behind_it() -> None:
    notes: list[str] = []
    last = Last()
    stages = [Stage("a", notes), Stage("b", notes, answers=True), Stage("c", notes)]
    result = await compose(stages, last)(submission())
    assert notes == ["into a", "into b", "out of a"]
    assert last.seen == []
    assert result.violation == "b"


async def test_a_chain_without_stages_is_its_end() -> None:
    last = Last()
    assert compose([], last) is last


async def test_a_chain_serves_many_submissions_at_once() -> None:
    last = Last()
    chain = compose([Stage("a", [])], last)
    mine = [submission(run_id=f"run_{number}") for number in range(20)]
    results = await asyncio.gather(*map(chain, mine))
    assert [result.run_id for result in results] == [each.run_id for each in mine]
    assert last.seen == mine


async def test_stages_run_in_the_callers_task() -> None:
    """No task per stage: it would cost more than the chain, and context set inside would be lost outside."""
    word: ContextVar[str] = ContextVar("word", default="unset")
    tasks = [asyncio.current_task()]

    async def inner(submission: Submission, call_next: Next) -> ExecutionResult:
        word.set("set inside")
        tasks.append(asyncio.current_task())
        return await call_next(submission)

    await compose([Stage("a", []), inner], Last())(submission())
    assert word.get() == "set inside"
    assert len(set(tasks)) == 1


async def test_an_exception_passes_unchanged() -> None:
    async def broken(submission: Submission) -> ExecutionResult:
        raise LookupError("from the end")

    with pytest.raises(LookupError, match="from the end"):
        await compose([Stage("a", [])], broken)(submission())


async def test_an_answer_carries_what_is_known_of_the_submission() -> None:
    asked = submission(intent=intent(quantity="7"), environment="shadow", client_order_id=None)
    asked.governance = {"live_order_execution": "locked"}
    result = asked.answer(ExecutionStatus.INVALID, invalid_field="quantity")
    assert (result.run_id, result.session_id, result.timestamp) == (asked.run_id, asked.session_id, NOW)
    assert (result.environment, result.client_order_id, result.order_intent) == ("shadow", None, asked.intent)
    assert (result.governance_status, result.invalid_field) == (asked.governance, "quantity")
    assert result.executor_called is False


async def test_a_new_submission_has_passed_nothing_yet() -> None:
    new = submission(reference=None)
    assert (new.order, new.reference, new.fault, new.governance, new.skip_risk_check) == (None, None, None, {}, False)


@pytest.mark.parametrize(
    ("quantity", "price", "less"),
    [("1", "100", True), ("2", "100", True), ("3", "100", False), ("1", "99", False), ("1", "101", False)],
)
async def test_only_an_amendment_to_less_at_the_same_price_only_takes_away(
    quantity: str, price: str, less: bool
) -> None:
    wanted = order(quantity=quantity, price=price)
    assert submission(wanted, amends=order(quantity="2", price="100")).only_takes_away is less
    assert submission(wanted).only_takes_away is False
    assert submission(None, amends=order()).only_takes_away is False
