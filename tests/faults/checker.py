"""The reckoning: the journal, what was told, and the venue's book must tell one story.

It folds the journal's words itself: neither the tracker nor the transition table is asked. Everything found is a line
that names the order, with both sides' story below it. This module must not know how the routers were killed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from router import ExecutionResult
from router.domain.events import (
    AlertRaised,
    AmendmentAnswered,
    Answered,
    AnyEvent,
    Cancelled,
    Expired,
    Filled,
    OrderEvent,
    OutcomeUnknown,
    PartiallyFilled,
    Pending,
    PendingReplace,
    Rejected,
    Replaced,
    ReplaceRejected,
    Submitted,
)
from router.errors import JournalError
from router.journal.audit import verify
from tests.faults.venue import Booked, Dump
from tests.pipelines import encoded, stored

_ENDS = {Cancelled: "CANCELLED", Expired: "EXPIRED", Rejected: "REJECTED"}
_NOT_OPEN = {"FILLED", "CANCELLED", "EXPIRED", "REJECTED", "ERROR"}


class Recorded:
    """One order as the journal tells it."""

    def __init__(self, pending: Pending) -> None:
        assert isinstance(pending.intent.quantity, Decimal)
        self.side = str(pending.intent.side)
        self.quantity = pending.intent.quantity
        self.price = Decimal(str(pending.intent.price)) if pending.intent.price is not None else None
        self.trades: list[tuple[str, Decimal, Decimal | None]] = []
        self.ended: str | None = None
        self.proved = False
        self.asked: dict[str, tuple[Decimal, Decimal | None]] = {}
        self.replies: dict[str, str] = {}

    @property
    def filled(self) -> Decimal:
        return sum((quantity for _, quantity, _ in self.trades), Decimal(0))

    @property
    def status(self) -> str:
        if self.ended is not None:
            return self.ended
        if self.filled == self.quantity:
            return "FILLED"
        return "PARTIALLY_FILLED" if self.filled else "SUBMITTED" if self.proved else "UNPROVED"

    def take(self, event: OrderEvent) -> None:
        if isinstance(event, PartiallyFilled | Filled):
            self.trades.append((event.trade_id, event.last_quantity or Decimal(0), event.last_price))
        elif isinstance(event, PendingReplace):
            self.asked[event.request_id] = event.quantity, event.price
        elif isinstance(event, Replaced):
            self.quantity, self.price = event.quantity, event.price
            if event.request_id is not None:
                self.replies[event.request_id] = "granted"
        elif isinstance(event, ReplaceRejected):
            self.replies[event.request_id] = "refused"
        elif type(event) in _ENDS:
            self.ended = _ENDS[type(event)]
        if not isinstance(event, OutcomeUnknown | Pending):
            self.proved = self.proved or isinstance(event, Submitted | PartiallyFilled | Filled | Replaced)


class Telling(NamedTuple):
    """Everything a check looks at."""

    events: list[AnyEvent]
    orders: dict[str, Recorded]
    told: list[dict[str, Any]]
    dump: Dump


def check(home: Path, dump: Dump) -> list[str]:
    """Return what is wrong, each with the story of its order from both sides; [] when all agree."""
    try:
        verify(home / "journal.db")
    except JournalError as error:
        return [f"the journal does not verify: {error}"]
    events = stored(home)
    lines = (home / "told.jsonl").read_bytes().splitlines()
    telling = Telling(events, {}, [msgspec.json.decode(line) for line in lines], dump)
    found: list[tuple[str, str]] = [*_fold(telling), *_submissions(telling), *_answers(telling), *_words(telling)]
    for name in sorted(telling.orders.keys() & dump.orders.keys()):
        found += ((name, what) for what in _compare(telling.orders[name], dump.orders[name]))
    found += _ending(telling)
    return [f"{what}\n{story(telling, name)}" if name else what for name, what in found]


def _fold(telling: Telling) -> Iterator[tuple[str, str]]:
    for event in telling.events:
        name = getattr(event, "client_order_id", None)
        if isinstance(event, Pending):
            if name in telling.orders:
                yield name, "two Pending of one order"
            telling.orders[name or ""] = Recorded(event)
        elif isinstance(event, OrderEvent) and name in telling.orders:
            telling.orders[name].take(event)


def _submissions(telling: Telling) -> Iterator[tuple[str, str]]:
    """Every order at the venue is one order here, and handed over once."""
    for name in telling.dump.doubles:
        yield name, "DOUBLED: the venue was sent one client_order_id twice"
    for name in telling.dump.orders.keys() - telling.orders.keys():
        yield name, "the venue has an order that the journal does not know"
    for name, order in telling.orders.items():
        booked = name in telling.dump.orders
        if booked and order.status in {"REJECTED", "ERROR"}:
            yield name, f"LOST: {order.status} here, but it is in the venue's book"
        elif not booked and order.status not in {"REJECTED", "ERROR"}:
            yield name, f"{order.status} here, but it is not in the venue's book"


def _answers(telling: Telling) -> Iterator[tuple[str, str]]:
    """Every intent has one durable answer, and it is true."""
    answers: dict[str, list[ExecutionResult]] = defaultdict(list)
    for event in telling.events:
        if isinstance(event, Answered):
            answers[event.client_order_id or ""].append(event.result)
    for name in telling.orders.keys() | answers.keys():
        if len(answers[name]) != 1:
            yield name, f"{len(answers[name])} durable answers to one intent"
        booked = name in telling.dump.orders
        for result in answers[name]:
            if (result.status == "SUCCESS" and not booked) or (result.status == "REJECTED" and booked):
                yield name, f"answered {result.status}, in the venue's book: {booked}"


def _words(telling: Telling) -> Iterator[tuple[str, str]]:
    """What was told is what is durable, and so at the venue."""
    durable = {
        event.run_id: event.result for event in telling.events if isinstance(event, Answered | AmendmentAnswered)
    }
    for line in telling.told:
        document = line.get("cancelled")
        if document is not None and document["status"] in _NOT_OPEN:
            name = document["client_order_id"]
            status = telling.orders[name].status
            if status != document["status"]:
                yield name, f"told that it is {document['status']}, now it is {status}"
        if "answer" in line or "amended" in line:
            result = msgspec.convert(line.get("answer") or line["amended"], ExecutionResult)
            name, known = result.client_order_id or "", durable.get(result.run_id)
            if known is None or encoded(known) != encoded(result):
                yield name, f"told, but not so in the journal: {line}"
            booked = telling.dump.orders.get(name)
            if "amended" in line and not _amended(result, booked):
                applied = booked is not None and result.run_id in booked.applied
                yield name, f"amendment {result.run_id} told {result.status}, applied there: {applied}"


def _amended(result: ExecutionResult, booked: Booked | None) -> bool:
    """Whether the verdict on an amendment agrees with what the venue ever had in force."""
    asked = Decimal(str(result.order_intent.quantity)), Decimal(str(result.order_intent.price))
    if result.status == "SUCCESS":
        return booked is not None and asked in booked.terms
    return result.status != "REJECTED" or booked is None or result.run_id not in booked.applied


def _compare(order: Recorded, booked: Booked) -> Iterator[str]:
    """Trades, end and terms agree."""
    here = sorted((name, quantity, price) for name, quantity, price in order.trades)
    there = sorted((trade.trade_id, trade.quantity, trade.price) for trade in booked.trades)
    if here != there:
        yield f"trades differ: {_plain(here)} here, {_plain(there)} there"
    if order.status != booked.status:
        yield f"{order.status} here, {booked.status} there"
    # What an ended order would have traded on matters to nobody: terms that came into force unseen may stay unseen.
    unanswered = order.status in _NOT_OPEN and order.asked.keys() - order.replies.keys()
    if (order.quantity, order.price) != (booked.quantity, booked.price) and not unanswered:
        both = f"{order.quantity} at {order.price} here, {booked.quantity} at {booked.price} there"
        yield f"terms differ: {both}"
    for request_id, terms in order.asked.items():
        reply = order.replies.get(request_id)
        if (reply == "granted" and terms not in booked.terms) or (reply == "refused" and request_id in booked.applied):
            yield f"replacement {request_id} is {reply} here, applied there: {request_id in booked.applied}"


def _plain(trades: Iterable[tuple[object, ...]]) -> str:
    return "; ".join(" ".join(str(part) for part in trade) for trade in trades) or "none"


def _ending(telling: Telling) -> Iterator[tuple[str, str]]:
    """The last router had nothing unproved, and its position was the sum of the venue's trades."""
    last = next((line for line in reversed(telling.told) if "position" in line), None)
    if last is None:
        yield "", "no position was told: the last life did not end well"
        return
    for name in last["unproved"]:
        yield name, "still unproved at the end"
    signed = (
        trade.quantity if order.side == "buy" else -trade.quantity
        for order in telling.dump.orders.values()
        for trade in order.trades
    )
    total = sum(signed, Decimal(0))
    held = Decimal(last["position"]["quantity"]) if last["position"] is not None else Decimal(0)
    if held != total:
        yield "", f"the position is {held}, the venue's trades add up to {total}"


def story(telling: Telling, name: str) -> str:
    """Return what the journal and the venue say about one order."""
    lines = [f"  order {name}, the journal:"]
    for event in telling.events:
        about = event.report.client_order_id if hasattr(event, "report") else getattr(event, "client_order_id", None)
        if about == name and not isinstance(event, AlertRaised):
            lines.append(f"    {_short(event)}")
    booked = telling.dump.orders.get(name)
    lines.append("  the venue:" if booked is not None else "  the venue does not know it")
    if booked is not None:
        lines.append(f"    {msgspec.json.encode(booked).decode()}")
    return "\n".join(lines)


def _short(event: AnyEvent) -> str:
    """Return one event in a line, without what the story does not need."""
    fields = msgspec.to_builtins(event)
    if isinstance(event, Answered | AmendmentAnswered):
        return f"{event.seq} {event.event} {event.result.status}/{event.result.order_status} run_id={event.run_id}"
    if "report" in fields:
        fields |= fields.pop("report")
    if "intent" in fields:
        fields |= fields.pop("intent")
    words = " ".join(f"{name}={fields[name]}" for name in _TOLD if fields.get(name) is not None)
    return f"{event.seq} {event.ts_recorded:%M:%S.%f} {event.event} {words}"


_TOLD = (
    "exec_type",
    "side",
    "quantity",
    "price",
    "request_id",
    "trade_id",
    "last_quantity",
    "filled_quantity",
    "reason",
)
