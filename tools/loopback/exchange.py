"""The matching engine and the one account of a loopback venue: no HTTP, no codes, no words of a venue.

The book is a ladder around each market's mid that orders eat from; it is set up anew when the price moves. The
account's own orders rest beside it: they are filled at their own price by ``move_price`` or ``fill``, are not shown in
the book and never trade with each other. Every call is one step: it happens wholly, or raises ``RefusedError`` and
nothing has changed.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

from router.clock import Clock
from tools.loopback.model import (
    Event,
    EventKind,
    Market,
    Order,
    OrderType,
    Placed,
    Policy,
    Refusal,
    RefusedError,
    Side,
    Status,
    TimeInForce,
    Trade,
    default_balances,
    default_markets,
)

LEVELS = 20
STEP = Decimal("0.0002")  # between two levels of the book, as a part of the price
CENT = Decimal("0.00000001")  # the smallest amount of a fee

Level = tuple[Decimal, Decimal]  # price, quantity


class Exchange:
    """Markets, books, orders, trades and balances.

    Listeners are plain callables in ``order_listeners`` (each ``Event``), ``balance_listeners`` (currency, change,
    after a deposit) and ``book_listeners`` (symbol); they are called in the middle of things and must not call back.
    """

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self.policy = policy
        self.markets: dict[str, Market] = default_markets()
        self.free: dict[str, Decimal] = defaultdict(Decimal, default_balances())
        self.locked: dict[str, Decimal] = defaultdict(Decimal)
        self.orders: dict[int, Order] = {}
        self.trades: list[Trade] = []
        self.clock_offset_ms = 0
        self.order_listeners: list[Callable[[Event], None]] = []
        self.balance_listeners: list[Callable[[str, Decimal], None]] = []
        self.book_listeners: list[Callable[[str], None]] = []
        self._clock = clock
        self._by_client: dict[str, list[Order]] = {}
        self._open: dict[int, Order] = {}
        self._books: dict[str, dict[Side, list[Level]]] = {}
        self._order_ids = itertools.count(policy.first_order_id)
        self._trade_ids = itertools.count(policy.first_trade_id)
        for market in self.markets.values():
            self._quote(market)

    # -- asking ------------------------------------------------------------------------------------------------

    def time(self) -> int:
        """Return the venue's clock in milliseconds."""
        return int(self._clock.now().timestamp() * 1000) + self.clock_offset_ms

    def market(self, symbol: str) -> Market:
        try:
            return self.markets[symbol]
        except KeyError:
            raise RefusedError(Refusal.UNKNOWN_SYMBOL) from None

    def book(self, symbol: str) -> tuple[list[Level], list[Level]]:
        """Return bids and asks, best first."""
        self.market(symbol)
        sides = self._books[symbol]
        return sides["BUY"], sides["SELL"]

    def find(self, *, order_id: int | None = None, client_id: str | None = None) -> Order | None:
        """Return the order; of several with one client id the open one, else the newest."""
        if order_id is not None:
            return self.orders.get(order_id)
        orders = self._by_client.get(client_id or "", [])
        return next((order for order in orders if order.is_open), orders[-1] if orders else None)

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        return [order for order in self._open.values() if symbol in {None, order.symbol}]

    def closed_orders(self, symbol: str | None = None) -> list[Order]:
        return [order for order in self.orders.values() if not order.is_open and symbol in {None, order.symbol}]

    def trades_of(self, order: Order) -> list[Trade]:
        return [trade for trade in self.trades if trade.order_id == order.id]

    def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Return (free, locked) by currency."""
        return {currency: (free, self.locked[currency]) for currency, free in sorted(self.free.items())}

    def duplicates(self) -> dict[str, int]:
        """Return the client ids under which more than one order was accepted."""
        return {client_id: len(orders) for client_id, orders in self._by_client.items() if len(orders) > 1}

    # -- orders ------------------------------------------------------------------------------------------------

    def place(
        self,
        *,
        symbol: str,
        side: Side,
        type: OrderType,  # noqa: A002  # as every venue calls it
        client_id: str,
        quantity: Decimal | None = None,
        quote_quantity: Decimal | None = None,
        price: Decimal | None = None,
        time_in_force: TimeInForce = "GTC",
        post_only: bool = False,
        foreign: bool = False,
    ) -> Placed:
        """Accept an order and let it take what it can; ``quote_quantity`` is for a market order in quote units."""
        market = self.market(symbol)
        if market.status != "TRADING":
            raise RefusedError(Refusal.MARKET_CLOSED)
        if quantity is None:
            quantity = self._for_quote(market, side, quote_quantity or Decimal(0))
        self._check_filters(market, quantity, price)
        self._check_unique(client_id)
        plan = self._plan(symbol, side, quantity, price)
        if plan and post_only and self.policy.post_only == "refuse":
            raise RefusedError(Refusal.WOULD_TAKE)
        if time_in_force == "FOK" and sum(size for _, size in plan) < quantity:
            plan = []
        self._check_funds(market, side, quantity, price, plan)
        now = self.time()
        order = Order(
            id=next(self._order_ids),
            client_id=client_id,
            symbol=symbol,
            side=side,
            type=type,
            time_in_force="IOC" if type == "MARKET" else time_in_force,
            post_only=post_only,
            quantity=quantity,
            quote_quantity=quote_quantity,
            price=price,
            created_ms=now,
            updated_ms=now,
            foreign=foreign,
        )
        self.orders[order.id] = self._open[order.id] = order
        self._by_client.setdefault(client_id, []).append(order)
        self._relock(order)
        self._emit("new", order)
        if plan and post_only:
            self._finish(order, "canceled", "CANCELED", "post-only would take")
            return Placed(order=order, trades=())
        trades = self._take(order, plan)
        if order.is_open and order.time_in_force != "GTC":
            self._finish(order, "expired", "EXPIRED", "nothing left to take")
        return Placed(order=order, trades=trades)

    def cancel(self, order: Order, *, request_id: str = "", reason: str = "cancelled") -> Order:
        if not order.is_open:
            raise RefusedError(Refusal.NOT_OPEN)
        self._finish(order, "canceled", "CANCELED", reason, request_id=request_id)
        return order

    def expire(self, order: Order, reason: str) -> Order:
        """Let the venue end ``order`` by itself."""
        if not order.is_open:
            raise RefusedError(Refusal.NOT_OPEN)
        self._finish(order, "expired", "EXPIRED", reason)
        return order

    def amend(
        self,
        order: Order,
        *,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        client_id: str | None = None,
    ) -> Placed:
        """Change an open order as the venue's policy allows; a new price may take at once. Keeps the order's id."""
        if not order.is_open:
            raise RefusedError(Refusal.NOT_OPEN)
        market = self.market(order.symbol)
        wanted = (quantity or order.quantity, price or order.price)
        if wanted == (order.quantity, order.price):
            raise RefusedError(Refusal.NO_CHANGE)
        if wanted[0] <= order.filled:
            raise RefusedError(Refusal.BAD_AMEND)
        if self.policy.amend == "decrease" and (wanted[0] > order.quantity or wanted[1] != order.price):
            raise RefusedError(Refusal.BAD_AMEND)
        self._check_filters(market, *wanted)
        plan = self._plan(order.symbol, order.side, wanted[0] - order.filled, wanted[1])
        extra = self._to_lock(order.side, wanted[0] - order.filled, wanted[1]) - order.locked
        if extra > self.free[self._pays(order)]:
            raise RefusedError(Refusal.INSUFFICIENT)
        if client_id is not None and client_id != order.client_id:
            self._check_unique(client_id)
        old = order.client_id
        order.quantity, order.price = wanted
        order.updated_ms = self.time()
        if client_id is not None and client_id != old:
            self._by_client[old].remove(order)
            self._by_client.setdefault(client_id, []).append(order)
            order.client_id = client_id
        self._relock(order)
        self._emit("amended", order, old_client_id=old)
        if plan and order.post_only:
            self._finish(order, "canceled", "CANCELED", "post-only would take")
            return Placed(order=order, trades=())
        return Placed(order=order, trades=self._take(order, plan))

    # -- what others do ----------------------------------------------------------------------------------------

    def fill(self, order: Order, quantity: Decimal | None = None) -> Trade:
        """Let a counterparty trade against resting ``order`` at its price; default: all that is left."""
        if not order.is_open or order.price is None:
            raise RefusedError(Refusal.NOT_OPEN)
        return self._trade(order, order.price, min(quantity or order.remaining, order.remaining), maker=True)

    def move_price(self, symbol: str, mid: Decimal) -> list[Trade]:
        """Put the book around ``mid`` and fill what it crosses, each order at its own price."""
        market = self.market(symbol)
        market.mid = mid
        self._quote(market)
        crossed = [order for order in self.open_orders(symbol) if self._plan(symbol, order.side, CENT, order.price)]
        return [self.fill(order) for order in crossed]

    def deposit(self, currency: str, amount: Decimal) -> None:
        """Add to what is free; a negative amount is a withdrawal."""
        self.free[currency] += amount
        for listener in self.balance_listeners:
            listener(currency, amount)

    def delist(self, symbol: str) -> None:
        """Cancel the symbol's orders and forget the market; its orders and trades are kept."""
        self.market(symbol)
        for order in self.open_orders(symbol):
            self.cancel(order, reason="delisted")
        del self.markets[symbol]

    # -- how -----------------------------------------------------------------------------------------------------

    def _quote(self, market: Market) -> None:
        step = max(market.tick, (market.mid * STEP // market.tick) * market.tick)
        middle = (market.mid // market.tick) * market.tick
        offsets = [market.tick + step * level for level in range(LEVELS)]
        self._books[market.symbol] = {
            "BUY": [(middle - offset, market.level_size) for offset in offsets],
            "SELL": [(middle + offset, market.level_size) for offset in offsets],
        }
        for listener in self.book_listeners:
            listener(market.symbol)

    def _plan(self, symbol: str, side: Side, quantity: Decimal, price: Decimal | None) -> list[Level]:
        """Return what an order would take from the other side of the book, changing nothing."""
        plan: list[Level] = []
        for level, size in self._books[symbol]["SELL" if side == "BUY" else "BUY"]:
            within = price is None or (level <= price if side == "BUY" else level >= price)
            if quantity <= 0 or not within:
                break
            plan.append((level, min(size, quantity)))
            quantity -= size
        return plan

    def _for_quote(self, market: Market, side: Side, amount: Decimal) -> Decimal:
        """Return the quantity that ``amount`` of quote currency buys or sells, rounded down to a lot."""
        quantity = Decimal(0)
        for price, size in self._books[market.symbol]["SELL" if side == "BUY" else "BUY"]:
            part = min(size, amount / price)
            quantity += part
            amount -= part * price
        return (quantity // market.lot) * market.lot

    def _check_filters(self, market: Market, quantity: Decimal, price: Decimal | None) -> None:
        if price is not None and (price <= 0 or price % market.tick):
            raise RefusedError(Refusal.PRICE_STEP)
        if not market.min_qty <= quantity <= market.max_qty:
            raise RefusedError(Refusal.QUANTITY_RANGE)
        if quantity % market.lot:
            raise RefusedError(Refusal.QUANTITY_STEP)
        if quantity * (price or market.mid) < market.min_notional:
            raise RefusedError(Refusal.MIN_NOTIONAL)

    def _check_unique(self, client_id: str) -> None:
        orders = self._by_client.get(client_id, ())
        if any(self.policy.client_ids == "ever" or order.is_open for order in orders):
            raise RefusedError(Refusal.DUPLICATE)

    def _check_funds(
        self, market: Market, side: Side, quantity: Decimal, price: Decimal | None, plan: list[Level]
    ) -> None:
        if side == "SELL":
            needed = quantity
        else:
            needed = quantity * price if price is not None else sum((at * size for at, size in plan), Decimal(0))
        if needed > self.free[market.base if side == "SELL" else market.quote]:
            raise RefusedError(Refusal.INSUFFICIENT)

    def _take(self, order: Order, plan: list[Level]) -> tuple[Trade, ...]:
        if not plan:
            return ()
        other: Side = "SELL" if order.side == "BUY" else "BUY"
        last_price, last_size = plan[-1]
        levels = self._books[order.symbol][other][len(plan) - 1 :]
        left = levels[0][1] - last_size
        self._books[order.symbol][other] = [(last_price, left), *levels[1:]] if left else levels[1:]
        trades = tuple(self._trade(order, price, size, maker=False) for price, size in plan)
        for listener in self.book_listeners:
            listener(order.symbol)
        return trades

    def _trade(self, order: Order, price: Decimal, quantity: Decimal, *, maker: bool) -> Trade:
        market = self.market(order.symbol)
        order.filled += quantity
        order.quote_filled += price * quantity
        order.status = "FILLED" if order.remaining == 0 else "PARTIALLY_FILLED"
        order.updated_ms = self.time()
        self._relock(order)
        pays, gets = (market.quote, market.base) if order.side == "BUY" else (market.base, market.quote)
        paid, got = (price * quantity, quantity) if order.side == "BUY" else (quantity, price * quantity)
        fee = (got * (self.policy.maker_fee if maker else self.policy.taker_fee)).quantize(CENT)
        self.free[pays] -= paid
        self.free[gets] += got - fee
        trade = Trade(
            id=next(self._trade_ids),
            order_id=order.id,
            client_id=order.client_id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            fee=fee,
            fee_currency=gets,
            maker=maker,
            at_ms=order.updated_ms,
        )
        self.trades.append(trade)
        if not order.is_open:
            del self._open[order.id]
        self._emit("trade", order, trade=trade)
        return trade

    def _finish(self, order: Order, kind: EventKind, status: Status, reason: str, *, request_id: str = "") -> None:
        order.status, order.reason, order.updated_ms = status, reason, self.time()
        self._relock(order)
        del self._open[order.id]
        self._emit(kind, order, request_id=request_id)

    def _pays(self, order: Order) -> str:
        market = self.market(order.symbol)
        return market.quote if order.side == "BUY" else market.base

    def _to_lock(self, side: Side, remaining: Decimal, price: Decimal | None) -> Decimal:
        if price is None:  # a market order never rests
            return Decimal(0)
        return remaining * price if side == "BUY" else remaining

    def _relock(self, order: Order) -> None:
        """Hold exactly what the open rest of ``order`` would pay."""
        wanted = self._to_lock(order.side, order.remaining, order.price) if order.is_open else Decimal(0)
        currency = self._pays(order)
        self.free[currency] -= wanted - order.locked
        self.locked[currency] += wanted - order.locked
        order.locked = wanted

    def _emit(
        self,
        kind: EventKind,
        order: Order,
        *,
        trade: Trade | None = None,
        request_id: str = "",
        old_client_id: str = "",
    ) -> None:
        event = Event(
            kind=kind,
            order=order,
            at_ms=order.updated_ms,
            trade=trade,
            request_id=request_id,
            old_client_id=old_client_id,
        )
        for listener in self.order_listeners:
            listener(event)
