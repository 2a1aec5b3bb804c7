"""What an executor says about an order: the one message that crosses from executors into the tracker.

A report is the venue's statement; an event (``events``) is our durable record of it. This module must not
know how a report changes an order.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from router.domain.enums import ExecType, Liquidity


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One statement of a venue, in FIX's terms.

    ``last_quantity`` (base units), ``last_price`` (quote units), ``trade_id``, ``fee`` and ``liquidity`` are set
    for TRADE only; ``reason`` for the refusals and endings; ``ts_event`` is the venue's or the recording's time.
    """

    exec_type: ExecType
    client_order_id: str
    ts_event: datetime
    venue_order_id: str | None = None
    trade_id: str | None = None
    last_quantity: Decimal | None = None
    last_price: Decimal | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None
    liquidity: Liquidity | None = None
    reason: str | None = None
