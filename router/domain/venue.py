"""What a venue shows of itself: an order, a trade and the whole account at one moment, in our words.

Client order ids are as the venue gives them back. Quantities are base units, prices quote units per base unit, both
exact. This module must not know how a venue is asked, or whether an order is ours.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from router.domain.enums import ExecType, ExecutionStatus, Liquidity, OrderSide
from router.domain.report import ExecutionReport


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order as the venue shows it.

    ``status`` None: the venue did not say, or said what no rule of its profile knows. ``at`` is the venue's time of
    the order's last change. ``reason`` is the venue's own word on why it ended.
    """

    symbol: str
    client_order_id: str | None
    venue_order_id: str | None
    status: ExecutionStatus | None
    at: datetime
    side: OrderSide | None = None
    quantity: Decimal | None = None
    filled_quantity: Decimal | None = None
    price: Decimal | None = None
    reason: str | None = None

    def report(self, client_order_id: str, exec_type: ExecType) -> ExecutionReport:
        """Return the picture as a statement about our order: ORDER_STATUS if it was asked for, else RESTATED."""
        return ExecutionReport(
            exec_type=exec_type,
            client_order_id=client_order_id,
            ts_event=self.at,
            venue_order_id=self.venue_order_id,
            order_status=self.status,
            filled_quantity=self.filled_quantity,
            quantity=self.quantity,
            price=self.price,
            reason=self.reason,
        )


class VenueTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trade of one of the account's orders; ``client_order_id`` None: the venue names only its own order id."""

    symbol: str
    trade_id: str
    venue_order_id: str
    side: OrderSide
    quantity: Decimal
    price: Decimal
    at: datetime
    client_order_id: str | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None
    liquidity: Liquidity | None = None

    def report(self, client_order_id: str) -> ExecutionReport:
        """Return the trade as a statement about our order."""
        return ExecutionReport(
            exec_type=ExecType.TRADE,
            client_order_id=client_order_id,
            ts_event=self.at,
            symbol=self.symbol,
            venue_order_id=self.venue_order_id,
            trade_id=self.trade_id,
            last_quantity=self.quantity,
            last_price=self.price,
            fee=self.fee,
            fee_currency=self.fee_currency,
            liquidity=self.liquidity,
        )


class VenueBook(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The account at ``at``: every working order, the trades asked for, and what is held, free and in orders, by
    currency."""

    orders: tuple[VenueOrder, ...]
    trades: tuple[VenueTrade, ...]
    balances: dict[str, Decimal]
    at: datetime
