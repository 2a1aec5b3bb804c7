"""Control P03: no price further through the market than the collar, and P22: whatever the order's type, time in force
or phase, new or amended (15c3-5(c)(1)(ii), RTS 6 Art. 15(1)(a), FIA 1.3; Knight's collar skipped an auction).

A limit order is judged by its price: a buy far above or a sell far below the reference. On the other side it can only
trade at a better price than the market's, as a take-profit does, however far it rests. A market order is judged by what
it would take: the touch, and where the book has depth the worst price that its quantity would reach. The reference is
the mid of the quote that the gates see. This module must not know how old that quote may be.
"""

from __future__ import annotations

from decimal import Decimal

from router.domain.enums import OrderSide, OrderType
from router.domain.market import Quote
from router.domain.order import Order
from router.market.quotes import MarketData
from router.middleware import Submission
from router.settings import Safety


class PriceCollar:
    """Objects to an order that could trade beyond the collar.

    Args:
        market: where the depth of the book is.
    """

    id = "P03_price_collar"
    protects = "Trading far from the market: a mistyped price, or a market order larger than the book."
    hard = True
    spares_reducing = False

    def __init__(self, market: MarketData) -> None:
        self._market = market

    def limit(self, limits: Safety) -> str:
        percent = limits.price_collar_pct
        return "off" if percent is None else f"{percent:f} % above (to sell: below) the reference price"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        percent, order, quote = limits.price_collar_pct, submission.order, submission.reference
        if percent is None:
            return None
        assert order is not None, "validation runs before safety"
        assert quote is not None, "the reference is looked up first"
        before = submission.amends
        if before is not None and order.price == before.price and order.quantity <= before.quantity:
            return None  # it only takes risk away
        twice_mid = quote.bid + quote.ask
        low, high = twice_mid * (100 - percent) / 200, twice_mid * (100 + percent) / 200
        price = order.price if order.order_type is OrderType.LIMIT else quote.touch(order.side)
        assert price is not None, "validation lets no limit order without a price pass"
        if price > high if order.side is OrderSide.BUY else price < low:
            limited = order.order_type is OrderType.LIMIT
            what = f"Price {price}" if limited else f"The touch {price}, which this market order would take,"
            return f"{what} is {_too_far(price, quote, percent)} Check the price and the market data."
        if order.order_type is OrderType.LIMIT:
            return None
        return self._too_deep(order, quote, percent, high if order.side is OrderSide.BUY else low)

    def _too_deep(self, order: Order, quote: Quote, percent: Decimal, bound: Decimal) -> str | None:
        """Say so if the order's quantity reaches beyond ``bound``, or further than the book shows."""
        book = self._market.book(order.symbol)
        if not book.is_deep:
            return None
        left, is_buy = order.quantity, order.side is OrderSide.BUY
        for price, size in book.asks if is_buy else book.bids:
            if price > bound if is_buy else price < bound:
                far = _too_far(price, quote, percent)
                return f"{order.quantity} of {order.symbol} would reach {price}, which is {far} {_SMALLER}"
            left -= size
            if left <= 0:
                return None
        return (
            f"The book of {order.symbol} shows {order.quantity - left} of the {order.quantity} asked for; how far the "
            f"rest would reach is not known. {_SMALLER}"
        )


_SMALLER = "Send less, or a limit order."


def _too_far(price: Decimal, quote: Quote, percent: Decimal) -> str:
    distance = abs(price - quote.mid) / quote.mid * 100
    return (
        f"{distance:.2f} % from the reference price {quote.mid} of {quote.symbol}, more than "
        f"safety.price_collar_pct = {percent:f}."
    )
