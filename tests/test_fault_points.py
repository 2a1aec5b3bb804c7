"""A real router dies at every fault point between journal and venue, and nothing is lost or doubled.

A longer campaign: ``FAULT_KILLS=5000 FAULT_SEED=7 pytest tests/test_fault_points.py``, or ``python -m tests.faults``.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.faults.campaign import campaign, table
from tests.faults.points import POINTS
from tests.faults.variants import VARIANTS

KILLS: Final = int(os.environ.get("FAULT_KILLS", "208"))
SEED: Final = int(os.environ.get("FAULT_SEED", "1"))
CAUGHT_BY: Final = {
    "resending": "DOUBLED|LOST",  # the second may be refused as late, and be taken for the answer
    "despairing": "LOST",
    "forgetful": "trades differ",
    "repeating": "trades differ",
    "hasty": "told, but not so in the journal|DOUBLED",
}


def test_a_router_killed_at_every_point_loses_and_doubles_nothing(tmp_path: Path) -> None:
    score = campaign(tmp_path, SEED, KILLS)
    assert not score.wrong, "\n".join(score.wrong)
    assert score.kills.keys() == POINTS.keys(), f"some points never killed:\n{table(score)}"
    assert sum(score.kills.values()) >= KILLS
    assert score.orders > KILLS, "the routers died before they did anything"


def test_every_broken_router_is_caught(tmp_path: Path) -> None:
    assert CAUGHT_BY.keys() | {""} == VARIANTS.keys()

    def wrong(variant: str) -> list[str]:
        """Return what was found; a busy machine may need another seed before the fault shows itself by name."""
        lines: list[str] = []
        for turn in range(6):
            lines = campaign(tmp_path / f"{variant}{turn}", SEED + turn, 14, variant=variant, lanes=1).wrong
            if any(re.match(CAUGHT_BY[variant], line) for line in lines):
                break
        return lines

    with ThreadPoolExecutor(len(CAUGHT_BY)) as pool:
        for variant, lines in zip(CAUGHT_BY, pool.map(wrong, CAUGHT_BY), strict=True):
            assert any(re.match(CAUGHT_BY[variant], line) for line in lines), f"{variant}: {lines}"
