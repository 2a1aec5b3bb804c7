"""What stops trading names what it covers, and reads back from JSON as what it was."""

from __future__ import annotations

from datetime import UTC, date, datetime

import msgspec
import pytest

from router.domain.control import Closure, Controls, Halt, HaltScope, Ordered, covers

AT = datetime(2025, 12, 9, 12, tzinfo=UTC)
HALT = Halt(scope=HaltScope.STRATEGY, name="maker", at=AT, operator="anna", reason="a test")


@pytest.mark.parametrize(
    ("scope", "name", "text"),
    [
        (HaltScope.ALL, "", "everything"),
        (HaltScope.STRATEGY, "maker", "strategy maker"),
        (HaltScope.SYMBOL, "BTC/USD", "symbol BTC/USD"),
    ],
)
def test_a_halt_says_what_it_covers(scope: HaltScope, name: str, text: str) -> None:
    assert covers(scope, name) == text
    assert msgspec.structs.replace(HALT, scope=scope, name=name).what == text


def test_an_answer_and_a_state_read_back_as_they_were() -> None:
    closure = Closure(environment="paper", at=AT, operator="anna", reason="r", day=date(2025, 12, 9))
    done = Ordered(halt=HALT, closure=closure, cancelled=["U1"], still_halted=[HALT], note="look")
    assert msgspec.json.decode(msgspec.json.encode(done), type=Ordered) == done
    controls = Controls([HALT], {"paper": closure}, {"a": "1"}, {"a": "2"})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(controls), type=Controls) == controls
