"""Every account is what the journal says of it, enabled or not; marks of the moment are not remembered."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from router.domain.enums import ExecutionStatus
from router.domain.events import AccountMark, Cancelled, StrategyMark, TradeBusted, TradeCorrected
from router.domain.order import Order
from router.execution.ledger import Ledger
from router.market.quotes import MarketData
from router.risk.account import Account
from tests.factories import NOW, SELL, TODAY, D, account, fill, market, order, quote

MARK = AccountMark(D("1000"), D("1200"), D("1100"), D("0.5"))


def opened(**accounts: Account) -> Ledger:
    ledger = Ledger(accounts)
    for name in ("paper", "shadow"):
        ledger.open(name, {"USD": D("100000")})
    return ledger


def partly(**fields: object) -> Order:
    return order(status=ExecutionStatus.PARTIALLY_FILLED, filled_quantity="0.4", **fields)


def test_a_trade_is_booked_and_what_is_left_is_held() -> None:
    its = account()
    opened(paper=its).book(partly(), fill(order(), "0.4", fee=D("0.1")))
    assert its.portfolio.cash == {"USD": D("99959.9")}
    assert (its.portfolio.fees, its.portfolio.position("BTC/USD").quantity) == ({"USD": D("0.1")}, D("0.4"))
    assert its.holds.working("BTC/USD").buys == D("0.6")


def test_a_fee_without_a_currency_is_paid_in_the_quote_currency_and_one_with_in_its_own() -> None:
    its = account()
    ledger = opened(paper=its)
    ledger.book(partly(), fill(order(), "0.4", fee=D("0.001"), fee_currency="BTC"))
    assert its.portfolio.fees == {"BTC": D("0.001")}


def test_a_bust_takes_a_trade_back_and_a_correction_puts_another_in_its_place() -> None:
    its = account()
    ledger, base = opened(paper=its), {"seq": 2, "ts_recorded": NOW, "run_id": "r", "client_order_id": "U1"}
    ledger.book(partly(), fill(order(), "0.4", fee=D("0.1")))
    state = ExecutionStatus.SUBMITTED
    correction = TradeCorrected(
        **base,  # type: ignore[arg-type]
        status=state,
        trade_id="t2",
        corrects="t1",
        last_quantity=D("0.3"),
        last_price=D(90),
        fee=D("0.2"),
        previous_quantity=D("0.4"),
        previous_price=D(100),
        previous_fee=D("0.1"),
    )
    ledger.book(order(filled_quantity="0.3"), correction)
    assert its.portfolio.cash == {"USD": D("99972.8")}
    assert (its.portfolio.fees, its.portfolio.position("BTC/USD").quantity) == ({"USD": D("0.2")}, D("0.3"))
    bust = TradeBusted(
        **base,  # type: ignore[arg-type]
        status=state,
        trade_id="t2",
        last_quantity=D("0.3"),
        last_price=D(90),
        fee=D("0.2"),
    )
    ledger.book(order(), bust)
    assert its.portfolio.cash == {"USD": D("100000")}
    assert (its.portfolio.position("BTC/USD").quantity, its.holds.working("BTC/USD").buys) == (D(0), D(1))


def test_what_happened_without_an_environment_is_there_when_it_is_enabled_again() -> None:
    without = opened()
    without.book(partly(environment="shadow"), fill(order(), "0.4"))
    without.remember("shadow", TODAY, MARK)
    its = account()
    ledger = Ledger({"shadow": its})
    ledger.restore(without.state(), [partly(environment="shadow"), partly(environment="paper")])
    assert ledger.opened == {"paper", "shadow"}
    assert (its.portfolio.cash, its.portfolio.position("BTC/USD").quantity) == ({"USD": D("99960")}, D("0.4"))
    assert (its.portfolio.peak_equity, its.portfolio.day, its.portfolio.day_start_equity) == (D(1200), TODAY, D(1100))
    assert (its.holds.working("BTC/USD").buys, len(its.holds)) == (D("0.6"), 1)
    assert ledger.state() == without.state()


def test_a_mark_is_remembered_as_it_was_journaled_whatever_the_market_does_then() -> None:
    book = market()
    its = account(book)
    ledger = opened(paper=its)
    ledger.book(partly(), fill(order(), "0.4"))
    mark = ledger.mark("paper", TODAY)
    remembered = ledger.state()["paper"].marked
    assert remembered == (TODAY, mark)
    book.pin(quote("999", "1001"))
    its.account_mark(TODAY + timedelta(days=1))
    assert its.portfolio.peak_equity > mark.peak_equity
    assert ledger.state()["paper"].marked == remembered


def test_an_account_that_the_journal_has_not_opened_is_not_its_business() -> None:
    ledger = Ledger({"paper": account()})
    assert (ledger.state(), ledger.opened) == ({}, set())


@pytest.mark.parametrize("amount", [D("1.50"), Decimal("1E+3")])
def test_an_account_begins_with_a_copy_of_its_balances(amount: Decimal) -> None:
    its, balances = account(), {"EUR": amount}
    ledger = Ledger({"paper": its})
    ledger.open("paper", balances)
    balances["EUR"] = D(0)
    assert str(its.portfolio.cash["EUR"]) == str(amount)


def test_a_drawdown_is_counted_from_another_equity_on_and_the_day_is_not_begun_again() -> None:
    its = account()
    ledger = opened(paper=its)
    ledger.remember("paper", TODAY, MARK)
    its.portfolio.mark(TODAY + timedelta(1), D("990"))  # a risk check of the next day, before any fill
    ledger.recount("paper", TODAY + timedelta(1), D("950"))
    assert its.portfolio.peak_equity == D("950")
    assert (its.portfolio.day, its.portfolio.day_start_equity) == (TODAY + timedelta(1), D("990"))
    again = account()
    Ledger({"paper": again}).restore(ledger.state(), [])
    assert again.portfolio.peak_equity == D("950"), "a restart does not bring the old peak back"


def test_a_recount_before_the_first_mark_survives_too() -> None:
    ledger = opened(paper=account())
    ledger.recount("paper", TODAY, D("950"))
    again = account()
    Ledger({"paper": again}).restore(ledger.state(), [])
    assert (again.portfolio.peak_equity, again.portfolio.day) == (D("950"), TODAY)


def test_a_strategys_first_day_begins_with_nothing_and_a_later_one_with_what_it_had_gained() -> None:
    its = account()
    opened(paper=its).book(partly(strategy_key="maker"), fill(order(), "0.4", price="110"))
    mark = its.note_strategy("maker", NOW.date())
    assert mark is not None
    assert (mark.gained, mark.day_start) == (D("-4"), D(0))
    later = account()
    opened(paper=later).book(partly(strategy_key="maker"), fill(order(), "0.4", price="110"))
    mark = later.note_strategy("maker", NOW.date() + timedelta(days=1))
    assert mark is not None
    assert (mark.gained, mark.day_start, mark.peak) == (D("-4"), D("-4"), D(0))


def test_a_strategy_that_was_never_marked_begins_its_day_anew_after_a_checkpoint() -> None:
    its = account()
    ledger = opened(paper=its)
    ledger.book(partly(strategy_key="maker"), fill(order(), "0.4", price="110"))
    again = account()
    restored = Ledger({"paper": again})
    restored.restore(ledger.state(), [])
    restored.book(partly(strategy_key="maker"), fill(order(), "0.4", price="110"))
    mark = again.note_strategy("maker", NOW.date())
    assert mark is not None
    assert mark.day_start == mark.gained == D("-8"), "nobody knows how much of it is today's"


# -- strategies' parts -----------------------------------------------------------------------------------------------


def limited(book: MarketData | None = None) -> Account:
    """Return an account in which the losses of every strategy but "free" are limited."""
    its = account(book)
    its.limits_losses = lambda name: name != "free"
    return its


def mine(**fields: Any) -> Order:
    return order(strategy_key="maker", **fields)


def test_a_strategys_part_holds_what_it_traded_and_works_and_no_other_ones() -> None:
    its = limited()
    ledger = opened(paper=its)
    ledger.book(partly(strategy_key="maker"), fill(mine(), "0.4", fee=D("0.1")))
    other = order(client_order_id="U2", side=SELL, strategy_key="taker")
    ledger.book(other, fill(other, "1", "200"))
    ledger.book(order(client_order_id="U3", quantity="7"), fill(order(client_order_id="U3"), "1"))
    maker, taker = its.strategies["maker"], its.strategies["taker"]
    assert its.strategies.keys() == {"maker", "taker"}
    assert (maker.portfolio.cash, maker.portfolio.fees) == ({"USD": D("-40.1")}, {"USD": D("0.1")})
    assert (maker.portfolio.position("BTC/USD").quantity, maker.holds.working("BTC/USD").buys) == (D("0.4"), D("0.6"))
    assert (taker.portfolio.cash, taker.portfolio.position("BTC/USD").quantity) == ({"USD": D(200)}, D(-1))
    assert its.portfolio.position("BTC/USD").quantity == D("0.4")


def test_a_bust_and_a_correction_reach_the_strategys_part() -> None:
    its = limited()
    ledger = opened(paper=its)
    base: dict[str, Any] = {"seq": 2, "ts_recorded": NOW, "run_id": "r", "client_order_id": "U1", "trade_id": "t2"}
    base["status"] = ExecutionStatus.PARTIALLY_FILLED
    ledger.book(partly(strategy_key="maker"), fill(mine(), "0.4", fee=D("0.1")))
    old: dict[str, Any] = {"previous_quantity": D("0.4"), "previous_price": D(100), "previous_fee": D("0.1")}
    now: dict[str, Any] = {"last_quantity": D("0.3"), "last_price": D(90), "fee": D("0.2")}
    ledger.book(mine(filled_quantity="0.3"), TradeCorrected(**base, corrects="t1", **old, **now))
    part = its.strategies["maker"].portfolio
    assert (part.cash, part.fees, part.position("BTC/USD").quantity) == (
        {"USD": D("-27.2")},
        {"USD": D("0.2")},
        D("0.3"),
    )
    ledger.book(mine(status=ExecutionStatus.SUBMITTED), TradeBusted(**base, **now))
    assert (part.cash, part.position("BTC/USD").quantity) == ({"USD": D(0)}, D(0))
    assert its.strategies["maker"].holds.working("BTC/USD").buys == D(1)


def marked(book: MarketData, its: Account) -> Ledger:
    """Return a ledger in which maker has gained 20 and then lost 10 again, all of it journaled."""
    ledger = opened(paper=its)
    ledger.book(mine(status=ExecutionStatus.FILLED, filled_quantity="1"), fill(mine(), "1"))
    for middle, gained, peak in ((100, 0, 0), (120, 20, 20), (110, 10, 20)):
        book.pin(quote(str(middle - 1), str(middle + 1)))
        assert ledger.mark("paper", TODAY, "maker").strategy == StrategyMark(D(gained), D(peak), D(0))
    return ledger


def test_a_strategys_peak_and_day_survive_a_checkpoint_and_what_moved_since_does_not() -> None:
    book = market()
    its = limited(book)
    ledger = marked(book, its)
    state = ledger.state()
    assert state["paper"].strategies["maker"].marked == (TODAY, StrategyMark(D(10), D(20), D(0)))
    book.pin(quote("199", "201"))
    its.note_strategy("maker", TODAY)  # a risk check that let nothing through
    assert ledger.state() == state
    again = limited(book)
    after = Ledger({"paper": again})
    after.restore(state, [])
    part = again.strategies["maker"].portfolio
    assert (part.peak_equity, part.day, part.day_start_equity) == (D(20), TODAY, D(0))
    assert (part.cash, part.position("BTC/USD").quantity) == ({"USD": D(-100)}, D(1))
    assert after.state() == state


def test_a_strategys_journaled_marks_are_taken_over_one_by_one_as_by_the_run_that_made_them() -> None:
    book = market()
    live = marked(book, limited(book))
    its = limited(book)
    again = opened(paper=its)
    again.book(mine(status=ExecutionStatus.FILLED, filled_quantity="1"), fill(mine(), "1"))
    plain = live.state()["paper"].marked
    assert plain is not None
    for gained, peak in ((0, 0), (20, 20), (10, 20)):
        again.remember("paper", TODAY, plain[1], {"maker": StrategyMark(D(gained), D(peak), D(0)), "free": None})
    assert again.state() == live.state()
    tomorrow = TODAY + timedelta(days=1)
    again.remember("paper", tomorrow, plain[1], {"maker": StrategyMark(D(5), D(20), D(5))})
    part = its.strategies["maker"].portfolio
    assert (part.peak_equity, part.day, part.day_start_equity) == (D(20), tomorrow, D(5))


def test_only_of_strategies_that_may_lose_so_much_is_anything_marked() -> None:
    its = limited()
    ledger = opened(paper=its)
    free = order(client_order_id="U2", strategy_key="free")
    ledger.book(mine(), fill(mine(), "0.4"))
    ledger.book(free, fill(free, "0.4"))
    assert ledger.mark("paper", TODAY, "free").strategy is None
    assert ledger.mark("paper", TODAY).strategy is None
    _, strategies = ledger.marks("paper", TODAY)
    assert strategies == {"maker": StrategyMark(D(0), D(0), D(0))}
    assert ledger.state()["paper"].strategies["maker"].marked == (TODAY, strategies["maker"])


def test_strategies_parts_of_an_environment_outlive_a_run_without_it() -> None:
    its = limited()
    before = opened(shadow=its)
    before.book(partly(environment="shadow", strategy_key="maker"), fill(mine(), "0.4"))
    before.mark("shadow", TODAY, "maker")
    without = Ledger({})
    without.restore(before.state(), [partly(environment="shadow", strategy_key="maker")])
    assert without.state() == before.state()
    more = fill(mine(filled_quantity="0.4"), "0.2", "110")  # told late, while nobody had enabled it
    without.book(mine(environment="shadow", status=ExecutionStatus.CANCELLED, filled_quantity="0.6"), more)
    without.remember("shadow", TODAY, MARK, {"maker": StrategyMark(D(-2), D(3), D(1))})
    again = limited()
    after = Ledger({"shadow": again})
    after.restore(without.state(), [])
    part = again.strategies["maker"].portfolio
    assert (part.cash, part.position("BTC/USD").quantity) == ({"USD": D(-62)}, D("0.6"))
    assert (part.peak_equity, part.day, part.day_start_equity) == (D(3), TODAY, D(1))
    assert after.state() == without.state()


def test_a_strategy_that_never_traded_and_works_nothing_leaves_nothing_behind() -> None:
    its = limited()
    ledger = opened(paper=its)
    for number in range(1000):
        name = f"stranger {number}"
        its.hold(order(strategy_key=name, client_order_id=name), D(1))
        ended = order(strategy_key=name, client_order_id=name, status=ExecutionStatus.CANCELLED)
        cancelled = Cancelled(seq=1, ts_recorded=NOW, run_id="r", client_order_id=name, status=ended.status)
        ledger.book(ended, cancelled)
    assert its.strategies == {}
    assert ledger.state()["paper"].strategies == {}
