"""OTLP/JSON to protobuf: what msgspec decodes, filled into messages by tables.

Differs from `google.protobuf.json_format`, which reads ids as base64 and fails a request for one bad value: here a span that
cannot be read costs that span, a resource or scope that cannot be read costs the spans below it.

What is not written as OTLP says, and what becomes of it:

==========================================================  ==============================================================
null                                                        as if the key were not there
unknown keys                                                ignored; snake_case spellings of known ones are pointed out
intValue outside 64 bits or with a fraction (`1e+21`)       doubleValue: nearer to what was meant than the largest integer
intValue that is other text                                 stringValue, pointed out
times that are no numbers                                   left out, pointed out
times and counts out of range                               the nearest possible value
lone surrogates, invalid UTF-8                              U+FFFD, counted
==========================================================  ==============================================================
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from openfuse_collector.pdata.decoded import Decoded
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.json_fill import Notes, UnreadableError, fill, hint_at_case
from openfuse_collector.pdata.json_tables import RESOURCE_SPANS, SCOPE_SPANS, SPAN
from openfuse_collector.pdata.json_text import parse_json
from openfuse_collector.pdata.misrouted import misrouted_json


def decode_traces(body: bytes) -> Decoded:
    """The trace export in `body`; an empty body or `null` is an empty export. Raises BadDataError."""
    export, repaired = _parsed(body)
    if export is None:
        return Decoded(ExportTraceServiceRequest(), b"")
    if not isinstance(export, dict):
        raise BadDataError("the body is no OTLP/JSON trace export: it is not an object")
    if hint := misrouted_json(export):
        raise BadDataError(hint)
    decoding = _Decoding(export)
    return Decoded(decoding.request, None, decoding.rejected, repaired, decoding.notes)


def _parsed(body: bytes) -> tuple[Any, int]:
    if not body:
        return None, 0
    try:
        return parse_json(body)
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"the body is not valid JSON: {error}") from error


class _Decoding:
    """One walk over an export: the message, and what was left out of it."""

    def __init__(self, export: dict[str, Any]) -> None:
        self.request = ExportTraceServiceRequest()
        self.rejected: Counter[str] = Counter()
        self.notes: Notes = Counter()
        for key in export:
            hint_at_case(self.notes, key, ("resourceSpans",))
        for source in _objects(export, "resourceSpans"):
            self._resource(self.request.resource_spans.add(), source, _objects(source, "scopeSpans"))

    def _resource(self, made: ResourceSpans, source: dict[str, Any], scopes: list[dict[str, Any]]) -> None:
        try:
            fill(self.notes, made, source, RESOURCE_SPANS)
        except UnreadableError as error:
            made.Clear()
            self.rejected[str(error)] += sum(len(_list(scope, "spans")) for scope in scopes)
            return
        for scope in scopes:
            self._scope(made.scope_spans.add(), scope, _list(scope, "spans"))

    def _scope(self, made: ScopeSpans, source: dict[str, Any], spans: list[Any]) -> None:
        try:
            fill(self.notes, made, source, SCOPE_SPANS)
        except UnreadableError as error:
            made.Clear()
            self.rejected[str(error)] += len(spans)
            return
        add, notes = made.spans.add, self.notes
        for span in spans:
            try:
                fill(notes, add(), span, SPAN)
            except UnreadableError as error:
                self.rejected[str(error)] += 1
                del made.spans[-1]


def _list(source: dict[str, Any], key: str) -> list[Any]:
    """A list above spans: where there is something else, nobody can say how many spans were meant."""
    value = source.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadDataError(f"the body is no OTLP/JSON trace export: {key} is not a list")
    return value


def _objects(source: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects; nulls are left out."""
    found = [element for element in _list(source, key) if element is not None]
    if not all(isinstance(element, dict) for element in found):
        raise BadDataError(f"the body is no OTLP/JSON trace export: {key} does not hold objects")
    return found
