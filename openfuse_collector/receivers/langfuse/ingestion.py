"""A batch of the ingestion API: validated event by event, sorted, sampled, made into events, answered with a 207 body.

Pure: no clock, no network. Every event type is accepted (Langfuse: `LANGFUSE_MIGRATION_V4_WRITE_MODE=legacy`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from openfuse_collector.auth import Scope
from openfuse_collector.events.event import ERASED, REMARK, Entity, Event
from openfuse_collector.events.order import instant
from openfuse_collector.receivers.langfuse.sampling import is_kept, trace_id_of
from openfuse_collector.receivers.langfuse.schemas.bodies import ENTITY_OF, SDK_LOG_TYPE
from openfuse_collector.receivers.langfuse.schemas.envelope import Envelope, read_envelope
from openfuse_collector.receivers.langfuse.schemas.issues import MISSING, rendered

_UNNAMED = UUID("7a0c3a55-7c34-5d0a-9a4e-3a1a0b6f1c52")

RESERVED = frozenset(("source", "mapping", "shallow", REMARK, ERASED))
"""Keys of envelope metadata this collector gives a meaning (see `Event`): clients must not be able to set them."""

CLIENT = "client"
"""Where envelope metadata of a client goes that is no map, or has a reserved key."""

MOST_TEXT = 256 * 1024
"""Characters an answer spends on what is wrong with the events of its request."""

NOT_LISTED = "Not listed: the answer is long enough without it"

Error = dict[str, Any]
"""`{"id", "status", "message", "error"}` of an event that was refused."""


class Accepted(NamedTuple):
    """What becomes of a batch."""

    events: list[Event]
    """To be kept, in the order of the answer."""
    response: dict[str, list[dict[str, Any]]]
    """`{"successes": [{"id", "status": 201}], "errors": [Error]}`."""
    sampled_out: int = 0
    """Events answered with success and not kept, because their trace is not in the sample."""


def accept(
    batch: list[Any], project_id: str, received_at: int, scope: Scope = Scope.PROJECT, rate: float | None = None
) -> Accepted:
    """Read the elements of `batch`, received at `received_at` (epoch nanoseconds) with a key of `scope`.

    `rate` is the share of the project's traces to keep, None for all. Nothing a single element holds raises.
    """
    good, errors = _validated(batch, scope)
    good.sort(key=_place)
    successes = [{"id": envelope.id, "status": 201} for envelope in good]
    kept = good if rate is None else [one for one in good if is_kept(trace_id_of(one.type, one.body), rate)]
    events = _events(kept, project_id, received_at // 1_000_000)
    return Accepted(events, {"successes": successes, "errors": errors}, len(good) - len(kept))


def _validated(batch: list[Any], scope: Scope) -> tuple[list[Envelope], list[Error]]:
    """The events to keep and what to say about the others: first what is invalid, then what the key may not send."""
    good: list[Envelope] = []
    refused: list[Error] = []
    denied: list[Error] = []
    room = MOST_TEXT
    for element in batch:
        read = read_envelope(element)
        if isinstance(read, list):
            error = _invalid(element, rendered(read) if room > 0 else NOT_LISTED)
            room -= len(error["error"])
            refused.append(error)
        elif read.type == SDK_LOG_TYPE:
            continue
        elif scope is Scope.SCORES and read.type != "score-create":
            error = {"message": "Authentication error", "error": "Access Scope Denied"}
            denied.append({"id": read.id, "status": 401, **error})
        else:
            good.append(read)
    return good, refused + denied


def _invalid(element: Any, what: str) -> Error:
    """The answer to an event that is not as the API wants it."""
    id = element.get("id") if type(element) is dict else None
    return {"id": id if type(id) is str else "unknown", "status": 400, "message": "Invalid request data", "error": what}


def _place(envelope: Envelope) -> tuple[bool, str]:
    """Updates come after everything else, both by time: the order Langfuse answers in."""
    return envelope.type.endswith("-update"), instant(envelope.timestamp)


def _events(envelopes: list[Envelope], project_id: str, received: int) -> list[Event]:
    """`ingested_at` counts up within an entity, so that events of one request keep their order, as in Openfuse."""
    seen: Counter[Entity] = Counter()
    events = []
    for id, timestamp, type_, body, metadata in envelopes:
        entity_type = ENTITY_OF[type_]
        entity = Entity(project_id, entity_type, body.get("id") or _named(body, project_id, entity_type, id))
        index = seen[entity]
        seen[entity] = index + 1
        kept = None if metadata is MISSING or metadata is None else client_metadata(metadata)
        events.append(Event(entity, id, type_, timestamp, body, received + index, kept))
    return events


def _named(body: dict[str, Any], project_id: str, entity_type: str, event_id: str) -> str:
    """Gives a body without id one that every copy of the event gets. Langfuse answers 201 and loses it."""
    id = str(uuid5(_UNNAMED, f"{project_id}\n{entity_type}\n{event_id}"))
    body["id"] = id
    return id


def client_metadata(metadata: Any) -> dict[str, Any]:
    """Envelope metadata as it is kept: a map without the collector's own keys. What is neither goes under `client`."""
    if type(metadata) is dict and RESERVED.isdisjoint(metadata):
        return metadata
    return {CLIENT: metadata}
