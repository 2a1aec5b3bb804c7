"""A limit's key reads the same from a file and from a person, and its value has one form."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ConfigError
from router.risk.limit_keys import (
    ENVIRONMENTS,
    LIMITS,
    Key,
    Value,
    beyond_the_account,
    contradictions,
    judged,
    key_from,
    text_of,
    typed,
    values_of,
)
from router.settings import dotted
from tests.factories import PROPERTY, D

SCALARS = sorted(name for name, kind in LIMITS.items() if not kind.by_symbol and not kind.whole)


def refusal(key: str, value: object = "1", strategies: tuple[str, ...] = ("maker",)) -> str:
    with pytest.raises(ConfigError) as caught:
        judged(key_from(key, "here"), value, "here", strategies)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("max_exposure", ("max_exposure",)),
        ('max_position_size."BTC/USD"', ("max_position_size", "BTC/USD")),
        ("max_position_size.BTC/USD", ("max_position_size", "BTC/USD")),
        ("environments.testnet.max_open_orders", ("environments", "testnet", "max_open_orders")),
        ('strategies."a.b c".max_position_size.default', ("strategies", "a.b c", "max_position_size", "default")),
    ],
)
def test_a_person_may_quote_or_not(text: str, key: Key) -> None:
    assert key_from(text, "here") == key


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", ".a", '"a', 'a."b"c', '""'])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^here: .* is no key like max_exposure"):
        key_from(text, "here")


@PROPERTY
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters='"'), min_size=1), min_size=1, max_size=4))
def test_a_dotted_key_is_read_back(parts: list[str]) -> None:
    assert key_from(dotted(parts), "here") == tuple(parts)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("max_exposur", "max_exposur is not a known key; did you mean max_exposure?"),
        ("strategies.maker.max_exposur", "did you mean strategies.maker.max_exposure?"),
        ("strategies.nobody.max_exposure", "strategies.nobody is no registered strategy. Register it in config.toml: "),
        ("environments.live.max_exposure", "environments.live is no environment with an account; there are paper"),
        ("environments", "environments is no limit but a table; name one in it"),
        ("environments.paper", "environments.paper is no limit but a table; name one in it"),
        ("max_position_size", 'name it max_position_size."BTC/USD"'),
        ("max_exposure.BTC/USD", "name it max_exposure"),
        ("strategies.maker.max_order_quantity", 'name it strategies.maker.max_order_quantity."BTC/USD"'),
        ("max_order_quantity.BTC/USD.x", 'name it max_order_quantity."BTC/USD"'),
        ("max_order_quantity.BTCUSD", 'must be named by a symbol like "BTC/USD", or default'),
        ("current_drawdown", "current_drawdown is not a known key"),
    ],
)
def test_a_key_that_is_none_is_refused_with_what_to_name(key: str, says: str) -> None:
    assert refusal(key).startswith("here: ")
    assert says in refusal(key)


@pytest.mark.parametrize("value", ["", "-1", "0", "nan", "inf", "1e999999", "1_0", "ten", True, None, [], {}])
@pytest.mark.parametrize("key", ["max_exposure", "max_order_quantity.default", "fixed_rates.EUR"])
def test_a_value_that_limits_nothing_is_refused(key: str, value: object) -> None:
    assert refusal(key, value).startswith(f"here: {key} must be ")


@pytest.mark.parametrize("text", ["1.0", "0", "-3", "1e3", " 3", "", "٣", "9" * 13])
def test_a_whole_number_is_one_when_typed_too(text: str) -> None:
    assert refusal("max_open_orders", typed(("max_open_orders",), text)).startswith("here: max_open_orders must be ")
    assert judged(("max_open_orders",), typed(("max_open_orders",), "30"), "here") == 30


@PROPERTY
@given(st.sampled_from(SCALARS), st.decimals(min_value="0.000001", max_value="1", places=6))
def test_a_value_has_one_form_that_reads_the_same(name: str, value: Decimal) -> None:
    text = text_of(value)
    assert judged((name,), text, "here") == value
    assert text == text_of(value + D("0.00000000"))
    assert "E" not in text


def test_a_table_becomes_one_value_a_key() -> None:
    table = {
        "max_exposure": "1",
        "max_position_size": {"BTC/USD": 5},
        "environments": {"paper": {"max_order_quantity": {"default": "2"}, "max_open_orders": 3}},
    }
    assert values_of(table, "here", ()) == {
        ("max_exposure",): D(1),
        ("max_position_size", "BTC/USD"): D(5),
        ("environments", "paper", "max_order_quantity", "default"): D(2),
        ("environments", "paper", "max_open_orders"): 3,
    }


def test_a_contradiction_is_one_inside_one_owner_only() -> None:
    inner, outer = ("max_order_quantity", "BTC/USD"), ("max_position_size", "BTC/USD")
    assert list(contradictions({inner: D(2), ("environments", "paper", *outer): D(1)})) == []
    assert list(contradictions({inner: D(2), ("max_position_size", "default"): D(1)})) == [], "it may be for others"
    assert len(list(contradictions({inner: D(2), outer: D(1)}))) == 1


ACCOUNT: dict[Key, Value] = {
    ("max_order_quantity", "default"): D(1),
    ("max_order_quantity", "BTC/USD"): D(5),
    ("environments", "paper", "max_order_quantity", "ETH/USD"): D(7),
    ("environments", "paper", "max_order_quantity", "BTC/USD"): D(2),
}


@pytest.mark.parametrize(
    ("symbol", "most"), [("BTC/USD", D(5)), ("ETH/USD", D(7)), ("SOL/USD", D(1)), ("default", D(7))]
)
def test_a_strategys_limit_is_compared_with_the_loosest_account(symbol: str, most: Decimal) -> None:
    key = ("strategies", "maker", "max_order_quantity", symbol)
    assert beyond_the_account({**ACCOUNT, key: most}, key) is None
    other = beyond_the_account({**ACCOUNT, key: most + D("0.1")}, key)
    assert other is not None
    assert ACCOUNT[other] == most


def test_nothing_to_compare_with_is_no_contradiction() -> None:
    key = ("strategies", "maker", "max_order_notional")
    assert beyond_the_account({key: D(5)}, key) is None
    account: dict[Key, Value] = {key[2:]: D(5), ("environments", "paper", *key[2:]): D(1)}
    assert beyond_the_account(account, key[2:]) is None


def test_positions_and_losses_of_strategies_offset_each_other_so_one_may_have_more_than_the_account() -> None:
    for name, value in (("max_exposure", "2"), ("max_drawdown", "0.5"), ("max_daily_loss", "0.5")):
        key = ("strategies", "maker", name)
        assert beyond_the_account({(name,): D("0.1"), key: D(value)}, key) is None


def test_live_has_no_account() -> None:
    assert ENVIRONMENTS == ("paper", "shadow", "testnet")
