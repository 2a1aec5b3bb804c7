"""The fourth stage: measure, reserve in the same breath, pass on, and give back what no executor got."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import ExecutionStatus, OrderSide
from router.domain.order import Order
from router.domain.result import ExecutionResult
from router.middleware import Submission
from router.risk.account import Account
from router.risk.gate import RiskGate
from tests.factories import BUY, PROPERTY, SELL, TODAY, D, Last, account, hold, market, order, quote, submission
from tests.risk.desk import Desk

LIMIT = D(5)


def gate(its_account: Account, **kept: Any) -> RiskGate:
    return Desk().gate(its_account, **kept)


def held(its_account: Account, symbol: str = "BTC/USD") -> tuple[Decimal, Decimal]:
    working = its_account.holds.working(symbol)
    return working.buys, working.sells


# -- the promise -------------------------------------------------------------------------------------------------


class World:
    """Executors that answer late, fill in parts, refuse and break, in an order that chance decides."""

    def __init__(self, its_account: Account, chance: random.Random) -> None:
        self.account, self.chance = its_account, chance
        self.working: dict[str, tuple[Order, Decimal]] = {}

    @property
    def position(self) -> Decimal:
        return self.account.portfolio.position("BTC/USD").quantity

    async def pause(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)

    def fill(self, order_id: str, part: Decimal) -> None:
        """Book a fill as the tracker does, and check the promise."""
        its_order, leaves = self.working[order_id]
        last = min(part, leaves)
        self.account.portfolio.fill("BTC/USD", its_order.side, last, D(100), D(0), "USD")
        self.leave(its_order, leaves - last)
        assert abs(self.position) <= LIMIT, "a fill went beyond the position limit"

    def leave(self, its_order: Order, leaves: Decimal) -> None:
        self.account.holds.set(its_order, leaves)
        if leaves:
            self.working[its_order.client_order_id] = (its_order, leaves)
        else:
            self.working.pop(its_order.client_order_id, None)

    async def __call__(self, submission: Submission) -> ExecutionResult:
        its_order = submission.order
        assert its_order is not None
        await self.pause()
        fate = self.chance.random()
        if fate < 0.1:
            raise OSError("the executor broke before the hand-over")
        if fate < 0.2:
            return submission.answer(ExecutionStatus.BLOCKED_BY_ENVIRONMENT)
        self.working[its_order.client_order_id] = (its_order, its_order.quantity)
        await self.pause()
        if self.chance.random() < 0.5:
            self.fill(its_order.client_order_id, D(self.chance.randrange(1, 30)) / 10)
        await self.pause()
        return submission.answer(ExecutionStatus.SUCCESS, executor_called=True)


async def storm(orders: list[tuple[OrderSide, Decimal]], start: Decimal, seed: int) -> None:
    mine = account()
    if start:
        hold(mine, "BTC/USD", str(start))
    world = World(mine, random.Random(seed))
    stage = gate(mine, max_position_size={"default": str(LIMIT)})

    async def send(number: int, side: OrderSide, quantity: Decimal) -> None:
        await world.pause()
        asked = submission(order(client_order_id=f"U{number}", side=side, quantity=str(quantity)))
        try:
            await stage(asked, world)
        except OSError:
            assert f"U{number}" not in world.working
        total = mine.holds.working("BTC/USD")
        assert total.worst(world.position) <= LIMIT, "what works could go beyond the position limit"

    await asyncio.gather(*(send(number, *each) for number, each in enumerate(orders)))
    assert len(mine.holds) == len(world.working)
    rest = list(world.working)
    world.chance.shuffle(rest)
    for order_id in rest:
        if world.chance.random() < 0.6:
            world.fill(order_id, LIMIT * 10)
    for its_order, _ in list(world.working.values()):
        world.leave(its_order, D(0))
    assert held(mine) == (D(0), D(0))
    assert len(mine.holds) == 0


@settings(PROPERTY, max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from(OrderSide), st.decimals("0.1", "4", places=1)), min_size=2, max_size=12),
    st.sampled_from(["-5", "-2", "0", "3", "5"]).map(Decimal),
    st.integers(0, 2**32),
)
def test_concurrent_orders_never_jointly_pass_the_position_limit_whatever_fills(
    orders: list[tuple[OrderSide, Decimal]], start: Decimal, seed: int
) -> None:
    asyncio.run(storm(orders, start, seed))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("max_position_size", {"default": "5"}, "Max position size exceeded"),
        ("max_exposure", "0.005", "Max exposure exceeded"),
        ("max_concentration", "0.005", "Asset concentration too high"),
        ("max_open_orders", 5, "Max open orders reached"),
    ],
)
async def test_of_many_at_once_exactly_as_many_pass_as_fit(limit: str, value: Any, message: str) -> None:
    mine, wait = account(), asyncio.Event()
    stage = gate(mine, **{limit: value})

    async def slow(submission: Submission) -> ExecutionResult:
        await wait.wait()
        return submission.answer(ExecutionStatus.SUCCESS, executor_called=True)

    sent = [asyncio.ensure_future(stage(submission(order(client_order_id=f"U{n}")), slow)) for n in range(20)]
    await asyncio.sleep(0)
    wait.set()
    results = await asyncio.gather(*sent)
    assert [result.is_success for result in results] == [True] * 5 + [False] * 15
    assert {result.violation for result in results[5:]} == {message}
    assert held(mine) == (D(5), D(0))


# -- holds -------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_hold_stands_before_the_next_stage_is_awaited() -> None:
    mine = account()

    async def look(submission: Submission) -> ExecutionResult:
        assert held(mine) == (D(2), D(0))
        return submission.answer(ExecutionStatus.SUCCESS, executor_called=True)

    await gate(mine)(submission(order(quantity="2")), look)
    assert held(mine) == (D(2), D(0))


@pytest.mark.asyncio
async def test_what_no_executor_got_is_given_back() -> None:
    mine = account()
    await gate(mine)(submission(order()), Last(executor_called=False))
    assert (held(mine), len(mine.holds)) == ((D(0), D(0)), 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [OSError, asyncio.CancelledError])
async def test_an_exception_gives_back_and_passes_on(error: type[BaseException]) -> None:
    mine = account()

    async def broken(submission: Submission) -> ExecutionResult:
        raise error

    with pytest.raises(error):
        await gate(mine)(submission(order()), broken)
    assert len(mine.holds) == 0


@pytest.mark.asyncio
async def test_what_the_executor_has_changed_meanwhile_stays() -> None:
    mine = account()

    async def fills(submission: Submission) -> ExecutionResult:
        assert submission.order is not None
        mine.holds.set(submission.order, D("0.25"))
        return submission.answer(ExecutionStatus.SUCCESS, executor_called=True)

    await gate(mine)(submission(order()), fills)
    assert held(mine) == (D("0.25"), D(0))


@pytest.mark.asyncio
async def test_a_refused_order_holds_nothing_and_reaches_nothing() -> None:
    mine, last = account(), Last()
    result = await gate(mine, max_position_size={"default": "1"})(submission(order(quantity="2")), last)
    assert result.is_blocked_by_risk
    assert (last.seen, len(mine.holds)) == ([], 0)


@pytest.mark.asyncio
async def test_accounts_do_not_share_their_room() -> None:
    paper, shadow = account(), account()
    stage = Desk().gate({"paper": paper, "shadow": shadow}, max_position_size={"default": "5"})
    for name in ("paper", "shadow"):
        asked = submission(order(quantity="5", environment=name), environment=name)
        assert (await stage(asked, Last())).is_success
    assert held(paper) == held(shadow) == (D(5), D(0))


# -- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_refusal_says_what_was_measured_and_what_to_do() -> None:
    mine = account()
    hold(mine, "BTC/USD", "3")
    stage = gate(mine, max_position_size={"default": "5"})
    result = await stage(submission(order(quantity="2.5")), Last())
    assert (result.status, result.violation) == (ExecutionStatus.BLOCKED_BY_RISK, "Max position size exceeded")
    assert (result.limit_value, result.current_exposure) == (D(5), D("0.003"))
    assert result.executor_called is False
    assert result.reason == (
        "Max position size exceeded: max_position_size is 5, this order would make it 5.5. "
        "No override: reduce the order or the position."
    )
    details = result.risk_violation_details
    assert details is not None
    assert details["passed"] is False
    assert details["violations"] == [
        {"message": "Max position size exceeded", "limit": "max_position_size", "value": D("5.5"), "limit_value": D(5)}
    ]
    assert len(details["limits"]) == 8
    assert msgspec.json.decode(msgspec.json.encode(result), type=ExecutionResult) == result


@pytest.mark.asyncio
async def test_fractions_are_fractions_in_an_answer() -> None:
    mine = account()
    mine.portfolio.mark(TODAY, D(200000))
    result = await gate(mine, max_drawdown="0.05")(submission(order()), Last())
    assert (result.violation, result.limit_value) == ("Drawdown limit breached", D("0.05"))


@pytest.mark.asyncio
@pytest.mark.parametrize(("side", "quantity"), [(BUY, "1"), (SELL, "3.1")])
async def test_a_reduce_only_order_that_would_not_reduce_is_refused(side: OrderSide, quantity: str) -> None:
    mine, last = account(), Last()
    hold(mine, "BTC/USD", "3")
    result = await gate(mine)(submission(order(side=side, quantity=quantity, reduce_only=True)), last)
    assert (result.status, last.seen) == (ExecutionStatus.BLOCKED_BY_RISK, [])
    assert result.violation == "Reduce-only order would not reduce"
    assert result.risk_violation_details is not None
    assert result.risk_violation_details["violations"][0]["limit"] == "reduce_only"
    assert result.limit_value == (0 if side is BUY else 3)


@pytest.mark.asyncio
async def test_reduce_only_orders_together_never_turn_the_position() -> None:
    mine, stage = account(), None
    hold(mine, "BTC/USD", "3")
    stage = gate(mine)
    sells = [submission(order(client_order_id=f"U{n}", side=SELL, reduce_only=True)) for n in range(5)]
    results = await asyncio.gather(*(stage(each, Last()) for each in sells))
    assert [result.is_success for result in results] == [True, True, True, False, False]


@pytest.mark.asyncio
async def test_an_order_that_skips_the_check_is_still_held() -> None:
    mine = account()
    asked = submission(order(quantity="100"), skip_risk_check=True)
    assert (await gate(mine, max_position_size={"default": "5"})(asked, Last())).is_success
    assert held(mine) == (D(100), D(0))
    later = submission(order(client_order_id="U2"))
    assert (await gate(mine, max_position_size={"default": "5"})(later, Last())).is_blocked_by_risk


def test_a_snapshot_measures_the_account_as_it_is() -> None:
    mine = account()
    mine.portfolio.mark(TODAY, D(125000))
    hold(mine, "BTC/USD", "500")
    snapshot = gate(mine, max_exposure="2").snapshot("paper")
    assert (snapshot.equity, snapshot.peak_equity, snapshot.drawdown) == (D(100000), D(125000), D("0.2"))
    assert (snapshot.daily_pnl, snapshot.exposure) == (D(-25000), D("0.5"))
    exposure = next(limit for limit in snapshot.limits if limit.name == "max_exposure")
    assert (exposure.value, exposure.limit, exposure.headroom) == (D("0.5"), D(2), D("1.5"))


@pytest.mark.asyncio
async def test_nobody_skips_a_closed_session() -> None:
    """``skip_risk_check`` passes over limits, not over who has closed the session."""
    desk, mine, last = Desk(), account(), Last()
    desk.standing.close_session("paper", operator="anna", reason="enough for today")
    stage = desk.gate(mine)
    asked = submission(order(), skip_risk_check=True)
    result = await stage(asked, last)
    assert (result.status, result.violation, last.seen) == (ExecutionStatus.BLOCKED_BY_RISK, "Session closed", [])
    hold(mine, "BTC/USD", "3")
    assert (await stage(submission(order(side=SELL, reduce_only=True), skip_risk_check=True), last)).is_success


@pytest.mark.asyncio
async def test_without_a_rate_or_a_price_the_answer_says_which_is_missing() -> None:
    foreign = submission(order(symbol="BTC/XYZ"), reference=quote(symbol="BTC/XYZ"))
    result = await gate(account(market(quote(symbol="BTC/XYZ"))))(foreign, Last())
    assert (result.status, result.violation) == (ExecutionStatus.BLOCKED_BY_RISK, "Max order notional exceeded")
    assert "no rate of XYZ in USD: no quote tells it, and no fixed_rates.XYZ" in (result.reason or "")
    mine = account()
    mine.portfolio.fill("ETH/USD", BUY, D(1), D(1), D(0), "USD")
    result = await gate(mine)(submission(order()), Last())
    assert (result.violation, "ETH/USD cannot be valued" in (result.reason or "")) == ("Max exposure exceeded", True)
    result = await gate(account(balances={"USD": "0"}))(submission(order()), Last())
    assert "the account has no equity" in (result.reason or "")


def test_a_peak_is_not_reset_to_an_equity_that_nobody_knows() -> None:
    mine = account()
    mine.note_equity(TODAY, mine.equity())
    stage = Desk().gate(mine, max_drawdown="0.05")
    assert stage.still_closed_by("paper", True) is None
    mine.portfolio.fill("NEW/USD", BUY, D(1), D(7), D(0), "USD")
    assert "cannot be valued" in (stage.still_closed_by("paper", True) or "")
