"""What an executor says about an order: the one message that crosses from executors into the tracker.

A report is the venue's statement; an event (``events``) is our durable record of it. This module must not
know how a report changes an order.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from router.domain.enums import ExecType, ExecutionStatus, Liquidity


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One statement of a venue, in FIX's terms; what it does not say is None.

    A trade, a bust and a correction have ``trade_id`` (a correction's is the new one; ``corrects`` is the trade that
    is busted or corrected), ``last_quantity`` (base units), ``last_price`` (quote units), ``fee`` and ``liquidity``.
    ``filled_quantity`` and ``leaves_quantity`` are the order's after it, as the venue counts (CumQty, LeavesQty).
    ``quantity`` and ``price`` are the order's terms, after a replacement or at a look-up; ``order_status`` is the
    status that a look-up shows, or the refusal of an order that was sent twice. ``request_id`` names the replacement
    that is answered; None: nobody asked for it. ``ts_event`` is the venue's or the recording's time.
    """

    exec_type: ExecType
    client_order_id: str
    ts_event: datetime
    symbol: str | None = None
    venue_order_id: str | None = None
    request_id: str | None = None
    trade_id: str | None = None
    corrects: str | None = None
    last_quantity: Decimal | None = None
    last_price: Decimal | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None
    liquidity: Liquidity | None = None
    filled_quantity: Decimal | None = None
    leaves_quantity: Decimal | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    order_status: ExecutionStatus | None = None
    reason: str | None = None
