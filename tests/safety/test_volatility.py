"""A10: while a market moves unusually far, only what reduces may leave."""

from __future__ import annotations

from decimal import Decimal

import pytest

from router.domain.enums import OrderType
from router.domain.order import Order
from router.middleware import Submission
from router.safety.volatility import Volatility
from router.settings import Safety
from tests.factories import D, order, submission

LIMITS = Safety(volatility_pct=Decimal(10), volatility_window_s=60)
OFF = Safety(volatility_pct=None)


def objection(moved: str | None, *, asked: Submission | None = None, reduces: bool = False) -> str | None:
    control = Volatility(lambda *_: None if moved is None else D(moved), lambda *_: reduces)
    return control.objection(asked or submission(order()), LIMITS)


@pytest.mark.parametrize(("moved", "calm"), [("0", True), ("0.1", True), ("0.1001", False), ("9", False)])
def test_up_to_the_limit_a_market_may_move(moved: str, calm: bool) -> None:
    assert (objection(moved) is None) is calm


def test_it_says_how_far_the_market_moved_and_what_may_still_leave() -> None:
    assert objection("0.1234") == (
        "BTC/USD moved 12.34 % within 60 s, more than safety.volatility_pct = 10: only orders that reduce may leave "
        "until it has calmed down."
    )


def test_what_reduces_leaves_however_far_it_moves() -> None:
    assert objection("0.5", reduces=True) is None


def test_an_amendment_to_less_leaves_and_one_to_more_does_not() -> None:
    working = order(order_type=OrderType.LIMIT, price="100", quantity="2")
    for quantity, leaves in (("1", True), ("3", False)):
        asked = submission(order(order_type=OrderType.LIMIT, price="100", quantity=quantity), amends=working)
        assert (objection("0.5", asked=asked) is None) is leaves


def test_a_market_of_which_no_motion_is_known_is_another_controls_affair() -> None:
    assert objection(None) is None


def test_it_asks_about_the_orders_own_symbol_window_and_environment() -> None:
    moved: list[tuple[str, float]] = []
    reduced: list[tuple[str, Order]] = []

    def motion(symbol: str, window_s: float) -> Decimal:
        moved.append((symbol, window_s))
        return D(1)

    def reduces(environment: str, its_order: Order) -> bool:
        reduced.append((environment, its_order))
        return True

    its_order = order(symbol="ETH/USD")
    limits = Safety(volatility_window_s=7)
    assert Volatility(motion, reduces).objection(submission(its_order, environment="shadow"), limits) is None
    assert moved == [("ETH/USD", 7.0)]
    assert reduced == [("shadow", its_order)]


def test_switched_off_it_objects_to_nothing_and_says_so() -> None:
    def motion(symbol: str, window_s: float) -> Decimal:
        raise AssertionError("nobody has to know")

    control = Volatility(motion, lambda *_: False)
    assert control.objection(submission(order()), OFF) is None
    assert (control.limit(OFF), control.limit(LIMITS)) == ("off", "10 % within 60 s")


def test_its_id_is_the_catalogues() -> None:
    assert (Volatility.id, Volatility.hard) == ("A10_volatility", True)
