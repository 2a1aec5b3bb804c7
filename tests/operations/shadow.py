"""Builders of journaled orders, for tests of the shadow report and of what shows it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from router.domain.enums import ExecutionStatus
from router.domain.events import AnyEvent, Cancelled, Expired, Filled, PartiallyFilled, Pending, Rejected
from router.domain.intent import OrderIntent
from router.domain.market import Quote
from router.operations.shadow_report import ShadowOrder, ShadowReport, build_report

NOON = datetime(2025, 12, 9, 12, tzinfo=UTC)
HOSTILE = "</h2><script>alert('x')</script>&\x1b[31m\u202e"
"""A strategy key that wants to be more than a name."""
D = Decimal
S = ExecutionStatus


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def pending(
    client_order_id: str = "U1",
    side: object = "buy",
    quantity: object = "1",
    *,
    bid: str | None = "99",
    ask: str = "101",
    at: datetime | None = NOON,
    quoted_at: datetime = NOON,
    recorded_at: datetime = NOON,
    environment: str = "shadow",
    **fields: Any,
) -> Pending:
    """Return the event of an order that passed the gates; ``bid=None``: they saw no quote."""
    wanted = OrderIntent(**{"symbol": "BTC/USD", "strategy_key": "a", **fields, "side": side, "quantity": quantity})
    quote = None if bid is None else Quote(wanted.symbol, D(bid), D(ask), None, None, quoted_at, 0.0)
    return Pending(
        seq=1,
        ts_recorded=recorded_at,
        run_id="run",
        status=S.PENDING,
        client_order_id=client_order_id,
        ts_event=at,
        intent=wanted,
        environment=environment,
        session_id="session",
        reference=quote,
    )


def fill(
    price: object,
    quantity: object = "1",
    client_order_id: str = "U1",
    *,
    seconds: float | None = 0,
    leaves: object = "0",
    status: ExecutionStatus | None = None,
    fee: object = "0",
    fee_currency: str | None = "USD",
) -> Filled | PartiallyFilled:
    """Return a fill; one that leaves nothing is the last, unless ``status`` says that the order had ended before."""
    whole = status is None and D(str(leaves)) == 0
    kind = Filled if whole else PartiallyFilled
    return kind(
        seq=2,
        ts_recorded=NOON,
        run_id="run",
        status=status or (S.FILLED if whole else S.PARTIALLY_FILLED),
        client_order_id=client_order_id,
        ts_event=None if seconds is None else after(seconds),
        trade_id="t",
        last_quantity=D(str(quantity)),
        last_price=D(str(price)),
        leaves_quantity=D(str(leaves)),
        fee=D(str(fee)),
        fee_currency=fee_currency,
    )


def ended(
    kind: type[Cancelled | Expired | Rejected], client_order_id: str = "U1", status: ExecutionStatus = S.CANCELLED
) -> AnyEvent:
    """Return the end of an order without a fill of its own."""
    return kind(seq=3, ts_recorded=NOON, run_id="run", status=status, client_order_id=client_order_id)


def order(*events: AnyEvent) -> ShadowOrder:
    """Return the only order of a report on ``events``."""
    (only,) = build_report(events).orders
    return only


def lively(orders: int, strategies: tuple[str, ...] = ("maker", "taker", HOSTILE)) -> Iterator[AnyEvent]:
    """Yield orders of several strategies, symbols and fates, always the same."""
    symbols = (("BTC/USD", "60000"), ("ETH/EUR", "2500"), ("DOGE/USDT", "0.08"), ("BTC/USDT:USDT", "60000"))
    for number, (symbol, price) in zip(range(orders), itertools.cycle(symbols), strict=False):
        base = D(price) * (1 + D(number % 97) / 10_000)
        name, at = f"U{number}", after(number * 7)
        side = "buy" if number % 3 else "sell"
        yield pending(
            name, side, "2", bid=f"{base}", ask=f"{base}", at=at, symbol=symbol,
            strategy_key=strategies[number % len(strategies)],
        )  # fmt: skip
        moved, waited = base * (1 + D((number * 37) % 41 - 20) / 100_000), (number * 13) % 29 / 3
        if number % 5 == 1:
            yield ended(Expired, name, S.EXPIRED)
        elif number % 5 == 2:
            yield fill(moved, "1", name, seconds=number * 7 + waited, leaves="1", fee="0.1")
            yield ended(Cancelled, name)
        elif number % 5 != 3:
            yield fill(moved, "2", name, seconds=number * 7 + waited, fee="0.2", fee_currency=None)


def lively_report(orders: int, strategies: tuple[str, ...] = ("maker", "taker", HOSTILE)) -> ShadowReport:
    return build_report(lively(orders, strategies))
