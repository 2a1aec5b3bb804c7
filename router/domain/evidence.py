"""What a report proves about an order: the event it makes, or why it changes nothing. Pure, and one table.

The rules (spec §4): a trade counts once, by its id or by the stretch of the venue's own count that it covers (the
same trade may come from stream and look-up under two ids, and trades may overtake each other). An ending counts
only once every trade that the venue has counted is here: until then the order stays open and is looked up. What
contradicts the order is refused with InvalidTransitionError, for the quarantine; what merely repeats it or was
overtaken changes nothing. Nothing is ever inferred: a trade that no report named is not booked.
This module must not know journals, executors or clocks, nor which status follows (``lifecycle``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from router.domain.enums import OPEN, TERMINAL, ExecType, ExecutionStatus, OrderType, TimeInForce
from router.domain.events import (
    Cancelled,
    CancelRejected,
    Expired,
    Filled,
    OrderEvent,
    PartiallyFilled,
    Rejected,
    Replaced,
    ReplaceRejected,
    Submitted,
    TradeBusted,
    TradeCorrected,
)
from router.domain.executions import CORRECTED, Execution, latest
from router.domain.lifecycle import MAX_DIGITS, InvalidTransitionError, check_fill
from router.domain.order import ZERO, Order
from router.domain.report import ExecutionReport

S, X = ExecutionStatus, ExecType


class Proof(Enum):
    """What is known of an order's standing at the executor after something was said, or done, about it."""

    SHOWN = "shown"
    """A look-up has just shown the order, with all that the executor has counted."""
    STANDS = "stands"
    """The executor has just said something of the order that it had not said before."""
    INCOMPLETE = "incomplete"
    """It has counted trades that no report has brought yet: look the order up."""
    ABSENT = "absent"
    """It does not know the order, which proves nothing alone."""
    NONE = "none"
    """Nothing: we have done something ourselves, or were refused something."""
    UNKNOWN = "unknown"
    """Nothing: its hand-over has just ended without an answer."""
    SENT = "sent"
    """Nothing yet: a request of ours has left, and from now on a look-up can show what became of it."""


class Verdict(NamedTuple):
    """What a report leads to: ``event`` (its quantities and status still to be filled in) or, without one, ``note``:
    why nothing changes."""

    event: OrderEvent | None
    note: str
    proof: Proof


class _Nothing(NamedTuple):
    note: str
    proof: Proof = Proof.STANDS


_Draft: TypeAlias = tuple[type[OrderEvent], dict[str, Any]]


def judge(
    order: Order, executions: Mapping[str, Execution], report: ExecutionReport, *, seq: int, now: datetime
) -> Verdict:
    """Return what ``report`` proves.

    Args:
        order: as it stands.
        executions: the order's trades so far.
        report: what the venue says.
        seq: of the event that this makes.
        now: our clock.

    Raises:
        InvalidTransitionError: the report contradicts the order, or holds numbers that cannot be.
    """
    _check(order, report)
    draft = _JUDGES[report.exec_type](order, executions, report)
    reason = report.reason
    shows_more = isinstance(draft, _Nothing) and draft.proof is Proof.INCOMPLETE
    if isinstance(draft, _Nothing):
        if not (shows_more and (order.status is S.PENDING or order.outcome_unknown)):
            return Verdict(None, draft.note, draft.proof)
        reason = draft.note  # it was placed: that much is proved
        draft = Submitted, {"venue_order_id": report.venue_order_id}
    kind, fields = draft
    event = kind(
        seq=seq,
        ts_recorded=now,
        run_id=order.run_id,
        client_order_id=order.client_order_id,
        status=order.status,
        ts_event=report.ts_event,
        reason=reason,
        **fields,
    )
    counted = report.filled_quantity or ZERO
    known = order.filled_quantity + (event.last_quantity or ZERO)
    lacks = shows_more or (report.exec_type in (X.TRADE, X.ORDER_STATUS, X.RESTATED) and counted > known)
    refused = report.exec_type in (X.CANCEL_REJECTED, X.REPLACE_REJECTED)
    return Verdict(event, "", Proof.INCOMPLETE if lacks else Proof.NONE if refused else Proof.STANDS)


def _check(order: Order, report: ExecutionReport) -> None:
    """Refuse another symbol, and numbers that are none."""
    if report.symbol not in (None, order.symbol):
        raise InvalidTransitionError(f"the report is about {report.symbol}, the order about {order.symbol}")
    numbers = (report.last_quantity, report.last_price, report.filled_quantity, report.leaves_quantity)
    for number in (*numbers, report.quantity, report.price, report.fee):
        if number is None:
            continue
        if not number.is_finite() or number.adjusted() > MAX_DIGITS or (number < 0 and number is not report.fee):
            name = next(name for name in report.__struct_fields__ if getattr(report, name) is number)
            raise InvalidTransitionError(f"a {name} of {number} cannot be (order {order.client_order_id})")


# -- one function for each kind of report ---------------------------------------------------------------------------


def _acknowledged(order: Order, executions: Mapping[str, Execution], report: ExecutionReport) -> _Draft | _Nothing:
    del executions
    if order.status in (S.FILLED, S.CANCELLED, S.EXPIRED):
        return _Nothing("an acknowledgement that was overtaken")
    known = order.status in OPEN and order.status is not S.PENDING and not order.outcome_unknown
    if known and report.venue_order_id in (None, order.venue_order_id):
        return _Nothing("acknowledged before")
    return Submitted, {"venue_order_id": report.venue_order_id}


def _traded(order: Order, executions: Mapping[str, Execution], report: ExecutionReport) -> _Draft | _Nothing:
    counted = report.filled_quantity
    trade_id = report.trade_id
    if trade_id in executions:
        return _Nothing(f"trade {trade_id} is counted already")
    if counted is not None and any(
        each.cumulative == counted and each.quantity == report.last_quantity for each in executions.values()
    ):
        return _Nothing(f"trade {trade_id} is counted already, under another id")
    total = order.filled_quantity + (report.last_quantity or ZERO)
    if order.quantity < total <= order.asked_quantity:
        return _Nothing("a trade within terms that are asked for: granted, but not heard of yet", Proof.INCOMPLETE)
    check_fill(order, report.last_quantity, report.last_price)
    if trade_id is None:
        if counted is None:
            raise InvalidTransitionError(
                f"a trade without id and count cannot be told from its repeat (order {order.client_order_id})"
            )
        trade_id = f"{order.client_order_id}-{counted}"
        if trade_id in executions:
            return _Nothing(f"trade {trade_id} is counted already")
    return Filled if total == order.asked_quantity else PartiallyFilled, {
        "trade_id": trade_id,
        "cumulative_quantity": counted,
        "last_quantity": report.last_quantity,
        "last_price": report.last_price,
        "fee": ZERO if report.fee is None else report.fee,
        "fee_currency": report.fee_currency,
        "liquidity": report.liquidity,
    }


def _busted(order: Order, executions: Mapping[str, Execution], report: ExecutionReport) -> _Draft | _Nothing:
    trade_id = latest(executions, report.corrects or report.trade_id)
    busted = _execution(order, executions, trade_id)
    if not busted.quantity:
        return _Nothing(f"trade {trade_id} does not count any more")
    return TradeBusted, {
        "trade_id": trade_id,
        "last_quantity": busted.quantity,
        "last_price": busted.price,
        "fee": busted.fee,
        "fee_currency": busted.fee_currency,
    }


def _corrected(order: Order, executions: Mapping[str, Execution], report: ExecutionReport) -> _Draft | _Nothing:
    is_named = report.trade_id not in (None, report.corrects)
    corrects = report.corrects if is_named else latest(executions, report.corrects)
    trade_id = report.trade_id if is_named else f"{corrects}{CORRECTED}"
    old = executions.get(corrects or "")
    if not is_named and corrects != report.corrects and old is not None:  # corrected before, without a new id
        if (old.quantity, old.price) == (report.last_quantity, report.last_price):
            return _Nothing(f"trade {corrects} is counted already")
    elif trade_id in executions:
        if old is not None and old.quantity:  # it came late, after a look-up had told what it was corrected to
            return _busted(order, executions, report)
        return _Nothing(f"trade {trade_id} is counted already")
    old = _execution(order, executions, corrects)
    if not old.quantity:
        raise InvalidTransitionError(f"trade {corrects} does not count any more (order {order.client_order_id})")
    return TradeCorrected, {
        "trade_id": trade_id,
        "corrects": corrects,
        "last_quantity": report.last_quantity,
        "last_price": report.last_price,
        "previous_quantity": old.quantity,
        "previous_price": old.price,
        "previous_fee": old.fee,
        "fee": old.fee if report.fee is None else report.fee,
        "fee_currency": report.fee_currency or old.fee_currency,
        "liquidity": report.liquidity,
    }


def _execution(order: Order, executions: Mapping[str, Execution], trade_id: str | None) -> Execution:
    found = executions.get(trade_id) if trade_id is not None else None
    if found is None:
        raise InvalidTransitionError(f"no trade {trade_id} of order {order.client_order_id} was reported")
    return found


def _replaced(order: Order, executions: Mapping[str, Execution], report: ExecutionReport) -> _Draft | _Nothing:
    del executions
    asked = next((each for each in order.pending_replaces if each.request_id == report.request_id), None)
    if asked is None and report.request_id is not None:
        return _Nothing("this replacement is answered already")
    quantity = report.quantity or (asked.quantity if asked is not None else order.quantity)
    price = report.price or (asked.price if asked is not None else order.price)
    quantity = max(quantity, order.filled_quantity)  # FIX INV10: the venue amends no lower than what has traded
    if _overtaken(order, report) and (asked is None or asked is not order.pending_replaces[-1]):
        quantity, price = order.quantity, order.price
    if asked is None and (quantity, price) == (order.quantity, order.price):
        return _Nothing("these terms are in force already")
    return Replaced, {"request_id": report.request_id, "quantity": quantity, "price": price}


def _overtaken(order: Order, report: ExecutionReport) -> bool:
    """Whether the terms in force are newer than the report, by the venue's own time."""
    return order.terms_at is not None and report.ts_event < order.terms_at


def _replace_refused(order: Order, executions: Mapping[str, Execution], report: ExecutionReport) -> _Draft | _Nothing:
    del executions
    if all(asked.request_id != report.request_id for asked in order.pending_replaces):
        return _Nothing("no such replacement is pending", Proof.NONE)
    return ReplaceRejected, {"request_id": report.request_id}


def _cancel_refused(order: Order, executions: Mapping[str, Execution], report: ExecutionReport) -> _Draft | _Nothing:
    del executions, report
    if order.pending_cancel is None:
        return _Nothing("no cancel is pending", Proof.NONE)
    return CancelRejected, {}


def _ended(order: Order, executions: Mapping[str, Execution], report: ExecutionReport) -> _Draft | _Nothing:
    del executions
    how = report.exec_type
    if how is X.DONE_FOR_DAY:
        if report.leaves_quantity != ZERO:  # also when it does not say
            return _Nothing("done for the day, the rest goes on")
        how = X.EXPIRED
    counted = order.filled_quantity if report.filled_quantity is None else report.filled_quantity
    if counted > order.filled_quantity and order.status in OPEN:
        return _Nothing(
            f"the venue ended it at {counted} filled, {order.filled_quantity} are reported", Proof.INCOMPLETE
        )
    said_before = (order.status, how) in _SAID_BEFORE
    if counted > order.filled_quantity or (counted < order.filled_quantity and not said_before):
        raise InvalidTransitionError(
            f"the venue ended order {order.client_order_id} at {counted} filled, it has {order.filled_quantity}"
        )
    if said_before:
        return _Nothing(f"the order is {order.status} already")
    if how is X.REJECTED and order.filled_quantity:
        return Cancelled, {}  # it traded, so it was placed: what is left has ended
    if how is X.CANCELED and (order.pending_cancel or _unasked_end(order)) is S.EXPIRED:
        return Expired, {}
    return _END[how], {}


def _unasked_end(order: Order) -> ExecutionStatus:
    """Return what a cancel is that nobody asked for: the end of an IOC's or FOK's rest, in FIX's words (INV12)."""
    return S.EXPIRED if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK) else S.CANCELLED


_END: Final[Mapping[ExecType, type[OrderEvent]]] = MappingProxyType(
    {X.CANCELED: Cancelled, X.EXPIRED: Expired, X.REJECTED: Rejected}
)
_SAID_BEFORE: Final = frozenset(
    {
        *((status, how) for status in (S.CANCELLED, S.EXPIRED, S.FILLED) for how in (X.CANCELED, X.EXPIRED)),
        (S.REJECTED, X.REJECTED),
        (S.CANCELLED, X.REJECTED),
    }
)
"""Endings that only repeat an end, or that the last fill overtook."""


def _refused(order: Order, executions: Mapping[str, Execution], report: ExecutionReport) -> _Draft | _Nothing:
    if report.order_status not in (None, S.REJECTED):  # a repeated order is refused, the first one lives on (FIX F.1)
        return _looked_up(order, executions, report)
    return _ended(order, executions, report)


def _looked_up(order: Order, executions: Mapping[str, Execution], report: ExecutionReport) -> _Draft | _Nothing:
    """Take the venue's picture of the order: its end, its terms, or only the proof that it is there."""
    shown, counted = report.order_status, report.filled_quantity
    if order.status in (S.REJECTED, S.ERROR) and shown is not S.REJECTED:
        raise InvalidTransitionError(f"the venue shows {shown}, but the order ended here as {order.status}")
    terms = _terms_shown(order, report)
    if terms is not None and (shown not in _ENDS_SHOWN or (counted or ZERO) > order.quantity):
        return terms  # the terms of an ended order matter only to trades that are still to come
    if shown in _ENDS_SHOWN:
        return _ended(order, executions, msgspec.structs.replace(report, exec_type=_ENDS_SHOWN[shown]))
    if order.status in TERMINAL:
        return _Nothing(f"a picture older than the end {order.status}")
    counts_more = (counted or ZERO) > order.filled_quantity
    if counts_more or (shown is S.FILLED and order.filled_quantity < order.quantity):
        what = f"counts {counted} filled" if counts_more else f"shows it {shown}"
        return _Nothing(f"the venue {what}, {order.filled_quantity} are reported", Proof.INCOMPLETE)
    if shown is S.FILLED and order.pending_replaces:  # it ended without them
        return ReplaceRejected, {"request_id": order.pending_replaces[0].request_id}
    return _acknowledged(order, executions, report)


def _terms_shown(order: Order, report: ExecutionReport) -> _Draft | None:
    """Return the replacement that a picture proves; before all else, as trades may need the room that it gives."""
    quantity = report.quantity
    if order.status not in _HAS_TERMS or not quantity or quantity < order.filled_quantity:
        return None
    price = order.price if report.price is None or order.order_type is OrderType.MARKET else report.price
    asked = next((each for each in order.pending_replaces if (each.quantity, each.price) == (quantity, price)), None)
    if asked is None and (quantity, price) == (order.quantity, order.price):
        return None
    answers = (
        asked is not None and report.exec_type is X.ORDER_STATUS
    )  # asked for since, whatever the venue's clock says
    if _overtaken(order, report) and not answers:
        return None
    return Replaced, {"request_id": asked and asked.request_id, "quantity": quantity, "price": price}


_HAS_TERMS: Final = OPEN | {S.FILLED}
_ENDS_SHOWN: Final[Mapping[ExecutionStatus | None, ExecType]] = MappingProxyType(
    {S.CANCELLED: X.CANCELED, S.EXPIRED: X.EXPIRED, S.REJECTED: X.REJECTED}
)


_Judge: TypeAlias = Callable[[Order, Mapping[str, Execution], ExecutionReport], _Draft | _Nothing]
_JUDGES: Final[Mapping[ExecType, _Judge]] = MappingProxyType(
    {
        X.NEW: _acknowledged,
        X.TRADE: _traded,
        X.TRADE_CANCEL: _busted,
        X.TRADE_CORRECT: _corrected,
        X.REPLACED: _replaced,
        X.REPLACE_REJECTED: _replace_refused,
        X.CANCEL_REJECTED: _cancel_refused,
        X.CANCELED: _ended,
        X.EXPIRED: _ended,
        X.DONE_FOR_DAY: _ended,
        X.REJECTED: _refused,
        X.ORDER_STATUS: _looked_up,
        X.RESTATED: _looked_up,
        X.NOT_FOUND: lambda *_: _Nothing("the venue does not know it", Proof.ABSENT),
    }
)
assert set(_JUDGES) == set(X), "every kind of report is judged"
