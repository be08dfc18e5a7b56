"""What one event says about its entity: body in, column -> value out; a column that is not named keeps what it has.

Rules per field are Langfuse's but for the deviations in docs/fold.md. A value of the wrong type says nothing, so it costs its own
field only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openfuse_collector.events.columns import OTHERWISE
from openfuse_collector.events.event import Event
from openfuse_collector.events.metadata import metadata_record
from openfuse_collector.events.order import millis_or_none
from openfuse_collector.events.provided import provided_cost, provided_usage
from openfuse_collector.events.score import typed_value
from openfuse_collector.events.text import plain_text

Columns = dict[str, Any]

_KINDS = ("span", "generation", "event", "agent", "tool", "chain", "retriever", "evaluator", "embedding", "guardrail")
_TYPES = {f"{kind}-{verb}": kind.upper() for kind in _KINDS for verb in ("create", "update")}
_BODY_TYPES = {kind.upper() for kind in _KINDS}
_LEVELS = {"DEBUG", "DEFAULT", "WARNING", "ERROR"}

# (body key, column, whether null clears the column; where it does not, null counts as absence)
_TRACE_TEXT = (
    ("name", "name", True),
    ("userId", "user_id", True),
    ("sessionId", "session_id", True),
    ("release", "release", True),
    ("version", "version", True),
)
_OTHERWISE_TEXT = (
    ("userId", OTHERWISE["user_id"], False),
    ("sessionId", OTHERWISE["session_id"], False),
)
_OBSERVATION_TEXT = (
    ("name", "name", True),
    ("model", "provided_model_name", True),
    ("parentObservationId", "parent_observation_id", False),
    ("statusMessage", "status_message", False),
    ("version", "version", False),
)
_SCORE_TEXT = (
    ("name", "name", False),
    ("source", "source", False),
    ("comment", "comment", True),
    ("observationId", "observation_id", True),
    ("sessionId", "session_id", True),
    ("datasetRunId", "dataset_run_id", True),
    ("executionTraceId", "execution_trace_id", True),
    ("authorUserId", "author_user_id", True),
    ("configId", "config_id", True),
    ("queueId", "queue_id", True),
)
_RUN_ITEM_TEXT = (
    ("datasetId", "dataset_id", False),
    ("runId", "dataset_run_id", False),
    ("datasetItemId", "dataset_item_id", False),
    ("traceId", "trace_id", False),
    ("observationId", "observation_id", True),
    ("error", "error", True),
)


def writes(event: Event) -> Columns | None:
    """The columns an event writes, None when it cannot be used at all (a score whose value does not fit its type)."""
    return _WRITES[event.entity.type](event)


def _trace(event: Event) -> Columns | None:
    body = event.body
    columns = _text(body, _TRACE_TEXT)
    _common(event, columns, "timestamp", body.get("timestamp"))
    _input_output(body, columns)
    for flag in ("public", "bookmarked"):
        value = body.get(flag)
        if type(value) is bool:
            columns[flag] = value
    _tags(body, columns, "tags")
    otherwise = body.get("otherwise")
    if type(otherwise) is dict:
        columns.update(_text(otherwise, _OTHERWISE_TEXT))
        _tags(otherwise, columns, OTHERWISE["tags"])
    return columns


def _tags(body: dict[str, Any], columns: Columns, column: str) -> None:
    tags = body.get("tags")
    if type(tags) is list and tags:
        columns[column] = [tag for tag in tags if type(tag) is str]


def _observation(event: Event) -> Columns | None:
    body = event.body
    get = body.get
    columns = _text(body, _OBSERVATION_TEXT)
    kind = _TYPES.get(event.type) or get("type")
    if type(kind) is str and kind in _BODY_TYPES:
        columns["type"] = kind
    trace_id = get("traceId")
    if type(trace_id) is str and trace_id:
        columns["trace_id"] = trace_id
    _common(event, columns, "start_time", get("startTime"))
    if (end := millis_or_none(get("endTime"))) is not None:
        columns["end_time"] = end
    if (first_token := millis_or_none(get("completionStartTime"))) is not None:
        columns["completion_start_time"] = first_token
    if "level" in body and ((level := get("level")) is None or (type(level) is str and level in _LEVELS)):
        columns["level"] = level
    _input_output(body, columns)
    parameters = get("modelParameters")
    if type(parameters) is dict:
        columns["model_parameters"] = parameters
    _usage(get("usage"), get("usageDetails"), get("costDetails"), columns)
    _prompt(get("promptName"), get("promptVersion"), columns, event.derived)
    return columns


def _score(event: Event) -> Columns | None:
    body = event.body
    value = typed_value(body)
    if value is None:
        return None
    columns = _text(body, _SCORE_TEXT)
    # A snapshot is the stored row after an edit in Langfuse's UI: it brings its own times.
    snapshot = event.type == "score-snapshot"
    _common(event, columns, "timestamp", body.get("timestamp") if snapshot else None)
    if snapshot and (created := millis_or_none(body.get("createdAt"))) is not None:
        columns["created_at"] = created
    trace_id = body.get("traceId")
    if type(trace_id) is str and trace_id:
        columns["trace_id"] = trace_id
    columns.update(value)
    return columns


def _dataset_run_item(event: Event) -> Columns | None:
    columns = _text(event.body, _RUN_ITEM_TEXT)
    _time(event, columns, "dataset_run_created_at", event.body.get("createdAt"))
    return columns


_WRITES: dict[str, Callable[[Event], Columns | None]] = {
    "trace": _trace,
    "observation": _observation,
    "score": _score,
    "dataset_run_item": _dataset_run_item,
}


def _text(body: dict[str, Any], table: tuple[tuple[str, str, bool], ...]) -> Columns:
    columns: Columns = {}
    for key, column, null_clears in table:
        value = body.get(key)
        if type(value) is str:
            columns[column] = value
        elif null_clears and value is None and key in body:
            columns[column] = None
    return columns


def _common(event: Event, columns: Columns, time_column: str, time: Any) -> None:
    """Time, environment and metadata, which every entity type has."""
    _time(event, columns, time_column, time)
    environment = event.body.get("environment")
    if type(environment) is str and environment:
        columns["environment"] = environment
    metadata = event.body.get("metadata")
    if metadata is not None:
        columns["metadata"] = metadata_record(metadata)


def _time(event: Event, columns: Columns, column: str, stated: Any) -> None:
    """The stated time, else for API events the envelope's, as Langfuse does.

    Span-derived events without a time of their own (log records joining a span) leave it to those that have one.
    """
    millis = millis_or_none(stated)
    if millis is None and not event.derived:
        millis = millis_or_none(event.timestamp)
    if millis is not None:
        columns[column] = millis


def _input_output(body: dict[str, Any], columns: Columns) -> None:
    """Truthy values only, truthy as in JavaScript: `""`, 0 and false never overwrite, empty containers do."""
    for side in ("input", "output"):
        value = body.get(side)
        if type(value) is str:
            if value:
                columns[side] = value
        elif value or (value is not None and type(value) in (dict, list)):
            columns[side] = plain_text(value)


def _usage(usage: Any, usage_details: Any, cost_details: Any, columns: Columns) -> None:
    """An empty map is not written: it would keep what is there."""
    if (usage and (units := provided_usage(usage, usage_details))) or (
        usage_details and (units := provided_usage(None, usage_details))
    ):
        columns["provided_usage_details"] = units
    if (usage or cost_details) and (costs := provided_cost(usage, cost_details)):
        columns["provided_cost_details"] = costs


def _prompt(name: Any, version: Any, columns: Columns, whole: bool) -> None:
    """The pair or nothing: a name of one event never meets the version of another. A span is whole, so half a pair is what there is."""
    name = name if type(name) is str and name else None
    version = version if type(version) is int and -(2**31) <= version < 2**31 else None
    if (name is not None and version is not None) or (whole and name is not version):
        columns["prompt_name"] = name
        columns["prompt_version"] = version
