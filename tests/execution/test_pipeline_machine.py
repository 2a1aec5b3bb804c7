"""The whole pipeline on the simulated venue: whatever is sent, repeated, amended, cancelled, and however often the
router dies in between, an intent has one result, holds go to zero, and the position is what traded.

Longer: see ``test_report_machine``.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router import ExecutionPipeline, ExecutionResult, ExecutionStatus, OrderIntent
from router.clock import VirtualClock
from router.domain.events import AmendmentAnswered, Answered, Pending, decode_event
from router.domain.order import Order
from router.ids import client_order_id
from router.journal.memory import MemoryJournal
from router.risk.account import Account
from router.settings import Settings
from tests.execution.test_report_machine import profile
from tests.execution.world import NOON, World
from tests.pipelines import encoded, intent, move, settings

S = ExecutionStatus
T = TypeVar("T")
which = st.integers(0, 9)
sides = st.sampled_from(["buy", "sell"])
quantities = st.integers(1, 9).map(lambda n: Decimal(n) / 100)
prices = st.integers(-2, 2).map(lambda n: Decimal(50000 + 100 * n))


@cache
def configured(home: Path, latency_ms: int, model: str) -> Settings:
    return settings(home, {"paper.latency_ms": latency_ms, "paper.fill_model": model, "paper.taker_fee_bps": "10"})


class Pipelines(RuleBasedStateMachine):
    home: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        logging.disable()
        self.runner = asyncio.Runner()
        self.clock = VirtualClock(NOON + timedelta(hours=11, minutes=55))  # a DAY order ends soon
        self.intents: dict[str, OrderIntent] = {}
        self.results: dict[str, ExecutionResult] = {}
        self.pipeline: ExecutionPipeline

    @initialize(latency_ms=st.sampled_from([0, 50]), model=st.sampled_from(["instant", "queue"]))
    def begin(self, latency_ms: int, model: str) -> None:
        self.settings = configured(self.home, latency_ms, model)
        self._run(self._start([]))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    async def _start(self, rows: list[Any]) -> None:
        self.journal = MemoryJournal(self.clock)
        self.journal.rows = rows
        self.read, self.answers, self.pendings = 0, Counter[str](), Counter[str]()
        self.pipeline = ExecutionPipeline("paper", self.settings, clock=self.clock, journal=self.journal)
        await self.pipeline.__aenter__()
        await self._settled()
        self.began_at = self.journal.next_seq

    async def _stop(self) -> None:
        await self.pipeline.__aexit__(None, None, None)

    async def _settled(self) -> None:
        """Let everything happen that needs no time, and be written."""
        await self.clock.advance(0)
        await self.journal.reached(self.journal.next_seq - 1)

    def _name(self, number: int) -> str:
        return client_order_id(list(self.intents)[number % len(self.intents)])

    def _new(self, **fields: Any) -> OrderIntent:
        key = f"intent {len(self.intents)}"
        self.intents[key] = intent(intent_id=key, **fields)
        return self.intents[key]

    async def _submit(self, wanted: OrderIntent) -> ExecutionResult:
        return await self.pipeline.submit_order(wanted, raise_on_governance_violation=False)

    def _answered(self, wanted: OrderIntent, result: ExecutionResult) -> None:
        """Take in an answer: every one to the same intent is the first one."""
        first = self.results.setdefault(wanted.intent_id, result)
        assert encoded(result) == encoded(first)

    # -- what strategies do --------------------------------------------------------------------------------

    @rule(
        side=sides,
        quantity=quantities,
        price=st.none() | prices,
        time_in_force=st.sampled_from(["GTC", "GTC", "IOC", "FOK", "DAY"]),
        times=st.integers(1, 3),
    )
    def submit(self, side: str, quantity: Decimal, price: Decimal | None, time_in_force: str, times: int) -> None:
        """Send an intent, and the same one again before it is answered."""
        kind = {"order_type": "market"} if price is None else {"order_type": "limit", "price": price}
        wanted = self._new(side=side, quantity=quantity, time_in_force=time_in_force, **kind)

        async def together() -> list[ExecutionResult]:
            return await asyncio.gather(*(self._submit(wanted) for _ in range(times)))

        for result in self._run(together()):
            self._answered(wanted, result)

    @rule(quantity=st.sampled_from([0, -1, 99, "x"]))
    def submit_nonsense(self, quantity: object) -> None:
        wanted = self._new(quantity=quantity)
        result = self._run(self._submit(wanted))
        assert result.status in (S.INVALID, S.BLOCKED_BY_RISK)
        self._answered(wanted, result)

    @precondition(lambda self: self.intents)
    @rule(number=which)
    def submit_again(self, number: int) -> None:
        wanted = list(self.intents.values())[number % len(self.intents)]
        self._answered(wanted, self._run(self._submit(wanted)))

    @precondition(lambda self: self.results)
    @rule(number=which)
    def submit_another_under_the_same_id(self, number: int) -> None:
        key = list(self.results)[number % len(self.results)]
        result = self._run(self._submit(intent(intent_id=key, quantity="0.77")))
        assert (result.status, result.invalid_field) == (S.INVALID, "intent_id")

    @rule(count=st.integers(1, 4), side=sides, price=prices)
    def stream(self, count: int, side: str, price: Decimal) -> None:
        """Send intents without waiting for their answers."""
        wanted = [self._new(side=side, order_type="limit", price=price) for _ in range(count)]

        async def send() -> None:
            for each in wanted:
                await self.pipeline.intents.send(each)
            await self.pipeline.idle()

        self._run(send())

    @precondition(lambda self: self.results)
    @rule(numbers=st.lists(which, min_size=1, max_size=3), quantity=st.none() | quantities, price=st.none() | prices)
    def amend_and_cancel(self, numbers: list[int], quantity: Decimal | None, price: Decimal | None) -> None:
        """Amend the first, cancel the others, all at once."""
        known = [name for name in map(self._name, numbers) if self.pipeline.order(name) is not None]

        async def together() -> None:
            calls: list[Coroutine[Any, Any, Any]] = [self.pipeline.cancel_order(name) for name in known[1:]]
            if known:
                calls.insert(0, self.pipeline.amend_order(known[0], quantity=quantity, price=price))
            await asyncio.gather(*calls)

        self._run(together())

    @rule(side=st.sampled_from([None, "BTC/USD", "ETH/USD"]))
    def cancel_all(self, side: str | None) -> None:
        self._run(self.pipeline.cancel_all(symbol=side))

    # -- what the world does -------------------------------------------------------------------------------

    @rule(middle=prices)
    def market_moves(self, middle: Decimal) -> None:
        move(self.pipeline, "BTC/USD", str(middle - 50), str(middle + 50))

    @rule(seconds=st.sampled_from([1, 40, 400]))
    def time_passes(self, seconds: int) -> None:
        self._run(self.clock.advance(seconds))

    @precondition(lambda self: self.journal.next_seq > self.began_at)
    @rule()
    def restart(self) -> None:
        """Stop and start again: the rows alone give the same state, and the venue goes on from it."""
        self._run(self._settled())
        replayed = World(journal=MemoryJournal(self.clock), clock=self.clock)
        replayed.disk.rows = list(self.journal.rows)

        async def again() -> None:
            await replayed.disk.open(replayed.tracker.replay)
            assert self._state(replayed.tracker.orders.recall, replayed.account) == self._state(
                self.pipeline.order, self.pipeline._accounts["paper"]
            )
            await self._stop()
            await self._start(list(self.journal.rows))

        self._run(again())

    @rule(side=sides, quantity=quantities, steps=st.integers(0, 12))
    def die(self, side: str, quantity: Decimal, steps: int) -> None:
        """Die while an intent is on its way: what was not written is gone, what was answered is not."""
        wanted = self._new(side=side, quantity=quantity)

        async def killed() -> ExecutionResult | None:
            sent = asyncio.create_task(self._submit(wanted))
            for _ in range(steps):
                await asyncio.sleep(0)
            rows, result = list(self.journal.rows), sent.result() if sent.done() else None
            await self._stop()
            await asyncio.wait({sent})
            sent.exception()
            await self._start(rows)
            return result

        result = self._run(killed())
        if result is not None:
            self._answered(wanted, result)

    # -- what always holds ---------------------------------------------------------------------------------

    def _orders(self) -> list[Order]:
        found = (self.pipeline.order(client_order_id(key)) for key in self.intents)
        return [order for order in found if order is not None]

    def _state(self, order: Callable[[str], Order | None], account: Account) -> tuple[object, ...]:
        portfolio, working = account.portfolio, account.holds.working("BTC/USD")
        orders = [order(client_order_id(key)) for key in self.intents]
        return orders, portfolio.cash, portfolio.fees, portfolio.positions, working.buys, working.sells

    @invariant()
    def always(self) -> None:
        self._run(self._settled())
        orders = self._orders()
        held = {"buy": Decimal(0), "sell": Decimal(0)}
        position = Decimal(0)
        for order in orders:
            assert order.filled_quantity + order.leaves_quantity == order.quantity or not order.is_open
            most = max([order.quantity, *(asked.quantity for asked in order.pending_replaces)])
            held[order.side] += most - order.filled_quantity if order.is_open else 0
            position += order.filled_quantity * (1 if order.side == "buy" else -1)
        account = self.pipeline._accounts["paper"]
        working = account.holds.working("BTC/USD")
        assert (working.buys, working.sells) == (held["buy"], held["sell"])
        assert account.portfolio.position("BTC/USD").quantity == position
        working_orders = {order.client_order_id for order in orders if order.is_open}
        assert self.pipeline._orders.open_count == len(working_orders)
        assert self.pipeline._watchdog.deadlines.keys() == working_orders
        self._check_answers()

    def _check_answers(self) -> None:
        answers, pendings = self.answers, self.pendings
        for row in self.journal.rows[self.read :]:
            event = decode_event(row.payload)
            if isinstance(event, Pending):
                pendings[event.client_order_id or ""] += 1
            elif isinstance(event, AmendmentAnswered):
                answers[event.run_id] += 1
            elif isinstance(event, Answered) and event.client_order_id is not None:
                answers[event.client_order_id] += 1
        self.read = len(self.journal.rows)
        assert set(answers.values()) | set(pendings.values()) <= {1}
        assert pendings.keys() <= answers.keys()
        assert {client_order_id(key) for key in self.results} <= answers.keys()

    def teardown(self) -> None:
        try:
            if hasattr(self, "pipeline"):
                try:
                    self._end()
                finally:
                    self._run(self._stop())  # or the next machine would find the home locked
        finally:
            self.runner.close()
            logging.disable(logging.NOTSET)

    def _end(self) -> None:
        """Cancel what works: nothing is held any more."""
        self._run(self.pipeline.cancel_all())
        self._run(self.clock.advance(400))
        self.always()
        assert self.pipeline.open_orders() == []
        assert len(self.pipeline._accounts["paper"].holds) == 0
        for key, wanted in self.intents.items():
            if key in self.results:
                self._answered(wanted, self._run(self._submit(wanted)))
        self.restart()


class TestPipelines(Pipelines.TestCase):  # type: ignore[misc,valid-type]
    settings = profile(40)

    @classmethod
    def setUpClass(cls) -> None:
        cls._home = tempfile.TemporaryDirectory()
        Pipelines.home = Path(cls._home.name)

    @classmethod
    def tearDownClass(cls) -> None:
        cls._home.cleanup()
