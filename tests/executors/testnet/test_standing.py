"""When the venue may not be asked, what people are told, and how that ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clock import VirtualClock
from router.domain.enums import Severity
from router.executors.testnet.limiter import Priority
from router.executors.testnet.outcomes import Kind, Outcome
from router.executors.testnet.standing import FAILURES_MAX, VenueStanding
from tests.factories import NOW, PROPERTY

P = Priority


class Venue:
    """A standing, its clock and what it told."""

    def __init__(self) -> None:
        self.clock = VirtualClock(NOW)  # 2025-12-09 14:32:45 UTC
        self.told: list[tuple[Severity, str]] = []
        self.standing = VenueStanding(self.clock, lambda text, severity: self.told.append((severity, text)))

    def fail(self, kind: Kind, reason: str = "Why.", times: int = 1, **fields: float | bool) -> None:
        for _ in range(times):
            self.standing.note_failure(Outcome(kind, reason, **fields))  # type: ignore[arg-type]

    def may(self) -> list[Priority]:
        """Return what may be sent now, asked in order of importance."""
        return [each for each in P if self.standing.refusal(each) is None]

    def why(self, priority: Priority = P.CREATE) -> str:
        refusal = self.standing.refusal(priority)
        assert refusal is not None
        return refusal

    def severities(self) -> list[Severity]:
        return [severity for severity, _ in self.told]


@pytest.fixture
def venue() -> Venue:
    return Venue()


ALL = list(P)


def test_a_venue_in_good_standing_is_asked_anything(venue: Venue) -> None:
    assert venue.may() == ALL
    venue.standing.note_success()
    assert venue.told == []


@pytest.mark.asyncio
async def test_a_ban_stops_every_request_until_the_venue_allows_it(venue: Venue) -> None:
    venue.fail(Kind.BANNED, "binance has banned this address for a while (HTTP 418).", retry_after_s=300)
    assert venue.may() == []
    for priority in P:
        assert venue.why(priority) == (
            "binance has banned this address for a while (HTTP 418). "
            "Nothing is sent to the venue until 2025-12-09 14:37:45 UTC; reschedule the order then."
        )
    venue.standing.note_success()  # of a request from before the ban
    assert venue.may() == []
    await venue.clock.advance(299.9)
    assert venue.may() == []
    await venue.clock.advance(0.1)
    assert venue.may() == ALL
    assert venue.severities() == [Severity.HIGH]
    assert "14:37:45 UTC" in venue.told[0][1]


@pytest.mark.asyncio
async def test_bans_in_a_row_last_longer_each_time_and_120_s_when_the_venue_says_nothing(venue: Venue) -> None:
    for seconds in (120, 240, 480):
        venue.fail(Kind.BANNED, times=8)  # eight were under way together: that is one ban
        await venue.clock.advance(seconds - 0.1)
        assert venue.may() == []
        await venue.clock.advance(0.1)
        assert venue.may() == ALL
    venue.standing.note_success()
    venue.fail(Kind.BANNED)
    await venue.clock.advance(120)
    assert venue.may() == ALL
    assert venue.severities() == [Severity.HIGH] * 3 + [Severity.LOW, Severity.HIGH]


@pytest.mark.asyncio
async def test_a_rate_limit_pauses_everything_as_long_as_the_venue_wishes_else_a_little_and_growing(
    venue: Venue,
) -> None:
    venue.fail(Kind.RATE, retry_after_s=17)
    await venue.clock.advance(16.9)
    assert venue.may() == []
    await venue.clock.advance(0.1)
    assert venue.may() == ALL
    venue.standing.note_success()
    paused = []
    for _ in range(9):
        venue.fail(Kind.RATE)
        begun = venue.clock.monotonic()
        while venue.standing.refusal(P.CANCEL) is not None:
            await venue.clock.advance(0.5)
        paused.append(venue.clock.monotonic() - begun)
    assert paused == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    venue.fail(Kind.RATE, retry_after_s=0)
    assert venue.may() == [], "at once is no time to wait"
    assert venue.severities() == [Severity.MEDIUM, Severity.LOW, Severity.MEDIUM]


@pytest.mark.asyncio
async def test_a_maintenance_pauses_and_says_what_it_is(venue: Venue) -> None:
    venue.fail(Kind.MAINTENANCE, "binance is under maintenance. Wait for its end.")
    assert venue.why().startswith("binance is under maintenance. Wait for its end. Nothing is sent to the venue until")
    await venue.clock.advance(15)
    assert venue.may() == ALL
    venue.standing.note_success()
    assert venue.told[-1] == (Severity.LOW, "The venue answers again: new orders are sent.")


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.LIVE_HOST])
async def test_refused_keys_and_foreign_hosts_stop_new_orders_until_a_restart_and_the_rest_goes_slowly(
    venue: Venue, kind: Kind
) -> None:
    venue.fail(kind, "bybit refused the keys.")
    assert venue.may() == []
    await venue.clock.advance(5)
    assert venue.may() == [P.CANCEL, P.LOOK_UP, P.POLL]
    venue.fail(kind)
    await venue.clock.advance(5)
    assert venue.may() == []
    await venue.clock.advance(5)
    venue.standing.note_success()
    await venue.clock.advance(1000)
    assert venue.may() == [P.CANCEL, P.LOOK_UP, P.POLL]
    assert venue.why() == "bybit refused the keys. No new order is sent until the router is restarted."
    assert venue.told == [(Severity.CRITICAL, f"The venue is halted: {venue.why()}")]


@pytest.mark.asyncio
async def test_keys_that_have_worked_are_believed_to_be_refused_after_three_times_in_a_row(venue: Venue) -> None:
    for _ in range(2):
        venue.fail(Kind.RATE, keys_doubted=True)
        await venue.clock.advance(60)
    venue.standing.note_success()
    for _ in range(2):
        venue.fail(Kind.RATE, keys_doubted=True)
        await venue.clock.advance(60)
        assert venue.may() == ALL
    venue.fail(Kind.RATE, keys_doubted=True)
    await venue.clock.advance(60)
    assert venue.may() == [P.CANCEL, P.LOOK_UP, P.POLL]
    assert "refused 3 times in a row" in venue.why()


@pytest.mark.asyncio
async def test_failures_in_a_row_open_the_circuit_and_one_probe_goes_at_a_time(venue: Venue) -> None:
    venue.fail(Kind.UNKNOWN, "No answer in time.", times=FAILURES_MAX - 1)
    assert venue.may() == ALL
    venue.fail(Kind.UNKNOWN, "No answer in time.")
    assert venue.may() == []
    assert venue.why() == (
        "The venue failed 5 times in a row, last: No answer in time. "
        "It is asked again from 2025-12-09 14:32:46 UTC on; new orders wait until it answers, "
        "reschedule the order then."
    )
    await venue.clock.advance(1)
    assert venue.why(), "a new order is no probe, and asking about it takes none away"
    assert venue.standing.refusal(P.CANCEL) is None
    assert venue.standing.refusal(P.LOOK_UP) is None
    assert venue.why(P.LOOK_UP)
    assert venue.why(P.POLL)
    assert venue.standing.refusal(P.CANCEL) is None, "cancels are not kept waiting for the answer of a probe"
    await venue.clock.advance(10)  # the probe was given up
    assert venue.standing.refusal(P.POLL) is None
    for _ in range(3):
        venue.standing.note_success()
        assert venue.may() == ALL
        venue.fail(Kind.UNKNOWN, times=FAILURES_MAX - 1)
    assert venue.may() == ALL
    assert venue.severities() == [Severity.HIGH, Severity.LOW]


@pytest.mark.asyncio
async def test_each_failed_probe_doubles_the_wait_up_to_a_minute_and_is_told_once(venue: Venue) -> None:
    venue.fail(Kind.UNKNOWN, times=FAILURES_MAX + 7)  # what was under way together fails together
    waits = []
    for _ in range(8):
        begun = venue.clock.monotonic()
        while venue.standing.refusal(P.LOOK_UP) is not None:
            await venue.clock.advance(0.5)
        waits.append(venue.clock.monotonic() - begun)
        venue.fail(Kind.UNKNOWN)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    venue.standing.note_success()
    venue.fail(Kind.UNKNOWN, times=FAILURES_MAX)
    await venue.clock.advance(1)
    assert venue.standing.refusal(P.CANCEL) is None, "a success makes it forget"
    assert venue.severities() == [Severity.HIGH, Severity.LOW, Severity.HIGH]


@pytest.mark.parametrize("kind", [Kind.NOT_FOUND, Kind.DUPLICATE, Kind.MARKET_CLOSED, Kind.CLOCK])
def test_an_answer_that_refuses_is_an_answer(venue: Venue, kind: Kind) -> None:
    venue.fail(Kind.UNKNOWN, times=FAILURES_MAX)
    venue.fail(kind)
    assert venue.may() == ALL
    for _ in range(3 * FAILURES_MAX):
        venue.fail(kind)
    assert venue.may() == ALL


def test_what_may_have_been_refused_before_it_was_sent_says_nothing_of_the_venue(venue: Venue) -> None:
    kind = Kind.NOT_PLACED
    venue.fail(kind, times=3 * FAILURES_MAX)
    assert venue.may() == ALL
    venue.fail(Kind.UNKNOWN, times=FAILURES_MAX)
    venue.fail(kind)
    assert venue.may() == []


@pytest.mark.asyncio
async def test_a_longer_pause_is_not_cut_short_by_another(venue: Venue) -> None:
    venue.standing.pause(30, "Long.")
    venue.standing.pause(1, "Short.")
    await venue.clock.advance(29.5)
    assert venue.why(P.CANCEL).startswith("Long.")
    await venue.clock.advance(0.5)
    assert venue.may() == ALL
    venue.standing.pause(float("inf"), "For ever.")
    await venue.clock.advance(3 * 86_400)
    assert venue.may() == ALL, "no venue is believed for longer than three days"


@pytest.mark.asyncio
async def test_the_moment_it_ends_is_told_by_the_wall_clock_as_it_stands(venue: Venue) -> None:
    await venue.clock.advance(100)
    venue.standing.pause(60, "Why.")
    venue.clock.jump(3600)
    assert "until 2025-12-09 15:35:25 UTC" in venue.why()


@PROPERTY
@given(kinds=st.lists(st.sampled_from([*Kind, None]), max_size=40))
def test_whatever_happens_a_new_order_goes_only_when_everything_may_and_a_cancel_whenever_anything_may(
    kinds: list[Kind | None],
) -> None:
    venue = Venue()
    for kind in kinds:
        if kind is None:
            venue.standing.note_success()
        else:
            venue.fail(kind)
        may = venue.may()
        assert P.CREATE not in may or may == ALL
        assert not may or may[0] is P.CANCEL
    halted = any(kind in {Kind.AUTH, Kind.LIVE_HOST} for kind in kinds)
    assert not (halted and P.CREATE in venue.may())
