"""The campaign by hand, as long as wanted.

    python -m tests.faults [--kills N] [--seed S] [--variant NAME] [--lanes L] [--home FOLDER]

Prints the kills by point, then whatever is wrong: with the seed, the points and hit numbers at which the routers of
that journal died, and the order's story from both sides. Exit status 1 when something is wrong, or a point never
killed. Journals stay in FOLDER if it is given. ``variants`` names the routers that are broken on purpose.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.campaign import LANES, campaign, table
from tests.faults.points import POINTS
from tests.faults.variants import VARIANTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variant", choices=sorted(VARIANTS), default="")
    parser.add_argument("--lanes", type=int, default=LANES)
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = asked.home or Path(folder)
        score = campaign(home, asked.seed, asked.kills, variant=asked.variant, lanes=asked.lanes)
    print(table(score))
    print("\n".join(score.wrong))
    return int(bool(score.wrong) or score.kills.keys() != POINTS.keys())


if __name__ == "__main__":
    sys.exit(main())
