"""The settings themselves: exactly the documented keys and defaults, and nothing out of its bounds."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import asdict

from router.errors import ConfigError
from router.settings import (
    Alerts,
    Execution,
    MarketData,
    Paper,
    Settings,
    StaticQuote,
    Testnet,
    load_settings,
)
from router.settings.schema import Sections

DEFAULTS: dict[str, dict[str, Any]] = {
    "execution": {
        "environment": "paper",
        "environments": ("paper", "shadow"),
        "home": "var",
        "portfolio_preset": "conservative_crypto",
        "risk_limits": "risk_limits.toml",
        "instruments": "instruments.toml",
        "intake_capacity": 10000,
    },
    "market_data": {
        "source": "synthetic",
        "max_age_s": 5.0,
        "paths": (),
        "speed": "1.0",
        "seed": 7,
        "interval_ms": 50,
        "static": {},
    },
    "paper": {
        "starting_balances": {"USD": Decimal(100000), "USDT": Decimal(100000), "EUR": Decimal(100000)},
        "maker_fee_bps": Decimal(10),
        "taker_fee_bps": Decimal(10),
        "latency_ms": 0,
        "fill_model": "queue",
    },
    "testnet": {"venue": "binance", "base_url": "", "recv_window_ms": 5000, "reconcile_s": 60.0},
    "watchers": {"submitted_window_s": 30.0, "partial_window_s": 300.0},
    "safety": {
        "price_collar_pct": Decimal(5),
        "price_walk_pct": Decimal(10),
        "price_walk_window_s": 60.0,
        "window_notional": Decimal(1000000),
        "notional_window_s": 10.0,
        "duplicate_window_s": 1.0,
        "max_orders_per_second": 500,
        "max_orders_per_second_per_strategy": 100,
        "max_repeated_executions": 1000,
        "repeated_executions_window_s": 60.0,
        "self_match": "on",
        "max_spread_pct": Decimal(5),
        "max_jump_pct": Decimal(10),
        "jump_settle_quotes": 20,
        "volatility_pct": Decimal(10),
        "volatility_window_s": 60.0,
        "environments": {},
    },
    "strategies": {},
    "gateway": {"host": "127.0.0.1", "port": 8000},
    "alerts": {"urls": {"CRITICAL": (), "HIGH": (), "MEDIUM": (), "LOW": ()}, "channels": {}},
    "governance": {"risk_check_override": "locked", "operators": ()},
}

GOOD: list[tuple[str, object, object]] = [
    ("execution.environment", "live", "live"),
    ("execution.environments", [], ()),
    ("execution.environments", ["testnet"], ("testnet",)),
    ("execution.portfolio_preset", "", ""),
    ("market_data.speed", "max", "max"),
    ("market_data.speed", Decimal("2.50"), "2.50"),
    ("market_data.speed", 10, "10"),
    ("paper.starting_balances", {"USD": 0}, {"USD": Decimal(0)}),
    ("paper.maker_fee_bps", "-0.5", Decimal("-0.5")),
    ("testnet.base_url", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ("testnet.base_url", "https://localhost/api", "https://localhost/api"),
    ("testnet.recv_window_ms", 60000, 60000),
    ("testnet.reconcile_s", "0.5", 0.5),
    ("safety.price_collar_pct", "off", None),
    ("safety.duplicate_window_s", "off", None),
    ("safety.max_orders_per_second", "off", None),
    ("safety.max_orders_per_second_per_strategy", "off", None),
    ("gateway.port", 0, 0),
    ("alerts.urls", {"HIGH": ["json://127.0.0.1:9000"]}, DEFAULTS["alerts"]["urls"] | {"HIGH": ("json://127.0.0.1:9000",)}),
    ("alerts.channels", {"#desk": "slack://a/b/c"}, {"#desk": "slack://a/b/c"}),
]  # fmt: skip

BAD: list[tuple[str, object]] = [
    ("execution.environment", "Paper"),
    ("execution.environment", "prod"),
    ("execution.environments", ["paper", "prod"]),
    ("execution.environments", 5),
    ("execution.home", ""),
    ("execution.home", 5),
    ("execution.portfolio_preset", "../secrets"),
    ("execution.intake_capacity", 0),
    ("market_data.source", "random"),
    ("market_data.max_age_s", 0),
    ("market_data.speed", "0"),
    ("market_data.speed", "-1"),
    ("market_data.speed", "fast"),
    ("market_data.speed", True),
    ("market_data.interval_ms", 0),
    ("market_data.static", {"BTCUSD": {"bid": 1, "ask": 2}}),
    ("market_data.static", {"BTC/USD": {"bid": 2, "ask": 1}}),
    ("market_data.static", {"BTC/USD": {"bid": 0, "ask": 1}}),
    ("market_data.static", {"BTC/USD": {"bid": 1}}),
    ("market_data.static", {"BTC/USD": {"bid": 1, "ask": 2, "bid_size": "off"}}),
    ("paper.starting_balances", {"USD": "-1"}),
    ("paper.starting_balances", {"usd": "1"}),
    ("paper.taker_fee_bps", "NaN"),
    ("paper.taker_fee_bps", Decimal("Infinity")),
    ("paper.latency_ms", -1),
    ("paper.fill_model", "optimistic"),
    ("testnet.venue", "Binance!"),
    ("testnet.base_url", "127.0.0.1:8080"),
    ("testnet.base_url", "ftp://127.0.0.1"),
    ("testnet.base_url", "http://127.0.0.1:8080\n"),
    ("testnet.base_url", "http://user:pass@127.0.0.1"),
    ("testnet.base_url", "http://127.0.0.1?key=1"),
    ("testnet.recv_window_ms", 0),
    ("testnet.recv_window_ms", 60001),
    ("testnet.reconcile_s", 0),
    ("testnet.reconcile_s", "off"),
    ("watchers.submitted_window_s", 0),
    ("watchers.partial_window_s", -1),
    ("watchers.partial_window_s", "off"),
    ("safety.price_collar_pct", 0),
    ("safety.price_collar_pct", "OFF"),
    ("safety.duplicate_window_s", -1),
    ("safety.max_orders_per_second", 0),
    ("safety.max_orders_per_second_per_strategy", Decimal("1.5")),
    ("gateway.host", ""),
    ("gateway.port", -1),
    ("gateway.port", 65536),
    ("gateway.port", True),
    ("alerts.urls", {"HIGH": "json://x"}),
    ("alerts.urls", {"WARN": []}),
    ("alerts.urls", {"HIGH": ["hooks.slack.com/secret"]}),
    ("alerts.channels", {"desk": "not a url"}),
    ("governance.risk_check_override", "allowed"),
]


def test_the_defaults_are_the_documented_ones() -> None:
    settings = Settings()
    tables = {name: getattr(settings, name) for name in Sections.__struct_fields__}
    found = {name: asdict(table) if isinstance(table, Struct) else table for name, table in tables.items()}
    assert found == DEFAULTS


def set_one(tmp_path: Path, key: str, value: object) -> Settings:
    empty = tmp_path / "config.toml"
    empty.write_text("", encoding="utf-8")
    return load_settings(empty, environ={}, overrides={key: value})


@pytest.mark.parametrize(("key", "raw", "wanted"), GOOD)
def test_values_in_bounds_are_taken(tmp_path: Path, key: str, raw: object, wanted: object) -> None:
    section, name = key.split(".")
    assert getattr(getattr(set_one(tmp_path, key, raw), section), name) == wanted


@pytest.mark.parametrize(("key", "raw"), BAD)
def test_values_out_of_bounds_are_refused_with_their_key(tmp_path: Path, key: str, raw: object) -> None:
    with pytest.raises(ConfigError) as caught:
        set_one(tmp_path, key, raw)
    assert str(caught.value).startswith(f"override: {key}")


def test_live_can_be_asked_for_but_never_enabled() -> None:
    assert Settings(execution=Execution(environment="live")).execution.environment == "live"
    with pytest.raises(ConfigError, match="live execution is locked by governance and has no executor"):
        Execution(environments=["paper", "live"])  # type: ignore[arg-type]


def test_sections_made_in_python_are_converted_and_checked_too() -> None:
    assert Paper(taker_fee_bps="7.50").taker_fee_bps == Decimal("7.50")  # type: ignore[arg-type]
    assert StaticQuote(bid=Decimal(1), ask=Decimal(1)).bid_size is None
    with pytest.raises(ConfigError, match="recv_window_ms must be"):
        Testnet(recv_window_ms=0)
    with pytest.raises(AttributeError):
        Paper().latency_ms = 5  # type: ignore[misc]


def test_speed_is_a_factor_or_as_fast_as_possible() -> None:
    assert MarketData().speed_factor == Decimal(1)
    assert MarketData(speed="max").speed_factor is None


def test_a_severity_without_urls_is_an_empty_list() -> None:
    assert Alerts(urls={"LOW": ("json://x",)}).urls["CRITICAL"] == ()


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(source=tmp_path / "etc" / "config.toml")
    assert settings.home_path == tmp_path / "var"
    assert settings.risk_limits_path == tmp_path / "etc" / "risk_limits.toml"
    assert settings.instruments_path == tmp_path / "etc" / "instruments.toml"
    assert settings.preset_path == tmp_path / "etc" / "presets" / "conservative_crypto.toml"
    assert settings.resolve("/elsewhere/x.toml") == Path("/elsewhere/x.toml")
    assert Settings(execution=Execution(portfolio_preset="")).preset_path is None
    assert Settings(execution=Execution(home="/var/lib/router")).home_path == Path("/var/lib/router")


def test_settings_made_in_python_use_the_shipped_files() -> None:
    assert Settings().risk_limits_path.is_file()
