"""An order's derived quantities."""

from __future__ import annotations

import msgspec
import pytest

from router.domain.enums import OPEN, ExecutionStatus
from router.domain.order import Replacement, order_document
from tests.factories import D, order


@pytest.mark.parametrize("status", [*OPEN])
def test_what_an_open_order_has_not_filled_it_leaves(status: ExecutionStatus) -> None:
    working = order(quantity="1.5", filled_quantity="0.4", status=status)
    assert working.is_open
    assert working.leaves_quantity == D("1.1")


@pytest.mark.parametrize("status", [*(set(ExecutionStatus) - OPEN)])
def test_an_ended_order_leaves_nothing(status: ExecutionStatus) -> None:
    ended = order(quantity="1.5", filled_quantity="0.4", status=status, pending_replaces=asked("3"))
    assert not ended.is_open
    assert ended.leaves_quantity == 0
    assert ended.worst_leaves == 0


def asked(*quantities: str) -> tuple[Replacement, ...]:
    return tuple(Replacement(f"r{number}", D(quantity), None) for number, quantity in enumerate(quantities))


@pytest.mark.parametrize("status", [*OPEN])
@pytest.mark.parametrize(
    ("quantities", "worst"), [((), "1.1"), (("1",), "1.1"), (("3",), "2.6"), (("2", "3", "1"), "2.6")]
)
def test_the_worst_that_an_order_can_trade_counts_what_was_asked_for(
    status: ExecutionStatus, quantities: tuple[str, ...], worst: str
) -> None:
    working = order(quantity="1.5", filled_quantity="0.4", status=status, pending_replaces=asked(*quantities))
    assert working.worst_leaves == D(worst)
    assert working.leaves_quantity == D("1.1")


def test_the_average_price_weighs_the_fills_by_their_size() -> None:
    assert order(filled_quantity="4", filled_notional="1000").average_price == D(250)
    assert order().average_price is None


def test_a_new_order_has_done_nothing_and_is_certain() -> None:
    new = order()
    assert (new.status, new.filled_quantity, new.outcome_unknown) == (ExecutionStatus.PENDING, D(0), False)
    assert (new.pending_cancel, new.pending_replaces, new.terms_at) == (None, (), None)


def test_a_document_has_the_fields_of_the_contract() -> None:
    document = order_document(
        order(filled_quantity="0.5", filled_notional="50", status=ExecutionStatus.PARTIALLY_FILLED)
    )
    contract = (
        "client_order_id venue_order_id run_id symbol side order_type quantity price time_in_force expire_at "
        "environment strategy_key status filled_quantity leaves_quantity average_price outcome_unknown "
        "created_at updated_at"
    )
    assert set(contract.split()) <= document.keys()
    assert (document["leaves_quantity"], document["average_price"]) == (D("0.5"), D(100))
    assert msgspec.json.encode(document)


def test_an_order_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        order().status = ExecutionStatus.FILLED  # type: ignore[misc]
