"""A ccxt client pointed at a loopback venue, as a user of ccxt would do it (``ccxt_facts.md`` §1), and closed again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from tools.loopback import LoopbackVenue


@asynccontextmanager
async def driving(client: Any, venue: LoopbackVenue) -> AsyncIterator[tuple[LoopbackVenue, Any]]:
    """Lead the client, in sandbox mode, to the venue; yield both."""
    client.set_sandbox_mode(True)
    client.urls["api"] = _rebased(client.urls["api"], venue.url)
    try:
        yield venue, client
    finally:
        await client.close()


def _rebased(node: Any, base: str) -> Any:
    if isinstance(node, dict):
        return {key: _rebased(value, base) for key, value in node.items()}
    url = urlsplit(node)
    return ("ws" if url.scheme.startswith("ws") else "http") + base.removeprefix("http") + url.path
