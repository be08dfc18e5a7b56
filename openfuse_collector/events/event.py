"""One Langfuse ingestion event: what the `genai` connector emits, what raw_events keeps and what the fold reads."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

EntityType = Literal["trace", "observation", "score", "dataset_run_item"]

REMARK = "remark"
"""Key of envelope metadata, see `Event.remark`."""

TOMBSTONE: Final = "langfuse-tombstone"
"""Type of the event that says: delete this entity."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


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


def decode_envelope(entity: Entity, body: str | bytes, ingested_at: int) -> Event:
    """The event of a raw_events row. Openfuse's tombstones are no envelopes: `{id, deletedAt}`."""
    envelope = _decode(body)
    if "type" not in envelope and "deletedAt" in envelope:
        id = f"tombstone-{entity.id}-{ingested_at}"
        return Event(entity, id, TOMBSTONE, str(envelope["deletedAt"]), envelope, ingested_at)
    return Event(
        entity=entity,
        id=envelope["id"],
        type=envelope["type"],
        timestamp=envelope["timestamp"],
        body=envelope["body"],
        ingested_at=ingested_at,
        metadata=envelope.get("metadata"),
    )
