"""An order's trades by their ids: what counts, and what must never count again.

This module must not know what a report proves (``evidence``) or what a trade does to a status (``lifecycle``).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

from router.domain.events import Filled, OrderEvent, PartiallyFilled, TradeBusted, TradeCorrected
from router.domain.order import ZERO

CORRECTED: Final = "-corrected"
"""Behind the id of a trade that was corrected without a new one."""


class Execution(NamedTuple):
    """A trade that counts; quantity 0: one that was busted or corrected, kept so that it never counts again."""

    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str | None
    cumulative: Decimal | None


Executions: TypeAlias = dict[str, Execution]
"""An order's trades by trade id."""


def latest(executions: Mapping[str, Execution], trade_id: str | None) -> str | None:
    """Return what a trade is called since it was corrected without a new id."""
    while trade_id is not None and f"{trade_id}{CORRECTED}" in executions:
        trade_id = f"{trade_id}{CORRECTED}"
    return trade_id


def remember(executions: Executions, event: OrderEvent) -> None:
    """Keep what ``event`` says about trades."""
    if isinstance(event, TradeBusted):
        _forget(executions, event.trade_id)
    elif isinstance(event, PartiallyFilled | Filled | TradeCorrected):
        assert event.last_quantity is not None, "the table admits no empty trade"
        assert event.last_price is not None, "the table admits no trade without a price"
        cumulative = event.cumulative_quantity
        if isinstance(event, TradeCorrected):
            _forget(executions, event.corrects)
            cumulative = None
        executions[event.trade_id] = Execution(
            event.last_quantity, event.last_price, event.fee, event.fee_currency, cumulative
        )


def _forget(executions: Executions, trade_id: str) -> None:
    """A trade no longer counts, and the venue's count after every other one has moved."""
    for name, execution in executions.items():
        executions[name] = execution._replace(cumulative=None)
    executions[trade_id] = executions[trade_id]._replace(quantity=ZERO)
