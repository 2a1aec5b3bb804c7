"""What leaves the settings: JSON-ready, exact, without credentials."""

from __future__ import annotations

import json
from decimal import Decimal

from router.settings import (
    Alerts,
    Safety,
    Settings,
    load_settings,
    redacted_url,
    settings_schema,
    settings_to_builtins,
)
from router.settings.fit import struct_fields
from router.settings.schema import MarketData, Paper, Sections, StaticQuote


def test_the_copy_is_json_and_exact() -> None:
    settings = Settings(
        paper=Paper(starting_balances={"USD": Decimal("0.10")}, maker_fee_bps=Decimal("1E-7")),
        market_data=MarketData(static={"BTC/USD": StaticQuote(bid=Decimal("49999.5"), ask=Decimal("50000.50"))}),
        safety=Safety(price_collar_pct=None),
    )
    shown = json.loads(json.dumps(settings_to_builtins(settings)))
    assert set(shown) == set(struct_fields(Sections))
    assert shown["paper"]["starting_balances"] == {"USD": "0.10"}
    assert shown["paper"]["maker_fee_bps"] == "0.0000001"
    assert shown["market_data"]["static"] == {"BTC/USD": {"bid": "49999.5", "ask": "50000.50"}}
    assert shown["safety"]["price_collar_pct"] == "off"
    assert shown["execution"]["environments"] == ["paper", "shadow"]


def test_nothing_of_an_alert_url_but_its_scheme_is_shown() -> None:
    alerts = Alerts(
        urls={"HIGH": ("slack://hunter2/b/c", "mailto://me:hunter2@host")},
        channels={"#desk": "tgram://hunter2"},
    )
    shown = settings_to_builtins(Settings(alerts=alerts))["alerts"]
    assert shown["urls"]["HIGH"] == ["slack://…", "mailto://…"]
    assert shown["channels"] == {"#desk": "tgram://…"}
    assert "hunter2" not in json.dumps(shown)
    assert redacted_url("no url at all") == "…"


def test_what_is_shown_can_be_loaded_again() -> None:
    settings = Settings(safety=Safety(duplicate_window_s=None))
    shown = settings_to_builtins(settings)
    overrides = {f"{section}.{key}": value for section, table in shown.items() for key, value in table.items()}
    again = load_settings(Settings(), overrides=overrides)
    assert settings_to_builtins(again) == shown


def test_the_schema_describes_the_file() -> None:
    schema = json.loads(json.dumps(settings_schema()))
    definitions = schema["$defs"]
    tables = definitions["Sections"]["properties"]
    assert set(tables) == set(struct_fields(Sections))
    assert all(definitions[name]["additionalProperties"] is False for name in definitions)
    gateway = definitions["Gateway"]["properties"]["port"]
    assert (gateway["minimum"], gateway["maximum"], gateway["default"]) == (0, 65535, 8000)
    collar = definitions["Safety"]["properties"]["price_collar_pct"]["anyOf"]
    assert {"const": "off"} in collar
    assert collar[0]["type"] == ["string", "number"]
    override = definitions["SafetyOverride"]["properties"]["price_collar_pct"]
    assert "default" not in override
    assert {"const": "off"} in override["anyOf"]
    assert {"const": "off"} in definitions["Strategy"]["properties"]["max_orders_per_day"]["anyOf"]
    assert definitions["Safety"]["properties"]["environments"]["additionalProperties"] == {
        "$ref": "#/$defs/SafetyOverride"
    }
    size = definitions["StaticQuote"]["properties"]["bid_size"]
    assert {"const": "off"} not in size["anyOf"]
    assert "source" not in definitions["Sections"]["properties"]
    assert "source" in definitions["MarketData"]["properties"]
