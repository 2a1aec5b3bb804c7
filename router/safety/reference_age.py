"""Control P19: no order without a fresh reference price; stale quotes block, they are not guessed from (spec §6).

Age is measured on our own monotonic clock from the moment of receipt, so that a venue clock that runs ahead or
behind does not matter. This module must not know who feeds the quotes.
"""

from __future__ import annotations

from router.market.quotes import MarketData
from router.middleware import Submission


class ReferenceAge:
    """Notes the quote the gates see in ``submission.reference``; objects when there is none or it is too old.

    Args:
        market: the quote book.
        max_age_s: seconds; older reference prices block.
    """

    id = "P19_reference_age"

    def __init__(self, market: MarketData, max_age_s: float) -> None:
        self._market = market
        self._max_age_s = max_age_s

    def objection(self, submission: Submission) -> str | None:
        assert submission.order is not None, "validation runs before safety"
        symbol = submission.order.symbol
        submission.reference = self._market.quote(symbol)
        age = self._market.age(symbol)
        if submission.reference is None or age is None:
            return f"No reference price for {symbol}: check the market data feed (market_data.source)."
        if age > self._max_age_s:
            return (
                f"Reference price for {symbol} is {age:.1f} s old, older than market_data.max_age_s = "
                f"{self._max_age_s:g}: check the market data feed."
            )
        return None
