"""A dead letter: what one stage refused for good, why, and all that is needed to offer it to that stage again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import structs

from openfuse_collector.component import Kind
from openfuse_collector.events.event import Event
from openfuse_collector.events.text import clean, cleaned
from openfuse_collector.signals import Item, Origin, RawSpan, Signal

_encode = msgspec.json.Encoder().encode


class DeadLetter(msgspec.Struct, frozen=True):
    """One refused piece of data and why."""

    at: int
    """Epoch milliseconds of the refusal."""
    pipeline: str
    """The journalled pipeline it came through."""
    component: str
    """Who refused it: an id, for a processor with its pipeline (`traces: redact`)."""
    kind: Kind
    reason: str
    signal: Signal
    """Of the payload: what came in may have been another one, see `origin`."""
    origin: Origin
    position: int
    """Offset of the journal record it was in."""
    payload: bytes
    """The OTLP protobuf request, or the JSON array of events when `signal` is `events`."""
    spans: bytes = b""
    """JSON array of the raw spans that were to be kept with the events."""

    @property
    def id(self) -> str:
        """The same refusal of the same data has the same id, so a second pass over the journal does not pile up copies."""
        text = f"{self.component}\0{self.signal}\0{self.project_id}\0".encode("utf-8", "replace")
        return hashlib.blake2b(text + self.payload + self.spans, digest_size=12).hexdigest()

    @property
    def project_id(self) -> str:
        """The project the data belongs to."""
        return self.origin.project_id

    @property
    def size(self) -> int:
        """Bytes it counts for in `max_size`."""
        return len(self.payload) + len(self.spans) + len(self.reason) + ROW

    @property
    def payload_text(self) -> str:
        """The payload for a column of text: JSON as it is, protobuf in base64."""
        return self.payload.decode() if self.signal is Signal.EVENTS else base64.b64encode(self.payload).decode()


ROW = 512
"""About what a letter takes beside payload and reason, in bytes."""


def payload_of(data: Any) -> bytes:
    """What an item holds, as bytes that `decode` of the journal reads again.

    Raises nothing: what could be neither stored nor set aside would stop its pipeline for ever.
    """
    if isinstance(data, list):
        return b"[" + b",".join(map(_event, data)) + b"]"
    try:
        written: bytes = data.SerializeToString()
    except Exception as error:
        return f"{type(data).__name__} that cannot be written: {error}".encode("utf-8", "replace")
    return written


def spans_of(spans: Sequence[RawSpan]) -> bytes:
    """Raw spans as JSON; nothing for none."""
    return _encode(list(spans)) if spans else b""


def item_of(letter: DeadLetter, data: Any) -> Item:
    """The item that was refused: same origin and position, so that ids, arrival and order keys come out as they were."""
    spans = msgspec.json.decode(letter.spans, type=list[RawSpan]) if letter.spans else ()
    return Item(letter.origin, letter.position, data, len(letter.payload), spans)


def _event(event: Event) -> bytes:
    """As the journal would have it, surrogates replaced; as text where it is no JSON at all, because it must not be lost for that."""
    for attempt in (lambda: event, lambda: _without_surrogates(event), lambda: clean(repr(event))):
        with suppress(Exception):
            return _encode(attempt())
    return _encode(f"an event of {clean(repr(event.entity))} that cannot be written")


def _without_surrogates(event: Event) -> Event:
    entity = event.entity._replace(id=clean(event.entity.id))
    body, metadata = cleaned(event.body), cleaned(event.metadata)
    return structs.replace(event, entity=entity, id=clean(event.id), body=body, metadata=metadata)
