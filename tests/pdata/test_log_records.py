"""Log records in both encodings: what JSON fills in, what is repaired, what costs a record and what costs all below it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from openfuse_collector.pdata import otlp_json, otlp_protobuf
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.exports import Export, read_export
from openfuse_collector.pdata.forms import LOGS, TRACES
from openfuse_collector.pdata.misrouted import is_logs

SHARED = Path(os.environ.get("OPENFUSE_SHARED", Path(__file__).parents[3] / "shared"))
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def read(*records: Any, **around: Any) -> Export:
    """An export of these JSON records."""
    group = {"scopeLogs": [{"logRecords": list(records), **around.get("scope", {})}], **around.get("resource", {})}
    return read_export(json.dumps({"resourceLogs": [group]}).encode(), LOGS, otlp_json.decode)


def only(export: Export) -> Any:
    [record] = [record for records in LOGS.groups(export.request) for record in records]
    return record


def test_every_field_of_json() -> None:
    export = read(
        {
            "timeUnixNano": "1795000000123456789",
            "observedTimeUnixNano": 1795000000123456790,
            "severityNumber": 9,
            "severityText": "INFO",
            "eventName": "gen_ai.choice",
            "traceId": TRACE.upper(),
            "spanId": SPAN,
            "flags": 1,
            "droppedAttributesCount": 2,
            "body": {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": "hi"}}]}},
            "attributes": [{"key": "gen_ai.system", "value": {"stringValue": "openai"}}],
        },
        resource={"resource": {"attributes": [{"key": "a", "value": {"intValue": "1"}}]}, "schemaUrl": "r"},
        scope={"scope": {"name": "s", "version": "1"}, "schemaUrl": "x"},
    )
    made = ExportLogsServiceRequest()
    group = made.resource_logs.add(schema_url="r")
    group.resource.attributes.add(key="a").value.int_value = 1
    scope = group.scope_logs.add(schema_url="x")
    scope.scope.name, scope.scope.version = "s", "1"
    record = scope.log_records.add(
        time_unix_nano=1795000000123456789,
        observed_time_unix_nano=1795000000123456790,
        severity_number=9,
        severity_text="INFO",
        event_name="gen_ai.choice",
        trace_id=bytes.fromhex(TRACE),
        span_id=bytes.fromhex(SPAN),
        flags=1,
        dropped_attributes_count=2,
    )
    record.body.kvlist_value.values.add(key="content").value.string_value = "hi"
    record.attributes.add(key="gen_ai.system").value.string_value = "openai"
    assert export.request == made and export.message == ""
    assert ExportLogsServiceRequest.FromString(export.payload) == made


@pytest.mark.parametrize(
    ("fields", "noted"),
    [
        ({"severityNumber": "SEVERITY_NUMBER_WARN"}, ""),
        ({"severityNumber": "loud"}, "severityNumber is not a whole number and was left out"),
        ({"timeUnixNano": "soon"}, "timeUnixNano is not a whole number and was left out"),
        ({"body": None, "attributes": None}, ""),
        ({"body": {}}, ""),
        ({"event_name": "x"}, "event_name was ignored: OTLP/JSON writes eventName"),
    ],
)
def test_what_costs_nothing(fields: dict[str, Any], noted: str) -> None:
    export = read({"traceId": TRACE, "spanId": SPAN, **fields})
    assert only(export).span_id.hex() == SPAN
    assert (noted in export.message) if noted else export.message == ""


@pytest.mark.parametrize(
    "bad",
    [5, {"traceId": "xyz"}, {"traceId": TRACE[:30]}, {"spanId": SPAN[:4]}, {"body": "text"}, {"attributes": {}}],
)
def test_what_costs_the_record_alone(bad: Any) -> None:
    export = read(bad, {"eventName": "neighbour"})
    assert only(export).event_name == "neighbour"
    assert (export.items, export.refused) == (1, 1) and "of 2 log records rejected" in export.message


def test_a_bad_scope_costs_what_is_below_it() -> None:
    export = read({}, {}, scope={"scope": {"name": 5}})
    assert (export.items, export.refused) == (0, 2)


@pytest.mark.parametrize(
    "body", [b"[]", b'{"resourceLogs": 5}', b'{"resourceLogs": [{"scopeLogs": [{"logRecords": 1}]}]}']
)
def test_what_is_no_logs_export(body: bytes) -> None:
    with pytest.raises(BadDataError, match="no OTLP/JSON logs export"):
        read_export(body, LOGS, otlp_json.decode)


def protobuf(text: bytes = b"hello") -> bytes:
    """One record; its body has five bytes of text to exchange."""
    made = ExportLogsServiceRequest()
    record = made.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=1)
    record.trace_id, record.span_id = bytes.fromhex(TRACE), bytes.fromhex(SPAN)
    record.body.string_value = "hello"
    return made.SerializeToString().replace(b"hello", text)


def test_invalid_text_is_repaired() -> None:
    export = read_export(protobuf(b"h\xffllo"), LOGS, otlp_protobuf.decode)
    assert only(export).body.string_value == "h\ufffdllo" and export.repaired == 1


def test_a_record_nested_too_deep_is_left_out() -> None:
    made = ExportLogsServiceRequest.FromString(protobuf())
    value = made.resource_logs[0].scope_logs[0].log_records.add(trace_id=bytes.fromhex(TRACE)).body
    for _ in range(48):
        value = value.array_value.values.add()
    inner = made.SerializeToString()
    assert read_export(inner, LOGS, otlp_protobuf.decode).items == 2
    for _ in range(2):
        value = value.array_value.values.add()
    value.string_value = "deep"
    export = read_export(made.SerializeToString(), LOGS, otlp_protobuf.decode)
    assert (export.items, export.refused) == (1, 1)


def test_bytes_stay_as_they_were() -> None:
    body = protobuf()
    assert read_export(body, LOGS, otlp_protobuf.decode).payload is body


@given(st.binary(max_size=200))
def test_any_bytes_are_logs_or_bad_data(body: bytes) -> None:
    for decode in (otlp_protobuf.decode, otlp_json.decode):
        try:
            export = read_export(body, LOGS, decode)
        except BadDataError:
            continue
        assert export.form is LOGS and ExportLogsServiceRequest.FromString(export.payload) == export.request


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "corpus").is_dir(), reason=f"no shared corpus at {SHARED}")
def test_recorded_exports_are_told_apart_and_kept_whole() -> None:
    logs = sorted((SHARED / "corpus").glob("*/*/*.logs.*"))
    traces = sorted((SHARED / "corpus").glob("py-o*/*/*.traces.pb"))
    assert len(logs) > 50 and len(traces) > 100
    for file in logs:
        decode = otlp_json.decode if file.suffix == ".json" else otlp_protobuf.decode
        export = read_export(file.read_bytes(), LOGS, decode)
        assert export.items and export.message == "", file
        if file.suffix == ".pb":
            assert is_logs(file.read_bytes()), file
            with pytest.raises(BadDataError, match="logs export sent to the traces path"):
                read_export(file.read_bytes(), TRACES, decode)
    for file in traces:
        body = file.read_bytes()
        if TRACES.request.FromString(body).resource_spans:
            assert not is_logs(body), file
            with pytest.raises(BadDataError, match="traces export sent to the logs path"):
                read_export(body, LOGS, otlp_protobuf.decode)
