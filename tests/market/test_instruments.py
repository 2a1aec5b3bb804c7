"""What may be traded, and the mistakes a person makes writing it down."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from router.errors import ConfigError
from router.market.instruments import likely_symbol, load_instruments

GOOD = {
    "base": '"BTC"',
    "quote": '"USD"',
    "tick_size": '"0.01"',
    "lot_size": "0.00001",
    "min_quantity": '"0.00001"',
    "max_quantity": "100",
    "min_notional": '"5"',
    "tradable": "true",
}


def write(folder: Path, symbol: str = "BTC/USD", /, **changes: str | None) -> Path:
    keys = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    path = folder / "instruments.toml"
    path.write_text(f'["{symbol}"]\n' + "".join(f"{key} = {value}\n" for key, value in keys.items()))
    return path


def test_numbers_are_exact(tmp_path: Path) -> None:
    (instrument,) = load_instruments(write(tmp_path)).values()
    assert instrument.symbol == "BTC/USD"
    assert instrument.lot_size == Decimal("0.00001")
    assert instrument.max_quantity == 100
    assert instrument.tradable


def test_a_perpetual_is_a_symbol_too(tmp_path: Path) -> None:
    path = write(tmp_path, "BTC/USDT:USDT", quote='"USDT"', tradable="false")
    assert not load_instruments(path)["BTC/USDT:USDT"].tradable


def test_tradable_is_the_default(tmp_path: Path) -> None:
    assert load_instruments(write(tmp_path, tradable=None))["BTC/USD"].tradable


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"tick_size": None}, '"BTC/USD".tick_size is missing'),
        ({"tick_size": '"0"'}, '"BTC/USD".tick_size must be a number above 0; found 0'),
        ({"lot_size": "-1"}, '"BTC/USD".lot_size must be a number above 0; found -1'),
        ({"min_quantity": '"0"'}, '"BTC/USD".min_quantity must be a number above 0'),
        ({"min_notional": '"-0.1"'}, '"BTC/USD".min_notional must be a number at least 0'),
        ({"max_quantity": '"many"'}, "\"BTC/USD\".max_quantity must be a number; 'many' is not a number"),
        ({"max_quantity": "true"}, '"BTC/USD".max_quantity must be a number'),
        ({"max_quantity": "nan"}, '"BTC/USD".max_quantity must be a number'),
        ({"max_quantity": '"0.000001"'}, '"BTC/USD".max_quantity must not be below min_quantity'),
        ({"base": '"ETH"'}, '"BTC/USD".base contradicts the symbol: must be "BTC"'),
        ({"quote": '"USDT"'}, '"BTC/USD".quote contradicts the symbol: must be "USD"'),
        ({"tradable": '"yes"'}, '"BTC/USD".tradable must be true or false'),
        ({"tick_sise": "1"}, '"BTC/USD".tick_sise is not a known key; did you mean "BTC/USD".tick_size?'),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, changes: dict[str, str | None], complaint: str) -> None:
    path = write(tmp_path, "BTC/USD", **changes)
    with pytest.raises(ConfigError) as caught:
        load_instruments(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("text", ["BTCUSD = 1\n", '"BTC/USD" = 1\n', '["BTC USD"]\n'])
def test_anything_but_tables_by_symbol_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "instruments.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"instruments\.toml: \"BTC.USD\"|\"BTCUSD\" must be a symbol"):
        load_instruments(path)


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_instruments(tmp_path / "nothing.toml")


SYMBOLS = ["BTC/USD", "BTC/USDT", "BTC/EUR", "ETH/USD", "ETH/USDT", "BTC/USDT:USDT"]


@pytest.mark.parametrize("text", ["BTC-USDT", "BTCUSDT", "btc/usdt", "BTC/USDTT", "BTC_USDT", " BTC/USDT "])
def test_a_misspelt_symbol_is_recognised(text: str) -> None:
    assert likely_symbol(text, SYMBOLS) == "BTC/USDT"


@pytest.mark.parametrize("text", ["DOGE/GBP", "", None, 7, "B" * 1000, "\x00"])
def test_what_resembles_nothing_stays_nothing(text: object) -> None:
    assert likely_symbol(text, SYMBOLS) is None


def test_every_symbol_is_its_own_likeness() -> None:
    assert [likely_symbol(symbol, SYMBOLS) for symbol in SYMBOLS] == SYMBOLS
