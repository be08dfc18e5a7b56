"""Finds what the server does not take among things that are written together: what fails is tried in halves, down to single ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from openfuse_collector.errors import PermanentError, SuspectError
from openfuse_collector.exporters.greptimedb.errors import CallError, consume_error

HOPELESS = 16
"""So many failures in a row, twice what halving some hundred things down to one takes, are the fault of the server."""

T = TypeVar("T")
Failure = PermanentError | CallError
"""The rows cannot be stored, or the server fails with them and does not say whose fault it is."""


def written(groups: Sequence[Sequence[T]], write: Callable[[Sequence[T]], None]) -> Iterator[tuple[T, Failure] | None]:
    """Writes groups, the last one first, and what fails of them in halves.

    Gives something after each attempt, so that the caller may stop: what failed although it was written alone, and why, or None. Raises
    CallError where the failure says nothing about the rows, or nothing is taken: then the rest was not written.
    """
    untried, failures = list(groups), 0
    while untried:
        some = untried.pop()
        failure = _failure(some, write)
        failures = failures + 1 if isinstance(failure, CallError) else 0
        half = len(some) // 2
        if failure is not None and half:
            untried += some[half:], some[:half]
        yield (some[0], failure) if failure is not None and not half else None
        if isinstance(failure, CallError) and failures >= HOPELESS:
            raise failure


def _failure(some: Sequence[T], write: Callable[[Sequence[T]], None]) -> Failure | None:
    try:
        write(some)
    except PermanentError as error:
        return error
    except CallError as error:
        what = consume_error(error)
        if isinstance(what, PermanentError):
            return what
        if not isinstance(what, SuspectError):
            raise
        return error
    return None
