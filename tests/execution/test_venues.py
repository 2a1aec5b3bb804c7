"""Executors with a book of their own: no order before it was compared, and what gates, engine and health are told."""

from __future__ import annotations

from pathlib import Path

import anyio
import msgspec
import pytest

from router import ExecutionPipeline, ExecutionStatus
from router.domain.events import AccountOpened, decode_event
from router.domain.venue import VenueOrder
from router.execution.desk import BooksDesk
from router.execution.environments import Parts
from router.execution.venues import RemoteVenue, Venues
from router.executors.paper import PaperExecutor
from router.journal.base import Row
from router.journal.memory import MemoryJournal
from router.logs import get_logger
from router.virtual import LoopClock, run
from tests.execution.remote import LOOPBACK, Remote, remotes
from tests.execution.world import World, shipped
from tests.factories import BUY, D
from tests.pipelines import resting, settings

aio = pytest.mark.asyncio
S = ExecutionStatus


def made(world: World, *, refused: dict[str, str] | None = None) -> tuple[Venues, Remote]:
    """Return what is known of a simulated executor and one at a venue; the world's account is the venue's."""
    parts = Parts(None, shipped()[1], world.market, world.clock, world.tracker, get_logger())  # type: ignore[arg-type]
    remote = Remote("paper", parts)
    desk = BooksDesk(world.tracker, {"paper": world.account}, parts.instruments.values(), lambda _: None)
    simulated = PaperExecutor(
        "shadow",
        world.market,
        world.clock,
        world.tracker.report,
        maker_fee_bps=D(0),
        taker_fee_bps=D(0),
        latency_ms=0,
        fill_model="queue",
    )
    return Venues([simulated, remote], refused or {}, desk, world.clock, get_logger(), reconcile_s=60.0), remote


@aio
async def test_only_an_executor_with_a_book_of_its_own_is_compared_closed_halted_and_has_rules() -> None:
    venues, remote = made(World())
    assert isinstance(remote, RemoteVenue)
    for each in (venues.reconcilers, venues.closed, venues.halted, venues.rules):
        assert list(each) == ["paper"]
    remote.halt = "banned"
    assert venues.halted["paper"]() == "banned"
    assert "before its first reconciliation" in (venues.closed["paper"]() or "")


@aio
async def test_a_venues_rules_are_its_own_and_ours_until_they_are_known() -> None:
    venues, remote = made(World())
    ours = shipped()[1]["BTC/USD"]
    theirs = msgspec.structs.replace(ours, lot_size=D(1))
    remote.rules = {"BTC/USD": theirs}
    assert venues.rules["paper"](ours) is theirs
    assert venues.rules["paper"](shipped()[1]["ETH/USD"]) is None
    remote.unready = "its markets are being read"
    assert venues.rules["paper"](ours) is ours
    assert venues.rules["paper"](shipped()[1]["ETH/USD"]) == shipped()[1]["ETH/USD"]


@aio
async def test_a_gap_in_the_stream_wakes_the_comparison() -> None:
    world = World()
    venues, remote = made(world)
    async with world.running(), anyio.create_task_group() as group:
        group.start_soon(venues.reconcilers["paper"].run)
        await world.clock.advance(1)
        assert len(remote.asked) == 1
        remote.on_gap()
        await world.clock.advance(0)
        assert len(remote.asked) == 2
        group.cancel_scope.cancel()


@aio
async def test_nobody_waits_for_a_comparison_that_has_been_or_of_no_venue() -> None:
    world = World()
    venues, _ = made(world)
    none = Venues([], {}, BooksDesk(world.tracker, {}, [], lambda _: None), world.clock, get_logger(), reconcile_s=1)
    async with world.running():
        with anyio.fail_after(1):
            await none.compared()
            await venues.reconcilers["paper"].compare()
            await venues.compared()
    assert world.clock.monotonic() == 0


@pytest.mark.parametrize(("takes", "waited"), [(3.0, 3.0), (60.0, 10.0)])
def test_a_start_waits_for_the_first_comparison_but_not_for_long(takes: float, waited: float) -> None:
    async def main(clock: LoopClock) -> float:
        world = World(clock=clock)  # type: ignore[arg-type]
        venues, remote = made(world)
        remote.hangs = True

        async def answers() -> None:
            await clock.sleep(takes)
            venues.reconcilers["paper"].first.set()

        async with anyio.create_task_group() as group:
            group.start_soon(answers)
            await venues.compared()
            group.cancel_scope.cancel()
        return clock.monotonic()

    assert run(main) == waited


@aio
async def test_health_says_of_each_venue_what_is_wrong_or_what_was_found() -> None:
    world = World()
    venues, remote = made(world, refused={"other": "kraken has no sandbox"})

    def said() -> tuple[bool, str]:
        assert venues.health()["other"] == (False, "kraken has no sandbox")
        return venues.health()["paper"]

    async with world.running():
        assert said() == (False, venues.closed["paper"]())
        reconciler = venues.reconcilers["paper"]
        await reconciler.compare()
        await world.clock.advance(12)
        assert said() == (True, "toy: 0 working orders, compared 12 s ago: agrees")
        remote.orders = [
            VenueOrder(
                symbol="BTC/USD",
                client_order_id=None,
                venue_order_id="V9",
                status=S.SUBMITTED,
                at=world.clock.now(),
                side=BUY,
                quantity=D(1),
                price=D(90),
            )
        ]
        remote.balances = {"USD": D(49_999)}
        await reconciler.compare()
        await reconciler.compare()
        ok, detail = said()
        assert not ok, "a difference that stays wants somebody"
        assert detail == (
            "toy: 1 working orders, compared 0 s ago: -1 USD against our books: find the cause; "
            "not ours: Order V9 (buy 1 BTC/USD at 90, client id none)"
        )
        remote.balances = {"USD": D(50_000)}
        await reconciler.compare()
        assert said()[0], "what is not ours stops nothing"
        remote.halt = "banned until 12:00"
        assert said() == (False, "banned until 12:00")
        reconciler.failure = "TimeoutError: no answer"
        assert said() == (False, "TimeoutError: no answer")


# -- in a whole pipeline -------------------------------------------------------------------------------------------


def test_a_testnet_trades_only_once_it_was_compared_and_its_account_is_what_the_venue_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = remotes(monkeypatch, broken=TimeoutError("no answer"))

    async def main(clock: LoopClock) -> None:
        configured = settings(tmp_path, LOOPBACK)
        async with ExecutionPipeline("testnet", configured, clock=clock, journal=MemoryJournal(clock)) as pipeline:
            assert clock.monotonic() == 10, "the start does not wait for ever"
            (remote,) = made
            refused = await pipeline.submit_order(resting())
            assert refused.status is S.BLOCKED_BY_ENVIRONMENT
            assert "TimeoutError: no answer" in (refused.reason or "")
            assert not pipeline.health()["testnet"]["ok"]
            assert (await pipeline.submit_order(resting(environment="paper"))).is_success
            remote.broken = None
            await clock.sleep(30)
            assert pipeline.health()["testnet"]["ok"]
            assert (await pipeline.submit_order(resting())).is_success
            assert len(remote.handed) == 1
            assert pipeline._accounts["testnet"].portfolio.cash["USD"] == 50_000
            assert pipeline._accounts["paper"].portfolio.cash["USD"] == 100_000

    run(main)


def test_an_account_that_was_opened_before_is_not_opened_anew_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = remotes(monkeypatch)

    async def main(clock: LoopClock) -> list[str]:
        configured = settings(tmp_path, LOOPBACK)
        rows: list[Row] = []
        for usd in (50_000, 7):
            journal = MemoryJournal(clock)
            journal.rows = list(rows)
            async with ExecutionPipeline("testnet", configured, clock=clock, journal=journal) as pipeline:
                assert pipeline._accounts["testnet"].portfolio.cash["USD"] == 50_000
                made[-1].balances = {"USD": D(usd)}
            rows = journal.rows
        return [row.payload for row in rows]

    opened = [event for event in map(decode_event, run(main)) if isinstance(event, AccountOpened)]
    assert [event.environment for event in opened] == ["paper", "testnet"]


def test_an_environment_that_was_refused_is_blocked_with_the_reason_and_red(tmp_path: Path) -> None:
    async def main(clock: LoopClock) -> None:
        configured = settings(tmp_path, LOOPBACK | {"testnet.base_url": "", "testnet.venue": "kraken"})
        async with ExecutionPipeline("paper", configured, clock=clock, journal=MemoryJournal(clock)) as pipeline:
            blocked = await pipeline.submit_order(resting(environment="testnet"))
            assert blocked.status is S.BLOCKED_BY_ENVIRONMENT
            assert "kraken" in (blocked.reason or "")
            assert pipeline.health()["testnet"] == {"ok": False, "detail": blocked.reason}
            assert (await pipeline.submit_order(resting())).is_success

    run(main)
