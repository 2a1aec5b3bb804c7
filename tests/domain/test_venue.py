"""What a venue shows becomes a statement about our order, with every number as it was shown."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from router.domain.enums import ExecType, ExecutionStatus, Liquidity
from router.domain.venue import VenueBook, VenueOrder, VenueTrade
from tests.factories import BUY, NOW, D

X = ExecType
ORDER = VenueOrder(
    symbol="BTC/USD",
    client_order_id="as the venue spells it",
    venue_order_id="v1",
    status=ExecutionStatus.EXPIRED,
    at=NOW - timedelta(seconds=3),
    side=BUY,
    quantity=D("1.50"),
    filled_quantity=D("0.40"),
    price=D("99.5"),
    reason="its time was over",
)
TRADE = VenueTrade(
    symbol="BTC/USD",
    trade_id="t1",
    venue_order_id="v1",
    side=BUY,
    quantity=D("0.40"),
    price=D("99.25"),
    at=NOW - timedelta(seconds=4),
    fee=D("-0.01"),
    fee_currency="BNB",
    liquidity=Liquidity.MAKER,
)


@pytest.mark.parametrize("kind", [X.ORDER_STATUS, X.RESTATED])
def test_a_picture_says_all_it_shows_of_our_order_at_the_venues_time(kind: ExecType) -> None:
    said = msgspec.structs.asdict(ORDER.report("U1", kind))
    assert {name: value for name, value in said.items() if value is not None} == {
        "exec_type": kind,
        "client_order_id": "U1",
        "ts_event": ORDER.at,
        "venue_order_id": "v1",
        "order_status": ExecutionStatus.EXPIRED,
        "filled_quantity": D("0.40"),
        "quantity": D("1.50"),
        "price": D("99.5"),
        "reason": "its time was over",
    }


def test_a_picture_that_shows_little_says_no_more() -> None:
    bare = VenueOrder(symbol="BTC/USD", client_order_id=None, venue_order_id=None, status=None, at=NOW)
    said = msgspec.structs.asdict(bare.report("U1", X.RESTATED))
    assert {name for name, value in said.items() if value is not None} == {"exec_type", "client_order_id", "ts_event"}


def test_a_trade_says_all_of_itself_and_counts_nothing() -> None:
    said = msgspec.structs.asdict(TRADE.report("U1"))
    assert {name: value for name, value in said.items() if value is not None} == {
        "exec_type": X.TRADE,
        "client_order_id": "U1",
        "ts_event": TRADE.at,
        "symbol": "BTC/USD",
        "venue_order_id": "v1",
        "trade_id": "t1",
        "last_quantity": D("0.40"),
        "last_price": D("99.25"),
        "fee": D("-0.01"),
        "fee_currency": "BNB",
        "liquidity": Liquidity.MAKER,
    }


def test_a_book_is_one_moment_and_cannot_be_changed() -> None:
    book = VenueBook(orders=(ORDER,), trades=(TRADE,), balances={"USD": D(1)}, at=NOW)
    with pytest.raises(AttributeError):
        book.orders = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        ORDER.status = None  # type: ignore[misc]
