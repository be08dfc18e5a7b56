"""Counts of the texts seen last: a conversation sends its earlier messages again with every call, and folds come twice."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final

ENTRY: Final = 200
"""Bytes an entry takes beside its text, about."""

SHARE: Final = 16
"""No text takes more than this part of the cache: one large document would drive out a thousand messages."""


class CountCache:
    """(encoding, text) -> tokens, least recently used out first. Any thread may use it."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._size = 0
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def get(self, encoding: str, text: str) -> int | None:
        """The count, None when it is not known (any more)."""
        key = encoding, text
        with self._lock:
            count = self._counts.get(key)
            if count is not None:
                self._counts.move_to_end(key)
            return count

    def put(self, encoding: str, text: str, count: int) -> None:
        """Remember a count. Not for texts that are too long for it."""
        size = _weight(text)
        if size > self._max_size // SHARE:
            return
        with self._lock:
            if (encoding, text) not in self._counts:
                self._size += size
            self._counts[encoding, text] = count
            while self._size > self._max_size:
                (_, dropped), _ = self._counts.popitem(last=False)
                self._size -= _weight(dropped)


def _weight(text: str) -> int:
    """Bytes, about: characters of an ASCII text take one, of others two to four."""
    return ENTRY + len(text) * (1 if text.isascii() else 3)
