"""What the testnet's smoke test does, step by step: each says what it has seen, or raises what was wrong.

The router is driven through its public API alone; what the venue has is read past it, by a client of our own. This
module must not know where the venue runs, or how a step is shown.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final, NamedTuple

from router import ExecutionPipeline, ExecutionResult, ExecutionStatus, LiveExecutionLockedError
from router.clock import SystemClock
from router.domain.events import Fill, Filled, PartiallyFilled, decode_event
from router.domain.order import ZERO, Order
from router.executors.testnet.build import DIALECTS
from router.executors.testnet.client import SandboxClient
from router.executors.testnet.credentials import read_credentials
from router.journal.audit import export
from router.market.instruments import load_instruments
from tools.sandbox_checks import FailedError, refuse_live
from tools.smoke_bench import Bench, books, named, plain, stepped

S = ExecutionStatus

EXPIRES_S: Final = 2.0
FAR: Final = Decimal("0.2")
"""How far below the market a resting order is, as a fraction; less when the price collar is narrower."""
RESTING, SMALL = 3, 2
"""Quantities, in the smallest that the venue takes at the far price."""


class SkippedError(Exception):
    """A step cannot be done here; the text says why."""


class Step(NamedTuple):
    """What is done, and what to do about it when it fails."""

    name: str
    run: Callable[[], Awaitable[str]]
    hint: str


class Smoke(Bench):
    """One run against one venue."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.resting: Order
        self.steps: tuple[Step, ...] = (
            Step("connect", self.connect, "Set testnet.venue or --exchange to a venue with a sandbox, and its keys."),
            Step("clock", self.clock, "Check the network, this machine's clock (NTP) and the venue's status page."),
            Step("balances", self.balances, "Check the keys and their permissions; get test funds from the venue."),
            Step("markets", self.markets, "Choose a --symbol that the venue lists and config/instruments.toml names."),
            Step("start reconciliation", self.reconcile_first, "Nothing is traded before it has succeeded: fix that."),
            Step("market order", self.trade, "If the sandbox's book is thin, choose another --symbol or try later."),
            Step("resting limit", self.rest, "See the reason; check limits and instruments against the venue."),
            Step("amend", self.amend, "Look the order up at the venue: the old terms may still stand."),
            Step("cancel", self.cancel, "Cancel it at the venue by hand, then look for the cause in the log."),
            Step("partial fill", self.fill_in_part, "Compare the order's story with the venue's trades."),
            Step("expiry", self.expire, "See that the router's and the venue's clock agree."),
            Step("duplicate id", self.repeat, "CRITICAL: do not start a session; open an incident."),
            Step("live is refused", self.refuse_live, "CRITICAL: do not start a session; open an incident."),
            Step("reconciliation", self.reconcile, "Does another program trade on this account? If not: incident."),
        )
        self.clean = Step("clean up", self.clean_up, "Cancel what is named at the venue by hand.")
        self.last = Step("stop", self.stop, "See the log of this run.")

    async def connect(self) -> str:
        """Build a client of our own, for what is compared with the router, and try its lock."""
        testnet = self.settings.testnet
        keys = read_credentials(self.profile, os.environ, base_url=testnet.base_url)
        self.client = SandboxClient(
            self.profile,
            keys,
            base_url=testnet.base_url,
            recv_window_ms=testnet.recv_window_ms,
            clock=SystemClock(),
        )
        self.stack.push_async_callback(self.client.close)
        self.dialect = DIALECTS[self.profile.dialect](self.client)
        where = testnet.base_url or ", ".join(sorted(self.profile.origins))
        known = "a verified profile" if self.profile.verified else "NOT verified: the careful generic profile"
        return f"{known}, sandbox on; only {where} can be reached: {await refuse_live(self.client)}"

    async def clock(self) -> str:
        reading = await self.client.measure_clock()
        return f"the venue is {reading.offset_ms:+.0f} ms from our clock, round trip {reading.round_trip_ms:.1f} ms"

    async def balances(self) -> str:
        self.held = await self.dialect.balances()
        shown = [f"{plain(self.held.get(name, ZERO))} {name}" for name in self.symbol.split("/")]
        if not self.held.get(self.symbol.split("/")[1]):
            raise FailedError(f"the account holds {' and '.join(shown)}, so nothing can be bought")
        return " and ".join(shown)

    async def markets(self) -> str:
        """Learn the steps and the prices, and choose quantities: every order is worth a little more than needed."""
        ours = load_instruments(self.settings.instruments_path)[self.symbol]
        await self.dialect.load()
        theirs = self.dialect.instrument(self.symbol)
        if theirs is None or not theirs.tradable:
            raise FailedError(f"{self.profile.venue} does not list {self.symbol}, or it does not trade now")
        self.tick, lot, least, worth = (
            max(getattr(ours, name), getattr(theirs, name))
            for name in ("tick_size", "lot_size", "min_quantity", "min_notional")
        )
        book = await self.client.ex.fetch_order_book(self.symbol, 5)
        if not book["bids"] or not book["asks"]:
            raise FailedError(f"nobody offers {self.symbol} now")
        bid, ask = (Decimal(str(book[side][0][0])) for side in ("bids", "asks"))
        collar = self.settings.safety.price_collar_pct
        far = FAR if collar is None else min(FAR, collar * Decimal("0.008"))  # of its percents four fifths
        self.far = stepped(bid * (1 - far), self.tick, ROUND_FLOOR)
        self.unit = stepped(max(least, worth * Decimal("1.1") / self.far), lot, ROUND_CEILING)
        needed = self.unit * ask * 2 * (RESTING + SMALL)
        if self.held.get(ours.quote, ZERO) < needed:
            raise FailedError(f"the test needs {plain(needed)} {ours.quote}, more than the account holds")
        return (
            f"{self.symbol} {plain(bid)}/{plain(ask)}, tick {plain(theirs.tick_size)}, lot {plain(theirs.lot_size)}, "
            f"least {plain(theirs.min_notional)} {ours.quote}; a unit here is {plain(self.unit)} {ours.base}"
        )

    async def reconcile_first(self) -> str:
        """Start the router: it takes no order before its books and the venue's have been compared."""
        self.pipeline = await self.stack.enter_async_context(ExecutionPipeline("testnet", self.settings))
        health: dict[str, object] = {}

        def compared() -> bool:
            health.update(self.pipeline.health()["testnet"])
            return bool(health["ok"])

        await self.until(compared, lambda: f"the router says: {health['detail']}")
        await self.until(
            lambda: self.pipeline.market.age(self.symbol) is not None, lambda: f"no quote of {self.symbol} came"
        )
        return str(health["detail"])

    async def trade(self) -> str:
        result = await self.submit(self.intent(SMALL))
        order = await self.ended(result)
        if order.status is not S.FILLED:
            raise FailedError(f"it ended {order.status}, with {order.filled_quantity} of {order.quantity} filled")
        story = await self.pipeline.story(order.client_order_id)
        fills = {event.trade_id: event for event in story if isinstance(event, Filled | PartiallyFilled)}
        await self.compare(order, fills)
        return f"FILLED, {plain(order.quantity)} at {plain(order.average_price)}, trades {', '.join(fills)}"

    async def rest(self) -> str:
        self.resting = await self.work(RESTING)
        return f"SUBMITTED, {plain(self.resting.quantity)} at {plain(self.resting.price)}, {named(self.resting)}"

    async def amend(self) -> str:
        """Ask for less, and where the venue changes prices for another price, and see the terms at the venue."""
        name = self.resting.client_order_id
        price = self.resting.price if self.profile.dialect == "binance" else self.price()
        result = await self.pipeline.amend_order(name, quantity=self.unit * SMALL, price=price)
        if result.status is S.REJECTED and not self.profile.verified:
            raise SkippedError(f"the venue has no way that is known: {result.reason}")
        if result.status not in {S.SUCCESS, S.SUBMITTED}:
            raise FailedError(f"{result.status}: {result.reason}")
        terms = (self.unit * SMALL, price)
        await self.until(lambda: _terms(self.order(name)) == terms, lambda: f"the terms are {_terms(self.order(name))}")
        await self.shown(self.order(name), lambda shown: (shown.quantity, shown.price) == terms)
        return f"{plain(terms[0])} at {plain(terms[1])} in force, the venue shows the same"

    async def cancel(self) -> str:
        name = self.resting.client_order_id
        await self.pipeline.cancel_order(name, reason="smoke test")
        order = await self.pipeline.wait_for(name, self.seconds)
        if order.status is not S.CANCELLED:
            raise FailedError(f"it ended {order.status}")
        await self.shown(order, lambda shown: shown.status is S.CANCELLED)
        return "CANCELLED, the venue shows the same"

    async def fill_in_part(self) -> str:
        if not self.local:
            raise SkippedError("nobody can be told to trade with a resting order of a real sandbox")
        order = await self.work(SMALL)
        await self.tell_venue({"do": "fill", "client_id": order.client_order_id, "quantity": str(self.unit)})
        await self.until(
            lambda: self.order(order.client_order_id).status is S.PARTIALLY_FILLED,
            lambda: f"it is still {self.order(order.client_order_id).status}",
        )
        seen = self.order(order.client_order_id)
        if seen.filled_quantity != self.unit or seen.leaves_quantity != self.unit:
            raise FailedError(f"filled {seen.filled_quantity} and open {seen.leaves_quantity}, not {self.unit} each")
        return f"PARTIALLY_FILLED, {plain(seen.filled_quantity)} at {plain(seen.average_price)}, the rest is working"

    async def expire(self) -> str:
        """By time, which the router ends, and by IOC, which the venue does."""
        at = self.pipeline.clock.now() + timedelta(seconds=EXPIRES_S)
        timed = await self.work(SMALL, time_in_force="GTD", expire_at=at)
        ioc = self.intent(SMALL, order_type="limit", price=self.price(), time_in_force="IOC")
        at_once = await self.ended(await self.submit(ioc))
        later = await self.pipeline.wait_for(timed.client_order_id, self.seconds)
        for what, order in (("IOC", at_once), ("GTD", later)):
            if order.status is not S.EXPIRED or order.filled_quantity:
                raise FailedError(f"the {what} order is {order.status}, with {order.filled_quantity} filled")
        late_ms = (later.updated_at - at).total_seconds() * 1000
        return f"IOC EXPIRED at once, GTD EXPIRED {late_ms:.0f} ms after its time"

    async def repeat(self) -> str:
        intent = self.intent(SMALL, order_type="limit", price=self.price())
        first, again, later = [await self.submit(intent) for _ in range(3)]
        if len({_verdict(each) for each in (first, again, later)}) != 1:
            raise FailedError("the same intent_id was answered otherwise when it was sent again")
        name = first.client_order_id or ""
        await self.until(lambda: self.works(name), lambda: f"it is {self.order(name).status}")
        working = await self.dialect.open_orders(self.symbol)
        if (count := sum(shown.client_order_id == name for shown in working)) != 1:
            raise FailedError(f"the venue has {count} orders of it")
        return "the same intent_id, sent three times, has one answer and one order at the venue"

    async def refuse_live(self) -> str:
        try:
            answer = await self.pipeline.submit_order(self.intent(SMALL, environment="live"))
        except LiveExecutionLockedError as error:
            result = error.result
            if not isinstance(result, ExecutionResult) or result.executor_called:
                raise FailedError("it was refused, but an executor was called") from None
            return f"LiveExecutionLockedError, {result.violation} is locked, no executor called"
        raise FailedError(f"env=live was answered {answer.status}")

    async def reconcile(self) -> str:
        """Compare orders, trades and balances: the router's from its journal, the venue's from itself."""
        events = [decode_event(each) for each in export(self.pipeline.journal_path)]
        fills: dict[str, dict[str, Fill]] = {name: {} for name in self.sent}
        for event in events:
            if isinstance(event, Filled | PartiallyFilled) and event.client_order_id in fills:
                fills[event.client_order_id][event.trade_id] = event
        for name in self.sent:
            await self.compare(self.order(name), fills[name])
        expected = books(events, self.symbol, fills)
        await self.agree(expected)
        count = sum(map(len, fills.values()))
        return f"{len(self.sent)} orders, {count} trades and {len(expected)} balances equal to the venue's"

    async def clean_up(self) -> str:
        """Cancel what works, and see at the venue that nothing of this run is left."""
        cancelled = await self.pipeline.cancel_all(environment="testnet", reason="end of the smoke test")
        for name in cancelled:
            await self.pipeline.wait_for(name, self.seconds)
        working = {shown.client_order_id for shown in await self.dialect.open_orders(self.symbol)}
        if left := [name for name in self.sent if name in working]:
            raise FailedError(f"still working at the venue: {', '.join(left)}")
        return f"{len(cancelled)} cancelled, nothing of this run is left working"

    async def stop(self) -> str:
        """Stop the router and close every connection."""
        await self.stack.aclose()
        return "the router has ended, every connection is closed"

    @property
    def started(self) -> bool:
        """Whether the router runs, so that there may be something to clean up."""
        return hasattr(self, "pipeline")


def _terms(order: Order) -> tuple[Decimal, Decimal | None] | None:
    """Return the terms in force, None while others are asked for."""
    return None if order.pending_replaces else (order.quantity, order.price)


def _verdict(result: ExecutionResult) -> tuple[object, ...]:
    return result.status, result.run_id, result.client_order_id, result.timestamp
