"""An invented market for working offline: a seeded random walk, the same for the same seed.

Each currency has a value in USD that walks; a symbol's price is the ratio of two such values, so the symbols
of one base stay consistent within a few basis points. The walk itself is in floats, since it is a model and
not money; prices and sizes leave as exact multiples of the instrument's steps.
This module must not know what anybody does with the quotes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import Final

from router.clock import Clock
from router.domain.enums import OrderSide
from router.domain.market import Instrument, Quote, Trade
from router.errors import ConfigError
from router.market.quotes import MarketData

_START_USD: Final = {"BTC": 50_000.0, "ETH": 2_500.0, "EUR": 1.08, "USD": 1.0, "USDT": 1.0, "USDC": 1.0}
_START_OTHER_USD: Final = 100.0
_VOLATILITY_BP: Final = {"USD": 0.0, "USDT": 0.002, "USDC": 0.002, "EUR": 0.01}
_VOLATILITY_OTHER_BP: Final = 0.3  # of a tick of the feed: about 0.4 % an hour at 20 ticks a second
_PULL: Final = 0.0005  # towards the start, so that a long run stays plausible
_HALF_SPREAD_BP: Final = 0.5
_NOISE_BP: Final = 0.3
_SIZE_USD: Final = (5_000.0, 100_000.0)
_TRADE_CHANCE: Final = 0.4
_TRADE_SHARE: Final = 0.3  # of the size at the touch, at most


class SyntheticFeed:
    """Ticks every tradable instrument, forever.

    Args:
        instruments: what to quote, by symbol.
        clock: what it sleeps on.
        seed: the same seed makes the same market.
        interval_ms: time between ticks.

    Raises:
        ConfigError: nothing is tradable.
    """

    def __init__(self, instruments: Mapping[str, Instrument], clock: Clock, *, seed: int, interval_ms: int) -> None:
        self._instruments = sorted(
            (each for each in instruments.values() if each.tradable), key=lambda each: each.symbol
        )
        if not self._instruments:
            raise ConfigError('market_data.source = "synthetic" needs a tradable instrument')
        self._clock = clock
        self._random = Random(seed)  # noqa: S311 - a market model, not a secret
        self._interval_s = interval_ms / 1000
        currencies = sorted({name for each in self._instruments for name in (each.base, each.quote)})
        self._value = {name: _START_USD.get(name, _START_OTHER_USD) for name in currencies}
        self._trades = 0

    async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
        """Quote and trade until cancelled."""
        for instrument in self._instruments:
            market.apply(self._quote(instrument))
        ready()
        while True:
            await self._clock.sleep(self._interval_s)
            self._walk()
            for instrument in self._instruments:
                trade = self._trade(instrument, market.quote(instrument.symbol))
                if trade is not None:
                    market.apply(trade)
                market.apply(self._quote(instrument))

    def _walk(self) -> None:
        """Move every currency's value by one step of its random walk."""
        for name, value in self._value.items():
            start = _START_USD.get(name, _START_OTHER_USD)
            step = self._random.gauss(0.0, _VOLATILITY_BP.get(name, _VOLATILITY_OTHER_BP) / 10_000)
            self._value[name] = value * math.exp(step + _PULL * math.log(start / value))

    def _quote(self, instrument: Instrument) -> Quote:
        fair = self._value[instrument.base] / self._value[instrument.quote]
        mid = fair * (1 + self._random.uniform(-_NOISE_BP, _NOISE_BP) / 10_000)
        tick = float(instrument.tick_size)
        half = mid * _HALF_SPREAD_BP / 10_000
        bid_ticks = max(1, math.floor((mid - half) / tick))
        ask_ticks = max(bid_ticks + 1, math.ceil((mid + half) / tick))
        return Quote(
            instrument.symbol,
            instrument.tick_size * bid_ticks,
            instrument.tick_size * ask_ticks,
            self._size(instrument),
            self._size(instrument),
            self._clock.now(),
            self._clock.monotonic(),
        )

    def _size(self, instrument: Instrument) -> Decimal:
        """Return a size at the touch that is worth a plausible sum, in whole lots."""
        base_units = self._random.uniform(*_SIZE_USD) / self._value[instrument.base]
        return instrument.lot_size * max(1, int(base_units / float(instrument.lot_size)))

    def _trade(self, instrument: Instrument, quote: Quote | None) -> Trade | None:
        """Return a trade against the standing quote, or none this time."""
        if self._random.random() >= _TRADE_CHANCE or quote is None:
            return None
        side = OrderSide.BUY if self._random.random() < 0.5 else OrderSide.SELL
        size = quote.ask_size if side is OrderSide.BUY else quote.bid_size
        assert size is not None, "this feed gives every quote its sizes"
        lots = max(1, int(size / instrument.lot_size * Decimal(self._random.random() * _TRADE_SHARE)))
        self._trades += 1
        return Trade(
            instrument.symbol,
            side,
            quote.touch(side),
            instrument.lot_size * lots,
            f"synthetic{self._trades}",
            self._clock.now(),
        )
