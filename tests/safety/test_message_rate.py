"""P09: never more than so many messages in a second; cancels count, and none is refused."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.enums import ExecutionStatus
from router.domain.result import ExecutionResult
from router.middleware import Submission
from router.safety.guard import SafetyGuard
from router.safety.message_rate import MessageRate
from router.settings import Safety
from tests.factories import PROPERTY, order, submission
from tests.safety.driven import Driven

LIMITS = Safety(max_orders_per_second=5, max_orders_per_second_per_strategy=3)


def asked(strategy: str | None = "m", environment: str = "paper", **fields: object) -> Submission:
    return submission(order(strategy_key=strategy), environment=environment, **fields)


class Rate(Driven[MessageRate]):
    def __init__(self, limits: Safety = LIMITS) -> None:
        super().__init__(MessageRate, limits)


def test_a_strategy_may_send_so_many_and_no_more() -> None:
    rate = Rate()
    assert [rate.send(asked()) for _ in range(3)] == [None] * 3
    assert rate.send(asked()) == (
        "3 messages of this strategy went out in the last second, safety.max_orders_per_second_per_strategy = 3: "
        "send fewer, or wait a second. Cancels still go out."
    )


def test_all_strategies_together_may_send_so_many_and_no_more() -> None:
    rate = Rate()
    assert [rate.send(asked(f"s{number}")) for number in range(5)] == [None] * 5
    assert rate.send(asked("s5")) == (
        "5 messages went out in the last second, safety.max_orders_per_second = 5: send fewer, or wait a second. "
        "Cancels still go out."
    )


def test_orders_without_a_strategy_are_one_strategy() -> None:
    rate = Rate()
    assert [rate.send(asked(None)) is None for _ in range(4)] == [True, True, True, False]


def test_another_environment_has_its_own_count() -> None:
    rate = Rate()
    for number in range(5):
        rate.send(asked(f"s{number}"))
    assert rate.send(asked(environment="testnet")) is None


def test_the_second_slides() -> None:
    rate = Rate()
    for _ in range(3):
        assert rate.send(asked()) is None
        rate.clock.tick(0.25)
    assert rate.send(asked()) is not None
    rate.clock.tick(0.25)
    assert rate.send(asked()) is None, "the first is 1 s old"
    assert rate.send(asked()) is not None


def test_amendments_count_like_orders() -> None:
    rate = Rate()
    working = order(strategy_key="m")
    assert [rate.send(asked(amends=working)) is None for _ in range(4)] == [True, True, True, False]


def test_cancels_count_and_none_is_refused() -> None:
    rate = Rate()
    for _ in range(1000):
        rate.control.cancelled("paper", "m")
    assert rate.send(asked()) is not None
    assert rate.send(asked("other")) is not None, "the cancels count together with everything else"
    assert rate.send(asked(environment="testnet")) is None
    rate.clock.tick(1.0)
    assert rate.send(asked()) is None


def test_an_order_that_no_executor_got_was_no_message() -> None:
    rate = Rate()
    for _ in range(10):
        refused_later = asked()
        assert rate.send(refused_later) is None
        rate.control.undone(refused_later, LIMITS)
    assert [rate.send(asked()) is None for _ in range(4)] == [True, True, True, False]


def test_each_limit_is_switched_off_by_itself() -> None:
    together = Rate(Safety(max_orders_per_second=5, max_orders_per_second_per_strategy=None))
    assert [together.send(asked()) is None for _ in range(6)] == [True] * 5 + [False]
    each = Rate(Safety(max_orders_per_second=None, max_orders_per_second_per_strategy=3))
    assert [each.send(asked(f"s{number}")) for number in range(20)] == [None] * 20
    assert [each.send(asked()) is None for _ in range(4)] == [True, True, True, False]


def test_switched_off_it_says_so_and_counts_nothing() -> None:
    off = Safety(max_orders_per_second=None, max_orders_per_second_per_strategy=None)
    rate = Rate(off)
    assert [rate.send(asked()) for _ in range(20)] == [None] * 20
    assert len(rate.control._by_strategy) == 0
    assert rate.control.limit(off) == "off"
    assert rate.control.limit(LIMITS) == "5 messages in 1 s together, 3 for a strategy"
    half_off = Safety(max_orders_per_second=None, max_orders_per_second_per_strategy=3)
    assert rate.control.limit(half_off) == "any number of messages in 1 s together, 3 for a strategy"
    assert rate.control.id.startswith("P09_")
    assert rate.control.hard


@pytest.mark.asyncio
async def test_intents_that_are_under_way_together_cannot_pass_the_limit_together() -> None:
    rate, arrived = Rate(), anyio.Event()
    guard = SafetyGuard([rate.control], lambda *_: LIMITS, lambda *_: None, lambda *_: False)
    answers: list[ExecutionResult] = []

    async def slow(submission: Submission) -> ExecutionResult:
        await arrived.wait()
        return submission.answer(ExecutionStatus.SUCCESS, executor_called=True)

    async def send() -> None:
        answers.append(await guard(asked(), slow))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        arrived.set()
    assert sum(answer.is_success for answer in answers) == 3
    assert guard.triggered == {"P09_message_rate": 17}


MESSAGE = st.tuples(
    st.sampled_from([0.0, 0.0, 0.125, 0.5, 1.0]), st.sampled_from("ab"), st.sampled_from(["order", "lost", "cancel"])
)


@PROPERTY
@given(messages=st.lists(MESSAGE, max_size=60))
def test_no_order_makes_more_messages_than_the_limit_in_any_second(messages: list[tuple[float, str, str]]) -> None:
    rate, now = Rate(), 0.0
    sent: list[tuple[float, str]] = []
    for pause, strategy, kind in messages:
        rate.clock.tick(pause)
        now += pause
        if kind == "cancel":
            rate.control.cancelled("paper", strategy)
            sent.append((now, strategy))
            continue
        together = sum(1 for at, _ in sent if now - at < 1.0)
        alone = sum(1 for at, who in sent if now - at < 1.0 and who == strategy)
        one = asked(strategy)
        passed = rate.send(one) is None
        assert passed == (together < 5 and alone < 3), "and nothing is refused that would fit"
        if passed and kind == "lost":
            rate.control.undone(one, LIMITS)
        elif passed:
            sent.append((now, strategy))


@pytest.mark.parametrize("count", [20_000])
def test_however_many_strategies_and_cancels_come_little_is_kept(count: int) -> None:
    rate = Rate()
    for number in range(count):
        rate.control.cancelled("paper", f"s{number}")
        rate.clock.tick(0.0001)
    assert len(rate.control._by_strategy) <= 10_001
