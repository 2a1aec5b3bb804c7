"""Two strategies to copy from, and a careless one that gets everything wrong.

A strategy is a coroutine that looks at the market and pushes intents; in a daemon of your own, ``desk.send`` is
``pipeline.intents.send``. Every intent carries an intent_id of its own, so that sending it again after a crash is
harmless. This module must not know how the demo measures, nor where its market comes from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from itertools import cycle
from typing import Any, Final, NamedTuple

from router.domain.enums import Environment, OrderSide, OrderType, TimeInForce
from router.domain.intent import OrderIntent
from router.domain.market import Quote
from router.execution.pipeline import ExecutionPipeline
from router.ids import client_order_id

BUY, SELL = OrderSide.BUY, OrderSide.SELL
_ORDER_VALUE: Final = Decimal(300)  # quote units
_MOST_HELD: Final = Decimal(3000)  # quote units; beyond it only the other side trades


class Desk(NamedTuple):
    """What a strategy works with.

    Args:
        pipeline: quotes, positions, cancels.
        symbols: what it trades.
        intent_ids: the ids it may use, in order; when they are used up it is done.
        send: pushes one intent into the queue.
        tick: waits for the next look at the market; False once there is none.
    """

    pipeline: ExecutionPipeline
    symbols: list[str]
    intent_ids: Iterator[str]
    send: Callable[[object], Awaitable[None]]
    tick: Callable[[], Awaitable[bool]]


async def market_maker(desk: Desk) -> None:
    """Rest a bid and an ask at the touch, and move them with it."""
    working: list[str] = []
    while await desk.tick():
        for order_id in working:
            order = desk.pipeline.order(order_id)  # None: a gate refused the intent
            if order is not None and order.is_open:
                await desk.pipeline.cancel_order(order_id, reason="requote")
        working.clear()
        for symbol in desk.symbols:
            quote = desk.pipeline.market.quote(symbol)
            for side in _sides(desk, symbol, quote):
                intent_id = next(desk.intent_ids, None)
                if quote is None or intent_id is None:
                    return
                await desk.send(
                    OrderIntent(
                        symbol=symbol,
                        side=side,
                        quantity=_quantity(desk, symbol, quote),
                        order_type=OrderType.LIMIT,
                        price=quote.bid if side is BUY else quote.ask,
                        time_in_force=TimeInForce.DAY,
                        post_only=True,
                        strategy_key="market_maker",
                        intent_id=intent_id,
                    )
                )
                working.append(client_order_id(intent_id))


async def momentum_taker(desk: Desk) -> None:
    """Follow the last move, in every way there is to take liquidity."""
    ways = cycle((_market, _immediate_or_cancel, _fill_or_kill, _post_only_that_would_take))
    seen: dict[str, Decimal] = {}
    while await desk.tick():
        for symbol in desk.symbols:
            quote = desk.pipeline.market.quote(symbol)
            intent_id = next(desk.intent_ids, None)
            if quote is None or intent_id is None:
                return
            rises = quote.mid >= seen.get(symbol, quote.mid)
            seen[symbol] = quote.mid
            sides = _sides(desk, symbol, quote)
            side = BUY if BUY in sides and (rises or SELL not in sides) else SELL
            await desk.send(
                OrderIntent(
                    symbol=symbol,
                    side=side,
                    quantity=_quantity(desk, symbol, quote),
                    strategy_key="momentum_taker",
                    intent_id=intent_id,
                    **next(ways)(quote.touch(side)),
                )
            )


def _market(touch: Decimal) -> dict[str, Any]:
    return {"order_type": OrderType.MARKET, "price": touch}  # the decision price, to measure slippage by


def _immediate_or_cancel(touch: Decimal) -> dict[str, Any]:
    return {"order_type": OrderType.LIMIT, "price": touch, "time_in_force": TimeInForce.IOC}


def _fill_or_kill(touch: Decimal) -> dict[str, Any]:
    return {"order_type": OrderType.LIMIT, "price": touch, "time_in_force": TimeInForce.FOK}


def _post_only_that_would_take(touch: Decimal) -> dict[str, Any]:
    return {"order_type": OrderType.LIMIT, "price": touch, "post_only": True}


def _sides(desk: Desk, symbol: str, quote: Quote | None) -> tuple[OrderSide, ...]:
    """Return the sides that keep the position small."""
    position = desk.pipeline.positions().get(symbol)
    if quote is None or position is None or abs(position.quantity) * quote.mid < _MOST_HELD:
        return (BUY, SELL)
    return (SELL,) if position.quantity > 0 else (BUY,)


def _quantity(desk: Desk, symbol: str, quote: Quote) -> Decimal:
    """Return a quantity worth about ``_ORDER_VALUE``, a multiple of the lot."""
    lot = desk.pipeline.instruments[symbol].lot_size
    return _ORDER_VALUE / quote.mid // lot * lot


async def careless(desk: Desk) -> None:
    """Send what no strategy should: every mistake of runbook §8.1, orders over limits, live, garbage."""
    for thing in _NO_INTENTS:
        await desk.send(thing)
    while await desk.tick():
        intent_id = next(desk.intent_ids, None)
        if intent_id is None:
            return
        mistake = _mistake(int(intent_id.rpartition("-")[2]) // CARELESS_EVERY)
        fields = {"symbol": desk.symbols[0], "side": BUY, "quantity": "0.01", "strategy_key": "careless"} | mistake
        times = fields.pop("times", 1)
        for _ in range(times):
            await desk.send(OrderIntent(**fields, intent_id=intent_id))


CARELESS_EVERY: Final = 10
"""One intent id in so many is a mistake; which one follows from the id alone, also after a restart."""


def _mistake(number: int) -> dict[str, Any]:
    return _ONCE[number] if number < len(_ONCE) else _MISTAKES[(number - len(_ONCE)) % len(_MISTAKES)]


_LIMIT: Final = {"order_type": OrderType.LIMIT}
_NO_INTENTS: Final = (42, "buy", b"\xff", ["BTC/USD", "buy"], {"sybol": "BTC/USD", "qty": 1}, object(), None)
"""Garbage objects; each is answered all the same."""
_ONCE: Final[tuple[dict[str, Any], ...]] = (
    {"environment": Environment.LIVE},
    {"environment": "moon"},
    {"quantity": "0", "times": 2},  # the same intent twice: one answer
    {"symbol": "BTC-USD"},
    {"side": "hold"},
    {"order_type": "stop_loss"},
    {**_LIMIT, "price": "-5"},
    {**_LIMIT, "price": "50000.001"},
    {"quantity": "0.0100000001"},
    {"quantity": "0.00001"},  # worth less than the venue's minimum
    {"quantity": "100000"},  # more than the venue's maximum
    {"quantity": "a lot"},
    {**_LIMIT, "price": "50000", "time_in_force": TimeInForce.GTD},
)
_MISTAKES: Final[tuple[dict[str, Any], ...]] = (
    {"quantity": 0.0},
    {"quantity": -0.5},
    {"quantity": float("nan")},
    {"quantity": float("inf")},
    {"symbol": None},
    {"symbol": ""},
    {"symbol": "INVALID/PAIR"},
    {"time_in_force": "FOREVER"},
    {**_LIMIT},  # without price
    {"quantity": "3"},  # more than one order may be
    {"quantity": "1.9"},  # worth more than one order may be
)
