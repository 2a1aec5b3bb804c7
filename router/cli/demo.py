"""``router demo``: the quickest way to see the router work.

Says at once what it does, then loads the rest. This module must not know how the demo runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from router.cli.common import DEFAULTS, CommandError, Common, ExitCode, Number, settle_heap
from router.clock import SystemClock

_INTENTS_SYNTHETIC = 400
_INTENTS_REPLAY = 2_500


async def demo(
    *,
    replay: Annotated[list[Path] | None, Parameter(consume_multiple=True, negative=())] = None,
    home: Path | None = None,
    intents: int | None = None,
    seed: int = 1,
    speed: Number | None = None,
    common: Common = DEFAULTS,
) -> int:
    """Run two example strategies, and a careless one, against a router on paper; show what came of it.

    Args:
        replay: Recordings to trade on (trades, quotes, depth files), instead of a made-up market.
        home: Where journal and log go; default a fresh folder. An existing one is continued.
        intents: How many intents to push; default 400, or 2500 on recordings.
        seed: Of the made-up market and the intent ids.
        speed: Factor of time; default 1, and as fast as possible on recordings.
    """
    count = (_INTENTS_REPLAY if replay else _INTENTS_SYNTHETIC) if intents is None else intents
    if count < 1 or (speed is not None and not (speed.is_finite() and speed > 0)):
        raise CommandError("--intents and --speed must be above 0", ExitCode.USAGE)
    if replay is not None and not replay:
        raise CommandError("--replay needs at least one recording", ExitCode.USAGE)
    base = common.settings().home_path
    folder = _fresh(base / "demo") if home is None else home
    market = f"{len(replay)} recordings" if replay else "a made-up market"
    print(f"router demo: {count} intents on paper, {market}; state in {folder}", file=sys.stderr, flush=True)

    from router.cli.demo_report import show  # noqa: PLC0415 - half a second of imports, after the first line
    from router.cli.demo_run import run  # noqa: PLC0415

    settle_heap()
    settings = common.settings(_overrides(folder, seed))
    report = await run(settings, paths=replay or [], count=count, seed=seed, speed=speed)
    show(report, as_json=common.json)
    return ExitCode.DONE if report.ok else ExitCode.ERROR


def _fresh(parent: Path) -> Path:
    """Return a folder of this moment that does not exist yet."""
    name = f"{SystemClock().now():%Y%m%d_%H%M%S}"
    return next(
        folder
        for number in range(1, 1000)
        if not (folder := parent / (name if number == 1 else f"{name}_{number}")).exists()
    )


def _overrides(folder: Path, seed: int) -> dict[str, object]:
    """Return what the demo fixes of the configuration; a replay outruns the windows of real time."""
    return {
        "execution.home": str(folder),
        "execution.environment": "paper",
        "market_data.source": "synthetic",
        "market_data.seed": seed,
        "safety.price_walk_pct": "off",
        "safety.window_notional": "off",
        "safety.duplicate_window_s": "off",
        "safety.max_orders_per_second": "off",
        "safety.max_orders_per_second_per_strategy": "off",
        "safety.max_repeated_executions": "off",
        "safety.volatility_pct": "off",
    }
