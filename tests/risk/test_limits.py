"""Limits are loaded whole or not at all, exactly, and tell where the account stands."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from router import ExecutionPipeline
from router.clock import VirtualClock
from router.domain.enums import ExecutionStatus
from router.domain.events import AccountMark, Filled
from router.errors import ConfigError
from router.journal.sqlite import SqliteJournal
from router.risk import LiveRiskLimits
from router.risk.limits import read_limits
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


@pytest.mark.parametrize("key", ["max_order_quantity", "max_position_size", "fixed_rates"])
def test_a_table_must_be_one(tmp_path: Path, key: str) -> None:
    path = write(tmp_path, **LINES | {key: '"5"'})
    assert refusal(path).startswith(f"{path}: {key} must be a table by symbol")


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


def test_loading_as_configured_reads_base_file_and_preset(home: Path) -> None:
    config = home / "config"
    (config / "presets").mkdir(parents=True)
    write(config, "config.toml")
    (config / "config.toml").write_text('[execution]\nportfolio_preset = "mine"\n')
    write(config, **LINES)
    write(config / "presets", "mine.toml", max_exposure='"0.7"')
    found = LiveRiskLimits.load()
    assert (found.max_exposure, found.max_drawdown) == (D("0.7"), D("0.05"))
