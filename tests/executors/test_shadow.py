"""Shadow orders see the same market and touch nothing of it."""

from __future__ import annotations

from router.executors.shadow import ShadowExecutor
from tests.executors.venue import BUY, Venue


def test_it_trades_like_paper_from_a_book_of_its_own() -> None:
    paper = Venue()
    shadow = Venue(kind=ShadowExecutor, market=paper.market, clock=paper.clock)
    paper.quote(100, 101, 1, 1)
    paper.submit(BUY, 1)
    shadow.submit(BUY, 1)
    assert paper.fills() == shadow.fills() == [(101, 1)]
    assert {report.venue_order_id for report in shadow.reports} == {"SO1"}
