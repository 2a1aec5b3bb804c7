from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clock import SystemClock
from router.domain.enums import ExecutionStatus, OrderSide, OrderType, TimeInForce
from router.domain.order import Order, Replacement
from router.domain.venue import VenueOrder, VenueTrade
from router.executors.testnet import dialect
from router.executors.testnet.binance import BinanceDialect
from router.executors.testnet.bybit import BybitDialect
from router.executors.testnet.client import SandboxClient
from router.executors.testnet.credentials import Credentials
from router.executors.testnet.dialect import Dialect, NoProofError, NotExactError, RefusedHereError
from router.executors.testnet.generic import GenericDialect
from router.executors.testnet.profiles import profile_of
from tests.factories import NOW, PROPERTY, D, order
from tools.loopback import LoopbackVenue, Rule

S = ExecutionStatus
MARKET: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "base": "BTC",
    "quote": "USDT",
    "active": True,
    "precision": {"amount": "0.00001", "price": "0.01"},
    "limits": {"amount": {"min": "0.0001", "max": "9000"}, "cost": {"min": "5"}},
}


@PROPERTY
@given(st.decimals(allow_nan=False, allow_infinity=False, places=8))
def test_a_number_survives_the_way_to_text_and_back_exactly(value: Decimal) -> None:
    assert dialect.number(dialect.plain(value)) == value
    assert "E" not in str(dialect.plain(value)).upper()


@pytest.mark.parametrize("nothing", [None, ""])
def test_what_the_venue_leaves_out_is_no_number(nothing: object) -> None:
    assert dialect.number(nothing) is None
    with pytest.raises(NoProofError):
        dialect.needed(nothing)


@pytest.mark.parametrize("nonsense", ["abc", "NaN", "Infinity", "1,5", {}])
def test_nonsense_in_the_place_of_a_number_proves_nothing(nonsense: object) -> None:
    with pytest.raises(NoProofError, match="in the place of a number"):
        dialect.number(nonsense)


def test_a_zero_price_means_none() -> None:
    assert dialect.positive("0.00000000") is None
    assert dialect.positive("0.01") == D("0.01")


def test_the_venues_time_is_exact_to_the_millisecond_and_aware() -> None:
    assert dialect.moment(None, "", "0", "1684738540561") == datetime(2023, 5, 22, 6, 55, 40, 561000, tzinfo=UTC)
    assert dialect.moment(1684738540561) == dialect.moment("1684738540561")


def test_an_answer_without_a_time_is_older_than_anything_shown() -> None:
    assert dialect.moment(None) < NOW


@PROPERTY
@given(st.integers(0, 4_102_444_800_000))
def test_times_go_out_as_they_came_in(ms: int) -> None:
    assert ms == 0 or dialect.milliseconds(dialect.moment(ms)) == ms


@pytest.mark.parametrize(
    ("said", "filled", "quantity", "status"),
    [
        (S.SUBMITTED, "0", "1", S.SUBMITTED),
        (S.SUBMITTED, "0.4", "1", S.PARTIALLY_FILLED),
        (S.SUBMITTED, "1", "1", S.FILLED),
        (S.FILLED, "1", "1", S.FILLED),
        (S.FILLED, None, "1", S.FILLED),
        (S.FILLED, "0.4", "1", None),  # contradicts itself
        (S.CANCELLED, "0.4", "1", S.CANCELLED),
        (S.CANCELLED, "1", "1", S.FILLED),
        (S.EXPIRED, "0", "1", S.EXPIRED),
        (S.REJECTED, "0", "1", S.REJECTED),
        (S.REJECTED, "0.4", "1", S.CANCELLED),
        (None, "1", "1", None),
    ],
)
def test_quantities_and_the_terminal_word_decide_a_status_together(
    said: ExecutionStatus | None, filled: str | None, quantity: str, status: ExecutionStatus | None
) -> None:
    assert dialect.standing(said, None if filled is None else D(filled), D(quantity)) is status


@pytest.mark.parametrize("sent", ["1.12345", "1.123456780", None])
def test_another_number_than_was_decided_is_not_sent(sent: str | None) -> None:
    with pytest.raises(NotExactError) as refused:
        dialect.check_exact("quantity", D("1.123456789"), sent)
    assert refused.value.field == "quantity"
    assert "1.123456789" in str(refused.value)


def test_the_same_number_in_other_digits_is_sent() -> None:
    dialect.check_exact("price", D("1.10"), "1.1")


def test_what_ccxt_refuses_to_build_was_not_sent() -> None:
    def refuse() -> str:
        raise LookupError("no such market")

    with pytest.raises(RefusedHereError, match="no such market"):
        dialect.built(refuse)


def test_a_market_order_cannot_be_fill_or_kill() -> None:
    with pytest.raises(RefusedHereError, match="fill-or-kill"):
        dialect.check_takable(order(time_in_force=TimeInForce.FOK))
    dialect.check_takable(order(time_in_force=TimeInForce.IOC))
    dialect.check_takable(order(order_type=OrderType.LIMIT, price="1", time_in_force=TimeInForce.FOK))


@pytest.mark.parametrize(
    ("ours", "sent"),
    [("GTC", "GTC"), ("DAY", "GTC"), ("GTD", "GTC"), ("IOC", "IOC"), ("FOK", "FOK")],
)
def test_the_router_ends_days_itself(ours: str, sent: str) -> None:
    assert dialect.time_in_force(order(time_in_force=TimeInForce(ours))) == sent


def test_the_decision_price_of_a_market_order_is_not_sent() -> None:
    assert dialect.limit_price(order(price="100")) is None
    assert dialect.limit_price(order(price="100", order_type=OrderType.LIMIT)) == D(100)


@pytest.mark.parametrize("body", ["", "<html></html>", None, {}, {"list": None}])
def test_a_body_that_is_no_answer_proves_nothing(body: object) -> None:
    with pytest.raises(NoProofError):
        dialect.rows(body)
    with pytest.raises(NoProofError):
        dialect.record(body, "list")


def test_an_unexplained_answer_shows_nothing() -> None:
    shown = dialect.unexplained(order())
    assert (shown.venue_order_id, shown.status, shown.filled_quantity) == (None, None, None)


def test_sides_are_read_in_any_case() -> None:
    assert dialect.side_of("BUY") is dialect.side_of("Buy") is OrderSide.BUY
    assert dialect.side_of(None) is None
    with pytest.raises(NoProofError):
        dialect.needed_side("both")


def test_an_error_is_known_by_its_class_or_its_parents() -> None:
    class OrderNotFound(Exception):  # noqa: N818 -- ccxt's name
        pass

    class SpecialNotFound(OrderNotFound):
        pass

    assert dialect.is_named(SpecialNotFound(), "OrderNotFound")
    assert not dialect.is_named(LookupError(), "OrderNotFound")


def test_an_instrument_has_the_venues_own_steps() -> None:
    found = dialect.instrument_of(MARKET)
    assert found is not None
    assert (found.tick_size, found.lot_size) == (D("0.01"), D("0.00001"))
    assert (found.min_quantity, found.max_quantity, found.min_notional) == (D("0.0001"), D(9000), D(5))
    assert found.tradable


def test_a_market_that_is_not_active_is_not_tradable() -> None:
    found = dialect.instrument_of(MARKET | {"active": False})
    assert found is not None
    assert not found.tradable


def test_a_market_in_unknown_steps_is_no_instrument() -> None:
    assert dialect.instrument_of(MARKET | {"precision": {"amount": None, "price": "0.01"}}) is None


def test_limits_that_the_venue_leaves_out_do_not_bind() -> None:
    bare = MARKET | {"limits": {"amount": {"min": None, "max": None}, "cost": {"min": None}}}
    found = dialect.instrument_of(bare)
    assert found is not None
    assert (found.min_quantity, found.min_notional) == (found.lot_size, D(0))
    assert found.max_quantity >= 10**9


# -- every dialect at a venue that keeps the public rules -----------------------------------------------------------


SPEAKERS: list[tuple[str, Callable[[Any], Dialect]]] = [
    ("binance", BinanceDialect),
    ("bybit", BybitDialect),
    ("binance", GenericDialect),
    ("bybit", GenericDialect),
]
every = pytest.mark.parametrize(("name", "kind"), SPEAKERS)
verified = pytest.mark.parametrize(("name", "kind"), SPEAKERS[:2])
SYMBOL = "BTC/USDT"
CREATE = {"binance": "POST /api/v3/order", "bybit": "POST /v5/order/create"}
TOPICS = {"binance": 1, "bybit": 2}


@asynccontextmanager
async def at(name: str, kind: Callable[[Any], Dialect]) -> AsyncIterator[tuple[Dialect, LoopbackVenue]]:
    profile = profile_of(name)
    assert profile is not None
    async with LoopbackVenue(name) as venue:
        client = SandboxClient(
            profile,
            Credentials(key=venue.key, secret=venue.secret),
            base_url=venue.url,
            recv_window_ms=5000,
            clock=SystemClock(),
        )
        try:
            speaker = kind(client)
            await speaker.load()
            yield speaker, venue
        finally:
            await client.close()


def ours(**fields: Any) -> Order:
    now = SystemClock().now()
    return order(**{"symbol": SYMBOL, "created_at": now, "updated_at": now, "quantity": "0.5", **fields})


def resting(**fields: Any) -> Order:
    return ours(**{"order_type": OrderType.LIMIT, "price": "40000", **fields})


async def until(is_so: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not is_so():
            await anyio.lowlevel.checkpoint()


async def listened(
    speaker: Dialect, venue: LoopbackVenue, act: Callable[[], Awaitable[object]], *, topics: int, enough: int
) -> tuple[list[VenueOrder], list[VenueTrade]]:
    """Return what both streams said until as many trades were heard and an order was seen to have ended."""
    orders: list[VenueOrder] = []
    trades: list[VenueTrade] = []

    async def read(watch: Callable[[], Awaitable[list[Any]]], heard: list[Any]) -> None:
        while True:
            heard += await watch()

    def ended() -> bool:
        return bool(orders) and orders[-1].status in {S.FILLED, S.CANCELLED}

    async with anyio.create_task_group() as group:
        group.start_soon(read, speaker.watch_orders, orders)
        group.start_soon(read, speaker.watch_trades, trades)
        await until(lambda: sum(len(peer.topics) for peer in venue.peers) >= topics)
        await act()
        await until(lambda: len(trades) >= enough and ended())
        group.cancel_scope.cancel()
    return orders, trades


@every
@pytest.mark.asyncio
async def test_an_order_lives_and_ends_as_the_venue_says(name: str, kind: Callable[[Any], Dialect]) -> None:
    sent = resting()
    async with at(name, kind) as (speaker, venue):
        shown, _ = await speaker.create(sent)
        assert (shown.client_order_id, shown.status) == ("U1", S.SUBMITTED)
        assert shown.venue_order_id is not None
        (listed,) = await speaker.open_orders(SYMBOL)
        assert (listed.client_order_id, listed.venue_order_id) == ("U1", shown.venue_order_id)
        truth = venue.exchange.find(client_id="U1")
        assert truth is not None
        venue.exchange.fill(truth, D("0.2"))
        found = await speaker.find(sent)
        assert found is not None
        assert (found.status, found.filled_quantity, found.quantity) == (S.PARTIALLY_FILLED, D("0.2"), D("0.5"))
        assert (found.price, found.side) == (D(40000), OrderSide.BUY)
        (trade,) = await speaker.trades_of(sent, shown.venue_order_id)
        assert (trade.quantity, trade.price, trade.venue_order_id) == (D("0.2"), D(40000), shown.venue_order_id)
        assert [trade] == await speaker.trades_since(SYMBOL, sent.created_at - timedelta(minutes=1))
        known = msgspec.structs.replace(sent, venue_order_id=shown.venue_order_id)
        await speaker.cancel(known)
        found = await speaker.find(known)
        assert found is not None
        assert (found.status, found.filled_quantity) == (S.CANCELLED, D("0.2"))
        with pytest.raises(Exception, match=r"(?i)order") as refused:
            await speaker.cancel(known)
        assert dialect.is_named(refused.value, "OrderNotFound")
        assert await speaker.open_orders(SYMBOL) == []
        held = {currency: sum(amounts) for currency, amounts in venue.exchange.balances().items()}
        assert await speaker.balances() == held


@every
@pytest.mark.asyncio
async def test_the_streams_tell_every_trade_once_and_the_orders_end(name: str, kind: Callable[[Any], Dialect]) -> None:
    async with at(name, kind) as (speaker, venue):
        bought = ours(quantity="5")  # more than the book's first two levels have
        orders, trades = await listened(speaker, venue, lambda: speaker.create(bought), topics=TOPICS[name], enough=3)
        truth = [(trade.quantity, trade.price) for trade in venue.exchange.trades]
        assert sorted((trade.quantity, trade.price) for trade in trades) == sorted(truth)
        assert len({trade.trade_id for trade in trades}) == len(truth) == 3
        assert (orders[-1].client_order_id, orders[-1].status, orders[-1].filled_quantity) == ("U1", S.FILLED, D(5))

        async def cancel() -> None:
            shown, _ = await speaker.create(resting(client_order_id="U2"))
            await speaker.cancel(resting(client_order_id="U2", venue_order_id=shown.venue_order_id))

        await speaker.hang_up()
        await until(lambda: not venue.peers)
        orders, _ = await listened(speaker, venue, cancel, topics=TOPICS[name], enough=0)
    assert (orders[-1].client_order_id, orders[-1].status) == ("U2", S.CANCELLED)


@every
@pytest.mark.asyncio
async def test_an_order_that_may_not_rest_expires(name: str, kind: Callable[[Any], Dialect]) -> None:
    sent = resting(time_in_force=TimeInForce.IOC)
    async with at(name, kind) as (speaker, _):
        await speaker.create(sent)
        found = await speaker.find(sent)
    assert found is not None
    assert (found.status, found.filled_quantity) == (S.EXPIRED, D(0))


@every
@pytest.mark.parametrize("fault", ["empty", "html"])
@pytest.mark.asyncio
async def test_an_answer_that_shows_nothing_hides_an_order_that_exists(
    name: str, kind: Callable[[Any], Dialect], fault: Any
) -> None:
    async with at(name, kind) as (speaker, venue):
        venue.faults.add(Rule(match=CREATE[name], kind=fault))
        shown, trades = await speaker.create(resting())
        assert (shown.venue_order_id, shown.status, tuple(trades)) == (None, None, ())
        found = await speaker.find(resting())
    assert found is not None
    assert found.status is S.SUBMITTED


@verified
@pytest.mark.asyncio
async def test_a_verified_venue_can_prove_that_it_has_no_such_order(name: str, kind: Callable[[Any], Dialect]) -> None:
    async with at(name, kind) as (speaker, _):
        assert await speaker.find(resting()) is None


@verified
@pytest.mark.asyncio
async def test_a_post_only_order_never_takes(name: str, kind: Callable[[Any], Dialect]) -> None:
    sent = resting(price="60000", post_only=True)
    async with at(name, kind) as (speaker, venue):
        if name == "binance":  # it says so at once
            with pytest.raises(Exception, match="immediately match") as refused:
                await speaker.create(sent)
            assert dialect.is_named(refused.value, "OrderImmediatelyFillable")
            assert await speaker.find(sent) is None
        else:
            await speaker.create(sent)
            found = await speaker.find(sent)
            assert found is not None
            assert found.status is S.REJECTED
        assert venue.exchange.trades == []


@verified
@pytest.mark.asyncio
async def test_a_lower_quantity_keeps_the_order_and_its_ids(name: str, kind: Callable[[Any], Dialect]) -> None:
    async with at(name, kind) as (speaker, _):
        shown, _ = await speaker.create(resting())
        await speaker.amend(resting(), Replacement("r", D("0.3"), D(40000)))
        found = await speaker.find(resting())
        assert found is not None
        assert (found.venue_order_id, found.quantity, found.client_order_id) == (shown.venue_order_id, D("0.3"), "U1")
        assert await speaker.name_of(SYMBOL, str(shown.venue_order_id)) == "U1"
