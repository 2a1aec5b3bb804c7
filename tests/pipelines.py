"""Settings, intents and limits for tests that run the real pipeline on a still market."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from router import ExecutionPipeline, ExecutionResult, OrderIntent, OrderSide
from router.domain.events import AnyEvent, decode_event
from router.domain.market import Quote
from router.settings import Settings, load_settings

QUOTES = {
    "BTC/USD": ("49999.5", "50000.5"),
    "BTC/USDT": ("49999.5", "50000.5"),
    "BTC/EUR": ("46199.5", "46200.5"),
    "ETH/USD": ("2999.5", "3000.5"),
    "ETH/USDT": ("2999.5", "3000.5"),
}
LIMITS: Mapping[str, object] = {
    "base_currency": "USD",
    "max_order_notional": "100000",
    "max_exposure": "1.0",
    "max_drawdown": "0.05",
    "max_daily_loss": "0.03",
    "max_concentration": "1.0",
    "max_open_orders": 20000,
    "max_order_quantity": {"default": "1000"},
    "max_position_size": {"default": "5"},
}
"""Limits of which none is in the way of a small order; tests tighten one at a time."""
LOOSE: dict[str, object] = {
    "max_order_notional": "1000000000",
    "max_exposure": "1000",
    "max_drawdown": "1",
    "max_daily_loss": "1",
    "max_concentration": "1000",
    "max_position_size": {"default": "1000000"},
}
QUIET = {
    f"safety.{key}": "off"
    for key in (
        "price_collar_pct",
        "price_walk_pct",
        "window_notional",
        "duplicate_window_s",
        "max_orders_per_second",
        "max_orders_per_second_per_strategy",
        "max_repeated_executions",
        "self_match",
        "max_spread_pct",
        "max_jump_pct",
        "volatility_pct",
    )
}
"""Every control off that has a limit in ``[safety]``; tests switch on one at a time."""


def settings(
    home: Path,
    overrides: Mapping[str, object] | None = None,
    *,
    limits: Mapping[str, object] | None = None,
    quotes: Mapping[str, tuple[str, str]] = QUOTES,
) -> Settings:
    """Return settings for a paper pipeline under ``home`` on fixed quotes, without fees.

    Args:
        home: where journal and limits go.
        overrides: "section.key" → value.
        limits: over ``LIMITS``.
        quotes: bid and ask by symbol.
    """
    home.mkdir(parents=True, exist_ok=True)
    file = home / "risk_limits.toml"
    file.write_text(_toml({**LIMITS, **(limits or {})}))
    base: dict[str, object] = {
        "execution.home": str(home),
        "execution.risk_limits": str(file),
        "execution.portfolio_preset": "",
        "market_data.source": "static",
        "market_data.static": {symbol: {"bid": bid, "ask": ask} for symbol, (bid, ask) in quotes.items()},
        "paper.fill_model": "instant",
        "paper.maker_fee_bps": "0",
        "paper.taker_fee_bps": "0",
        "paper.starting_balances": {"USD": "100000"},
        **QUIET,
    }
    return load_settings(environ={}, overrides=base | dict(overrides or {}))


def intent(**fields: Any) -> OrderIntent:
    """Return a small market buy, with ``fields`` instead of its own."""
    return OrderIntent(
        **{"symbol": "BTC/USD", "side": OrderSide.BUY, "quantity": "0.01", "strategy_key": "test", **fields}
    )


def resting(**fields: Any) -> OrderIntent:
    """Return a small limit buy far below the market, with ``fields`` instead of its own."""
    return intent(**{"order_type": "limit", "price": "40000", **fields})


def move(pipeline: ExecutionPipeline, symbol: str, bid: str, ask: str) -> None:
    """Let the market of ``symbol`` jump."""
    now = pipeline.clock.now()
    pipeline.market.pin(Quote(symbol, Decimal(bid), Decimal(ask), None, None, now, pipeline.clock.monotonic()))


def stored(home: Path) -> list[AnyEvent]:
    """Return what is on disk, oldest first, as a second connection reads it."""
    with closing(sqlite3.connect(home / "journal.db")) as db:
        return [decode_event(row[0]) for row in db.execute("SELECT payload FROM events ORDER BY seq")]


def kinds(events: list[AnyEvent]) -> list[str]:
    """Return what happened, one word an event."""
    return [event.event for event in events]


def encoded(result: ExecutionResult) -> bytes:
    """Return an answer as its JSON, for comparing what went through the journal with what did not."""
    return msgspec.json.encode(result, enc_hook=repr)


def _toml(values: Mapping[str, object]) -> str:
    plain, tables = [], []
    for key, value in values.items():
        if isinstance(value, Mapping):
            tables += [f"[{key}]", *(f'"{name}" = "{number}"' for name, number in value.items())]
        else:
            plain.append(f"{key} = {value}" if isinstance(value, int) else f'{key} = "{value}"')
    return "\n".join([*plain, *tables, ""])
