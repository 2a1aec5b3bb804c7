"""P19: which quotes are believed, what is made of the others, and how far a price moved."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clock import VirtualClock
from router.domain.market import Quote
from router.market.book import DepthUpdate
from router.market.quotes import MarketData, QuoteUpdate
from router.market.sanity import MOTION_WINDOW_MAX_S, Sanity
from router.settings import Safety
from tests.factories import NOW, PROPERTY, TODAY, account, hold

D = Decimal
SETTLE = 5
LIMITS = Sanity(max_spread=D("0.05"), max_jump=D("0.1"), settle_quotes=SETTLE)
BTC = "BTC/USD"
CROSSED = ("101", "100")
ZERO = ("0", "100")
Prices = tuple[str, str] | str


class World:
    """A quote book that says what it suspects."""

    def __init__(self, sanity: Sanity | None = LIMITS) -> None:
        self.clock = VirtualClock(NOW)
        self.market = MarketData(self.clock, sanity)
        self.episodes: list[bool] = []
        self.market.on_suspicion = lambda symbol, reason: self.episodes.append(reason is not None)

    @property
    def mark(self) -> Decimal:
        trusted = self.market.trusted(BTC)
        assert trusted is not None
        return trusted.mid

    @property
    def is_suspect(self) -> bool:
        return self.market.suspicion(BTC) is not None

    def say(self, *quotes: Prices) -> list[bool]:
        """Apply quotes, a bid and an ask each or both at once; return whether each was suspect."""
        return [self._say(*(prices if isinstance(prices, tuple) else (prices, prices))) for prices in quotes]

    def _say(self, bid: str, ask: str) -> bool:
        self.market.apply(Quote(BTC, D(bid), D(ask), None, None, NOW, self.clock.monotonic()))
        return self.is_suspect


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_is_suspect_of_a_symbol_that_nobody_heard_of(world: World) -> None:
    assert world.market.suspicion(BTC) is None
    assert world.market.trusted(BTC) is None
    assert world.market.motion(BTC, 60.0) is None


# -- a book that cannot be -----------------------------------------------------------------------------------


@pytest.mark.parametrize("impossible", [CROSSED, ZERO, ("NaN", "100"), ("100", "Infinity")])
def test_a_book_that_cannot_be_makes_suspect_until_a_good_quote_comes(
    world: World, impossible: tuple[str, str]
) -> None:
    assert world.say("100", impossible, impossible, "101") == [False, True, True, False]
    assert world.episodes == [True, False]
    assert (world.market.refused[BTC], world.market.suspected[BTC]) == (2, 0)


def test_a_refused_book_is_named_with_what_it_said(world: World) -> None:
    world.say("100", CROSSED)
    assert world.market.suspicion(BTC) == (
        "an update that cannot be true was refused (bid 101, ask 100), and no good one has come since"
    )
    assert world.mark == 100


def test_a_first_quote_that_cannot_be_makes_suspect_too(world: World) -> None:
    assert world.say(CROSSED, "100") == [True, False]


def test_a_crossed_depth_makes_suspect(world: World) -> None:
    def depth(last_id: int, bid: str, *, snapshot: bool) -> DepthUpdate:
        bids, asks = [(D(bid), D(1))], [(D(101), D(1))]
        ids = {"first_id": last_id, "last_id": last_id}
        return DepthUpdate(symbol=BTC, snapshot=snapshot, prev_id=None, bids=bids, asks=asks, ts_event=NOW, **ids)

    suspect = []
    for number, bid in enumerate(("100", "102", "100"), 1):
        world.market.apply(depth(number, bid, snapshot=number != 2))
        suspect.append(world.is_suspect)
    assert suspect == [False, True, False]


def test_a_quote_that_is_older_than_the_book_clears_nothing(world: World) -> None:
    def numbered(update_id: int, bid: str) -> QuoteUpdate:
        return QuoteUpdate(BTC, D(bid), D(1), D(100), D(1), update_id, NOW)

    suspect = []
    for update in (numbered(7, "99"), numbered(8, "101"), numbered(6, "99"), numbered(8, "99")):
        world.market.apply(update)
        suspect.append(world.is_suspect)
    assert suspect == [False, True, True, False]


# -- spread --------------------------------------------------------------------------------------------------


def test_a_spread_up_to_the_limit_is_a_market(world: World) -> None:
    assert world.say(("97.5", "102.5"), ("97.4", "102.5"), ("97.5", "102.5")) == [False, True, False]
    assert (world.market.suspected[BTC], world.episodes) == (1, [True, False])


def test_a_wide_spread_is_named_and_no_mark_is_made_of_it(world: World) -> None:
    world.say("100", ("90", "110"))
    assert world.market.suspicion(BTC) == "its spread from 90 to 110 is 20.00 %, more than safety.max_spread_pct = 5"
    last = world.market.quote(BTC)
    assert last is not None
    assert (last.bid, world.mark) == (D(90), D(100))


@pytest.mark.parametrize("astray", [("100", "200"), ("10", "100")])
def test_one_side_that_goes_astray_alone_is_noticed(world: World, astray: tuple[str, str]) -> None:
    assert world.say("100", astray, "100") == [False, True, False]


def test_a_first_quote_with_a_wide_spread_is_not_trusted_and_sets_no_level(world: World) -> None:
    assert world.say(("1", "199"), "500") == [True, False]


# -- jumps ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to", "is_jump"), [("110", False), ("90", False), ("110.1", True), ("89.9", True)])
def test_farther_than_the_limit_from_the_last_trusted_mid_is_a_jump(world: World, to: str, is_jump: bool) -> None:
    assert world.say("100", to) == [False, is_jump]


def test_one_tick_at_ten_times_the_price_is_suspect_named_and_no_mark(world: World) -> None:
    world.say("100", "1000")
    assert world.market.suspicion(BTC) == (
        "its price 1000 is 900.00 % away from 100, the last trusted one (safety.max_jump_pct = 10); 5 quotes in a row "
        "that agree will be trusted"
    )
    assert world.mark == 100
    assert world.say("101") == [False]
    assert (world.mark, world.market.suspected[BTC], world.episodes) == (D(101), 1, [True, False])


def test_a_market_that_moves_step_by_step_is_followed_as_far_as_it_goes(world: World) -> None:
    assert not any(world.say(*(str(100 + 9 * step) for step in range(50))))


def test_a_real_gap_is_adopted_with_the_quote_that_settles_it(world: World) -> None:
    assert world.say("100", "200", "205", "199", "201", "203") == [False, True, True, True, True, False]
    assert (world.mark, world.episodes, world.market.suspected[BTC]) == (D(203), [True, False], SETTLE - 1)
    assert world.say("100") == [True]


def test_quotes_that_do_not_agree_settle_nothing(world: World) -> None:
    assert all(world.say("100", *(str(200 * 2**step) for step in range(3 * SETTLE)))[1:])


@pytest.mark.parametrize("between", [CROSSED, ("150", "250"), "100", "400"])
def test_only_quotes_in_a_row_settle_a_gap(world: World, between: Prices) -> None:
    world.say("100", *["200"] * (SETTLE - 1), between)
    assert all(world.say(*["200"] * (SETTLE - 1)))
    assert world.mark == 100
    assert world.say("200") == [False]


def test_quotes_after_an_interruption_must_agree_with_each_other_not_with_those_before(world: World) -> None:
    assert all(world.say("100", "200", CROSSED, "185", *["215"] * (SETTLE - 1))[1:])
    assert world.say("215") == [False]


@pytest.mark.parametrize("run", [1, 2, SETTLE - 1])
def test_prices_that_jump_to_and_fro_are_believed_at_neither_level(world: World, run: int) -> None:
    flip_flop = [*["1000"] * run, *["101"] * run]
    world.say("100", *flip_flop)
    assert all(world.say(*flip_flop * 10))
    assert world.episodes == [True, False, True]
    assert "jumped to and fro" in (world.market.suspicion(BTC) or "")
    assert world.mark == 101


@pytest.mark.parametrize("calm", ["101", "1000"])
def test_a_flip_flop_ends_when_quotes_settle_at_either_level(world: World, calm: str) -> None:
    world.say("100", "1000", "100", "1000", "500")
    assert world.say(*[calm] * SETTLE) == [*[True] * (SETTLE - 1), False]
    assert world.mark == D(calm)
    other = "101" if calm == "1000" else "1000"
    assert world.say(other, calm) == [True, False]


def test_a_second_tick_astray_long_after_the_first_is_no_flip_flop(world: World) -> None:
    world.say("100", "1000", *["100"] * (SETTLE + 1))
    assert world.say("1000", "100") == [True, False]


def test_what_is_off_suspects_nothing(world: World) -> None:
    wild: list[Prices] = ["100", "1000", ("1", "1000"), "5"]
    assert World(Sanity(max_jump=D("0.1"))).say(("1", "1000")) == [False]
    assert World(Sanity(max_spread=D("0.05"))).say("100", "1000", ("1", "1000")) == [False, False, True]
    for sanity in (None, Sanity()):
        off = World(sanity)
        assert off.say(*wild) == [False] * 4
        assert off.market.trusted(BTC) is off.market.quote(BTC)
        assert off.say(CROSSED, "5") == [True, False]


def test_a_pinned_quote_goes_the_same_way(world: World) -> None:
    world.say("100")
    world.market.pin(Quote(BTC, D(1000), D(1000), None, None, NOW, 0.0))
    assert world.is_suspect
    assert world.mark == 100


def test_symbols_are_judged_each_by_itself(world: World) -> None:
    world.say("100", "1000")
    world.market.apply(Quote("ETH/USD", D(1000), D(1000), None, None, NOW, 0.0))
    assert world.market.suspicion("ETH/USD") is None
    assert world.market.suspected == {BTC: 1}


def test_whoever_is_told_sees_the_book_as_it_now_is(world: World) -> None:
    seen: list[tuple[Decimal, int, str | None]] = []

    def told(symbol: str, reason: str | None) -> None:
        last = world.market.quote(symbol)
        assert last is not None
        assert reason == world.market.suspicion(symbol)
        seen.append((last.mid, world.market.version, reason))

    world.market.on_suspicion = told
    world.say("100", "1000", "100")
    assert [(mid, version) for mid, version, _ in seen] == [(D(1000), 2), (D(100), 3)]


# -- properties ----------------------------------------------------------------------------------------------

_WILD = st.lists(
    st.sampled_from(["100", "105", "112", "200", "215", "1000", ("90", "110"), CROSSED, ZERO]), max_size=60
)


@PROPERTY
@given(st.lists(st.integers(-999, 999), max_size=60))
def test_quotes_that_stay_within_the_band_are_never_suspect(basis_points: list[int]) -> None:
    world, mid = World(), D(1000000)
    world.say(str(mid))
    for step in basis_points:
        mid = round(mid + mid * step / 10000, 2)
        assert world.say(str(mid)) == [False]
        assert world.mark == mid


@PROPERTY
@given(_WILD)
def test_what_is_trusted_was_near_the_one_before_or_had_settled(said: list[Prices]) -> None:
    world, before = World(), None
    row: list[Decimal] = []  # good quotes since the last that was none
    for prices in said:
        [suspect] = world.say(prices)
        last, trusted = world.market.quote(BTC), world.market.trusted(BTC)
        row = [*row, D(prices)] if isinstance(prices, str) else []
        if suspect:
            assert trusted is before
            continue
        assert trusted is last
        assert isinstance(prices, str), "a wide or impossible one is never trusted"
        if before is not None and abs(D(prices) - before.mid) > before.mid / 10:
            tail = row[-SETTLE:]
            assert len(tail) == SETTLE
            assert all(abs(mid - tail[0]) <= tail[0] / 10 for mid in tail)
        before = trusted


@PROPERTY
@given(_WILD)
def test_suspect_quotes_move_no_equity_no_peak_and_no_day_start(said: list[Prices]) -> None:
    world = World()
    world.say("100")
    its_account = account(world.market)
    hold(its_account, BTC, "500")
    its_account.account_mark(TODAY)
    for prices in said:
        before = its_account.account_mark(TODAY)
        if world.say(prices) == [True]:
            assert its_account.account_mark(TODAY) == before


@PROPERTY
@given(_WILD, st.lists(st.integers(0, 10**5), min_size=60, max_size=60))
@pytest.mark.asyncio
async def test_the_answer_is_the_same_at_any_speed(said: list[Prices], pauses: list[int]) -> None:
    fast, slow = World(), World()
    for prices, pause in zip(said, pauses, strict=False):
        await slow.clock.advance(pause)
        assert fast.say(prices) == slow.say(prices)


# -- motion --------------------------------------------------------------------------------------------------


async def play(world: World, prices: Iterable[str], every_s: float = 1.0) -> None:
    for price in prices:
        world.say(price)
        await world.clock.advance(every_s)


@pytest.mark.asyncio
async def test_motion_is_from_the_lowest_to_the_highest_trusted_mid_of_the_window(world: World) -> None:
    await play(world, ["108", "100", "1000", "104"])
    assert world.market.motion(BTC, 60.0) == D("0.08")
    assert world.market.motion(BTC, 4.0) == D("0.04")
    assert world.market.motion(BTC, 1.5) == 0
    assert world.market.motion(BTC, 1.0) is None


@pytest.mark.asyncio
async def test_what_has_left_the_window_is_forgotten_while_nothing_comes(world: World) -> None:
    await play(world, ["108", "100", "100"])
    assert world.market.motion(BTC, 4.0) == D("0.08")
    await world.clock.advance(1.0)
    assert world.market.motion(BTC, 4.0) == 0
    await world.clock.advance(2.0)
    assert world.market.motion(BTC, 4.0) is None


@pytest.mark.asyncio
async def test_the_last_quote_counts_at_once_and_others_once_a_second(world: World) -> None:
    await play(world, ["100", "109"], 0.4)
    assert world.market.motion(BTC, 60.0) == D("0.09")
    world.say("105")
    assert world.market.motion(BTC, 60.0) == D("0.05")


@pytest.mark.asyncio
async def test_motion_looks_back_ten_minutes_and_keeps_no_more(world: World) -> None:
    await play(world, ["100", *["109"] * int(MOTION_WINDOW_MAX_S - 1)])
    assert world.market.motion(BTC, 1e9) == D("0.09")
    await play(world, ["109"])
    assert world.market.motion(BTC, 1e9) == 0


def test_no_window_can_be_configured_that_motion_does_not_reach() -> None:
    widest = msgspec.convert({"volatility_window_s": MOTION_WINDOW_MAX_S}, Safety)
    assert widest.volatility_window_s == MOTION_WINDOW_MAX_S
    with pytest.raises(msgspec.ValidationError, match="volatility_window_s"):
        msgspec.convert({"volatility_window_s": MOTION_WINDOW_MAX_S + 1}, Safety)


@PROPERTY
@given(st.lists(st.tuples(st.integers(95, 104), st.integers(1, 30)), min_size=1, max_size=40), st.integers(1, 90))
@pytest.mark.asyncio
async def test_motion_is_what_a_look_at_everything_gives(quotes: list[tuple[int, int]], window: int) -> None:
    world, seen = World(), []
    for price, pause in quotes:
        world.say(str(price))
        seen.append((world.clock.monotonic(), D(price)))
        await world.clock.advance(pause)
        now = world.clock.monotonic()
        inside = [mid for at, mid in seen if now - at < window]
        expected = (max(inside) - min(inside)) / min(inside) if inside else None
        assert world.market.motion(BTC, float(window)) == expected
