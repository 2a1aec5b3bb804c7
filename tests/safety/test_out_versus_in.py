"""A12: nothing leaves that nobody asked for: one hand-over per submission, of no more than it asked for."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OrderType
from router.domain.intent import OrderIntent
from router.domain.order import Order
from router.middleware import Submission
from router.safety.out_versus_in import OutVersusIn
from router.settings import Safety
from tests.factories import PROPERTY, SELL, D, intent, order, submission

_END = ": this hand-over was stopped. Compare the journal with the venue before anything else leaves."


def asked(run_id: str = "run_1", quantity: Any = "2", **fields: Any) -> Submission:
    """Return a limit buy on its way, as validation has read it."""
    wish = intent(symbol="BTC/USD", side="buy", order_type="limit", quantity=quantity, price="100")
    its_order = order(client_order_id=f"U{run_id}", order_type=OrderType.LIMIT, quantity="2", price="100")
    return submission(its_order, **{"intent": wish, "run_id": run_id, **fields})


def change(made: Submission, **fields: Any) -> None:
    """Do to a submission's order what no stage may do."""
    assert made.order is not None
    made.order = msgspec.structs.replace(made.order, **fields)


def control() -> tuple[OutVersusIn, list[str]]:
    excesses: list[str] = []
    return OutVersusIn(excesses.append), excesses


def test_what_entered_leaves_once() -> None:
    it, excesses = control()
    made = asked()
    it.entered(made)
    assert it.leaving(made) is None
    assert it.leaving(made) == f"Order Urun_1 (run_1) was handed over before{_END}"
    assert excesses == [f"Order Urun_1 (run_1) was handed over before{_END}"]
    assert (it.entered_total, it.left_total, it.triggered) == (1, 1, 1)


def test_what_never_entered_does_not_leave() -> None:
    it, excesses = control()
    it.entered(asked("run_2"))
    assert it.leaving(asked("run_1")) == f"Order Urun_1 (run_1) was not asked for{_END}"
    assert len(excesses) == 1


def test_what_was_answered_does_not_leave_any_more() -> None:
    it, excesses = control()
    made = asked()
    it.entered(made)
    it.landed(made)
    assert it.leaving(made) is not None
    assert len(excesses) == 1


def test_a_submission_that_enters_twice_still_leaves_once() -> None:
    it, _ = control()
    made = asked()
    it.entered(made)
    it.entered(made)
    assert it.leaving(made) is None
    it.entered(made)
    assert it.leaving(made) is not None


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"quantity": D("2.0001")}, "leaves with quantity 2.0001, but 2 was asked for"),
        ({"symbol": "ETH/USD"}, "leaves with symbol ETH/USD, but BTC/USD was asked for"),
        ({"side": SELL}, "leaves with side sell, but buy was asked for"),
        ({"price": D(101)}, "leaves with price 101, but 100 was asked for"),
        ({"price": None}, "leaves with price None, but 100 was asked for"),
        ({"environment": "testnet"}, "leaves with environment testnet, but paper was asked for"),
        ({"client_order_id": "U9"}, "leaves for Urun_1"),
    ],
)
def test_nothing_leaves_that_is_more_or_other_than_what_was_asked_for(changed: dict[str, Any], what: str) -> None:
    it, excesses = control()
    made = asked()
    it.entered(made)
    change(made, **changed)
    said = it.leaving(made)
    assert said is not None
    assert what in said
    assert excesses == [said]
    assert it.left_total == 0


def test_less_than_asked_for_may_leave() -> None:
    it, excesses = control()
    made = asked()
    it.entered(made)
    change(made, quantity=D(1))
    assert it.leaving(made) is None
    assert excesses == []


def test_what_was_asked_for_is_what_entered_whatever_the_stages_make_of_the_submission() -> None:
    it, _ = control()
    made = asked()
    it.entered(made)
    made.intent, made.environment = intent(quantity="1000"), "testnet"
    change(made, quantity=D(1000), environment="testnet")
    assert it.leaving(made) is not None


@pytest.mark.parametrize("nonsense", [None, "many", float("nan"), float("inf"), [], -1])
def test_an_order_for_which_no_number_was_asked_does_not_leave(nonsense: object) -> None:
    it, _ = control()
    made = asked(quantity=nonsense)
    it.entered(made)
    assert it.leaving(made) is not None


@pytest.mark.parametrize("side", ["buy", "BUY", "Buy"])
def test_a_side_may_be_written_as_validation_reads_it(side: str) -> None:
    it, _ = control()
    made = asked()
    made.intent = OrderIntent(symbol="BTC/USD", side=side, order_type="LIMIT", quantity=2, price=100.0)
    it.entered(made)
    assert it.leaving(made) is None


def test_a_submission_without_an_order_does_not_leave() -> None:
    it, _ = control()
    made = submission(None)
    it.entered(made)
    assert it.leaving(made) is not None


def test_every_request_for_other_terms_leaves_once_with_no_more_than_it_asks_for() -> None:
    it, _ = control()
    working = asked("run_1").order
    for number in range(2, 5):
        request = asked(f"run_{number}", client_order_id="Urun_1", amends=working)
        request.order = working
        it.entered(request)
        assert it.leaving(request) is None
        assert it.leaving(request) is not None
    greedy = asked("run_9", client_order_id="Urun_1", amends=working)
    greedy.order = working
    change(greedy, quantity=D(3))
    it.entered(greedy)
    assert it.leaving(greedy) is not None


def test_what_has_landed_takes_no_memory() -> None:
    it, _ = control()
    for number in range(1000):
        made = asked(f"run_{number}")
        it.entered(made)
        assert len(it) == 1
        it.landed(made)
        it.landed(made)
    assert len(it) == 0


def test_its_id_is_the_catalogues() -> None:
    it, _ = control()
    assert (it.id, it.hard) == ("A12_out_versus_in", True)
    assert it.limit(Safety()) == "one hand-over per submission, of no more than it asked for"


STEPS = st.tuples(
    st.sampled_from(["entered", "leaving", "landed"]), st.integers(1, 3), st.integers(1, 3).map(Decimal), st.booleans()
)


@settings(PROPERTY, max_examples=500)
@given(st.lists(STEPS, max_size=40))
def test_never_more_out_than_in_and_what_was_asked_for_does_leave(
    steps: list[tuple[str, int, Decimal, bool]],
) -> None:
    it, excesses = control()
    came_in, went_out = Counter[str](), Counter[str]()
    open_requests: dict[str, bool] = {}  # has it left?
    refused = 0
    for what, number, quantity, is_amendment in steps:
        run_id = f"{'amend' if is_amendment else 'new'}_{number}"
        made = _made(run_id, quantity, is_amendment=is_amendment)
        if what == "entered":
            made = _made(run_id, D(2), is_amendment=is_amendment)
            it.entered(made)
            came_in[run_id] += 2 if run_id not in open_requests else 0
            open_requests.setdefault(run_id, False)
        elif what == "landed":
            it.landed(made)
            open_requests.pop(run_id, None)
        else:
            may = open_requests.get(run_id) is False and quantity <= 2
            assert (it.leaving(made) is None) is may
            refused += not may
            if may:
                open_requests[run_id] = True
                went_out[run_id] += int(quantity)
        assert all(went_out[key] <= came_in[key] for key in went_out)
        assert len(it) == len(open_requests)
    assert (len(excesses), it.triggered) == (refused, refused)


def _made(run_id: str, quantity: Decimal, *, is_amendment: bool) -> Submission:
    """Return a submission that asked for 2 and whose order is for ``quantity``."""
    before: Order | None = None
    made = asked(run_id)
    if is_amendment:
        before = order(client_order_id=f"U{run_id}", order_type=OrderType.LIMIT, quantity="9", price="90")
        made.amends = before
    change(made, quantity=quantity)
    return made
