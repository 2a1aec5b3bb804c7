"""One heap: at most one armed deadline a key, in the order of their time, whatever is armed again or disarmed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from router.watchers.deadlines import Deadlines
from tests.factories import PROPERTY

KEYS = st.sampled_from("abcdef")
TIMES = st.integers(0, 50).map(float)


def test_what_is_armed_again_falls_due_once_at_its_last_time() -> None:
    deadlines = Deadlines()
    deadlines.arm("a", 1.0, 9.0)
    deadlines.arm("b", 2.0, 9.0)
    deadlines.arm("a", 3.0, 9.0)
    assert deadlines.take(1.5) is None
    assert [deadlines.take(9.0), deadlines.take(9.0), deadlines.take(9.0)] == [
        (2.0, 1, "b", 9.0),
        (3.0, 2, "a", 9.0),
        None,
    ]


def test_what_is_taken_stays_armed_until_it_is_armed_anew_or_disarmed() -> None:
    deadlines = Deadlines()
    deadlines.arm("a", 1.0, 9.0)
    taken = deadlines.take(1.0)
    assert taken is not None
    assert (len(deadlines), deadlines.get("a"), deadlines.keys()) == (1, taken, {"a"})
    deadlines.disarm("a")
    deadlines.disarm("a")  # twice does no harm
    assert (len(deadlines), deadlines.get("a"), deadlines.next()) == (0, None, None)


def test_equal_times_come_in_the_order_they_were_armed() -> None:
    deadlines = Deadlines()
    for key in "cab":
        deadlines.arm(key, 1.0, 1.0)
    assert [deadline.key for _ in range(3) if (deadline := deadlines.take(1.0))] == ["c", "a", "b"]


def test_dead_entries_do_not_pile_up() -> None:
    deadlines = Deadlines()
    for turn in range(50_000):
        deadlines.arm("a", float(turn), 0.0)
    assert len(deadlines._heap) < 2_000
    assert deadlines.take(1e9) == (49_999.0, 49_999, "a", 0.0)


@settings(PROPERTY, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["arm", "disarm", "take"]), KEYS, TIMES), max_size=60))
def test_it_is_a_dictionary_sorted_by_time(steps: list[tuple[str, str, float]]) -> None:
    deadlines, armed, taken = Deadlines(), dict[str, float](), set[str]()
    for what, key, at in steps:
        if what == "arm":
            deadlines.arm(key, at, at)
            armed[key] = at
            taken.discard(key)
        elif what == "disarm":
            deadlines.disarm(key)
            armed.pop(key, None)
        else:
            found = deadlines.take(at)
            waiting = {name: due for name, due in armed.items() if name not in taken}
            earliest = min(waiting.values(), default=1e9)
            assert (found is not None) is (earliest <= at)
            if found is not None:
                assert found.due == earliest == waiting[found.key]
                taken.add(found.key)
        assert deadlines.keys() == set(armed)
        assert len(deadlines) == len(armed)
