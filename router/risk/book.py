"""What somebody holds and works, valued: an environment's account, or one strategy's part in it.

The worst case is what any fills of the working orders can lead to. This module must not know limits, or where marks and
rates come from.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeAlias

from router.domain.order import ZERO
from router.domain.portfolio import Portfolio
from router.risk.holds import Holds

INFINITE: Final = Decimal("Infinity")
Value: TypeAlias = Callable[[str], Decimal | None]
"""The value of one unit in the base currency; None: not known."""


class Book:
    """Positions plus working orders.

    Args:
        portfolio: the fold of the fills; a strategy's begins with nothing, so its equity is what it has gained.
        mark: of a symbol.
        rate: of a currency.
    """

    def __init__(self, portfolio: Portfolio, mark: Value, rate: Value) -> None:
        self.portfolio = portfolio
        self.holds = Holds()
        self._mark_of = mark
        self._rate_of = rate

    def equity(self) -> Decimal:
        """Cash and positions in the base currency; what cannot be valued counts as nothing."""
        total = ZERO
        for currency, amount in self.portfolio.cash.items():
            total += amount * (self._rate_of(currency) or ZERO)
        for symbol, held in self.portfolio.positions.items():
            if held.quantity:
                total += held.quantity * (self._mark_of(symbol) or ZERO)
        return total

    @property
    def is_valued(self) -> bool:
        """Whether every position can be valued."""
        for symbol, held in self.portfolio.positions.items():
            if held.quantity and self._mark_of(symbol) is None:
                return False
        return True

    @property
    def symbols(self) -> set[str]:
        """What is held, or worked."""
        held = {symbol for symbol, position in self.portfolio.positions.items() if position.quantity}
        return held | {symbol for symbol, working in self.holds.by_symbol.items() if working.buys or working.sells}

    def worst(self, symbol: str) -> Decimal:
        """The largest absolute position that fills of the working orders can lead to, base units."""
        return self.holds.working(symbol).worst(self.portfolio.position(symbol).quantity)

    def worst_notionals(self) -> dict[str, Decimal]:
        """The largest absolute value, by symbol, that each position can reach through its working orders."""
        found: dict[str, Decimal] = {}
        for symbol in self.portfolio.positions.keys() | self.holds.by_symbol.keys():
            worst = self.worst(symbol)
            if worst:
                mark = self._mark_of(symbol)
                found[symbol] = worst * mark if mark is not None else INFINITE
        return found

    def exposure(self) -> Decimal:
        """The sum of the symbols' worst cases in the base currency."""
        return sum(self.worst_notionals().values(), ZERO)
