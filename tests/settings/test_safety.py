"""The limits of the controls: base, environment, strategy, in this order; nothing unknown and nothing beyond sanity."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import asdict

from router.errors import ConfigError
from router.settings import Safety, SafetyOverride, Settings, Strategy, load_settings, settings_to_builtins
from router.settings.fit import struct_fields

LIMITS = [name for name in struct_fields(Safety) if name != "environments"]
LAYERED = """
[safety]
max_orders_per_second = 5
duplicate_window_s = "off"
[safety.environments.testnet]
max_orders_per_second = 4
price_collar_pct = "off"
[strategies."m"]
owner = "A. Trader"
symbols = ["BTC/USD"]
environments = ["paper"]
max_orders_per_day = 7
safety = { max_orders_per_second = 3, duplicate_window_s = 2.0 }
[strategies."Other one"]
"""


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ=environ or {})


def refusal(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, environ)
    return str(caught.value)


MARKET_WIDE = {"max_spread_pct", "max_jump_pct", "jump_settle_quotes"}  # everybody sees the same quotes


def test_an_override_has_every_limit_but_the_markets_with_the_same_type() -> None:
    limits = {name: kind for name, kind in struct_fields(Safety).items() if name not in {"environments", *MARKET_WIDE}}
    assert struct_fields(SafetyOverride) == limits
    assert set(asdict(SafetyOverride()).values()) == {UNSET}


def test_strategy_over_environment_over_base(tmp_path: Path) -> None:
    settings = load(tmp_path, LAYERED)
    limits = [
        settings.safety_for(environment, strategy) for environment in ("paper", "testnet") for strategy in ("x", "m")
    ]
    assert [each.max_orders_per_second for each in limits] == [5, 3, 4, 3]
    assert [each.duplicate_window_s for each in limits] == [None, 2.0, None, 2.0]
    assert [each.price_collar_pct for each in limits] == [5, 5, None, None]


def test_names_that_the_file_does_not_have_get_the_base_table_and_are_not_kept(tmp_path: Path) -> None:
    settings = load(tmp_path, LAYERED)
    assert settings.safety_for("paper", None) is settings.safety_for("shadow", "unheard of")
    assert settings.safety_for("testnet", "m") is settings.safety_for("testnet", "m")
    for number in range(1000):
        settings.safety_for(f"e{number}", f"s{number}")
    assert len(settings._resolved) == 2


def test_the_register_names_what_a_strategy_may_do(tmp_path: Path) -> None:
    strategies = load(tmp_path, LAYERED).strategies
    m = strategies["m"]
    assert (m.owner, m.symbols, m.environments, m.max_orders_per_day) == ("A. Trader", ("BTC/USD",), ("paper",), 7)
    assert strategies["Other one"] == Strategy()
    assert Strategy().max_orders_per_day is None
    assert Settings().strategies == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[safety]\nprice_colar_pct = 1", "price_colar_pct is not a known key; did you mean safety.price_collar_pct?"),
        (
            "[safety.environments.testnet]\nmax_order_per_second = 1",
            "max_order_per_second is not a known key; did you mean safety.environments.testnet.max_orders_per_second?",
        ),
        (
            "[safety.environments.tesnet]\nmax_orders_per_second = 1",
            "safety.environments.tesnet is not a known key; did you mean safety.environments.testnet?",
        ),
        ("[safety.environments.live]\n", "safety.environments.live is not a known key; "),
        (
            "[safety.environments.paper.environments.paper]\n",
            "safety.environments.paper.environments is not a known key; ",
        ),
        ('[strategies."a b"]\nownr = ""', 'ownr is not a known key; did you mean strategies."a b".owner?'),
        ("[strategies.m]\nenvironments = ['live']", "strategies.m.environments must be one of"),
        ("[strategies.m]\nsymbols = ['BTCUSD']", 'strategies.m.symbols must be a symbol like "BTC/USD"; found'),
        ("[strategies.m]\nowner = 5", "strategies.m.owner must be text; found 5"),
        ("[strategies.m]\nmax_orders_per_day = 0", "strategies.m.max_orders_per_day must be a whole number at least 1"),
        (
            "[strategies.m]\nsafety = { price_collar_pct = 51 }",
            'strategies.m.safety.price_collar_pct must be a number above 0 and at most 50, or "off"; found 51',
        ),
        ("[strategies.m]\nsafety = 'off'", 'strategies.m.safety must be a table; found "off"'),
        ("strategies = 5", "strategies must be a table; found 5"),
        ("[strategies]\nm = 5", "strategies.m must be a table; found 5"),
        ("[strategies.' ']\n", "must be named by a strategy's name"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_path_and_the_nearest_key(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


BEYOND: dict[str, list[object]] = {
    "price_collar_pct": [0, -1, "50.01", "NaN", "Infinity", "OFF"],
    "price_walk_pct": [0, "50.01"],
    "price_walk_window_s": [0, -1, 86401, '"off"'],
    "window_notional": [0, "1000000000001", "NaN"],
    "notional_window_s": [0, 86401],
    "duplicate_window_s": [0, 86401, "nan", "inf"],
    "max_orders_per_second": [0, 1_000_001, 1.5],
    "max_orders_per_second_per_strategy": [-1, 1_000_001],
    "max_repeated_executions": [0, 1_000_001],
    "repeated_executions_window_s": [0, 86401],
    "self_match": ["yes", True],
    "max_spread_pct": [0, 51],
    "max_jump_pct": [0, 51],
    "jump_settle_quotes": [0, "off"],
    "volatility_pct": [0, 51],
    "volatility_window_s": [0, 86401],
}


def test_every_limit_has_its_bounds_tried() -> None:
    assert list(BEYOND) == LIMITS


@pytest.mark.parametrize(("key", "raw"), [(key, raw) for key, raws in BEYOND.items() for raw in raws])
def test_what_is_beyond_sanity_is_refused_in_every_table(key: str, raw: object) -> None:
    for table in ("safety", *(() if key in MARKET_WIDE else ("safety.environments.paper", "strategies.m.safety"))):
        with pytest.raises(ConfigError) as caught:
            load_settings(Settings(), overrides={f"{table}.{key}": raw})
        assert str(caught.value).startswith(f"override: {table}.{key} must be ")


def test_variables_reach_into_the_tables(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        LAYERED,
        {
            "ROUTER__SAFETY__ENVIRONMENTS__TESTNET__MAX_ORDERS_PER_SECOND": "10",
            "ROUTER__SAFETY__ENVIRONMENTS__paper__PRICE_COLLAR_PCT": "1.5",
            "ROUTER__STRATEGIES__m__SAFETY__SELF_MATCH": "off",
            "ROUTER__STRATEGIES__New__SYMBOLS": "BTC/USD, ETH/USD",
            "ROUTER__STRATEGIES__table": '{ owner = "B", safety = { price_walk_pct = 1 } }',
        },
    )
    assert settings.safety_for("testnet", None).max_orders_per_second == 10
    assert settings.safety_for("testnet", None).price_collar_pct is None, "the file's own key stays"
    assert settings.safety_for("paper", None).price_collar_pct == Decimal("1.5")
    assert settings.safety_for("paper", "m").self_match == "off"
    assert settings.strategies["m"].owner == "A. Trader"
    assert settings.strategies["New"].symbols == ("BTC/USD", "ETH/USD")
    assert settings.safety_for("paper", "table").price_walk_pct == 1
    origins = settings.origins
    assert origins["safety.environments"] == "file"
    assert origins["safety.environments.testnet.max_orders_per_second"].startswith("env ROUTER__SAFETY__")
    assert origins["strategies.m"] == "file"
    assert origins["strategies.m.safety.self_match"] == "env ROUTER__STRATEGIES__m__SAFETY__SELF_MATCH"


def test_a_mistake_in_a_variable_names_the_variable(tmp_path: Path) -> None:
    variable = "ROUTER__STRATEGIES__m__SAFETY__MAX_ORDERS_PER_SECOND"
    assert refusal(tmp_path, LAYERED, {variable: "0"}).startswith(
        f"environment variable {variable}: strategies.m.safety."
    )


def test_only_what_is_set_is_shown_and_it_can_be_loaded_again(tmp_path: Path) -> None:
    settings = load(tmp_path, LAYERED)
    shown = settings_to_builtins(settings)
    assert shown["safety"]["environments"] == {"testnet": {"price_collar_pct": "off", "max_orders_per_second": 4}}
    assert shown["strategies"]["m"]["safety"] == {"duplicate_window_s": 2.0, "max_orders_per_second": 3}
    assert shown["strategies"]["Other one"]["max_orders_per_day"] == "off"
    overrides = {f"{section}.{key}": value for section, table in shown.items() for key, value in table.items()}
    again = load_settings(Settings(), overrides=overrides)
    assert settings_to_builtins(again) == shown
    changed = load_settings(settings, overrides={"safety.environments.testnet.max_orders_per_second": 9})
    assert changed.safety_for("testnet", None).max_orders_per_second == 9
    assert changed.safety_for("testnet", None).price_collar_pct is None
    assert settings.safety_for("testnet", None).max_orders_per_second == 4


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "price_collar_pct": st.sampled_from([None, Decimal(1), Decimal(2)]),
        "max_orders_per_second": st.sampled_from([None, 1, 2]),
        "self_match": st.sampled_from(["on", "off"]),
        "volatility_window_s": st.sampled_from([1.0, 2.0]),
    },
)


@given(base=CHANGES, environment=CHANGES, strategy=CHANGES)
def test_the_narrowest_table_that_names_a_limit_decides_it(
    base: dict[str, object], environment: dict[str, object], strategy: dict[str, object]
) -> None:
    settings = Settings(
        safety=Safety(**base, environments={"testnet": SafetyOverride(**environment)}),  # type: ignore[arg-type]
        strategies={"m": Strategy(safety=SafetyOverride(**strategy))},  # type: ignore[arg-type]
    )
    wanted = asdict(Safety()) | base | environment | strategy
    found = asdict(settings.safety_for("testnet", "m"))
    assert {name: found[name] for name in LIMITS} == {name: wanted[name] for name in LIMITS}
