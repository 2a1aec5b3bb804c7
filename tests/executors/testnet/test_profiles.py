from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import ccxt
import ccxt.pro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from router.executors.testnet.profiles import (
    BINANCE,
    BYBIT,
    NOT_USABLE,
    PROFILES,
    SANDBOX_VENUES,
    Profile,
    no_sandbox_reason,
    profile_of,
)
from router.ids import client_order_id
from tests.factories import PROPERTY

FUTURES = re.compile(r"binancefuture\.com$")
CODES = ["not_placed", "not_found", "duplicate", "auth", "clock", "rate", "banned", "maintenance", "market_closed"]


def origins(ex: Any) -> frozenset[str]:
    """Return the addresses in ccxt's tree of URLs."""
    return frozenset(str(URL(ex.implode_hostname(url)).origin()) for url in leaves(ex.urls["api"]))


def leaves(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from leaves(value)
    else:
        yield node


def exchange(venue: str) -> Any:
    quiet = logging.getLogger("test.ccxt")
    return (getattr(ccxt.pro, venue, None) or getattr(ccxt.async_support, venue))({"logger": quiet})


@cache
def shipped() -> dict[str, tuple[frozenset[str], frozenset[str] | None]]:
    """Return live and sandbox addresses of every exchange in ccxt; None where it has no sandbox."""
    found: dict[str, tuple[frozenset[str], frozenset[str] | None]] = {}
    for venue in ccxt.exchanges:
        ex = exchange(venue)
        live = origins(ex)
        try:
            ex.set_sandbox_mode(True)
        except TypeError:
            found[venue] = live, None
        else:
            found[venue] = live, origins(ex)
    return found


def test_the_table_names_every_venue_with_a_sandbox_in_this_ccxt() -> None:
    with_one = {venue for venue, (_, sandbox) in shipped().items() if sandbox is not None}
    assert {*PROFILES, *NOT_USABLE} == with_one
    assert not {*PROFILES} & {*NOT_USABLE}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_the_addresses_are_the_sandbox_ones_of_this_ccxt(profile: Profile) -> None:
    """An upgrade that moves a venue fails here, and is then looked at by a person."""
    live, sandbox = shipped()[profile.venue]
    assert sandbox is not None
    own = {url for url in sandbox if not FUTURES.search(url)}  # Binance: spot only
    if profile.paper_header is None:
        assert profile.origins == own - live
    else:  # the live hosts for requests, but none of the live streams
        streams = {url for url in own if url.startswith("wss://") and URL(url).host != "ws.bitget.com"}
        assert profile.origins == {url for url in own if url.startswith("https://")} | streams


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_no_address_is_a_live_one_of_any_exchange(profile: Profile) -> None:
    live = {url for addresses, _ in shipped().values() for url in addresses if URL(url).host != "wspap.bitget.com"}
    shared = profile.origins & live
    assert not shared or (profile.paper_header and all(url.startswith("https://") for url in shared))


def test_sandboxes_that_ccxt_ships_and_are_none() -> None:
    live, sandbox = shipped()["weex"]
    assert sandbox is not None
    assert sandbox <= live
    assert shipped()["blockchaincom"][1] == shipped()["delta"][1]
    assert not {"weex", "blockchaincom"} & {*PROFILES}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_the_keys_that_are_asked_for_are_those_that_ccxt_needs(profile: Profile) -> None:
    ex = exchange(profile.venue)
    assert {name for name, needed in ex.requiredCredentials.items() if needed} <= {*profile.key_fields}
    for field in profile.key_fields:
        setattr(ex, field, "x")
    assert ex.check_required_credentials()
    assert profile.needs_passphrase is (len(profile.key_fields) == 3)


def test_the_verified_ones_come_first_and_only_they_have_a_dialect() -> None:
    assert SANDBOX_VENUES[:2] == ("binance", "bybit")
    assert [name for name, profile in PROFILES.items() if profile.verified] == ["binance", "bybit"]
    assert all((profile.dialect == "generic") is not profile.verified for profile in PROFILES.values())


@pytest.mark.parametrize("venue", ["kraken", "coinbase", "kucoin", "mexc", "bitstamp", "nowhere", "Binance", ""])
def test_a_venue_without_a_sandbox_is_answered_with_those_that_have_one(venue: str) -> None:
    assert profile_of(venue) is None
    reason = no_sandbox_reason(venue)
    assert reason.startswith(f"{venue} has no sandbox that can be used, so no order goes there.")
    assert "binance, bybit (verified)" in reason
    assert all(other in reason for other in PROFILES)


@pytest.mark.parametrize("venue", NOT_USABLE)
def test_a_sandbox_that_cannot_be_used_is_explained(venue: str) -> None:
    assert profile_of(venue) is None
    assert NOT_USABLE[venue] in no_sandbox_reason(venue)


@PROPERTY
@given(st.from_regex(r"[\x20-\x7e]{1,64}", fullmatch=True))
def test_every_venue_takes_our_client_ids(intent_id: str) -> None:
    assert all(profile.takes_client_id(client_order_id(intent_id)) for profile in PROFILES.values())


@pytest.mark.parametrize(
    ("profile", "takes", "refuses"),
    [
        (BINANCE, ["a", ".A:/z_-9", "x" * 36], ["", "x" * 37, "a b", "ä", "a\n", "a,b"]),
        (BYBIT, ["a", "A_z-9", "x" * 36], ["", "x" * 37, "a.b", "a:b", "a\n"]),
        (PROFILES["okx"], ["a", "x" * 32], ["", "x" * 33, "a-b", "a_b"]),
    ],
    ids=["binance", "bybit", "generic"],
)
def test_client_ids_that_a_venue_takes(profile: Profile, takes: list[str], refuses: list[str]) -> None:
    assert all(profile.takes_client_id(text) for text in takes)
    assert not any(profile.takes_client_id(text) for text in refuses)


@pytest.mark.parametrize("profile", [BINANCE, BYBIT], ids=["binance", "bybit"])
def test_a_code_proves_one_thing(profile: Profile) -> None:
    codes = [code for name in CODES for code in getattr(profile, name)]
    assert len(codes) == len({*codes})
    assert all(re.fullmatch(r"-?[0-9]+", code) for code in codes)


@pytest.mark.parametrize(
    ("profile", "codes"),
    [
        (BINANCE, "-1000 -1001 -1006 -1007 -1008 -1010 -2021 -2022"),
        (BYBIT, "10000 10016 170007 170032 170033 170035 170146 170147 170149 170195 170196 170234"),
    ],
    ids=["binance", "bybit"],
)
def test_what_proves_nothing_is_in_no_set(profile: Profile, codes: str) -> None:
    """Timeouts and "unknown" answers: the order may exist."""
    assert not {*codes.split()} & {code for name in CODES for code in getattr(profile, name)}


def test_a_careful_profile_believes_no_code() -> None:
    assert not any(getattr(profile, name) for name in CODES for profile in PROFILES.values() if not profile.verified)


def test_budgets_stay_inside_what_the_venues_allow() -> None:
    allowed = {"binance": ((60, 6000), (10, 100)), "bybit": ((5, 600), (1, 10))}
    for venue, ((weight_s, weight), (orders_s, orders)) in allowed.items():
        budget = PROFILES[venue].budget
        assert budget.burst + weight_s * budget.weight_per_s <= weight
        assert budget.orders_burst + orders_s * budget.orders_per_s <= orders
    for profile in PROFILES.values():
        assert 0 < profile.budget.reserve < profile.budget.burst
        assert profile.verified or (profile.budget.weight_per_s <= 2 and profile.budget.orders_per_s <= 1)
