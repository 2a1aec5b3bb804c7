"""What the simulated venue does to an order, an amendment or a cancel: a pure function of its id.

No run can be repeated to the microsecond, but what is asked for and what the venue does about it can.
"""

from __future__ import annotations

import hashlib
import random
from typing import Final, NamedTuple

SETTLE_S: Final = 1.0
"""The venue's recvWindow: a request is executed within this time after it was sent, or never."""

_MANNERS: Final = {"prompt": 60, "slow": 14, "cut": 8, "cut slow": 12, "lost": 6}
_FATES: Final = {"fill": 20, "part": 15, "rest": 25, "later": 20, "part later": 15, "refuse": 5}


class Script(NamedTuple):
    """One request's story.

    ``manner``: *prompt*: executed, then answered; *slow*: the same ``delay_s`` later; *cut*: executed, and the
    connection closed without an answer; *cut slow*: the connection closed, executed ``delay_s`` later; *lost*: the
    connection closed, never executed. ``fate``: what an accepted order trades, at once and later. ``held_s``: how long
    the executor's own limiter holds the request. ``chases``: whether an amended order fills soon after.
    """

    manner: str
    delay_s: float
    fate: str
    held_s: float
    chases: bool


def script(name: str) -> Script:
    """Return the story of the request with this id."""
    chance = random.Random(hashlib.blake2b(name.encode(), digest_size=8).digest())
    return Script(
        manner=_one(chance, _MANNERS),
        delay_s=chance.uniform(0.1, 0.9),
        fate=_one(chance, _FATES),
        held_s=0.6 if chance.random() < 0.06 else 0.0,
        chases=chance.random() < 0.5,
    )


def _one(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
