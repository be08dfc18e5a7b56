"""Faults a test switches on and off while clients talk to the double."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tests.greptimedb_double.calls import Activity
from tests.greptimedb_double.status import ServerError, StatusCode
from tests.greptimedb_double.writes import Batch

Answer = TypeVar("Answer")
RowPredicate = Callable[[str, Mapping[str, Any]], bool]
Choice = Callable[[Sequence[Batch]], "Fault | None"]
FOR_EVER = 3600.0


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong, made by the functions below, and when, narrowed by the methods.

    `applied` is the share of a call's rows that are written before the call fails: 0 for a clean failure, 1 for an unknown outcome,
    between them for a write torn in the middle. SQL is applied whole for any share above 0.
    """

    kind: str
    code: StatusCode = StatusCode.UNKNOWN
    message: str = ""
    seconds: float = 0.0
    applied: float = 0.0
    bad: RowPredicate | None = None
    choice: Choice | None = None
    values: dict[str, Any] = {}
    dropped: frozenset[str] = frozenset()
    protocols: frozenset[str] = frozenset(("grpc", "http"))
    methods: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    skipped: int = 0
    limit: int | None = None

    def over(self, protocol: str) -> Fault:
        """Over "grpc" or "http" alone."""
        return msgspec.structs.replace(self, protocols=frozenset((protocol,)))

    def method(self, *methods: str) -> Fault:
        """For "insert", "delete", "health" or "sql" alone."""
        return msgspec.structs.replace(self, methods=frozenset(methods))

    def on(self, *tables: str) -> Fault:
        """For calls that name one of these tables."""
        return msgspec.structs.replace(self, only=frozenset(tables))

    def times(self, limit: int) -> Fault:
        """For that many calls, then never again."""
        return msgspec.structs.replace(self, limit=limit)

    def nth(self, number: int) -> Fault:
        """For the n-th call from now alone, counting those it could strike from 1."""
        return msgspec.structs.replace(self, skipped=number - 1, limit=1)


def unavailable() -> Fault:
    """Nobody listens: connections are cut and new ones refused."""
    return Fault("unavailable")


def status(code: StatusCode, message: str = "injected", *, applied: float = 0.0) -> Fault:
    """Any error of the server's own."""
    return Fault("status", code=code, message=message, applied=applied)


def unavailable_status() -> Fault:
    """The server is there, its storage is not."""
    return status(StatusCode.STORAGE_UNAVAILABLE, "Storage is unavailable")


def region_busy() -> Fault:
    """The region is being altered, split or stalled."""
    return status(StatusCode.REGION_BUSY, "Region is busy")


def rejected_write() -> Fault:
    """The write buffer is full beyond its reject size."""
    return status(StatusCode.STORAGE_UNAVAILABLE, "Engine write buffer is full, rejecting write requests of region")


def memory_exhausted() -> Fault:
    """The memory quota for requests is used up."""
    return status(StatusCode.RUNTIME_RESOURCES_EXHAUSTED, "Memory limit exceeded")


def disk_full(code: StatusCode = StatusCode.INTERNAL) -> Fault:
    """The write-ahead log cannot grow: an internal error, as any failure of the disk is."""
    return status(code, "Failed to write WAL: No space left on device (os error 28)")


def rate_limited() -> Fault:
    """Too many requests."""
    return status(StatusCode.RATE_LIMITED, "Too many requests")


def locked_out() -> Fault:
    """Every password is wrong."""
    return status(StatusCode.USER_PASSWORD_MISMATCH, "Username and password does not match")


def forbidden() -> Fault:
    """The user may not do that."""
    return status(StatusCode.PERMISSION_DENIED, "User is not permitted to do this")


def slow(seconds: float) -> Fault:
    """Every call waits that long, or until healed, before it does its work."""
    return Fault("slow", seconds=seconds)


def stuck() -> Fault:
    """Calls wait until healed."""
    return slow(FOR_EVER)


def reset(*, applied: float) -> Fault:
    """The connection breaks in the middle of the call, `applied` of its rows already written."""
    return Fault("reset", applied=applied)


def bad_row(
    predicate: RowPredicate | None = None, /, *, code: StatusCode = StatusCode.INVALID_ARGUMENTS, **values: Any
) -> Fault:
    """A write holding a row that matches is refused whole. The predicate is given table and row; values have to be equal.

    Values are compared as they rest: times as integers, booleans as 0 and 1, decimals and JSON as text. With another code the server
    does not say that it is the row.
    """
    return Fault("bad_row", code=code, message="Invalid row", bad=predicate, values=values)


def chosen(choice: Choice) -> Fault:
    """What `choice` says to the rows of a call: another fault, or None to let it pass. It is asked once for each call."""
    return Fault("chosen", choice=choice)


def schema_missing(*tables: str) -> Fault:
    """Drops these tables, all without a name, at once. Healing does not bring them back."""
    return Fault("schema_missing", dropped=frozenset(tables))


class ConnectionBroken(Exception):
    """Tells the transport to break the connection instead of answering."""


class _Active:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.struck = 0
        self.healed = threading.Event()

    def strikes(self) -> bool:
        self.seen += 1
        struck = self.seen > self.fault.skipped and (self.fault.limit is None or self.struck < self.fault.limit)
        self.struck += struck
        return struck


class Faults:
    """The faults that are on, and the way of every call past them. Thread-safe."""

    def __init__(self, activity: Activity) -> None:
        self._lock = threading.Lock()
        self._activity = activity
        self._active: list[_Active] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._active.append(_Active(fault))

    def remove(self, fault: Fault | None) -> None:
        """Switches one off, or all of them; calls they hold go on."""
        with self._lock:
            gone = [active for active in self._active if fault is None or active.fault == fault]
            self._active = [active for active in self._active if active not in gone]
        for active in gone:
            active.healed.set()
        self._activity.wake()

    def active(self, kind: str) -> list[Fault]:
        with self._lock:
            return [active.fault for active in self._active if active.fault.kind == kind]

    def struck(self, fault: Fault) -> int:
        """How many calls this fault has struck since it was switched on; 0 once it is off."""
        with self._lock:
            return sum(active.struck for active in self._active if active.fault == fault)

    def _striking(self, protocol: str, method: str, tables: Iterable[str], batches: Sequence[Batch]) -> list[_Active]:
        names = frozenset(tables)
        with self._lock:
            struck = [
                active
                for active in self._active
                if active.fault.kind in ("status", "slow", "reset", "bad_row", "chosen")
                and protocol in active.fault.protocols
                and (not active.fault.methods or method in active.fault.methods)
                and (not active.fault.only or active.fault.only & names)
                and _has_bad_row(active.fault, batches)
                and active.strikes()
            ]
        if struck:
            self._activity.wake()
        return struck

    def through(
        self,
        protocol: str,
        method: str,
        tables: Iterable[str],
        batches: Sequence[Batch],
        apply: Callable[[Sequence[Batch]], Answer],
    ) -> Answer:
        """Does a call's work unless a fault strikes it. Raises ServerError or ConnectionBroken in its place."""
        failing: Fault | None = None
        for active in self._striking(protocol, method, tables, batches):
            if active.fault.kind == "slow":
                active.healed.wait(active.fault.seconds)
            elif failing is None:
                failing = active.fault if active.fault.choice is None else active.fault.choice(batches)
        if failing is None:
            return apply(batches)
        if failing.applied > 0:
            apply([_share(batch, failing.applied) for batch in batches])
        if failing.kind == "reset":
            raise ConnectionBroken
        raise ServerError(failing.code, failing.message)


def _has_bad_row(fault: Fault, batches: Sequence[Batch]) -> bool:
    """Whether the fault is about rows and one of these is such a row, or is not about rows."""
    if fault.kind != "bad_row":
        return True
    return any(_is_bad(fault, batch.table, row) for batch in batches for row in batch.dicts())


def _is_bad(fault: Fault, table: str, row: Mapping[str, Any]) -> bool:
    equal = all(name in row and row[name] == value for name, value in fault.values.items())
    return equal and (fault.bad is None or fault.bad(table, row))


def _share(batch: Batch, share: float) -> Batch:
    return msgspec.structs.replace(batch, rows=batch.rows[: round(len(batch.rows) * share)])
