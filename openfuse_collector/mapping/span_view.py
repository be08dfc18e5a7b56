"""What a rule sees of a span: its decoded attributes, its surroundings and, when asked for, its events and parsed JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from openfuse_collector.mapping.anyvalue import attributes_of
from openfuse_collector.mapping.coercion import BROKEN, parse_json, parsed, truthy
from openfuse_collector.mapping.timestamps import LATEST

if TYPE_CHECKING:
    from openfuse_collector.mapping.room import Room
    from openfuse_collector.mapping.shape import Shape

LANGFUSE_SDK = "langfuse-sdk"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Resource and scope of a group of spans, and what they say for all of them; decoded once."""

    resource: dict[str, Any]
    scope_name: str
    scope_version: str
    scope: dict[str, Any]
    """`{name, version, attributes}` as it goes into metadata; name and version only where set."""
    room: Room
    """For what the spans of the request become."""
    environment: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    """Trace metadata among the resource attributes."""
    user: Any = None
    session: Any = None
    tags: Any = None

    @property
    def is_langfuse_sdk(self) -> bool:
        """Langfuse's own SDKs: their attributes are all understood, so metadata does not repeat them."""
        return self.scope_name.startswith(LANGFUSE_SDK)


class SpanEvent(NamedTuple):
    """A span event with decoded attributes."""

    name: str
    attributes: dict[str, Any]


class SpanView:
    """One span, decoded once. `start` and `end` are epoch nanoseconds, both always set.

    `notes` collects what was wrong with single attributes; the mapping goes on without them.
    """

    __slots__ = (
        "_events",
        "_parsed",
        "attributes",
        "end",
        "name",
        "notes",
        "parent_id",
        "shape",
        "source",
        "span_id",
        "start",
        "surroundings",
        "trace_id",
    )

    def __init__(
        self, source: Span, surroundings: Surroundings, attributes: dict[str, Any], shape: Shape, now: int
    ) -> None:
        """`now` stands in for the times of a span that has none. Raises ValueError for a span without ids."""
        self.source = source
        self.surroundings = surroundings
        self.attributes = attributes
        self.shape = shape
        self.name = source.name
        self.trace_id, self.span_id = source.trace_id.hex(), source.span_id.hex()
        self.parent_id = source.parent_span_id.hex()
        if not self.trace_id or not self.span_id:
            raise ValueError("a span needs a trace id and a span id")
        start, end = source.start_time_unix_nano, source.end_time_unix_nano
        if start > LATEST or end > LATEST:  # no moment at all
            start, end = (0 if moment > LATEST else moment for moment in (start, end))
        self.start = start or end or now
        self.end = end or self.start
        self.notes: list[str] = []
        self._events: tuple[SpanEvent, ...] | None = None
        self._parsed: dict[str, Any] = {}

    @property
    def events(self) -> tuple[SpanEvent, ...]:
        """Span events in the order they were written, decoded on first use."""
        if self._events is None:
            written = self.source.events
            self._events = tuple(SpanEvent(event.name, attributes_of(event.attributes)) for event in written)
        return self._events

    def json(self, key: str) -> Any:
        """The parsed JSON of a text attribute (parsed once), another attribute as it is, `BROKEN` for text that is no JSON or, which is
        noted, for which there is no room."""
        value = self.attributes.get(key)
        if type(value) is not str:
            return value
        if key not in self._parsed:
            if self.surroundings.room.reads(value):
                self._parsed[key] = parse_json(value)
            else:
                self._parsed[key] = BROKEN
                self.note(key, "not read, the request has too many values")
        return self._parsed[key]

    def parsed(self, written: Any) -> Any:
        """The value of a JSON text, the text itself when it is none or there is no room. What is not text already passes through."""
        return written if type(written) is str and not self.surroundings.room.reads(written) else parsed(written)

    def json_object(self, key: str) -> dict[str, Any]:
        """The parsed JSON object of an attribute, empty when it is none."""
        value = self.json(key)
        return value if isinstance(value, dict) else {}

    def first_truthy(self, keys: tuple[str, ...]) -> Any:
        """The first attribute with a value JavaScript calls true, else None."""
        for key in keys:
            value = self.attributes.get(key)
            if value is not None and truthy(value):
                return value
        return None

    def first_set(self, keys: tuple[str, ...]) -> Any:
        """The first attribute that is there and not null, else None."""
        for key in keys:
            value = self.attributes.get(key)
            if value is not None:
                return value
        return None

    def note(self, key: str, reason: str) -> None:
        """Say in metadata why an attribute was not used."""
        self.notes.append(f"{key}: {reason}")
