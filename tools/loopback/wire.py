"""What passes between the server and the dialect of a venue: calls, answers, and the open websockets.

This module must not know HTTP's bytes (``server``) or any venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol
from urllib.parse import parse_qsl

import msgspec

from tools.loopback.exchange import Exchange
from tools.loopback.faults import Faults
from tools.loopback.model import Policy

BACKLOG = 10_000  # messages a websocket may be behind before it is cut


class Call(msgspec.Struct, frozen=True):
    """A REST request as it arrived: ``query`` and ``body`` raw, as they were signed; header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def params(self) -> dict[str, str]:
        """Return the parameters of the query and, if it is a form, the body."""
        form = self.body.decode(errors="replace") if "urlencoded" in self.headers.get("content-type", "") else ""
        return dict(parse_qsl(self.query, keep_blank_values=True) + parse_qsl(form, keep_blank_values=True))


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer; ``body`` is made JSON unless it is text already."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = {}

    def text(self) -> str:
        return self.body if isinstance(self.body, str) else msgspec.json.encode(self.body).decode()


class Peer:
    """An open websocket; ``topics`` is what it has subscribed, ``state`` whatever else the dialect must remember."""

    def __init__(self, path: str, faults: Faults, cut: Callable[[], None]) -> None:
        self.path = path
        self.topics: set[str] = set()
        self.state: dict[str, Any] = {}
        self.outbox: asyncio.Queue[str] = asyncio.Queue(BACKLOG)
        self.cut = cut
        self._faults = faults
        self._held: list[Any] = []

    def say(self, message: Any) -> None:
        """Send the answer to a request; no fault touches it."""
        try:
            self.outbox.put_nowait(msgspec.json.encode(message).decode())
        except asyncio.QueueFull:
            self.cut()

    def push(self, event: Any) -> None:
        """Send an event of the account, through the stream's faults."""
        for message in self._faults.disturb(event, self._held):
            self.say(message)

    def show(self, event: Any) -> None:
        """Send market data."""
        if not self._faults.stream.market_silent:
            self.say(event)


class Dialect(Protocol):
    """How one venue speaks. Everything is synchronous: a request is one step, checked and done at one moment.

    The constructor adds its listeners to the exchange and pushes what happens to those of ``peers`` (always the open
    ones) that have subscribed it. ``handle`` answers every call, with the venue's own error for a wrong one.
    """

    policy: ClassVar[Policy]
    sockets: ClassVar[tuple[str, ...]]  # beginnings of the paths that are websockets

    def __init__(self, exchange: Exchange, key: str, secret: str, peers: set[Peer]) -> None: ...

    def handle(self, call: Call) -> Answer: ...

    def hear(self, peer: Peer, text: str) -> None:
        """Handle a message of a websocket."""
        ...

    def joined(self, peer: Peer) -> None:
        """Handle a websocket that was just opened, such as one that names its streams in the path."""
        ...

    def refusal(self, code: str, message: str) -> Answer:
        """Return the venue's answer with this error code."""
        ...

    def not_found(self, call: Call) -> Answer:
        """Return what this look-up answers when there is nothing."""
        ...

    def maintenance(self) -> Answer:
        """Return what every request is answered while the venue is being maintained."""
        ...

    def terminate(self) -> None:
        """End the account's subscriptions on every websocket, which stays open."""
        ...
