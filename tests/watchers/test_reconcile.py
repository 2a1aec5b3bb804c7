"""The venue's book against ours: what was missed is found, what is odd is said once, and nothing is ever touched."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.clock import Clock
from router.domain.enums import ExecType, ExecutionStatus, Severity
from router.domain.events import AccountOpened
from router.domain.market import Instrument
from router.domain.order import Order
from router.domain.report import ExecutionReport
from router.domain.venue import VenueBook, VenueOrder, VenueTrade
from router.execution.desk import BooksDesk
from router.logs import get_logger
from router.virtual import LoopClock, run
from router.watchers.reconcile import Reconciler
from tests.factories import BUY, PROPERTY, D, instrument
from tests.watchers.world import World

S, X = ExecutionStatus, ExecType
aio = pytest.mark.asyncio
EVERY = 60.0
HELD = {"USD": "1000", "BTC": "2", "DOGE": "5"}


class Desk(BooksDesk):
    """Ours, and what passed over it."""

    def __init__(self, world: World, instruments: list[Instrument]) -> None:
        super().__init__(world.tracker, {"paper": world.account}, instruments, world.watchdog.look_now)
        self.reports: list[ExecutionReport] = []
        self.looked_up: list[str] = []

    def report(self, report: ExecutionReport) -> None:
        self.reports.append(report)
        super().report(report)

    def look_up(self, order: Order) -> None:
        self.looked_up.append(order.client_order_id)
        super().look_up(order)


class Sandbox:
    """The venue's book; there is nothing about it that could be asked to change anything."""

    environment = "paper"

    def __init__(self, clock: Clock) -> None:
        self.orders: list[VenueOrder] = []
        self.trades: list[VenueTrade] = []
        self.balances = {name: D(amount) for name, amount in HELD.items()}
        self.unready: str | None = None
        self.broken: Exception | None = None
        self.takes_s = 0.0
        self.asked: list[tuple[float, datetime]] = []
        self.anew = 0
        self._clock = clock

    def not_ready(self) -> str | None:
        return self.unready

    async def book(self, since: datetime) -> VenueBook:
        self.asked.append((self._clock.monotonic(), since))
        if self.broken is not None:
            raise self.broken
        trades = tuple(trade for trade in self.trades if trade.at >= since)
        book = VenueBook(orders=tuple(self.orders), trades=trades, balances=dict(self.balances), at=self._clock.now())
        await self._clock.sleep(self.takes_s)
        return book

    def listen_anew(self) -> None:
        self.anew += 1

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.asked]


class Books(World):
    """The watchers' world with a second picture of its venue, and who compares it."""

    def __init__(self, clock: Clock | None = None, *, every_s: float = EVERY) -> None:
        super().__init__(clock)
        self.sandbox = Sandbox(self.clock)
        self.desk = Desk(self, [instrument()])
        self.reconciler = Reconciler(self.sandbox, self.desk, self.clock, get_logger(), every_s=every_s)

    @asynccontextmanager
    async def comparing(self) -> AsyncIterator[Books]:
        """Compare in the background, the first time at once."""
        async with self.running():
            self._group.start_soon(self.reconciler.run)
            await self.advance(0)
            yield self

    async def compare(self) -> None:
        """Let a minute pass, and with it one comparison."""
        await self.advance(EVERY)

    def shown(self, name: str | None, venue_order_id: str = "V1", **fields: Any) -> VenueOrder:
        values: dict[str, Any] = {
            "symbol": "BTC/USD",
            "client_order_id": name,
            "venue_order_id": venue_order_id,
            "status": S.SUBMITTED,
            "at": self.clock.now(),
            "side": BUY,
            "quantity": D(1),
            "filled_quantity": D(0),
            "price": D(90),
        }
        return VenueOrder(**(values | fields))

    def traded(self, name: str | None, trade_id: str, quantity: object = "0.4", **fields: Any) -> VenueTrade:
        values: dict[str, Any] = {
            "symbol": "BTC/USD",
            "trade_id": trade_id,
            "venue_order_id": "V1",
            "side": BUY,
            "quantity": D(str(quantity)),
            "price": D(90),
            "at": self.clock.now(),
            "client_order_id": name,
            "fee": D(0),
            "fee_currency": "USD",
        }
        return VenueTrade(**(values | fields))

    @property
    def said(self) -> list[tuple[str, str]]:
        """Return what was alerted by who compares: severity and message."""
        return [(alert.severity, alert.message) for alert in self.alerts if alert.topic == "reconcile"]

    @property
    def last_differences(self) -> dict[str, Decimal]:
        assert self.reconciler.last is not None
        return self.reconciler.last.differences


# -- before the first one ------------------------------------------------------------------------------------------


@aio
async def test_no_order_is_taken_before_the_first_comparison_and_why_is_said() -> None:
    world = Books()
    world.sandbox.unready = "its markets are being read"
    async with world.comparing():
        await world.advance(30)
        assert world.sandbox.asked == []
        assert world.reconciler.closed() == (
            "Environment paper takes no order before its first reconciliation with the venue has succeeded: its "
            "markets are being read. It is tried again by itself; see `router status`."
        )
        world.sandbox.unready, world.sandbox.broken = None, TimeoutError("no answer")
        await world.advance(0.1)
        assert "succeeded: TimeoutError: no answer. It" in (world.reconciler.closed() or "")
        assert not world.reconciler.first.is_set()
        world.sandbox.broken = None
        await world.advance(1)
        assert world.reconciler.closed() is None
        assert world.reconciler.first.is_set()
        world.sandbox.broken = TimeoutError("later")
        await world.compare()
        assert (world.reconciler.closed(), world.reconciler.failure) == (None, "TimeoutError: later")


@aio
async def test_before_any_attempt_it_says_so() -> None:
    assert "it has not been compared with the venue yet" in (Books().reconciler.closed() or "")


@aio
async def test_the_first_comparison_opens_the_account_with_the_currencies_that_are_traded() -> None:
    async with Books().comparing() as world:
        assert world.account.portfolio.cash == {"BTC": D(2), "USD": D(1000)}
        world.sandbox.balances["USD"] = D(7)
        await world.compare()
        await world.compare()
        opened = [event for event in world.events if isinstance(event, AccountOpened)]
        assert [event.balances for event in opened] == [{"BTC": D(2), "USD": D(1000)}]


@aio
async def test_trades_are_asked_for_from_before_the_last_comparison_that_succeeded() -> None:
    async with Books().comparing() as world:
        first = world.clock.now()
        await world.compare()
        world.sandbox.broken = OSError("cut")
        await world.compare()
        world.sandbox.broken = None
        await world.advance(1)
        minute = timedelta(seconds=60)
        expected = [first - minute, first - minute, first, first]
        assert [since for _, since in world.sandbox.asked] == expected


@aio
@pytest.mark.parametrize(("age_h", "back_h"), [(1, 1), (30, 24)])
async def test_a_start_looks_back_to_its_oldest_working_order_and_no_further_than_a_day(
    age_h: int, back_h: int
) -> None:
    async with Books().comparing() as world:
        await world.opened("U1")
        await world.advance(age_h * 3600)
        reconciler = Reconciler(world.sandbox, world.desk, world.clock, get_logger(), every_s=60)
        world.sandbox.asked.clear()
        begun = world.clock.now()
        await reconciler.compare()
        back = begun - world.sandbox.asked[0][1]
        assert timedelta(hours=back_h) <= back <= timedelta(hours=back_h, minutes=2)


@aio
async def test_a_venue_that_cannot_be_compared_again_and_again_is_alerted_once() -> None:
    async with Books().comparing() as world:
        world.sandbox.broken = OSError("cut")
        for _ in range(6):
            await world.compare()
        (alert,) = [message for severity, message in world.said if severity == Severity.HIGH]
        assert "3 times in a row: OSError: cut" in alert


# -- trades and orders of ours -------------------------------------------------------------------------------------


@aio
async def test_a_fill_that_was_missed_is_booked_once_with_its_real_id() -> None:
    async with Books().comparing() as world:
        await world.opened("U1")
        world.sandbox.orders = [world.shown("U1", filled_quantity=D("0.4"), status=S.PARTIALLY_FILLED)]
        world.sandbox.trades = [world.traded("U1", "t77")]
        await world.compare()
        assert world.order("U1").filled_quantity == D("0.4")
        assert [event.trade_id for event in world.events if event.event == "partially_filled"] == ["t77"]
        assert world.reconciler.last is not None
        assert world.reconciler.last.found == 1
        await world.compare()
        assert [report.trade_id for report in world.desk.reports if report.exec_type is X.TRADE] == ["t77"]
        assert world.reconciler.last.found == 0


@aio
async def test_a_trade_that_was_told_before_is_not_reported_again_even_when_its_order_has_ended() -> None:
    async with Books().comparing() as world:
        await world.opened("U1")
        world.venue.say("U1", X.TRADE, trade_id="t1", last_quantity=D(1), last_price=D(90), fee=D(0))
        world.sandbox.trades = [world.traded("U1", "t1", 1)]
        await world.compare()
        assert world.desk.reports == []
        assert world.sandbox.anew == 0


@aio
async def test_a_picture_that_ends_the_order_or_counts_more_than_is_known_reaches_the_order() -> None:
    async with Books().comparing() as world:
        await world.opened("U1")
        await world.opened("U2")
        world.venue.fill("U2", "0.3")
        world.sandbox.orders = [
            world.shown("U1", status=S.CANCELLED),
            world.shown("U2", "V2", status=S.PARTIALLY_FILLED, filled_quantity=D("0.3")),
        ]
        world.reconciler.soon()
        await world.advance(0)
        assert {report.exec_type for report in world.desk.reports} == {X.RESTATED}
        assert world.order("U1").status is S.CANCELLED
        await world.advance(1.1)
        assert world.order("U2").filled_quantity == D("0.3"), "its trades are asked for at once"


@aio
async def test_an_order_that_the_venue_does_not_list_is_looked_up_and_one_it_lists_is_not() -> None:
    async with Books().comparing() as world:
        await world.opened("U1")
        await world.opened("U2")
        world.sandbox.orders = [world.shown("U1")]
        await world.advance(10)
        calls = len(world.venue.calls)
        world.reconciler.soon()
        await world.advance(0.1)
        assert world.desk.looked_up == ["U2"]
        assert [names[0] for _, names in world.venue.calls[calls:]] == ["U2"]


@aio
@pytest.mark.parametrize("age", [0.0, 5.0, 5.5])
async def test_an_order_that_the_venue_does_not_list_is_looked_up_however_young(age: float) -> None:
    """It may have ended since its last trade was told, and that trade has just moved its window."""
    async with Books().comparing() as world:
        await world.opened("U1")
        await world.advance(age)
        world.reconciler.soon()
        await world.advance(0)
        assert world.desk.looked_up == ["U1"]


@aio
async def test_an_order_is_looked_up_when_its_outcome_is_unknown_but_not_while_it_is_handed_over() -> None:
    async with Books().comparing() as world:
        world.pending("U1")
        world.pending("U2")
        world.tracker.unknown("U2", "the connection was cut")
        await world.advance(20)
        world.reconciler.soon()
        await world.advance(0)
        assert world.desk.looked_up == ["U2"]


@aio
async def test_an_order_that_ended_here_but_works_at_the_venue_is_critical_once_it_was_seen_twice() -> None:
    async with Books().comparing() as world:
        await world.opened("U1")
        world.sandbox.orders = [world.shown("U1")]
        await world.advance(50)
        world.venue.say("U1", X.CANCELED)
        await world.compare()  # 10 s later: seen once
        assert world.said == []
        await world.compare()
        ((severity, message),) = world.said
        assert severity == Severity.CRITICAL
        assert message.startswith("Order V1 (buy 1 BTC/USD at 90, client id U1) works at the venue, but has ended here")
        assert "CANCELLED" in message
        assert [alert.client_order_id for alert in world.alerts] == ["U1"]
        await world.compare()
        assert len(world.said) == 1
        world.sandbox.orders = []
        await world.compare()
        world.sandbox.orders = [world.shown("U1")]
        await world.compare()
        assert len(world.said) == 1, "seen once since it was gone"
        await world.compare()
        assert len(world.said) == 2
        assert world.reconciler.last is not None
        assert world.reconciler.last.foreign == ()
        assert world.venue.cancels == []


@aio
async def test_an_order_that_ended_a_moment_ago_may_still_be_in_the_picture() -> None:
    async with Books(every_s=4.0).comparing() as world:
        await world.opened("U1")
        world.sandbox.orders = [world.shown("U1")]
        await world.advance(3)
        world.venue.say("U1", X.CANCELED)
        await world.advance(9)  # seen 1, 5 and 9 s after its end; the first two do not count
        assert world.said == []
        await world.advance(4)
        assert [severity for severity, _ in world.said] == ["CRITICAL"]


# -- what is not ours ----------------------------------------------------------------------------------------------


@aio
@pytest.mark.parametrize("name", ["web_1", None])
async def test_a_foreign_order_is_listed_alerted_once_and_never_touched(name: str | None) -> None:
    async with Books().comparing() as world:
        world.sandbox.orders = [world.shown(name, "V9")]
        await world.compare()
        await world.compare()
        ((severity, message),) = world.said
        assert severity == Severity.HIGH
        named = f"Order V9 (buy 1 BTC/USD at 90, client id {name or 'none'})"
        assert message.startswith(f"{named} is working at the venue and is not ours. It is not touched")
        assert world.reconciler.last is not None
        assert world.reconciler.last.foreign == (named,)
        assert (world.venue.cancels, world.venue.amends, world.venue.book) == ([], [], {})
        assert world.desk.reports == []


@aio
async def test_a_foreign_order_is_alerted_again_when_it_was_gone_and_came_back() -> None:
    async with Books().comparing() as world:
        world.sandbox.orders = [world.shown("web_1", "V9")]
        await world.compare()
        world.sandbox.broken = OSError("cut")  # what could not be compared is no absence
        await world.compare()
        world.sandbox.broken = None
        await world.compare()
        assert len(world.said) == 1
        world.sandbox.orders = []
        await world.compare()
        assert world.reconciler.last is not None
        assert world.reconciler.last.foreign == ()
        world.sandbox.orders = [world.shown("web_1", "V9")]
        await world.compare()
        assert len(world.said) == 2


@aio
@pytest.mark.parametrize("name", ["web_1", None])
async def test_trades_of_a_foreign_order_are_alerted_once_and_not_booked(name: str | None) -> None:
    async with Books().comparing() as world:
        world.sandbox.trades = [
            world.traded(name, "t1", venue_order_id="V9"),
            world.traded(name, "t2", venue_order_id="V9"),
        ]
        await world.compare()
        await world.compare()
        ((severity, message),) = world.said
        assert severity == Severity.MEDIUM
        assert message == (
            "BTC/USD is traded on this account by somebody else: order V9 is not ours (trade t1, 0.4 at 90). "
            "Our books leave such trades out."
        )
        assert world.desk.reports == []
        assert world.sandbox.anew == 0
        assert world.account.portfolio.positions == {}


@aio
async def test_an_id_that_two_symbols_have_is_two_orders() -> None:
    async with Books().comparing() as world:
        bare: dict[str, Any] = {"side": None, "quantity": None, "price": None}
        world.sandbox.orders = [world.shown(None, "7"), world.shown(None, "7", symbol="ETH/USD", **bare)]
        world.sandbox.trades = [
            world.traded(None, "t1", venue_order_id="7"),
            world.traded(None, "t1", venue_order_id="7", symbol="ETH/USD"),
        ]
        await world.compare()
        assert [severity for severity, _ in world.said] == ["MEDIUM", "MEDIUM", "HIGH", "HIGH"]
        assert world.said[-1][1].startswith("Order 7 (ETH/USD, client id none) is working")


@aio
async def test_memory_is_flat_however_many_foreign_trades_and_orders_come_and_go() -> None:
    async with Books(every_s=1.0).comparing() as world:
        remembered = []
        for number in range(1_000):
            world.sandbox.trades = [world.traded(None, f"t{number}", venue_order_id=f"V{number}")]
            world.sandbox.orders = [world.shown(f"web_{number}", f"V{number}")]
            await world.advance(1)
            remembered.append(len(world.reconciler._now) + len(world.reconciler._before))
        assert len(world.said) == 1_001, "one for all the trades, one for each order"
        assert set(remembered[2:]) == {4}
        assert sum(sys.getsizeof(value) for value in vars(world.reconciler).values()) < 5_000


# -- balances ------------------------------------------------------------------------------------------------------


@aio
async def test_balances_that_differ_are_alerted_once_when_the_difference_has_stayed() -> None:
    async with Books().comparing() as world:
        world.sandbox.balances |= {"USD": D("1250.50"), "BTC": D(0)}
        await world.compare()
        assert (world.said, world.last_differences) == ([], {})
        world.sandbox.balances["USD"] = D("1250.5000")  # the same, written with more digits
        await world.compare()
        assert [severity for severity, _ in world.said] == ["HIGH", "HIGH"]
        assert world.said[0][1].startswith("The venue holds -2 BTC against our books: ")
        assert world.said[1][1].startswith("The venue holds +250.5000 USD against our books: ")
        assert world.last_differences == {"BTC": D(-2), "USD": D("250.5")}
        await world.compare()
        assert (len(world.said), len(world.last_differences)) == (2, 2)
        del world.sandbox.balances["BTC"]  # nothing held is not always listed
        await world.compare()
        assert len(world.said) == 2


@aio
async def test_a_difference_that_moves_is_no_difference_yet_and_one_that_is_gone_is_forgotten() -> None:
    async with Books().comparing() as world:
        for number in range(5):
            world.sandbox.balances["USD"] = D(1001 + number)
            await world.compare()
        assert (world.said, world.last_differences) == ([], {})
        await world.compare()
        assert len(world.said) == 1
        world.sandbox.balances["USD"] = D(1000)
        await world.compare()
        assert (len(world.said), world.last_differences) == (1, {})
        world.sandbox.balances["USD"] = D(1005)
        await world.compare()
        assert len(world.said) == 1
        await world.compare()
        assert len(world.said) == 2


@aio
async def test_what_we_traded_and_what_nobody_trades_here_is_no_difference() -> None:
    async with Books().comparing() as world:
        await world.opened("U1")
        world.sandbox.trades = [world.traded("U1", "t1")]
        world.sandbox.balances |= {"USD": D(964), "BTC": D("2.4"), "DOGE": D(77)}
        await world.compare()
        await world.compare()
        assert (world.said, world.last_differences) == ([], {})


# -- when ----------------------------------------------------------------------------------------------------------


@aio
async def test_a_failure_is_tried_again_with_back_off_and_is_no_comparison() -> None:
    world = Books()
    world.sandbox.broken = OSError("cut")
    async with world.comparing():
        await world.advance(110)
        assert world.sandbox.times == [0, 1, 3, 8, 18, 48, 78, 108]
        assert (world.reconciler.last, world.reconciler.failure) == (None, "OSError: cut")
        world.sandbox.broken = None
        await world.advance(28)
        assert (world.reconciler.failure, world.sandbox.times[-1]) == (None, 138)
        world.sandbox.broken = OSError("cut again")
        await world.advance(61)
        assert world.sandbox.times[-2:] == [198, 199], "the back-off begins anew"


@aio
async def test_it_compares_every_so_often_and_at_once_when_it_is_woken() -> None:
    async with Books().comparing() as world:
        await world.advance(130)
        assert world.sandbox.times == [0, 60, 120]
        world.reconciler.soon()
        await world.advance(65)
        assert world.sandbox.times == [0, 60, 120, 130, 190]


@aio
async def test_what_wakes_it_during_a_comparison_is_not_lost() -> None:
    async with Books().comparing() as world:
        world.sandbox.takes_s = 5.0
        await world.advance(62)
        world.reconciler.soon()  # the picture was taken before
        await world.advance(10)
        assert world.sandbox.times == [0, 60, 65]


# -- the stream ----------------------------------------------------------------------------------------------------


@aio
async def test_a_stream_that_should_have_told_a_trade_is_opened_anew() -> None:
    async with Books().comparing() as world:
        await world.opened("U1")
        world.sandbox.trades = [world.traded("U1", "t1", "0.1")]
        await world.compare()
        assert world.sandbox.anew == 1
        await world.compare()
        assert world.sandbox.anew == 1
        world.sandbox.trades.append(world.traded("U1", "t2", "0.1"))
        world.reconciler.soon()
        await world.advance(0)  # it has hardly happened
        assert world.order("U1").filled_quantity == D("0.2")
        assert world.sandbox.anew == 1


@aio
async def test_a_stream_is_not_to_blame_for_what_happened_before_the_first_comparison() -> None:
    world = Books()
    async with world.running():
        await world.opened("U1")
        world.sandbox.trades = [world.traded("U1", "t1")]
        await world.advance(20)
        await world.reconciler.compare()
        assert world.reconciler.last is not None
        assert (world.reconciler.last.found, world.sandbox.anew) == (1, 0)


@aio
@pytest.mark.parametrize(("age", "anew"), [(30, 1), (4, 0)])
async def test_a_stream_that_should_have_told_a_fill_whose_trade_is_not_shown_is_opened_anew(
    age: int, anew: int
) -> None:
    async with Books().comparing() as world:
        await world.opened("U1")
        await world.advance(60 - age)
        world.sandbox.orders = [world.shown("U1", filled_quantity=D("0.4"), status=S.PARTIALLY_FILLED)]
        await world.advance(age)
        assert world.sandbox.anew == anew


@aio
async def test_a_trade_that_cannot_be_booked_does_not_break_the_stream_again_and_again() -> None:
    async with Books().comparing() as world:
        await world.opened("U1")
        world.sandbox.trades = [world.traded("U1", "t1", 9)]  # more than was asked for
        await world.compare()
        await world.compare()
        assert world.sandbox.anew == 0
        assert {alert.topic for alert in world.alerts} == {"quarantine"}


# -- whatever it shows ---------------------------------------------------------------------------------------------

NAMES = ["U1", "U2", "ended", "web_1", None]
AMOUNTS = st.sampled_from(["0", "0.1", "0.4", "1", "1.5", "90"]).map(Decimal)
SHOWN = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "venue_order_id": st.sampled_from(["VU1", "VU2", "V9", None]),
        "status": st.sampled_from([*S, None]),
        "quantity": st.none() | AMOUNTS,
        "filled_quantity": st.none() | AMOUNTS,
        "price": st.none() | AMOUNTS,
        "side": st.sampled_from([BUY, None]),
    }
)
TRADED = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "trade_id": st.sampled_from(["t1", "t2", "t3"]),
        "quantity": AMOUNTS,
        "symbol": st.sampled_from(["BTC/USD", "ETH/USD"]),
        "venue_order_id": st.sampled_from(["VU1", "VU2", "V9"]),
    }
)
PICTURES = st.lists(
    st.tuples(
        st.lists(SHOWN, max_size=4),
        st.lists(TRADED, max_size=4),
        st.dictionaries(st.sampled_from(["USD", "BTC", "DOGE"]), AMOUNTS),
        st.sampled_from([1.0, 6.0, 60.0]),
    ),
    min_size=1,
    max_size=5,
)


@settings(PROPERTY, max_examples=150)
@given(PICTURES)
def test_whatever_the_venue_shows_it_is_compared_and_never_asked_to_do_anything(pictures: list[Any]) -> None:
    async def main(clock: LoopClock) -> None:
        world = Books(clock)
        async with world.running():
            await world.opened("U1")
            await world.opened("U2")
            await world.opened("ended")
            world.venue.say("ended", X.CANCELED)
            handed = dict(world.venue.book)
            for number, (orders, trades, balances, seconds) in enumerate(pictures):
                world.sandbox.orders = [world.shown(**fields) for fields in orders]
                world.sandbox.trades = [world.traded(**fields) for fields in trades]
                world.sandbox.balances = balances
                before = list(world.desk.reports)
                await world.reconciler.compare()
                assert len(world.sandbox.asked) == number + 1
                assert {each.client_order_id for each in world.desk.reports[len(before) :]} <= {"U1", "U2", "ended"}
                await clock.sleep(seconds)
            assert (world.venue.cancels, world.venue.amends, world.venue.book) == ([], [], handed)
            with anyio.fail_after(1):
                await world.reconciler.first.wait()

    run(main)
