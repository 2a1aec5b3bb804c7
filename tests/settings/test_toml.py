"""One TOML file: exact numbers, refused credentials, errors that say where."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ConfigError
from router.settings.toml import (
    display_path,
    dotted,
    looks_secret,
    secret_keys,
    toml_table,
    unknown_key_error,
)


def write(folder: Path, text: str) -> Path:
    path = folder / "some.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        toml_table(path)
    return str(caught.value)


def test_numbers_are_exact(tmp_path: Path) -> None:
    table = toml_table(write(tmp_path, 'a = 0.1\nb = 10\nc = 1.10\nd = "x"\n[e]\nf = [0.3]\n'))
    assert table == {
        "a": Decimal("0.1"),
        "b": 10,
        "c": Decimal("1.10"),
        "d": "x",
        "e": {"f": [Decimal("0.3")]},
    }
    assert str(table["c"]) == "1.10"


def test_a_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    assert toml_table(path) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb 2\n", 2), ("a = 1\na = 2\n", 2), ("[a\n", 1), ("a = 1\n\nb = [1,\n", 3), ("a = \n", 1)],
)
def test_a_syntax_error_names_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    path = write(tmp_path, text)
    assert refusal(path).startswith(f"{path}, line {line}: not valid TOML: ")


def test_a_number_nobody_can_hold_is_no_crash(tmp_path: Path) -> None:
    assert "not valid TOML" in refusal(write(tmp_path, "a = " + "9" * 5000))
    assert toml_table(write(tmp_path, "a = 1e99999999999999999999")) == {"a": "1e99999999999999999999"}


def test_nesting_too_deep_is_no_crash(tmp_path: Path) -> None:
    assert "nested too deeply" in refusal(write(tmp_path, "a = " + "[" * 100_000))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "gone.toml"
    assert refusal(missing) == f"{missing}: no such file"
    assert refusal(tmp_path) == f"{tmp_path} is a folder; name the TOML file in it"
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"a = 1\n\xff\xfe")
    assert refusal(binary) == f"{binary} is not UTF-8 text (byte 6)"
    under_a_file = binary / "x.toml"
    assert refusal(under_a_file).startswith(f"{under_a_file} cannot be read: ")


@pytest.mark.parametrize(
    "key",
    [
        "api_key", "apiKey", "API_KEY", "apikey", "api-key", "secret", "api_secret", "password", "passphrase",
        "token", "accessToken", "private_key", "bot_token", "credentials", "binance_api_key",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["", "[testnet]\n", '[a."b/c".d]\n', "[[a]]\n"])
def test_credentials_are_refused_wherever_they_are(tmp_path: Path, key: str, where: str) -> None:
    message = refusal(write(tmp_path, f'{where}{key} = "hunter2-do-not-print"\n'))
    assert key in message
    assert "<VENUE>_TESTNET_API_KEY" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("key", ["tokenise", "keys", "risk_check_override", "max_orders_per_second", "TOKEN/USDT"])
def test_ordinary_names_are_no_credentials(key: str) -> None:
    assert not looks_secret(key)


def test_an_asset_may_be_called_token_and_a_channel_anything() -> None:
    assert secret_keys({"starting_balances": {"TOKEN": "12.5"}}) == []
    assert secret_keys({"alerts": {"channels": {"token-desk": "json://x"}}}) == []
    assert secret_keys({"alerts": {"token": "abc"}, "TOKEN": "abc"}) == [("alerts", "token"), ("TOKEN",)]


def test_an_unknown_key_comes_with_its_path_and_the_nearest_known_key(tmp_path: Path) -> None:
    path = tmp_path / "risk_limits.toml"
    known = ["max_drawdown", "max_daily_loss"]
    assert str(unknown_key_error(path, "", "max_drawdwn", known)) == (
        f"{path}: max_drawdwn is not a known key; did you mean max_drawdown?"
    )
    assert str(unknown_key_error(path, '"BTC/USD"', "tick-size", ["tick_size"])) == (
        f'{path}: "BTC/USD".tick-size is not a known key; did you mean "BTC/USD".tick_size?'
    )
    assert str(unknown_key_error("override", "", "zzz", known)) == (
        "override: zzz is not a known key; known here: max_daily_loss, max_drawdown"
    )


def test_paths_are_shown_as_a_person_here_would_type_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert display_path(Path("config/config.toml")) == "config/config.toml"
    assert display_path(tmp_path / "config" / "config.toml") == "config/config.toml"
    assert display_path(tmp_path.parent / "other.toml") == str(tmp_path.parent / "other.toml")
    assert dotted(("market_data", "static", "BTC/USD", "bid")) == 'market_data.static."BTC/USD".bid'


@given(number=st.decimals(allow_nan=False, allow_infinity=False, places=9))
def test_every_decimal_survives_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, number: Decimal) -> None:
    path = write(tmp_path_factory.getbasetemp(), f"a = {number:f}\n")
    read = toml_table(path)["a"]
    assert isinstance(read, Decimal)
    assert f"{read:f}" == f"{number:f}"
