"""What a span says about its trace: everything (a root), some fields (trace attributes), or only that it exists."""

from __future__ import annotations

from typing import Any, NamedTuple

from openfuse_collector.mapping import metadata
from openfuse_collector.mapping.coercion import BROKEN, parse_json, spelled, text, truthy
from openfuse_collector.mapping.common import Body, Common, put
from openfuse_collector.mapping.content import content_of
from openfuse_collector.mapping.rule import first_answer
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.vocabularies import langfuse

_LONGEST_NAME = 1000
"""Langfuse refuses a trace with a longer name."""


def is_root(span: SpanView) -> bool:
    """No parent, or declared a root by Langfuse's SDK."""
    if not span.parent_id:
        return True
    declared = span.attributes.get("langfuse.internal.as_root")
    return declared is not None and spelled(declared) == "true"


def updates_trace(span: SpanView) -> bool:
    """Whether a span below the root carries attributes of its trace."""
    shape = span.shape
    return shape.always_updates or (bool(shape.updates) and span.first_truthy(shape.updates) is not None)


def root_body(span: SpanView, common: Common) -> Body:
    """The trace as its root sees it."""
    body = _fields(span, common, _identity(span))
    written = span.attributes.get("langfuse.trace.name")
    _put_name(body, span, common.name if written is None else written)
    content = common.content
    if span.shape.trace_content is not None:
        content = content_of(span, span.shape.trace_content)
    put(body, "input", content.input)
    put(body, "output", content.output)
    body["metadata"] = metadata.root_metadata(span, common.attributes)
    return body


def update_body(span: SpanView, common: Common) -> Body:
    """The trace fields a span below the root carries, and what it knows of its identity `otherwise`: where nobody tells."""
    shape, around = span.shape, span.surroundings
    first = span.first_truthy
    told = _Identity(first(shape.told_user), first(shape.told_session), first(shape.told_tags))
    body = _fields(span, common, told)
    if shape.other_identity or (around.user, around.session, around.tags) != _NOBODY:
        put(body, "otherwise", _otherwise(span, told) or None)
    _put_name(body, span, span.attributes.get("langfuse.trace.name"))
    put(body, "input", span.attributes.get(langfuse.TRACE_INPUT))
    put(body, "output", span.attributes.get(langfuse.TRACE_OUTPUT))
    body["metadata"] = metadata.update_metadata(span)
    return body


class _Identity(NamedTuple):
    """Whose trace it is, as written."""

    user: Any
    session: Any
    tags: Any


_NOBODY = (None, None, None)


def _otherwise(span: SpanView, told: _Identity) -> Body:
    """What a span knows by any name, or its resource, of that which it does not tell."""
    known = (None if stated is not None else other for stated, other in zip(told, _identity(span), strict=True))
    otherwise: Body = {}
    _put_identity(otherwise, _Identity(*known))
    return otherwise


def _identity(span: SpanView) -> _Identity:
    """What a span says of it by any name, else its resource."""
    shape, around = span.shape, span.surroundings
    session = span.first_truthy(shape.session)
    if session is None and shape.session_rules:
        session = first_answer(span, shape.session_rules)
    return _Identity(
        span.first_truthy(shape.user) or around.user,
        session or around.session,
        span.first_truthy(shape.tags) or around.tags,
    )


def _fields(span: SpanView, common: Common, identity: _Identity) -> Body:
    shape, around = span.shape, span.surroundings
    body: Body = {"id": span.trace_id, "timestamp": common.timestamp, "environment": common.environment}
    put(body, "version", common.version)
    put(body, "release", _text(span.attributes.get("langfuse.release", around.resource.get("langfuse.release"))))
    _put_identity(body, identity)
    if shape.public:
        public = span.first_set(shape.public)
        put(body, "public", None if public is None else public is True or public == "true")
    return body


def _put_identity(body: Body, identity: _Identity) -> None:
    put(body, "userId", _text(identity.user))
    put(body, "sessionId", _text(identity.session))
    put(body, "tags", tags_of(identity.tags) or None)


def _text(value: Any) -> str | None:
    """A value as text; None for nothing and for empty text."""
    return None if value is None or value == "" else text(value)


def tags_of(written: Any) -> list[str]:
    """Tags from a list, a JSON list, comma separated text or a single word; anything else has none."""
    if isinstance(written, list):
        return [spelled(tag) for tag in written]
    if not isinstance(written, str):
        return []
    if written.strip().startswith("["):
        items = parse_json(written)
        if items is not BROKEN and isinstance(items, list):
            return [spelled(tag) for tag in items]
    if "," in written:
        return [tag.strip() for tag in written.split(",")]
    return [written] if written else []


def first_of(attributes: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """The first truthy attribute of a resource: what holds for all of its traces unless a span says otherwise."""
    return next((attributes[key] for key in keys if key in attributes and truthy(attributes[key])), None)


def _put_name(body: Body, span: SpanView, written: Any) -> None:
    name = None if written is None else text(written)
    if name is not None and len(name) > _LONGEST_NAME:
        span.note("name", f"cut to {_LONGEST_NAME} characters")
        name = name[:_LONGEST_NAME]
    put(body, "name", name)
