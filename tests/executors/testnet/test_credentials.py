from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ConfigError
from router.executors.testnet.credentials import Credentials, read_credentials
from router.executors.testnet.guard import LiveHostError
from router.executors.testnet.profiles import PROFILES, Profile
from tests.factories import PROPERTY

BINANCE, OKX = PROFILES["binance"], PROFILES["okx"]
KEY, SECRET, PHRASE = (f"BINANCE_TESTNET_API_{part}" for part in ("KEY", "SECRET", "PASSPHRASE"))
LOOPBACK = "http://127.0.0.1:8080"


def secret_file(path: Path, content: bytes = b"from-a-file\n", mode: int = 0o600) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_from_the_environment() -> None:
    found = read_credentials(BINANCE, {KEY: "k", SECRET: "s", PHRASE: "not asked for"})
    assert (found.parts(), found.warnings) == (("k", "s", ""), ())


def test_a_passphrase_where_the_venue_has_one() -> None:
    environ = {"OKX_TESTNET_API_KEY": "k", "OKX_TESTNET_API_SECRET": "s"}
    with pytest.raises(ConfigError, match="OKX_TESTNET_API_PASSPHRASE not set"):
        read_credentials(OKX, environ)
    assert read_credentials(OKX, {**environ, "OKX_TESTNET_API_PASSPHRASE": "p"}).parts() == ("k", "s", "p")


def test_from_files(tmp_path: Path) -> None:
    environ = {KEY: "k", f"{SECRET}_FILE": secret_file(tmp_path / "secret")}
    assert read_credentials(BINANCE, environ).parts() == ("k", "from-a-file", "")


@pytest.mark.parametrize("name", [SECRET, SECRET.lower()])
def test_from_systemd(tmp_path: Path, name: str) -> None:
    secret_file(tmp_path / name, mode=0o400)
    environ = {KEY: "k", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_credentials(BINANCE, environ).parts() == ("k", "from-a-file", "")


@pytest.mark.parametrize("ending", ["\n", "\r\n", " \n\n", ""])
def test_line_ends_are_no_part_of_a_secret(tmp_path: Path, ending: str) -> None:
    file = secret_file(tmp_path / "secret", f"s{ending}".encode())
    assert read_credentials(BINANCE, {KEY: f"k{ending}", f"{SECRET}_FILE": file}).parts() == ("k", "s", "")


@pytest.mark.parametrize(
    "environ", [{}, {KEY: "k"}, {SECRET: "s"}, {"BINANCE_API_KEY": "live", "BINANCE_API_SECRET": "live"}]
)
def test_missing_keys_are_named(environ: dict[str, str]) -> None:
    missing = " and ".join(name for name in (KEY, SECRET) if name not in environ)
    with pytest.raises(ConfigError, match=f"^binance: {missing} not set"):
        read_credentials(BINANCE, environ)


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_value_is_named_and_is_not_a_missing_one(tmp_path: Path, empty: str) -> None:
    with pytest.raises(ConfigError, match=f"^{SECRET} is empty"):
        read_credentials(BINANCE, {KEY: "k", SECRET: empty}, base_url=LOOPBACK)
    file = secret_file(tmp_path / "secret", empty.encode())
    with pytest.raises(ConfigError, match=f"^{SECRET}_FILE is empty"):
        read_credentials(BINANCE, {KEY: "k", f"{SECRET}_FILE": file})


def test_two_sources_of_one_secret_are_both_named(tmp_path: Path) -> None:
    file = secret_file(tmp_path / SECRET)
    with pytest.raises(ConfigError, match=f"^{SECRET} is given more than once: by {SECRET} and by {SECRET}_FILE"):
        read_credentials(BINANCE, {KEY: "k", SECRET: "s", f"{SECRET}_FILE": file})
    with pytest.raises(ConfigError, match=f"by {SECRET} and by {tmp_path}/{SECRET}"):
        read_credentials(BINANCE, {KEY: "k", SECRET: "s", "CREDENTIALS_DIRECTORY": str(tmp_path)})
    secret_file(tmp_path / SECRET.lower())
    with pytest.raises(ConfigError, match="more than once"):
        read_credentials(BINANCE, {KEY: "k", "CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=f"^{SECRET}_FILE: {path} cannot be read: {why}"):
            read_credentials(BINANCE, {KEY: "k", f"{SECRET}_FILE": str(path)})


def test_a_file_for_everybody_is_taken_with_a_warning(tmp_path: Path) -> None:
    file = secret_file(tmp_path / "secret", mode=0o644)
    found = read_credentials(BINANCE, {KEY: "k", f"{SECRET}_FILE": file})
    assert found.secret == "from-a-file"
    assert found.warnings == (f"{file} can be read by every user of this machine; chmod it to 600.",)


@pytest.mark.parametrize("content", ["sécret", "two words", "two\nlines", "tab\there", "nul\0", "\ufeffs", "s" * 5000])
def test_what_cannot_be_a_key_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    file = secret_file(tmp_path / "secret", content.encode())
    for environ in ({SECRET: content}, {f"{SECRET}_FILE": file}):
        with pytest.raises(ConfigError, match="something else than one word of ASCII") as caught:
            read_credentials(BINANCE, {KEY: "k", **environ})
        assert content not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one word of ASCII"):
        read_credentials(BINANCE, {KEY: "k", f"{SECRET}_FILE": secret_file(tmp_path / "s", b"\xff\xfe")})
    with pytest.raises(ConfigError, match="one word of ASCII"):
        read_credentials(BINANCE, {KEY: "k", SECRET: "\udcff"})


@pytest.mark.parametrize("profile", [BINANCE, OKX], ids=["key and secret", "and passphrase"])
def test_a_loopback_venue_has_keys_of_its_own(profile: Profile) -> None:
    found = read_credentials(profile, {}, base_url=LOOPBACK)
    assert (found.key, found.secret) == ("loopback" * 8, "loopback" * 8)
    assert bool(found.passphrase) is profile.needs_passphrase


def test_a_loopback_venue_takes_keys_that_are_set() -> None:
    assert read_credentials(BINANCE, {KEY: "k", SECRET: "s"}, base_url=LOOPBACK).parts() == ("k", "s", "")
    with pytest.raises(ConfigError, match=f"{SECRET} not set"):
        read_credentials(BINANCE, {KEY: "k"}, base_url=LOOPBACK)


def test_no_keys_for_a_venue_elsewhere() -> None:
    with pytest.raises(LiveHostError):
        read_credentials(BINANCE, {KEY: "k", SECRET: "s"}, base_url="http://10.0.0.1")


@PROPERTY
@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=64))
def test_a_secret_shows_nowhere(secret: str) -> None:
    found = Credentials(key=secret, secret=secret, passphrase=secret)
    assert secret not in f"{found} {found!r} {[found]} {msgspec.structs.replace(found, key='other')!r}"
