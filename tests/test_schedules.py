"""The testnet's fault schedules in a short form, and the routers that are broken on purpose: each is found.

For longer: ``python -m tests.schedules --schedules 500 --seed 7``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.schedules.campaign import campaign, flatness
from tests.schedules.child import VARIANTS
from tests.schedules.lane import Score

SOUND = 8


def test_orders_trades_and_balances_are_the_venues_whatever_went_wrong(tmp_path: Path) -> None:
    score = campaign(tmp_path, seed=4, schedules=SOUND, lanes=8)
    assert score.wrong == []
    assert score.schedules == SOUND
    assert score.kills
    assert sum(score.faults.values())


def test_every_router_that_is_broken_on_purpose_is_found(tmp_path: Path) -> None:
    def found(variant: str) -> list[str]:
        wrong = campaign(tmp_path / variant, seed=1, schedules=1, venues=("binance",), variant=variant).wrong
        return [each for each in wrong if "lane" not in each.split()[0] and "a life" not in each]

    variants = sorted(set(VARIANTS) - {""})
    with ThreadPoolExecutor(len(variants)) as pool:
        caught = dict(zip(variants, pool.map(found, variants), strict=True))
    assert all(caught.values()), caught


def test_growth_is_noticed() -> None:
    flat = Score(sizes=[[(100_000, 30, 40)] * 30])
    assert flatness(flat)[1]
    for column in range(3):
        grown = [[100_000, 30, 40] for _ in range(30)]
        for number, size in enumerate(grown):
            size[column] += number * (2_000 if column == 0 else 1)
        assert not flatness(Score(sizes=[flat.sizes[0], [(a, b, c) for a, b, c in grown]]))[1]
