"""Takes a batch apart, so that what a destination refuses for good can be narrowed down to the entity at fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from openfuse_collector.events.event import Entity, Event
from openfuse_collector.signals import Batch, Delivery, Item, Signal


def parts(batch: Batch) -> list[Batch]:
    """Two or more smaller batches that together hold what `batch` holds; empty when it cannot be divided further.

    Requests are halved first; a single request of events is divided by entity. Nobody waits for the deliveries of the parts.
    """
    if len(batch.items) > 1:
        middle = len(batch.items) // 2
        return [_with(batch, batch.items[:middle]), _with(batch, batch.items[middle:])]
    if batch.signal is not Signal.EVENTS or not batch.items:
        return []
    item = _whole(batch.items[0])
    if item.spans and item.data:  # the spans go first: they are kept whatever becomes of the events
        return [_with(batch, [_item(item, [])]), _with(batch, [msgspec.structs.replace(item, spans=())])]
    groups = _by_entity(item.data)
    if len(groups) < 2:
        return []
    middle = len(groups) // 2
    return [_with(batch, [_item(item, groups[:middle])]), _with(batch, [_item(item, groups[middle:])])]


def _by_entity(events: Sequence[Event]) -> list[list[Event]]:
    groups: dict[Entity, list[Event]] = {}
    for event in events:
        groups.setdefault(event.entity, []).append(event)
    return list(groups.values())


def _item(item: Item, groups: Sequence[list[Event]]) -> Item:
    data: list[Any] = [event for group in groups for event in group]
    return msgspec.structs.replace(item, data=data)


def _whole(item: Item) -> Item:
    """With all of its events in one place, because any of them may be at fault."""
    return msgspec.structs.replace(item, data=[*item.data, *item.announced], announced=()) if item.announced else item


def _with(batch: Batch, items: Sequence[Item]) -> Batch:
    return msgspec.structs.replace(batch, items=items, end=None, delivery=Delivery())
