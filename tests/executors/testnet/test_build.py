"""An executor, or one sentence why there is none; nothing is asked of the network for that."""

from __future__ import annotations

import pytest

from router.clock import VirtualClock
from router.errors import RouterError
from router.executors import testnet
from router.executors.testnet.build import DIALECTS, build, refusal
from router.executors.testnet.executor import TestnetExchangeOrderExecutor
from router.executors.testnet.profiles import PROFILES
from router.logs import get_logger
from router.settings import Testnet

KEYS = {"BINANCE_TESTNET_API_KEY": "k", "BINANCE_TESTNET_API_SECRET": "s"}
LOOPBACK = "http://127.0.0.1:1"


@pytest.mark.parametrize("venue", ["kraken", "coinbase", "kucoin", "nosuchvenue"])
def test_a_venue_without_a_sandbox_is_refused_with_the_venues_that_have_one(venue: str) -> None:
    why = refusal(Testnet(venue=venue), KEYS) or ""
    assert venue in why
    assert "binance" in why
    assert "bybit" in why


def test_missing_keys_are_named() -> None:
    why = refusal(Testnet(venue="binance"), {}) or ""
    assert "BINANCE_TESTNET_API_KEY" in why
    assert "BINANCE_TESTNET_API_SECRET" in why


def test_a_sandbox_with_keys_is_not_refused() -> None:
    assert refusal(Testnet(venue="binance"), KEYS) is None


def test_a_loopback_venue_needs_no_keys() -> None:
    assert refusal(Testnet(venue="binance", base_url=LOOPBACK), {}) is None


@pytest.mark.parametrize("base_url", ["https://api.binance.com", "http://10.0.0.1:80", "http://example.org"])
def test_a_base_url_that_is_no_loopback_venue_is_refused(base_url: str) -> None:
    assert "loopback" in (refusal(Testnet(venue="binance", base_url=base_url), KEYS) or "")


def test_the_executor_is_found_by_its_name() -> None:
    assert testnet.TestnetExchangeOrderExecutor is TestnetExchangeOrderExecutor
    with pytest.raises(AttributeError, match="nobody"):
        _ = testnet.nobody


def test_every_profile_has_its_dialect() -> None:
    assert {profile.dialect for profile in PROFILES.values()} == set(DIALECTS)


def test_it_is_put_together_without_a_loop_or_a_network() -> None:
    made = build(
        "testnet",
        Testnet(venue="bybit", base_url=LOOPBACK, recv_window_ms=3000),
        {},
        VirtualClock(),
        lambda report: None,
        get_logger(),
        symbols=["BTC/USDT"],
        alert=lambda text, severity: None,
    )
    assert (made.environment, made.venue, made.remote, made.settle_s) == ("testnet", "bybit", True, 4.0)
    assert made.not_ready() is not None
    assert made.halted() is None


def test_the_guard_refuses_what_the_refusal_did_not_see() -> None:
    with pytest.raises(RouterError, match="loopback"):
        build(
            "testnet",
            Testnet(venue="binance", base_url="https://api.binance.com"),
            KEYS,
            VirtualClock(),
            lambda report: None,
            get_logger(),
            symbols=[],
            alert=lambda text, severity: None,
        )
