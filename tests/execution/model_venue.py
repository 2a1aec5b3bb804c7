"""A venue simple enough to be obviously right, and the network that its reports must cross.

It never forgets a trade, a bust or a correction, and says each once, into ``network``; what becomes of a report
there is up to the test. It keeps time of its own, which nobody sets.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from router.clock import VirtualClock
from router.domain.enums import ExecType, ExecutionStatus
from router.domain.order import Order, Replacement
from router.domain.report import ExecutionReport
from router.executors.base import Emit
from tests.execution.world import NOON

S, X = ExecutionStatus, ExecType
ZERO = Decimal(0)


class Style(Enum):
    """How a venue lets a trade be recognised when it is told again."""

    IDS = "by its id; what the order has traded in all is told by a look-up only"
    BOTH = "by its id, and by the venue's count after it"
    COUNTS = "by the count only: stream and look-up name it differently, so it is never busted or corrected"


class Deal(NamedTuple):
    """A trade as the venue has it; ``total`` is what had traded after it, 0 for a correction."""

    quantity: Decimal
    price: Decimal
    fee: Decimal
    total: Decimal


class Listed:
    """One order in the venue's book."""

    def __init__(self, order: Order, style: Style) -> None:
        self.name = order.client_order_id
        self.symbol = order.symbol
        self.quantity = order.quantity
        self.price = order.price
        self.style = style
        self.deals: dict[str, Deal] = {}
        self.amends: list[ExecutionReport] = []
        """The busts and corrections, in their order."""
        self.end: ExecutionStatus | None = None

    @property
    def filled(self) -> Decimal:
        return sum((deal.quantity for deal in self.deals.values()), ZERO)

    @property
    def leaves(self) -> Decimal:
        return ZERO if self.end is not None else self.quantity - self.filled

    @property
    def status(self) -> ExecutionStatus:
        if self.end is not None:
            return self.end
        if self.filled == self.quantity:
            return S.FILLED
        return S.PARTIALLY_FILLED if self.filled else S.SUBMITTED


class ModelVenue:
    """The book, and what it has said that nobody has received yet."""

    def __init__(self, clock: VirtualClock) -> None:
        self.network: list[ExecutionReport] = []
        self.book: dict[str, Listed] = {}
        self.mood: Final[dict[str, Any]] = {"submit": "says", "amend": "says", "style": Style.BOTH}
        """How the next request is met."""
        self._clock = clock
        self._deals = 0
        self._moments = 0

    @property
    def now(self) -> datetime:
        self._moments += 1  # no two moments are the same
        return NOON + timedelta(seconds=self._clock.monotonic(), microseconds=self._moments)

    def report(self, listed: Listed, exec_type: ExecType, **facts: Any) -> ExecutionReport:
        if listed.style is not Style.IDS:
            facts = {"filled_quantity": listed.filled} | facts
        return ExecutionReport(
            exec_type=exec_type,
            client_order_id=listed.name,
            ts_event=self.now,
            symbol=listed.symbol,
            venue_order_id=f"V{listed.name}",
            **facts,
        )

    def say(self, listed: Listed, exec_type: ExecType, **facts: Any) -> ExecutionReport:
        said = self.report(listed, exec_type, **facts)
        self.network.append(said)
        return said

    # -- requests ------------------------------------------------------------------------------------------

    async def submit(self, order: Order, emit: Emit) -> None:
        mood = self.mood["submit"]
        if mood == "lost":
            return
        listed = self.book[order.client_order_id] = Listed(order, self.mood["style"])
        if mood == "rejects":
            listed.end = S.REJECTED
            self.say(listed, X.REJECTED, reason="no")
        elif mood == "answers":
            emit(self.report(listed, X.NEW))
        else:
            self.say(listed, X.NEW)
        if mood == "breaks":
            raise TimeoutError

    def cancel(self, name: str) -> None:
        listed = self.book.get(name)
        if listed is None:
            return  # the request meets nothing, and its answer is lost
        if listed.leaves:
            listed.end = S.CANCELLED
            self.say(listed, X.CANCELED)
        else:
            self.say(listed, X.CANCEL_REJECTED, reason="too late")

    async def amend(self, order: Order, asked: Replacement, emit: Emit) -> None:
        listed, mood = self.book.get(order.client_order_id), self.mood["amend"]
        if listed is None or mood == "lost":
            return
        if not listed.leaves or mood == "rejects":
            refused = self.report(listed, X.REPLACE_REJECTED, request_id=asked.request_id)
            emit(refused) if mood == "answers" else self.network.append(refused)
            return
        listed.quantity, listed.price = max(asked.quantity, listed.filled), asked.price
        terms = {"quantity": listed.quantity, "price": listed.price}
        granted = self.report(listed, X.REPLACED, request_id=asked.request_id, **terms)
        emit(granted) if mood == "answers" else self.network.append(granted)
        if mood == "breaks":
            raise TimeoutError

    # -- what happens by itself ----------------------------------------------------------------------------

    def trade(self, listed: Listed, quantity: Decimal, price: Decimal) -> None:
        self._deals += 1
        name = f"T{self._deals}"
        fee = quantity * price / 1000
        listed.deals[name] = Deal(quantity, price, fee, listed.filled + quantity)
        self.say(listed, X.TRADE, trade_id=name, **_told(listed.deals[name]))

    def bust(self, listed: Listed, name: str) -> None:
        deal = listed.deals.pop(name)
        listed.amends.append(self.say(listed, X.TRADE_CANCEL, trade_id=name, **_told(deal)))

    def correct(self, listed: Listed, name: str, quantity: Decimal, price: Decimal) -> None:
        self._deals += 1
        new = f"T{self._deals}"
        del listed.deals[name]
        listed.deals[new] = Deal(quantity, price, quantity * price / 1000, ZERO)
        listed.amends.append(self.say(listed, X.TRADE_CORRECT, trade_id=new, corrects=name, **_told(listed.deals[new])))

    def end(self, listed: Listed, how: ExecType) -> None:
        listed.end = S.CANCELLED if how is X.CANCELED else S.EXPIRED
        self.say(listed, how, reason="so", leaves_quantity=ZERO)

    def restate(self, listed: Listed, quantity: Decimal, price: Decimal) -> None:
        listed.quantity, listed.price = max(quantity, listed.filled), price
        self.say(listed, X.REPLACED, quantity=listed.quantity, price=price)

    # -- look-ups ------------------------------------------------------------------------------------------

    def look_up(self, name: str) -> list[ExecutionReport]:
        """Return the whole truth about an order as a look-up tells it: what was busted and corrected (so often that
        each finds the room that another gives), the trades that stand, then the order."""
        listed = self.book.get(name)
        if listed is None:
            return [ExecutionReport(exec_type=X.NOT_FOUND, client_order_id=name, ts_event=self.now)]
        trades = [
            self.report(
                listed,
                X.TRADE,
                trade_id=f"L{name}" if listed.style is Style.COUNTS else name,
                filled_quantity=deal.total if listed.style is Style.COUNTS else None,
                **_told(deal),
            )
            for name, deal in listed.deals.items()
        ]
        order = self.report(
            listed,
            X.ORDER_STATUS,
            order_status=listed.status,
            filled_quantity=listed.filled,
            leaves_quantity=listed.leaves,
            quantity=listed.quantity,
            price=listed.price,
        )
        return [*listed.amends * len(listed.amends), *trades, order]

    def renamed(self, report: ExecutionReport, name: str | None) -> ExecutionReport:
        """Return a trade as another channel tells it, if this venue's channels name trades differently."""
        if report.exec_type is not X.TRADE or self.book[report.client_order_id].style is not Style.COUNTS:
            return report
        return msgspec.structs.replace(report, trade_id=name)


def _told(deal: Deal) -> dict[str, Any]:
    return {"last_quantity": deal.quantity, "last_price": deal.price, "fee": deal.fee, "fee_currency": "USD"}
