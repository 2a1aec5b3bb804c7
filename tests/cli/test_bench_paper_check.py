"""Each rule by itself: what the recording allows passes, one step beyond is a violation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from router.cli.bench_paper_check import LATE_US, Rules, SymbolCheck
from router.cli.bench_paper_rows import ASK, BID, Best, Printed
from router.domain.enums import ExecType, Liquidity, OrderSide, OrderType, TimeInForce
from router.domain.order import Order
from router.domain.report import ExecutionReport

D = Decimal
NOW = datetime(2025, 1, 1, tzinfo=UTC)
MAKER, TAKER = Liquidity.MAKER, Liquidity.TAKER


class Told:
    """A symbol's check, told of a market of 5 at 100 and 3 at 101, step by step."""

    def __init__(self) -> None:
        self.check = SymbolCheck(Rules(maker_fee_bps=D(1), taker_fee_bps=D(2), latency_ms=0))
        self._steps = 0
        self.best(100, 5, 101, 3)

    def step(self, said: Best | Printed, us: int = LATE_US) -> None:
        self.check.settle()
        self._steps += us
        self.check.tick(1, self._steps, self._steps / 1e6)
        self.check.hear(said)

    def best(self, bid: int, bid_size: int, ask: int, ask_size: int, us: int = LATE_US) -> None:
        self.step(Best(1, (D(bid), D(bid_size)), (D(ask), D(ask_size))), us)

    def trade(self, side: str, price: int, quantity: int, us: int = LATE_US) -> None:
        self.step(Printed(side, D(price), D(quantity)), us)

    def order(self, side: str, quantity: int, price: int | None, name: str = "A", **more: Any) -> None:
        order = Order(
            client_order_id=name,
            run_id="run",
            symbol="A/B",
            side=OrderSide(side),
            order_type=OrderType.LIMIT if price else OrderType.MARKET,
            quantity=D(quantity),
            price=D(price) if price else None,
            environment="paper",
            created_at=NOW,
            updated_at=NOW,
            **more,
        )
        self.check.submitted(order, "touch")

    def fill(self, price: int, quantity: int, liquidity: Liquidity, name: str = "A", **other: Any) -> None:
        fee = D(quantity) * D(price) * (1 if liquidity is MAKER else 2) / 10_000
        facts: dict[str, Any] = {
            "last_price": D(price),
            "last_quantity": D(quantity),
            "fee": fee,
            "liquidity": liquidity,
            "filled_quantity": self.check.own[name].filled + quantity,
        }
        self.said(ExecType.TRADE, name, **facts | other)

    def said(self, kind: ExecType, name: str = "A", **facts: Any) -> None:
        self.check.reported(ExecutionReport(exec_type=kind, client_order_id=name, ts_event=NOW, **facts))


def possible(told: Told) -> None:
    """A buy of 4 at 100 joins behind 5; 7 print: 2 are ours."""
    told.order("buy", 4, 100)
    told.trade(BID, 100, 7)
    told.fill(100, 2, MAKER)


def one_too_many(told: Told) -> None:
    told.order("buy", 4, 100)
    told.trade(BID, 100, 7)
    told.fill(100, 3, MAKER)


def through(told: Told) -> None:
    told.order("buy", 4, 100)
    told.trade(BID, 99, 3)
    told.fill(100, 3, MAKER)


def through_too_much(told: Told) -> None:
    told.order("buy", 4, 100)
    told.trade(BID, 99, 3)
    told.fill(100, 4, MAKER)


def not_reached(told: Told) -> None:
    told.order("buy", 4, 99)
    told.trade(BID, 100, 7)
    told.fill(99, 1, MAKER)


def wrong_side(told: Told) -> None:
    told.order("buy", 4, 100)
    told.trade(ASK, 100, 9)
    told.fill(100, 1, MAKER)


def too_young(told: Told) -> None:
    told.order("buy", 4, 100)
    told.trade(BID, 99, 9, us=LATE_US - 1)
    told.fill(100, 1, MAKER)


def shown_twice(told: Told) -> None:
    """The quote shrinks by the very trade that is told after it."""
    told.order("buy", 4, 100)
    told.best(100, 2, 101, 3)
    told.trade(BID, 100, 3, us=1)
    told.fill(100, 1, MAKER)


def shrunk_before(told: Told) -> None:
    told.order("buy", 4, 100)
    told.best(100, 2, 101, 3)
    told.trade(BID, 100, 3)
    told.fill(100, 1, MAKER)


def shared_queue(told: Told) -> None:
    told.order("buy", 1, 100)
    told.order("buy", 4, 100, "B")
    told.trade(BID, 100, 7)
    told.fill(100, 1, MAKER)
    told.fill(100, 1, MAKER, "B")


def shared_twice(told: Told) -> None:
    told.order("buy", 1, 100)
    told.order("buy", 4, 100, "B")
    told.trade(BID, 100, 7)
    told.fill(100, 1, MAKER)
    told.fill(100, 2, MAKER, "B")


def quoted_through(told: Told) -> None:
    told.order("buy", 4, 100)
    told.best(98, 1, 99, 3)
    told.fill(100, 3, MAKER)


def quoted_through_too_much(told: Told) -> None:
    told.order("buy", 4, 100)
    told.best(98, 1, 99, 3)
    told.fill(100, 4, MAKER)


def not_quoted(told: Told) -> None:
    told.order("buy", 4, 99)
    told.best(99, 1, 100, 3)
    told.fill(99, 1, MAKER)


def taken(told: Told) -> None:
    told.order("buy", 3, None)
    told.fill(101, 3, TAKER)


def taken_twice(told: Told) -> None:
    taken(told)
    told.order("buy", 1, None, "B")
    told.fill(101, 1, TAKER, "B")


def better_than_shown(told: Told) -> None:
    told.order("sell", 1, None)
    told.fill(101, 1, TAKER)


def beyond_the_limit(told: Told) -> None:
    told.order("buy", 1, 100)
    told.fill(101, 1, TAKER)


def not_its_price(told: Told) -> None:
    told.order("buy", 4, 100)
    told.trade(BID, 99, 3)
    told.fill(99, 3, MAKER)


def taking_while_resting(told: Told) -> None:
    told.order("buy", 1, 100)
    told.best(99, 1, 100, 3)
    told.fill(100, 1, TAKER)


def with_itself(told: Told) -> None:
    told.order("sell", 1, 101)
    told.best(100, 5, 101, 3)
    told.order("buy", 1, 101, "B")
    told.fill(101, 1, TAKER, "B")


def wrong_fee(told: Told) -> None:
    told.order("buy", 1, None)
    told.fill(101, 1, TAKER, fee=D("0.0101"))


def more_than_asked(told: Told) -> None:
    told.order("buy", 2, None)
    told.fill(101, 3, TAKER)


def miscounted(told: Told) -> None:
    told.order("buy", 2, None)
    told.fill(101, 1, TAKER, filled_quantity=D(2))


def after_its_end(told: Told) -> None:
    told.order("buy", 2, None)
    told.said(ExecType.EXPIRED)
    told.fill(101, 1, TAKER)


def ended_otherwise_counted(told: Told) -> None:
    told.order("buy", 2, None)
    told.said(ExecType.EXPIRED, filled_quantity=D(1))


def not_ended(told: Told) -> None:
    told.order("buy", 2, 100, time_in_force=TimeInForce.IOC)
    told.best(100, 5, 101, 3)


def after_its_time(told: Told) -> None:
    told.order("buy", 2, 100, expire_at=NOW + timedelta(seconds=0.1))
    told.trade(BID, 99, 3)
    told.fill(100, 1, MAKER)


def smaller_keeps_its_place(told: Told) -> None:
    told.order("buy", 4, 100)
    told.best(100, 50, 101, 3)
    told.said(ExecType.REPLACED, quantity=D(2), price=D(100))
    told.trade(BID, 100, 6)
    told.fill(100, 1, MAKER)


def larger_keeps_its_place(told: Told) -> None:
    told.order("buy", 4, 100)
    told.best(100, 50, 101, 3)
    told.said(ExecType.REPLACED, quantity=D(5), price=D(100))
    told.trade(BID, 100, 6)
    told.fill(100, 1, MAKER)


@pytest.mark.parametrize(
    "story", [possible, through, shrunk_before, shared_queue, quoted_through, taken, smaller_keeps_its_place]
)
def test_what_can_have_been_passes(story: Callable[[Told], None]) -> None:
    told = Told()
    story(told)
    told.check.settle()
    assert told.check.violations == []


@pytest.mark.parametrize(
    ("story", "found"),
    [
        (one_too_many, "1 too early in the queue"),
        (through_too_much, "1 more than printed"),
        (not_reached, "did not reach it"),
        (wrong_side, "did not reach it"),
        (too_young, "it may be older"),
        (shown_twice, "too early in the queue"),
        (shared_twice, "1 too early in the queue"),
        (quoted_through_too_much, "1 more than was displayed"),
        (not_quoted, "1 more than was displayed"),
        (taken_twice, "where 0 was displayed"),
        (better_than_shown, "where 0 was displayed"),
        (beyond_the_limit, "beyond its limit 100"),
        (not_its_price, "its price is 100"),
        (taking_while_resting, "was not arriving"),
        (with_itself, "own order of the other side"),
        (wrong_fee, "is not 2 bp"),
        (more_than_asked, "3 of 2 filled"),
        (miscounted, "told as 2"),
        (after_its_end, "trade after its end"),
        (ended_otherwise_counted, "ended at 1 filled, 0 were reported"),
        (not_ended, "did not end when it arrived"),
        (after_its_time, "filled after its time"),
        (larger_keeps_its_place, "too early in the queue"),
    ],
)
def test_what_cannot_is_found(story: Callable[[Told], None], found: str) -> None:
    told = Told()
    story(told)
    told.check.settle()
    assert found in told.check.violations[0]


def test_figures() -> None:
    told = Told()
    told.order("buy", 3, None)
    told.fill(101, 3, TAKER)
    told.order("buy", 4, 100, "B")
    told.trade(BID, 99, 4)
    told.fill(100, 4, MAKER, "B")
    told.best(95, 1, 97, 1)
    told.best(90, 1, 91, 1, us=2_000_000)
    found = told.check
    assert found.violations == []
    assert found.printed == found.got_of_prints == 4
    assert (found.fills[MAKER], found.fills[TAKER]) == (1, 1)
    assert (found.slippage.value, found.waits.value) == (0, 0.15)
    assert [each.value for each in found.markouts] == [-400, None], "the middle was 96 one second later"
