"""Secrets vanish by key, by shape and by value; what is not secret stays."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from router.logs.redaction import REDACTED, redact, redact_item, redact_json, redact_often, redact_text, register_secret


@pytest.mark.parametrize(
    "key",
    ["api_key", "apiKey", "API-KEY", "X-MBX-APIKEY", "secret", "client_secret", "passphrase", "password", "token",
     "signature", "Authorization"],
)  # fmt: skip
def test_a_secret_key_blanks_its_value_at_any_depth(key: str) -> None:
    value = {"outer": [{"inner": ({key: "hunter2"},)}], "symbol": "BTC/USD"}

    assert redact(value) == {"outer": [{"inner": [{key: REDACTED}]}], "symbol": "BTC/USD"}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("GET /order?symbol=BTC&signature=ab12&x=1", f"GET /order?symbol=BTC&signature={REDACTED}&x=1"),
        ("{'apiKey': 'ab12', 'symbol': 'BTC'}", f"{{'apiKey': '{REDACTED}', 'symbol': 'BTC'}}"),
        ('{"secret": "ab12"}', f'{{"secret": "{REDACTED}"}}'),
        ("Authorization: Bearer ab12", f"Authorization: Bearer {REDACTED}"),
        ("BINANCE_TESTNET_API_SECRET=ab12", f"BINANCE_TESTNET_API_SECRET={REDACTED}"),
        ("price=50000 quantity: 3", "price=50000 quantity: 3"),
    ],
)
def test_a_secret_is_blanked_by_the_shape_of_the_text(text: str, clean: str) -> None:
    assert redact_text(text) == clean


def test_a_registered_secret_is_blanked_wherever_it_stands() -> None:
    assert 's3cr/et+"value' in redact_text('before s3cr/et+"value')
    assert redact_often('seen s3cr/et+"value') == 'seen s3cr/et+"value'

    register_secret('s3cr/et+"value')

    assert redact_text('before s3cr/et+"value after') == f"before {REDACTED} after"
    assert redact_text("quoted s3cr%2Fet%2B%22value") == f"quoted {REDACTED}"
    assert redact_often('seen s3cr/et+"value') == f"seen {REDACTED}", "remembered events are looked at again"
    encoded = msgspec.json.encode({"reason": 's3cr/et+"value'})
    assert redact_json(encoded) == msgspec.json.encode({"reason": REDACTED})
    assert redact_json(b'{"other":1}') == b'{"other":1}'


def test_a_registered_secret_that_is_too_short_to_be_one_changes_nothing() -> None:
    register_secret("BTC")

    assert redact_text("BTC/USD") == "BTC/USD"


def test_what_is_not_secret_keeps_its_type() -> None:
    class Quote(msgspec.Struct):
        bid: Decimal
        token: str

    assert redact({"a": 1, "b": Decimal("0.1"), "c": None, "d": True}) == {
        "a": 1,
        "b": Decimal("0.1"),
        "c": None,
        "d": True,
    }
    assert redact(Quote(Decimal(1), "x")) == {"bid": Decimal(1), "token": REDACTED}
    assert redact_item("token", "") == "", "an empty secret is worth knowing"


def test_any_object_can_be_redacted() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    endless: list[object] = []
    endless.append(endless)

    assert "Hostile" in redact(Hostile())
    assert "…" in str(redact(endless))
    assert redact({1: "a", None: "b"}) == {"1": "a", "None": "b"}
    assert len(redact("x" * 100_000)) < 10_000
