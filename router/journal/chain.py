"""The hash chain: each event's digest covers the one before it, so no stored event can be changed unseen.

This module must not know where events are stored.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from router.domain.events import AnyEvent, Event, OrderEvent, decode_event
from router.errors import JournalCorruptError

GENESIS: Final = bytes(32)
"""What the first event's digest is chained to."""


def link(previous: bytes, payload: bytes) -> bytes:
    """Return the digest of an event: SHA-256 over the previous digest and the event's bytes."""
    return hashlib.sha256(previous + payload).digest()


def key_of(event: Event) -> str | None:
    """Return what an event is found by: its client_order_id, None for one that belongs to no order."""
    return event.client_order_id if isinstance(event, OrderEvent) else None


class ChainReader:
    """Reads stored events in order and trusts none before its place in the chain is checked.

    ``count`` is the sequence number of the last event read, ``digest`` the chain's head there. Begun elsewhere than at
    the start, it takes the events before for true.
    """

    def __init__(self, path: Path, count: int = 0, digest: bytes = GENESIS) -> None:
        self.count = count
        self.digest = digest
        self._path = path

    def event(self, seq: int, key: str | None, payload: str, digest: bytes) -> AnyEvent:
        """Return the event stored under ``key``; raises JournalCorruptError, naming the first that does not hold."""
        due = self.count + 1
        if seq != due:
            raise JournalCorruptError(f"{self._path}: event {due} is missing (found {seq} in its place). {_ADVICE}")
        expected = link(self.digest, str(payload).encode())  # not text: it was changed, and does not hold
        if digest != expected:
            raise JournalCorruptError(f"{self._path}: event {due} was changed: its digest does not hold. {_ADVICE}")
        try:
            event = decode_event(payload)
        except msgspec.DecodeError as error:
            raise JournalCorruptError(f"{self._path}: event {due} cannot be read: {error}. {_ADVICE}") from None
        if key != key_of(event):
            raise JournalCorruptError(f"{self._path}: event {due} is filed under {key}, not its own id. {_ADVICE}")
        self.count, self.digest = seq, expected
        return event


_ADVICE: Final = "Do not trade on it: keep the file, restore a backup, open an incident."
