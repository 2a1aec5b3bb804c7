"""An order: validated, exact, immutable; every change makes a new value.

This module must not know how events change an order (``lifecycle``) or who may create one (``validation``).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from router.domain.enums import OPEN, ExecutionStatus, OrderSide, OrderType, TimeInForce

ZERO = Decimal(0)


class Replacement(msgspec.Struct, frozen=True, gc=False):
    """Terms that were asked for and are not in force before the venue says so (FIX INV5)."""

    request_id: str
    quantity: Decimal
    price: Decimal | None


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A validated order and what has become of it.

    Quantities are base units, prices quote units per base unit. ``price`` of a market order is the strategy's
    decision price, if it gave one. ``created_at`` and ``updated_at`` are our clock.

    Three sub-states stand beside the status (spec §4). ``outcome_unknown``: handed over, but the executor has not
    proved what became of it. ``pending_cancel``: a cancel was asked for; its value is the status that the venue's
    confirmation leads to, CANCELLED or (the time in force had passed) EXPIRED. ``pending_replaces``: replacements
    asked for and not answered, oldest first.

    ``terms_at`` is the venue's time of the terms in force, once they are no longer the first ones.
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
    pending_cancel: ExecutionStatus | None = None
    pending_replaces: tuple[Replacement, ...] = ()
    terms_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether the order can still trade."""
        return self.status in OPEN

    @property
    def leaves_quantity(self) -> Decimal:
        """What can still trade, base units; 0 once the order has ended (FIX tag 151)."""
        return self.quantity - self.filled_quantity if self.status in OPEN else ZERO

    @property
    def asked_quantity(self) -> Decimal:
        """The largest quantity that is in force or asked for; an order that has traded less may still trade."""
        return max(self.quantity, *(asked.quantity for asked in self.pending_replaces), ZERO)

    @property
    def worst_leaves(self) -> Decimal:
        """What can still trade if the venue grants the largest replacement that was asked for, base units."""
        return self.asked_quantity - self.filled_quantity if self.status in OPEN else ZERO

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
