"""Limits are loaded whole or not at all, exactly, and tell where the account stands."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import ExecutionPipeline
from router.clock import VirtualClock
from router.domain.enums import ExecutionStatus
from router.domain.events import AccountMark, Filled, LimitChanged
from router.errors import ConfigError
from router.journal.sqlite import SqliteJournal
from router.risk import LiveRiskLimits
from router.risk.limits import StrategyLimits, read_limits
from tests.factories import NOW, D, limits
from tests.pipelines import intent, move, settings

LINES = {
    "base_currency": '"USD"',
    "max_order_notional": '"100000"',
    "max_order_quantity": '{ default = "1", "BTC/USD" = "2" }',
    "max_position_size": '{ "BTC/USD" = 5 }',
    "max_exposure": '"1.0"',
    "max_drawdown": "0.05",
    "max_daily_loss": '"0.03"',
    "max_concentration": '"0.6"',
    "max_open_orders": "20000",
}


def write(folder: Path, name: str = "risk_limits.toml", **lines: str) -> Path:
    path = folder / name
    path.write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
    return path


def refusal(*files: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_limits(list(files))
    return str(caught.value)


def test_every_number_is_read_exactly(tmp_path: Path) -> None:
    found = read_limits([write(tmp_path, **LINES)])
    assert found == LiveRiskLimits(
        base_currency="USD",
        max_order_notional=D(100000),
        max_order_quantity={"default": D(1), "BTC/USD": D(2)},
        max_position_size={"BTC/USD": D(5)},
        max_exposure=D(1),
        max_drawdown=D("0.05"),
        max_daily_loss=D("0.03"),
        max_concentration=D("0.6"),
        max_open_orders=20000,
        fixed_rates={"USD": D(1), "USDT": D(1)},
    )
    assert str(found.max_drawdown) == "0.05"


@pytest.mark.parametrize("key", LINES)
def test_a_missing_limit_refuses_to_start(tmp_path: Path, key: str) -> None:
    rest = {name: value for name, value in LINES.items() if name != key}
    path = write(tmp_path, **rest)
    assert refusal(path) == (f"{path}: {key} missing. Every limit must be stated; without it no order may leave.")


def test_an_empty_file_names_everything_that_is_missing(tmp_path: Path) -> None:
    message = refusal(write(tmp_path))
    assert all(key in message for key in LINES)


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    path = write(tmp_path, **LINES, max_drawdwn='"0.1"')
    assert refusal(path) == f"{path}: max_drawdwn is not a known key; did you mean max_drawdown?"


@pytest.mark.parametrize("key", ["current_exposure", "current_drawdown"])
def test_what_is_measured_cannot_be_configured(tmp_path: Path, key: str) -> None:
    path = write(tmp_path, **LINES, **{key: '"0"'})
    assert f"{path}: {key} is not a known key" in refusal(path)


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "0", "-1", '"-0.05"', '"0"', "true", '"five"', '""', "[]", "{}"]
)
@pytest.mark.parametrize("key", ["max_order_notional", "max_exposure", "max_drawdown", "max_daily_loss"])
def test_a_limit_that_limits_nothing_is_refused_naming_file_and_key(tmp_path: Path, key: str, value: str) -> None:
    path = write(tmp_path, **LINES | {key: value})
    assert refusal(path).startswith(f"{path}: {key} must be a number above 0, not ")


@pytest.mark.parametrize("value", ['"NaN"', "-1", '"sNaN"', '"Infinity"', "0", "false", '"x"'])
@pytest.mark.parametrize("key", ["max_order_quantity", "max_position_size", "fixed_rates"])
def test_a_bad_number_in_a_table_is_refused_naming_its_symbol(tmp_path: Path, key: str, value: str) -> None:
    path = write(tmp_path, **LINES | {key: f'{{ "BTC/USD" = {value} }}'})
    assert refusal(path).startswith(f'{path}: {key}."BTC/USD" must be a number above 0, not ')


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("max_order_quantity", "a table by symbol"),
        ("max_position_size", "a table by symbol"),
        ("fixed_rates", "a table by currency"),
        ("environments", "a table of tables by name"),
        ("strategies", "a table of tables by name"),
        ("strategies.maker", "a table of limits"),
        ("environments.paper.max_position_size", "a table by symbol"),
    ],
)
def test_a_table_must_be_one(tmp_path: Path, key: str, what: str) -> None:
    path = write(tmp_path, **LINES | {key: '"5"'})
    assert refusal(path).startswith(f"{path}: {key} must be {what}")


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "true", '"5"', "nan"])
def test_the_number_of_open_orders_is_a_whole_one(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, **LINES | {"max_open_orders": value})
    assert refusal(path).startswith(f"{path}: max_open_orders must be a whole number from 1, not ")


@pytest.mark.parametrize("value", ['""', "1", "[]"])
def test_the_base_currency_is_a_word(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, **LINES | {"base_currency": value})
    assert refusal(path).startswith(f"{path}: base_currency must be a currency")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.toml") in refusal(tmp_path / "none.toml")


# -- presets -----------------------------------------------------------------------------------------------------


def test_a_preset_overlays_numbers_and_tables_key_by_key(tmp_path: Path) -> None:
    base = write(tmp_path, **LINES)
    preset = write(tmp_path, "preset.toml", max_drawdown='"0.02"', max_order_quantity='{ "BTC/USD" = "1.5" }')
    found = read_limits([base, preset])
    assert (found.max_drawdown, found.max_daily_loss) == (D("0.02"), D("0.03"))
    assert found.max_order_quantity == {"default": D(1), "BTC/USD": D("1.5")}


def test_a_mistake_is_reported_in_the_file_that_holds_it(tmp_path: Path) -> None:
    base = write(tmp_path, **LINES | {"max_position_size": '{ "BTC/USD" = -5 }'})
    preset = write(tmp_path, "preset.toml", max_position_size='{ default = "1" }', max_exposure='"2"')
    assert refusal(base, preset).startswith(f'{base}: max_position_size."BTC/USD"')
    good = write(tmp_path, **LINES)
    bad = write(tmp_path, "preset.toml", max_exposure='"nan"')
    assert refusal(good, bad).startswith(f"{bad}: max_exposure")
    assert str(write(tmp_path, "preset.toml", max_exposur='"1"')) in refusal(good, tmp_path / "preset.toml")


@pytest.mark.parametrize("preset", ["conservative_crypto", "aggressive_btc"])
def test_the_shipped_limits_and_presets_load(preset: str) -> None:
    config = Path(__file__).resolve().parents[2] / "config"
    found = read_limits([config / "risk_limits.toml", config / "presets" / f"{preset}.toml"])
    assert found.max_order_quantity["BTC/USD"] > 0


# -- rates and symbols -------------------------------------------------------------------------------------------


def test_dollars_and_tethers_are_at_par_only_where_nothing_tells_better(tmp_path: Path) -> None:
    told = read_limits([write(tmp_path, **LINES, fixed_rates='{ USDT = "0.99" }')])
    assert told.fixed_rates == {"USD": D(1), "USDT": D("0.99")}
    euro = read_limits([write(tmp_path, **LINES | {"base_currency": '"EUR"'})])
    assert euro.fixed_rates == {}


def test_a_symbols_own_limit_goes_before_the_default() -> None:
    found = limits(max_position_size={"default": "1", "BTC/USD": "5"}, max_order_quantity={"BTC/USD": "2"})
    assert found.for_symbol("max_position_size", "BTC/USD") == D(5)
    assert found.for_symbol("max_position_size", "ETH/USD") == D(1)
    assert found.for_symbol("max_order_quantity", "ETH/USD") is None


# -- an environment's and a strategy's limits -----------------------------------------------------------------------


def test_an_environment_has_its_own_limits_over_the_accounts(tmp_path: Path) -> None:
    lines = {"environments.testnet": '{ max_open_orders = 5, max_position_size = { "ETH/USD" = 2 } }'}
    base = write(tmp_path, **LINES | lines)
    preset = write(tmp_path, "preset.toml", environments='{ testnet.max_exposure = "0.2", paper.max_drawdown = "0.5" }')
    found = read_limits([base, preset])
    testnet, paper = found.for_environment("testnet"), found.for_environment("paper")
    assert (testnet.max_open_orders, testnet.max_exposure, testnet.max_drawdown) == (5, D("0.2"), D("0.05"))
    assert testnet.max_position_size == {"BTC/USD": D(5), "ETH/USD": D(2)}
    assert (paper.max_open_orders, paper.max_drawdown) == (20000, D("0.5"))
    assert found.for_environment("shadow") is found
    assert (found.max_open_orders, found.max_exposure, found.max_position_size) == (20000, D(1), {"BTC/USD": D(5)})
    assert testnet.fixed_rates == found.fixed_rates


def test_a_strategy_has_only_the_limits_that_are_stated(tmp_path: Path) -> None:
    base = write(tmp_path, **LINES | {"strategies.maker": '{ max_exposure = "0.2", max_open_orders = 3 }'})
    preset = write(
        tmp_path,
        "preset.toml",
        **{"strategies.maker": '{ max_exposure = "0.1", max_position_size = { "BTC/USD" = 1, default = "0.5" } }'},
    )
    found = read_limits([base, preset], ["maker"])
    maker = found.strategies["maker"]
    assert maker == StrategyLimits(
        max_exposure=D("0.1"), max_open_orders=3, max_position_size={"BTC/USD": D(1), "default": D("0.5")}
    )
    assert [maker.for_symbol("max_position_size", each) for each in ("BTC/USD", "ETH/USD")] == [D(1), D("0.5")]
    assert maker.for_symbol("max_order_quantity", "BTC/USD") is None
    assert found.for_environment("paper").strategies["maker"] is maker


def test_a_strategy_keeps_its_limits_in_an_environment_with_its_own(tmp_path: Path) -> None:
    lines = {"environments.paper": '{ max_exposure = "0.5" }', "strategies.maker": '{ max_exposure = "0.2" }'}
    found = read_limits([write(tmp_path, **LINES | lines)]).for_environment("paper")
    assert (found.max_exposure, found.strategies["maker"].max_exposure) == (D("0.5"), D("0.2"))


@pytest.mark.parametrize("limits", ["{}", '{ max_exposure = "0.1" }'])
def test_only_registered_strategies_and_known_environments_have_limits(tmp_path: Path, limits: str) -> None:
    path = write(tmp_path, **LINES | {'strategies."some one"': limits})
    with pytest.raises(ConfigError) as caught:
        read_limits([path], ["maker", "taker"])
    assert str(caught.value) == (
        f'{path}: strategies."some one" is no registered strategy. Register it in config.toml: '
        '[strategies."some one"]; registered there: maker, taker'
    )
    for environment in ("live", "moon", "Paper"):
        path = write(tmp_path, **LINES | {f"environments.{environment}": limits})
        assert refusal(path) == (
            f"{path}: environments.{environment} is no environment with an account; there are paper, shadow, testnet"
        )


@pytest.mark.parametrize("owner", ["", "environments.testnet.", "strategies.maker."])
@pytest.mark.parametrize(
    ("key", "most"),
    [
        ("max_order_notional", "1000000000000"),
        ("max_exposure", "1000"),
        ("max_drawdown", "1"),
        ("max_daily_loss", "1"),
        ("max_concentration", "1000"),
        ("max_open_orders", "1000000"),
        ('max_order_quantity."BTC/USD"', "1000000000000"),
        ("max_position_size.default", "1000000000000"),
    ],
)
def test_beyond_its_bound_a_limit_limits_nothing_and_is_refused(
    tmp_path: Path, owner: str, key: str, most: str
) -> None:
    lines = {name: value for name, value in LINES.items() if name != key.partition(".")[0] or owner}
    at_the_bound = write(tmp_path, **lines, **{f"{owner}{key}": most})
    if not owner and "." not in key:
        read_limits([at_the_bound])
    over = f"{most}1" if key == "max_open_orders" else f'"{most}.01"'
    path = write(tmp_path, **lines, **{f"{owner}{key}": over})
    assert refusal(path).startswith(f"{path}: {owner}{key} must be at most {most}, not ")
    for nonsense in ("-1", "0", '"nan"', "inf"):
        path = write(tmp_path, **lines, **{f"{owner}{key}": nonsense})
        assert refusal(path).startswith(f"{path}: {owner}{key} must be a ")


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("strategies.maker.max_drawdwn", "strategies.maker.max_drawdwn is not a known key; did you mean strategies."),
        ("environments.paper.max_expsure", "did you mean environments.paper.max_exposure?"),
        ("environments.paper.base_currency", "environments.paper.base_currency is not a known key"),
        ("strategies.maker.fixed_rates", "strategies.maker.fixed_rates is not a known key"),
        ("environments.paper.strategies", "environments.paper.strategies is not a known key"),
        ("strategis.maker.max_exposure", "strategis is not a known key; did you mean strategies?"),
        ("strategies.maker.max_position_size.defalt", "must be named by a symbol"),
    ],
)
def test_a_mistyped_key_of_an_owner_is_refused_with_the_nearest(tmp_path: Path, key: str, says: str) -> None:
    path = write(tmp_path, **LINES | {key: '"0.1"'})
    assert refusal(path).startswith(f"{path}: ")
    assert says in refusal(path)


# -- contradictions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "account"),
    [
        ("max_order_notional", '"100000.01"', "max_order_notional 100000"),
        ("max_open_orders", "20001", "max_open_orders 20000"),
        ('max_order_quantity."ETH/USD"', '"1.5"', "max_order_quantity.default 1"),
        ("max_order_quantity.default", '"2.5"', 'max_order_quantity."BTC/USD" 2'),
    ],
)
def test_a_strategy_that_may_more_than_its_account_is_refused_naming_both_files(
    tmp_path: Path, key: str, value: str, account: str
) -> None:
    base = write(tmp_path, **LINES)
    preset = write(tmp_path, "preset.toml", **{f"strategies.maker.{key}": value})
    shown = value.strip('"')
    assert refusal(base, preset) == (
        f"{preset}: strategies.maker.{key} {shown} is above the account's own {account} in {base}: it would never count"
    )


def test_a_preset_that_takes_the_account_below_a_strategy_is_refused(tmp_path: Path) -> None:
    base = write(tmp_path, **LINES | {"strategies.maker.max_order_notional": '"0.5"'})
    preset = write(tmp_path, "preset.toml", max_order_notional='"0.4"')
    assert refusal(base, preset).startswith(f"{base}: strategies.maker.max_order_notional 0.5 is above ")
    assert f"max_order_notional 0.4 in {preset}" in refusal(base, preset)


def test_a_strategy_may_what_one_environment_lets_it(tmp_path: Path) -> None:
    lines = {"environments.paper.max_order_notional": '"3"', "strategies.maker.max_order_notional": '"2"'}
    assert read_limits([write(tmp_path, **LINES | lines)]).strategies["maker"].max_order_notional == D(2)
    everywhere = {f"environments.{name}.max_order_notional": '"0.5"' for name in ("paper", "shadow", "testnet")}
    path = write(tmp_path, **LINES | everywhere | {"strategies.maker.max_order_notional": '"0.6"'})
    assert "0.6 is above the account's own environments." in refusal(path), "the base counts nowhere"


@pytest.mark.parametrize("owner", ["", "environments.paper.", "strategies.maker."])
def test_a_preset_that_contradicts_itself_is_refused(tmp_path: Path, owner: str) -> None:
    base = write(tmp_path, **LINES)
    for inner, outer in (
        ('max_order_quantity."BTC/USD"', 'max_position_size."BTC/USD"'),
        ("max_order_quantity.default", "max_position_size.default"),
        ("max_concentration", "max_exposure"),
    ):
        preset = write(tmp_path, "preset.toml", **{f"{owner}{inner}": '"0.5"', f"{owner}{outer}": '"0.4"'})
        assert f"{preset}: {owner}{inner} 0.5 contradicts {owner}{outer} 0.4: " in refusal(base, preset)
        harmless = write(tmp_path, "preset.toml", **{f"{owner}{inner}": '"0.4"', f"{owner}{outer}": '"0.4"'})
        read_limits([base, harmless])


def test_what_only_looks_like_a_contradiction_is_taken(tmp_path: Path) -> None:
    lines = {"max_order_quantity": '{ default = "1000" }', "max_daily_loss": '"0.5"', "max_concentration": '"9"'}
    read_limits([write(tmp_path, **LINES | lines)])


# -- nothing changes them --------------------------------------------------------------------------------------------


def test_nobody_changes_a_limit_through_what_is_in_force(tmp_path: Path) -> None:
    owners = {
        "environments.paper.max_position_size": '{ "BTC/USD" = "1" }',
        "strategies.maker.max_position_size": '{ "BTC/USD" = "1" }',
    }
    found = read_limits([write(tmp_path, **LINES | owners)])
    before = str(found)
    maker, paper = found.strategies["maker"], found.environments["paper"]
    tables: list[Any] = [each.max_position_size for each in (found, maker, paper)]
    tables += [found.max_order_quantity, found.fixed_rates, found.environments, found.strategies, paper.strategies]
    tables += [maker.max_order_quantity, paper.environments]
    for table in tables:
        with pytest.raises(TypeError):
            table["BTC/USD"] = D(1000)
        with pytest.raises(AttributeError):
            table.clear()
    for owner in (found, maker, paper):
        with pytest.raises(AttributeError):
            owner.max_exposure = D(50)  # type: ignore[misc]
    assert str(found) == before


def test_they_are_shown_one_a_line_and_of_owners_what_differs(tmp_path: Path) -> None:
    owners = {"environments.paper.max_exposure": '"2"', 'strategies."a b".max_order_quantity': '{ "BTC/USD" = "1" }'}
    lines = str(read_limits([write(tmp_path, **LINES | owners)])).splitlines()
    assert {"max_drawdown = 0.05", 'max_order_quantity."BTC/USD" = 2', "current_exposure = 0"} <= set(lines)
    assert [line for line in lines if line.startswith(("environments", "strategies"))] == [
        "environments.paper.max_exposure = 2",
        'strategies."a b".max_order_quantity."BTC/USD" = 1',
    ]


# -- where the account stands ------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory that the configuration names as home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTER_HOME", str(tmp_path))
    return tmp_path


async def journal(path: Path, *accounts: AccountMark | None) -> None:
    """Write a journal with one fill an account."""
    book = SqliteJournal(path, VirtualClock(NOW))
    await book.open(lambda _: None)
    for number, account in enumerate(accounts, start=1):
        book.append(
            Filled(
                seq=number,
                ts_recorded=NOW,
                run_id="run_1",
                status=ExecutionStatus.FILLED,
                client_order_id="U1",
                trade_id=str(number),
                account=account,
            )
        )
    await book.flush()
    await book.close()


def standing(home: Path) -> tuple[Decimal, Decimal]:
    found = LiveRiskLimits.load(write(home, **LINES))
    return found.current_exposure, found.current_drawdown


def test_without_a_journal_nothing_is_at_stake(home: Path) -> None:
    assert standing(home) == (D(0), D(0))


@pytest.mark.asyncio
async def test_exposure_and_drawdown_come_from_the_journals_last_fill(home: Path) -> None:
    earlier = AccountMark(D(50), D(100), D(100), D("0.9"))
    await journal(home / "journal.db", earlier, AccountMark(D(90), D(120), D(100), D("0.4")))
    assert standing(home) == (D("0.4"), D("0.25"))


@pytest.mark.asyncio
@pytest.mark.parametrize("accounts", [(), (None,)])
async def test_a_journal_without_an_account_says_nothing(home: Path, accounts: tuple[None, ...]) -> None:
    await journal(home / "journal.db", *accounts)
    assert standing(home) == (D(0), D(0))


@pytest.mark.asyncio
async def test_an_account_that_never_had_anything_has_no_drawdown(home: Path) -> None:
    await journal(home / "journal.db", AccountMark(D(-5), D(0), D(0), D(0)))
    assert standing(home) == (D(0), D(0))


@pytest.mark.asyncio
async def test_they_are_what_a_real_pipeline_left_behind(home: Path) -> None:
    async with ExecutionPipeline("paper", settings(home)) as pipeline:
        assert (await pipeline.submit_order(intent(quantity="1"))).is_success
        move(pipeline, "BTC/USD", "47999.5", "48000.5")
        assert (await pipeline.submit_order(intent(quantity="0.5", side="sell"))).is_success
        snapshot = pipeline.risk_snapshot()
    exposure, drawdown = standing(home)
    assert exposure == snapshot.exposure == D(24000) / snapshot.equity
    assert drawdown == snapshot.drawdown > D("0.02")


def configured(home: Path, **preset: str) -> None:
    config = home / "config"
    (config / "presets").mkdir(parents=True)
    (config / "config.toml").write_text('[execution]\nportfolio_preset = "mine"\n[strategies.maker]\nowner = "A"\n')
    write(config, **LINES)
    write(config / "presets", "mine.toml", **preset)


def test_loading_as_configured_reads_base_file_and_preset(home: Path) -> None:
    configured(home, max_exposure='"0.7"')
    found = LiveRiskLimits.load()
    assert (found.max_exposure, found.max_drawdown) == (D("0.7"), D("0.05"))


def test_loading_as_configured_knows_who_is_registered(home: Path) -> None:
    configured(home, **{"strategies.nobody.max_exposure": '"0.1"'})
    with pytest.raises(ConfigError, match=r"strategies\.nobody is no registered strategy"):
        LiveRiskLimits.load()


@pytest.mark.asyncio
async def test_loading_as_configured_includes_what_operators_have_set_and_no_file_has_changed(home: Path) -> None:
    configured(home, max_exposure='"0.7"')
    book = SqliteJournal(home / "journal.db", VirtualClock(NOW))
    await book.open(lambda _: None)
    for number, (key, new, is_override) in enumerate(
        [
            ("max_exposure", "0.6", True),
            ("max_drawdown", "0.02", True),
            ("max_drawdown", "0.05", False),
            ("strategies.maker.max_exposure", "0.1", True),
            ("strategies.gone.max_exposure", "0.1", True),
        ],
        start=1,
    ):
        fields: Any = {"key": key, "old": None, "new": new, "operator": "anna", "reason": "r"}
        book.append(LimitChanged(seq=number, ts_recorded=NOW, is_override=is_override, **fields))
    await book.flush()
    await book.close()
    found = LiveRiskLimits.load()
    assert (found.max_exposure, found.max_drawdown) == (D("0.6"), D("0.05"))
    assert found.strategies == {"maker": StrategyLimits(max_exposure=D("0.1"))}
