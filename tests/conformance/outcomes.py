"""What judging a conformance case gives: how it fared, and where it differs from what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

Case = dict[str, Any]
"""One line of a case file."""

ABSENT = object()
"""Stands for a value that is not there, where null would be one."""


class Verdict(StrEnum):
    """How a case, or a single fact of one, fared."""

    PASSED = "passed"
    FAILED = "failed"
    DEVIATION = "deviation"
    """Differs, and a table says why that is meant."""
    NOT_RUN = "not run"
    """Needs something this machine does not have; neither a pass nor a fail."""


class Difference(NamedTuple):
    """Something that is not as recorded."""

    what: str
    want: Any
    got: Any


class Outcome(NamedTuple):
    """How a case, or a fact, fared."""

    case: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    reason: str = ""
    """Of a deviation, or of not running."""


class NotRunError(Exception):
    """A judge cannot tell here: the message says what is missing."""


Judge = Callable[[Case], list[Difference]]
"""Where we differ from one case; [] when nowhere. May raise NotRunError."""

Run = Callable[[Case], Iterator[Outcome]]
"""All outcomes of one case."""


def differing(**pairs: tuple[Any, Any]) -> list[Difference]:
    """The differences among what=(want, got)."""
    return [Difference(what, want, got) for what, (want, got) in pairs.items() if want != got]
