"""The endpoints SDKs used before the ingestion API, one object a call, as events of the ingestion API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from openfuse_collector.receivers.langfuse.repeats import GiveIds
from openfuse_collector.receivers.langfuse.schemas.issues import MISSING, Issue, wrong_type


class Endpoint(NamedTuple):
    """What a call becomes."""

    event_type: str
    id_key: str = "id"
    """Where the body has the id of the entity; PATCH must have one."""
    renamed: Mapping[str, str] = {}
    """Old name -> name in the event."""


_GENERATION_NAMES = {"prompt": "input", "completion": "output"}

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "traces"): Endpoint("trace-create"),
    ("POST", "spans"): Endpoint("span-create"),
    ("PATCH", "spans"): Endpoint("span-update", "spanId"),
    ("POST", "generations"): Endpoint("generation-create", renamed=_GENERATION_NAMES),
    ("PATCH", "generations"): Endpoint("generation-update", "generationId", _GENERATION_NAMES),
    ("POST", "events"): Endpoint("event-create"),
}
"""Langfuse makes `observation-create` and `observation-update` of these, which lose environment and prompt."""


def legacy_event(method: str, resource: str, body: Any, now: str, give_ids: GiveIds) -> dict[str, Any] | list[Issue]:
    """The envelope of a call, at `now` (ISO-8601), or what is wrong with it. An object without id gets one."""
    endpoint = ENDPOINTS[method, resource]
    if type(body) is not dict:
        return [wrong_type("object", body, ())]
    id = body.get(endpoint.id_key)
    if not id and method == "PATCH":
        return [wrong_type("string", body.get(endpoint.id_key, MISSING), (endpoint.id_key,))]
    event_body = {name: value for name, value in body.items() if name not in endpoint.renamed}
    for old, name in endpoint.renamed.items():
        if old in body:
            event_body.setdefault(name, body[old])
    ids = give_ids(id)
    event_body["id"] = ids.entity
    return {"id": ids.event, "type": endpoint.event_type, "timestamp": now, "body": event_body}
