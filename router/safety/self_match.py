"""Control P20: no order that would trade with one of our own, whichever strategy's it is.

A limit order must stay clear of the best price of ours on the other side, a market order be satisfied before it gets
there. This module must not know which orders those are.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from router.domain.enums import OrderSide, OrderType
from router.domain.order import Order
from router.market.quotes import MarketData
from router.middleware import Submission
from router.settings import Safety


class SelfMatch:
    """Objects to orders, and amendments, that reach our own best price on the other side.

    Args:
        market: the books that market orders walk through.
        best_opposite: the best price of our working orders against an order of a side, in an environment and symbol;
            prices that an amendment asks for are among them.
    """

    id = "P20_self_match"
    protects = "Trading with ourselves: fees for nothing, and a wash trade to any regulator."
    hard = True
    spares_reducing = False

    def __init__(self, market: MarketData, best_opposite: Callable[[str, str, OrderSide], Decimal | None]) -> None:
        self._market = market
        self._best_opposite = best_opposite

    def limit(self, limits: Safety) -> str:
        return "off" if limits.self_match == "off" else "own orders never meet"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        if limits.self_match == "off":
            return None
        order = submission.order
        assert order is not None, "validation runs before safety"
        own = self._best_opposite(submission.environment, order.symbol, order.side)
        if own is None or submission.only_takes_away or not self._reaches(order, own):
            return None
        other = OrderSide.SELL if order.side is OrderSide.BUY else OrderSide.BUY
        way_out = "Cancel or amend that one first" if order.order_type is OrderType.MARKET else "Price it clear of that"
        return f"It would trade with our own {other} order of {order.symbol} at {own}. {way_out}."

    def _reaches(self, order: Order, own: Decimal) -> bool:
        if order.order_type is OrderType.LIMIT:
            assert order.price is not None, "a limit order has a price"
            return _at_or_beyond(order.side, order.price, own)
        book = self._market.book(order.symbol)
        other = OrderSide.SELL if order.side is OrderSide.BUY else OrderSide.BUY
        left = order.quantity
        for price, _ in book.ladder(other):
            if _at_or_beyond(order.side, price, own):
                return True
            left -= book.sure_size(other, price)
            if left <= 0:
                return False
        return book.is_deep  # else nobody knows what is behind the touch


def _at_or_beyond(side: OrderSide, price: Decimal, own: Decimal) -> bool:
    """Whether an order of ``side`` that trades at ``price`` would trade at ``own`` too."""
    return price >= own if side is OrderSide.BUY else price <= own
