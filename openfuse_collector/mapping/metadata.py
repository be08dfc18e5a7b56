"""Metadata: what users attach to traces and observations, and everything else a span, its resource and scope say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from openfuse_collector.mapping.coercion import BROKEN, json_text, parse_json, truthy
from openfuse_collector.mapping.span_view import SpanView

OBSERVATION, TRACE = "langfuse.observation.metadata", "langfuse.trace.metadata"
_EITHER = "langfuse.metadata"
_VERCEL = "ai.telemetry.metadata."
_NOT_METADATA = frozenset(f"{_VERCEL}{name}" for name in ("userId", "sessionId", "tags", "langfusePrompt"))
NOTES = "mapping_notes"
"""Metadata key under which a span says which of its attributes could not be used, and why."""
EXCEPTION = "exception"
"""Metadata key of the last exception event, stack included. Langfuse keeps nothing of these."""

Metadata = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MetadataKeys:
    """Where metadata of one domain is: attributes that hold a whole map, and attributes that hold one entry each."""

    whole: tuple[str, ...]
    entries: tuple[tuple[str, str], ...]


def metadata_keys(keys: Iterable[str], domain: str) -> MetadataKeys | None:
    """The keys among these that carry metadata of `domain` (`OBSERVATION` or `TRACE`), entries in order of writing; None without any."""
    prefixes = (f"{domain}.", f"{_EITHER}.", _VERCEL)
    present = tuple(keys)
    entries = tuple(
        (key, key[len(prefix) :])
        for key in present
        for prefix in prefixes
        if key.startswith(prefix) and key not in _NOT_METADATA
    )
    whole = tuple(key for key in (domain, _EITHER) if key in present)
    return MetadataKeys(whole, entries) if whole or entries else None


def written_metadata(
    attributes: Mapping[str, Any], keys: MetadataKeys, notes: list[str], read: Callable[[str], Any]
) -> Metadata:
    """Metadata users attached: the map first, then single entries, which win. What is no map is noted. `read` parses an attribute."""
    found: Metadata = {}
    for key in keys.whole:
        if truthy(attributes[key]):
            found = _as_map(read(key), key, notes)
            break
    for key, name in keys.entries:
        found[name] = attributes[key]
    return found


def resource_metadata(resource: Mapping[str, Any]) -> Metadata:
    """Metadata a resource gives all of its traces."""
    keys = metadata_keys(resource, TRACE)
    return {} if keys is None else written_metadata(resource, keys, [], lambda key: parse_json(resource[key]))


def _as_map(value: Any, key: str, notes: list[str]) -> Metadata:
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    if not any(note.startswith(f"{key}:") for note in notes):  # it is read for the trace and for the observation
        notes.append(f"{key}: {'not JSON' if value is BROKEN else 'not an object'}")
    return {}


def shown_attributes(span: SpanView) -> dict[str, str] | None:
    """Every attribute that is not input or output, as text; None for Langfuse's SDKs, which say it all otherwise."""
    if span.surroundings.is_langfuse_sdk:
        return None
    attributes = span.attributes
    return {key: value if type(value := attributes[key]) is str else _shown(value) for key in span.shape.attributes}


EMPTY_LIST = '{"arrayValue":{}}'
"""How Langfuse shows an empty list: as the OTLP value it came in. Kept, so that filters on metadata find in both what they look for."""


def _shown(value: Any) -> str:
    if value == []:
        return EMPTY_LIST
    return str(value) if type(value) is int else json_text(value)


def observation_metadata(span: SpanView, attributes: dict[str, str] | None) -> Metadata:
    """Metadata of an observation; later sources win: resource, user's, `attributes`, `resourceAttributes`, `scope`."""
    return _surrounded(span, attributes, span.shape.observation_metadata)


def root_metadata(span: SpanView, attributes: dict[str, str] | None) -> Metadata:
    """Metadata a root gives its trace: like an observation's, with the trace's own below it."""
    return _surrounded(span, attributes, span.shape.trace_metadata, span.shape.observation_metadata)


def update_metadata(span: SpanView) -> Metadata:
    """Metadata a span below the root gives its trace: only what speaks of the trace."""
    return _surrounded(span, None, span.shape.trace_metadata)


def _surrounded(span: SpanView, attributes: dict[str, str] | None, *domains: MetadataKeys | None) -> Metadata:
    around = span.surroundings
    metadata = dict(around.metadata)
    for keys in domains:
        if keys is not None:
            metadata |= written_metadata(span.attributes, keys, span.notes, span.json)
    if attributes is not None:
        metadata["attributes"] = attributes
    metadata["resourceAttributes"] = around.resource
    metadata["scope"] = around.scope
    return metadata
