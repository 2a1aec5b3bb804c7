"""The folded state as bytes, the same bytes for the same journal, whether it was lived, replayed or loaded.

Only what the journal holds is in it: no marks of the moment, nothing of what is on its way. Orders that ended are not:
the journal answers for them, as it does for those that left memory. Holds are derived from the open orders.
``VERSION`` must change with the encoding **and** with what any event leads to: a state of another version is neither
loaded nor compared. This module must not know who keeps the state, or when.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from router.domain.control import Controls
from router.domain.events import AccountMark, Checkpoint, StrategyMark
from router.domain.executions import Executions
from router.domain.order import Order
from router.domain.portfolio import Position
from router.errors import JournalCorruptError
from router.journal.checkpoints import CheckpointError, state_digest
from router.journal.seen import SIZE, Seen

VERSION: Final = 2


class StrategyState(msgspec.Struct, frozen=True, array_like=True):
    """One strategy's part of an account; ``marked`` is its last mark with the day of it."""

    cash: dict[str, Decimal]
    fees: dict[str, Decimal]
    positions: dict[str, Position]
    marked: tuple[date, StrategyMark] | None


class AccountState(msgspec.Struct, frozen=True, array_like=True):
    """One environment's account as the journal knows it; ``marked`` is its last mark with the day of it."""

    cash: dict[str, Decimal]
    fees: dict[str, Decimal]
    positions: dict[str, Position]
    marked: tuple[date, AccountMark] | None
    strategies: dict[str, StrategyState] = {}


class State(msgspec.Struct, frozen=True, array_like=True):
    """What a start needs besides the events that follow.

    ``orders`` are the open ones, in the order in which they became so: it is their place in a queue. ``unanswered``
    are the client_order_ids of submissions without an answer, oldest first. ``controls``: what was ordered to stop.
    """

    orders: list[Order]
    executions: dict[str, Executions]
    accounts: dict[str, AccountState]
    unanswered: list[str]
    controls: Controls


_encoder: Final = msgspec.msgpack.Encoder(decimal_format="string", order="deterministic")
_decoder: Final = msgspec.msgpack.Decoder(State)


def encode_state(state: State, seen: Seen) -> bytes:
    """Return the state in its one form, and behind it the memory of used ids, which is the bulk: copied once."""
    return b"".join((_encoder.encode(state), seen.bits()))


def event_of(seq: int, now: datetime, state: bytes) -> Checkpoint:
    """Return the event ``seq``, which says that the events before it have led to ``state``."""
    return Checkpoint(seq=seq, ts_recorded=now, at_seq=seq - 1, state_digest=state_digest(state), state_version=VERSION)


def compare(path: Path, event: Checkpoint, state: Callable[[], bytes]) -> None:
    """Prove, during a replay, that the events before ``event`` lead to the same ``state`` as when it was written.

    Raises:
        JournalCorruptError: they do not; naming the event.
    """
    if event.state_version == VERSION and state_digest(state()) != event.state_digest:
        raise JournalCorruptError(
            f"{path}: event {event.seq} says that the events before it led to another state than they do now. Do not "
            "trade on it: keep the file, and start the router version that wrote it."
        )


def decode_state(event: Checkpoint, encoded: bytes) -> tuple[State, bytes]:
    """Return what ``encode_state`` put together for ``event``; raises CheckpointError when this version cannot."""
    if event.state_version != VERSION:
        raise CheckpointError(f"its state has version {event.state_version}, this router reads {VERSION}")
    try:
        return _decoder.decode(encoded[:-SIZE]), encoded[-SIZE:]
    except msgspec.DecodeError as error:
        raise CheckpointError(f"its state cannot be read: {error}") from None
