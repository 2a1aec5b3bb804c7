"""The reckoning of a schedule: journal, what was told, and the venue's own book must tell one story.

It folds the journal's words itself (``tests.faults.checker.Recorded``): neither the tracker nor the transition table is
asked. This module must not know what went wrong on purpose.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from router.domain.events import Answered, AnyEvent, Cancelled, Expired, OrderEvent, Pending
from router.domain.result import ExecutionResult
from router.errors import JournalError
from router.journal.audit import verify
from tests.faults.checker import Recorded
from tests.pipelines import encoded, stored

D = Decimal
Delays: TypeAlias = list[float]
Book: TypeAlias = Mapping[str, Any]
_ENDED: Final = {"CANCELED", "EXPIRED", "REJECTED"}
_HERE: Final = {"NEW": {"SUBMITTED"}, "PARTIALLY_FILLED": {"PARTIALLY_FILLED"}, "FILLED": {"FILLED"}}
_NOT_PLACED: Final = {"REJECTED", "ERROR"}
_TOLERANCE_S: Final = 1.0  # of a busy machine, beside the window


def check(home: Path, book: Book) -> tuple[list[str], list[dict[str, Any]]]:
    """Return what is wrong, and what the routers told at their ends."""
    try:
        verify(home / "journal.db")
    except JournalError as error:
        return [f"the journal does not verify: {error}"], []
    events = stored(home)
    orders: dict[str, Recorded] = {}
    for event in events:
        name = getattr(event, "client_order_id", None) or ""
        if isinstance(event, Pending):
            orders[name] = Recorded(event)
        elif isinstance(event, OrderEvent) and name in orders:
            orders[name].take(event)
    told = [msgspec.json.decode(line) for line in (home / "told.jsonl").read_bytes().splitlines()]
    endings = [line for line in told if "held" in line]
    wrong = [*_placed(orders, book), *_answers(events, told)]
    wrong += [f"{name}: still unproved at the end" for each in endings[-1:] for name in each["unproved"]]
    wrong += _balances(endings, book)
    return [f"{each}\n{_story(events, book, each.partition(':')[0])}" for each in wrong], endings


def _placed(orders: Mapping[str, Recorded], book: Book) -> Iterator[str]:
    """Every order there is one here, placed once, with the same trades, the same end and the same terms."""
    there: dict[str, list[Any]] = defaultdict(list)
    trades: dict[int, list[tuple[str, D, D]]] = defaultdict(list)
    for trade in book["trades"]:
        trades[trade["order_id"]].append((str(trade["id"]), D(trade["quantity"]), D(trade["price"])))
    for order in book["orders"]:
        if not order["foreign"]:
            there[order["client_id"]].append(order)
    for name, found in there.items():
        if len(found) > 1:
            yield f"{name}: DOUBLED: {len(found)} orders with one id"
        if name not in orders:
            yield f"{name}: ORPHAN: the journal does not know it"
    for name, order in orders.items():
        if name not in there:
            if order.status not in _NOT_PLACED:
                yield f"{name}: {order.status} here, and not at the venue"
            continue
        booked = there[name][0]
        yield from (f"{name}: {what}" for what in _compare(order, booked, trades[booked["id"]]))


def _compare(order: Recorded, booked: Any, trades: list[tuple[str, D, D]]) -> Iterator[str]:
    if sorted(order.trades) != sorted(trades):
        yield f"trades differ: {order.trades} here, {trades} there"
    refused = booked["post_only"] and booked["status"] == "CANCELED" and not trades
    if order.status in _NOT_PLACED and not refused:
        yield f"LOST: {order.status} here, {booked['status']} at the venue"
    elif booked["status"] in _ENDED:
        if order.status not in {"CANCELLED", "EXPIRED"} and not refused:
            yield f"{order.status} here, {booked['status']} there"
    elif order.status not in _HERE[booked["status"]]:
        yield f"{order.status} here, {booked['status']} there"
    elif booked["status"] != "FILLED" and order.price is not None:
        terms = D(booked["quantity"]), D(booked["price"])
        if (order.quantity, order.price) != terms:
            yield f"terms differ: {order.quantity} at {order.price} here, {terms} there"


def _answers(events: list[AnyEvent], told: list[dict[str, Any]]) -> Iterator[str]:
    """Every intent has one durable answer, and it is the one that was told, however often it was sent."""
    durable = [event.result for event in events if isinstance(event, Answered)]
    by_intent = {result.order_intent.intent_id: encoded(result) for result in durable}
    if len(by_intent) != len(durable):
        yield ": an intent has two durable answers"
    for line in told:
        if "answer" in line:
            result = msgspec.convert(line["answer"], ExecutionResult)
            if by_intent.get(result.order_intent.intent_id) != encoded(result):
                yield f"{result.client_order_id}: told {result.status} ({result.reason}), not so in the journal"


def _balances(endings: list[dict[str, Any]], book: Book) -> Iterator[str]:
    """What the router holds is what the venue holds, without what others did."""
    if not endings:
        yield ": no ending was told"
        return
    foreign = {order["id"] for order in book["orders"] if order["foreign"]}
    others: dict[str, D] = defaultdict(D)
    for trade in book["trades"]:
        if trade["order_id"] in foreign:
            sign = 1 if trade["side"] == "BUY" else -1
            others["BTC"] += sign * D(trade["quantity"])
            others["USDT"] -= sign * D(trade["quantity"]) * D(trade["price"])
            others[trade["fee_currency"]] -= D(trade["fee"])
    last = endings[-1]
    ours = {"USDT": D(last["cash"]["USDT"]), "BTC": D(last["cash"]["BTC"]) + D(last["held"])}
    for currency, amount in ours.items():
        there = D(book["balances"][currency]["free"]) + D(book["balances"][currency]["locked"]) - others[currency]
        if there != amount:
            yield f": the router holds {amount} {currency}, the venue {there} (others: {others[currency]})"


def delays(home: Path, book: Book) -> Delays:
    """Return how long each trade and each end that nobody asked for took to be emitted, s: for schedules without a
    stream. The venue's clock is ours there."""
    told_at: dict[str, datetime] = {}
    ended_at: dict[str, datetime] = {}
    for event in stored(home):
        trade_id = getattr(event, "trade_id", None)
        if trade_id is not None:
            told_at[str(trade_id)] = event.ts_recorded
        if isinstance(event, Cancelled | Expired):
            ended_at[event.client_order_id or ""] = event.ts_recorded
    found = [(told_at[str(trade["id"])], trade["at_ms"]) for trade in book["trades"] if str(trade["id"]) in told_at] + [
        (ended_at[order["client_id"]], order["updated_ms"])
        for order in book["orders"]
        if order["status"] in _ENDED and order["client_id"] in ended_at
    ]
    return [round((here - datetime.fromtimestamp(there / 1000, UTC)).total_seconds(), 3) for here, there in found]


def _story(events: list[AnyEvent], book: Book, name: str) -> str:
    lines = []
    for event in events:
        about = event.report.client_order_id if hasattr(event, "report") else getattr(event, "client_order_id", None)
        if name and about == name:
            fields = {k: v for k, v in msgspec.to_builtins(event).items() if k not in _DULL and v is not None}
            lines.append(f"    {fields}")
    found = [order for order in book["orders"] if order["client_id"] == name]
    return "\n".join([*lines, *(f"    venue: {order}" for order in found)])


_DULL: Final = {"run_id", "client_order_id", "account", "intent", "reference", "session_id", "result"}
