"""Instruments, quotes and trades as values: what the market said, nothing about where it came from.

Prices are quote units per base unit, sizes base units, both exact Decimals. This module must not know
feeds, files or venues.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from router.domain.enums import OrderSide


class Instrument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What may be traded, and in which steps (spec §9, ``instruments.toml``)."""

    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    tradable: bool = True


class Quote(msgspec.Struct, frozen=True, gc=False):
    """The best bid and ask. A size of None is unlimited (a static quote); ``received`` is our monotonic time, s."""

    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: Decimal | None
    ask_size: Decimal | None
    ts_event: datetime
    received: float

    @property
    def mid(self) -> Decimal:
        """The mark used for positions."""
        return (self.bid + self.ask) / 2

    def touch(self, side: OrderSide) -> Decimal:
        """The price that an order of ``side`` would take: the ask for a buy, the bid for a sell."""
        return self.ask if side is OrderSide.BUY else self.bid


class Trade(msgspec.Struct, frozen=True, gc=False):
    """A trade that printed; ``side`` is the aggressor's."""

    symbol: str
    side: OrderSide
    price: Decimal
    quantity: Decimal
    trade_id: str
    ts_event: datetime
