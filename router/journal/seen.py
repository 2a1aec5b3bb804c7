"""Which client_order_ids were ever used, in constant memory: "surely new" without asking the disk.

A Bloom filter: "no" is certain, "maybe" costs one look into the journal. Ten bits an id keep the false "maybe"
near one in a hundred at the stated capacity. This module must not know what an id stands for.
"""

from __future__ import annotations

import hashlib
from typing import Final

_BITS: Final = 1 << 26  # 8 MiB; 1 % false "maybe" at about 6.9 million ids
_HASHES: Final = 7
SIZE: Final = _BITS // 8
"""Bytes of the memory."""


class Seen:
    """Ids that were added; answers maybe or surely not."""

    def __init__(self) -> None:
        self._bits = bytearray(SIZE)

    def add(self, client_order_id: str) -> None:
        for place in _places(client_order_id):
            self._bits[place >> 3] |= 1 << (place & 7)

    def bits(self) -> memoryview:
        """Return the whole memory, as it is and will be: to be copied at once."""
        return memoryview(self._bits)

    def restore(self, bits: bytes) -> None:
        """Take over what ``bits`` returned."""
        assert len(bits) == SIZE, "a memory of this size"
        self._bits[:] = bits

    def maybe(self, client_order_id: str) -> bool:
        """Return False only for an id that was never added."""
        bits = self._bits
        return all(bits[place >> 3] >> (place & 7) & 1 for place in _places(client_order_id))


def _places(text: str) -> list[int]:
    digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest())
    first, step = digest >> 64, digest & 0xFFFFFFFFFFFFFFFF | 1
    return [(first + turn * step) % _BITS for turn in range(_HASHES)]
