"""The order's life as one table, state x event -> state, and the fold that applies an event.

Everything that decides an order's status lives in this file; a missing row IS the protocol error. Sub-states
(outcome unknown, pending cancel, pending replace) are fields of the order, not statuses. Facts behind the rows: a
venue matches before it sees our cancel, so fills after CANCELLED and EXPIRED count and the status stays (FIX INV11);
a bust, a correction or a granted replacement reopens even a FILLED order (FIX J.1.a, C.1.c); a request is refused
after the order has filled (FIX B.1.c).
This module must not know journals, executors or clocks, nor what a report means (``evidence``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from router.domain.enums import OPEN, TERMINAL, VERDICT_ONLY, ExecutionStatus
from router.domain.events import (
    Cancelled,
    CancelRejected,
    Errored,
    Expired,
    Filled,
    OrderEvent,
    OutcomeUnknown,
    Overdue,
    PartiallyFilled,
    PendingCancel,
    PendingReplace,
    Rejected,
    Replaced,
    ReplaceRejected,
    Submitted,
    TradeBusted,
    TradeCorrected,
)
from router.domain.order import ZERO, Order, Replacement

S = ExecutionStatus
MAX_DIGITS: Final = 15  # before the decimal point; more is no fill, and overflows when multiplied

BY_QUANTITY: Final = None
"""In the table: SUBMITTED, PARTIALLY_FILLED or FILLED, as the quantities after the event say.

An order that has traded its quantity while a larger one is asked for is not FILLED yet: the venue may have granted it.
"""

TRANSITIONS: Final[Mapping[tuple[ExecutionStatus, type[OrderEvent]], ExecutionStatus | None]] = MappingProxyType(
    {
        (S.PENDING, Submitted): S.SUBMITTED,
        (S.PENDING, PartiallyFilled): S.PARTIALLY_FILLED,  # the fill overtook the acknowledgement
        (S.PENDING, Filled): S.FILLED,
        (S.PENDING, Replaced): BY_QUANTITY,  # so did a restatement
        (S.PENDING, Cancelled): S.CANCELLED,
        (S.PENDING, Expired): S.EXPIRED,
        (S.PENDING, Rejected): S.REJECTED,
        (S.PENDING, Errored): S.ERROR,  # we failed before the hand-over
        (S.PENDING, OutcomeUnknown): S.SUBMITTED,
        (S.PENDING, PendingCancel): S.PENDING,
        (S.PENDING, CancelRejected): S.PENDING,
        (S.PENDING, Overdue): S.PENDING,
        (S.SUBMITTED, Submitted): S.SUBMITTED,  # the acknowledgement that ends an unknown outcome
        (S.SUBMITTED, PartiallyFilled): S.PARTIALLY_FILLED,
        (S.SUBMITTED, Filled): S.FILLED,
        (S.SUBMITTED, Cancelled): S.CANCELLED,
        (S.SUBMITTED, Expired): S.EXPIRED,
        (S.SUBMITTED, Rejected): S.REJECTED,
        (S.SUBMITTED, PendingCancel): S.SUBMITTED,
        (S.SUBMITTED, CancelRejected): S.SUBMITTED,
        (S.SUBMITTED, PendingReplace): S.SUBMITTED,
        (S.SUBMITTED, Replaced): BY_QUANTITY,
        (S.SUBMITTED, ReplaceRejected): S.SUBMITTED,
        (S.SUBMITTED, Overdue): S.SUBMITTED,
        (S.PARTIALLY_FILLED, Submitted): S.PARTIALLY_FILLED,  # an acknowledgement that came late
        (S.PARTIALLY_FILLED, PartiallyFilled): S.PARTIALLY_FILLED,
        (S.PARTIALLY_FILLED, Filled): S.FILLED,
        (S.PARTIALLY_FILLED, TradeBusted): BY_QUANTITY,
        (S.PARTIALLY_FILLED, TradeCorrected): BY_QUANTITY,
        (S.PARTIALLY_FILLED, Cancelled): S.CANCELLED,
        (S.PARTIALLY_FILLED, Expired): S.EXPIRED,
        (S.PARTIALLY_FILLED, PendingCancel): S.PARTIALLY_FILLED,
        (S.PARTIALLY_FILLED, CancelRejected): S.PARTIALLY_FILLED,
        (S.PARTIALLY_FILLED, PendingReplace): S.PARTIALLY_FILLED,
        (S.PARTIALLY_FILLED, Replaced): BY_QUANTITY,
        (S.PARTIALLY_FILLED, ReplaceRejected): BY_QUANTITY,  # it may have had all but what was asked for
        (S.PARTIALLY_FILLED, Overdue): S.PARTIALLY_FILLED,
        (S.FILLED, TradeBusted): BY_QUANTITY,  # works again
        (S.FILLED, TradeCorrected): BY_QUANTITY,
        (S.FILLED, PendingReplace): S.FILLED,
        (S.FILLED, Replaced): BY_QUANTITY,  # the venue granted more
        (S.FILLED, ReplaceRejected): S.FILLED,  # it filled before the venue saw the request
        (S.FILLED, CancelRejected): S.FILLED,
        (S.CANCELLED, PartiallyFilled): S.CANCELLED,  # matched before the venue saw our cancel; it still counts
        (S.CANCELLED, Filled): S.CANCELLED,
        (S.CANCELLED, TradeBusted): S.CANCELLED,
        (S.CANCELLED, TradeCorrected): S.CANCELLED,
        (S.EXPIRED, PartiallyFilled): S.EXPIRED,
        (S.EXPIRED, Filled): S.EXPIRED,
        (S.EXPIRED, TradeBusted): S.EXPIRED,
        (S.EXPIRED, TradeCorrected): S.EXPIRED,
    }
)
"""(status, kind of event) -> status. A pair that is not here cannot happen to an order."""

_states = {state for state, _ in TRANSITIONS} | {state for state in TRANSITIONS.values() if state is not None}
assert _states == OPEN | TERMINAL, "every order state has a row"
assert _states | VERDICT_ONLY == set(S), "every status is an order's state, or a verdict only"

_Changes: TypeAlias = dict[str, Any]


class InvalidTransitionError(Exception):
    """The table has no row for this event in this state, or its quantities cannot be."""


def apply(order: Order, event: OrderEvent) -> Order:
    """Return the order after ``event``.

    Raises:
        InvalidTransitionError: the table has no row; a fill is not a positive quantity and price inside what the
            order asked for, or says that it leaves something when it does not, or the reverse; a bust or correction
            takes away more than has traded; a replacement is below what has traded, or answers nothing that is pending.
    """
    kind = type(event)
    row = (order.status, kind)
    if row not in TRANSITIONS:
        raise InvalidTransitionError(f"{kind.__name__} cannot follow {order.status} (order {order.client_order_id})")
    changes = _CHANGES[kind](order, event)
    status = TRANSITIONS[row]
    if status in _ENDED_BY_THE_VENUE:
        changes["pending_cancel"], changes["pending_replaces"] = None, ()
    if kind is not Overdue:
        changes["updated_at"] = event.ts_recorded
    if status is BY_QUANTITY:
        changed = msgspec.structs.replace(order, **changes)
        return msgspec.structs.replace(changed, status=_by_quantity(changed))
    return msgspec.structs.replace(order, status=status, **changes)


_ENDED_BY_THE_VENUE: Final = TERMINAL - {S.FILLED}
"""These ends answer every pending request; a FILLED order still gets the venue's refusal of it."""


def _by_quantity(order: Order) -> ExecutionStatus:
    if order.filled_quantity == order.asked_quantity:
        return S.FILLED
    return S.PARTIALLY_FILLED if order.filled_quantity else S.SUBMITTED


# -- what each kind of event changes besides the status -----------------------------------------------------------


def _nothing(order: Order, event: Any) -> _Changes:  # noqa: ARG001 -- one signature for all
    return {}


def _proved(order: Order, event: Any) -> _Changes:  # noqa: ARG001 -- one signature for all
    return {"outcome_unknown": False}


def _acknowledged(order: Order, event: Submitted) -> _Changes:
    return {"outcome_unknown": False, "venue_order_id": event.venue_order_id or order.venue_order_id}


def _unknown(order: Order, event: OutcomeUnknown) -> _Changes:  # noqa: ARG001 -- one signature for all
    return {"outcome_unknown": True}


def _filled(order: Order, fill: PartiallyFilled | Filled) -> _Changes:
    check_fill(order, fill.last_quantity, fill.last_price)
    assert fill.last_quantity is not None, "checked above"
    assert fill.last_price is not None, "checked above"
    total = order.filled_quantity + fill.last_quantity
    if (total == order.asked_quantity) is not isinstance(fill, Filled):
        raise InvalidTransitionError(
            f"{type(fill).__name__} at {total} of {order.asked_quantity} (order {order.client_order_id})"
        )
    notional = order.filled_notional + fill.last_quantity * fill.last_price
    return {"filled_quantity": total, "filled_notional": notional, "outcome_unknown": False}


def _busted(order: Order, bust: TradeBusted) -> _Changes:
    assert bust.last_quantity is not None, "a bust says what it takes away"
    assert bust.last_price is not None, "a bust says what it takes away"
    return _retraded(order, bust.last_quantity, bust.last_price, ZERO, ZERO)


def _corrected(order: Order, correction: TradeCorrected) -> _Changes:
    _check_number(order, correction.last_quantity, correction.last_price)
    assert correction.last_quantity is not None, "checked above"
    assert correction.last_price is not None, "checked above"
    old = correction.previous_quantity, correction.previous_price
    return _retraded(order, *old, correction.last_quantity, correction.last_price)


def _retraded(order: Order, old: Decimal, old_price: Decimal, new: Decimal, new_price: Decimal) -> _Changes:
    """Take a trade back and put another in its place."""
    total = order.filled_quantity - old + new
    if old > order.filled_quantity or total > order.quantity:
        raise InvalidTransitionError(
            f"{order.filled_quantity} - {old} + {new} of {order.quantity} cannot be (order {order.client_order_id})"
        )
    return {
        "filled_quantity": total,
        "filled_notional": order.filled_notional - old * old_price + new * new_price,
        "outcome_unknown": False,
    }


def _cancel_asked(order: Order, event: PendingCancel) -> _Changes:  # noqa: ARG001 -- one signature for all
    return {"pending_cancel": S.EXPIRED if event.expires else S.CANCELLED}


def _cancel_refused(order: Order, event: CancelRejected) -> _Changes:
    if order.pending_cancel is None:
        raise InvalidTransitionError(f"no cancel of order {order.client_order_id} is pending")
    del event
    return {"pending_cancel": None}


def _replace_asked(order: Order, event: PendingReplace) -> _Changes:
    _check_number(order, event.quantity, event.price if order.price is not None else event.quantity)
    asked = Replacement(event.request_id, event.quantity, event.price)
    return {"pending_replaces": (*order.pending_replaces, asked)}


def _replaced(order: Order, event: Replaced) -> _Changes:
    _check_number(order, event.quantity, event.price if order.price is not None else event.quantity)
    if event.quantity < order.filled_quantity:
        raise InvalidTransitionError(
            f"{event.quantity} is below the {order.filled_quantity} traded (order {order.client_order_id})"
        )
    changes = {} if event.request_id is None else _answered(order, event.request_id)
    times = [at for at in (order.terms_at, event.ts_event) if at is not None]
    terms = {"quantity": event.quantity, "price": event.price, "terms_at": max(times, default=None)}
    return {**changes, **terms, "outcome_unknown": False}


def _replace_refused(order: Order, event: ReplaceRejected) -> _Changes:
    return _answered(order, event.request_id)


def _answered(order: Order, request_id: str) -> _Changes:
    """Take a replacement out of those that are pending."""
    left = tuple(asked for asked in order.pending_replaces if asked.request_id != request_id)
    if len(left) == len(order.pending_replaces):
        raise InvalidTransitionError(f"no replacement {request_id} of order {order.client_order_id} is pending")
    return {"pending_replaces": left}


_CHANGES: Final[MappingProxyType[type[OrderEvent], Callable[[Order, Any], _Changes]]] = MappingProxyType(
    {
        Submitted: _acknowledged,
        PartiallyFilled: _filled,
        Filled: _filled,
        TradeBusted: _busted,
        TradeCorrected: _corrected,
        PendingCancel: _cancel_asked,
        CancelRejected: _cancel_refused,
        PendingReplace: _replace_asked,
        Replaced: _replaced,
        ReplaceRejected: _replace_refused,
        Overdue: _nothing,
        OutcomeUnknown: _unknown,
        Cancelled: _proved,
        Expired: _proved,
        Rejected: _proved,
        Errored: _proved,
    }
)
assert {kind for _, kind in TRANSITIONS} == set(_CHANGES), "every kind of event in the table changes something"


# -- quantities that cannot be -------------------------------------------------------------------------------------


def check_fill(order: Order, last_quantity: Decimal | None, last_price: Decimal | None) -> None:
    """Raise InvalidTransitionError unless a fill is a positive quantity and price within what was asked for."""
    _check_number(order, last_quantity, last_price)
    assert last_quantity is not None, "checked above"
    if order.filled_quantity + last_quantity > order.quantity:
        raise InvalidTransitionError(
            f"overfill: {order.filled_quantity} + {last_quantity} of {order.quantity} (order {order.client_order_id})"
        )


def _check_number(order: Order, quantity: Decimal | None, price: Decimal | None) -> None:
    for number in (quantity, price):
        if number is None or not number.is_finite() or number <= 0 or number.adjusted() > MAX_DIGITS:
            raise InvalidTransitionError(f"{quantity} at {price} cannot be (order {order.client_order_id})")
