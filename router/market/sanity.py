"""Whether a quote is to be trusted (control P19): a spread, a jump or a flip-flop that no market makes.

Near or far is measured from the last trusted quote, not from an average: it needs no history, follows a market that
moves fast but step by step, and is what marks were made of until now. A jump is adopted as soon as enough quotes in
a row agree on it; prices that come back and jump again are not believed at either level until then. Quotes are
counted, not seconds, so that a replay gives the same answer at any speed.
This module must not know feeds, books, orders or settings.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec

from router.domain.market import Quote

OnSuspicion: TypeAlias = Callable[[str, str | None], None]
"""Called with the symbol, and the reason when quotes begin to be suspect, None when the last one is trusted again."""
MOTION_WINDOW_MAX_S: Final = 600.0
"""How far back the motion of a price is known."""
_SAMPLE_EVERY_S: Final = 1.0
_Extremes: TypeAlias = tuple[float, Decimal | None, Decimal | None]
"""Lowest and highest of the samples in a window, after the moment when the oldest of them leaves it."""


class Sanity(msgspec.Struct, frozen=True, kw_only=True):
    """What a believable quote is; None switches a rule off.

    ``max_spread`` is a fraction of the mid, ``max_jump`` one of the last trusted mid; ``settle_quotes`` in a row that
    agree within ``max_jump`` make a new level.
    """

    max_spread: Decimal | None = None
    max_jump: Decimal | None = None
    settle_quotes: int = 20


class Trust:
    """What one symbol's quotes are worth.

    Args:
        sanity: the limits.
    """

    __slots__ = ("_agreeing", "_candidate", "_flips", "_level", "_motion", "_sanity", "_wary", "quote", "suspicion")

    def __init__(self, sanity: Sanity) -> None:
        self.quote: Quote | None = None
        """The last one that was not suspect."""
        self.suspicion: str | None = None
        """Why the last update was, for people."""
        self._sanity = sanity
        self._level: Decimal | None = None  # the mid of the last trusted quote
        self._candidate: Decimal | None = None  # while away from the level: where the last quotes in a row are
        self._agreeing = 0  # how many those are
        self._wary = 0  # after coming back: the quotes within which another jump is a flip-flop
        self._flips = False
        self._motion = Motion()

    def refuse(self, bid: tuple[Decimal, Decimal], ask: tuple[Decimal, Decimal]) -> None:
        """Note an update of prices and sizes that cannot be true."""
        self._agreeing = 0
        self.suspicion = (
            f"an update that cannot be true was refused (bid {bid[0]}, ask {ask[0]}), and no good one has come since"
        )

    def judge(self, quote: Quote) -> None:
        """Take in what is now the last quote."""
        bid, ask, last = quote.bid, quote.ask, self.quote
        if last is not None and bid == last.bid and ask == last.ask and self._candidate is None and not self._wary:
            self._believe(quote, None)
            return
        mid = (bid + ask) / 2
        most, level = self._sanity.max_jump, self._level
        if self._is_too_wide(bid, ask, mid):
            self._agreeing = 0
        elif level is None or most is None:
            self._believe(quote, mid)
        elif self._flips or abs(mid - level) > most * level:
            self._look_away(quote, mid, level, most)
        else:
            self._come_back()
            self._believe(quote, mid)

    def motion(self, window_s: float, now: float) -> Decimal | None:
        """Return how far trusted mids moved in the last ``window_s``, as a fraction of the lowest; None without any."""
        quote = self.quote
        last = quote.mid if quote is not None and now - quote.received < window_s else None
        return self._motion.over(window_s, now, last)

    def _believe(self, quote: Quote, mid: Decimal | None) -> None:
        """Trust ``quote``, at a new ``mid`` if it has one."""
        self.quote = quote
        self.suspicion = None
        if mid is not None:
            self._level = mid
        if quote.received >= self._motion.next_at:
            self._motion.sample(quote.received, quote.mid)

    def _is_too_wide(self, bid: Decimal, ask: Decimal, mid: Decimal) -> bool:
        most = self._sanity.max_spread
        if most is None or ask - bid <= most * mid:
            return False
        self.suspicion = (
            f"its spread from {bid} to {ask} is {(ask - bid) / mid * 100:.2f} %, more than safety.max_spread_pct = "
            f"{float(most * 100):g}"
        )
        return True

    def _look_away(self, quote: Quote, mid: Decimal, level: Decimal, most: Decimal) -> None:
        """Take in a quote that is not to be believed by itself; the last of enough that agree is."""
        if self._candidate is None and self._wary:
            self._flips = True
        if self._agreeing and self._candidate is not None and abs(mid - self._candidate) <= most * self._candidate:
            self._agreeing += 1
        else:
            self._candidate, self._agreeing = mid, 1
        settle = self._sanity.settle_quotes
        if self._agreeing >= settle:
            self._candidate, self._wary, self._flips = None, 0, False
            self._believe(quote, mid)
            return
        jump = "has jumped to and fro around" if self._flips else f"is {abs(mid - level) / level * 100:.2f} % away from"
        self.suspicion = (
            f"its price {mid} {jump} {level}, the last trusted one (safety.max_jump_pct = "
            f"{float(most * 100):g}); {settle} quotes in a row that agree will be trusted"
        )

    def _come_back(self) -> None:
        """Note a quote near the level: the first after a jump makes wary."""
        if self._candidate is not None:
            self._candidate, self._wary = None, self._sanity.settle_quotes
        elif self._wary:
            self._wary -= 1


class Motion:
    """How far a price moved lately, from one sample a second."""

    __slots__ = ("_extremes", "_samples", "next_at")

    def __init__(self) -> None:
        self.next_at = -math.inf
        """When another sample is wanted."""
        self._samples: deque[tuple[float, Decimal]] = deque(maxlen=int(MOTION_WINDOW_MAX_S / _SAMPLE_EVERY_S))
        self._extremes: dict[float, _Extremes] = {}  # by window

    def sample(self, now: float, mid: Decimal) -> None:
        """Remember that the price is ``mid``."""
        self.next_at = now + _SAMPLE_EVERY_S
        self._samples.append((now, mid))
        self._extremes.clear()

    def over(self, window_s: float, now: float, last: Decimal | None) -> Decimal | None:
        """Return highest less lowest over lowest, of the samples of the last ``window_s`` and the ``last`` price."""
        known = self._extremes.get(window_s)
        if known is None or now >= known[0]:
            known = self._extremes[window_s] = self._extremes_of(window_s, now)
        _, low, high = known
        if last is not None:
            low = last if low is None or last < low else low
            high = last if high is None or last > high else high
        return None if low is None or high is None else (high - low) / low

    def _extremes_of(self, window_s: float, now: float) -> _Extremes:
        oldest, low, high = math.inf, None, None
        for at, mid in reversed(self._samples):
            if now - at >= window_s:
                break
            oldest = at
            low = mid if low is None or mid < low else low
            high = mid if high is None or mid > high else high
        return oldest + window_s, low, high
