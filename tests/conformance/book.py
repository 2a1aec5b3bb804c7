"""Scenarios as rows (``fix_state_matrix.toml``), and a book that plays them through ``judge`` and ``apply``.

The book is what an adapter and the tracker are together, without journal, queue or clock: our requests become our
events, the venue's messages become reports. A request's ClOrdID is our ``request_id``; an order keeps the one it began
with, whatever FIX's chain of ids says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from router.domain.enums import ExecType, ExecutionStatus, OrderType, TimeInForce
from router.domain.events import OrderEvent, OutcomeUnknown, PendingCancel, PendingReplace
from router.domain.evidence import Verdict, judge
from router.domain.executions import Executions, remember
from router.domain.lifecycle import apply
from router.domain.order import Order
from router.domain.report import ExecutionReport
from tests.factories import NOW, D, order

S, X = ExecutionStatus, ExecType
PRICE: Final = "100"
BY_QUANTITY: Final = None

STATUS: Final = MappingProxyType(
    {
        # FIX OrdStatus: our status, and the sub-state beside it
        "PendingNew": (S.SUBMITTED, ""),  # the venue has shown it
        "New": (S.SUBMITTED, ""),
        "PartiallyFilled": (S.PARTIALLY_FILLED, ""),
        "Filled": (S.FILLED, ""),
        "Stopped": (BY_QUANTITY, ""),  # a promise, no trade
        "DoneForDay": (BY_QUANTITY, ""),  # works on tomorrow; EXPIRED when it leaves nothing
        "PendingCancel": (BY_QUANTITY, "pending_cancel"),  # a full fill is FILLED, until the cancel is refused
        "PendingReplace": (BY_QUANTITY, "pending_replaces"),
        "Canceled": (S.CANCELLED, ""),  # EXPIRED when it is the rest of an IOC or FOK (spec §4)
        "Expired": (S.EXPIRED, ""),
        "Rejected": (S.REJECTED, ""),
    }
)
"""The one mapping from FIX's statuses to ours. BY_QUANTITY: SUBMITTED, PARTIALLY_FILLED or FILLED, as CumQty says."""

REPORTS: Final = MappingProxyType(
    {
        "New": X.NEW,
        "Trade": X.TRADE,
        "TradeCancel": X.TRADE_CANCEL,
        "TradeCorrect": X.TRADE_CORRECT,
        "Replaced": X.REPLACED,
        "Restated": X.REPLACED,  # nobody asked for it: no request_id
        "Canceled": X.CANCELED,
        "Expired": X.EXPIRED,
        "DoneForDay": X.DONE_FOR_DAY,
        "Rejected": X.REJECTED,
        "OrderStatus": X.ORDER_STATUS,
        "PendingNew": X.ORDER_STATUS,  # the rest are pictures of the order
        "PendingCancel": X.ORDER_STATUS,
        "PendingReplace": X.ORDER_STATUS,
        "Stopped": X.ORDER_STATUS,
        "Triggered_50": X.ORDER_STATUS,
        "NotFound": X.NOT_FOUND,
    }
)


class Row(NamedTuple):
    """One row; numbers and words that are absent are None. ``number`` is its place in the scenario, and its time."""

    number: int
    step: str
    direction: str
    message: str
    name: str | None
    exec_type: str | None
    status: str | None
    quantity: int | None
    cumulative: int | None
    leaves: int | None
    last: int | None
    facts: dict[str, str]

    @property
    def request(self) -> str:
        """The ClOrdID."""
        return (self.name or "").partition("/")[0]


class Scenario(NamedTuple):
    """One path through one scenario: the main one, or one that ends with the venue's refusal at ``branch``."""

    id: str
    branch: str
    rows: tuple[Row, ...]
    facts: dict[str, Any]


def scenarios(file: Path) -> list[Scenario]:
    """Return every path of the file."""
    return [path for entry in tomllib.loads(file.read_text())["scenario"] for path in _paths(entry)]


def _paths(entry: dict[str, Any]) -> Iterator[Scenario]:
    rows = [_row(number, line.split()) for number, line in enumerate(entry["rows"].strip().splitlines())]
    main: list[Row] = []
    for row in rows:
        if row.step.endswith("r"):
            yield Scenario(entry["id"], row.step, (*main, row), entry)
        else:
            main.append(row)
    yield Scenario(entry["id"], "", tuple(main), entry)


def _row(number: int, cells: list[str]) -> Row:
    step, direction, message = cells[:3]
    name, exec_type, status = (None if cell == "-" else cell for cell in cells[3:6])
    quantity, cumulative, leaves, last = (None if cell == "-" else int(cell) for cell in cells[6:10])
    facts = dict(cell.split("=") for cell in cells[10:])
    return Row(number, step, direction, message, name, exec_type, status, quantity, cumulative, leaves, last, facts)


class Book:
    """Our orders and their trades.

    Args:
        facts: the scenario's, for the terms of its orders.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        self._names: dict[str, str] = {}
        self._asked: dict[str, str] = {}
        self.orders: dict[str, Order] = {}
        self.executions: dict[str, Executions] = {}
        self.changes = 0
        """How many events there were."""
        self.foreign = 0
        """How many reports were about orders that are not ours: for the quarantine."""

    def order(self, row: Row) -> Order | None:
        """Return the order that the row is about."""
        return self.orders.get(self._names.get(row.request, ""))

    def play(self, row: Row) -> Verdict | None:
        """Do what the row says; returns what a report proved."""
        if row.message in ("ER", "REJ"):
            return self._report(row)
        if row.message == "NEW" and row.request not in self._names:  # the same id again never makes a second order
            self._names[row.request] = row.request
            self.orders[row.request] = self._new(row)
            self.executions[row.request] = {}
        elif row.message in ("CXL", "RPL"):
            self._ask(row)
        elif row.message == "SILENCE":
            self._event(self.orders[row.request], OutcomeUnknown)
        return None

    def _new(self, row: Row) -> Order:
        kind = OrderType(self._facts.get("order_type", "limit"))
        return order(
            client_order_id=row.request,
            quantity=row.quantity,
            order_type=kind,
            price=PRICE if kind is OrderType.LIMIT else None,
            time_in_force=TimeInForce(self._facts.get("time_in_force", "GTC")),
        )

    def _ask(self, row: Row) -> None:
        original = self._names.get((row.name or "").partition("/")[2])
        if original is None:  # we ask for nothing about an order that is not ours
            return
        self._names[row.request], self._asked[row.request] = original, row.message
        its_order = self.orders[original]
        if row.message == "CXL":
            self._event(its_order, PendingCancel)
            return
        price = D(row.facts["price"]) if "price" in row.facts else its_order.price
        self._event(its_order, PendingReplace, request_id=row.request, quantity=_decimal(row.quantity), price=price)

    def _event(self, its_order: Order, kind: type[OrderEvent], **fields: Any) -> None:
        event = kind(seq=1, ts_recorded=NOW, run_id="run_1", status=its_order.status, **fields)
        self._apply(its_order, event)

    def _apply(self, its_order: Order, event: OrderEvent) -> None:
        key = its_order.client_order_id
        self.orders[key] = apply(its_order, event)
        remember(self.executions[key], event)
        self.changes += 1

    def _report(self, row: Row) -> Verdict | None:
        its_order = self.order(row)
        if its_order is None:
            self.foreign += 1
            return None
        executions = self.executions[its_order.client_order_id]
        verdict = judge(its_order, executions, self._said(row, its_order, executions), seq=1, now=NOW)
        if verdict.event is not None:
            self._apply(its_order, verdict.event)
        return verdict

    def _said(self, row: Row, its_order: Order, executions: Executions) -> ExecutionReport:
        if row.message == "REJ":
            kind = X.CANCEL_REJECTED if self._asked[row.request] == "CXL" else X.REPLACE_REJECTED
        else:
            kind = REPORTS[row.exec_type or ""]
        trade = kind in (X.TRADE, X.TRADE_CANCEL, X.TRADE_CORRECT)
        before = executions.get(row.facts.get("ref", ""))
        price = D(row.facts.get("price", PRICE if before is None else before.price))
        asked = row.exec_type == "Replaced" or kind is X.REPLACE_REJECTED
        granted = next((each.price for each in its_order.pending_replaces if each.request_id == row.request), None)
        return ExecutionReport(
            exec_type=kind,
            client_order_id=its_order.client_order_id,
            ts_event=NOW + timedelta(seconds=row.number),
            symbol=its_order.symbol,
            venue_order_id=f"v-{its_order.client_order_id}",
            request_id=row.request if asked else None,
            trade_id=row.facts.get("exec", f"{its_order.client_order_id}.{row.step}") if trade else None,
            corrects=row.facts.get("ref"),
            last_quantity=_decimal(row.last) if trade else None,
            last_price=price if trade else None,
            filled_quantity=_decimal(row.cumulative),
            leaves_quantity=_decimal(row.leaves),
            quantity=_decimal(row.quantity),
            price=granted or its_order.price,
            order_status=ours(row, its_order)[0] if row.status else None,
        )


def ours(row: Row, its_order: Order) -> tuple[ExecutionStatus, str]:
    """Return the row's FIX status as our status and sub-state."""
    status, beside = STATUS[row.status or ""]
    cumulative = its_order.filled_quantity if row.cumulative is None else row.cumulative
    if status is BY_QUANTITY:
        if row.status == "DoneForDay" and row.leaves == 0:
            return S.EXPIRED, beside
        quantity = its_order.quantity if row.quantity is None else row.quantity
        status = S.FILLED if cumulative == quantity else S.PARTIALLY_FILLED if cumulative else S.SUBMITTED
    if status is S.CANCELLED and its_order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        status = S.EXPIRED
    return status, beside


def _decimal(number: int | None) -> Any:
    return None if number is None else D(number)


def play_and_check(scenario: Scenario, *, twice: bool = False) -> Book:
    """Play a scenario and compare quantities, terms, average price, status and sub-states after every row.

    Args:
        twice: every report comes again at once, which must change nothing.
    """
    book, pending = Book(scenario.facts), dict[str, str]()
    before: Order | None = None
    for row in scenario.rows:
        verdict = book.play(row)
        its_order = book.order(row)
        if its_order is None:
            continue
        where = f"{scenario.id} step {row.step}"
        pending = _unanswered(pending, row, its_order)
        _check_row(row, its_order, before, where)
        _check_sub_states(row, its_order, pending, scenario, where)
        if verdict is not None:
            assert row.facts.get("proof", verdict.proof.value) == verdict.proof.value, where
            _check_change(row, its_order, before, scenario, where)
        if twice and verdict is not None:
            book.play(row)
            assert book.order(row) == its_order, where
        before = its_order
    return book


def _check_row(row: Row, its_order: Order, before: Order | None, where: str) -> None:
    """The quantities and the status that the row shows are ours; where it shows none, nothing has changed."""
    same = before if before is not None and before.client_order_id == its_order.client_order_id else None
    venue = row.cumulative if row.cumulative is not None else same.filled_quantity if same is not None else 0
    filled = D(row.facts.get("known", venue))
    assert its_order.filled_quantity == filled, where
    if row.message == "ER" and row.quantity is not None:
        assert its_order.quantity == row.quantity, where
    leaves = its_order.quantity - filled if its_order.is_open else 0
    if row.leaves is not None and "known" not in row.facts:
        leaves = D(row.leaves)
    assert its_order.leaves_quantity == leaves, where
    if "avg" in row.facts:
        assert its_order.average_price == D(row.facts["avg"]), where
    assert its_order.status is _status(row, its_order, same), where
    assert its_order.outcome_unknown is (row.facts.get("ours") == "UNKNOWN"), where


def _status(row: Row, its_order: Order, same: Order | None) -> ExecutionStatus:
    said = row.facts.get("ours")
    if said is not None:
        return S.SUBMITTED if said == "UNKNOWN" else S(said)
    if "known" in row.facts and its_order.is_open:  # the venue counts more than we may: nothing has ended
        return S.PARTIALLY_FILLED if its_order.filled_quantity else S.SUBMITTED
    if row.status is not None:
        return ours(row, its_order)[0]
    return same.status if same is not None else S.PENDING


def _unanswered(pending: dict[str, str], row: Row, its_order: Order) -> dict[str, str]:
    """Return the requests that the venue has not answered after the row, and what each asks for."""
    if not (its_order.is_open or its_order.status is S.FILLED):
        return {}
    if row.message in ("CXL", "RPL"):
        return {**pending, row.request: row.message}
    answered = row.message == "REJ" or row.exec_type == "Replaced"
    return {name: what for name, what in pending.items() if not (answered and name == row.request)}


def _check_sub_states(row: Row, its_order: Order, pending: dict[str, str], scenario: Scenario, where: str) -> None:
    """Exactly the requests that were not answered are pending, and what FIX shows as pending is."""
    assert (its_order.pending_cancel is not None) is ("CXL" in pending.values()), where
    asked = [each.request_id for each in its_order.pending_replaces]
    wanted = [name for name, what in pending.items() if what == "RPL"]
    assert asked == wanted or (relaxes(scenario, "INV5") and set(asked) < set(wanted)), where
    if row.status is not None and (beside := ours(row, its_order)[1]):
        assert getattr(its_order, beside), where


def relaxes(scenario: Scenario, invariant: str) -> bool:
    """Return whether the page itself departs from the invariant."""
    return invariant in scenario.facts.get("relax", ())


def _check_change(row: Row, its_order: Order, before: Order | None, scenario: Scenario, where: str) -> None:
    """Hold the invariants INV1 to INV5, INV10 and INV11 of the matrices, each where it applies."""
    if before is None or before.client_order_id != its_order.client_order_id:
        return
    if its_order.is_open:
        assert its_order.leaves_quantity == its_order.quantity - its_order.filled_quantity, f"INV1: {where}"
    if row.exec_type not in ("TradeCancel", "TradeCorrect"):
        assert its_order.filled_quantity >= before.filled_quantity, f"INV2: {where}"
    if row.exec_type == "Trade":
        assert its_order.pending_replaces == before.pending_replaces, f"INV3: {where}"
        assert its_order.pending_cancel is before.pending_cancel, f"INV3: {where}"
        if its_order.status is S.FILLED and row.status == "PendingCancel":
            assert its_order.pending_cancel is not None, f"INV4: {where}"
    terms = (its_order.quantity, its_order.price) != (before.quantity, before.price)
    if row.exec_type not in ("Replaced", "Restated") and not relaxes(scenario, "INV5"):
        assert not terms, f"INV5: {where}"
    if row.exec_type == "Replaced":
        asked = next((each for each in before.pending_replaces if each.request_id == row.request), None)
        if asked is not None:
            assert its_order.quantity == max(asked.quantity, before.filled_quantity), f"INV10: {where}"
            assert its_order.price == asked.price, f"INV10: {where}"
    if before.status in (S.CANCELLED, S.EXPIRED, S.REJECTED):
        assert its_order.status is before.status, f"INV11: {where}"
