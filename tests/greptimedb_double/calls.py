"""The log of what clients sent, and a way to wait for what they will send."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec


class Call(msgspec.Struct, frozen=True):
    """One request and how it ended. `outcome` is "ok", the name of a StatusCode, or "reset".

    `tables` holds (name, rows) per table in the order sent; rows are 0 for SQL. `bytes` is the size of the message or body.
    """

    number: int
    protocol: str  # grpc or http
    method: str  # insert, delete, health or sql
    database: str
    tables: tuple[tuple[str, int], ...]
    bytes: int
    outcome: str
    sql: str = ""

    @property
    def table(self) -> str:
        """The first table, "" for none."""
        return self.tables[0][0] if self.tables else ""

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.tables)


class Activity:
    """Calls in the order they ended; whoever waits is woken by each call and each fault that strikes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: list[Call] = []

    def record(self, protocol: str, method: str, database: str, outcome: str, size: int, **details: object) -> None:
        with self._changed:
            number = len(self._calls) + 1
            self._calls.append(
                msgspec.convert(
                    {
                        "number": number,
                        "protocol": protocol,
                        "method": method,
                        "database": database,
                        "outcome": outcome,
                        "bytes": size,
                        "tables": (),
                        **details,
                    },
                    Call,
                )
            )
            self._changed.notify_all()

    def calls(self) -> list[Call]:
        with self._changed:
            return list(self._calls)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait(self, condition: Callable[[], bool], timeout: float) -> None:
        """Returns once the condition holds. Raises TimeoutError after that many seconds without it."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"nothing of the kind within {timeout} s; calls so far: {self._calls[-5:]}")
