"""Which orders are ours, and which of the venue's own ids belong to them; of the last 20 000.

This module must not know what an order is doing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_REMEMBERED: Final = 20_000
"""Twice what the router itself keeps of ended orders."""


class Names:
    """Client ids, and the venue's ids (unique within a symbol) that are known by them."""

    def __init__(self) -> None:
        self._ours: OrderedDict[str, None] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    def own(self, client_order_id: str) -> None:
        """Note that the order is ours."""
        self._ours[client_order_id] = None
        if len(self._ours) > _REMEMBERED:
            self._ours.popitem(last=False)

    def ours(self, client_order_id: str | None) -> str | None:
        """Return the id if it is one of ours: what a stream says of others is not for us."""
        return client_order_id if client_order_id in self._ours else None

    def know(self, symbol: str, venue_order_id: str | None, client_order_id: str) -> None:
        """Note which order the venue's id is of; "" is somebody else's."""
        if venue_order_id is not None:
            self._known[symbol, venue_order_id] = client_order_id
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def of(self, symbol: str, venue_order_id: str) -> str | None:
        """Return the client id of the venue's order, as far as it is known."""
        return self._known.get((symbol, venue_order_id))
