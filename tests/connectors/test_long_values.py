"""Values beyond the bound are cut with a marker and reported; everything else, and the request itself, stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from structlog.testing import capture_logs

from openfuse_collector.config.types import Size
from openfuse_collector.connectors.genai import FACTORY, TRUNCATED
from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.connectors.genai.long_values import LEAST, NOTE, SHARED, shorten, without_long_values
from openfuse_collector.mapping import map_traces
from openfuse_collector.signals import Batch, Item, Origin, Signal
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import RECEIVED_AT, batch, metric, settings
from tests.mapping.log_requests import logs_request, record
from tests.mapping.span_requests import ORIGIN, request, span

LIMIT = 2000


def values(made: ExportTraceServiceRequest) -> dict[str, AnyValue]:
    (found,) = made.resource_spans[0].scope_spans[0].spans
    return {pair.key: pair.value for pair in found.attributes}


def test_text_is_cut_with_a_marker_and_noted() -> None:
    given = request(span({"gen_ai.prompt": "é" * 3000, "short": "s" * LIMIT}))
    before = given.SerializeToString()
    made, cut = without_long_values(given, LIMIT)
    found = values(made)
    assert found["gen_ai.prompt"].string_value == "é" * 1000 + "… [truncated: 2000 of 6000 bytes kept]"
    assert found["short"].string_value == "s" * LIMIT
    assert cut == [one.string_value for one in found[NOTE].array_value.values]
    assert cut[0].startswith("gen_ai.prompt: 600")
    assert given.SerializeToString() == before


def test_a_request_without_long_values_is_the_same_object() -> None:
    given = request(span({"a": "x" * LIMIT, "b": "y" * LIMIT}))
    assert without_long_values(given, LIMIT) == (given, [])
    assert without_long_values(given, LIMIT)[0] is given


def nested() -> AnyValue:
    inner = KeyValueList(values=[KeyValue(key="k", value=AnyValue(string_value="x" * 5000))])
    return AnyValue(kvlist_value=inner)


@pytest.mark.parametrize(
    "value",
    [
        AnyValue(bytes_value=b"\xff" * 5000),
        AnyValue(array_value={"values": [AnyValue(int_value=1)] * 100_000}),
        nested(),
        AnyValue(array_value={"values": [AnyValue(string_value="a" * 100)] * 90 + [nested()]}),
    ],
    ids=["bytes", "many", "nested", "mixed"],
)
def test_every_kind_of_value_is_bounded(value: AnyValue) -> None:
    kind = value.WhichOneof("value")
    shorten(value, LIMIT)
    assert LIMIT * 0.9 < value.ByteSize() < LIMIT + 200
    assert value.WhichOneof("value") == kind


def test_wherever_attributes_are() -> None:
    given = request(span())
    long = AnyValue(string_value="x" * 5000)
    group = given.resource_spans[0]
    made_span = group.scope_spans[0].spans[0]
    owners = (group.resource, group.scope_spans[0].scope, made_span, made_span.events.add(), made_span.links.add())
    for owner in owners:
        owner.attributes.add(key="long", value=long)
    made, cut = without_long_values(given, LIMIT)
    assert len(cut) == 5
    assert made.ByteSize() < 5 * (LIMIT + 200)
    logs, cut = without_long_values(logs_request(record("gen_ai.user.message", "y" * 5000)), LIMIT)
    assert len(cut) == 1
    assert logs.ByteSize() < LIMIT + 500


def test_what_spans_share_is_bounded_and_the_shorter_attributes_stay() -> None:
    """A resource is stored with each of its spans: one of a megabyte with 500 spans took half a gigabyte, and the disk two."""
    resource = {"process.command_line": "x" * SHARED, "service.name": "shop", "langfuse.metadata.k": "v" * 10_000}
    spans = [span(span_id=f"{number + 1:016x}") for number in range(3)]
    given = request(*spans, resource=resource, scope="s" * 100_000)
    made, cut = without_long_values(given, 0)
    group = made.resource_spans[0]
    assert [pair.key for pair in group.resource.attributes] == ["service.name", "langfuse.metadata.k"]
    assert len(group.scope_spans[0].scope.name) == 1000
    assert [one.partition(":")[0] for one in cut[:2]] == ["Resource", "InstrumentationScope"]
    assert cut[0].endswith("process.command_line")
    for one in group.scope_spans[0].spans:
        assert [note.string_value for note in one.attributes[0].value.array_value.values] == cut
    alone, _ = without_long_values(request(spans[0], resource=resource, scope="s" * 100_000), 0)
    assert map_traces(alone, ORIGIN).events[-1].id in {event.id for event in map_traces(made, ORIGIN).events}


def test_a_resource_of_many_attributes_is_bounded() -> None:
    """What a resource says of traces is copied for each span: 4,000 entries and 4,000 spans, 0.4 MB, took as many times 100 KB."""
    given = request(span(), resource={f"langfuse.metadata.{number}": number for number in range(20_000)})
    made, _ = without_long_values(given, LIMIT)
    assert made.resource_spans[0].resource.ByteSize() < 1.2 * SHARED


@pytest.mark.parametrize("spans, bound", [(4096, SHARED), (8192, SHARED // 2), (100_000, LEAST)])
def test_what_comes_of_a_resource_is_bounded_over_all_spans(spans: int, bound: int) -> None:
    given = request(span(), resource={f"key {number}": "x" * 100 for number in range(200)})
    given.resource_spans[0].scope_spans[0].spans.extend([Span()] * (spans - 1))
    made, _ = without_long_values(given, 0)
    assert 0.8 * bound < made.resource_spans[0].resource.ByteSize() < 1.2 * bound


def test_a_resource_and_a_scope_within_their_bound_are_the_same_objects() -> None:
    given = request(span(), resource={"a": "x" * (SHARED - 100)}, scope="s" * (SHARED - 100))
    assert without_long_values(given, 0)[0] is given


def converted(config: GenAIConfig, metrics: Metrics) -> Batch:
    data = request(span({"langfuse.observation.input": "z" * 100_000}))
    made = FACTORY.create(settings("genai", metrics), config)
    item = Item(Origin(Signal.TRACES, "otlp", RECEIVED_AT), 1, data, data.ByteSize())
    result: Batch = made.convert(batch(item, signal=Signal.TRACES))
    return result


def test_the_observation_says_so() -> None:
    metrics = Metrics()
    with capture_logs() as logs:
        result = converted(GenAIConfig(max_attribute_value_bytes=Size(50_000)), metrics)
    body: dict[str, Any] = next(one.body for one in result.items[0].data if one.entity.type == "observation")
    assert body["input"].endswith("… [truncated: 50000 of 100000 bytes kept]")
    assert "langfuse.observation.input: 100" in str(body["metadata"])
    assert NOTE in str(body["metadata"])
    assert metric(metrics, f"{TRUNCATED}_total", connector="genai") == 1
    assert [line["values"] for line in logs if line["event"] == "attribute values cut"] == [1]


def test_zero_keeps_everything() -> None:
    metrics = Metrics()
    result = converted(GenAIConfig(max_attribute_value_bytes=Size(0)), metrics)
    assert any(one.body.get("input") == "z" * 100_000 for one in result.items[0].data)
    assert metric(metrics, f"{TRUNCATED}_total", connector="genai") == 0


def test_config(tmp_path: Path) -> None:
    mistakes = list(GenAIConfig(max_attribute_value_bytes=Size(10)).validate())
    assert mistakes == ["max_attribute_value_bytes must be 0 or at least 1KiB"]
