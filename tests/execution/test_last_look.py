"""The last look sees what the kill switch sees, and does not take an order's own hold for another order."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from router.domain.control import Halt, HaltScope
from router.domain.order import Order
from router.execution.last_look import LastLook, reducing
from router.middleware import Submission
from tests.factories import BUY, SELL, account, intent, order, submission

HALT = Halt(scope=HaltScope.ALL, name="", at=datetime(2025, 1, 1, tzinfo=UTC), operator="anna", reason="a test")
LAX = Halt(scope=HaltScope.ALL, name="", at=HALT.at, operator="anna", reason="a test", allow_reducing=True)


def sent(made: Order, amends: Order | None = None) -> Submission:
    found = submission(made, intent=intent())
    found.amends = amends
    return found


@pytest.mark.parametrize(
    ("halt", "reduces", "amends", "stops"),
    [
        (None, False, None, False),
        (HALT, True, None, True),
        (LAX, False, None, True),
        (LAX, True, None, False),
        (HALT, False, order(quantity="2"), False),  # it asks for less of what works
        (HALT, True, order(quantity="0.5"), True),
    ],
)
def test_what_a_halt_stops(halt: Halt | None, reduces: bool, amends: Order | None, stops: bool) -> None:
    asked: list[Any] = []

    def blocking(*names: Any) -> Halt | None:
        asked.append(names)
        return halt

    look = LastLook(blocking, lambda *_: reduces, {"paper": "its venue"})
    made = sent(order(strategy_key="maker", quantity="1"), amends)
    assert look(made) == (halt if stops else None)
    assert asked == ([] if made.only_takes_away else [("paper", "maker", "BTC/USD", "its venue")])


def test_an_order_reduces_whether_it_is_held_already_or_not() -> None:
    its = account()
    its.portfolio.fill("BTC/USD", BUY, Decimal(1), Decimal(50000), Decimal(0), "USD")
    known: dict[str, Order] = {}
    reduces = reducing({"paper": its}, known.get)
    out = order(side=SELL, quantity="0.75")
    assert reduces("paper", out)
    known[out.client_order_id] = out
    its.holds.set(out, out.quantity)
    assert reduces("paper", out), "its own hold is not in its way"
    assert its.holds.working("BTC/USD").sells == out.quantity, "and still there"
    assert not reduces("paper", order(side=SELL, quantity="0.5", client_order_id="U2")), "0.75 are on their way out"
    assert not reduces("paper", order(side=BUY, client_order_id="U3"))
