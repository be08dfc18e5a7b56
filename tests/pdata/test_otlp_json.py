"""OTLP/JSON as the specification writes it, and as clients write it."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from openfuse_collector.cli.replay import json_mapping
from openfuse_collector.pdata.decoded import Decoded
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.exports import read_export
from openfuse_collector.pdata.forms import TRACES
from openfuse_collector.pdata.json_fill import ROOM
from openfuse_collector.pdata.otlp_json import decode, decode_traces

SHARED = Path(os.environ.get("OPENFUSE_SHARED", Path(__file__).parents[3] / "shared"))
TRACE, SPAN_ID = "0AF7651916cd43dd8448eb211c80319c", "b7ad6B7169203331"


def body(*spans: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}).encode()


def span(**fields: Any) -> dict[str, Any]:
    return {"traceId": TRACE, "spanId": SPAN_ID, **fields}


def decoded(**fields: Any) -> Any:
    """The one span of a request that has these fields; nothing was rejected."""
    made = decode_traces(body(span(**fields)))
    assert not made.rejected
    return made.request.resource_spans[0].scope_spans[0].spans[0]


def value(any_value: Any) -> AnyValue:
    return decoded(attributes=[{"key": "k", "value": any_value}]).attributes[0].value


def rejection(**fields: Any) -> str:
    """Why a span with these fields is rejected; the one beside it stays."""
    made = decode_traces(body(span(**fields), span(name="neighbour")))
    assert [kept.name for kept in made.request.resource_spans[0].scope_spans[0].spans] == ["neighbour"]
    [(reason, count)] = made.rejected.items()
    assert count == 1
    return reason


def test_ids_are_hex_of_any_case() -> None:
    made = decoded(parentSpanId="00F067AA0BA902B7")
    assert made.trace_id == bytes.fromhex(TRACE) and made.span_id == bytes.fromhex(SPAN_ID)
    assert made.parent_span_id == bytes.fromhex("00f067aa0ba902b7")


@pytest.mark.parametrize(
    "write",
    [
        lambda raw: base64.b64encode(raw).decode(),
        lambda raw: base64.urlsafe_b64encode(raw).decode(),
        list,
        lambda raw: {"type": "Buffer", "data": list(raw)},
    ],
)
def test_ids_as_other_writers_print_bytes(write: Callable[[bytes], Any]) -> None:
    trace_id, span_id = bytes(range(240, 256)), bytes(range(248, 256))
    made = decoded(traceId=write(trace_id), spanId=write(span_id))
    assert (made.trace_id, made.span_id) == (trace_id, span_id)


@pytest.mark.parametrize(
    ("written", "kind"), [(3, 3), ("SPAN_KIND_CLIENT", 3), ("client", 3), ("3", 3), (0, 0), (None, 0), (99, 99)]
)
def test_enums_are_numbers_or_names(written: Any, kind: int) -> None:
    assert decoded(kind=written).kind == kind


def test_the_status_code_too() -> None:
    assert decoded(status={"code": "STATUS_CODE_ERROR", "message": "no"}).status.code == 2


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("1795236640842000001", 1795236640842000001),
        (1795236640842000001, 1795236640842000001),
        (1.5e18, 1500000000000000000),
        ({"low": 1030304640, "high": 399180773, "unsigned": True}, 399180773 << 32 | 1030304640),
        (None, 0),
        (1e21, 2**64 - 1),
        (10**400, 2**64 - 1),
        ("9" * 5000, 2**64 - 1),
        (-5, 0),
        ("-" + "9" * 5000, 0),
    ],
)
def test_times(written: Any, time: int) -> None:
    assert decoded(startTimeUnixNano=written).start_time_unix_nano == time


@pytest.mark.parametrize("written", ["", "yesterday", [1], 1.5])
def test_a_time_that_is_none_is_left_out_and_pointed_out(written: Any) -> None:
    made = decode_traces(body(span(startTimeUnixNano=written, name="kept")))
    assert made.request.resource_spans[0].scope_spans[0].spans[0].name == "kept"
    assert not made.rejected
    assert made.notes == {"span startTimeUnixNano is not a whole number and was left out": 1}


@pytest.mark.parametrize(
    ("written", "field", "read"),
    [
        ({"stringValue": "text"}, "string_value", "text"),
        ({"stringValue": ""}, "string_value", ""),
        ({"boolValue": False}, "bool_value", False),
        ({"intValue": "-42"}, "int_value", -42),
        ({"intValue": 42}, "int_value", 42),
        ({"intValue": "9223372036854775807"}, "int_value", 2**63 - 1),
        ({"intValue": 4.0}, "int_value", 4),
        ({"intValue": {"low": -5, "high": -1}}, "int_value", -5),
        ({"intValue": 1e21}, "double_value", 1e21),
        ({"intValue": "9223372036854775808"}, "double_value", 2.0**63),
        ({"intValue": 10**400}, "double_value", math.inf),
        ({"intValue": "-1" + "0" * 400}, "double_value", -math.inf),
        ({"intValue": "1" * 5000}, "double_value", math.inf),
        ({"intValue": 1.5}, "double_value", 1.5),
        ({"intValue": "x"}, "string_value", "x"),
        ({"doubleValue": 2}, "double_value", 2.0),
        ({"doubleValue": 10**400}, "double_value", math.inf),
        ({"doubleValue": -(10**400)}, "double_value", -math.inf),
        ({"doubleValue": "1.5"}, "double_value", 1.5),
        ({"doubleValue": "Infinity"}, "double_value", math.inf),
        ({"doubleValue": "-Infinity"}, "double_value", -math.inf),
        pytest.param({"intValue": "9" * 400}, "double_value", math.inf, id="text past every double"),
        pytest.param({"intValue": -(10**400)}, "double_value", -math.inf, id="a number past every double"),
        pytest.param({"doubleValue": 10**400}, "double_value", math.inf, id="a double past every double"),
        ({"bytesValue": "/+8="}, "bytes_value", b"\xff\xef"),
        ({"bytesValue": "_-8"}, "bytes_value", b"\xff\xef"),
        ({"stringValue": "text", "unknown": 1}, "string_value", "text"),
        ({"stringValue": None, "intValue": "1"}, "int_value", 1),
    ],
)
def test_values(written: Any, field: str, read: Any) -> None:
    made = value(written)
    assert made.WhichOneof("value") == field
    assert getattr(made, field) == read


@pytest.mark.parametrize("key", ["intValue", "doubleValue"])
@pytest.mark.parametrize("number", ["1" * 5000, "-" + "1" * 5000, "1e400", "-1e400"])
def test_numbers_no_parser_takes(key: str, number: str) -> None:
    written = body(span(attributes=[{"key": "k", "value": {key: "HERE"}}]), span(name="neighbour"))
    made = decode_traces(written.replace(b'"HERE"', number.encode()))
    kept, neighbour = made.request.resource_spans[0].scope_spans[0].spans
    assert neighbour.name == "neighbour" and not made.rejected and not made.repaired
    assert kept.attributes[0].value.double_value == (-math.inf if number.startswith("-") else math.inf)


def test_a_number_no_parser_takes_where_none_may_be() -> None:
    written = body(span(name="HERE"), span(name="neighbour")).replace(b'"HERE"', b"1" * 5000)
    assert decode_traces(written).rejected == {"span name is not a string": 1}


def test_not_a_number() -> None:
    assert math.isnan(value({"doubleValue": "NaN"}).double_value)


@pytest.mark.parametrize("written", [{}, None, {"doubleValue": None}, {"unknown": 1}])
def test_values_that_are_not_set(written: Any) -> None:
    assert value(written).WhichOneof("value") is None


def test_nested_values() -> None:
    mixed = {"values": [{"stringValue": "a"}, {}, None, {"intValue": 1}, {"arrayValue": {}}]}
    entries = [
        {"key": "list", "value": {"arrayValue": mixed}},
        None,
        {"key": "nothing"},
        {"key": "map", "value": {"kvlistValue": None}},
    ]
    kvlist = value({"kvlistValue": {"values": entries}}).kvlist_value
    assert [pair.key for pair in kvlist.values] == ["list", "nothing", "map"]
    kinds = [item.WhichOneof("value") for item in kvlist.values[0].value.array_value.values]
    assert kinds == ["string_value", None, None, "int_value", "array_value"]


@pytest.mark.parametrize("kind", ["arrayValue", "kvlistValue"])
def test_what_is_accepted_can_be_parsed_again(kind: str) -> None:
    """However deep: the journal is read with a parser that has a limit."""
    accepted = []
    for depth in range(60):
        nested: Any = {"stringValue": "x"}
        for _ in range(depth):
            nested = {kind: {"values": [nested if kind == "arrayValue" else {"key": "k", "value": nested}]}}
        fields = {"attributes": [{"key": "k", "value": nested}]}
        made = decode_traces(body({**span(), "events": [fields], "links": [fields], **fields}))
        assert ExportTraceServiceRequest.FromString(made.request.SerializeToString()) == made.request
        accepted.append(not made.rejected)
    assert accepted == sorted(accepted, reverse=True) and 25 < sum(accepted) <= ROOM


def test_unknown_keys_and_nulls_on_every_level() -> None:
    noise = {"unknown": {"deep": [1]}, "another": None}
    fields = dict.fromkeys(("name", "kind", "attributes", "events", "links", "status", "droppedLinksCount"))
    event = {**noise, "name": "e", "attributes": None}
    source = {
        **noise,
        "resourceSpans": [
            None,
            {
                **noise,
                "resource": {**noise, "attributes": [None, {"key": "a", "value": {"stringValue": "b"}, **noise}]},
                "scopeSpans": [
                    None,
                    {**noise, "scope": {**noise, "name": None}, "spans": [span(**noise, **fields)]},
                    {"scope": None, "spans": [span(events=[None, event], status={**noise, "code": None})]},
                    {"spans": None},
                ],
            },
            {"resource": None, "scopeSpans": None},
        ],
    }
    made = decode_traces(json.dumps(source).encode())
    assert not made.rejected and not made.notes
    scopes = made.request.resource_spans[0].scope_spans
    assert [len(scope.spans) for scope in scopes] == [1, 1, 0]
    assert scopes[1].spans[0].events[0].name == "e"


@pytest.mark.parametrize(
    "written", [b"", b"null", b" null ", b"{}", b'{"resourceSpans": null}', b'{"resourceSpans": []}']
)
def test_empty_exports(written: bytes) -> None:
    made = decode_traces(written)
    assert made.request == ExportTraceServiceRequest() and not made.rejected and not made.notes


def test_snake_case_is_pointed_out() -> None:
    assert decode_traces(b'{"resource_spans": [{}]}').notes == {
        "resource_spans was ignored: OTLP/JSON writes resourceSpans": 1
    }
    notes = decode_traces(body(span(start_time_unix_nano=1, my_own_key=2), span(start_time_unix_nano=1))).notes
    assert notes == {"start_time_unix_nano was ignored: OTLP/JSON writes startTimeUnixNano": 2}
    assert "resource_spans was ignored" in read_export(b'{"resource_spans": [{}]}', TRACES, decode).message


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": 5}, "span name is not a string"),
        ({"traceId": "xyz"}, "span traceId is not hex"),
        ({"spanId": 5}, "span spanId is not hex"),
        ({"kind": "GHOST"}, "span kind is not a whole number"),
        ({"kind": True}, "span kind is not a whole number"),
        ({"kind": 2**40}, "span kind cannot be read"),
        ({"attributes": {"a": 1}}, "span attributes is not a list"),
        ({"attributes": ["a"]}, "span attributes is of the wrong type"),
        ({"attributes": [{"key": "k", "value": "bare"}]}, "span attributes is of the wrong type"),
        ({"attributes": [{"key": 1, "value": {}}]}, "span attributes is of the wrong type"),
        ({"attributes": [{"key": "k", "value": {"stringValue": 5}}]}, "span attributes is of the wrong type"),
        ({"attributes": [{"key": "k", "value": {"boolValue": "yes"}}]}, "span attributes is not a boolean"),
        ({"attributes": [{"key": "k", "value": {"doubleValue": "much"}}]}, "span attributes is not a number"),
        ({"attributes": [{"key": "k", "value": {"bytesValue": "?"}}]}, "span attributes is not base64"),
        (
            {"attributes": [{"key": "k", "value": {"arrayValue": {"values": 5}}}]},
            "span attributes is of the wrong type",
        ),
        ({"events": [{"name": []}]}, "event name is not a string"),
        ({"events": 5}, "span events is not a list"),
        ({"events": [5]}, "event is not an object"),
        ({"links": [{"traceId": "?"}]}, "link traceId is not hex"),
        ({"status": "OK"}, "status is not an object"),
        ({"droppedEventsCount": "many"}, "span droppedEventsCount is not a whole number"),
        ({"kind": "9" * 5000}, "span kind is of the wrong type"),
        ({"traceId": [10**400] * 16}, "span traceId cannot be read"),
    ],
)
def test_a_wrong_value_costs_its_span_only(fields: dict[str, Any], reason: str) -> None:
    assert rejection(**fields) == reason


@pytest.mark.parametrize("written", ["span", 5, None, []])
def test_what_is_no_span(written: Any) -> None:
    made = decode_traces(body(written, span()))
    assert made.rejected == {"span is not an object": 1}


def test_a_wrong_resource_or_scope_costs_the_spans_below_it() -> None:
    groups = [
        {"resource": {"attributes": 5}, "scopeSpans": [{"spans": [span(), span()]}, {"spans": [span()]}]},
        {"scopeSpans": [{"scope": {"name": 5}, "spans": [span()]}, {"spans": [span(name="kept")]}]},
    ]
    made = decode_traces(json.dumps({"resourceSpans": groups}).encode())
    assert made.rejected == {"resource attributes is not a list": 3, "scope name is not a string": 1}
    [kept] = [s for r in made.request.resource_spans for c in r.scope_spans for s in c.spans]
    assert kept.name == "kept"


@pytest.mark.parametrize(
    "written",
    [
        b"{",
        b"[]",
        b"5",
        b'"text"',
        b"{}{}",
        b'{"resourceSpans": 5}',
        b'{"resourceSpans": [5]}',
        b'{"resourceSpans": [{"scopeSpans": {}}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": {}}]}]}',
        b"[" * 100_000,
        b'{"resourceSpans": [{"resource": ' + b"[" * 5000 + b"]" * 5000 + b"}]}",
    ],
)
def test_what_is_no_export(written: bytes) -> None:
    with pytest.raises(BadDataError):
        decode_traces(written)


@pytest.mark.parametrize(
    ("written", "read", "repaired"),
    [
        (rb"a\ud800b", "a\ufffdb", 1),
        (rb"\udc00\ud83d\ude00\ud83d", "\ufffd😀\ufffd", 2),
        (rb"\\ud800", r"\ud800", 0),
        (rb"\\\uD800", "\\\ufffd", 1),
        (rb"\u0000", "\0", 0),
        (b"a\xffb\xed\xa0\x80", "a\ufffdb" + "\ufffd" * 3, 4),
        ("\ufffd".encode() + b"\xff", "\ufffd\ufffd", 1),
    ],
)
def test_text_that_is_no_unicode(written: bytes, read: str, repaired: int) -> None:
    made = decode_traces(body(span(name="HERE")).replace(b"HERE", written))
    assert made.request.resource_spans[0].scope_spans[0].spans[0].name == read
    assert made.repaired == repaired


_INNER_KEYS = ("key", "value", "values", "stringValue", "intValue", "low", "high", "data", "name", "x_y")
_KEYS = (
    "traceId",
    "spanId",
    "parentSpanId",
    "name",
    "kind",
    "startTimeUnixNano",
    "attributes",
    "events",
    "links",
    "status",
    "flags",
)
_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_INNER_KEYS), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(_KEYS), _json_values, max_size=4))
def test_whatever_a_span_holds_its_neighbour_stays(fields: dict[str, Any]) -> None:
    traces = read_export(body(span(**fields), span(name="neighbour")), TRACES, decode)
    kept = traces.request.resource_spans[0].scope_spans[0].spans
    assert kept[-1].name == "neighbour"
    assert traces.items + traces.refused == 2 and traces.items == len(kept)
    assert ExportTraceServiceRequest.FromString(traces.payload) == traces.request


@given(st.binary(max_size=80))
def test_any_bytes_are_decoded_or_refused(written: bytes) -> None:
    try:
        assert isinstance(decode_traces(written), Decoded)
    except BadDataError:
        pass


@pytest.mark.shared
def test_captured_requests_survive_the_way_through_json() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no shared data at {SHARED}: set OPENFUSE_SHARED")
    files = sorted((SHARED / "corpus").glob("*/*/*.traces.pb"))[::5]
    assert files
    for file in files:
        request = ExportTraceServiceRequest.FromString(file.read_bytes())
        again = decode_traces(msgspec.json.encode(json_mapping(request)))
        assert again.request == request and not again.rejected and not again.notes and not again.repaired, file


@pytest.mark.shared
def test_captured_json_is_read_in_full() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no shared data at {SHARED}: set OPENFUSE_SHARED")
    files = sorted((SHARED / "corpus").glob("*/*/*.traces.json"))
    assert files
    for file in files:
        source = msgspec.json.decode(file.read_bytes())
        spans = sum(len(c["spans"]) for r in source["resourceSpans"] for c in r["scopeSpans"])
        traces = read_export(file.read_bytes(), TRACES, decode)
        assert (traces.items, traces.refused, dict(traces.notes)) == (spans, 0, {}), file
