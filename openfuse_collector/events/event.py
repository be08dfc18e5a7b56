"""One Langfuse ingestion event: what the `genai` connector emits, what raw_events keeps and what the fold reads."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from openfuse_collector.events.instants import millis_text
from openfuse_collector.events.text import cleaned, parse_json

EntityType = Literal["trace", "observation", "score", "dataset_run_item"]

REMARK = "remark"
"""Key of envelope metadata, see `Event.remark`."""

ERASED = "erased"
"""Key of envelope metadata: this event had a payload, which a deletion has taken off the disk."""

TOMBSTONE: Final = "langfuse-tombstone"
"""Type of the event that says: delete this entity."""

UNREADABLE: Final = "openfuse-unreadable"
"""Type of what a store has as a raw event and nobody can read; `UNREADABLE` in its metadata is why.

Its entity cannot be folded, unless it has been deleted since."""


class Entity(NamedTuple):
    """The name of the thing an event speaks of. The same id in two entity types names two things."""

    project_id: str
    type: str
    """One of `EntityType`."""
    id: str


class Event(msgspec.Struct, gc=False):
    """An accepted envelope `{id, timestamp, type, body, metadata?}` and where it came from. Read-only by convention."""

    entity: Entity
    id: str
    """Envelope id: the identity of the delivery. A copy has the same id."""
    type: str
    """Langfuse event type: `trace-create`, `generation-update`, …"""
    timestamp: str
    """Envelope timestamp, ISO-8601 with zone, as written: all fraction digits count for the order."""
    body: dict[str, Any]
    ingested_at: int
    """Epoch milliseconds: receive time of the journal record plus the event's index in its request. Never the clock."""
    metadata: dict[str, Any] | None = None
    """Envelope metadata. Span-derived events carry `{"source": digest, "mapping": N}` (remarks `remark` too) or `{"shallow": true}`."""

    @property
    def derived(self) -> bool:
        """True for events made from spans: their place in the order does not depend on when they arrived."""
        # Clients may send any JSON here, so the type is asked for.
        return type(self.metadata) is dict and ("source" in self.metadata or "shallow" in self.metadata)

    @property
    def shallow(self) -> bool:
        """True for a trace event that only says: this trace exists."""
        return type(self.metadata) is dict and "shallow" in self.metadata

    @property
    def remark(self) -> bool:
        """True for what one span says of another's observation: it counts once that observation is known, and alone makes none."""
        return type(self.metadata) is dict and REMARK in self.metadata


def encode_envelope(event: Event) -> bytes:
    """The envelope as compact UTF-8 JSON, the text of `raw_events.body`."""
    envelope: dict[str, Any] = {"id": event.id, "timestamp": event.timestamp, "type": event.type, "body": event.body}
    if event.metadata is not None:
        envelope["metadata"] = event.metadata
    return _encode(envelope)


class _Envelope(msgspec.Struct, gc=False):
    id: str
    type: str
    timestamp: str
    body: dict[str, Any]
    metadata: Any = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Envelope).decode


def decode_envelope(entity: Entity, body: str, ingested_at: int) -> Event:
    """The event of a raw_events row, whoever wrote it. What is no event becomes one of the type `UNREADABLE`, never an error."""
    try:
        envelope = _decode(body)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return _decode_foreign(entity, body, ingested_at)
    return _event(entity, envelope, ingested_at)


def _decode_foreign(entity: Entity, body: str, ingested_at: int) -> Event:
    """What is not as this project writes it: JavaScript writes half surrogate pairs, and Openfuse's tombstones are `{id, deletedAt}`."""
    try:
        value = cleaned(parse_json(body))
        if type(value) is dict and "type" not in value and "deletedAt" in value:
            id = f"tombstone-{entity.id}-{ingested_at}"
            return Event(entity, id, TOMBSTONE, str(value["deletedAt"]), value, ingested_at)
        return _event(entity, msgspec.convert(value, _Envelope), ingested_at)
    except (ValueError, msgspec.ValidationError) as error:
        id, why = f"unreadable-{entity.id}-{ingested_at}", {UNREADABLE: str(error)}
        return Event(entity, id, UNREADABLE, millis_text(ingested_at), {}, ingested_at, why)


def _event(entity: Entity, envelope: _Envelope, ingested_at: int) -> Event:
    return Event(entity, envelope.id, envelope.type, envelope.timestamp, envelope.body, ingested_at, envelope.metadata)
