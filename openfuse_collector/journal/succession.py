"""Whose requests a cursor stands in front of, and who goes on with them when the configuration has changed."""

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
    """Epoch seconds at which a pipeline last held this cursor."""
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


def arranged(
    cursors: Mapping[str, Cursor], takes: Mapping[str, Collection[str]], renamed: Mapping[str, str], end: int, now: int
) -> dict[str, Cursor]:
    """The cursors of a log that goes to `end` under a configuration whose cursors have the names and makers of `takes`.

    A cursor that is configured keeps its place, and in `left` what it took before. One that is not hands on what is in front of
    it: a new name that takes the same begins at the lowest such place, and a cursor that has handed on everything is gone. Those
    named in `renamed` (old name -> new) hand on nothing, they are claimed under the other name.
    """
    kept = {
        name: msgspec.structs.replace(
            cursor,
            takes=sorted(takes.get(name, ())),
            left=_left(cursor, takes.get(renamed.get(name, name)), end),
        )
        for name, cursor in cursors.items()
    }
    gone = {name: cursor for name, cursor in kept.items() if name not in takes and name not in renamed}
    new = {name: _successor(makers, gone.values(), now) for name, makers in takes.items() if name not in cursors}
    handed_on = {maker for name in new for maker in takes[name]}
    for name, cursor in gone.items():
        if cursor.left and handed_on.issuperset(cursor.left):
            del kept[name]
        cursor.left = {maker: until for maker, until in cursor.left.items() if maker not in handed_on}
    for cursor in kept.values():
        cursor.left = {maker: until for maker, until in cursor.left.items() if until > cursor.offset}
    return kept | {name: cursor for name, cursor in new.items() if cursor is not None}


def _left(cursor: Cursor, takes: Collection[str] | None, end: int) -> dict[str, int]:
    """`takes`: what its pipeline takes now, None where there is none any more."""
    if takes is None:
        before = [ANYBODY] if cursor.takes is None else cursor.takes
        return {maker: cursor.left.get(maker, end) for maker in (*cursor.left, *before)}
    makers = {*cursor.left, *(cursor.takes or ())} - {ANYBODY, *takes}
    return {maker: cursor.left.get(maker, end) for maker in sorted(makers)}


def _successor(makers: Collection[str], gone: Collection[Cursor], now: int) -> Cursor | None:
    """The cursor of a new name, None where nobody hands on anything it takes."""
    wanted = {*makers, ANYBODY}
    places = [cursor.offset for cursor in gone if not wanted.isdisjoint(cursor.left)]
    return Cursor(min(places), now, sorted(makers)) if places else None
