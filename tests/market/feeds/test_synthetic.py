"""The invented market: repeatable, plausible, consistent."""

from __future__ import annotations

from decimal import Decimal

import anyio
import pytest

from router.clock import VirtualClock
from router.domain.market import Instrument, Quote, Trade
from router.errors import ConfigError
from router.market.feeds.synthetic import SyntheticFeed
from router.market.quotes import MarketData

D = Decimal


def instrument(symbol: str, tick: str = "0.01", *, tradable: bool = True) -> Instrument:
    base, _, quote = symbol.partition("/")
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size=D(tick),
        lot_size=D("0.00001"),
        min_quantity=D("0.00001"),
        max_quantity=D(100),
        min_notional=D(5),
        tradable=tradable,
    )


SYMBOLS = ["BTC/USD", "BTC/USDT", "BTC/EUR", "ETH/USD", "ETH/USDT", "ETH/EUR"]
INSTRUMENTS = {symbol: instrument(symbol) for symbol in SYMBOLS}


async def watch(seed: int, seconds: float, **more: Instrument) -> tuple[MarketData, list[Quote | Trade]]:
    clock = VirtualClock()
    market = MarketData(clock)
    feed = SyntheticFeed({**INSTRUMENTS, **more}, clock, seed=seed, interval_ms=50)
    seen: list[Quote | Trade] = []

    def see(symbol: str, trade: Trade | None) -> None:
        quote = market.quote(symbol)
        assert quote is not None
        seen.append(trade or quote)

    market.listen(see)
    ready = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(feed.run, market, ready.set)
        await ready.wait()
        await clock.advance(seconds)
        group.cancel_scope.cancel()
    return market, seen


@pytest.mark.asyncio
async def test_the_same_seed_makes_the_same_market() -> None:
    _, first = await watch(7, 2)
    _, again = await watch(7, 2)
    _, other = await watch(8, 2)
    assert first == again
    assert first != other


@pytest.mark.asyncio
async def test_prices_and_sizes_are_plausible_and_on_the_grid() -> None:
    market, seen = await watch(7, 20)
    assert market.refused.total() == 0
    for update in seen:
        made = INSTRUMENTS[update.symbol]
        prices = [update.price] if isinstance(update, Trade) else [update.bid, update.ask]
        sizes = [update.quantity] if isinstance(update, Trade) else [update.bid_size, update.ask_size]
        low, high = (48_000, 52_000) if made.base == "BTC" else (2_400, 2_600)
        rate = D("1.08") if made.quote == "EUR" else 1
        for price in prices:
            assert price % made.tick_size == 0
            assert low < price * rate < high
        for size in sizes:
            assert size is not None
            assert size > 0
            assert size % made.lot_size == 0
    trades = [update for update in seen if isinstance(update, Trade)]
    assert len(trades) > 100
    assert len({trade.trade_id for trade in trades}) == len(trades)
    quoted = {(update.bid, update.ask) for update in seen if isinstance(update, Quote)}
    assert len(quoted) > 100, "it moves"


@pytest.mark.asyncio
async def test_the_symbols_of_one_base_agree() -> None:
    market, _ = await watch(7, 20)
    quotes = [market.quote(f"BTC/{currency}") for currency in ("USD", "USDT", "EUR")]
    dollar, tether, euro = [quote.mid for quote in quotes if quote is not None]
    assert abs(tether / dollar - 1) < D("0.0005")
    assert abs(dollar / euro - D("1.08")) < D("0.02")


@pytest.mark.asyncio
async def test_a_coarse_tick_still_leaves_a_spread() -> None:
    market, _ = await watch(7, 2, **{"DOGE/USD": instrument("DOGE/USD", "500")})
    quote = market.quote("DOGE/USD")
    assert quote is not None
    assert [quote.bid, quote.ask] == [D(500), D(1000)]


@pytest.mark.asyncio
async def test_what_is_not_tradable_is_not_quoted() -> None:
    market, _ = await watch(7, 1, **{"DOGE/USD": instrument("DOGE/USD", tradable=False)})
    assert market.quote("DOGE/USD") is None


def test_nothing_tradable_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="tradable"):
        SyntheticFeed({}, VirtualClock(), seed=1, interval_ms=50)
