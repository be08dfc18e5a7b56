"""When an event was news: what a tombstone is held against. A tombstone wins over everything that is not newer than itself.

The receive time of an event says when it came, not that it had something new to say. An SDK that sends old spans once more must not
bring a deleted trace back, and what it sends may look new: a newer mapping gives the event another id, other batches other shallow events.
"""

from __future__ import annotations

from collections.abc import Iterable

from openfuse_collector.events.event import Event
from openfuse_collector.events.order import millis_or_none
from openfuse_collector.events.source import source_of

NEVER = -1
"""Epoch milliseconds before any event."""


def stated_at(event: Event) -> int:
    """Epoch milliseconds at which an event without a source was news: when it was received.

    A shallow event is one of many that the spans of a trace may lead to, depending on how they are grouped into requests: it is as
    old as the span it was made of.
    """
    if not event.shallow:
        return event.ingested_at
    started = millis_or_none(event.timestamp)
    return event.ingested_at if started is None else min(event.ingested_at, started)


def last_stated(live: Iterable[Event]) -> int:
    """When the newest of some live events was news. A source was news when its first event was received, whatever mapping made that."""
    newest, sources = NEVER, dict[str, int]()
    for event in live:
        source = source_of(event)
        if source is None:
            newest = max(newest, stated_at(event))
        else:
            sources[source.digest] = min(event.ingested_at, sources.get(source.digest, event.ingested_at))
    return max((newest, *sources.values()))
