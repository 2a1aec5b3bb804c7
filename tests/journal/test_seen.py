"""The memory of used ids: never a wrong "no", rarely a wrong "maybe"."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.ids import client_order_id
from router.journal.seen import Seen

SEEN = Seen()


@given(st.lists(st.text(max_size=64).filter(str.isprintable)))
def test_an_added_id_is_never_called_new(ids: list[str]) -> None:
    for each in ids:
        SEEN.add(each)
    assert all(SEEN.maybe(each) for each in ids)


def test_an_id_that_was_not_added_is_almost_never_called_maybe() -> None:
    seen = Seen()
    assert not seen.maybe("anything")
    for number in range(20_000):
        seen.add(client_order_id(f"{number}"))
    assert sum(seen.maybe(client_order_id(f"other {number}")) for number in range(20_000)) <= 2


def test_ids_that_count_up_do_not_collide() -> None:
    seen = Seen()
    ids = [client_order_id(f"{number:024x}") for number in range(20_000)]
    for each in ids[::2]:
        seen.add(each)
    assert sum(map(seen.maybe, ids[1::2])) <= 2


def test_what_a_checkpoint_keeps_of_it_knows_the_same_ids() -> None:
    first, second = Seen(), Seen()
    first.add("a")
    second.add("b")
    bits = bytes(first.bits())
    first.add("c")
    second.restore(bits)
    assert [second.maybe(each) for each in "abc"] == [True, False, False]
