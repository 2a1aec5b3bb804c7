"""The third stage: every control is asked in order, the first that objects answers, and is counted."""

from __future__ import annotations

import pytest

from router.domain.enums import ExecutionStatus
from router.middleware import Submission
from router.safety.guard import SafetyGuard
from tests.factories import Last, order, submission

pytestmark = pytest.mark.asyncio


class Toy:
    """A control of the catalogue's shape."""

    def __init__(self, name: str, objection: str | None = None) -> None:
        self.id, self.says, self.asked = name, objection, 0

    def objection(self, submission: Submission) -> str | None:
        self.asked += 1
        return self.says


async def test_an_order_nobody_objects_to_passes_all_controls() -> None:
    controls, last = [Toy("A"), Toy("B")], Last()
    guard = SafetyGuard(controls)
    asked = submission(order())
    assert (await guard(asked, last)).is_success
    assert last.seen == [asked]
    assert [control.asked for control in controls] == [1, 1]
    assert not guard.triggered


async def test_the_first_objection_answers_and_nothing_behind_it_is_asked() -> None:
    controls, last = [Toy("A"), Toy("B", "too old"), Toy("C", "too big")], Last()
    guard = SafetyGuard(controls)
    result = await guard(submission(order()), last)
    assert (result.status, result.reason, result.violation) == (ExecutionStatus.BLOCKED_BY_SAFETY, "too old", "B")
    assert result.is_blocked_by_safety
    assert result.executor_called is False
    assert last.seen == []
    assert [control.asked for control in controls] == [1, 1, 0]


async def test_objections_are_counted_by_control() -> None:
    late = Toy("B")
    guard = SafetyGuard([Toy("A"), late])
    for late.says in ("no", "no", None, "no"):
        await guard(submission(order()), Last())
    assert guard.triggered == {"B": 3}


async def test_an_empty_objection_is_still_one() -> None:
    assert (await SafetyGuard([Toy("A", "")])(submission(order()), Last())).is_blocked_by_safety


async def test_a_control_that_breaks_lets_nothing_pass() -> None:
    class Broken(Toy):
        def objection(self, submission: Submission) -> str | None:
            raise ZeroDivisionError

    last = Last()
    with pytest.raises(ZeroDivisionError):
        await SafetyGuard([Broken("A")])(submission(order()), last)
    assert last.seen == []
