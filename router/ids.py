"""Ids in the runbook's formats (§6.1): the only module that uses randomness.

Unique under load: within a process a run id's suffix counts up from a random start, so two ids of one second
can only meet after 16.7 million submissions. This module must not know anything else of the package.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import re
from datetime import datetime

_OWN = re.compile(r"[0-9a-f]{24}\Z")
_48_BITS = (1 << 48) - 1
INTENT_ID = re.compile(r"[\x20-\x7e]{1,64}\Z")
"""An intent_id: 1-64 printable ASCII characters (spec §3)."""


class IdFactory:
    """Makes ids; one per process."""

    def __init__(self) -> None:
        self._runs = itertools.count(int.from_bytes(os.urandom(3)))
        self._second: datetime | None = None
        self._stamp = ""
        self._intents = itertools.count(int.from_bytes(os.urandom(6)))

    def run_id(self, now: datetime) -> str:
        """Return e.g. ``run_20251209_143245_abc123``: one per submission."""
        return f"run_{self._stamped(now)}_{next(self._runs) & 0xFFFFFF:06x}"

    def intent_id(self, now: datetime) -> str:
        """Return a sortable id, 24 hex digits: milliseconds, then a count that starts at random."""
        return f"{int(now.timestamp() * 1000) & _48_BITS:012x}{next(self._intents) & _48_BITS:012x}"

    def _stamped(self, now: datetime) -> str:
        second = now.replace(microsecond=0)
        if second != self._second:
            self._second, self._stamp = second, second.strftime("%Y%m%d_%H%M%S")
        return self._stamp


def session_id(environment: str, now: datetime) -> str:
    """Return e.g. ``session_paper_20251209``."""
    return f"session_{environment}_{now:%Y%m%d}"


def alert_id(now: datetime, topic: str, seq: int) -> str:
    """Return e.g. ``alert_20251209_143245_risk_001``; ``seq``, the journal's, makes it unique for ever."""
    return f"alert_{now:%Y%m%d_%H%M%S}_{topic}_{seq:03d}"


def client_order_id(intent_id: str) -> str:
    """Return the order id for an intent: a pure function of it, 25 letters and digits.

    An id of our own stays readable and sortable behind ``U``; any other intent_id becomes ``H`` and 120 bits of its
    hash. 25 characters fit every venue's limit (the tightest takes 28).
    """
    if _OWN.match(intent_id):
        return "U" + intent_id
    digest = hashlib.blake2b(intent_id.encode(), digest_size=15).digest()
    return "H" + base64.b32encode(digest).decode()
