"""Control P19: no order without a fresh reference price that can be believed; nothing is guessed from others (spec §6).

Age is measured on our own monotonic clock from the moment of receipt, so that a venue clock that runs ahead or
behind does not matter. This module must not know who feeds the quotes, or what makes one suspect.
"""

from __future__ import annotations

from router.market.quotes import MarketData
from router.middleware import Submission
from router.settings import Safety


class ReferenceAge:
    """Notes the quote the gates see in ``submission.reference``; objects when it is missing, too old or suspect.

    Args:
        market: the quote book.
        max_age_s: seconds; older reference prices block.
    """

    id = "P19_reference_age"
    protects = "Trading on a price that is no longer the market's, or never was."
    hard = True
    spares_reducing = False

    def __init__(self, market: MarketData, max_age_s: float) -> None:
        self._market = market
        self._max_age_s = max_age_s

    def limit(self, limits: Safety) -> str:
        spread, jump = (
            "any" if most is None else f"at most {most} %" for most in (limits.max_spread_pct, limits.max_jump_pct)
        )
        return f"a reference price at most {self._max_age_s:g} s old, its spread {spread}, its jump {jump}"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
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
        suspicion = self._market.suspicion(symbol)
        if suspicion is not None:
            return f"Reference price for {symbol} is not to be trusted: {suspicion}. Check the market data feed."
        return None
