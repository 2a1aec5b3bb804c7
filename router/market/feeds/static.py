"""Fixed quotes from the configuration, for tests and demonstrations: they never age and never change.

Without sizes they are unlimited. This module must not know the configuration file's layout beyond one quote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

import anyio

from router.clock import Clock
from router.domain.market import Instrument, Quote
from router.errors import ConfigError
from router.market.instruments import likely_symbol
from router.market.quotes import MarketData


class FixedQuote(Protocol):
    """What the configuration says of one symbol: prices in quote units, sizes in base units."""

    @property
    def bid(self) -> Decimal: ...
    @property
    def ask(self) -> Decimal: ...
    @property
    def bid_size(self) -> Decimal | None: ...
    @property
    def ask_size(self) -> Decimal | None: ...


class StaticFeed:
    """Says each quote once.

    Args:
        quotes: the quotes by symbol.
        instruments: what may be traded; a quote for anything else is a mistake.
        clock: gives the quotes their time.

    Raises:
        ConfigError: there are no quotes, or one is crossed or for an unknown symbol.
    """

    def __init__(self, quotes: Mapping[str, FixedQuote], instruments: Mapping[str, Instrument], clock: Clock) -> None:
        if not quotes:
            raise ConfigError('market_data.source = "static" needs a table [market_data.static."BTC/USD"]')
        for symbol in quotes:
            if symbol not in instruments:
                likely = likely_symbol(symbol, instruments)
                hint = f'; did you mean "{likely}"?' if likely else ""
                raise ConfigError(f'market_data.static."{symbol}" is not in the instruments{hint}')
        self._quotes = quotes
        self._clock = clock

    async def run(self, market: MarketData, ready: Callable[[], None]) -> None:
        """Apply the quotes; never exhausted, so it returns only when cancelled."""
        for symbol, quote in self._quotes.items():
            market.pin(
                Quote(
                    symbol,
                    quote.bid,
                    quote.ask,
                    quote.bid_size,
                    quote.ask_size,
                    self._clock.now(),
                    self._clock.monotonic(),
                )
            )
        ready()
        await anyio.sleep_forever()
