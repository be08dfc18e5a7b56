"""Which span or log record an event was made from, and by which version of the mapping."""

from __future__ import annotations

from typing import NamedTuple

from openfuse_collector.events.event import Event


class Source(NamedTuple):
    """Two events with one digest speak of the same source; the one of the higher mapping replaces the other."""

    digest: str
    mapping: int


def source_of(event: Event) -> Source | None:
    """The source of a span-derived event, None for API events and shallow ones."""
    metadata = event.metadata
    if type(metadata) is not dict:
        return None
    digest, mapping = metadata.get("source"), metadata.get("mapping")
    return Source(digest, mapping) if type(digest) is str and type(mapping) is int else None
