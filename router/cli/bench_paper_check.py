"""Holds what the paper executor said against the recording: every fill must have been possible.

The rules, all shown by the rows alone (``bench_paper_rows``), with t the receive time of a message:

1. A resting order fills at its own price only; in the moment of a trade that hit its side at its price or through it,
   or of a message after which the other side was displayed at its price or better.
2. All fills of one trade together are no more than it printed. A trade counts only for orders that had rested for
   150 ms: the streams arrive apart, and what is told later may have happened earlier.
3. The queue: for a fill by a trade at the order's own price there is a moment since it joined - when it joined, or when
   the touch was at its price or had left it - at which ``m`` was displayed at its price (0 when left), such that what
   printed there later than 150 ms after that moment is at least ``m`` and all that own orders got of it.
4. Fills against the display take each displayed quantity once, best price first, and no more than it.
5. An order takes only when it arrives (or is replaced), never at or beyond the price of an own resting order of the
   other side; fees are exact; quantities stay within the order; nothing follows an end.

This module must not know how the executor decides, nor use its book.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

from router.cli.bench_paper_rows import ASK, BID, INFINITE, ZERO, Best, Depth, Display, Printed, messages, sign
from router.domain.enums import ExecType, Liquidity, OrderSide, OrderType, TimeInForce
from router.domain.order import Order
from router.domain.report import ExecutionReport

LATE_US: Final = 150_000
_MARKOUTS_US: Final = (1_000_000, 10_000_000)
_ENDS: Final = frozenset({ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED})
_OTHER: Final = {BID: ASK, ASK: BID}


class Entry(NamedTuple):
    """An order as submitted, with what it was meant to be, or a report; ``at``: messages that had been applied."""

    at: int
    said: Order | ExecutionReport
    meant: str = ""


class Rules(NamedTuple):
    """What was promised of the executor."""

    maker_fee_bps: Decimal
    taker_fee_bps: Decimal
    latency_ms: int


class Mean:
    """A weighted mean."""

    __slots__ = ("_sum", "_weight")

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, value: Decimal, weight: Decimal) -> None:
        self._sum += float(value) * float(weight)
        self._weight += float(weight)

    @property
    def value(self) -> float | None:
        """The mean, or None of nothing."""
        return round(self._sum / self._weight, 3) if self._weight else None


class Own:
    """One of our orders as the reports tell of it."""

    def __init__(
        self, order: Order, meant: str, arrives_s: float, ends_us: int | None, decided: Decimal | None
    ) -> None:
        self.order = order
        self.meant = meant
        self.side = BID if order.side is OrderSide.BUY else ASK
        self.limit = order.price if order.order_type is OrderType.LIMIT else None
        self.quantity = order.quantity
        self.filled = ZERO
        self.arrives_s = arrives_s
        self.ends_us = ends_us
        self.decided = decided
        self.is_arriving = self.is_over = False
        self.joins = 0
        self.joined_us: int | None = None
        self.bound = INFINITE
        self.waited_us: int | None = None


class SymbolCheck:
    """The checks and figures of one symbol."""

    def __init__(self, rules: Rules) -> None:
        self.display = Display()
        self.own: dict[str, Own] = {}
        self.violations: list[str] = []
        self.fills: Counter[Liquidity] = Counter()
        self.printed = self.got_of_prints = ZERO
        self.slippage = Mean()
        self.waits = Mean()
        self.markouts = [Mean() for _ in _MARKOUTS_US]
        self._rules = rules
        self._at = 0
        self._us = 0
        self._s = 0.0
        self._travelling: deque[Own] = deque()
        self._arriving: list[Own] = []
        self._print: Printed | None = None
        self._print_left = ZERO
        self._taken: dict[tuple[str, Decimal], Decimal] = {}
        self._resting: dict[tuple[str, Decimal], list[Own]] = {}
        self._flow: dict[tuple[str, Decimal], Decimal] = {}  # printed less own, while own orders rest there
        self._seen: deque[tuple[int, Own, int, Decimal]] = deque()  # when it counts, whose, of which joining
        self._pending: list[deque[tuple[int, Decimal, int, Decimal]]] = [deque() for _ in _MARKOUTS_US]

    def tick(self, at: int, us: int, s: float) -> None:
        """Time moves on, to message ``at``: to ``us`` of the epoch, ``s`` seconds since the first message."""
        self._at, self._us, self._s = at, us, s
        self._print = None
        self._mark_out()
        while self._seen and self._seen[0][0] <= us:
            _, own, joining, shown = self._seen.popleft()
            if own.joins == joining and own.joined_us is not None and own.limit is not None:
                own.bound = min(own.bound, shown + self._flow[own.side, own.limit])
        while self._travelling and self._travelling[0].arrives_s <= s:
            self._arrive(self._travelling.popleft())

    def hear(self, said: Printed | Best | Depth) -> None:
        """The market of this symbol moves."""
        if isinstance(said, Printed):
            self._print, self._print_left = said, said.quantity
            self.printed += said.quantity
            if (said.side, said.price) in self._flow:
                self._flow[said.side, said.price] += said.quantity
            return
        before = {side: self.display.touch(side) for side in (BID, ASK)}
        self.display.hear(said)
        self._forget_taken()
        for side in (BID, ASK):
            if self.display.touch(side) != before[side]:
                self._look(side)

    def submitted(self, order: Order, meant: str) -> None:
        """An order is sent."""
        touch = self.display.touch(ASK if order.side is OrderSide.BUY else BID)
        ends_us = None
        if order.expire_at is not None:
            ends_us = self._us + (order.expire_at - order.created_at) // timedelta(microseconds=1)
        arrives_s = self._s + self._rules.latency_ms / 1000
        own = Own(order, meant, arrives_s, ends_us, None if touch is None else touch[0])
        self.own[order.client_order_id] = own
        if self._rules.latency_ms:
            self._travelling.append(own)
        else:
            self._arrive(own)

    def _arrive(self, own: Own) -> None:
        if not own.is_arriving:
            own.is_arriving = True
            self._arriving.append(own)

    def reported(self, report: ExecutionReport) -> None:
        """The executor says something."""
        own = self.own[report.client_order_id]
        kind = report.exec_type
        if own.is_over and kind in {ExecType.TRADE, ExecType.REPLACED, ExecType.NEW, *_ENDS}:
            self._wrong(own, f"{kind} after its end")
        elif kind is ExecType.TRADE:
            self._fill(own, report)
        elif kind is ExecType.REPLACED:
            self._replaced(own, report)
        elif kind in _ENDS:
            if report.filled_quantity not in (own.filled, None):
                self._wrong(own, f"ended at {report.filled_quantity} filled, {own.filled} were reported")
            self._over(own)

    def settle(self) -> None:
        """After all that was said in one moment: what has arrived and goes on rests from now on."""
        for own in self._arriving:
            own.is_arriving = False
            if own.is_over:
                continue
            if own.limit is None or own.order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
                self._wrong(own, "cannot rest, and did not end when it arrived")
                continue
            own.joins += 1
            own.joined_us, own.bound = self._us, INFINITE
            self._resting.setdefault((own.side, own.limit), []).append(own)
            self._flow.setdefault((own.side, own.limit), ZERO)
            self._observe(own, self.display.size(own.side, own.limit))
        self._arriving.clear()

    # -- what rests --------------------------------------------------------------------------------------

    def _look(self, side: str) -> None:
        touch = self.display.touch(side)
        if touch is None:
            return
        for (own_side, price), here in self._resting.items():
            if own_side == side and sign(side) * price >= sign(side) * touch[0]:
                for own in here:
                    self._observe(own, touch[1] if price == touch[0] else ZERO)

    def _observe(self, own: Own, shown: Decimal) -> None:
        self._seen.append((self._us + LATE_US, own, own.joins, shown))

    def _replaced(self, own: Own, report: ExecutionReport) -> None:
        assert report.quantity is not None, "a replacement names its quantity"
        keeps = report.price == own.limit and report.quantity <= own.quantity
        if report.quantity < own.filled:
            self._wrong(own, f"replaced by {report.quantity}, {own.filled} were filled")
        if not keeps:
            self._leave(own)
        own.quantity, own.limit = report.quantity, report.price
        if own.quantity == own.filled:
            self._over(own)
        elif not keeps:
            self._arrive(own)

    def _over(self, own: Own) -> None:
        self._leave(own)
        own.is_over = True

    def _leave(self, own: Own) -> None:
        if own.joined_us is None or own.limit is None:
            return
        key = own.side, own.limit
        own.joined_us = None
        self._resting[key].remove(own)
        if not self._resting[key]:
            del self._resting[key], self._flow[key]

    # -- fills -------------------------------------------------------------------------------------------

    def _fill(self, own: Own, report: ExecutionReport) -> None:
        price, quantity = report.last_price, report.last_quantity
        assert price is not None, "a trade has a price"
        assert quantity is not None, "a trade has a quantity"
        own.filled += quantity
        liquidity = report.liquidity or Liquidity.TAKER
        self.fills[liquidity] += 1
        is_maker = liquidity is Liquidity.MAKER
        if own.ends_us is not None and self._us > own.ends_us + 2:  # 2: times are rounded to microseconds
            self._wrong(own, "filled after its time")
        bps = self._rules.maker_fee_bps if is_maker else self._rules.taker_fee_bps
        if report.fee is None or Fraction(report.fee) != Fraction(quantity) * Fraction(price) * Fraction(bps) / 10_000:
            self._wrong(own, f"fee {report.fee} of {quantity} at {price} is not {bps} bp")
        if not (quantity > 0 and own.filled <= own.quantity and report.filled_quantity == own.filled):
            self._wrong(own, f"{own.filled} of {own.quantity} filled, told as {report.filled_quantity}")
        if is_maker:
            self._made(own, price, quantity)
        else:
            self._took(own, price, quantity)
        if own.filled == own.quantity:
            self._over(own)

    def _made(self, own: Own, price: Decimal, quantity: Decimal) -> None:
        if own.joined_us is None or price != own.limit:
            self._wrong(own, f"passive fill at {price}, its price is {own.limit}, resting: {own.joined_us is not None}")
            return
        if own.waited_us is None:
            own.waited_us = self._us - own.joined_us
            self.waits.add(Decimal(own.waited_us) / 1_000_000, Decimal(1))
        for pending, ahead_us in zip(self._pending, _MARKOUTS_US, strict=True):
            pending.append((self._us + ahead_us, price, sign(own.side), quantity))
        if self._print is not None:
            self._made_by_print(own, self._print, price, quantity)
            return
        left = quantity
        for level, size in self.display.levels(_OTHER[own.side], price):
            part = max(ZERO, min(left, size - self._taken.get((_OTHER[own.side], level), ZERO)))
            self._take(_OTHER[own.side], level, part)
            left -= part
        if left:
            self._wrong(own, f"{quantity} passively at {price}: {left} more than was displayed and not yet taken")

    def _made_by_print(self, own: Own, trade: Printed, price: Decimal, quantity: Decimal) -> None:
        self.got_of_prints += quantity
        self._print_left -= quantity
        assert own.joined_us is not None, "checked before"
        if trade.side != own.side or sign(own.side) * trade.price > sign(own.side) * price:
            self._wrong(own, f"filled at {price} by a trade at {trade.price} that did not reach it")
        elif self._us - own.joined_us < LATE_US:
            self._wrong(own, f"filled by a trade {self._us - own.joined_us} us after it joined: it may be older")
        elif self._print_left < 0:
            self._wrong(own, f"filled {quantity}: {-self._print_left} more than printed")
        key = own.side, trade.price
        if key in self._flow:
            self._flow[key] -= quantity
            if trade.price == price and own.bound > self._flow[key]:
                self._wrong(own, f"{quantity} at {price}: {own.bound - self._flow[key]} too early in the queue")

    def _took(self, own: Own, price: Decimal, quantity: Decimal) -> None:
        other = _OTHER[own.side]
        if not own.is_arriving:
            self._wrong(own, "took liquidity although it was not arriving")
        if own.limit is not None and sign(own.side) * price > sign(own.side) * own.limit:
            self._wrong(own, f"took at {price} beyond its limit {own.limit}")
        free = self.display.offered(other, price) - self._taken.get((other, price), ZERO)
        if quantity > free:
            self._wrong(own, f"took {quantity} at {price} where {free} was displayed and not yet taken")
        self._take(other, price, quantity)
        if any(side == other and sign(other) * resting >= sign(other) * price for side, resting in self._resting):
            self._wrong(own, f"took at {price} although an own order of the other side rests there or better")
        if own.decided is not None:
            self.slippage.add(sign(own.side) * (price - own.decided) / own.decided * 10_000, quantity * price)

    def _take(self, side: str, price: Decimal, quantity: Decimal) -> None:
        if quantity > 0:
            self._taken[side, price] = self._taken.get((side, price), ZERO) + quantity

    def _forget_taken(self) -> None:
        for (side, price), taken in list(self._taken.items()):
            shown = self.display.size(side, price)
            if not shown:
                del self._taken[side, price]
            elif shown < taken:
                self._taken[side, price] = shown

    def _mark_out(self) -> None:
        middle = self.display.middle()
        for pending, mean in zip(self._pending, self.markouts, strict=True):
            while middle is not None and pending and pending[0][0] <= self._us:
                _, price, direction, quantity = pending.popleft()
                mean.add(direction * (middle - price) / price * 10_000, quantity * price)

    def _wrong(self, own: Own, what: str) -> None:
        self.violations.append(f"message {self._at}, order {own.order.client_order_id}: {what}")


def check(paths: Sequence[Path], tape: Sequence[Entry], rules: Rules) -> tuple[dict[str, SymbolCheck], int]:
    """Hold ``tape`` against the recordings; return the findings by symbol, and how many rows there are."""
    checks: defaultdict[str, SymbolCheck] = defaultdict(lambda: SymbolCheck(rules))
    symbols = {entry.said.client_order_id: entry.said.symbol for entry in tape if isinstance(entry.said, Order)}
    rows = first_ns = 0
    spoken: Iterator[Entry] = iter(tape)
    entry = next(spoken, None)
    for at, message in enumerate(messages(paths), 1):
        rows += message.rows
        first_ns = first_ns or message.ns
        heard = checks[message.symbol]
        for each in checks.values():
            each.tick(at, message.ns // 1000, (message.ns - first_ns) / 1e9)
        heard.hear(message.said)
        while entry is not None and entry.at == at:
            if isinstance(entry.said, Order):
                checks[entry.said.symbol].submitted(entry.said, entry.meant)
            else:
                checks[symbols[entry.said.client_order_id]].reported(entry.said)
            entry = next(spoken, None)
        for each in checks.values():
            each.settle()
    assert entry is None, "both readings of the files number the messages alike"
    return dict(checks), rows
