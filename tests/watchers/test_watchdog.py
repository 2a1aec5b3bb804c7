"""No open order is forgotten: whatever the stream drops is found inside the window, and silence is said aloud.

Cases X.3-X.5, X.7, X.8 and X.10 of the crypto extensions are here; their report sequences are in ``conformance``.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from router.clock import VirtualClock
from router.domain.enums import ExecType, ExecutionStatus
from router.domain.events import Cancelled, Expired, Overdue, PartiallyFilled
from router.domain.events import Filled as FilledEvent
from router.domain.order import Order, Replacement
from router.execution.upkeep import GONE, NOT_PLACED, OLD_TERMS
from router.virtual import LoopClock, run
from router.watchers.watchdog import _Doubt
from tests.factories import D
from tests.watchers.world import WINDOWS, Truth, World

S, X = ExecutionStatus, ExecType
aio = pytest.mark.asyncio


@aio
async def test_a_fill_that_the_stream_dropped_is_found_inside_the_window() -> None:
    async with World().running() as world:
        await world.opened("U1")
        await world.advance(1)
        world.venue.fill("U1", "0.4")
        await world.advance(29)
        assert world.order("U1").status is S.PARTIALLY_FILLED
        world.venue.fill("U1", "0.6")
        await world.advance(300)
        assert world.order("U1").status is S.FILLED
        assert world.kinds() == ["partially_filled", "filled"]
        assert not world.alerts


@aio
async def test_an_order_that_only_rests_is_asked_about_once_a_window_and_leaves_no_trace() -> None:
    async with World().running() as world:
        await world.opened("U1")
        await world.advance(300)
        assert 10 <= len(world.venue.calls) <= 12
        assert world.kinds() == []


@pytest.mark.parametrize("per_s", [5.0, None])
def test_10_000_open_orders_and_a_silent_stream_every_change_is_emitted_inside_its_window(per_s: float | None) -> None:
    """5 look-ups of 100 orders a second are the whole budget, and all were placed in one moment."""
    chance = random.Random(7)
    names = [f"U{number}" for number in range(10_000)]
    changes: list[tuple[float, str, str]] = []  # when, whose, what

    def change(world: World, name: str, how: str) -> None:
        truth = world.venue.book[name]
        left = truth.quantity - truth.filled
        if how == "cancelled":
            truth.status = S.CANCELLED
        else:
            world.venue.fill(name, left if how == "filled" else left / 2)
        changes.append((world.clock.monotonic(), name, how))

    async def main(clock: LoopClock) -> World:
        async with World(clock, batch=100, per_s=per_s, answer_s=0.1 if per_s else 0.0).running() as world:
            for name in names:
                await world.opened(name)
            for name in names:
                if int(name[1:]) % 5:
                    change(world, name, "partially_filled")
            for _ in range(70):
                await clock.sleep(1)
                for name in chance.sample(names, 20):
                    if world.venue.book[name].status in (S.SUBMITTED, S.PARTIALLY_FILLED):
                        change(world, name, chance.choice(["partially_filled", "filled", "cancelled"]))
                world.hold_count()
            await clock.sleep(301)
            return world

    world = run(main)
    partial_from = {
        event.client_order_id: at for at, event in reversed(world.emitted) if isinstance(event, PartiallyFilled)
    }

    def late(at: float, name: str, how: str) -> bool:
        window = WINDOWS.partial_s if partial_from.get(name, 1e9) <= at else WINDOWS.submitted_s
        emitted = [then for then, event in world.of(name) if event.event == how and then >= at]
        return not emitted or emitted[0] - at > window

    assert len(changes) > 9_000
    assert [change for change in changes if late(*change)] == []
    assert not any(isinstance(event, Overdue) for _, event in world.emitted)
    if per_s is not None:
        times = [at for at, _ in world.venue.calls]
        assert all(b - a >= 1 / per_s - 1e-9 for a, b in pairwise(times)), "over the budget"


@aio
async def test_silence_is_said_at_the_end_of_the_window_and_asked_again_with_back_off() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.broken = ConnectionError("cut")
        await world.advance(29.9)
        assert world.kinds() == []
        await world.advance(0.1)
        assert world.kinds() == ["alert_raised", "overdue"]
        await world.advance(60)
        await world.advance(120)
        overdue = [at for at, event in world.emitted if isinstance(event, Overdue)]
        assert overdue == [30.0, 90.0, 210.0]
        assert {alert.severity for alert in world.alerts} == {"MEDIUM"}
        assert len({alert.alert_id for alert in world.alerts}) == 3
        assert "look" in world.alerts[0].message
        order = world.order("U1")
        assert (order.status, order.updated_at) == (S.SUBMITTED, datetime(2025, 1, 1, tzinfo=UTC))
        world.venue.broken = None
        world.venue.fill("U1", 1)
        await world.advance(240)
        assert world.order("U1").status is S.FILLED


@aio
async def test_evidence_after_silence_gives_a_whole_window_again() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.broken = ConnectionError("cut")
        await world.advance(31)
        world.venue.broken = None
        world.venue.say("U1", X.ORDER_STATUS, order_status=S.SUBMITTED)
        world.venue.broken = ConnectionError("cut again")
        await world.advance(29)
        assert world.kinds().count("overdue") == 1
        await world.advance(1)
        assert world.kinds().count("overdue") == 2


@aio
async def test_a_look_up_that_hangs_counts_as_silence_and_does_not_stop_the_next_one() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.hangs = True
        await world.advance(40)
        assert world.kinds() == ["alert_raised", "overdue"]
        world.venue.hangs = False
        world.venue.fill("U1", 1)
        await world.advance(60)
        assert world.order("U1").status is S.FILLED


# -- what the venue does not know ----------------------------------------------------------------------------------


def lost(world: World) -> None:
    """Hand an order over, and lose request and answer."""
    world.pending("U1")
    world.tracker.unknown("U1", "the connection was cut")


@aio
async def test_a_lost_request_is_rejected_only_after_two_absences_of_which_one_is_past_the_settle_time() -> None:
    """X.4: "not found" right after the hand-over proves nothing."""
    async with World(settle_s=40.0).running() as world:
        lost(world)
        assert world.account.holds.working("BTC/USD").buys == 1
        await world.advance(39)
        assert len(world.venue.calls) >= 1
        assert (world.order("U1").status, world.order("U1").outcome_unknown) == (S.SUBMITTED, True)
        await world.advance(61)
        rejected = world.order("U1")
        assert (rejected.status, rejected.outcome_unknown, rejected.filled_quantity) == (S.REJECTED, False, D(0))
        assert world.events[-1].reason == NOT_PLACED
        assert len(world.venue.calls) >= 2
        assert world.account.holds.working("BTC/USD").buys == 0


@aio
async def test_a_request_that_is_executed_between_two_absences_lives() -> None:
    """The venue executes a delayed request after a clean "not found" (``ccxt_facts.md`` §3)."""
    async with World(settle_s=5.0).running() as world:
        lost(world)
        await world.advance(26)
        assert len(world.venue.calls) == 1
        made = world.order("U1")
        await world.venue.submit(made)  # it arrives late, and its answer is heard
        await world.advance(100)
        assert (world.order("U1").status, world.order("U1").outcome_unknown) == (S.SUBMITTED, False)


@aio
async def test_a_lost_answer_is_found_and_nothing_is_rejected() -> None:
    """X.3."""
    async with World().running() as world:
        made = world.pending("U1")
        silent = world.venue.say
        world.venue.say = lambda *_, **__: None  # type: ignore[method-assign]
        await world.venue.submit(made)
        world.venue.say = silent  # type: ignore[method-assign]
        world.tracker.unknown("U1", "no answer")
        world.venue.fill("U1", "0.5")
        await world.advance(30)
        order = world.order("U1")
        assert (order.status, order.outcome_unknown, order.filled_quantity) == (S.PARTIALLY_FILLED, False, D("0.5"))


@aio
async def test_an_error_while_asking_is_no_absence() -> None:
    """X.10: a DNS outage must not drop an order."""
    async with World(settle_s=1.0).running() as world:
        lost(world)
        world.venue.broken = OSError("no such host")
        await world.advance(3600)
        assert (world.order("U1").status, world.order("U1").outcome_unknown) == (S.SUBMITTED, True)
        assert {alert.severity for alert in world.alerts} == {"HIGH"}


@aio
async def test_an_order_whose_hand_over_still_runs_is_never_concluded_to_be_absent() -> None:
    async with World(settle_s=0.0).running() as world:
        world.pending("U1")
        await world.advance(600)
        assert world.order("U1").status is S.PENDING
        assert len(world.venue.calls) > 2


@aio
async def test_what_was_not_found_before_the_hand_over_ended_proves_nothing() -> None:
    """The executor's own limiter held the request for 72 s, then it was sent and cut: it is executable until 77 s."""
    async with World(settle_s=5.0).running() as world:
        world.pending("U1")
        await world.advance(72)
        assert len(world.venue.calls) > 2
        world.tracker.unknown("U1", "the connection was cut")
        await world.advance(5)
        assert world.order("U1").status is S.SUBMITTED
        await world.advance(60)
        assert world.order("U1").status is S.REJECTED


@aio
async def test_a_look_up_without_an_answer_concludes_nothing_from_earlier_absences() -> None:
    async with World(settle_s=40.0).running() as world:
        world.pending("U1")
        world.tracker.unknown("U1", "the connection was cut")
        await world.advance(39)
        assert len(world.venue.calls) == 2  # both "not found", both too early to count
        world.venue.broken = OSError("no such host")
        await world.advance(60)
        assert len(world.venue.calls) > 2
        assert (world.order("U1").status, world.order("U1").outcome_unknown) == (S.SUBMITTED, True)


@aio
async def test_a_part_filled_order_that_vanishes_is_cancelled_with_what_traded_and_never_rejected() -> None:
    """X.7."""
    async with World().running() as world:
        await world.opened("U1")
        world.venue.fill("U1", "0.4")
        await world.advance(30)
        del world.venue.book["U1"]
        await world.advance(310)
        gone = world.order("U1")
        assert (gone.status, gone.filled_quantity, gone.leaves_quantity) == (S.CANCELLED, D("0.4"), D(0))
        assert world.events[-1].reason == GONE


@aio
async def test_one_absence_of_an_acknowledged_order_ends_nothing() -> None:
    async with World(settle_s=30.0).running() as world:
        await world.opened("U1")
        truth = world.venue.book.pop("U1")
        await world.advance(26)
        world.venue.book["U1"] = truth  # a replica that lagged
        await world.advance(300)
        assert world.order("U1").status is S.SUBMITTED
        assert world.kinds() == ["alert_raised", "overdue"]


@aio
async def test_trades_that_are_missing_at_the_end_are_fetched_before_the_order_ends() -> None:
    """X.5: the stream shows the cancel, but dropped the fill before it."""
    async with World().running() as world:
        await world.opened("U1")
        world.venue.fill("U1", "0.4")
        world.venue.book["U1"].status = S.CANCELLED
        world.venue.say("U1", X.CANCELED, filled_quantity=D("0.4"))
        assert world.order("U1").is_open
        await world.advance(1)
        ended = world.order("U1")
        assert (ended.status, ended.filled_quantity) == (S.CANCELLED, D("0.4"))
        assert world.kinds() == ["partially_filled", "cancelled"]


@aio
async def test_trades_that_never_come_are_asked_for_less_and_less_often() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.book["U1"].status = S.FILLED

        async def never_the_trades(orders: Any) -> None:
            world.venue.calls.append((world.clock.monotonic(), []))
            world.venue.say("U1", X.ORDER_STATUS, order_status=S.FILLED, filled_quantity=D(1))

        world.venue.look_up = never_the_trades  # type: ignore[method-assign]
        world.venue.say("U1", X.ORDER_STATUS, order_status=S.FILLED, filled_quantity=D(1))
        await world.advance(600)
        assert world.order("U1").is_open, "an order is never filled by guess"
        assert "overdue" in world.kinds()
        assert 30 < len(world.venue.calls) < 150, "600 without back-off"


# -- cancels and ends of time in force -------------------------------------------------------------------------------


@aio
async def test_a_time_in_force_that_has_passed_becomes_a_cancel_and_expired_when_the_venue_confirms() -> None:
    async with World().running() as world:
        ends = world.clock.now() + timedelta(seconds=47)
        await world.opened("U1", time_in_force="GTD", expire_at=ends)
        world.venue.fill("U1", "0.25")
        await world.advance(46)
        assert world.venue.cancels == []
        world.venue.ignores_cancels = 1
        await world.advance(1)
        assert world.venue.cancels == ["U1"]
        assert world.order("U1").is_open, "not before the venue says so"
        await world.advance(60)
        assert world.venue.cancels == ["U1", "U1"]
        expired = world.order("U1")
        assert (expired.status, expired.filled_quantity) == (S.EXPIRED, D("0.25"))
        assert world.kinds() == ["partially_filled", "pending_cancel", "expired"]
        assert isinstance(world.events[-1], Expired)


@aio
@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
async def test_a_wall_clock_that_is_set_moves_no_window_and_an_expiry_by_a_minute_at_most(jump: float) -> None:
    async with World().running() as world:
        assert isinstance(world.clock, VirtualClock)
        await world.opened("U1", time_in_force="GTD", expire_at=world.clock.now() + timedelta(hours=1, seconds=120))
        await world.opened("U2")
        await world.advance(10)
        world.clock.jump(jump)
        world.venue.fill("U2", "0.5")
        await world.advance(20)
        assert world.order("U2").status is S.PARTIALLY_FILLED
        world.venue.fill("U2", "0.5")
        await world.advance(290)
        assert world.order("U2").status is S.FILLED
        assert not [event for event in world.events if event.event == "report_quarantined"]
        assert (world.order("U1").pending_cancel is not None or not world.order("U1").is_open) is (jump > 0)
        assert not world.alerts
        await world.advance(2 * 3600 + 60)
        assert world.order("U1").status is S.EXPIRED


@aio
async def test_a_cancel_that_was_answered_but_not_carried_out_is_sent_again() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.ignores_cancels = 2
        await world.cancels.cancel(["U1"], "enough")
        assert (world.venue.cancels, world.order("U1").pending_cancel) == (["U1"], S.CANCELLED)
        await world.advance(90)
        assert world.venue.cancels == ["U1"] * 3
        assert world.order("U1").status is S.CANCELLED
        assert isinstance(world.events[-1], Cancelled)


@aio
async def test_each_order_of_a_batch_of_cancels_that_was_dropped_has_a_deadline_of_its_own() -> None:
    """X.8."""
    async with World().running() as world:
        names = [f"U{number}" for number in range(50)]
        for name in names:
            await world.opened(name)
        world.venue.ignores_cancels = 50
        await world.cancels.cancel(names, "all")
        await world.advance(60)
        assert {world.order(name).status for name in names} == {S.CANCELLED}
        assert sorted(world.venue.cancels) == sorted(names * 2)


@aio
async def test_a_cancel_whose_request_fails_stays_pending_and_is_sent_again() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.broken = ConnectionError("cut")
        await world.cancels.cancel(["U1"], "enough")
        world.venue.broken = None
        await world.advance(61)
        assert world.order("U1").status is S.CANCELLED
        assert len(world.venue.cancels) == 2


@aio
async def test_a_pending_cancel_shortens_the_window_of_a_part_filled_order() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.fill("U1", "0.4")
        await world.advance(30)
        await world.cancels.cancel(["U1"], "enough")
        await world.advance(30)
        assert world.order("U1").status is S.CANCELLED


@aio
async def test_a_replacement_that_nobody_answered_is_found_by_its_terms() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.tracker.replace_asked("U1", Replacement("r1", D(2), D(91)))
        assert world.account.holds.working("BTC/USD").buys == 2
        truth = world.venue.book["U1"]
        truth.quantity, truth.price = D(2), D(91)
        await world.advance(30)
        order = world.order("U1")
        assert (order.quantity, order.price, order.pending_replaces) == (D(2), D(91), ())


@aio
async def test_a_replacement_whose_request_was_lost_is_refused_by_what_the_venue_shows() -> None:
    async with World(settle_s=40.0).running() as world:
        await world.opened("U1")
        world.tracker.replace_asked("U1", Replacement("r1", D(2), D(91)))
        await world.advance(300)  # the executor still holds the request: nothing is concluded
        assert world.order("U1").pending_replaces
        world.tracker.sent("U1")
        await world.advance(39)
        assert world.order("U1").pending_replaces
        await world.advance(31)
        order = world.order("U1")
        assert (order.quantity, order.pending_replaces) == (D(1), ())
        assert world.events[-1].reason == OLD_TERMS
        assert world.account.holds.working("BTC/USD").buys == 1


@aio
async def test_an_order_that_traded_all_while_more_was_asked_for_is_watched_and_held_until_the_venue_answers() -> None:
    """The venue granted it, its answer is lost, and the rest trades in silence."""
    async with World().running() as world:
        await world.opened("U1")
        world.tracker.replace_asked("U1", Replacement("r1", D(2), D(90)))
        world.tracker.sent("U1")
        world.venue.book["U1"].quantity = D(2)
        world.venue.fill("U1", 1)
        world.venue.say("U1", X.TRADE, trade_id="U1-t0", last_quantity=D(1), last_price=D(100), fee=D(0))
        assert world.order("U1").is_open
        assert world.account.holds.working("BTC/USD").buys == 1
        world.venue.fill("U1", 1)
        await world.advance(30)
        order = world.order("U1")
        assert (order.status, order.quantity, order.filled_quantity) == (S.FILLED, D(2), D(2))


@aio
async def test_a_silence_of_weeks_ends_nothing_and_is_still_said() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.broken = ConnectionError("cut")
        world.watchdog._doubts["U1"] = doubt = _Doubt(0.0)
        doubt.misses = 5_000
        await world.advance(700)
        assert world.kinds().count("overdue") == 3
        assert world.order("U1").is_open


@aio
@pytest.mark.parametrize("ends", [100, 130, 200, 320])
async def test_the_end_of_a_part_filled_orders_time_in_force_is_acted_on_at_once(ends: int) -> None:
    async with World().running() as world:
        await world.opened("U1", time_in_force="GTD", expire_at=world.clock.now() + timedelta(seconds=ends))
        world.venue.fill("U1", "0.5")
        await world.advance(ends - 1)
        assert world.venue.cancels == []
        assert world.order("U1").status is S.PARTIALLY_FILLED
        await world.advance(2)
        assert world.venue.cancels == ["U1"]


@aio
async def test_an_unknown_outcome_is_concluded_although_its_time_has_passed_and_cancels_are_refused() -> None:
    async with World().running() as world:
        world.pending("U1", time_in_force="GTD", expire_at=world.clock.now() + timedelta(seconds=20))
        world.tracker.unknown("U1", "the connection was cut")
        await world.cancels.cancel(["U1"], "enough")
        world.venue.say("U1", X.CANCEL_REJECTED, reason="unknown order")
        await world.advance(100)
        assert world.order("U1").status is S.REJECTED
        assert world.kinds().count("pending_cancel") <= 1


@aio
async def test_repeated_trades_are_no_evidence_and_do_not_undo_the_back_off() -> None:
    async with World().running() as world:
        await world.opened("U1")

        async def lacks_one(orders: Any) -> None:
            world.venue.calls.append((world.clock.monotonic(), []))
            world.venue.say("U1", X.TRADE, trade_id="t", last_quantity=D("0.4"), last_price=D(100), fee=D(0))
            world.venue.say("U1", X.ORDER_STATUS, order_status=S.PARTIALLY_FILLED, filled_quantity=D("0.6"))

        world.venue.look_up = lacks_one  # type: ignore[method-assign]
        await world.advance(3600)
        assert len(world.venue.calls) < 800, "3600 without back-off"
        assert 5 < len(world.alerts) < 20


@aio
async def test_neither_terms_nor_a_cancel_are_judged_by_a_picture_that_nobody_asked_for() -> None:
    """A stream may bring it late: it shows how the order was, not what became of the request."""
    async with World().running() as world:
        await world.opened("U1")
        world.tracker.replace_asked("U1", Replacement("r1", D(2), D(90)))
        world.tracker.sent("U1")
        await world.opened("U2")
        world.venue.ignores_cancels = 1
        await world.cancels.cancel(["U2"], "enough")
        shown: dict[str, Any] = {"order_status": S.SUBMITTED, "quantity": D(1), "price": D(90)}

        async def does_not_get_to_them(orders: Any) -> None:
            for each in orders:
                world.venue.say(each.client_order_id, X.RESTATED, **shown)

        look_up = world.venue.look_up
        world.venue.look_up = does_not_get_to_them  # type: ignore[method-assign]
        await world.advance(60)
        assert world.order("U1").pending_replaces
        assert world.venue.cancels == ["U2"]
        world.venue.look_up = look_up  # type: ignore[method-assign]
        await world.advance(60)  # the same, asked for
        assert not world.order("U1").pending_replaces
        assert world.venue.cancels == ["U2", "U2"]


@aio
async def test_an_order_is_looked_up_at_once_when_somebody_wants_it_and_its_window_stays() -> None:
    async with World().running() as world:
        await world.opened("U1")
        await world.advance(10)
        world.venue.broken = ConnectionError("cut")
        world.watchdog.look_now("U1")
        await world.advance(0.1)
        assert [at for at, _ in world.venue.calls] == [10.0]
        assert world.kinds() == []
        await world.advance(19.8)
        assert world.kinds() == []
        await world.advance(0.1)
        assert world.kinds() == ["alert_raised", "overdue"], "30 s after it was placed"


@aio
async def test_an_order_that_is_not_watched_is_not_looked_up() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.venue.say("U1", X.CANCELED)
        for name in ("U1", "U2"):
            world.watchdog.look_now(name)
        await world.advance(60)
        assert world.venue.calls == []


@aio
async def test_terms_are_not_refused_by_a_look_up_that_failed_while_the_stream_spoke() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.tracker.replace_asked("U1", Replacement("r1", D(2), D(90)))
        world.tracker.sent("U1")
        world.venue.hangs = True
        await world.advance(27)
        world.venue.say("U1", X.TRADE, trade_id="t", last_quantity=D("0.4"), last_price=D(100), fee=D(0))
        await world.advance(20)
        assert world.order("U1").pending_replaces
        world.venue.say("U1", X.REPLACED, request_id="r1", quantity=D(2), price=D(90))
        assert world.order("U1").quantity == 2


# -- restart, invariant ----------------------------------------------------------------------------------------------


@aio
async def test_a_restart_looks_at_once_and_the_window_goes_on_where_it_was() -> None:
    async with World().running() as world:
        await world.opened("U1")
        await world.opened("U2")
        world.venue.fill("U2", "0.5")
        await world.advance(25)
        await world.advance(20)
    again = World(VirtualClock(world.clock.now()), rows=world.journal.rows)
    again.venue.book = world.venue.book
    world.venue.fill("U2", "0.5")
    again.venue.broken = ConnectionError("not yet")
    async with again.running():
        again.hold_invariant()
        await again.advance(0)
        assert [names for _, names in again.venue.calls] == [["U1", "U2"]]
        await again.advance(5)  # U1 was acknowledged 45 s ago: its window is over, but for the time to ask
        assert [event.client_order_id for _, event in again.emitted if isinstance(event, Overdue)] == ["U1"]
        again.venue.broken = None
        await again.advance(300)
        assert again.order("U2").status is S.FILLED
        assert again.order("U1").status is S.SUBMITTED


@aio
async def test_a_crowd_that_is_restored_is_asked_about_inside_the_budget_without_false_alarms() -> None:
    async with World().running() as world:
        for number in range(2_000):
            await world.opened(f"U{number}")
    again = World(VirtualClock(world.clock.now() + timedelta(hours=1)), rows=world.journal.rows, batch=100, per_s=2.0)
    again.venue.book = world.venue.book
    async with again.running():
        await again.advance(60)
        assert not again.alerts
        assert {name for _, names in again.venue.calls for name in names} == set(world.venue.book)


@aio
async def test_a_deadline_that_was_lost_is_noticed_and_armed_again(caplog: pytest.LogCaptureFixture) -> None:
    async with World().running() as world:
        await world.opened("U1")
        await world.opened("U2")
        world.watchdog.deadlines.disarm("U1")
        world.watchdog.deadlines.arm("U3", 1e9, 1e9)  # and one that nobody has
        world.watchdog.deadlines.disarm("U2")
        with caplog.at_level(logging.CRITICAL):
            await world.opened("U4")
            await world.advance(30)
        assert "deadlines_repaired" in caplog.text
        world.hold_invariant()


@aio
async def test_an_order_without_an_executor_here_is_said_to_be_overdue() -> None:
    async with World().running() as world:
        await world.opened("U1")
        world.watchdog.attach({}, world.watchdog._keeper)
        await world.advance(31)
        assert world.kinds() == ["alert_raised", "overdue"]


def test_a_day_of_a_thousand_resting_orders_is_quiet() -> None:
    async def main(clock: LoopClock) -> World:
        async with World(clock, per_s=2.0, batch=200).running() as world:
            for number in range(1_000):
                await world.opened(f"U{number}")
            await clock.sleep(1800)
            world.venue.fill("U7", 1)
            await clock.sleep(30)
            return world

    world = run(main)
    assert [event.client_order_id for _, event in world.emitted if isinstance(event, FilledEvent)] == ["U7"]
    assert not [event for _, event in world.emitted if isinstance(event, PartiallyFilled | Overdue)]
    assert not world.alerts


@pytest.mark.asyncio
async def test_one_stale_answer_after_the_settle_time_is_no_proof_of_absence() -> None:
    async with World(settle_s=40.0).running() as world:
        world.pending("U1")
        world.tracker.unknown("U1", "the connection was cut")
        await world.advance(39)
        assert world.venue.calls, "it was looked up, and truly absent, while it could still be executed"
        world.venue.book["U1"] = Truth(world.order("U1"))
        stale: list[float] = []
        sound = world.venue.look_up

        async def stale_once(orders: Sequence[Order]) -> None:
            if stale:
                await sound(orders)
                return
            stale.append(world.clock.monotonic())
            for each in orders:
                world.venue.say(each.client_order_id, X.NOT_FOUND)

        world.venue.look_up = stale_once  # type: ignore[method-assign]
        await world.advance(300)
        assert stale[0] > 40
        assert (world.order("U1").status, world.order("U1").outcome_unknown) == (S.SUBMITTED, False)


@pytest.mark.asyncio
async def test_a_look_up_of_an_unknown_outcome_that_nobody_answers_is_made_again_soon_and_backs_off() -> None:
    async with World(settle_s=5.0).running() as world:
        world.pending("U1")
        world.tracker.unknown("U1", "the connection was cut")
        world.venue.broken = ConnectionError("busy")
        await world.advance(200)
        at = [moment for moment, _ in world.venue.calls]
        gaps = [after - before for before, after in pairwise(at) if before >= 30]
        assert gaps[:3] == pytest.approx([8, 16, 32], abs=0.1), "it had failed thrice in the first window"
        world.venue.broken = None
        answered = len(at)
        await world.advance(90)
        assert world.order("U1").status is S.REJECTED, "two answers, as far apart as the settle time, prove it"
        assert len(world.venue.calls) == answered + 2
        assert world.venue.calls[-1][0] - world.venue.calls[-2][0] == pytest.approx(5, abs=0.1)
