"""Whose an order is: ours by client id, the venue's id within its symbol; memory has a bound."""

from __future__ import annotations

from router.executors.testnet.names import Names


def test_only_what_was_ours_is_ours() -> None:
    names = Names()
    names.own("U1")
    assert [names.ours(each) for each in ("U1", "X", None)] == ["U1", None, None]


def test_an_id_of_the_venue_is_a_symbols_own() -> None:
    names = Names()
    names.know("BTC/USDT", "7", "U1")
    names.know("ETH/USDT", "7", "")
    names.know("ETH/USDT", None, "U2")
    assert names.of("BTC/USDT", "7") == "U1"
    assert names.of("ETH/USDT", "7") == ""
    assert names.of("BTC/USDT", "8") is None


def test_the_oldest_are_forgotten_first() -> None:
    names = Names()
    for number in range(20_001):
        names.own(str(number))
        names.know("S", str(number), str(number))
    assert (names.ours("0"), names.of("S", "0")) == (None, None)
    assert (names.ours("1"), names.of("S", "1")) == ("1", "1")
