"""The Paillier keys of the analysts who ask: each is checked once, and kept with its tables while there is room.

A table is most of the cost of a small answer, and every analyst asks under a key of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from fedsql.crypto.paillier import PublicKey
from fedsql.errors import ProtocolError

_ROOM = 256 << 20  # bytes; a table for small answers takes 4 MB, one for the largest 50
_MOST = 256  # keys


class AnalystKeys:
    """What one participant keeps: tables are its own secret. Safe to use from several threads."""

    def __init__(self, room: int = _ROOM, most: int = _MOST) -> None:
        self._room, self._most = room, most
        self._guard = Lock()
        self._kept: OrderedDict[int, PublicKey] = OrderedDict()  # the last one used is the last

    def get(self, n: bytes) -> PublicKey:
        """Return the key of modulus ``n`` (big-endian). Raises ProtocolError if it is weak."""
        modulus = int.from_bytes(n, "big")  # as a number: it has one spelling, and no length but its own
        with self._guard:
            known = self._kept.get(modulus)
        try:
            key = known or PublicKey.from_n(modulus)
        except ValueError as error:
            raise ProtocolError(f"the analyst's Paillier key is refused: {error}") from None
        with self._guard:
            key = self._kept.setdefault(modulus, key)  # another thread may have been faster
            self._kept.move_to_end(modulus)
            while len(self._kept) > 1 and (len(self._kept) > self._most or self._size() > self._room):
                self._kept.popitem(last=False)
        return key

    def _size(self) -> int:
        return sum(key.size for key in self._kept.values())
