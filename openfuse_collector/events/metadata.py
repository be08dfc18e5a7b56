"""Metadata: what a root that is no object becomes, and the nested merge as one event after the other does it."""

from __future__ import annotations

from typing import Any, Final

from openfuse_collector.events.text import plain_text

DEPTH: Final = 32
"""Values nested deeper than this are replaced whole, so that no client decides how deep our recursion goes."""

ABSENT: Final = object()


def metadata_record(root: Any) -> dict[str, Any]:
    """The metadata of a body as an object: scalars and lists go under the key `metadata`, falsy ones say nothing.

    Langfuse does the same.
    """
    if isinstance(root, dict):
        return root
    if isinstance(root, list):
        return {"metadata": plain_text(root)}
    return {"metadata": plain_text(root)} if root else {}


def merged(old: Any, new: Any, depth: int = 0) -> Any:
    """`new` laid over `old`: maps by key, lists by index, anything else replaces, null included. Changes neither.

    A key that is written again moves to the end, so the order of keys depends on the newest write of each alone.
    """
    if depth < DEPTH:
        if isinstance(old, dict) and isinstance(new, dict):
            out = dict(old)
            for key, value in new.items():
                out[key] = merged(out.pop(key, ABSENT), value, depth + 1)
            return out
        if isinstance(old, list) and isinstance(new, list):
            laid = [merged(old[i] if i < len(old) else ABSENT, value, depth + 1) for i, value in enumerate(new)]
            return laid + old[len(new) :]
    return new
