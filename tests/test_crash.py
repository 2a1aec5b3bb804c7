"""kill -9 at any moment changes nothing: a real process is killed again and again on one journal, then checked."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from router import ExecutionResult, ExecutionStatus
from router.domain.events import Answered, AnyEvent, Filled, OrderEvent, PartiallyFilled, Pending
from router.domain.portfolio import Position
from router.ids import client_order_id
from router.journal.audit import verify
from tests.crash_child import intents
from tests.pipelines import encoded, stored

SEED: Final = 20251209
COUNT: Final = 20_000
KILLS: Final = 22
ROOT = Path(__file__).resolve().parent.parent


def run(home: Path, turn: int, count: int, kill_after: tuple[str, float] | None) -> list[bytes]:
    """Run the child; return what it printed. ``kill_after``: ("seconds", since start) or ("answers", a number)."""
    printed: list[bytes] = []
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crash_child", str(home), str(SEED), str(count), str(turn)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        timer = threading.Timer(kill_after[1] if kill_after and kill_after[0] == "seconds" else 60, child.kill)
        timer.start()
        try:
            for line in child.stdout:
                printed.append(line)
                if kill_after and kill_after[0] == "answers" and len(printed) > kill_after[1]:
                    child.kill()
            if kill_after is None:
                child.wait(60)  # its output has ended, it has not
        finally:
            timer.cancel()
            child.kill()
        errors = child.stderr.read().decode()
        code = child.wait()
    assert code in ({0} if kill_after is None else {0, -9}), errors
    assert errors == ""
    whole = (line.rstrip(b"\n") for line in printed if line.endswith(b"\n"))  # the last may be cut by the kill
    return [line for line in whole if line.startswith(b"{")]


def check(home: Path, printed: list[bytes]) -> list[AnyEvent]:
    """Check what must hold at any moment, dead or alive."""
    events = stored(home)
    assert verify(home / "journal.db").events == len(events)
    answers: dict[str, bytes] = {}
    filled: dict[str, Decimal] = defaultdict(Decimal)
    wanted: dict[str, Decimal] = {}
    for event in events:
        if isinstance(event, Pending):
            assert event.client_order_id not in wanted, "two Pending"
            wanted[event.client_order_id or ""] = event.intent.quantity
        elif isinstance(event, Answered):
            assert event.client_order_id not in answers, "two answers"
            answers[event.client_order_id or ""] = encoded(event.result)
        elif isinstance(event, PartiallyFilled | Filled):
            assert event.last_quantity is not None
            filled[event.client_order_id or ""] += event.last_quantity
    for key, quantity in filled.items():
        assert quantity <= wanted[key], "overfilled"
    for line in printed:
        result = msgspec.json.decode(line, type=ExecutionResult)
        assert answers[result.client_order_id or ""] == encoded(result), "printed, but not so in the journal"
    return events


def test_kill_9_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    printed: list[bytes] = []
    for turn in range(KILLS):
        early = ("seconds", chance.uniform(0.15, 0.7))  # anywhere, most often during start-up and recovery
        moment = ("answers", float(chance.randint(1, 60))) if turn % 3 else early
        printed += run(tmp_path, turn, COUNT, moment)
        if printed:
            check(tmp_path, printed)
    events = check(tmp_path, printed)
    answered = sum(isinstance(event, Answered) for event in events)
    assert 200 < answered < COUNT, "the kills came too early or too late to mean anything"

    # Finish: everything that was ever begun, and some more, to its one answer.
    begun = {event.client_order_id for event in events if isinstance(event, OrderEvent)}
    numbers = {client_order_id(f"crash {number}"): number for number in range(COUNT)}
    last = max(numbers[key] for key in begun if key is not None) + 50
    printed += run(tmp_path, KILLS, last, None)
    events = check(tmp_path, printed)
    answers = Counter(event.client_order_id for event in events if isinstance(event, Answered))
    assert answers == {client_order_id(f"crash {number}"): 1 for number in range(last)}
    expected = {client_order_id(each.intent_id): each for each in intents(SEED, last)}
    for event in events:
        if isinstance(event, Answered):
            assert event.result.order_intent == expected[event.client_order_id or ""]
    statuses = {event.status for event in events if isinstance(event, Answered)}
    assert {ExecutionStatus.SUCCESS, ExecutionStatus.INVALID, ExecutionStatus.BLOCKED_BY_RISK} <= statuses
    position = position_of(tmp_path)  # its market may fill what rests
    assert position == folded(check(tmp_path, printed))


def folded(events: list[AnyEvent]) -> Position:
    """Return the position that the fills add up to."""
    sides = {event.client_order_id: event.intent.side for event in events if isinstance(event, Pending)}
    position = Position()
    for event in events:
        if isinstance(event, PartiallyFilled | Filled):
            assert event.last_quantity is not None
            assert event.last_price is not None
            from router import OrderSide

            side = OrderSide(sides[event.client_order_id])
            position = position.after(side, event.last_quantity, event.last_price)
    return position


def position_of(home: Path) -> Position:
    """Return the position that a router started on the journal ends with."""
    import asyncio

    from router import ExecutionPipeline
    from tests.pipelines import settings

    async def look() -> Position:
        async with ExecutionPipeline("paper", settings(home)) as pipeline:
            pass
        return pipeline.positions()["BTC/USD"]

    return asyncio.run(look())
