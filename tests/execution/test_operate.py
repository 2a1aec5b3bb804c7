"""What operators order is refused where it cannot be meant, answered with what it did, and carried out again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from router.clock import VirtualClock
from router.domain.control import HaltScope
from router.domain.events import Resumed, SessionOpened, decode_event
from router.errors import ExecutionPipelineError
from router.execution.operate import AccountView, Operations
from router.logs import get_logger
from tests.watchers.world import World

pytestmark = pytest.mark.asyncio
WHO: dict[str, Any] = {"operator": "anna", "reason": "a test"}


class Desk:
    """Operations on a world with one scripted venue, and an account that says what it is told to say."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lost: str | None = None
        self.position = Decimal(0)
        self.standing = world.tracker.standing
        self.resumed: list[tuple[HaltScope, str]] = []
        self.operations = Operations(
            self.standing,
            world.tracker.orders,
            world.cancels,
            world.journal,
            world.clock,
            get_logger(),
            venues={"paper": "paper", "testnet": "binance"},
            symbols=["BTC/USD", "ETH/USD"],
            strategies={"registered": None},
            account=AccountView(
                lambda _, reset_peak: None if reset_peak else self.lost,
                lambda _: Decimal("91000.5"),
                lambda _: {"paper": Decimal(-7)},
                lambda environment, symbol: self.position,
            ),
            resumed=lambda scope, name: self.resumed.append((scope, name)),
        )

    @property
    def events(self) -> list[Any]:
        return [decode_event(row.payload) for row in self.world.journal.rows]


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    async with World().running() as world:
        yield Desk(world)


@pytest.mark.parametrize(
    ("scope", "name", "there_are"),
    [
        ("environment", "papr", "paper, testnet"),
        ("environment", "", "paper, testnet"),
        ("venue", "kraken", "paper, binance"),
        ("symbol", "BTC/US", "BTC/USD, ETH/USD"),
        ("galaxy", "x", "all, environment, strategy, symbol, venue"),
        ("strategy", "", "needs one"),
        ("strategy", "a\nb", "printable"),
        ("strategy", "a" * 2000, "printable"),
        ("strategy", "\ud800", "printable"),
        ("all", "paper", "no name"),
    ],
)
async def test_a_name_that_cannot_be_meant_is_refused_and_halts_nothing(scope: str, name: str, there_are: str) -> None:
    async with desk() as it:
        with pytest.raises(ExecutionPipelineError, match=there_are):
            await it.operations.halt(scope, name, **WHO)
        assert it.standing.in_force() == []
        assert it.events == []


async def test_an_unknown_strategy_is_halted_all_the_same_and_that_is_said() -> None:
    async with desk() as it:
        await it.world.opened("U1", strategy_key="seen")
        for name, doubt in (("seen", None), ("registered", None), ("tpyo", "No order of strategy tpyo")):
            done = await it.operations.halt("strategy", name, **WHO)
            assert (done.note or "")[: len(doubt or "")] == (doubt or "")
            assert (done.note is None) is (doubt is None)
            assert it.standing.blocking("paper", name, "BTC/USD", "paper") == done.halt
        with pytest.raises(ExecutionPipelineError, match="no halt of strategy typo"):
            await it.operations.resume("strategy", "typo", **WHO)


async def test_a_halt_of_what_is_no_longer_known_can_be_resumed() -> None:
    async with desk() as it:
        it.standing.halt(HaltScope.ENVIRONMENT, "shadow", **WHO)
        it.standing.close_session("shadow", **WHO)
        done = await it.operations.resume("environment", "shadow", **WHO)
        assert (done.halt is not None, done.still_halted) == (True, [])
        assert it.resumed == [(HaltScope.ENVIRONMENT, "shadow")]
        assert (await it.operations.open_session("shadow", **WHO)).closure is not None


async def test_only_a_halt_for_its_losses_has_a_strategys_losses_counted_anew() -> None:
    async with desk() as it:
        for control in (None, "T07_strategy_loss"):
            it.standing.halt(HaltScope.STRATEGY, "maker", **WHO, control=control)
            await it.operations.resume("strategy", "maker", **WHO)
        assert [event.gained for event in it.events if isinstance(event, Resumed)] == [{}, {"paper": Decimal(-7)}]


async def test_a_session_of_an_unknown_environment_is_not_closed() -> None:
    async with desk() as it:
        with pytest.raises(ExecutionPipelineError, match="paper, testnet"):
            await it.operations.close_session("live", **WHO)
        assert it.events == []


async def test_a_session_opens_only_when_its_limit_would_not_close_it_again_or_the_loss_is_accepted() -> None:
    async with desk() as it:
        it.lost = "the drawdown is 0.06, max_drawdown is 0.05"
        with pytest.raises(ExecutionPipelineError, match="not closed"):
            await it.operations.open_session("paper", **WHO)
        it.standing.close_session("paper", operator="router", reason="lost", violation="Drawdown limit breached")
        with pytest.raises(ExecutionPipelineError, match=r"0\.06.*router risk set.*--reset-peak"):
            await it.operations.open_session("paper", **WHO)
        assert [closure.environment for closure in it.operations.closures()] == ["paper"]
        await it.operations.open_session("paper", **WHO, reset_peak=True)
        it.standing.close_session("paper", **WHO)
        it.lost = None
        await it.operations.open_session("paper", **WHO)
        opened = [event for event in it.events if isinstance(event, SessionOpened)]
        assert [event.peak_equity for event in opened] == [Decimal("91000.5"), None]
        assert it.operations.closures() == []


async def test_a_session_that_was_closed_for_the_day_is_open_the_next_and_ends_nothing_then() -> None:
    async with desk() as it:
        await it.world.opened("U1")
        today = it.world.clock.now().date()
        it.standing.close_session(
            "paper", operator="router", reason="lost", violation="Daily loss limit reached", day=today
        )
        assert len(it.operations.closures()) == 1
        assert isinstance(it.world.clock, VirtualClock)
        await it.world.clock.advance(86400)
        await it.operations.enforce()
        assert it.operations.closures() == []
        assert it.world.order("U1").pending_cancel is None


async def test_what_is_in_force_ends_what_works_once_and_only_where_that_was_ordered() -> None:
    async with desk() as it:
        await it.world.opened("U1", strategy_key="a")
        await it.world.opened("U2", strategy_key="b")
        it.position = Decimal(-1)
        await it.world.opened("U3", strategy_key="b", reduce_only=True)
        it.standing.halt(HaltScope.STRATEGY, "a", **WHO)
        it.standing.halt(HaltScope.STRATEGY, "b", **WHO, cancel=True, allow_reducing=True)
        it.world.venue.broken = ConnectionError("cut")  # so that nothing ends
        for _ in range(2):
            await it.operations.enforce()
        assert [name for name in ("U1", "U2", "U3") if it.world.order(name).pending_cancel] == ["U2"]
        asked = [event.client_order_id for event in it.events if event.event == "pending_cancel"]
        assert (asked, it.world.venue.cancels) == (["U2"], ["U2"]), "the watchers ask again, not this"


async def test_an_order_of_an_environment_that_is_not_enabled_is_named_and_the_halt_stands() -> None:
    async with desk() as it:
        await it.world.opened("U1")
        it.world.cancels._executors = {}
        with pytest.raises(ExecutionPipelineError, match="everything is in force and durable, but: U1: not cancelled"):
            await it.operations.halt(**WHO, cancel=True)
        assert len(it.operations.halts()) == 1
        await it.operations.enforce()  # says it in the log, and goes on
