"""Which traces have been announced already, so that a long trace is not announced again with each of its requests."""

from __future__ import annotations

from collections import OrderedDict

from openfuse_collector.events.event import Entity, Event

Sighting = tuple[str, str]
"""Timestamp and id of a shallow event: the fold takes the lowest."""


class Sightings:
    """The earliest shallow event let through per trace, for the traces seen last (least recently seen are forgotten).

    A shallow event that the fold puts behind one already let through cannot change the trace's row; which of the events of a trace arrive
    first therefore makes no difference to it.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._earliest: OrderedDict[Entity, Sighting] = OrderedDict()

    def is_news(self, event: Event) -> bool:
        """Whether a shallow event says more than those before it; remembers it if so."""
        sighting = (event.timestamp, event.id)
        known = self._earliest.get(event.entity)
        if known is not None and known <= sighting:
            self._earliest.move_to_end(event.entity)
            return False
        self._earliest[event.entity] = sighting
        self._earliest.move_to_end(event.entity)
        if len(self._earliest) > self._capacity:
            self._earliest.popitem(last=False)
        return True

    def forget(self) -> None:
        """Every trace is news again. Costs a few events that say nothing new, never a row."""
        self._earliest.clear()
