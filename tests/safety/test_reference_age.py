"""P19: no order without a fresh reference price."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from router.clock import VirtualClock
from router.market.quotes import MarketData
from router.market.sanity import Sanity
from router.safety.reference_age import ReferenceAge
from router.settings import Safety
from tests.factories import NOW, D, market, order, quote, submission

pytestmark = pytest.mark.asyncio


async def objection(age: float, *, max_age: float = 5.0, skew: float = 0.0) -> str | None:
    """Ask about a quote received ``age`` seconds ago, whose venue's clock is ahead by ``skew`` seconds."""
    clock = VirtualClock(NOW)
    book = MarketData(clock)
    book.apply(msgspec.structs.replace(quote(), ts_event=NOW + timedelta(seconds=skew)))
    await clock.advance(age)
    return ReferenceAge(book, max_age).objection(submission(order(), reference=None), Safety())


async def test_without_a_quote_nothing_leaves() -> None:
    control = ReferenceAge(MarketData(VirtualClock(NOW)), 5.0)
    asked = submission(order(symbol="ETH/USD"), reference=quote())
    found = control.objection(asked, Safety())
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
    book = MarketData(clock)
    book.pin(quote())
    await clock.advance(86400)
    assert ReferenceAge(book, 5.0).objection(submission(order()), Safety()) is None


async def test_the_gates_behind_see_the_quote_that_was_judged() -> None:
    book = MarketData(VirtualClock(NOW))
    book.apply(quote("10", "11"))
    asked = submission(order(), reference=None)
    assert ReferenceAge(book, 5.0).objection(asked, Safety()) is None
    assert asked.reference is book.quote("BTC/USD")


async def test_a_suspect_quote_blocks_says_why_and_is_still_what_the_gates_behind_see() -> None:
    book = MarketData(VirtualClock(NOW), Sanity(max_jump=D("0.1")))
    control, asked = ReferenceAge(book, 5.0), submission(order(), reference=None)
    book.apply(quote("100", "100"))
    book.apply(quote("1000", "1000"))
    assert control.objection(asked, Safety()) == (
        "Reference price for BTC/USD is not to be trusted: its price 1000 is 900.00 % away from 100, the last trusted "
        "one (safety.max_jump_pct = 10); 20 quotes in a row that agree will be trusted. Check the market data feed."
    )
    assert asked.reference is book.quote("BTC/USD")
    book.apply(quote("101", "101"))
    assert control.objection(asked, Safety()) is None


async def test_its_id_is_the_catalogues_and_its_limit_is_said() -> None:
    assert ReferenceAge.id.startswith("P19_")
    control = ReferenceAge(market(), 5.0)
    assert control.limit(Safety()) == (
        "a reference price at most 5 s old, its spread at most 5 %, its jump at most 10 %"
    )
    assert control.limit(Safety(max_spread_pct=None)).endswith("its spread any, its jump at most 10 %")
