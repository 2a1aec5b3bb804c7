"""P19: no order without a fresh reference price."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from router.clock import VirtualClock
from router.market.quotes import MarketData
from router.safety.reference_age import ReferenceAge
from tests.factories import NOW, order, quote, submission

pytestmark = pytest.mark.asyncio


async def objection(age: float, *, max_age: float = 5.0, skew: float = 0.0) -> str | None:
    """Ask about a quote received ``age`` seconds ago, whose venue's clock is ahead by ``skew`` seconds."""
    clock = VirtualClock(NOW)
    market = MarketData(clock)
    market.apply(msgspec.structs.replace(quote(), ts_event=NOW + timedelta(seconds=skew)))
    await clock.advance(age)
    return ReferenceAge(market, max_age).objection(submission(order(), reference=None))


async def test_without_a_quote_nothing_leaves() -> None:
    control = ReferenceAge(MarketData(VirtualClock(NOW)), 5.0)
    asked = submission(order(symbol="ETH/USD"), reference=quote())
    found = control.objection(asked)
    assert found == "No reference price for ETH/USD: check the market data feed (market_data.source)."
    assert asked.reference is None


@pytest.mark.parametrize("age", [0.0, 4.999, 5.0])
async def test_a_quote_up_to_the_limit_is_fresh(age: float) -> None:
    assert await objection(age) is None


async def test_an_older_one_blocks_and_says_how_old_it_is_and_what_to_check() -> None:
    assert await objection(5.1) == (
        "Reference price for BTC/USD is 5.1 s old, older than market_data.max_age_s = 5: check the market data feed."
    )


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
async def test_the_venues_clock_makes_no_quote_older_or_younger(skew: float) -> None:
    assert await objection(1.0, skew=skew) is None
    assert await objection(6.0, skew=skew) is not None


async def test_a_static_quote_never_ages() -> None:
    clock = VirtualClock(NOW)
    market = MarketData(clock)
    market.pin(quote())
    await clock.advance(86400)
    assert ReferenceAge(market, 5.0).objection(submission(order())) is None


async def test_the_gates_behind_see_the_quote_that_was_judged() -> None:
    market = MarketData(VirtualClock(NOW))
    market.apply(quote("10", "11"))
    asked = submission(order(), reference=None)
    assert ReferenceAge(market, 5.0).objection(asked) is None
    assert asked.reference is market.quote("BTC/USD")


async def test_its_id_is_the_catalogues() -> None:
    assert ReferenceAge.id.startswith("P19_")
