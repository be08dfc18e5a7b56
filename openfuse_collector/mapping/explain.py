"""Why an event says what it says: for each field the attributes it was read from and the rule that read them.

Nothing is worked out a second time. The mapping runs as always, on a span whose attributes remember what is read and whose
rules remember what they gave; the tables below only say which of it belongs to which field.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from openfuse_collector.enrich import log_vocabulary
from openfuse_collector.enrich.log_events import LOG_EVENTS
from openfuse_collector.enrich.tool_definitions import has_definitions
from openfuse_collector.events.event import Event
from openfuse_collector.mapping import parameters, rules, usage
from openfuse_collector.mapping.anyvalue import attributes_of
from openfuse_collector.mapping.coercion import truthy
from openfuse_collector.mapping.identity import span_digest
from openfuse_collector.mapping.logs import map_logs
from openfuse_collector.mapping.room import Room
from openfuse_collector.mapping.rule import Rule
from openfuse_collector.mapping.rule_names import rule_name
from openfuse_collector.mapping.shape import Shape, shape_of
from openfuse_collector.mapping.span_view import SpanView, Surroundings
from openfuse_collector.mapping.spans import Bodies, bodies_of, map_traces, scopes_of
from openfuse_collector.mapping.vocabularies import genkit, langfuse
from openfuse_collector.signals import Origin


class Reason(NamedTuple):
    """Where a field comes from."""

    field: str
    value: Any
    attributes: tuple[str, ...]
    """Attribute keys; those of the resource begin with `resource `. What is no attribute is named in parentheses."""
    rule: str
    """The rule, as `module.NAME`, or the table of attribute names, as `rules.NAME`."""


class Explained(NamedTuple):
    """An event with a reason per field."""

    event: Event
    reasons: list[Reason]


class _Names(NamedTuple):
    """The attributes of a field that is read without a rule."""

    tables: tuple[str, ...]
    """Names of tables in `rules`."""
    own: tuple[str, ...] = ()
    """Further attributes, in no table."""


_SLOTS: dict[str, tuple[str, ...]] = {
    "type": ("types",),
    "usageDetails": ("usage", "more_usage"),
    "costDetails": ("cost", "more_cost"),
    "completionStartTime": ("first_token",),
    "modelParameters": ("parameters", "more_parameters"),
    "model": ("model_rules",),
    "sessionId": ("session_rules",),
}
"""Field -> parts of a `Shape` that hold its rules. The last rule that answered is the one that decided."""

_NAMES: dict[str, _Names] = {
    "name": _Names(("NAME",), ("langfuse.trace.name",)),
    "model": _Names(("MODEL", "MORE_MODEL"), (genkit.NAME,)),
    "userId": _Names(("USER",)),
    "sessionId": _Names(("SESSION",)),
    "tags": _Names(("TAGS",)),
    "public": _Names(("PUBLIC",)),
    "environment": _Names(("ENVIRONMENT",)),
    "promptName": _Names(("PROMPT_NAME",), (langfuse.PROMPT_LINK,)),
    "promptVersion": _Names(("PROMPT_VERSION",), (langfuse.PROMPT_LINK,)),
    "version": _Names((), ("langfuse.version", "service.version")),
    "release": _Names((), ("langfuse.release",)),
    "level": _Names((), ("langfuse.observation.level",)),
    "statusMessage": _Names((), ("langfuse.observation.status_message",)),
    "input": _Names((), (langfuse.TRACE_INPUT,)),
    "output": _Names((), (langfuse.TRACE_OUTPUT,)),
}
"""Field -> where the names of its attributes are; the first with a value gave it."""

_PREFIXES: dict[str, tuple[str, ...]] = {
    "usageDetails": usage.PREFIXES,
    "modelParameters": parameters.REQUEST_PREFIXES,
}
"""Attributes of a field that count whatever follows, where no rule answered."""

_FIXED: dict[str, str] = {
    "id": "(ids of the span)",
    "traceId": "(ids of the span)",
    "parentObservationId": "(ids of the span)",
    "startTime": "(times of the span)",
    "endTime": "(times of the span)",
    "timestamp": "(times of the span)",
    "name": "(name of the span)",
    "level": "(status of the span)",
    "statusMessage": "(status or exception event of the span)",
    "environment": "(nothing says otherwise)",
    "otherwise": "(other names of user, session and tags, or the resource)",
    "metadata": "(everything the span, its scope and its resource say)",
}
"""What is no attribute."""


def explain_traces(request: ExportTraceServiceRequest, origin: Origin) -> list[Explained]:
    """The events of a request with their reasons, in the order of `map_traces`."""
    told: dict[str, dict[str, list[Reason]]] = {}
    room = Room()
    for group in request.resource_spans:
        for scope_spans, surroundings, digest in scopes_of(group, room):
            for span in scope_spans.spans:
                with suppress(Exception):  # `map_traces` tells of what cannot be mapped
                    told[span_digest(digest, span)] = _Recorded(span, surroundings, origin.received_at).reasons()
    return [Explained(event, _reasons_of(event, told)) for event in map_traces(request, origin).events]


def explain_logs(request: ExportLogsServiceRequest, origin: Origin) -> list[Explained]:
    """The events of a request with, for each record kept, what it will count as once it is joined to its observation."""
    return [Explained(event, list(_reasons_of_record(event))) for event in map_logs(request, origin).events]


def _reasons_of(event: Event, told: dict[str, dict[str, list[Reason]]]) -> list[Reason]:
    if event.remark:
        return [Reason(field, value, ("(the span below)",), "remarks.remark_of") for field, value in event.body.items()]
    source = (event.metadata or {}).get("source")
    if source in told:
        return told[source][event.entity.type]
    return [Reason(field, value, ("(first sight of the trace)",), "shallow") for field, value in event.body.items()]


def _reasons_of_record(event: Event) -> Iterator[Reason]:
    for field in ("id", "traceId"):
        yield Reason(field, event.body[field], ("(ids of the log record)",), "")
    for entry in event.body["metadata"][LOG_EVENTS].values():
        for side, value in log_vocabulary.said(entry)._asdict().items():
            if value is not None:
                yield Reason(f"{LOG_EVENTS}: {side}", value, _keys_of_record(entry, side), _RECORD_RULES[side])


_RECORD_RULES = {
    "message": "log_vocabulary.ROLES",
    "answer": "log_vocabulary.ANSWERS",
    "input": "log_vocabulary.INPUTS",
    "output": "log_vocabulary.OUTPUTS",
}


def _keys_of_record(entry: dict[str, Any], side: str) -> tuple[str, ...]:
    attributes = entry.get("attributes", {})
    keys = {"input": (*log_vocabulary.INPUTS, log_vocabulary.INSTRUCTIONS), "output": log_vocabulary.OUTPUTS}.get(side)
    if keys is None and entry.get("body") is not None:
        return ("(body)",)
    return tuple(key for key in attributes if keys is None or key in keys)


class _Reading(dict[str, Any]):
    """A map that remembers which of its keys were read and had a value."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.read: list[str] = []

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        self._note(key, value)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """As a dict does."""
        value = super().get(key, default)
        if key in self:
            self._note(key, value)
        return value

    def _note(self, key: str, value: Any) -> None:
        if value is not None:
            self.read.append(key)


class _Answer(NamedTuple):
    """A rule that gave something: from which part of the shape, what, and having read which attributes."""

    slot: str
    rule: Rule[Any]
    value: Any
    read: tuple[str, ...]


class _Recorded:
    """One mapping of one span, remembered."""

    def __init__(self, source: Span, surroundings: Surroundings, received_at: int) -> None:
        self._attributes = _Reading(attributes_of(source.attributes))
        self._resource = surroundings.resource
        self._answers: list[_Answer] = []
        shape = shape_of(tuple(self._attributes), surroundings.scope_name, len(source.events) > 0)
        self._shape = shape
        view = SpanView(source, surroundings, self._attributes, self._traced(shape), received_at)
        self._bodies: Bodies = bodies_of(view)
        self._unusable = tuple(note.partition(":")[0] for note in view.notes)

    def reasons(self) -> dict[str, list[Reason]]:
        """Entity type -> a reason per field of that event's body."""
        bodies = self._bodies
        observation = [
            self._reason("type", bodies.type),
            *(self._reason(*field) for field in bodies.observation.items()),
        ]
        trace = [self._reason(*field, of_trace=True) for field in (bodies.trace or {}).items()]
        return {"observation": observation, "trace": trace}

    def _traced(self, shape: Shape) -> Shape:
        """The shape with rules that remember what they gave."""
        slots: dict[str, Any] = {}
        for part in dataclasses.fields(shape):
            held = getattr(shape, part.name)
            if isinstance(held, tuple) and held and isinstance(held[0], Rule):
                slots[part.name] = tuple(self._remembering(part.name, rule) for rule in held)
        return dataclasses.replace(shape, **slots)

    def _remembering(self, slot: str, rule: Rule[Any]) -> Rule[Any]:
        def apply(span: SpanView) -> Any:
            before = len(self._attributes.read)
            value = rule.apply(span)
            if value is not None:
                read = dict.fromkeys(self._attributes.read[before:])
                self._answers.append(_Answer(slot, rule, value, tuple(read)))
            return value

        return dataclasses.replace(rule, apply=apply)

    def _reason(self, field: str, value: Any, of_trace: bool = False) -> Reason:
        if field == "metadata":
            return Reason(field, value, (*dict.fromkeys(self._written_metadata(of_trace)), _FIXED[field]), "metadata")
        found = self._from_rule(field, value, of_trace) or self._from_prefix(field)
        if found is None and field in _NAMES:
            found = self._from_names(field, of_trace)
        return Reason(field, value, *(found or ((_FIXED.get(field, "(default)"),), "")))

    def _from_rule(self, field: str, value: Any, of_trace: bool) -> tuple[tuple[str, ...], str] | None:
        if field in ("input", "output"):
            return self._from_content(field, value, of_trace)
        answers = [answer for answer in self._answers if answer.slot in _SLOTS.get(field, ())]
        return None if not answers else (self._narrowed(answers[-1], value), rule_name(answers[-1].rule))

    def _from_content(self, side: str, value: Any, of_trace: bool) -> tuple[tuple[str, ...], str] | None:
        """The rule whose answer was taken, and tool definitions where they were put beside it."""
        own = of_trace and self._shape.trace_content is not None
        taken = getattr(self._bodies.common.content, side) if not own else value
        slot = "trace_content" if own else "content"
        tools = () if of_trace or taken is value else _definitions(self._attributes)
        for answer in self._answers:
            if answer.slot == slot and taken is not None and getattr(answer.value, side) is taken:
                return (*self._narrowed(answer, taken), *tools), rule_name(answer.rule)
        return (tools, "tool_definitions.move_tools") if tools else None

    def _from_names(self, field: str, of_trace: bool) -> tuple[tuple[str, ...], str] | None:
        listed = [(key, f"rules.{table}") for table in _NAMES[field].tables for key in getattr(rules, table)]
        own = [(key, "") for key in _NAMES[field].own]
        if field == "name":
            listed, own = ([*own, *listed], []) if of_trace else (listed, [])
        places = [(source, *entry) for source in (self._attributes, self._resource) for entry in (*listed, *own)]
        if field == "environment":  # here the span beats its resource key by key
            places.sort(key=lambda place: [entry[0] for entry in listed].index(place[1]))
        for source, key, rule in places:
            value = dict.get(source, key)
            if value is not None and key not in self._unusable and (truthy(value) or field == "public"):
                return (key if source is self._attributes else f"resource {key}",), rule
        return None

    def _from_prefix(self, field: str) -> tuple[tuple[str, ...], str] | None:
        prefixes = _PREFIXES.get(field)
        keys = tuple(key for key in self._attributes if prefixes and key.startswith(prefixes))
        return (keys, f"every {' and '.join(prefixes)}*") if prefixes and keys else None

    def _narrowed(self, answer: _Answer, value: Any) -> tuple[str, ...]:
        """The attribute that is the value, if one is; else all that the rule read, else what it reads instead."""
        same = next((key for key in answer.read if dict.get(self._attributes, key) == value), None)
        return (same,) if same else answer.read or ("(events, name or status of the span)",)

    def _written_metadata(self, of_trace: bool) -> Iterator[str]:
        shape = self._shape
        for keys in (shape.trace_metadata, shape.observation_metadata) if of_trace else (shape.observation_metadata,):
            if keys is not None:
                yield from keys.whole
                yield from (key for key, _ in keys.entries)


def _definitions(attributes: Iterable[str]) -> tuple[str, ...]:
    return tuple(key for key in attributes if has_definitions((key,)))
