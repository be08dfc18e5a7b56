"""Rows: a record as the scalars every store takes, and an event as its row of raw_events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from openfuse_collector.events.columns import COLUMNS
from openfuse_collector.events.event import Event, encode_envelope
from openfuse_collector.events.order import millis_or_none
from openfuse_collector.events.record import Record
from openfuse_collector.events.text import clean, cleaned, json_text

Scalar = str | int | float | bool | None

RAW_COLUMNS = (
    *("ingested_at", "project_id", "entity_type", "entity_id", "event_id", "event_type", "event_ts", "body"),
)


def row(entity_type: str, record: Record) -> dict[str, Scalar]:
    """The row of a record: column -> scalar, all columns of the projection in the schema's order.

    Times are epoch milliseconds, JSON columns compact JSON text. What is no column of the projection is left out.
    """
    columns = COLUMNS[entity_type]
    values = record.copy() if len(record) == len(columns) else {column: record.get(column) for column in columns}
    for column in _TEXT[entity_type]:
        value = values[column]
        if value is not None and (not value.isascii() or "\0" in value):
            values[column] = clean(value)
    for column, encode in _JSON[entity_type]:
        value = values[column]
        values[column] = encode(value) if value else _EMPTY[column]
    return values


def metadata_strings(metadata: dict[str, Any]) -> dict[str, str]:
    """Metadata as it is stored and as side tables have it: string to string, other values as JSON text."""
    return {key: value if type(value) is str else json_text(value) for key, value in metadata.items()}


def with_storable_ids(event: Event) -> Event:
    """The event under the ids every store can hold: what memory calls an entity must be what a look-up finds again.

    Clients may put NUL into an id. Such an event is copied; any other, which is practically every one, is given back as it is.
    """
    entity, id_ = event.entity, event.id
    entity_id, event_id = clean(entity.id), clean(id_)
    if entity_id is entity.id and event_id is id_:
        return event
    return structs.replace(event, entity=entity._replace(id=entity_id), id=event_id)


def raw_row(event: Event) -> tuple[int, str, str, str, str, str, int | None, str]:
    """The row of an event in raw_events, in the order of `RAW_COLUMNS`."""
    project_id, entity_type, entity_id = event.entity
    return (
        event.ingested_at,
        project_id,
        entity_type,
        clean(entity_id),
        clean(event.id),
        event.type,
        _event_ts(event),
        envelope_text(event),
    )


def _event_ts(event: Event) -> int | None:
    """Openfuse's choice: when the entity was, else when the event was. Not what the fold sorts by."""
    body = event.body
    for stated in (body.get("startTime"), body.get("timestamp"), event.timestamp):
        millis = millis_or_none(stated)
        if millis is not None:
            return millis
    return None


def envelope_text(event: Event) -> str:
    """The envelope as raw_events has it, with what UTF-8 cannot hold replaced."""
    try:
        return encode_envelope(event).decode()
    except UnicodeEncodeError:
        body, metadata = cleaned(event.body), cleaned(event.metadata)
        return encode_envelope(structs.replace(event, id=clean(event.id), body=body, metadata=metadata)).decode()


def _metadata_text(metadata: dict[str, Any]) -> str:
    return json_text(metadata_strings(metadata))


_NOT_TEXT = {
    *("timestamp", "start_time", "end_time", "completion_start_time", "created_at", "updated_at"),
    *("bookmarked", "public", "is_deleted", "eav_generation", "prompt_version", "value"),
    *("input_cost", "output_cost", "total_cost", "input_usage", "output_usage", "total_usage"),
    *("dataset_run_created_at", "dataset_item_version"),
}
_EMPTY: dict[str, str | None] = {
    "tags": "[]",
    "metadata": "{}",
    "model_parameters": None,
    "usage_details": "{}",
    "cost_details": "{}",
    "provided_usage_details": "{}",
    "provided_cost_details": "{}",
    "tool_definitions": "{}",
    "tool_calls": "[]",
    "tool_call_names": "[]",
    "dataset_run_metadata": "{}",
    "dataset_item_metadata": "{}",
}
"""JSON columns and their text when there is nothing: readers fail on NULL, except for model_parameters."""

_JSON: dict[str, tuple[tuple[str, Callable[[Any], str]], ...]] = {
    entity_type: tuple((c, _metadata_text if c == "metadata" else json_text) for c in columns if c in _EMPTY)
    for entity_type, columns in COLUMNS.items()
}
_TEXT: dict[str, tuple[str, ...]] = {
    entity_type: tuple(c for c in columns if c not in _EMPTY and c not in _NOT_TEXT)
    for entity_type, columns in COLUMNS.items()
}
