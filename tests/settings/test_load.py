"""The layers: file < environment < override, each value with its origin, each mistake with its place."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.errors import ConfigError
from router.settings import Settings, load_settings
from router.settings.fit import struct_fields
from router.settings.load import _keys
from router.settings.schema import Sections

KEYS = {name: set(_keys(kind)) for name, kind in struct_fields(Sections).items()}
PORT = "gateway.port must be a whole number at least 0 and at most 65535; found"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an empty config/."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    return tmp_path


def put(folder: Path, text: str) -> Path:
    path = folder / "config" / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(config: Path, environ: dict[str, str] | None = None, overrides: dict[str, object] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(config, environ=environ or {}, overrides=overrides)
    return str(caught.value)


def test_file_then_environment_then_override(folder: Path) -> None:
    path = put(folder, "[gateway]\nport = 1\nhost = 'a'\n[testnet]\nvenue = 'bybit'\n[paper]\nlatency_ms = 9\n")
    environ = {"ROUTER__GATEWAY__PORT": "2", "ROUTER__GATEWAY__HOST": "b", "UNRELATED": "x", "ROUTER_X": "y"}
    settings = load_settings(path, environ=environ, overrides={"gateway.port": "3", "paper.latency_ms": 4})
    assert (settings.gateway.port, settings.gateway.host) == (3, "b")
    assert (settings.testnet.venue, settings.paper.latency_ms) == ("bybit", 4)
    assert settings.source == path
    origins = settings.origins
    assert origins["gateway.port"] == "override"
    assert origins["gateway.host"] == "env ROUTER__GATEWAY__HOST"
    assert origins["testnet.venue"] == "file"
    assert origins["testnet.base_url"] == "default"
    assert set(origins) == {f"{section}.{key}" for section, keys in KEYS.items() for key in keys}


def test_the_process_environment_counts_unless_another_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER__GATEWAY__PORT", "1234")
    path = put(folder, "")
    assert load_settings(path).gateway.port == 1234
    assert load_settings(path, environ={}).gateway.port == 8000


def test_router_home_sets_home_and_the_exact_variable_wins(folder: Path) -> None:
    path = put(folder, "[execution]\nhome = 'from-file'\n")
    assert load_settings(path, environ={}).home_path == folder / "from-file"
    by_home = load_settings(path, environ={"ROUTER_HOME": "h"})
    assert by_home.home_path == folder / "h"
    assert by_home.origins["execution.home"] == "env ROUTER_HOME"
    both = load_settings(path, environ={"ROUTER__EXECUTION__HOME": "exact", "ROUTER_HOME": "h"})
    assert both.home_path == folder / "exact"
    assert load_settings(path, environ={"ROUTER_HOME": ""}).home_path == folder / "from-file"


@pytest.mark.parametrize(
    ("name", "text", "section", "key", "wanted"),
    [
        ("EXECUTION__ENVIRONMENTS", "paper, testnet", "execution", "environments", ("paper", "testnet")),
        ("EXECUTION__ENVIRONMENTS", '["shadow"]', "execution", "environments", ("shadow",)),
        ("EXECUTION__ENVIRONMENTS", "", "execution", "environments", ()),
        ("EXECUTION__INTAKE_CAPACITY", "50", "execution", "intake_capacity", 50),
        ("MARKET_DATA__MAX_AGE_S", "0.5", "market_data", "max_age_s", 0.5),
        ("MARKET_DATA__SPEED", "max", "market_data", "speed", "max"),
        ("SAFETY__PRICE_COLLAR_PCT", "2.50", "safety", "price_collar_pct", Decimal("2.50")),
        ("SAFETY__PRICE_COLLAR_PCT", "off", "safety", "price_collar_pct", None),
        ("SAFETY__MAX_ORDERS_PER_SECOND", "off", "safety", "max_orders_per_second", None),
        ("SAFETY__MAX_ORDERS_PER_SECOND", "7", "safety", "max_orders_per_second", 7),
        ("SAFETY__DUPLICATE_WINDOW_S", "3", "safety", "duplicate_window_s", 3.0),
        ("PAPER__STARTING_BALANCES", '{ USD = "5" }', "paper", "starting_balances", {"USD": Decimal(5)}),
        ("PAPER__STARTING_BALANCES", "{ USD = 0.1 }", "paper", "starting_balances", {"USD": Decimal("0.1")}),
    ],
)
def test_text_of_the_environment_becomes_what_its_key_asks_for(
    folder: Path, name: str, text: str, section: str, key: str, wanted: object
) -> None:
    path = put(folder, "")
    for settings in (
        load_settings(path, environ={f"ROUTER__{name}": text}),
        load_settings(path, environ={}, overrides={f"{section}.{key}": text}),
    ):
        value = getattr(getattr(settings, section), key)
        assert value == wanted
        assert type(value) is type(wanted)


def test_one_entry_of_a_table_can_be_set_and_the_others_stay(folder: Path) -> None:
    path = put(folder, "[alerts]\nurls = { HIGH = ['json://a'] }\n")
    environ = {
        "ROUTER__PAPER__STARTING_BALANCES__USD": "5",
        "ROUTER__ALERTS__URLS__CRITICAL": "json://b json://c?x=1,2",
        "ROUTER__MARKET_DATA__STATIC__BTC/USD__BID": "1.5",
    }
    overrides = {'market_data.static."BTC/USD".ask': Decimal(2), "paper.starting_balances.BTC": "1"}
    settings = load_settings(path, environ=environ, overrides=overrides)
    assert settings.paper.starting_balances == {
        "USD": Decimal(5), "USDT": Decimal(100000), "EUR": Decimal(100000), "BTC": Decimal(1),
    }  # fmt: skip
    assert settings.alerts.urls["HIGH"] == ("json://a",)
    assert settings.alerts.urls["CRITICAL"] == ("json://b", "json://c?x=1,2")
    assert settings.market_data.static["BTC/USD"].bid == Decimal("1.5")
    assert settings.origins["paper.starting_balances"] == "default"
    assert settings.origins["paper.starting_balances.USD"] == "env ROUTER__PAPER__STARTING_BALANCES__USD"
    assert settings.origins["alerts.urls"] == "file"
    assert Settings().paper.starting_balances["USD"] == Decimal(100000), "the defaults must not be shared"


def test_a_variable_for_one_entry_goes_into_the_table_of_another_variable(folder: Path) -> None:
    entry = {"ROUTER__PAPER__STARTING_BALANCES__USD": "5"}
    table = {"ROUTER__PAPER__STARTING_BALANCES": '{ USD = "1", EUR = "2" }'}
    for environ in (entry | table, table | entry):
        settings = load_settings(put(folder, ""), environ=environ)
        assert settings.paper.starting_balances == {"USD": Decimal(5), "EUR": Decimal(2)}
    wrong = refusal(put(folder, ""), table | {"ROUTER__PAPER__STARTING_BALANCES__USD": "x"})
    assert wrong.startswith("environment variable ROUTER__PAPER__STARTING_BALANCES__USD: ")


def test_a_table_in_the_file_replaces_the_default_table(folder: Path) -> None:
    path = put(folder, "[paper]\nstarting_balances = { USD = 0.1 }\n")
    assert load_settings(path, environ={}).paper.starting_balances == {"USD": Decimal("0.1")}


def test_without_a_name_the_file_here_counts_then_the_shipped_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "[gateway]\nport = 77\n")
    here = load_settings(environ={})
    assert (here.gateway.port, here.source) == (77, folder / "config" / "config.toml")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    shipped = load_settings(environ={})
    assert shipped.gateway.port == 8000
    assert shipped.source is not None
    assert shipped.risk_limits_path.is_file()


def test_settings_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER__GATEWAY__PORT", "1")
    settings = Settings()
    assert load_settings(settings) is settings
    changed = load_settings(settings, overrides={"safety.price_collar_pct": "off", "gateway.host": "x"})
    again = load_settings(changed, overrides={"paper.starting_balances.USD": 1})
    assert (again.gateway.port, again.gateway.host, again.safety.price_collar_pct) == (8000, "x", None)
    assert again.origins["gateway.host"] == "override"
    quotes = load_settings(settings, overrides={"market_data.static": {"BTC/USD": {"bid": 1, "ask": 2}}})
    moved = load_settings(quotes, overrides={"market_data.static.BTC/USD.ask": 3})
    assert moved.market_data.static["BTC/USD"].ask == 3
    assert moved.market_data.static["BTC/USD"].bid_size is None
    assert quotes.market_data.static["BTC/USD"].ask == 2
    assert settings.paper.starting_balances["USD"] == Decimal(100000)


def test_a_missing_file_is_named(folder: Path) -> None:
    assert refusal(Path("config/gone.toml")) == "config/gone.toml: no such file"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[execution]\nenvironmnt = "paper"',
            "execution.environmnt is not a known key; did you mean execution.environment?",
        ),
        ("[executon]\n", "executon is not a known key; did you mean execution?"),
        ('environment = "paper"', "environment is not a known key; did you mean execution.environment?"),
        (
            "[gateway]\nintake_capacity = 5",
            "gateway.intake_capacity is not a known key; did you mean execution.intake_capacity?",
        ),
        ("[gateway]\nzzzzz = 5", "gateway.zzzzz is not a known key; known here: gateway.host, gateway.port"),
        ("execution = 5", "execution must be a table; found 5"),
        (
            '[market_data.static."BTC/USD"]\nbid = 1\nakk = 2',
            'market_data.static."BTC/USD".akk is not a known key; did you mean market_data.static."BTC/USD"',
        ),
        (
            '[market_data.static."BTC/USD"]\nbid = 2\nask = 1',
            'market_data.static."BTC/USD" must not have its bid above its ask; found 2 and 1',
        ),
        (
            '[gateway]\nport = "8000"',
            f'{PORT} "8000"',
        ),
        ("[alerts]\nurls = { WARN = [] }", "alerts.urls.WARN is not a known key; known here: "),
    ],
)
def test_a_mistake_in_the_file_names_file_key_and_remedy(folder: Path, text: str, message: str) -> None:
    assert refusal(put(folder, text)).startswith(f"config/config.toml: {message}")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("GATEWAY__PORT", "eight", f'{PORT} "eight"'),
        ("EXECUTION__ENVIRONMNT", "x", "execution.environmnt is not a known key; did you mean execution.env"),
        ("EXECUTON__HOME", "x", "executon is not a known key; did you mean execution?"),
        ("EXECUTION", "x", "execution is not one setting; name it"),
        ("PAPER__STARTING_BALANCES", "{", "paper.starting_balances must be a list [ … ] or a table { … }"),
        (
            "PAPER__STARTING_BALANCES__USD",
            "-1",
            "paper.starting_balances.USD must be a number at least 0; found",
        ),
        ("GATEWAY__PORT__X", "1", "gateway.port.x is not a known key; gateway.port is not a table"),
        (
            "EXECUTION__ENVIRONMENTS",
            "live",
            'execution.environments must not contain "live": live execution is',
        ),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(folder: Path, name: str, text: str, message: str) -> None:
    variable = f"ROUTER__{name}"
    assert refusal(put(folder, ""), {variable: text}).startswith(f"environment variable {variable}: {message}")


def test_a_file_that_is_wrong_is_not_blamed_on_a_variable(folder: Path) -> None:
    message = refusal(put(folder, "execution = 5"), {"ROUTER__EXECUTION__HOME": "x"})
    assert message == "config/config.toml: execution must be a table; found 5"
    nested = refusal(put(folder, "[gateway]\nport = 1"), {"ROUTER__GATEWAY__PORT__X": "1"})
    assert nested.startswith("environment variable ROUTER__GATEWAY__PORT__X: gateway.port.x is not a known key")
    wrong_port = put(folder, "[gateway]\nport = -1")
    assert refusal(wrong_port, {"ROUTER__GATEWAY__HOST": "x"}).startswith("config/config.toml: gateway.port ")


@pytest.mark.parametrize("layer", ["file", "environment", "override"])
def test_credentials_are_refused_in_every_layer_and_never_shown(folder: Path, layer: str) -> None:
    path = put(folder, '[testnet]\napiKey = "hunter2"\n' if layer == "file" else "")
    environ = {"ROUTER__TESTNET__API_KEY": "hunter2"} if layer == "environment" else {}
    overrides: dict[str, object] = {"testnet.secret": "hunter2"} if layer == "override" else {}
    message = refusal(path, environ, overrides)
    assert "hunter2" not in message
    assert "<VENUE>_TESTNET_API_KEY" in message


def test_an_alert_url_that_is_none_is_refused_without_being_shown(folder: Path) -> None:
    message = refusal(put(folder, "[alerts.channels]\ndesk = 'hooks.example/hunter2'\n"))
    assert "alerts.channels.desk must be an apprise URL" in message
    assert "hunter2" not in message


names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)


@given(section=st.sampled_from(sorted(name for name, keys in KEYS.items() if keys)), key=names)
def test_an_unknown_key_is_always_refused_with_its_path(
    tmp_path_factory: pytest.TempPathFactory, section: str, key: str
) -> None:
    assume(key not in KEYS[section])
    path = tmp_path_factory.getbasetemp() / "unknown.toml"
    path.write_text(f"[{section}]\n{key} = 1\n", encoding="utf-8")
    assert f"{section}.{key} " in refusal(path)


@given(section=names)
def test_an_unknown_section_is_always_refused(tmp_path_factory: pytest.TempPathFactory, section: str) -> None:
    assume(section not in KEYS)
    path = tmp_path_factory.getbasetemp() / "unknown.toml"
    path.write_text(f"[{section}]\n", encoding="utf-8")
    assert f": {section} " in refusal(path)


@given(
    amount=st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**15, places=8),
    quoted=st.booleans(),
)
def test_amounts_are_read_exactly_from_numbers_and_from_text(
    tmp_path_factory: pytest.TempPathFactory, amount: Decimal, quoted: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "amount.toml"
    written = f'"{amount:f}"' if quoted else f"{amount:f}"
    path.write_text(f"[paper]\nstarting_balances = {{ USD = {written} }}\n", encoding="utf-8")
    loaded = load_settings(path, environ={}).paper.starting_balances["USD"]
    assert f"{loaded:f}" == f"{amount:f}"
