"""Whose requests a cursor stands in front of, and which of them are still due to it when the configuration has changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from openfuse_collector.signals import Origin, Signal

ANYBODY = "*"
"""In the place of a maker where a file of an earlier version does not tell them."""


class Cursor(msgspec.Struct, omit_defaults=True):
    """Everything below `offset` is finished for one pipeline."""

    offset: int
    claimed: int
    """Epoch seconds at which a pipeline last held this cursor, or at which there was none any more for the first time."""
    takes: list[str] | None = None
    """Makers of the requests the pipeline takes, see `made_by`; None where that is not known."""
    left: dict[str, int] = {}
    """Makers it took requests of before the configuration changed -> the end of the log at that time: up to there, what is not
    finished was accepted for this pipeline."""

    @property
    def behind(self) -> int:
        """Bytes of the log in which there may be requests of makers it does not take any more."""
        return max(0, max(self.left.values(), default=0) - self.offset)


def made_by(signal: Signal, receiver: str) -> str:
    """Signal and receiver of requests as one word, `traces:otlp/eu`."""
    return f"{signal}:{receiver}"


def still_due(left: Mapping[str, int], origin: Origin, offset: int) -> bool:
    """Whether a record at `offset` was accepted for the pipeline whose cursor has this `left`."""
    return offset < left.get(made_by(origin.signal, origin.receiver), left.get(ANYBODY, 0))


def arranged(cursor: Cursor, takes: Collection[str] | None, end: int, now: int) -> Cursor:
    """A cursor of a log that goes to `end`, when its pipeline takes requests of these makers; None where there is no such pipeline.

    It keeps its place, and in `left` what it took before. Where its pipeline is gone since the last start, its time begins `now`
    (epoch seconds): while the collector was stopped nobody could come back for it.
    """
    left = {maker: until for maker, until in _left(cursor, takes, end).items() if until > cursor.offset}
    claimed = now if takes is None and cursor.takes != [] else cursor.claimed
    return msgspec.structs.replace(cursor, takes=sorted(takes or ()), left=left, claimed=claimed)


def _left(cursor: Cursor, takes: Collection[str] | None, end: int) -> dict[str, int]:
    """`takes`: what its pipeline takes now, None where there is none any more."""
    if takes is None:
        before = [ANYBODY] if cursor.takes is None else cursor.takes
        return {maker: cursor.left.get(maker, end) for maker in (*cursor.left, *before)}
    makers = {*cursor.left, *(cursor.takes or ())} - {ANYBODY, *takes}
    return {maker: cursor.left.get(maker, end) for maker in sorted(makers)}
