"""An account as the fold of its fills: cash, positions, fees, realised profit, peak equity, the day's start.

Positions are kept at average cost; cash may go below zero (a margin-style account, bounded by the exposure
limit). All amounts are exact Decimals in their own currency; equity and what derives from it are in the base
currency. This module must not know limits, marks' sources or clocks: marks and time arrive as arguments.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from router.domain.enums import OrderSide
from router.domain.events import AccountMark
from router.domain.order import ZERO


class Position(msgspec.Struct, frozen=True, gc=False):
    """What is held of one symbol: base units (negative: short), average cost and realised profit in quote units."""

    quantity: Decimal = ZERO
    average_price: Decimal = ZERO
    realised_pnl: Decimal = ZERO

    def after(self, side: OrderSide, quantity: Decimal, price: Decimal) -> Position:
        """Return the position after trading ``quantity`` (> 0) at ``price``."""
        signed = quantity if side is OrderSide.BUY else -quantity
        held = self.quantity
        total = held + signed
        if held == 0 or (held > 0) == (signed > 0):
            average = (abs(held) * self.average_price + quantity * price) / abs(total)
            return Position(total, average, self.realised_pnl)
        closed = min(quantity, abs(held))
        profit = closed * (price - self.average_price) * (1 if held > 0 else -1)
        flipped = abs(signed) > abs(held)
        average = price if flipped else (self.average_price if total else ZERO)
        return Position(total, average, self.realised_pnl + profit)


class Portfolio:
    """One environment's account."""

    def __init__(self, balances: dict[str, Decimal]) -> None:
        self.cash: dict[str, Decimal] = dict(balances)
        self.fees: dict[str, Decimal] = {}
        self.positions: dict[str, Position] = {}
        self.peak_equity = ZERO
        self.day: date | None = None
        self.day_start_equity = ZERO

    def fill(
        self, symbol: str, side: OrderSide, quantity: Decimal, price: Decimal, fee: Decimal, fee_currency: str
    ) -> None:
        """Apply one fill; cash moves in the symbol's quote currency, the fee in ``fee_currency``."""
        quote = symbol.partition("/")[2].partition(":")[0]
        notional = quantity * price
        self.cash[quote] = self.cash.get(quote, ZERO) + (-notional if side is OrderSide.BUY else notional)
        if fee:
            self.cash[fee_currency] = self.cash.get(fee_currency, ZERO) - fee
            self.fees[fee_currency] = self.fees.get(fee_currency, ZERO) + fee
        self.positions[symbol] = self.position(symbol).after(side, quantity, price)

    def reverse(
        self, symbol: str, side: OrderSide, quantity: Decimal, price: Decimal, fee: Decimal, fee_currency: str
    ) -> None:
        """Take back a fill that the venue busted or corrected: traded the other way round, its fee returned.

        Cash, quantity and so equity are as if it had never been; average cost keeps what it had done meanwhile.
        """
        self.fill(
            symbol, OrderSide.SELL if side is OrderSide.BUY else OrderSide.BUY, quantity, price, -fee, fee_currency
        )

    def position(self, symbol: str) -> Position:
        """Return the position in ``symbol``, flat when there was never one."""
        return self.positions.get(symbol, _FLAT)

    def mark(self, today: date, equity: Decimal) -> None:
        """Note the account's equity: raises the peak, and starts the UTC day if this is its first mark."""
        if self.day is None or today > self.day:  # a clock set back over midnight gives no second budget
            self.day, self.day_start_equity = today, equity
        self.peak_equity = max(self.peak_equity, equity)

    def restore(self, day: date, mark: AccountMark) -> None:
        """Take over what the journal remembers of peak and day start after a fill."""
        self.day, self.day_start_equity = day, mark.day_start_equity
        self.peak_equity = mark.peak_equity  # the later mark tells: a peak falls when an estimate gave way to a quote


_FLAT = Position()
