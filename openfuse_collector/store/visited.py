"""Entities that need no second visit, by a hash of their names, in a file of its own that is gone with the process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from hashlib import blake2b

from openfuse_collector.events.event import Entity


class Visited:
    """A set that stays small in memory whatever the size of the store."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", check_same_thread=False)  # a temporary file, cached in memory
        self._connection.execute("CREATE TABLE visited (key INTEGER PRIMARY KEY)")

    def add(self, entities: Iterable[Entity]) -> None:
        """Remember these."""
        self._connection.executemany("INSERT OR IGNORE INTO visited VALUES (?)", ((_key(one),) for one in entities))

    def __contains__(self, entity: Entity) -> bool:
        query = "SELECT 1 FROM visited WHERE key = ?"
        return self._connection.execute(query, (_key(entity),)).fetchone() is not None


def _key(entity: Entity) -> int:
    name = "\0".join(entity).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True)
