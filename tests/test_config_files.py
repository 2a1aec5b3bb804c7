"""The shipped configuration: it loads, it lists every key, and it lets ordinary orders through."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router.settings import Settings, load_settings, settings_to_builtins, toml_table

CONFIG = Path(__file__).resolve().parents[1] / "config"
SYMBOLS = {f"{base}/{quote}" for base in ("BTC", "ETH") for quote in ("USD", "USDT", "EUR")}
LIMITS = {
    "base_currency",
    "max_order_notional",
    "max_order_quantity",
    "max_position_size",
    "max_exposure",
    "max_drawdown",
    "max_daily_loss",
    "max_concentration",
    "max_open_orders",
    "fixed_rates",
}
ENTRY = {"base", "quote", "tradable", "tick_size", "lot_size", "min_quantity", "max_quantity", "min_notional"}
FRACTIONS = ("max_exposure", "max_drawdown", "max_daily_loss", "max_concentration")
EXAMPLE = re.compile(r'# (\[|"#|[a-z_]+ = )')
PRESETS = ("conservative_crypto", "aggressive_btc")


def table(name: str) -> dict[str, Any]:
    return toml_table(CONFIG / name)


def limits_with(preset: str) -> dict[str, Any]:
    """The limits as a preset overlays them: tables key by key."""
    limits = table("risk_limits.toml")
    for key, value in table(f"presets/{preset}.toml").items():
        limits[key] = {**limits[key], **value} if isinstance(value, dict) else value
    return limits


def test_config_toml_spells_out_the_defaults() -> None:
    settings = load_settings(CONFIG / "config.toml", environ={})
    assert settings_to_builtins(settings) == settings_to_builtins(Settings())


def test_config_toml_lists_every_key_but_the_commented_examples() -> None:
    origins = load_settings(CONFIG / "config.toml", environ={}).origins
    assert {key for key, origin in origins.items() if origin != "file"} == {
        "market_data.static",
        "safety.environments",
        "alerts.channels",
    }


def test_the_commented_examples_work_when_uncommented(tmp_path: Path) -> None:
    lines = (CONFIG / "config.toml").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line.removeprefix("# ") if EXAMPLE.match(line) else line for line in lines)
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    settings = load_settings(path, environ={})
    quote = settings.market_data.static["BTC/USD"]
    assert (quote.bid, quote.ask) == (Decimal("49999.5"), Decimal("50000.5"))
    assert settings.safety_for("testnet", "momentum").max_orders_per_second == 10
    assert settings.safety_for("testnet", "momentum").price_collar_pct == 2
    assert settings.strategies["momentum"].symbols == ("BTC/USD",)
    assert settings.alerts.channels == {"#peak-trade-alerts": "json://127.0.0.1:9000"}
    tick = Decimal(table("instruments.toml")["BTC/USD"]["tick_size"])
    assert quote.bid % tick == 0
    assert quote.ask % tick == 0


def test_every_file_config_toml_names_is_there() -> None:
    settings = load_settings(CONFIG / "config.toml", environ={})
    assert settings.risk_limits_path == CONFIG / "risk_limits.toml"
    assert settings.instruments_path == CONFIG / "instruments.toml"
    assert settings.preset_path == CONFIG / "presets" / "conservative_crypto.toml"
    for path in (settings.risk_limits_path, settings.instruments_path, settings.preset_path):
        assert path.is_file()
    assert {path.stem for path in (CONFIG / "presets").glob("*.toml")} == set(PRESETS)


def test_instruments_are_whole_and_consistent() -> None:
    instruments = table("instruments.toml")
    assert set(instruments) == SYMBOLS
    for symbol, entry in instruments.items():
        assert set(entry) == ENTRY
        assert f"{entry['base']}/{entry['quote']}" == symbol
        assert entry["tradable"] is True
        numbers = {key: Decimal(entry[key]) for key in entry if key not in {"base", "quote", "tradable"}}
        assert all(number > 0 for number in numbers.values())
        assert numbers["min_quantity"] % numbers["lot_size"] == 0
        assert numbers["max_quantity"] % numbers["lot_size"] == 0
        assert numbers["min_quantity"] < numbers["max_quantity"]


@pytest.mark.parametrize(("symbol", "lot"), [("BTC/USDT", "0.00001"), ("ETH/USDT", "0.0001")])
def test_the_usdt_pairs_are_as_on_binance_spot(symbol: str, lot: str) -> None:
    entry = table("instruments.toml")[symbol]
    assert (entry["tick_size"], entry["lot_size"], entry["min_notional"]) == ("0.01", lot, "5")


def test_the_limits_hold_every_key_and_nothing_else() -> None:
    assert set(table("risk_limits.toml")) == LIMITS
    for preset in PRESETS:
        assert set(table(f"presets/{preset}.toml")) <= LIMITS


@pytest.mark.parametrize("preset", PRESETS)
def test_limits_are_by_symbol_and_in_bounds(preset: str) -> None:
    limits = limits_with(preset)
    for name in ("max_order_quantity", "max_position_size"):
        assert set(limits[name]) == SYMBOLS | {"default"}
        assert all(Decimal(value) > 0 for value in limits[name].values())
    for symbol in SYMBOLS:
        assert Decimal(limits["max_order_quantity"][symbol]) <= Decimal(limits["max_position_size"][symbol])
    assert all(0 < Decimal(limits[name]) <= Decimal("1.5") for name in FRACTIONS)
    assert Decimal(limits["max_daily_loss"]) < 1
    assert isinstance(limits["max_open_orders"], int)
    assert limits["fixed_rates"]["USDT"] == "1"


def test_the_limits_are_the_runbooks_examples() -> None:
    limits = table("risk_limits.toml")
    assert limits["max_position_size"]["BTC/USD"] == "5"
    assert limits["max_drawdown"] == "0.05"
    assert limits["max_exposure"] == "1.0"


def test_the_default_preset_lets_an_ordinary_order_and_a_deep_book_pass() -> None:
    settings = load_settings(CONFIG / "config.toml", environ={})
    limits = limits_with(settings.execution.portfolio_preset)
    price, quantity = Decimal(60000), Decimal("0.01")
    equity = sum(settings.paper.starting_balances.values())
    assert price * quantity <= Decimal(limits["max_order_notional"])
    assert quantity <= Decimal(limits["max_order_quantity"]["BTC/USD"])
    assert price * quantity <= equity * Decimal(limits["max_concentration"])
    assert limits["max_open_orders"] == 20000
    assert Decimal(10) > Decimal(limits["max_position_size"]["BTC/USD"]), "the runbook's order for 10 BTC is blocked"


def test_the_aggressive_preset_is_looser_than_the_default_one() -> None:
    careful, bold = limits_with("conservative_crypto"), limits_with("aggressive_btc")
    assert all(Decimal(bold[name]) > Decimal(careful[name]) for name in (*FRACTIONS, "max_order_notional"))


def test_the_files_are_plain_toml_1_0_without_machine_paths() -> None:
    for path in CONFIG.rglob("*.toml"):
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
        assert "/home/" not in text
        assert max(map(len, text.splitlines())) <= 120, path
