"""The second reading of the rows shows what the first one shows."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from router.cli.bench_paper_rows import ASK, BID, INFINITE, Best, Depth, Display, Printed, messages
from tests.recordings import small_market

D = Decimal


def test_messages_come_by_time_and_then_by_file(tmp_path: Path) -> None:
    heard = list(messages(small_market(tmp_path)))
    assert [type(message.said).__name__ for message in heard] == (
        ["Depth", "Depth", "Best", "Depth", "Printed", "Best", "Depth", "Printed", "Best", "Depth"]
    )
    assert [message.rows for message in heard if isinstance(message.said, Depth)] == [1, 1, 4, 1, 2]
    assert heard[4].said == Printed(BID, D(100), D("0.5"))


def each(*pairs: tuple[int | str, int | str]) -> list[tuple[Decimal, Decimal]]:
    return [(D(price), D(size)) for price, size in pairs]


def best(number: int, bid: int | str, ask: int | str, ask_size: int = 1) -> Best:
    return Best(number, (D(bid), D(1)), (D(ask), D(ask_size)))


def test_the_display_is_the_depth_under_the_newest_best_quote(tmp_path: Path) -> None:
    display = Display()
    for message in messages(small_market(tmp_path)):
        if not isinstance(message.said, Printed):
            display.hear(message.said)
    assert display.touch(BID) == (D(100), D("1.5"))
    assert display.levels(ASK, D(103)) == each((101, "2.75"), (102, 4), (103, 1))
    assert display.size(BID, D(98)) == 7, "from before the snapshot, and newer than it"
    assert [display.size(BID, D(price)) for price in (101, 97, "99.5")] == [0, INFINITE, 0]
    assert display.middle() == D("100.5")

    display.hear(best(16, 100, 102, 9))
    assert display.levels(ASK, D(103)) == each((102, 9), (103, 1))
    display.hear(best(15, 90, 91, 9))
    assert display.touch(ASK) == (D(102), D(9)), "older than what is known"
    display.hear(Depth(False, 16, 17, None, [(ASK, D(102), D(3))]))
    assert display.touch(ASK) == (D(101), D("2.75")), "the depth is the newest word again"


def test_best_quotes_that_were_left_are_remembered_until_the_depth_speaks() -> None:
    display = Display()
    display.hear(Depth(True, 0, 10, None, [(BID, D(99), D(1)), *((ASK, D(price), D(5)) for price in range(101, 106))]))
    display.hear(best(11, 99, 103, 2))
    display.hear(best(12, 99, 102, 8))
    display.hear(best(13, 99, "101.5", 3))
    sizes = [display.size(ASK, D(price)) for price in (101, "101.5", 102, "102.5", 103, 104)]
    assert sizes == [0, 3, 8, 0, 2, 5]
    assert display.levels(ASK, D(104)) == each(("101.5", 3), (102, 5), (103, 2), (104, 5))
    assert display.offered(ASK, D("102.5")) == 0
    display.hear(Depth(False, 11, 20, None, [(ASK, D(101), D(0))]))
    assert display.levels(ASK, D(104)) == each((102, 5), (103, 5), (104, 5))


def test_after_a_lost_message_only_the_best_quote_is_shown() -> None:
    display = Display()
    display.hear(Depth(True, 0, 10, None, [(BID, D(99), D(1)), (ASK, D(101), D(1)), (ASK, D(102), D(1))]))
    display.hear(best(20, 99, 101, 2))
    assert display.levels(ASK, D(102)) == each((101, 2), (102, 1))
    display.hear(Depth(False, 13, 14, None, [(ASK, D(102), D(5))]))
    assert display.levels(ASK, D(102)) == each((101, 2))
    assert display.size(ASK, D(102)) == INFINITE
