"""The state of an entity that more than one event speaks of: per column the one write that counts, and its order key.

Taking a write costs the same however many came before, and the result depends on the set of writes alone.
"""

from __future__ import annotations

from typing import Any

from openfuse_collector.events.columns import MERGES, Merge
from openfuse_collector.events.metadata_tree import MetadataNode
from openfuse_collector.events.order import OrderKey
from openfuse_collector.events.weight import weight
from openfuse_collector.events.writes import Columns

_REGISTER_BYTES = 250
_TAG_BYTES = 50
_INSTANT_CHARACTERS = 40
"""Of the instant in an order key, counted with its register. API clients may write a million digits."""


class Registers:
    """Registers of one entity, all columns."""

    __slots__ = ("_held", "_merges", "_metadata", "_tags", "first", "size")

    def __init__(self, entity_type: str) -> None:
        self._merges = MERGES[entity_type]
        self._held: dict[str, tuple[Any, Any]] = {}
        self._tags: set[str] | None = None
        self._metadata: MetadataNode | tuple[OrderKey, dict[str, Any]] | None = None
        """A single write as it is, a tree from the second on: most entities are given metadata once."""
        self.first: OrderKey | None = None
        """The lowest key of all events that wrote."""
        self.size = _REGISTER_BYTES
        """Approximate bytes held."""

    def write(self, key: OrderKey, columns: Columns) -> None:
        """Take what one event says."""
        if self.first is None or key < self.first:
            self.first = key
        if len(key[0]) > _INSTANT_CHARACTERS:  # registers share it; that some other event's is gone does not matter
            self.size += len(key[0])
        for column, value in columns.items():
            merge = self._merges.get(column)
            if merge is None:
                self._last(column, key, value)
            elif merge is Merge.FIRST:
                self._first(column, key, value)
            elif merge is Merge.KEEP:
                self._last(column, (bool(value), key), value)
            elif merge is Merge.UNION:
                self._union(value)
            else:
                self._deep(key, value)

    def columns(self) -> Columns:
        """The merged columns: what laying the events one over the other in order leaves."""
        columns = {column: value for column, (_, value) in self._held.items()}
        if self._tags is not None:
            columns["tags"] = self._tags
        if self._metadata is not None:
            held = self._metadata
            columns["metadata"] = held[1] if isinstance(held, tuple) else held.value()
        return columns

    def _last(self, column: str, key: Any, value: Any) -> None:
        held = self._held.get(column)
        if held is None or key > held[0]:
            self._hold(column, key, value, held)

    def _first(self, column: str, key: OrderKey, value: Any) -> None:
        held = self._held.get(column)
        if held is None or key < held[0]:
            self._hold(column, key, value, held)

    def _hold(self, column: str, key: Any, value: Any, held: tuple[Any, Any] | None) -> None:
        self.size += weight(value) + (_REGISTER_BYTES if held is None else -weight(held[1]))
        self._held[column] = (key, value)

    def _union(self, tags: list[str]) -> None:
        if self._tags is None:
            self._tags = set()
        for tag in tags:
            if tag not in self._tags:
                self._tags.add(tag)
                self.size += _TAG_BYTES + weight(tag)

    def _deep(self, key: OrderKey, metadata: dict[str, Any]) -> None:
        held = self._metadata
        if held is None:
            self._metadata = (key, metadata)
            self.size += weight(metadata)
            return
        if isinstance(held, tuple):
            self._metadata = tree = MetadataNode()
            self.size += tree.write(*held) - weight(held[1])
        else:
            tree = held
        self.size += tree.write(key, metadata)
