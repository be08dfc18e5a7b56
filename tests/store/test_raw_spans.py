"""Payloads of kept spans: what comes out maps as what went in, and is named the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.connectors.genai.raw_spans import raw_spans
from openfuse_collector.mapping import map_traces
from openfuse_collector.mapping.identity import resource_digest, scope_digest, span_digest
from openfuse_collector.pdata.otlp_json import decode_traces
from openfuse_collector.store.raw_spans import unpack
from tests.mapping.span_requests import CHILD, ORIGIN, ROOT, request, singles, span, substance

CORPUS = Path(os.environ.get("OPENFUSE_SHARED") or Path(__file__).resolve().parents[2].parent / "shared") / "corpus"


def digest(alone: ExportTraceServiceRequest) -> str:
    """The digest of the only span of a request."""
    (group,) = alone.resource_spans
    (scope,) = group.scope_spans
    (one,) = scope.spans
    return span_digest(scope_digest(resource_digest(group), scope), one)


def restored(whole: ExportTraceServiceRequest) -> list[ExportTraceServiceRequest]:
    return [ExportTraceServiceRequest(resource_spans=[unpack(kept.payload)]) for kept in raw_spans(whole)]


def full_request() -> ExportTraceServiceRequest:
    """Everything OTLP has around a span, and a span that cannot be mapped."""
    made = request(
        span(
            {"gen_ai.request.model": "m", "n": 2**62, "list": ["a", 1]},
            events=[("exception", {"k": b"\0"})],
            error="bad",
        ),
        span({"long": "x" * 100_000}, span_id=CHILD, parent=ROOT),
        span(span_id=""),
        resource={"service.name": "app", "nested": {"a": [1.5]}},
        scope_version="1.2",
    )
    made.resource_spans[0].schema_url = "https://opentelemetry.io/schemas/1.30.0"
    made.resource_spans[0].scope_spans[0].schema_url = "https://opentelemetry.io/schemas/1.31.0"
    made.MergeFrom(request(span(start=0, end=0, name="bare"), scope="", resource={"k": ""}))
    return made


def test_each_span_comes_back_alone() -> None:
    whole = full_request()
    assert restored(whole) == singles(whole)


def test_names_and_times() -> None:
    first, second, nameless, bare = raw_spans(full_request())
    assert (first.trace_id, first.span_id) == ("0af7651916cd43dd8448eb211c80319c", ROOT)
    assert (second.span_id, nameless.span_id) == (CHILD, "")
    assert (first.start_time, bare.start_time) == (1_795_000_000_123, 0)


def test_the_name_is_the_one_in_the_events() -> None:
    whole = full_request()
    sources = {
        event.metadata["source"] for event in map_traces(whole, ORIGIN).events if not event.shallow and event.metadata
    }
    assert len(sources) == 3
    assert sources < {kept.source for kept in raw_spans(whole)}
    assert [digest(alone) for alone in restored(whole)] == [kept.source for kept in raw_spans(whole)]


def test_fields_of_a_newer_otlp_survive() -> None:
    whole = request(span())
    group = whole.resource_spans[0]
    unknown = b"\x98\x3f\x05"  # field 1011, varint 5
    group.scope_spans[0].spans[0].MergeFromString(unknown)
    group.resource.MergeFromString(unknown)
    (alone,) = restored(whole)
    assert alone.SerializeToString(deterministic=True) == whole.SerializeToString(deterministic=True)


@pytest.mark.parametrize("payload", [b"", b"no zstd", raw_spans(request(span()))[0].payload[:-4]])
def test_what_is_no_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not the payload of a span"):
        unpack(payload)


def corpus() -> Iterator[ExportTraceServiceRequest]:
    for path in sorted(CORPUS.rglob("*.traces.pb")):
        yield ExportTraceServiceRequest.FromString(path.read_bytes())
    for path in sorted(CORPUS.rglob("*.traces.json")):
        yield decode_traces(path.read_bytes()).request


@pytest.mark.shared
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"NO CORPUS at {CORPUS}: set OPENFUSE_SHARED")
def test_what_real_libraries_send_maps_the_same_from_its_payloads() -> None:
    seen = 0
    for whole in corpus():
        kept = raw_spans(whole)
        alone = restored(whole)
        assert [digest(one) for one in alone] == [one.source for one in kept]
        again = ExportTraceServiceRequest(resource_spans=[group for one in alone for group in one.resource_spans])
        assert substance(map_traces(again, ORIGIN).events) == substance(map_traces(whole, ORIGIN).events)
        seen += len(kept)
    assert seen > 1000
