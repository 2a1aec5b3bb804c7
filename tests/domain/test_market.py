"""What the market said, as values."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OrderSide
from router.domain.market import Trade
from tests.factories import BUY, NOW, PROPERTY, SELL, D, instrument, quote

prices = st.decimals("0.00000001", "1000000", places=8)


def test_a_buy_takes_the_ask_and_a_sell_the_bid() -> None:
    assert quote("99", "101").touch(BUY) == D(101)
    assert quote("99", "101").touch(SELL) == D(99)


@settings(PROPERTY, max_examples=50)
@given(prices, prices)
def test_the_mark_is_exactly_halfway(bid: Decimal, ask: Decimal) -> None:
    mid = quote(str(bid), str(ask)).mid
    assert mid - bid == ask - mid


def test_an_instrument_may_be_traded_unless_it_says_otherwise() -> None:
    assert instrument().tradable
    assert not instrument(tradable=False).tradable


@pytest.mark.parametrize(
    "value",
    [instrument(), quote(), Trade("BTC/USD", OrderSide.BUY, D(1), D(1), "1", NOW)],
    ids=["instrument", "quote", "trade"],
)
def test_values_cannot_be_changed(value: object) -> None:
    with pytest.raises(AttributeError):
        value.symbol = "ETH/USD"  # type: ignore[attr-defined]
