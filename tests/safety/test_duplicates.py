"""P08: the same content twice in a moment is a mistake, unless the sender confirms it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.enums import OrderType, TimeInForce
from router.domain.order import Order
from router.middleware import Submission
from router.safety.duplicates import DuplicateContent
from router.safety.guard import SafetyGuard
from router.settings import Safety
from tests.factories import NOW, PROPERTY, SELL, D, Last, intent, order, submission
from tests.safety.driven import Driven

LIMITS = Safety(duplicate_window_s=1.0)
TERMS: dict[str, Any] = {"order_type": OrderType.LIMIT, "price": "100", "strategy_key": "m"}


def asked(amends: Order | None = None, **fields: Any) -> Submission:
    """Return a submission with an id of its own and always the same content."""
    return submission(order(**(TERMS | fields)), amends=amends)


class Seen(Driven[DuplicateContent]):
    def __init__(self, limits: Safety = LIMITS) -> None:
        super().__init__(DuplicateContent, limits)


def test_the_same_content_under_another_id_is_a_duplicate() -> None:
    seen = Seen()
    assert seen.send(asked(client_order_id="U1")) is None
    assert seen.send(asked(client_order_id="U2", quantity="1.0", price="100.00")) == (
        "The same content was sent within the last 1 s (safety.duplicate_window_s). If it is meant, send it again with "
        'metadata {"confirm": ["P08_duplicate_content"]}.'
    )


def test_after_the_window_it_is_an_order_of_its_own() -> None:
    seen = Seen()
    seen.send(asked())
    seen.clock.tick(0.999)
    assert seen.send(asked()) is not None
    seen.clock.tick(0.001)
    assert seen.send(asked()) is None


OTHERS: list[dict[str, Any]] = [
    {"strategy_key": "n"},
    {"strategy_key": None},
    {"symbol": "ETH/USD"},
    {"side": SELL},
    {"quantity": "1.0001"},
    {"price": "100.01"},
    {"order_type": OrderType.MARKET},
    {"time_in_force": TimeInForce.IOC},
    {"time_in_force": TimeInForce.GTD, "expire_at": NOW + timedelta(seconds=1)},
    {"reduce_only": True},
    {"post_only": True},
]


def test_two_that_end_at_different_times_are_none() -> None:
    seen = Seen()
    for seconds in (1, 2):
        ends: dict[str, Any] = {"time_in_force": TimeInForce.GTD, "expire_at": NOW + timedelta(seconds=seconds)}
        assert seen.send(asked(**ends)) is None


@pytest.mark.parametrize("other", OTHERS)
def test_an_order_that_differs_in_anything_is_none(other: dict[str, Any]) -> None:
    seen = Seen()
    assert seen.send(asked()) is None
    assert seen.send(asked(**other)) is None
    assert seen.send(asked(**other)) is not None


def test_the_same_order_in_another_environment_is_none() -> None:
    seen, elsewhere = Seen(), asked()
    elsewhere.environment = "shadow"
    assert seen.send(asked()) is None
    assert seen.send(elsewhere) is None


def test_what_replaces_a_cancelled_order_is_none() -> None:
    seen = Seen()
    first = asked()
    assert seen.send(first) is None
    assert first.order is not None
    seen.control.cancelled(first.order)
    assert seen.send(asked()) is None
    assert seen.send(asked()) is not None


def test_an_amendment_is_a_duplicate_when_it_asks_for_the_same_new_terms_again() -> None:
    seen, working = Seen(), asked().order
    assert seen.send(asked(working, price="101")) is None
    assert seen.send(asked(working, price="102")) is None
    assert seen.send(asked(working, price="101")) is not None
    assert seen.send(asked(working, price="101", client_order_id="U2")) is None


def test_a_refused_order_starts_no_window_and_one_that_nobody_got_neither() -> None:
    seen = Seen()
    seen.send(asked())
    seen.clock.tick(0.75)
    assert seen.send(asked()) is not None
    seen.clock.tick(0.25)
    refused_later = asked()
    assert seen.send(refused_later) is None
    seen.control.undone(refused_later, LIMITS)
    assert seen.send(asked()) is None


@pytest.mark.asyncio
async def test_the_sender_can_confirm_a_duplicate_and_it_counts_like_any_other() -> None:
    seen, last = Seen(), Last()
    guard = SafetyGuard([seen.control], lambda *_: LIMITS, lambda *_: None, lambda *_: False)
    assert (await guard(asked(), last)).is_success
    assert (await guard(asked(), last)).violation == "P08_duplicate_content"
    seen.clock.tick(0.5)
    meant = asked()
    meant.intent = intent(metadata={"confirm": ["P08_duplicate_content"]})
    assert (await guard(meant, last)).is_success
    assert (guard.triggered, guard.confirmed) == ({"P08_duplicate_content": 2}, {"P08_duplicate_content": 1})
    seen.clock.tick(0.5)
    assert (await guard(asked(), last)).is_blocked_by_safety, "0.5 s after the confirmed one"


def test_switched_off_it_says_so_and_remembers_nothing() -> None:
    off = Safety(duplicate_window_s=None)
    seen = Seen(off)
    assert seen.send(asked()) is None
    assert seen.send(asked()) is None
    assert len(seen.control._seen) == 0
    assert (seen.control.limit(off), seen.control.limit(LIMITS)) == ("off", "the same content once in 1 s")
    assert seen.control.id.startswith("P08_")
    assert not seen.control.hard


@PROPERTY
@given(steps=st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(1, 3), st.booleans()), max_size=30))
def test_the_same_content_never_leaves_twice_inside_the_window(steps: list[tuple[float, int, bool]]) -> None:
    seen, now = Seen(), 0.0
    last: dict[int, float] = {}
    for pause, quantity, lost in steps:
        seen.clock.tick(pause)
        now += pause
        one = asked(quantity=D(quantity))
        is_duplicate = quantity in last and now - last[quantity] < 1.0
        assert (seen.send(one) is not None) == is_duplicate
        if lost and not is_duplicate:
            seen.control.undone(one, LIMITS)
        elif not is_duplicate:
            last[quantity] = now
