"""The loopback exchange: money is conserved, a refusal changes nothing, events and truth agree."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clock import VirtualClock
from tests.factories import PROPERTY
from tools.loopback.exchange import Exchange
from tools.loopback.model import Event, Order, Policy, Refusal, RefusedError, default_balances

BINANCE = Policy(client_ids="open", post_only="refuse", amend="decrease")
BYBIT = Policy(client_ids="ever", post_only="cancel", amend="any")
BTC, BID, ASK = "BTCUSDT", Decimal("49999.99"), Decimal("50000.01")


def exchange(policy: Policy = BINANCE) -> Exchange:
    return Exchange(policy, VirtualClock())


def place(venue: Exchange, client_id: str = "a", **changes: Any) -> Order:
    order: dict[str, Any] = {
        "symbol": BTC,
        "side": "BUY",
        "type": "LIMIT",
        "quantity": Decimal(1),
        "price": Decimal(40_000),
    }
    return venue.place(client_id=client_id, **(order | changes)).order


def of(thing: object, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(thing, name) for name in names)


def balance(venue: Exchange, currency: str) -> tuple[Any, ...]:
    return venue.balances()[currency]


def refused(why: Refusal, venue: Exchange, client_id: str = "b", **changes: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        place(venue, client_id, **changes)
    assert caught.value.why is why


def test_a_resting_order_holds_what_it_would_pay_until_it_is_cancelled() -> None:
    venue = exchange()
    order = place(venue)
    assert balance(venue, "USDT") == (Decimal(960_000), Decimal(40_000))
    assert venue.open_orders(BTC) == [order]
    venue.cancel(order, request_id="c")
    assert balance(venue, "USDT") == (Decimal(1_000_000), 0)
    assert (order.status, venue.open_orders(), venue.closed_orders()) == ("CANCELED", [], [order])
    with pytest.raises(RefusedError, match="NOT_OPEN"):
        venue.cancel(order)


def test_a_partial_fill_trades_at_the_orders_price_and_the_fee_is_in_what_was_received() -> None:
    venue = exchange()
    order = place(venue)
    trade = venue.fill(order, Decimal("0.25"))
    assert of(trade, "price", "quantity", "fee", "fee_currency") == (
        40_000,
        Decimal("0.25"),
        Decimal("0.00025"),
        "BTC",
    )
    assert of(order, "status", "filled", "quote_filled") == ("PARTIALLY_FILLED", trade.quantity, 10_000)
    assert trade.maker
    assert balance(venue, "BTC") == (Decimal("100.24975"), 0)
    assert balance(venue, "USDT") == (Decimal(960_000), Decimal(30_000))
    assert venue.fill(order).quantity == Decimal("0.75")
    assert (order.status, venue.trades_of(order)) == ("FILLED", venue.trades)


def test_a_market_order_eats_the_finite_book_and_its_rest_expires() -> None:
    venue = exchange()
    venue.deposit("BTC", Decimal(1_000))
    order = place(venue, type="MARKET", side="SELL", price=None, quantity=Decimal(50))
    assert of(order, "status", "filled") == ("EXPIRED", 40)
    assert venue.book(BTC)[0] == []
    assert place(venue, "b", type="MARKET", side="SELL", price=None).filled == 0
    venue.move_price(BTC, Decimal(50_000))
    assert venue.book(BTC)[0][0] == (BID, Decimal(2))


def test_a_level_that_is_half_eaten_shows_the_rest() -> None:
    venue = exchange()
    shown: list[str] = []
    venue.book_listeners.append(shown.append)
    order = place(venue, type="MARKET", price=None, quantity=Decimal("2.5"))
    assert [trade.price for trade in venue.trades_of(order)] == [ASK, Decimal("50010.01")]
    assert venue.book(BTC)[1][0] == (Decimal("50010.01"), Decimal("1.5"))
    assert shown == [BTC]


def test_a_market_order_in_quote_units_buys_whole_lots() -> None:
    order = place(exchange(), type="MARKET", price=None, quantity=None, quote_quantity=Decimal(100))
    assert of(order, "status", "filled") == ("FILLED", Decimal("0.00199"))


def test_ioc_keeps_what_it_took_and_fok_takes_all_or_nothing() -> None:
    venue = exchange()
    some = place(venue, "a", price=ASK, quantity=Decimal(3), time_in_force="IOC")
    assert of(some, "status", "filled", "locked") == ("EXPIRED", 2, 0)
    venue.move_price(BTC, Decimal(50_000))
    nothing = place(venue, "b", price=ASK, quantity=Decimal(3), time_in_force="FOK")
    assert of(nothing, "status", "filled") == ("EXPIRED", 0)
    everything = place(venue, "c", price=ASK, quantity=Decimal(2), time_in_force="FOK")
    assert of(everything, "status", "filled") == ("FILLED", 2)


def test_a_limit_order_that_crosses_pays_the_books_price_and_rests_with_the_rest() -> None:
    venue = exchange()
    order = place(venue, price=Decimal(50_005), quantity=Decimal(3))
    assert of(order, "status", "filled", "quote_filled") == ("PARTIALLY_FILLED", 2, 2 * ASK)
    assert order.locked == Decimal(50_005)


def test_post_only_that_would_take_is_refused_or_cancelled_as_the_venue_does() -> None:
    refused(Refusal.WOULD_TAKE, exchange(BINANCE), price=ASK, post_only=True)
    order = place(exchange(BYBIT), price=ASK, post_only=True)
    assert of(order, "status", "filled", "locked") == ("CANCELED", 0, 0)


def test_client_ids_are_unique_among_open_orders_or_for_ever() -> None:
    for policy, again in ((BINANCE, True), (BYBIT, False)):
        venue = exchange(policy)
        first = place(venue, "a")
        refused(Refusal.DUPLICATE, venue, "a")
        assert venue.find(client_id="a") is first
        venue.cancel(first)
        if again:
            second = place(venue, "a")
            assert venue.find(client_id="a") is second
            assert venue.duplicates() == {"a": 2}
        else:
            refused(Refusal.DUPLICATE, venue, "a")
            assert venue.duplicates() == {}


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        (Refusal.UNKNOWN_SYMBOL, {"symbol": "DOGEUSDT"}),
        (Refusal.PRICE_STEP, {"price": Decimal("40000.005")}),
        (Refusal.QUANTITY_STEP, {"quantity": Decimal("1.000001")}),
        (Refusal.QUANTITY_RANGE, {"quantity": Decimal(9_001)}),
        (Refusal.MIN_NOTIONAL, {"quantity": Decimal("0.0001")}),
        (Refusal.INSUFFICIENT, {"quantity": Decimal(26)}),
        (Refusal.INSUFFICIENT, {"side": "SELL", "quantity": Decimal(101), "price": Decimal(60_000)}),
        (Refusal.INSUFFICIENT, {"type": "MARKET", "price": None, "quantity": Decimal(25)}),
    ],
)
def test_an_order_outside_the_rules_is_refused(why: Refusal, changes: dict[str, Any]) -> None:
    refused(why, exchange(), **changes)


def test_a_halted_symbol_takes_nothing_new_but_lets_go() -> None:
    venue = exchange()
    order = place(venue)
    venue.market(BTC).status = "BREAK"
    refused(Refusal.MARKET_CLOSED, venue)
    assert venue.cancel(order).status == "CANCELED"


def test_a_delisted_symbol_cancels_its_orders_and_is_unknown() -> None:
    venue = exchange()
    order = place(venue)
    venue.delist(BTC)
    assert of(order, "status", "reason") == ("CANCELED", "delisted")
    refused(Refusal.UNKNOWN_SYMBOL, venue)


def test_a_moving_price_fills_what_it_crosses_at_the_orders_own_price() -> None:
    venue = exchange()
    low, high = place(venue, "low", price=Decimal(39_000)), place(venue, "high", price=Decimal(45_000))
    sell = place(venue, "sell", side="SELL", price=Decimal(60_000))
    trades = venue.move_price(BTC, Decimal(44_000))
    assert [(trade.client_id, trade.price, trade.maker) for trade in trades] == [("high", Decimal(45_000), True)]
    assert (low.status, high.status, sell.status) == ("NEW", "FILLED", "NEW")


def test_an_amendment_only_shrinks_or_moves_freely_as_the_venue_allows() -> None:
    venue = exchange(BINANCE)
    order = place(venue)
    venue.fill(order, Decimal("0.5"))
    for quantity in ("2", "0.5", "0.25"):
        with pytest.raises(RefusedError, match="BAD_AMEND"):
            venue.amend(order, quantity=Decimal(quantity))
    with pytest.raises(RefusedError, match="NO_CHANGE"):
        venue.amend(order, quantity=Decimal(1))
    venue.amend(order, quantity=Decimal("0.75"), client_id="new")
    assert order.locked == 10_000
    assert venue.find(client_id="new") is order
    assert venue.find(client_id="a") is None
    free = exchange(BYBIT)
    order = place(free)
    free.amend(order, quantity=Decimal(2), price=Decimal(41_000))
    assert of(order, "id", "locked", "status") == (1001, 82_000, "NEW")
    with pytest.raises(RefusedError, match="INSUFFICIENT"):
        free.amend(order, quantity=Decimal(30))
    assert free.amend(order, price=ASK).trades[0].price == ASK
    assert order.status == "FILLED"


# -- whatever happens ----------------------------------------------------------------------------------------

QUANTITIES = st.sampled_from([Decimal(text) for text in ("0.0001", "0.01", "0.5", "2", "7.00001", "45", "9001")])
PRICES = st.sampled_from(
    [Decimal(text) for text in ("30000", "49990.01", "49999.99", "50000.01", "50100", "70000.001")]
)
STEPS = st.one_of(
    st.fixed_dictionaries(
        {
            "do": st.just("place"),
            "side": st.sampled_from(["BUY", "SELL"]),
            "type": st.sampled_from(["LIMIT", "MARKET"]),
            "quantity": QUANTITIES,
            "price": PRICES,
            "time_in_force": st.sampled_from(["GTC", "GTC", "IOC", "FOK"]),
            "post_only": st.sampled_from([False, False, True]),
            "client_id": st.sampled_from("abcdef"),
        }
    ),
    st.fixed_dictionaries({"do": st.just("fill"), "which": st.integers(0, 5), "quantity": QUANTITIES}),
    st.fixed_dictionaries({"do": st.just("cancel"), "which": st.integers(0, 5)}),
    st.fixed_dictionaries(
        {"do": st.just("amend"), "which": st.integers(0, 5), "quantity": QUANTITIES, "price": st.none() | PRICES}
    ),
    st.fixed_dictionaries({"do": st.just("move"), "mid": PRICES}),
)


def step(venue: Exchange, what: dict[str, Any]) -> None:
    what = dict(what)
    do = what.pop("do")
    if do == "move":
        venue.move_price(BTC, what["mid"])
        return
    if do == "place":
        if what["type"] == "MARKET":
            what |= {"price": None, "post_only": False}
        venue.place(symbol=BTC, **what)
        return
    orders = list(venue.orders.values())
    if what["which"] >= len(orders):
        return
    order = orders[what.pop("which")]
    getattr(venue, do)(order, **what)


def state(venue: Exchange) -> bytes:
    parts = [list(venue.orders.values()), venue.trades, venue.balances(), [venue.book(name) for name in venue.markets]]
    return msgspec.json.encode(parts)


def check(venue: Exchange, last: dict[int, tuple[Any, ...]]) -> None:
    held = {name: Decimal(0) for name in default_balances()}
    total = default_balances()
    for order in venue.orders.values():
        trades = venue.trades_of(order)
        assert order.filled == sum(trade.quantity for trade in trades) <= order.quantity
        assert order.quote_filled == sum(trade.quantity * trade.price for trade in trades)
        assert (order.status == "FILLED") == (order.filled == order.quantity)
        assert order.is_open == (order in venue.open_orders())
        pays = "USDT" if order.side == "BUY" else "BTC"
        if order.is_open:
            assert order.price is not None
            assert order.locked == (order.remaining * order.price if order.side == "BUY" else order.remaining)
        held[pays] += order.locked
        assert last[order.id] == (order.status, order.filled, order.quantity)
    for trade in venue.trades:
        sign = 1 if trade.side == "BUY" else -1
        total["BTC"] += sign * trade.quantity
        total["USDT"] -= sign * trade.quantity * trade.price
        total[trade.fee_currency] -= trade.fee
    for name, (free, locked) in venue.balances().items():
        assert free >= 0
        assert (free + locked, locked) == (total[name], held[name])


@PROPERTY
@given(policy=st.sampled_from([BINANCE, BYBIT]), steps=st.lists(STEPS, max_size=25))
def test_money_is_conserved_refusals_change_nothing_and_the_last_event_is_the_truth(
    policy: Policy, steps: list[dict[str, Any]]
) -> None:
    venue = exchange(policy)
    last: dict[int, tuple[Any, ...]] = {}

    def hear(event: Event) -> None:
        last[event.order.id] = (event.order.status, event.order.filled, event.order.quantity)

    venue.order_listeners.append(hear)
    for what in steps:
        before = state(venue)
        try:
            step(venue, what)
        except RefusedError:
            assert state(venue) == before
        check(venue, last)
