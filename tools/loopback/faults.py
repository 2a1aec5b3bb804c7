"""What a loopback venue does wrong on purpose, as data: rules for requests, switches for the streams.

This module must not know how a fault is carried out (``server``), nor any venue.
"""

from __future__ import annotations

from collections import Counter
from copy import copy
from random import Random
from typing import Any, Literal

import msgspec

Kind = Literal[
    "delay",  # delay_s passes, then it is processed and answered
    "delay_after",  # processed at once, answered after delay_s
    "drop_before",  # cut, never processed
    "drop_after",  # processed, then cut
    "late",  # cut at once, processed delay_s later by the venue's clock of that moment
    "truncate",  # processed; 200 whose body ends mid-way
    "empty",  # processed; 200 without a body
    "html",  # processed; 200 with a page
    "status",  # not processed; HTTP status, headers and body
    "status_after",  # processed; HTTP status, headers and body
    "hang",  # not processed, no answer until the client goes
    "hang_after",  # processed, no answer until the client goes
    "code",  # not processed; the venue's error code
    "not_found_once",  # a look-up answers "not found": a lagging replica
    "redirect",  # not processed; 307 to another host, named by body
]
PROCESSED: frozenset[Kind] = frozenset(
    {"delay", "delay_after", "drop_after", "truncate", "empty", "html", "status_after", "hang_after"}
)


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """A fault for requests whose "METHOD /path" begins with ``match``.

    ``times``: how often, None for always; a rule that is used up is gone. ``delay_s`` passes before whatever ``kind``
    says (for ``delay_after`` and ``hang_after`` in between). ``chance``: of those that match, how many.
    """

    match: str
    kind: Kind
    times: int | None = 1
    delay_s: float = 0
    status: int = 503
    headers: dict[str, str] = {}
    body: str = ""
    code: str = ""
    message: str = "made to fail"
    chance: float = 1.0

    def __post_init__(self) -> None:
        if (self.times is not None and self.times < 1) or self.delay_s < 0 or not 0 < self.chance <= 1:
            raise ValueError("times must be at least 1, delay_s not negative, chance above 0 and at most 1")
        if self.kind == "code" and not self.code.removeprefix("-").isdecimal():
            raise ValueError(f"kind 'code' needs the venue's error code, not {self.code!r}")


class StreamFaults(msgspec.Struct, forbid_unknown_fields=True):
    """What happens to the account's events on websockets; answers to requests on them are never touched.

    ``silent``: none is sent. ``drop``, ``duplicate`` and ``reorder`` are chances; a reordered event is held back
    behind the next one. ``refuse``: every websocket is answered with 503 when it is opened. ``market_silent``: no
    market data is sent.
    """

    silent: bool = False
    drop: float = 0
    duplicate: float = 0
    reorder: float = 0
    refuse: bool = False
    market_silent: bool = False


class Faults:
    """The rules and switches in force; ``hits`` counts what was done, by kind."""

    def __init__(self, seed: int = 0) -> None:
        self.rules: list[Rule] = []
        self.stream = StreamFaults()
        self.hits: Counter[str] = Counter()
        self._random = Random(seed)  # noqa: S311  # repeatable, not secret

    def add(self, rule: Rule) -> None:
        self.rules.append(copy(rule))  # it is counted down

    def clear(self) -> None:
        self.rules.clear()
        self.stream = StreamFaults()

    def take(self, method: str, path: str) -> Rule | None:
        """Return the first rule for this request and use it up by one."""
        for rule in self.rules:
            if not f"{method} {path}".startswith(rule.match) or not self._happens(rule.chance):
                continue
            if rule.times is not None:
                rule.times -= 1
                if rule.times == 0:
                    self.rules.remove(rule)
            self.hits[rule.kind] += 1
            return rule
        return None

    def disturb(self, event: Any, held: list[Any]) -> list[Any]:
        """Return what is sent now in place of ``event``; ``held`` keeps what was held back on this websocket."""
        if self._count("silent", self.stream.silent) or self._count("drop", self._happens(self.stream.drop)):
            return []
        if not held and self._count("reorder", self._happens(self.stream.reorder)):
            held.append(event)
            return []
        sent = [event, event] if self._count("duplicate", self._happens(self.stream.duplicate)) else [event]
        sent += held
        held.clear()
        return sent

    def _happens(self, chance: float) -> bool:
        return chance > 0 and (chance >= 1 or self._random.random() < chance)

    def _count(self, kind: str, happens: bool) -> bool:
        self.hits[kind] += happens
        return happens
