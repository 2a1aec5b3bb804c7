"""Everything the venue has of the account, request by request, for a comparison with our own books.

This module must not know what is compared, or what an order of ours is doing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import msgspec

from router.domain.venue import VenueBook, VenueOrder, VenueTrade
from router.executors.testnet.dialect import Dialect
from router.executors.testnet.limiter import Priority
from router.executors.testnet.link import RequestFailedError
from router.executors.testnet.names import Names
from router.executors.testnet.outcomes import Kind
from router.logs import RouterLogger


class Ask(Protocol):
    """Sends a request of the dialect when it is its turn."""

    async def __call__(self, priority: Priority, what: str, call: Callable[[], Awaitable[Any]]) -> Any: ...


class Survey:
    """Reads the account."""

    def __init__(self, ask: Ask, dialect: Dialect, names: Names, log: RouterLogger) -> None:
        self._ask = ask
        self._dialect = dialect
        self._names = names
        self._log = log

    async def of(self, symbols: Iterable[str], since: datetime, at: datetime) -> VenueBook:
        """Return working orders and trades after ``since`` of the symbols that are listed, and all balances.

        Raises:
            RequestFailedError, NotSentError, NoProofError: a part is missing, so there is no whole.
        """
        orders: list[VenueOrder] = []
        trades: list[VenueTrade] = []
        for symbol in symbols:
            if self._dialect.instrument(symbol) is None:
                continue
            try:
                orders += await self._ask(Priority.POLL, "open_orders", partial(self._dialect.open_orders, symbol))
                find = partial(self._dialect.trades_since, symbol, since)
                trades += await self._ask(Priority.POLL, "trades_since", find)
            except RequestFailedError as failed:
                if failed.outcome.kind is not Kind.NOT_PLACED:
                    raise
                self._log.warning("symbol_refused", symbol=symbol, reason=str(failed))  # delisted since the start
        balances = await self._ask(Priority.POLL, "balances", self._dialect.balances)
        named = [await self._named(trade) for trade in trades]
        return VenueBook(orders=tuple(orders), trades=tuple(named), balances=balances, at=at)

    async def _named(self, trade: VenueTrade) -> VenueTrade:
        """Return the trade with the client id of its order, as far as the venue can tell it."""
        name = trade.client_order_id or self._names.of(trade.symbol, trade.venue_order_id)
        if name is None:
            find = partial(self._dialect.name_of, trade.symbol, trade.venue_order_id)
            name = await self._ask(Priority.POLL, "find", find)
            self._names.know(trade.symbol, trade.venue_order_id, name or "")
        return msgspec.structs.replace(trade, client_order_id=name or None)
