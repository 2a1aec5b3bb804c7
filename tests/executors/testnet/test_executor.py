"""What the venue answers, and what it may have done: told on proof only, never sent twice (``ccxt_facts.md`` §3)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from router.clock import SystemClock
from router.domain.enums import ExecType, ExecutionStatus, OrderSide, Severity, TimeInForce
from router.domain.order import Replacement
from router.errors import RouterError
from tests.executors.testnet.world import CANCEL, CREATE, FIND, SYMBOL, World, limit, market

pytestmark = pytest.mark.asyncio
X, S, D = ExecType, ExecutionStatus, Decimal
BOTH = pytest.mark.parametrize("name", ["binance", "bybit"])
UNPROVED: dict[str, dict[str, Any]] = {
    "drop_after": {},
    "truncate": {},
    "empty": {},
    "html": {},
    "status_after": {"status": 502},
    "hang_after": {},
}
"""What happens to an answer although the order was placed."""


@BOTH
@pytest.mark.parametrize("streams", [True, False])
async def test_a_market_order_fills_with_the_venues_own_trades(name: str, streams: bool) -> None:
    async with World(name, streams=streams) as world:
        await world.executor.submit(market("U1"))
        await world.until(lambda: world.of("U1", X.TRADE))
        booked = world.booked("U1")
        assert booked is not None
        traded = {each.trade_id: (each.last_quantity, each.last_price) for each in world.of("U1", X.TRADE)}
        real = {str(each.id): (each.quantity, each.price) for each in world.venue.exchange.trades_of(booked)}
        assert traded == real
        assert world.of("U1")[0].exec_type is X.NEW
        fees = {each.trade_id: (each.fee, each.fee_currency) for each in world.of("U1", X.TRADE)}
        assert fees == {str(t.id): (t.fee, t.fee_currency) for t in world.venue.exchange.trades_of(booked)}


@BOTH
async def test_what_the_venue_refuses_is_rejected_in_its_own_words(name: str) -> None:
    async with World(name) as world:
        await world.executor.submit(limit("U1", quantity="1000"))
        (told,) = world.of("U1")
        assert told.exec_type is X.REJECTED
        assert "nsufficient" in (told.reason or "")
        assert world.booked("U1") is None


@BOTH
async def test_what_is_halted_when_its_turn_comes_never_leaves_but_less_of_what_works_does(name: str) -> None:
    async with World(name) as world:
        working = limit("U1", quantity="0.02")
        await world.executor.submit(working)
        world.executor.stops = lambda order: f"halted: {order.symbol}"
        await world.executor.submit(limit("U2"))
        (told,) = world.of("U2")
        assert (told.exec_type, told.reason) == (X.REJECTED, "Not sent: halted: BTC/USDT")
        assert world.booked("U2") is None
        await world.executor.amend(working, Replacement("r1", working.quantity * 2, working.price))
        assert [each.exec_type for each in world.of("U1") if each.request_id == "r1"] == [X.REPLACE_REJECTED]
        await world.executor.amend(working, Replacement("r2", working.quantity / 2, working.price))
        booked = world.booked("U1")
        assert booked is not None
        assert booked.quantity == working.quantity / 2


@BOTH
@pytest.mark.parametrize("kind", UNPROVED)
async def test_an_answer_that_is_lost_is_no_refusal_and_the_order_is_found(name: str, kind: str) -> None:
    async with World(name, streams=False) as world:
        world.fail(CREATE, kind, **UNPROVED[kind])
        with pytest.raises(RouterError):
            await world.executor.submit(limit("U1"))
        assert not world.of("U1", X.REJECTED)
        await world.until(lambda: world.of("U1", X.ORDER_STATUS))
        assert world.of("U1", X.ORDER_STATUS)[0].order_status is S.SUBMITTED
        assert world.venue.exchange.duplicates() == {}


@BOTH
async def test_a_request_that_was_lost_is_called_absent_by_look_ups_only(name: str) -> None:
    async with World(name) as world:
        world.fail(CREATE, "drop_before")
        order = limit("U1")
        with pytest.raises(RouterError):
            await world.executor.submit(order)
        assert world.of("U1") == []
        await world.executor.look_up([order])
        assert [each.exec_type for each in world.of("U1")] == [X.NOT_FOUND]


@BOTH
async def test_a_request_that_executes_after_it_was_not_found_is_found_then(name: str) -> None:
    async with World(name, streams=False) as world:
        world.fail(CREATE, "late", delay_s=0.4)
        order = limit("U1")
        with pytest.raises(RouterError):
            await world.executor.submit(order)
        await world.executor.look_up([order])
        assert [each.exec_type for each in world.of("U1")] == [X.NOT_FOUND]
        await world.until(lambda: world.of("U1", X.ORDER_STATUS))
        assert world.executor.settle_s > 0.7, "later than that the venue executes nothing"


@BOTH
async def test_an_id_that_is_used_already_shows_the_first_order(name: str) -> None:
    async with World(name, streams=False) as world:
        await world.executor.submit(limit("U1"))
        world.told.clear()
        with pytest.raises(RouterError, match="client_order_id"):
            await world.executor.submit(limit("U1"))
        await world.until(lambda: world.of("U1", X.ORDER_STATUS))
        assert len(world.venue.exchange.open_orders()) == 1


@BOTH
@pytest.mark.parametrize("seconds", [-30, 30])
async def test_a_clock_that_is_wrong_is_measured_and_the_order_placed_once(name: str, seconds: int) -> None:
    async with World(name) as world:
        world.venue.exchange.clock_offset_ms = 1000 * seconds
        await world.executor.submit(limit("U1"))
        assert world.of("U1")[0].exec_type is X.NEW
        assert len(world.venue.exchange.open_orders()) == 1


@BOTH
async def test_being_asked_to_wait_is_no_order_and_nothing_is_sent_until_then(name: str) -> None:
    async with World(name) as world:
        body = {"binance": '{"code":-1003,"msg":"slow"}', "bybit": '{"retCode":10006,"retMsg":"slow"}'}[name]
        world.fail(CREATE, "status", status=429, headers={"Retry-After": "30"}, body=body)
        await world.executor.submit(limit("U1"))
        assert world.of("U1")[0].exec_type is X.REJECTED
        before = sum(world.venue.requests.values())
        await world.executor.submit(limit("U2"))
        assert world.of("U2")[0].exec_type is X.REJECTED
        assert "Not sent" in (world.of("U2")[0].reason or "")
        assert sum(world.venue.requests.values()) == before
        assert world.alerts[0][0] is Severity.MEDIUM


async def test_a_ban_halts_the_venue_and_says_until_when() -> None:
    async with World("binance") as world:
        world.fail(CREATE, "status", status=418, headers={"Retry-After": "90"}, body='{"code":-1003,"msg":"banned"}')
        await world.executor.submit(limit("U1"))
        assert world.of("U1")[0].exec_type is X.REJECTED
        assert "UTC" in (world.executor.halted() or "")
        with pytest.raises(RouterError):
            await world.executor.look_up([limit("U1")])
        assert world.alerts[0][0] is Severity.HIGH


@BOTH
async def test_a_cancel_ends_the_order_with_what_it_has_traded(name: str) -> None:
    async with World(name, streams=False) as world:
        order = limit("U1")
        booked = await world.rest(order)
        world.venue.exchange.fill(booked, D("0.005"))
        await world.executor.cancel(order, "why not")
        ended = {X.RESTATED, X.ORDER_STATUS}
        await world.until(lambda: [r for r in world.of("U1", *ended) if r.order_status is S.CANCELLED])
        await world.until(lambda: world.of("U1", X.TRADE))
        assert world.of("U1", X.TRADE)[0].last_quantity == D("0.005")


@BOTH
async def test_a_cancel_of_what_has_filled_tells_that_it_has(name: str) -> None:
    async with World(name, streams=False) as world:
        order = limit("U1")
        booked = await world.rest(order)
        world.venue.exchange.fill(booked)
        await world.executor.cancel(order, "too late")
        await world.until(lambda: [r for r in world.of("U1") if r.order_status is S.FILLED])
        assert not world.of("U1", X.CANCEL_REJECTED)


@BOTH
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "status", "code"])
async def test_a_cancel_is_sent_again_until_it_is_answered(name: str, kind: str) -> None:
    code = {"binance": "-1001", "bybit": "10016"}[name] if kind == "code" else ""
    async with World(name, streams=False) as world:
        order = limit("U1")
        await world.executor.submit(order)
        world.fail(CANCEL, kind, code=code)
        await world.executor.cancel(order, "please")
        await world.until(lambda: [r for r in world.of("U1") if r.order_status is S.CANCELLED])


@BOTH
async def test_less_quantity_is_in_force_once_the_venue_shows_it(name: str) -> None:
    async with World(name, streams=False) as world:
        order = limit("U1")
        await world.executor.submit(order)
        await world.executor.amend(order, Replacement("r1", D("0.015"), D(40000)))
        proof = [r for r in world.of("U1") if r.request_id == "r1" or r.quantity == D("0.015")]
        assert {r.exec_type for r in proof} <= {X.REPLACED, X.ORDER_STATUS, X.RESTATED}
        assert proof
        booked = world.booked("U1")
        assert booked is not None
        assert booked.quantity == D("0.015")


async def test_what_binance_cannot_change_in_place_is_refused_before_anything_is_sent() -> None:
    async with World("binance") as world:
        order = limit("U1")
        await world.executor.submit(order)
        before = dict(world.venue.requests)
        await world.executor.amend(order, Replacement("r1", D("0.02"), D(41000)))
        (told,) = world.of("U1", X.REPLACE_REJECTED)
        assert told.request_id == "r1"
        assert "Not sent" in (told.reason or "")
        assert {k: v for k, v in world.venue.requests.items() if k.startswith(("PUT", "POST"))} == {
            k: v for k, v in before.items() if k.startswith(("PUT", "POST"))
        }


@BOTH
async def test_a_crowd_is_looked_up_by_its_list_not_one_by_one(name: str) -> None:
    async with World(name, streams=False) as world:
        orders = [limit(f"U{number}") for number in range(20)]
        for each in orders:
            await world.executor.submit(each)
        before = sum(world.venue.requests.values())
        await world.executor.look_up(orders)
        assert sum(world.venue.requests.values()) - before <= 2
        assert {each.client_order_id for each in world.told if each.exec_type is X.ORDER_STATUS} == {
            each.client_order_id for each in orders
        }


@BOTH
async def test_trades_come_before_the_picture_that_counts_them(name: str) -> None:
    async with World(name, streams=False) as world:
        order = limit("U1")
        booked = await world.rest(order)
        world.venue.exchange.fill(booked, D("0.005"))
        world.venue.exchange.fill(booked, D("0.006"))
        world.told.clear()
        await world.executor.look_up([order])
        assert [each.exec_type for each in world.of("U1")] == [X.TRADE, X.TRADE, X.ORDER_STATUS]
        assert world.told[-1].filled_quantity == D("0.011")


@BOTH
async def test_one_look_up_that_fails_keeps_no_other_from_its_answer(name: str) -> None:
    async with World(name, streams=False) as world:
        orders = [limit("U1"), limit("U2")]
        for each in orders:
            await world.executor.submit(each)
        world.told.clear()
        world.fail(FIND, "status", status=503)
        with pytest.raises(RouterError):
            await world.executor.look_up(orders)
        assert [each.client_order_id for each in world.told] == ["U2"]


@BOTH
async def test_what_is_left_of_an_ioc_has_expired(name: str) -> None:
    async with World(name, streams=False) as world:
        await world.executor.submit(limit("U1", time_in_force=TimeInForce.IOC))
        await world.until(lambda: [r for r in world.of("U1") if r.order_status is S.EXPIRED])


@BOTH
async def test_a_post_only_order_that_would_take_is_rejected(name: str) -> None:
    async with World(name, streams=False) as world:
        await world.executor.submit(limit("U1", price="60000", post_only=True))
        await world.until(
            lambda: [r for r in world.of("U1") if S.REJECTED is r.order_status or r.exec_type is X.REJECTED]
        )


@BOTH
async def test_the_stream_tells_trades_and_ends_without_being_asked(name: str) -> None:
    async with World(name) as world:
        order = limit("U1")
        await world.executor.submit(order)
        await world.until(lambda: world.of("U1", X.NEW))
        before = dict(world.venue.requests)
        booked = world.booked("U1")
        assert booked is not None
        world.venue.exchange.fill(booked, D("0.005"))
        await world.until(lambda: world.of("U1", X.TRADE))
        world.venue.exchange.cancel(booked, reason="by somebody else")
        await world.until(lambda: [r for r in world.of("U1", X.RESTATED) if r.order_status is S.CANCELLED])
        assert world.of("U1", X.TRADE)[0].liquidity == "maker"
        if name == "binance":
            assert dict(world.venue.requests) == before


@BOTH
async def test_the_book_names_whose_every_trade_is(name: str) -> None:
    async with World(name, streams=False) as world:
        await world.executor.submit(market("U1"))
        await world.executor.submit(limit("U2"))
        foreign = world.venue.exchange.place(
            symbol="BTCUSDT", side="BUY", type="MARKET", client_id="somebody", quantity=D("0.01")
        )
        book = await world.executor.book(SystemClock().now() - timedelta(minutes=1))
        assert [each.client_order_id for each in book.orders] == ["U2"]
        assert {each.client_order_id for each in book.trades} == {"U1", "somebody"}
        assert {each.trade_id for each in book.trades} >= {str(each.id) for each in foreign.trades}
        free, locked = world.venue.exchange.balances()["USDT"]
        assert book.balances["USDT"] == free + locked


@BOTH
async def test_a_venue_that_is_down_at_the_start_is_opened_later(name: str) -> None:
    world = World(name, starts=False)
    world.venue.maintenance = True
    async with world:
        await world.until(lambda: "cannot be read" in (world.executor.not_ready() or ""))
        assert world.executor.instrument(SYMBOL) is None
        world.venue.maintenance = False
        await world.until(lambda: world.executor.not_ready() is None)
        assert world.executor.instrument(SYMBOL) is not None


@BOTH
async def test_a_hand_over_that_is_given_up_is_looked_up(name: str) -> None:
    async with World(name, streams=False) as world:
        world.fail(CREATE, "hang_after")
        handing = asyncio.create_task(world.executor.submit(limit("U1")))
        await world.until(lambda: world.booked("U1"))
        handing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handing
        await world.until(lambda: world.of("U1", X.ORDER_STATUS))


async def test_the_ends_of_a_run_leave_no_socket() -> None:
    async with World("binance") as world:
        assert world.venue.peers
        await world.executor.submit(limit("U1"))
    assert not world.venue.peers


@BOTH
async def test_a_sell_is_a_sell(name: str) -> None:
    async with World(name, streams=False) as world:
        await world.executor.submit(market("U1", side=OrderSide.SELL))
        await world.until(lambda: world.of("U1", X.TRADE))
        booked = world.booked("U1")
        assert booked is not None
        assert booked.side == "SELL"


@BOTH
@pytest.mark.parametrize("kind", ["html", "empty"])
async def test_a_list_of_markets_that_is_none_opens_nothing(name: str, kind: str) -> None:
    world = World(name, starts=False)
    path = {"binance": "GET /api/v3/exchangeInfo", "bybit": "GET /v5/market/instruments-info"}
    world.fail(path, kind, times=2)
    async with world:
        await world.until(lambda: "cannot be read" in (world.executor.not_ready() or ""))
        await world.until(lambda: world.executor.not_ready() is None)
        assert world.executor.instrument(SYMBOL) is not None


async def test_the_venues_own_count_of_requests_counts() -> None:
    async with World("binance") as world:
        seen: list[float] = []
        world.executor._link.client.on_weight = seen.append
        await world.executor.submit(limit("U1"))
        await world.executor.look_up([limit("U1")])
        assert seen == sorted(seen)
        assert seen[-1] > 0


@BOTH
async def test_what_the_stream_says_of_others_is_not_passed_on(name: str) -> None:
    async with World(name) as world:
        await world.executor.submit(limit("U1"))
        world.told.clear()
        foreign: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "quantity": D("0.01")}
        world.venue.exchange.place(type="MARKET", client_id="else1", **foreign)
        placed = world.venue.exchange.place(type="LIMIT", client_id="else2", price=D(40000), **foreign)
        world.venue.exchange.cancel(placed.order, reason="elsewhere")
        booked = world.booked("U1")
        assert booked is not None
        world.venue.exchange.cancel(booked, reason="elsewhere")
        await world.until(lambda: world.of("U1"))
        assert {each.client_order_id for each in world.told} == {"U1"}


@BOTH
async def test_a_look_up_at_the_start_waits_for_the_markets(name: str) -> None:
    async with World(name, streams=False) as world:
        await world.executor.submit(limit("U1"))
        await world.restart()
        assert world.executor.not_ready() is not None
        await world.executor.look_up([limit("U1")])
        assert world.of("U1", X.ORDER_STATUS)
        assert world.executor.halted() is None


async def test_clocks_that_are_too_far_apart_halt_new_orders() -> None:
    async with World("binance") as world:
        world.venue.exchange.clock_offset_ms = 120_000
        await world.executor._measure()
        assert "NTP" in (world.executor.halted() or "")
        world.venue.exchange.clock_offset_ms = 9_000
        await world.executor._measure()
        assert world.executor.halted() is None


@BOTH
async def test_answers_that_are_none_open_the_circuit(name: str) -> None:
    async with World(name, streams=False) as world:
        world.fail(CREATE, "html", times=None)
        world.fail(FIND, "html", times=None)
        for number in range(6):
            with pytest.raises(RouterError):
                await world.executor.submit(limit(f"U{number}"))
        await world.until(world.executor.halted)
        assert any(severity is Severity.HIGH for severity, _ in world.alerts)


async def test_an_order_that_was_acknowledged_is_absent_only_when_the_open_orders_lack_it_too() -> None:
    async with World("binance", streams=False) as world:
        order = limit("U1")
        await world.executor.submit(order)
        known = limit("U1", venue_order_id=world.told[-1].venue_order_id)
        world.told.clear()
        world.fail(FIND, "not_found_once")
        await world.executor.look_up([known])
        assert [each.exec_type for each in world.told] == [X.ORDER_STATUS]
        world.told.clear()
        world.fail(FIND, "not_found_once")
        await world.executor.look_up([order])
        assert [each.exec_type for each in world.told] == [X.NOT_FOUND]
