"""Bodies of the event types Langfuse's ingestion API takes, and the entity each type speaks of."""

from __future__ import annotations

from openfuse_collector.events.event import EntityType
from openfuse_collector.receivers.langfuse.schemas.fields import (
    ANYTHING,
    ENVIRONMENT,
    JSON,
    NULL,
    OPTIONAL_ID,
    OPTIONAL_INTEGER,
    OPTIONAL_TEXT,
    OPTIONAL_TIME,
    Field,
    Types,
    boolean,
    identifier,
    list_of_text,
    map_of,
    map_of_text,
    number,
    one_of,
    option,
    text,
    wanted,
)
from openfuse_collector.receivers.langfuse.schemas.issues import Issue, Path, broken_rule
from openfuse_collector.receivers.langfuse.schemas.objects import Object, Schema
from openfuse_collector.receivers.langfuse.schemas.scores import SCORE
from openfuse_collector.receivers.langfuse.schemas.usage import COST_DETAILS, USAGE, USAGE_DETAILS

_ID = Field(frozenset(), identifier, needed=True)
_LEVEL = Field(NULL, option("DEBUG", "DEFAULT", "WARNING", "ERROR"))
_SCALARS: Types = frozenset((str, int, bool, type(None)))

_PARAMETERS = map_of(_SCALARS, one_of(text(), number, boolean, list_of_text, map_of_text))
_LEGACY_PARAMETERS = map_of(_SCALARS, one_of(text(), number, boolean))

TRACE = Schema(
    {
        "id": OPTIONAL_ID,
        "timestamp": OPTIONAL_TIME,
        "name": Field(NULL, text(most=1000)),
        "externalId": OPTIONAL_TEXT,
        "input": ANYTHING,
        "output": ANYTHING,
        "sessionId": OPTIONAL_TEXT,
        "userId": OPTIONAL_TEXT,
        "environment": ENVIRONMENT,
        "metadata": ANYTHING,
        "release": OPTIONAL_TEXT,
        "version": OPTIONAL_TEXT,
        "public": Field(frozenset((bool, type(None))), wanted("boolean")),
        "tags": Field(NULL, list_of_text),
    }
)

_OBSERVATION = {
    "traceId": OPTIONAL_ID,
    "environment": ENVIRONMENT,
    "name": OPTIONAL_TEXT,
    "startTime": OPTIONAL_TIME,
    "metadata": ANYTHING,
    "input": ANYTHING,
    "output": ANYTHING,
    "level": _LEVEL,
    "statusMessage": OPTIONAL_TEXT,
    "parentObservationId": OPTIONAL_TEXT,
    "version": OPTIONAL_TEXT,
    "id": _ID,
}
_SPAN = {**_OBSERVATION, "endTime": OPTIONAL_TIME}
_GENERATION = {
    **_SPAN,
    "completionStartTime": OPTIONAL_TIME,
    "model": OPTIONAL_TEXT,
    "modelParameters": Field(NULL, _PARAMETERS),
    "usage": USAGE,
    "usageDetails": USAGE_DETAILS,
    "costDetails": COST_DETAILS,
    "promptName": OPTIONAL_TEXT,
    "promptVersion": OPTIONAL_INTEGER,
}
_LEGACY_OBSERVATION = {
    "id": OPTIONAL_ID,
    "traceId": OPTIONAL_ID,
    "type": Field(frozenset(), option("GENERATION", "SPAN", "EVENT"), needed=True),
    **{name: _GENERATION[name] for name in ("name", "startTime", "endTime", "completionStartTime", "model")},
    "modelParameters": Field(NULL, _LEGACY_PARAMETERS),
    **{name: _GENERATION[name] for name in ("input", "output", "usage", "usageDetails", "costDetails")},
    **{name: _GENERATION[name] for name in ("metadata", "parentObservationId", "level", "statusMessage", "version")},
}


def _prompt_pair(kept: Object, path: Path, issues: list[Issue]) -> None:
    """A prompt has a name and a version, or neither; empty text and 0 count as neither."""
    if bool(kept.get("promptName")) != bool(kept.get("promptVersion")):
        issues.append(broken_rule("Invalid input", path))


EVENT = Schema(_OBSERVATION)
SPAN = Schema(_SPAN)
GENERATION = Schema(_GENERATION, rule=_prompt_pair)
LEGACY_OBSERVATION = Schema(_LEGACY_OBSERVATION)
_NOT_NULL = one_of(wanted("string"), wanted("number"), wanted("boolean"), wanted("array"), wanted("record"))
SDK_LOG = Schema({"log": Field(JSON - NULL, _NOT_NULL, needed=True), "id": OPTIONAL_TEXT})

_GENERATION_LIKE = ("agent", "tool", "chain", "retriever", "evaluator", "embedding", "guardrail")

SDK_LOG_TYPE = "sdk-log"
INTERNAL_TYPE = "dataset-run-item-create"

BODIES: dict[str, Schema] = {
    "trace-create": TRACE,
    "score-create": SCORE,
    "event-create": EVENT,
    "span-create": SPAN,
    "span-update": SPAN,
    "generation-create": GENERATION,
    "generation-update": GENERATION,
    **{f"{kind}-create": GENERATION for kind in _GENERATION_LIKE},
    "observation-create": LEGACY_OBSERVATION,
    "observation-update": LEGACY_OBSERVATION,
    SDK_LOG_TYPE: SDK_LOG,
}
"""Event type -> schema of its body."""

ENTITY_OF: dict[str, EntityType] = dict.fromkeys(BODIES.keys() - {SDK_LOG_TYPE}, "observation")
ENTITY_OF |= {"trace-create": "trace", "score-create": "score"}
"""Event type -> type of the entity it speaks of."""
