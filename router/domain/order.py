"""An order: validated, exact, immutable; every change makes a new value.

This module must not know how events change an order (``lifecycle``) or who may create one (``validation``).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from router.domain.enums import OPEN, ExecutionStatus, OrderSide, OrderType, TimeInForce

ZERO = Decimal(0)


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A validated order and what has become of it.

    Quantities are base units, prices quote units per base unit. ``price`` of a market order is the strategy's
    decision price, if it gave one. ``outcome_unknown``: handed over, but the executor has not proved what became
    of it (spec §4). ``created_at`` and ``updated_at`` are our clock.
    """

    client_order_id: str
    run_id: str
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    environment: str
    created_at: datetime
    updated_at: datetime
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_at: datetime | None = None
    strategy_key: str | None = None
    reduce_only: bool = False
    post_only: bool = False
    venue_order_id: str | None = None
    status: ExecutionStatus = ExecutionStatus.PENDING
    filled_quantity: Decimal = ZERO
    filled_notional: Decimal = ZERO
    outcome_unknown: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the order can still trade."""
        return self.status in OPEN

    @property
    def leaves_quantity(self) -> Decimal:
        """What can still trade, base units; 0 once the order has ended (FIX tag 151)."""
        return self.quantity - self.filled_quantity if self.status in OPEN else ZERO

    @property
    def average_price(self) -> Decimal | None:
        """Notional over quantity of all fills, or None before the first."""
        return self.filled_notional / self.filled_quantity if self.filled_quantity else None


def order_document(order: Order) -> dict[str, object]:
    """Return the order with its derived quantities as a mapping, for answers and tables."""
    document = msgspec.structs.asdict(order)
    document["leaves_quantity"] = order.leaves_quantity
    document["average_price"] = order.average_price
    return document
