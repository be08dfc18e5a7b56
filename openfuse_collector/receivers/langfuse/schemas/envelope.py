"""One element of a batch: `{id, timestamp, type, body, metadata?}`, read by the schema of its type."""

from __future__ import annotations

from typing import Any, NamedTuple

from openfuse_collector.receivers.langfuse.schemas.bodies import BODIES, INTERNAL_TYPE
from openfuse_collector.receivers.langfuse.schemas.fields import identifier, timestamp
from openfuse_collector.receivers.langfuse.schemas.issues import (
    MISSING,
    Issue,
    broken_rule,
    unknown_discriminator,
    wrong_type,
)

_INTERNAL_ONLY = "Dataset run item creation is only allowed for internal usage"


class Envelope(NamedTuple):
    """An event that is as the API wants it, its body in normal form."""

    id: str
    timestamp: str
    type: str
    body: dict[str, Any]
    metadata: Any
    """Any JSON, MISSING when not there."""


def read_envelope(value: Any) -> Envelope | list[Issue]:
    """The envelope, or everything that is wrong with it."""
    if type(value) is not dict:
        return [wrong_type("object", value, ())]
    kind = value.get("type")
    if kind == INTERNAL_TYPE:
        return [broken_rule(_INTERNAL_ONLY, ())]
    if type(kind) is not str or kind not in BODIES:
        return [unknown_discriminator("type", ())]
    issues: list[Issue] = []
    id = identifier(value.get("id", MISSING), ("id",), issues)
    written = timestamp(value.get("timestamp", MISSING), ("timestamp",), issues)
    body = BODIES[kind].parse(value.get("body", MISSING), ("body",), issues)
    if issues:
        return issues
    return Envelope(id, written, kind, body, value.get("metadata", MISSING))
