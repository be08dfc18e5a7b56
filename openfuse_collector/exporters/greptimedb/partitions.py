"""Partitions for tables of a cluster: ranges of the first hex digit of an entity's id, the same for all tables of the entity.

Only columns of the primary key will do: rows in different regions never replace each other, and the server does not check this.
Ids of spans and traces are hex and spread evenly; other ids, which applications choose, are in some range as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from openfuse_collector.exporters.greptimedb.schema import Table

COUNTS: Final = (1, 2, 4, 8, 16)
"""How many partitions a table may have here."""

_COLUMNS = ("id", "entity_id", "trace_id")
_DIGITS = "0123456789abcdef"


def partition_column(table: Table) -> str | None:
    """The key column that tells entities apart; None for tables that are not about entities."""
    if table.whole:
        return None
    return next((column for column in _COLUMNS if column in table.primary_key), None)


def ranges(column: str, count: int) -> Iterator[str]:
    """SQL conditions that together hold for every value, each value in exactly one. `column` is quoted already."""
    bounds = [f"'{digit}'" for digit in _DIGITS[:: len(_DIGITS) // count]][1:]
    yield f"{column} < {bounds[0]}"
    for low, high in pairwise(bounds):
        yield f"{column} >= {low} AND {column} < {high}"
    yield f"{column} >= {bounds[-1]}"
