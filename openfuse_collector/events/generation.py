"""`eav_generation`: which generation of side rows belongs to a projection row: Openfuse's readers ask for equal ones."""

from __future__ import annotations

from collections.abc import Iterable

_PER_MILLI = 4096


def generation(ingested_ats: Iterable[int], previous: int | None = None) -> int:
    """Openfuse's number for a set of live, distinct events; where that is not above the last one written, the next one.

    `ingested_ats` are epoch milliseconds, one per event; `previous` is the generation of the row being replaced.
    """
    newest, count = 0, 0
    for at in ingested_ats:
        if at > newest:
            newest, count = at, 1
        elif at == newest:
            count += 1
    return following(newest, count, previous)


def following(newest: int, count: int, previous: int | None = None) -> int:
    """`generation`, from the newest receive time and the number of events received at it."""
    formula = newest * _PER_MILLI + min(count, _PER_MILLI - 1)
    return formula if previous is None or formula > previous else previous + 1
