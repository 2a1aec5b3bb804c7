"""Every account is what the journal says of it, enabled or not; marks of the moment are not remembered."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from router.domain.enums import ExecutionStatus
from router.domain.events import AccountMark, TradeBusted, TradeCorrected
from router.domain.order import Order
from router.execution.ledger import Ledger
from router.risk.account import Account
from tests.factories import NOW, TODAY, D, account, fill, market, order, quote

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
    Ledger({"paper": again}).restore(ledger.state(), [])
    mark = again.note_strategy("maker", TODAY + timedelta(days=1))
    assert mark is not None
    assert (mark.gained, mark.day_start) == (D("-4"), D("-4")), "yesterday's loss is not today's"
