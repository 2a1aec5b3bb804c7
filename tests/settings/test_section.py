"""A section checks and converts itself, however it is made."""

from __future__ import annotations

from decimal import Decimal

import pytest

from router.errors import ConfigError
from router.settings.fit import MisfitError
from router.settings.section import Section, Symbol


class Toy(Section, frozen=True, kw_only=True):
    amount: Decimal = Decimal(1)
    symbols: tuple[Symbol, ...] = ()

    def check(self) -> None:
        if self.amount > 10:
            raise MisfitError(("amount",), "is too much")


def test_raw_values_become_what_their_keys_ask_for() -> None:
    made = Toy(amount="2.50", symbols=["BTC/USD"])  # type: ignore[arg-type]
    assert made.amount == Decimal("2.50")
    assert made.symbols == ("BTC/USD",)


def test_what_does_not_fit_is_refused_with_its_key() -> None:
    with pytest.raises(ConfigError, match="amount must be a number"):
        Toy(amount="many")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match='symbols must be a symbol like "BTC/USD"; found "BTCUSD"'):
        Toy(symbols=("BTCUSD",))


def test_what_no_single_type_can_show_is_checked_last() -> None:
    with pytest.raises(ConfigError, match="amount is too much"):
        Toy(amount="11")  # type: ignore[arg-type]


def test_a_section_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Toy().amount = Decimal(2)  # type: ignore[misc]
