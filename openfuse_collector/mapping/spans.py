"""An OTLP traces request as Langfuse events: one observation event per span, and what the spans say of their traces.

Pure (invariant I7, docs/architecture.md): the result depends on the request and its origin only. A span that cannot be mapped is
reported and leaves its neighbours alone (I5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from openfuse_collector.events.event import REMARK, Entity, Event
from openfuse_collector.mapping import metadata, observation, rules, trace
from openfuse_collector.mapping.anyvalue import attributes_of
from openfuse_collector.mapping.common import Body, Common, common_of
from openfuse_collector.mapping.environment import written_environment
from openfuse_collector.mapping.identity import MAPPING_VERSION, event_id, resource_digest, scope_digest, span_digest
from openfuse_collector.mapping.remarks import UPDATE, remark_of
from openfuse_collector.mapping.room import Room
from openfuse_collector.mapping.shape import shape_of
from openfuse_collector.mapping.span_view import SpanView, Surroundings
from openfuse_collector.signals import Origin

_VERSION = str(MAPPING_VERSION)


class Failure(NamedTuple):
    """A span or log record that gave no events."""

    path: str
    """Where it is in the request: `resourceSpans[0].scopeSpans[1].spans[2]`."""
    reason: str
    request: ExportTraceServiceRequest | ExportLogsServiceRequest
    """That one alone, with its resource and scope: what is set aside and may be sent again."""


class Mapped(NamedTuple):
    """What became of a request."""

    events: list[Event]
    failures: list[Failure]


class _Shallow(NamedTuple):
    """A sight of a trace in a request. The one the fold would take of all is kept, by start, then event id."""

    start: int
    environment: str
    timestamp: str
    written: int
    """The start if the span has one, else 0: what may go into an id."""


def map_traces(request: ExportTraceServiceRequest, origin: Origin) -> Mapped:
    """Events of all spans of a request, and the spans that could not be mapped.

    Per span at most one trace event, exactly one event of its observation and at most one remark on the observation above, in
    that order; at the end one shallow trace event for each trace of which the request holds nothing but spans below the root.
    """
    requested, room = _Request(origin), Room()
    for r, resource_spans in enumerate(request.resource_spans):
        for s, (scope_spans, surroundings, digest) in enumerate(scopes_of(resource_spans, room)):
            for i, span in enumerate(scope_spans.spans):
                try:
                    requested.add(span, surroundings, digest)
                except Exception as error:
                    path = f"resourceSpans[{r}].scopeSpans[{s}].spans[{i}]"
                    reason = f"{type(error).__name__}: {error}"
                    requested.failures.append(Failure(path, reason, _alone(resource_spans, scope_spans, span)))
    requested.add_shallow()
    return Mapped(requested.events, requested.failures)


class Bodies(NamedTuple):
    """What one span says."""

    common: Common
    trace: Body | None
    """None when it says no more of its trace than that it exists."""
    type: str
    observation: Body


def bodies_of(span: SpanView) -> Bodies:
    """The bodies of a span's events."""
    common = common_of(span)
    of_trace = None
    if trace.is_root(span):
        of_trace = trace.root_body(span, common)
    elif trace.updates_trace(span):
        of_trace = trace.update_body(span, common)
    type_ = observation.type_of(span)
    return Bodies(common, of_trace, type_, observation.observation_body(span, common))


def _alone(resource_spans: ResourceSpans, scope_spans: ScopeSpans, span: Span) -> ExportTraceServiceRequest:
    group = ResourceSpans(resource=resource_spans.resource, schema_url=resource_spans.schema_url)
    group.scope_spans.add(scope=scope_spans.scope, schema_url=scope_spans.schema_url, spans=[span])
    return ExportTraceServiceRequest(resource_spans=[group])


def scopes_of(group: ResourceSpans, room: Room) -> Iterator[tuple[ScopeSpans, Surroundings, bytes]]:
    """The scopes of a resource with what all of their spans share and the digest of it. `room` is that of the request."""
    resource = attributes_of(group.resource.attributes)
    shared: dict[str, Any] = {
        "environment": written_environment({}, resource),
        "metadata": metadata.resource_metadata(resource),
        "user": trace.first_of(resource, rules.USER),
        "session": trace.first_of(resource, rules.SESSION),
        "tags": trace.first_of(resource, rules.TAGS),
    }
    digest = resource_digest(group)
    for scope_spans in group.scope_spans:
        scope = scope_spans.scope
        described: dict[str, Any] = {"name": scope.name, "version": scope.version}
        described = {key: value for key, value in described.items() if value}
        described["attributes"] = attributes_of(scope.attributes)
        yield (
            scope_spans,
            Surroundings(resource, scope.name, scope.version, described, room, **shared),
            scope_digest(digest, scope_spans),
        )


class _Request:
    """The events of one request under construction."""

    def __init__(self, origin: Origin) -> None:
        self.events: list[Event] = []
        self.failures: list[Failure] = []
        self._project = origin.project_id
        self._received = origin.received_at
        self._received_ms = origin.received_at // 1_000_000
        self._counts: dict[Entity, int] = {}
        self._shallow: dict[str, _Shallow] = {}
        self._told: set[str] = set()

    def add(self, source: Span, surroundings: Surroundings, scope: bytes) -> None:
        """Append the events of one span, all or none of them."""
        attributes = attributes_of(source.attributes)
        shape = shape_of(tuple(attributes), surroundings.scope_name, len(source.events) > 0)
        span = SpanView(source, surroundings, attributes, shape, self._received)
        common, of_trace, type_, of_observation = bodies_of(span)
        digest = span_digest(scope, source)
        if of_trace is None:
            self._saw(span, common)
        else:
            self._told.add(span.trace_id)
            self._append("trace", "trace-create", of_trace, common.timestamp, digest)
        self._append("observation", observation.EVENT_TYPES[type_], of_observation, common.timestamp, digest)
        remark = remark_of(span, of_observation)
        if remark is not None:
            self._append("observation", UPDATE, remark, common.timestamp, digest, REMARK)

    def _saw(self, span: SpanView, common: Common) -> None:
        trace_id, start, environment = span.trace_id, span.start, common.environment
        earlier = self._shallow.get(trace_id)
        if earlier is not None and (start > earlier.start or (start, environment) == earlier[:2]):
            return
        sight = _Shallow(start, environment, common.timestamp, 0 if start == self._received else start)
        if (
            earlier is None
            or start < earlier.start
            or self._shallow_id(trace_id, sight) < self._shallow_id(trace_id, earlier)
        ):
            self._shallow[trace_id] = sight

    def _shallow_id(self, trace_id: str, sight: _Shallow) -> str:
        return event_id(self._project, "trace", trace_id, "shallow", str(sight.written), sight.environment)

    def add_shallow(self) -> None:
        """Append what is only known to exist: traces without a root or trace attributes in this request."""
        for trace_id, sight in self._shallow.items():
            if trace_id not in self._told:
                id_ = self._shallow_id(trace_id, sight)
                body = {"id": trace_id, "timestamp": sight.timestamp, "environment": sight.environment}
                self._put("trace", "trace-create", id_, body, sight.timestamp, {"shallow": True})

    def _append(self, kind: str, type_: str, body: Body, timestamp: str, digest: str, *flags: str) -> None:
        id_ = event_id(self._project, kind, body["id"], digest, _VERSION)
        source = {"source": digest, "mapping": MAPPING_VERSION, **dict.fromkeys(flags, True)}
        self._put(kind, type_, id_, body, timestamp, source)

    def _put(self, kind: str, type_: str, id_: str, body: Body, timestamp: str, source: dict[str, Any]) -> None:
        entity = Entity(self._project, kind, body["id"])
        index = self._counts.get(entity, 0)
        self._counts[entity] = index + 1
        self.events.append(Event(entity, id_, type_, timestamp, body, self._received_ms + index, source))
