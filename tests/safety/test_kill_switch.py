"""A04 and A05: nothing new leaves where trading is halted, and the answer says how it is resumed, and by whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from router.domain.control import Halt, HaltScope
from router.domain.enums import OrderType
from router.domain.order import Order
from router.middleware import Submission
from router.safety.kill_switch import KillSwitch
from router.settings import Safety
from tests.factories import NOW, order, submission

LIMITS = Safety()
VENUES = {"paper": "paper", "testnet": "binance"}
WORKING = order(order_type=OrderType.LIMIT, price="100", quantity="2")


def halt(scope: HaltScope = HaltScope.ALL, name: str = "", **fields: Any) -> Halt:
    return Halt(scope=scope, name=name, at=NOW, operator="ann", reason="prices look wrong", **fields)


def objection(asked: Submission, found: Halt | None, *, reduces: bool = False) -> str | None:
    return KillSwitch(lambda *_: found, lambda *_: reduces, VENUES).objection(asked, LIMITS)


def amendment(**terms: str) -> Submission:
    wanted = order(order_type=OrderType.LIMIT, **{"price": "100", "quantity": "2", **terms})
    return submission(wanted, amends=WORKING)


def test_without_a_halt_everything_passes() -> None:
    assert objection(submission(order()), None) is None
    assert objection(amendment(quantity="3"), None) is None


def test_it_asks_for_exactly_the_orders_scopes() -> None:
    asked: list[tuple[str, str | None, str, str]] = []

    def blocking(*scopes: Any) -> None:
        asked.append(scopes)

    control = KillSwitch(blocking, lambda *_: False, VENUES)
    control.objection(submission(order(strategy_key="maker"), environment="testnet"), LIMITS)
    control.objection(submission(order(symbol="ETH/USD"), environment="shadow"), LIMITS)
    assert asked == [("testnet", "maker", "BTC/USD", "binance"), ("shadow", None, "ETH/USD", "")]


def test_it_says_what_is_halted_since_when_by_whom_why_and_how_to_resume() -> None:
    assert objection(submission(order()), halt()) == (
        "Everything is halted since 2025-12-09 14:32:45 UTC by ann: prices look wrong. Only cancels and amendments to "
        "less may leave. To resume: router resume --operator NAME --reason TEXT"
    )


@pytest.mark.parametrize("scope", [scope for scope in HaltScope if scope is not HaltScope.ALL])
def test_the_command_that_resumes_names_the_scope_as_a_shell_reads_it(scope: HaltScope) -> None:
    said = objection(submission(order()), halt(scope, "x; rm $HOME"))
    assert said is not None
    assert said.startswith(f"{scope.capitalize()} x; rm $HOME is halted since ")
    assert said.endswith(f"router resume --{scope} 'x; rm $HOME' --operator NAME --reason TEXT")


def test_a_control_that_halted_by_itself_is_named() -> None:
    said = objection(submission(order()), halt(control="P11_repeated_execution"))
    assert said is not None
    assert "UTC by P11_repeated_execution: prices look wrong. " in said


def test_orders_that_reduce_pass_only_where_the_halt_allows_them() -> None:
    assert objection(submission(order()), halt(allow_reducing=True), reduces=True) is None
    assert objection(submission(order()), halt(), reduces=True) is not None
    said = objection(submission(order()), halt(allow_reducing=True))
    assert said is not None
    assert "Cancels and what only reduces may leave." in said


def test_whether_it_reduces_is_asked_of_the_orders_own_environment() -> None:
    asked: list[tuple[str, Order]] = []

    def reduces(environment: str, its_order: Order) -> bool:
        asked.append((environment, its_order))
        return False

    control = KillSwitch(lambda *_: halt(allow_reducing=True), reduces, VENUES)
    its_order = order()
    control.objection(submission(its_order, environment="testnet"), LIMITS)
    assert asked == [("testnet", its_order)]


def test_an_amendment_to_less_passes_under_every_halt_and_no_other_does() -> None:
    assert objection(amendment(quantity="1"), halt()) is None
    for terms in ({"quantity": "3"}, {"price": "101"}, {"price": "99"}, {"price": "99", "quantity": "1"}):
        assert objection(amendment(**terms), halt()) is not None, terms


def test_no_time_ends_a_halt() -> None:
    long_ago = msgspec.structs.replace(halt(), at=NOW - timedelta(days=1000))
    assert objection(submission(order()), long_ago) is not None


def test_its_id_is_the_catalogues_and_nobody_confirms_past_it() -> None:
    control = KillSwitch(lambda *_: None, lambda *_: False, VENUES)
    assert (control.id, control.hard) == ("A04_kill_switch", True)
    assert control.limit(LIMITS) == "no halt in force"
