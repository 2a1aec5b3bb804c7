"""Sliding windows: exact sums of the last seconds, whatever comes, and bounded however much comes."""

from __future__ import annotations

import math
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from router.safety.windows import SlidingWindow, WindowsByKey
from tests.factories import PROPERTY, D

AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=4)
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0, 3.0]), AMOUNTS), max_size=40)


@PROPERTY
@given(steps=STEPS)
def test_the_total_is_what_was_added_less_than_the_window_ago(steps: list[tuple[float, Decimal]]) -> None:
    window, now = SlidingWindow(1.0), 0.0
    added: list[tuple[float, Decimal]] = []
    for pause, amount in steps:
        now += pause
        assert window.prune(now) == sum(each for at, each in added if now - at < 1.0)
        window.add(now, amount)
        added.append((now, amount))
        assert window.total == sum(each for at, each in added if now - at < 1.0)
        assert window.oldest == next(each for at, each in added if now - at < 1.0)


@PROPERTY
@given(steps=STEPS, undone=st.sets(st.integers(0, 39)))
def test_what_is_taken_back_was_never_there(steps: list[tuple[float, Decimal]], undone: set[int]) -> None:
    window, other, now = SlidingWindow(1.0), SlidingWindow(1.0), 0.0
    for number, (pause, amount) in enumerate(steps):
        now += pause
        window.add(now, amount, str(number))
        if number in undone:
            window.take_back(str(number))
        else:
            other.add(now, amount)
        assert window.prune(now) == other.prune(now)
        assert len(window) == len(other)


def test_what_is_gone_already_cannot_be_taken_back() -> None:
    window = SlidingWindow(1.0)
    window.add(0.0, D(1), "a")
    window.add(1.0, D(2), "b")
    window.take_back("a")
    assert window.total == 2


def test_only_the_newest_amount_of_an_owner_is_taken_back() -> None:
    window = SlidingWindow(10.0)
    for amount in (1, 2, 4):
        window.add(0.0, D(amount), "a" if amount < 4 else "b")
    window.take_back("a")
    assert window.total == 5


@PROPERTY
@given(steps=STEPS)
def test_a_full_window_counts_late_rather_than_early(steps: list[tuple[float, Decimal]]) -> None:
    full, exact, now = SlidingWindow(1.0, entries_max=3), SlidingWindow(1.0), 0.0
    for pause, amount in steps:
        now += pause
        full.add(now, amount)
        exact.add(now, amount)
        assert len(full) <= 3
        assert full.total >= exact.total


def test_what_shares_a_place_leaves_it_whole() -> None:
    full = SlidingWindow(1.0, entries_max=2)
    for at, amount in ((0.0, 1), (0.125, 2), (0.25, 4)):
        full.add(at, D(amount))
    assert full.prune(1.125) == 6, "the second stays with the third"
    full.add(1.125, D(8))
    assert full.prune(1.25) == 8


def test_an_empty_window_is_exactly_zero() -> None:
    window = SlidingWindow(1.0)
    window.add(0.0, D("1E+24"))
    window.add(0.5, D("0.000001"))
    window.prune(1.25)
    assert window.prune(2.0) == 0
    assert window.oldest is None


def test_it_knows_when_the_newest_came() -> None:
    window = SlidingWindow(10.0)
    assert window.since_newest(5.0) == math.inf
    window.add(1.0, D(1))
    window.add(2.0, D(1))
    assert window.since_newest(5.0) == 3.0


def test_every_key_has_a_window_of_its_own_length() -> None:
    windows: WindowsByKey[str] = WindowsByKey()
    windows.open("a", 1.0, 0.0).add(0.0, D(1))
    windows.open("b", 10.0, 0.0).add(0.0, D(2))
    a, b = windows.find("a", 1.0, 5.0), windows.find("b", 10.0, 5.0)
    assert a is not None
    assert b is not None
    assert a.total == 0
    assert b.total == 2
    assert windows.find("c", 1.0, 5.0) is None
    assert len(windows) == 2


def test_a_length_that_changed_counts_from_then_on() -> None:
    windows: WindowsByKey[str] = WindowsByKey()
    windows.open("a", 10.0, 0.0).add(0.0, D(1))
    shorter = windows.find("a", 2.0, 5.0)
    assert shorter is not None
    assert shorter.total == 0


def test_taking_back_from_a_key_that_has_no_window_is_nothing() -> None:
    windows: WindowsByKey[str] = WindowsByKey()
    windows.take_back("a", "x")
    windows.open("a", 1.0, 0.0).add(0.0, D(1), "x")
    windows.take_back("a", "x")
    assert windows.open("a", 1.0, 0.0).total == 0


def test_windows_that_have_emptied_make_room_for_others() -> None:
    windows: WindowsByKey[int] = WindowsByKey()
    for key in range(1000):
        windows.open(key, 1.0, float(key)).add(float(key), D(1))
        assert len(windows) <= 3


def test_however_many_keys_come_the_ones_used_last_are_kept() -> None:
    windows: WindowsByKey[int] = WindowsByKey(keys_max=5)
    for key in range(100):
        windows.open(key, 1000.0, 0.0).add(0.0, D(1))
        assert windows.open(0, 1000.0, 0.0).total == 1
        assert len(windows) <= 5
    assert windows.find(99, 1000.0, 0.0) is not None
    assert windows.find(50, 1000.0, 0.0) is None
