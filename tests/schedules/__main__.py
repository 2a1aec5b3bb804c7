"""The testnet's fault schedules by hand, as many as wanted.

    python -m tests.schedules [--schedules N] [--seed S] [--venue binance|bybit|both] [--variant NAME] [--lanes L]
                              [--flat] [--home FOLDER]

A real router at a loopback venue, both processes of their own, the real ccxt between them: delays, cut and empty
answers, late execution, refusals, bans, wrong clocks, streams that lose, repeat, reorder and fall silent, and kills.
At the end of each schedule orders, trades, terms and balances must be the venue's. Exit status 1 when something is
wrong; the seed plays it again. ``--flat``: all schedules in one life; memory, open files and tasks must not grow.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.schedules.campaign import LANES, campaign, flatness, table
from tests.schedules.child import VARIANTS

_VENUES = {"binance": ("binance",), "bybit": ("bybit",), "both": ("binance", "bybit")}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.schedules", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--venue", choices=sorted(_VENUES), default="both")
    parser.add_argument("--variant", choices=sorted(VARIANTS), default="")
    parser.add_argument("--lanes", type=int, default=LANES)
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        score = campaign(
            asked.home or Path(folder),
            asked.seed,
            asked.schedules,
            venues=_VENUES[asked.venue],
            variant=asked.variant,
            lanes=asked.lanes,
            flat=asked.flat,
        )
    print(table(score))
    if asked.flat:
        rows, is_flat = flatness(score)
        print(rows)
        if not is_flat:
            score.wrong.append("the router grew")
    print("\n".join(score.wrong))
    return int(bool(score.wrong))


if __name__ == "__main__":
    sys.exit(main())
