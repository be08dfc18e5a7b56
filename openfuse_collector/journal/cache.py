"""The newest records in decoded form, so that a pipeline of this process need not decode what the receiver just did."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from threading import Lock

from openfuse_collector.signals import Item

ENTRY_COST = 1024
"""Bytes an entry counts beside its payload: objects of a small message weigh more than its payload."""


class DecodedCache:
    """Items by offset, up to a number of payload bytes; the oldest leave first. Thread-safe."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._items: dict[int, tuple[Item, int]] = {}
        self._order: deque[int] = deque()
        self._size = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, offset: int) -> tuple[Item, int] | None:
        """The item at an offset and the offset behind it."""
        return self._items.get(offset)

    def add(self, entries: Iterable[tuple[Item, int]]) -> None:
        """Take items that follow each other at the end of the log."""
        with self._lock:
            for item, end in entries:
                self._items[item.position] = (item, end)
                self._order.append(item.position)
                self._size += item.size + ENTRY_COST
            while self._size > self._bound:
                self._drop_oldest()

    def clear(self) -> None:
        """Forget everything; readers go to the disk."""
        with self._lock:
            while self._order:
                self._drop_oldest()

    def drop_below(self, offset: int) -> None:
        """Every reader is at or behind `offset`."""
        with self._lock:
            while self._order and self._order[0] < offset:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        item, _ = self._items.pop(self._order.popleft())
        self._size -= item.size + ENTRY_COST
