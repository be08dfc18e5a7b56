"""Metadata as registers: one node per path, so that nested writes may come in any order and any number of times.

Laid one over the other in order (`metadata.merged`), the writes at a path leave: the newest write, and when that is a map
or a list, below it everything written since the last write of another kind. A node therefore keeps the newest scalar, the
key of the newest map and of the newest list, and per child the same; whatever lies below an older barrier is hidden.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from openfuse_collector.events.metadata import ABSENT, DEPTH
from openfuse_collector.events.order import OrderKey
from openfuse_collector.events.weight import weight

_NEVER: tuple[()] = ()
"""Below every order key."""

_NODE_BYTES = 320


class MetadataNode:
    """What was written at one path of the metadata, and below it."""

    __slots__ = ("at", "fields", "items", "lists", "maps", "scalar", "scalars")

    def __init__(self) -> None:
        self.at: tuple[Any, int] = (_NEVER, 0)
        """(key, position among its siblings) of the newest write of any kind: sorts the keys of a map."""
        self.scalars: OrderKey | tuple[()] = _NEVER
        self.maps: OrderKey | tuple[()] = _NEVER
        self.lists: OrderKey | tuple[()] = _NEVER
        self.scalar: Any = None
        self.fields: dict[str, MetadataNode] | None = None
        self.items: dict[int, MetadataNode] | None = None

    def write(self, key: OrderKey, value: Any, depth: int = 0) -> int:
        """Take one event's write; returns the bytes the node grew by."""
        if depth < DEPTH and isinstance(value, dict):
            return self._write_map(key, value, depth + 1)
        if depth < DEPTH and isinstance(value, list):
            return self._write_list(key, value, depth + 1)
        if key <= self.scalars:
            return 0
        grown = weight(value) - weight(self.scalar)
        self.scalars, self.scalar = key, value
        return grown + self._forget_hidden()

    def _write_map(self, key: OrderKey, value: dict[str, Any], depth: int) -> int:
        if key > self.maps:
            self.maps = key
        grown = self._forget_hidden()
        if key < max(self.scalars, self.lists):
            return grown
        if self.fields is None:
            self.fields = {}
        return grown + _write_children(self.fields, value.items(), key, depth)

    def _write_list(self, key: OrderKey, value: list[Any], depth: int) -> int:
        if key > self.lists:
            self.lists = key
        grown = self._forget_hidden()
        if key < max(self.scalars, self.maps):
            return grown
        if self.items is None:
            self.items = {}
        return grown + _write_children(self.items, enumerate(value), key, depth)

    def _forget_hidden(self) -> int:
        """Drop children that no later write can bring back: all of them are older than a write of another kind."""
        grown = 0
        if self.fields is not None and self.maps < max(self.scalars, self.lists):
            grown -= sum(map(_held, self.fields.values()))
            self.fields = None
        if self.items is not None and self.lists < max(self.scalars, self.maps):
            grown -= sum(map(_held, self.items.values()))
            self.items = None
        return grown

    def value(self, floor: OrderKey | tuple[()] = _NEVER) -> Any:
        """What the path holds, writes up to `floor` being hidden by a write further up; `ABSENT` when nothing is left."""
        newest = max(self.scalars, self.maps, self.lists)
        if newest <= floor:
            return ABSENT
        if newest == self.scalars:
            return self.scalar
        if newest == self.maps:
            hidden = max(floor, self.scalars, self.lists)
            visible = [(n.at, name, n) for name, n in (self.fields or {}).items() if n.at[0] > hidden]
            visible.sort(key=_by_write)
            return {name: node.value(hidden) for _, name, node in visible}
        hidden = max(floor, self.scalars, self.maps)
        items = self.items or {}
        return [items[i].value(hidden) for i in sorted(items) if items[i].at[0] > hidden]


def _write_children(
    nodes: dict[Any, MetadataNode], children: Iterable[tuple[Any, Any]], key: OrderKey, depth: int
) -> int:
    grown = 0
    for position, (name, value) in enumerate(children):
        node = nodes.get(name)
        if node is None:
            node = nodes[name] = MetadataNode()
            grown += _NODE_BYTES
        if key > node.at[0]:
            node.at = (key, position)
        grown += node.write(key, value, depth)
    return grown


def _by_write(entry: tuple[tuple[Any, int], str, MetadataNode]) -> tuple[Any, int]:
    return entry[0]


def _held(node: MetadataNode) -> int:
    """Bytes of a node and everything below it."""
    children = [*(node.fields or {}).values(), *(node.items or {}).values()]
    return _NODE_BYTES + weight(node.scalar) + sum(map(_held, children))
