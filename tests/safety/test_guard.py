"""The third stage: every control is asked in order, the first that objects answers, and is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from router.domain.enums import ExecutionStatus
from router.domain.result import ExecutionResult
from router.middleware import Submission
from router.safety.guard import Control, SafetyGuard
from router.settings import Safety
from tests.factories import Last, intent, order, submission

pytestmark = pytest.mark.asyncio


class Toy:
    """A control of the catalogue's shape."""

    protects = "Nothing."

    def __init__(
        self, name: str, objection: str | None = None, *, hard: bool = True, spares_reducing: bool = False
    ) -> None:
        self.id, self.says, self.hard, self.spares_reducing = name, objection, hard, spares_reducing
        self.asked: list[Safety] = []

    def limit(self, limits: Safety) -> str:
        return "off"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        self.asked.append(limits)
        return self.says


class Counting(Toy):
    """One that counts what leaves."""

    def __init__(self, name: str, story: list[str], objection: str | None = None, **fields: Any) -> None:
        super().__init__(name, objection, **fields)
        self.story = story

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        self.story.append(f"{self.id} asked")
        return super().objection(submission, limits)

    def passed(self, submission: Submission, limits: Safety) -> None:
        self.story.append(f"{self.id} passed")

    def undone(self, submission: Submission, limits: Safety) -> None:
        self.story.append(f"{self.id} undone")


class Blocks:
    """What is told of a block; each gets an alert with the next number."""

    def __init__(self, *, silent: bool = False) -> None:
        self.seen: list[tuple[Submission, str, str]] = []
        self._silent = silent

    def __call__(self, submission: Submission, control_id: str, reason: str) -> str | None:
        self.seen.append((submission, control_id, reason))
        return None if self._silent else f"alert_{len(self.seen)}"


def guard(controls: Sequence[Control], on_block: Blocks | None = None, limits: Safety | None = None) -> SafetyGuard:
    """Return the stage; an order of 1 at most reduces."""
    return SafetyGuard(
        controls,
        lambda environment, strategy: limits or Safety(),
        on_block or Blocks(silent=True),
        lambda environment, its_order: its_order.quantity <= 1,
    )


async def test_an_order_nobody_objects_to_passes_all_controls() -> None:
    controls, last, blocks = [Toy("A"), Toy("B")], Last(), Blocks()
    safety = guard(controls, blocks)
    asked = submission(order())
    assert (await safety(asked, last)).is_success
    assert last.seen == [asked]
    assert [len(control.asked) for control in controls] == [1, 1]
    assert not safety.triggered
    assert blocks.seen == []


async def test_the_first_objection_answers_and_nothing_behind_it_is_asked() -> None:
    controls, last = [Toy("A"), Toy("B", "too old"), Toy("C", "too big")], Last()
    result = await guard(controls)(submission(order()), last)
    assert (result.status, result.reason, result.violation) == (ExecutionStatus.BLOCKED_BY_SAFETY, "too old", "B")
    assert result.is_blocked_by_safety
    assert result.executor_called is False
    assert result.alert_ids == []
    assert last.seen == []
    assert [len(control.asked) for control in controls] == [1, 1, 0]


@pytest.mark.parametrize(
    ("spares", "reduce_only", "quantity", "passes"),
    [(True, True, "1", True), (True, True, "2", False), (True, False, "1", False), (False, True, "1", False)],
)
async def test_only_an_order_flagged_reduce_only_that_reduces_is_spared_and_only_by_what_limits_how_much(
    spares: bool, reduce_only: bool, quantity: str, passes: bool
) -> None:
    safety = guard([Toy("A", "too many", spares_reducing=spares)])
    result = await safety(submission(order(quantity=quantity, reduce_only=reduce_only)), Last())
    assert result.is_success is passes
    assert safety.triggered == ({} if passes else {"A": 1})


async def test_objections_are_counted_by_control() -> None:
    late = Toy("B")
    safety = guard([Toy("A"), late])
    for late.says in ("no", "no", None, "no"):
        await safety(submission(order()), Last())
    assert safety.triggered == {"B": 3}


async def test_an_empty_objection_is_still_one() -> None:
    assert (await guard([Toy("A", "")])(submission(order()), Last())).is_blocked_by_safety


async def test_a_control_that_breaks_lets_nothing_pass() -> None:
    class Broken(Toy):
        def objection(self, submission: Submission, limits: Safety) -> str | None:
            raise ZeroDivisionError

    last = Last()
    with pytest.raises(ZeroDivisionError):
        await guard([Broken("A")])(submission(order()), last)
    assert last.seen == []


async def test_controls_see_the_limits_of_the_orders_environment_and_strategy() -> None:
    asked: list[tuple[str, str | None]] = []
    strict, control = Safety(max_orders_per_second=1), Toy("A")

    def limits(environment: str, strategy: str | None) -> Safety:
        asked.append((environment, strategy))
        return strict

    await SafetyGuard([control], limits, Blocks(), lambda *_: False)(
        submission(order(strategy_key="m"), environment="testnet"), Last()
    )
    assert asked == [("testnet", "m")]
    assert control.asked == [strict]


async def test_a_block_is_told_and_its_alert_is_in_the_answer() -> None:
    blocks, asked = Blocks(), submission(order())
    result = await guard([Toy("A"), Toy("B", "no")], blocks)(asked, Last())
    assert blocks.seen == [(asked, "B", "no")]
    assert result.alert_ids == ["alert_1"]


async def confirming(confirm: Any, *, hard: bool = False) -> tuple[ExecutionResult, SafetyGuard, Blocks]:
    """Send an order that B objects to, with what its metadata says to that."""
    blocks = Blocks()
    safety = guard([Toy("B", "no", hard=hard)], blocks)
    asked = submission(order(), intent=intent(metadata={"confirm": confirm}))
    return await safety(asked, Last()), safety, blocks


async def test_a_soft_block_that_the_sender_confirms_passes_and_is_counted_as_both() -> None:
    result, safety, blocks = await confirming(["A", "B"])
    assert result.is_success
    assert (safety.triggered, safety.confirmed) == ({"B": 1}, {"B": 1})
    assert blocks.seen == []


async def test_a_hard_block_cannot_be_confirmed() -> None:
    result, safety, _ = await confirming(["B"], hard=True)
    assert result.is_blocked_by_safety
    assert (safety.triggered, safety.confirmed) == ({"B": 1}, {})


@pytest.mark.parametrize("confirm", [None, [], ["A"], "B", {"B": True}, True, 7, [["B"]], [None, {}]])
async def test_only_a_list_with_the_controls_id_confirms(confirm: object) -> None:
    result, safety, _ = await confirming(confirm)
    assert result.is_blocked_by_safety
    assert not safety.confirmed


async def test_a_confirmed_control_does_not_speak_for_those_behind_it() -> None:
    controls = [Toy("A", "no", hard=False), Toy("B", "no")]
    asked = submission(order(), intent=intent(metadata={"confirm": ["A", "B"]}))
    assert (await guard(controls)(asked, Last())).violation == "B"


async def test_what_passes_all_controls_is_counted_after_the_last_was_asked() -> None:
    story: list[str] = []
    await guard([Counting("A", story), Toy("B"), Counting("C", story)])(submission(order()), Last())
    assert story == ["A asked", "C asked", "A passed", "C passed"]


async def test_what_a_later_control_objects_to_is_not_counted() -> None:
    story: list[str] = []
    await guard([Counting("A", story), Toy("B", "no")])(submission(order()), Last())
    assert story == ["A asked"]


async def test_what_no_executor_got_is_forgotten_again() -> None:
    story: list[str] = []
    await guard([Counting("A", story), Counting("B", story)])(submission(order()), Last(executor_called=False))
    assert story[2:] == ["A passed", "B passed", "A undone", "B undone"]


async def test_what_a_broken_chain_leaves_behind_is_forgotten_again() -> None:
    story: list[str] = []

    async def broken(submission: Submission) -> ExecutionResult:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await guard([Counting("A", story)])(submission(order()), broken)
    assert story[1:] == ["A passed", "A undone"]


async def test_nothing_is_awaited_before_the_next_stage_begins() -> None:
    """Two intents cannot both be asked before the first is counted, whatever the loop does."""
    story: list[str] = []

    class Noting(Last):
        async def __call__(self, submission: Submission) -> ExecutionResult:
            story.append("next stage")
            return await super().__call__(submission)

    call = guard([Counting("A", story)])(submission(order()), Noting())
    with pytest.raises(StopIteration):  # ran to its end in one go
        call.send(None)
    assert story == ["A asked", "A passed", "next stage"]
