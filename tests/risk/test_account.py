"""The account in its base currency: rates, marks, equity, and the worst that working orders can do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.market.quotes import MarketData
from router.risk.account import base_of, quote_of
from tests.factories import BUY, NOW, SELL, TODAY, D, HandClock, account, hold, market, order, quote


def test_the_base_currency_is_worth_itself_whatever_is_configured() -> None:
    assert account(fixed_rates={"USD": "2"}).rate("USD") == 1


def test_a_quote_against_the_base_tells_the_rate() -> None:
    assert account(market(quote("1.07", "1.09", "EUR/USD")), fixed_rates={"EUR": "9"}).rate("EUR") == D("1.08")


def test_a_quote_of_the_base_tells_it_inversely() -> None:
    assert account(market(quote("0.79", "0.81", "USD/EUR"))).rate("EUR") == D("1.25")


@pytest.mark.parametrize("asset", ["BTC", "ETH"])
def test_one_asset_quoted_in_both_tells_the_cross_rate(asset: str) -> None:
    book = market(quote("54000", "54002", f"{asset}/USD"), quote("50000", "50002", f"{asset}/EUR"))
    rate = account(book, fixed_rates={"EUR": "9"}).rate("EUR")
    assert rate == D(54001) / D(50001)


def test_a_fixed_rate_serves_where_no_quote_tells() -> None:
    assert account(fixed_rates={"EUR": "1.08"}).rate("EUR") == D("1.08")


def test_without_any_there_is_no_rate() -> None:
    assert account().rate("XYZ") is None
    assert account(market(quote("1", "2", "BTC/XYZ"))).mark("BTC/XYZ") is None


def test_rates_and_marks_follow_the_quotes() -> None:
    book = market(quote("99", "101"), quote("1", "1.2", "EUR/USD"))
    mine = account(book)
    assert (mine.mark("BTC/USD"), mine.rate("EUR")) == (D(100), D("1.1"))
    book.pin(quote("199", "201"))
    book.pin(quote("1.1", "1.3", "EUR/USD"))
    assert (mine.mark("BTC/USD"), mine.rate("EUR")) == (D(200), D("1.2"))


def test_a_rate_appears_with_its_first_quote() -> None:
    book = market()
    mine = account(book)
    assert mine.rate("EUR") is None
    book.pin(quote("1", "1.2", "EUR/USD"))
    assert mine.rate("EUR") == D("1.1")


def test_a_mark_is_in_the_base_currency() -> None:
    book = market(quote("99", "101", "BTC/EUR"), quote("1", "1.2", "EUR/USD"))
    assert account(book).mark("BTC/EUR") == D(110)


def test_equity_is_cash_and_positions_long_and_short() -> None:
    book = market(quote("99", "101"), quote("9", "11", "ETH/EUR"))
    mine = account(book, {"USD": "1000", "EUR": "100"}, {"EUR": "2"})
    assert mine.equity() == D(1200)
    mine.portfolio.fill("BTC/USD", BUY, D(2), D(90), D(1), "USD")
    assert mine.equity() == D(1200) + 2 * 10 - 1
    mine.portfolio.fill("ETH/EUR", SELL, D(3), D(12), D(0), "EUR")
    assert mine.equity() == D(1200) + 2 * 10 - 1 + 3 * 2 * 2


def test_the_worst_case_counts_what_works_on_the_worse_side() -> None:
    mine = account(market(quote("99", "101"), quote("9", "11", "ETH/USD")))
    hold(mine, "BTC/USD", "3")
    mine.holds.set(order(client_order_id="U1", side=BUY), D(2))
    mine.holds.set(order(client_order_id="U2", side=SELL), D(4))
    assert mine.worst_notionals() == {"BTC/USD": D(500)}
    mine.holds.set(order(client_order_id="U3", side=SELL, symbol="ETH/USD"), D(4))
    assert mine.worst_notionals() == {"BTC/USD": D(500), "ETH/USD": D(40)}
    assert mine.exposure() == D(540)
    mine.holds.set(order(client_order_id="U2", side=SELL), D(9))
    assert mine.worst_notionals()["BTC/USD"] == D(600)


def test_nothing_held_and_nothing_working_is_no_exposure() -> None:
    mine = account()
    mine.holds.set(order(), D(1))
    mine.holds.set(order(), D(0))
    assert mine.worst_notionals() == {}
    assert mine.exposure() == 0


def test_the_journals_mark_holds_equity_peak_day_and_exposure_as_a_fraction() -> None:
    mine = account(balances={"USD": "1000"})
    mine.portfolio.mark(TODAY - timedelta(days=1), D(1600))
    hold(mine, "BTC/USD", "5")
    mark = mine.account_mark(TODAY)
    assert (mark.equity, mark.peak_equity, mark.day_start_equity, mark.exposure) == (
        D(1000),
        D(1600),
        D(1000),
        D("0.5"),
    )


def test_an_account_without_equity_states_no_fraction() -> None:
    mine = account(balances={"USD": "-5"})
    assert mine.account_mark(TODAY).exposure == 0


@pytest.mark.parametrize(("symbol", "parts"), [("BTC/USDT", ("BTC", "USDT")), ("BTC/USDT:USDT", ("BTC", "USDT"))])
def test_a_symbol_names_its_base_and_quote(symbol: str, parts: tuple[str, str]) -> None:
    assert (base_of(symbol), quote_of(symbol)) == parts


def test_a_position_that_cannot_be_valued_counts_as_infinite_exposure_and_moves_neither_peak_nor_day() -> None:
    unquoted = account(market(quote("1", "2", "ETH/USD")))
    unquoted.portfolio.fill("BTC/USD", SELL, D(1), D(50_000), D(0), "USD")

    mark = unquoted.account_mark(TODAY)

    assert unquoted.exposure() == D("Infinity")
    assert (mark.peak_equity, unquoted.portfolio.day) == (D(0), None)


def test_an_account_that_has_not_begun_begins_no_day() -> None:
    """A testnet's is empty until its venue has told what it holds: a day that began with nothing can lose nothing."""
    mine = account(balances={})
    assert not mine.note_equity(TODAY, mine.equity())
    assert mine.portfolio.day is None
    mine.portfolio.cash["USD"] = D(1000)
    assert mine.note_equity(TODAY, mine.equity())
    assert mine.portfolio.day_start_equity == D(1000)


def test_what_a_strategy_lost_on_earlier_days_is_not_lost_today() -> None:
    mine = account()
    part = mine.strategy("maker").portfolio
    part.fill("BTC/USD", BUY, D(1), D(150), D(0), "USD")
    part.day = TODAY - timedelta(days=3)
    mark = mine.note_strategy("maker", TODAY)
    assert mark is not None
    assert (mark.gained, mark.day_start, mark.peak) == (D(-50), D(-50), D(0))


def test_cash_whose_rate_is_missing_or_comes_is_neither_a_loss_nor_a_gain() -> None:
    """A start without all quotes must not close a session, and the first quote of a currency is no profit."""
    book = market()
    mine = account(book, {"USD": "1000", "EUR": "1000"})
    assert mine.note_equity(TODAY, mine.equity())
    assert (mine.equity(), mine.portfolio.peak_equity) == (D(1000), D(1000)), "without a rate it counts as nothing"
    assert mine.account_mark(TODAY).estimated == ("EUR",)
    book.pin(quote("1.09", "1.11", symbol="EUR/USD"))
    assert mine.note_equity(TODAY, mine.equity())
    portfolio = mine.portfolio
    assert (portfolio.peak_equity, portfolio.day_start_equity, mine.equity()) == (D(2100), D(2100), D(2100))
    assert mine.account_mark(TODAY).estimated == ()

    again = account(market(), {"USD": "1000", "EUR": "1000"})  # as after a restart
    again.portfolio.restore(TODAY, mine.account_mark(TODAY))
    assert not again.is_valued
    assert not again.note_equity(TODAY, again.equity()), "what counted before is missing: no loss is measured"
    assert again.portfolio.peak_equity == D(2100)


def test_a_fixed_rate_that_gives_way_to_a_quote_is_neither_a_loss_nor_a_gain() -> None:
    book = market()
    mine = account(book, {"USD": "1000", "EUR": "1000"}, {"EUR": "1.2"})
    assert mine.note_equity(TODAY, mine.equity())
    assert (mine.equity(), mine.account_mark(TODAY).estimated) == (D(2200), ("EUR",))
    book.pin(quote("1.09", "1.11", symbol="EUR/USD"))
    assert mine.note_equity(TODAY, mine.equity())
    assert (mine.equity(), mine.portfolio.peak_equity, mine.portfolio.day_start_equity) == (D(2100), D(2100), D(2100))
    again = account(market(), {"USD": "1000", "EUR": "1000"}, {"EUR": "0.5"})  # as after a restart
    again.portfolio.restore(TODAY, mine.account_mark(TODAY))
    assert not again.note_equity(TODAY, again.equity()), "what a quote valued is not measured by a fixed rate"


def test_a_cross_rate_of_which_one_quote_stands_still_is_the_last_good_one() -> None:
    clock = HandClock(NOW)
    book = MarketData(clock)

    def say(symbol: str, price: str) -> None:
        book.apply(quote(price, price, symbol=symbol, received=clock.monotonic()))

    mine = account(book, {"EUR": "1000"})
    say("BTC/USD", "50000")
    say("BTC/EUR", "40000")
    assert mine.rate("EUR") == D("1.25")
    clock.tick(60)
    say("BTC/USD", "45000")
    assert mine.rate("EUR") == D("1.25"), "BTC has fallen, not the euro"
    say("BTC/EUR", "36000")
    assert mine.rate("EUR") == D("1.25")
    say("BTC/EUR", "30000")
    assert mine.rate("EUR") == D("1.5")
