"""The contract's windows: 30 s while SUBMITTED or while a request of ours is pending, 5 min while PARTIALLY_FILLED."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.domain.enums import ExecutionStatus
from router.domain.order import Replacement
from router.watchers.windows import Windows, expiry, lead
from tests.factories import NOW, D, order

S = ExecutionStatus
WINDOWS = Windows(30.0, 300.0)


@pytest.mark.parametrize(
    ("fields", "window"),
    [
        ({}, 30.0),
        ({"status": S.SUBMITTED}, 30.0),
        ({"status": S.PARTIALLY_FILLED}, 300.0),
        ({"status": S.PARTIALLY_FILLED, "pending_cancel": S.CANCELLED}, 30.0),
        ({"status": S.PARTIALLY_FILLED, "pending_replaces": (Replacement("r", D(2), None),)}, 30.0),
    ],
)
def test_the_window_follows_the_status_and_what_is_pending(fields: dict[str, object], window: float) -> None:
    assert WINDOWS.of(order(**fields)) == window


@pytest.mark.parametrize(("seconds", "left"), [(0, 30.0), (10, 20.0), (31, 0.0), (-3600, 30.0), (86400, 0.0)])
def test_after_a_restart_a_window_goes_on_and_is_never_longer_than_whole(seconds: int, left: float) -> None:
    assert WINDOWS.left(order(), NOW + timedelta(seconds=seconds)) == left


def test_the_wait_after_silence_doubles_up_to_five_minutes() -> None:
    assert [WINDOWS.again(misses) for misses in range(1, 6)] == [60.0, 120.0, 240.0, 300.0, 300.0]
    assert Windows(600.0, 600.0).again(3) == 600.0


def test_the_look_up_leads_the_end_of_the_window_by_five_seconds_or_a_sixth() -> None:
    assert (lead(300.0), lead(30.0), lead(6.0)) == (5.0, 5.0, 1.0)


def test_an_end_of_time_in_force_is_trusted_no_longer_than_the_wall_clock() -> None:
    ends = NOW + timedelta(seconds=40)
    assert expiry(ends, NOW) == 40.0
    assert expiry(ends, NOW - timedelta(hours=1)) == 60.0
    assert expiry(ends, NOW + timedelta(hours=1)) == 0.0
