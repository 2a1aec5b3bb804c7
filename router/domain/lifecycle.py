"""The order's life as one table, state x event -> state, and the fold that applies an event.

Everything that decides an order's status lives in this file; a missing row IS the protocol error. Sub-states
(outcome unknown) are fields of the order, not statuses. Facts behind the rows: a venue matches before it sees
our cancel, so fills after CANCELLED and EXPIRED count and the status stays (spec §4, FIX INV11).
This module must not know journals, executors or clocks.
"""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import Final

import msgspec

from router.domain.enums import OPEN, TERMINAL, VERDICT_ONLY, ExecutionStatus
from router.domain.events import (
    Cancelled,
    Errored,
    Expired,
    Filled,
    OrderEvent,
    OutcomeUnknown,
    PartiallyFilled,
    Rejected,
    Submitted,
)
from router.domain.order import Order

S = ExecutionStatus
_MAX_DIGITS = 15  # before the decimal point; more is no fill, and overflows when multiplied

TRANSITIONS: Final = MappingProxyType(
    {
        (S.PENDING, Submitted): S.SUBMITTED,
        (S.PENDING, PartiallyFilled): S.PARTIALLY_FILLED,  # the fill overtook the acknowledgement
        (S.PENDING, Filled): S.FILLED,
        (S.PENDING, Cancelled): S.CANCELLED,
        (S.PENDING, Expired): S.EXPIRED,
        (S.PENDING, Rejected): S.REJECTED,
        (S.PENDING, Errored): S.ERROR,  # we failed before the hand-over
        (S.PENDING, OutcomeUnknown): S.SUBMITTED,
        (S.SUBMITTED, Submitted): S.SUBMITTED,  # the acknowledgement that ends an unknown outcome
        (S.SUBMITTED, PartiallyFilled): S.PARTIALLY_FILLED,
        (S.SUBMITTED, Filled): S.FILLED,
        (S.SUBMITTED, Cancelled): S.CANCELLED,
        (S.SUBMITTED, Expired): S.EXPIRED,
        (S.SUBMITTED, Rejected): S.REJECTED,
        (S.PARTIALLY_FILLED, Submitted): S.PARTIALLY_FILLED,  # an acknowledgement that came late
        (S.PARTIALLY_FILLED, PartiallyFilled): S.PARTIALLY_FILLED,
        (S.PARTIALLY_FILLED, Filled): S.FILLED,
        (S.PARTIALLY_FILLED, Cancelled): S.CANCELLED,
        (S.PARTIALLY_FILLED, Expired): S.EXPIRED,
        (
            S.CANCELLED,
            PartiallyFilled,
        ): S.CANCELLED,  # matched before the venue saw our cancel; it still counts
        (S.CANCELLED, Filled): S.CANCELLED,
        (S.EXPIRED, PartiallyFilled): S.EXPIRED,
        (S.EXPIRED, Filled): S.EXPIRED,
    }
)
"""(status, kind of event) -> status. A pair that is not here cannot happen to an order."""

_states = {state for state, _ in TRANSITIONS} | set(TRANSITIONS.values())
assert _states == OPEN | TERMINAL, "every order state has a row"
assert _states | VERDICT_ONLY == set(S), "every status is an order's state, or a verdict only"


class InvalidTransitionError(Exception):
    """The table has no row for this event in this state, or its quantities cannot be."""


def transition(status: ExecutionStatus, kind: type[OrderEvent]) -> ExecutionStatus:
    """Return the status after an event of ``kind``; raises InvalidTransitionError when the table has no row."""
    try:
        return TRANSITIONS[(status, kind)]
    except KeyError:
        raise InvalidTransitionError(f"{kind.__name__} cannot follow {status}") from None


def apply(order: Order, event: OrderEvent) -> Order:
    """Return the order after ``event``.

    Raises:
        InvalidTransitionError: the table has no row, or a fill is not a positive quantity and price inside
            what the order asked for, or says that it leaves something when it does not, or the reverse.
    """
    kind = type(event)
    status = TRANSITIONS.get((order.status, kind))
    if status is None:
        raise InvalidTransitionError(f"{kind.__name__} cannot follow {order.status} (order {order.client_order_id})")
    if isinstance(event, PartiallyFilled | Filled):
        quantity, notional = _filled(order, event)
        return msgspec.structs.replace(
            order,
            status=status,
            filled_quantity=quantity,
            filled_notional=notional,
            outcome_unknown=False,
            updated_at=event.ts_recorded,
        )
    return msgspec.structs.replace(
        order,
        status=status,
        outcome_unknown=kind is OutcomeUnknown,
        venue_order_id=getattr(event, "venue_order_id", None) or order.venue_order_id,
        updated_at=event.ts_recorded,
    )


def check_fill(order: Order, last_quantity: Decimal | None, last_price: Decimal | None) -> None:
    """Raise InvalidTransitionError unless a fill is a positive quantity and price within what was asked for."""
    for number in (last_quantity, last_price):
        if number is None or not number.is_finite() or number <= 0 or number.adjusted() > _MAX_DIGITS:
            raise InvalidTransitionError(
                f"a fill of {last_quantity} at {last_price} cannot be (order {order.client_order_id})"
            )
    assert last_quantity is not None, "checked above"
    if order.filled_quantity + last_quantity > order.quantity:
        raise InvalidTransitionError(
            f"overfill: {order.filled_quantity} + {last_quantity} of {order.quantity} (order {order.client_order_id})"
        )


def _filled(order: Order, fill: PartiallyFilled | Filled) -> tuple[Decimal, Decimal]:
    """Return cumulative quantity and notional after the fill."""
    check_fill(order, fill.last_quantity, fill.last_price)
    assert fill.last_quantity is not None, "checked above"
    assert fill.last_price is not None, "checked above"
    total = order.filled_quantity + fill.last_quantity
    if (total == order.quantity) is not isinstance(fill, Filled):
        raise InvalidTransitionError(
            f"{type(fill).__name__} at {total} of {order.quantity} (order {order.client_order_id})"
        )
    return total, order.filled_notional + fill.last_quantity * fill.last_price
