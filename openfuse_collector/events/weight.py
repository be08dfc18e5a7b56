"""Roughly how many bytes a value holds in memory: for bounds, so speed counts more than precision."""

from __future__ import annotations

from typing import Any


def weight(value: Any) -> int:
    """Bytes of a JSON value. Only values that take room of their own count: small numbers, None and booleans do not."""
    kind = type(value)
    if kind is str:
        return 56 + len(value)
    if kind is dict:
        return 232 + sum(48 + len(key) + weight(item) for key, item in value.items())
    if kind is list:
        return 64 + sum(8 + weight(item) for item in value)
    return 0
