"""What a store keyed by time has of an entity already: a row there is replaced only where key and time are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from openfuse_collector.events.accumulator import Extent
from openfuse_collector.events.columns import COLUMNS
from openfuse_collector.events.event import Entity


class Present(NamedTuple):
    """The rows a store has of one entity."""

    times: frozenset[int]
    """Epoch milliseconds. More than one where the time has moved and the older row is still there."""
    generation: int
    """The largest `eav_generation` of them."""
    filled: int
    """Columns that are not NULL in all of them, see `filled`."""


NOTHING = Present(frozenset(), 0, 0)
"""Of an entity without rows."""


class Folded(NamedTuple):
    """What a row was made of and where it was put: what the store should still have when everything has come to rest."""

    extent: Extent
    time: int | None
    """Epoch milliseconds, None where the entity has no row."""
    generation: int


Presence = Callable[[Sequence[Entity]], Mapping[Entity, Present]]
"""Asks the store which rows it has of some entities; those without any are absent from the answer."""


def filled(entity_type: str, row: Mapping[str, Any]) -> int:
    """The columns of a row that are not NULL: one bit each, in the order of `COLUMNS`."""
    bits, bit = 0, 1
    for column in COLUMNS[entity_type]:
        if row[column] is not None:
            bits |= bit
        bit <<= 1
    return bits
