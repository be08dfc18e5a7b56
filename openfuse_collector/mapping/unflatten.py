"""Lists and maps from flattened attributes: `gen_ai.prompt.0.tool_calls.1.name` back into nested JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openfuse_collector.mapping.coercion import truthy
from openfuse_collector.mapping.room import FEW_HOLES, SLOTS, Room
from openfuse_collector.mapping.rule import Content

_DEEPEST = 32
"""Segments below a prefix; real paths have about eight."""
_FORBIDDEN = frozenset(("__proto__", "constructor", "prototype"))


class _List(dict[int, Any]):
    """A list under construction: slots may come in any order and leave holes. `size` counts slots, holes included."""

    size = 0


def unflatten(attributes: Mapping[str, Any], prefix: str, room: Room) -> Any:
    """The structure below `prefix`, None when there is nothing. Holes of lists become None while there is `room`.

    Keys that are the prefix or continue it with a dot count. A list comes out if any of them continues with a number, else
    a map; attributes past the slot budget are left out.
    """
    whole = attributes.get(prefix)
    if whole is not None and truthy(whole):
        return whole
    start = len(prefix) + 1
    paths = [
        (key[start:].split("."), key) for key in attributes if key.startswith(prefix) and key[start - 1 : start] == "."
    ]
    if not paths:
        return None
    is_list = any(len(path) > 1 and path[0].isdecimal() for path, _ in paths)
    root: dict[Any, Any] = _List() if is_list else {}
    slots = 0
    for path, key in paths:
        opened = _opens(root, path)
        if opened is not None and slots + opened <= SLOTS:
            slots += opened
            _place(root, path, attributes[key])
    return _finished(root, slots <= FEW_HOLES or room.shows_holes(_holes(root))) or None


def unflatten_sides(attributes: Mapping[str, Any], asked: str, answered: str, room: Room) -> Content:
    """Input and output below two prefixes. A side that is missing beside the other is `{}`, as Langfuse has it, until a later
    rule knows more."""
    sides = tuple(unflatten(attributes, prefix, room) for prefix in (asked, answered))
    if sides == (None, None):
        return Content()
    return Content(*({} if side is None else side for side in sides))


def _index(container: dict[Any, Any], segment: str) -> int | str | None:
    """The place of a segment in a container, None where it has none (a word in a list)."""
    if not isinstance(container, _List):
        return segment
    return int(segment) if segment.isdecimal() and len(segment) < 12 else None


def _opens(root: dict[Any, Any], path: list[str]) -> int | None:
    """How many list slots placing a path would open; None when the path is impossible."""
    if len(path) > _DEEPEST or not _FORBIDDEN.isdisjoint(path):
        return None
    opened, node = 0, root
    for depth, segment in enumerate(path):
        place = _index(node, segment)
        if place is None:
            return None
        if isinstance(place, int):
            opened += max(0, place + 1 - getattr(node, "size", 0))
        last = depth + 1 == len(path)
        child = None if last else node.get(place)
        if not isinstance(child, dict):
            child = _container(path, depth)
        node = child
    return opened


def _container(path: list[str], depth: int) -> dict[Any, Any]:
    """An empty container for what follows `depth`: a list when the next segment is a number."""
    return _List() if depth + 1 < len(path) and path[depth + 1].isdecimal() else {}


def _place(root: dict[Any, Any], path: list[str], value: Any) -> None:
    node = root
    for depth, segment in enumerate(path):
        place = _index(node, segment)
        if isinstance(node, _List) and isinstance(place, int):
            node.size = max(node.size, place + 1)
        if depth + 1 == len(path):
            # A map is written into below, and this one belongs to the span.
            node[place] = value if type(value) is not dict else _finished(value, True)
            return
        child = node.get(place)
        if not isinstance(child, dict):
            child = node[place] = _container(path, depth)
        node = child


def _holes(node: Any) -> int:
    if not isinstance(node, dict):
        return 0
    own = node.size - len(node) if isinstance(node, _List) else 0
    return own + sum(map(_holes, node.values()))


def _finished(node: Any, with_holes: bool) -> Any:
    if isinstance(node, _List):
        slots = range(node.size) if with_holes else sorted(node)
        return [_finished(node.get(slot), with_holes) for slot in slots]
    if isinstance(node, dict):
        return {key: _finished(value, with_holes) for key, value in node.items()}
    return node
