"""Is the router able to trade? Each check with its detail, for people and for ``/health``.

This module must not know who asks.
"""

from __future__ import annotations

from collections.abc import Iterable

from router.execution.engine import Engine
from router.execution.venues import Venues
from router.journal.base import Journal
from router.market.quotes import MarketData


def health(
    engine: Engine,
    journal: Journal,
    market: MarketData,
    symbols: Iterable[str],
    venues: Venues,
    *,
    capacity: int,
    max_age_s: float,
) -> dict[str, dict[str, object]]:
    """Return each check as ``{"ok": …, "detail": …}``; ``capacity`` is how many intents may wait, ``max_age_s`` how old
    a quote may be before it blocks orders."""
    error, waiting = journal.error, engine.waiting if engine.running else 0
    ages = [age for age in map(market.age, symbols) if age is not None]
    fed = f"{len(ages)} symbols quoted, the oldest {max(ages):.1f} s ago" if ages else "no symbol is quoted"
    checks = {
        "pipeline": (engine.running, "running" if engine.running else "not running"),
        "journal": (error is None, str(error or f"{journal.durable_seq} events durable")),
        "lock": (engine.lock.held, "held by this process" if engine.lock.held else "not held"),
        "feed": (engine.feed_error is None and bool(ages) and max(ages) <= max_age_s, str(engine.feed_error or fed)),
        "intake": (waiting < capacity, f"{waiting} intents waiting"),
        **venues.health(),
    }
    return {name: {"ok": ok, "detail": detail} for name, (ok, detail) in checks.items()}
