"""Repair on the wire: strings become valid, everything else stays, what is malformed is refused."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.otlp_protobuf import TOO_DEEP, decode_traces
from openfuse_collector.pdata.utf8 import GROUP, repair
from openfuse_collector.pdata.wire import WireError

BROKEN = b"\xff\xe2\x98 ok \xc3\x28"


def full_export() -> ExportTraceServiceRequest:
    """An export with text in every kind of place."""
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add(schema_url="https://example.com")
    resource.resource.attributes.add(key="service.name").value.string_value = "svc"
    scope = resource.scope_spans.add()
    scope.scope.name = "scope"
    for number in range(3):
        span = scope.spans.add(trace_id=b"\xff" * 16, span_id=bytes([255] * 7 + [number]), name=f"span {number}")
        span.start_time_unix_nano, span.kind, span.flags = 2**63, 3, 0x101
        span.attributes.add(key="bytes").value.bytes_value = b"\xff\xfe"
        span.attributes.add(key="double").value.double_value = -1.5
        nested = span.attributes.add(key="map").value.kvlist_value.values.add(key="inner")
        nested.value.array_value.values.add().string_value = "deep"
        span.events.add(name="event").attributes.add(key="k").value.string_value = "v"
        span.links.add(trace_id=b"\xfe" * 16, trace_state="a=b")
        span.status.message = "message"
    return made


def texts(request: ExportTraceServiceRequest) -> list[tuple[object, str]]:
    """(message, field) of every string in one span and above it."""
    resource = request.resource_spans[0]
    scope = resource.scope_spans[0]
    span = scope.spans[1]
    inner = span.attributes[2].value.kvlist_value.values[0]
    return [
        (resource, "schema_url"),
        (resource.resource.attributes[0], "key"),
        (resource.resource.attributes[0].value, "string_value"),
        (scope.scope, "name"),
        (span, "name"),
        (span, "trace_state"),
        (span.attributes[0], "key"),
        (inner, "key"),
        (inner.value.array_value.values[0], "string_value"),
        (span.events[0], "name"),
        (span.events[0].attributes[0].value, "string_value"),
        (span.links[0], "trace_state"),
        (span.status, "message"),
    ]


@pytest.mark.parametrize("index", range(len(texts(full_export()))))
def test_a_broken_string_anywhere(index: int) -> None:
    marker = "x" * len(BROKEN)
    broken, expected = full_export(), full_export()
    message, field = texts(broken)[index]
    setattr(message, field, marker)
    message, field = texts(expected)[index]
    setattr(message, field, BROKEN.decode(errors="replace"))
    body = broken.SerializeToString().replace(marker.encode(), BROKEN)
    with pytest.raises(DecodeError):
        ExportTraceServiceRequest.FromString(body)
    decoded = decode_traces(body)
    assert decoded.request == expected
    assert (decoded.repaired, dict(decoded.rejected)) == (1, {})
    assert decoded.payload is not None and ExportTraceServiceRequest.FromString(decoded.payload) == expected


def test_many_broken_strings_and_unknown_fields() -> None:
    unknown = b"\xfa\x07\x03new" + b"\xf8\x07\xff\x01" + b"\xf9\x07" + bytes(8) + b"\xfd\x07" + bytes(4)
    body = full_export().SerializeToString().replace(b"event", b"\xff\xff\xff\xff\xff") + unknown
    fixed = repair(body, ExportTraceServiceRequest)
    assert (fixed.strings, fixed.too_deep) == (3, 0)
    assert fixed.body.endswith(unknown) and fixed.body.count("\ufffd".encode()) == 15


def test_valid_bytes_are_given_back() -> None:
    body = full_export().SerializeToString()
    assert repair(body, ExportTraceServiceRequest).body is body


def nested(depth: int) -> ExportTraceServiceRequest:
    made = full_export()
    value = made.resource_spans[0].scope_spans[0].spans[1].attributes.add(key="deep").value
    for _ in range(depth):
        value = value.array_value.values.add()
    value.string_value = "end"
    return made


def test_a_span_nested_too_deep_is_left_out_exactly_when_the_parser_refuses_it() -> None:
    seen = set()
    for depth in range(44, 52):
        body = nested(depth).SerializeToString()
        try:
            ExportTraceServiceRequest.FromString(body)
            refused = False
        except DecodeError:
            refused = True
        decoded = decode_traces(body)
        assert dict(decoded.rejected) == ({TOO_DEEP: 1} if refused else {})
        names = [span.name for span in decoded.request.resource_spans[0].scope_spans[0].spans]
        assert names == (["span 0", "span 2"] if refused else ["span 0", "span 1", "span 2"])
        seen.add(refused)
    assert seen == {True, False}


def test_a_resource_nested_too_deep_is_bad_data() -> None:
    made = full_export()
    value = made.resource_spans[0].resource.attributes.add().value
    for _ in range(60):
        value = value.array_value.values.add()
    with pytest.raises(BadDataError):
        decode_traces(made.SerializeToString())


def framed(tag: int, content: bytes) -> bytes:
    """A length-delimited field."""
    size, written = len(content), bytearray([tag])
    while size > 0x7F:
        written.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*written, size]) + content


def test_thousands_of_levels_do_not_exhaust_the_stack() -> None:
    value = b""
    for _ in range(5_000):
        value = framed(0x2A, framed(0x0A, value))  # array_value { values { … } }
    attribute = framed(0x0A, b"k") + framed(0x12, value)
    in_resource = framed(0x0A, framed(0x0A, framed(0x0A, attribute)))
    with pytest.raises(BadDataError):
        decode_traces(in_resource)
    in_span = framed(0x0A, framed(0x12, framed(0x12, framed(0x4A, attribute))))
    assert dict(decode_traces(in_span).rejected) == {TOO_DEEP: 1}


def test_every_truncation_of_an_export_is_refused_or_whole() -> None:
    body = full_export().SerializeToString()
    for end in range(1, len(body)):
        with pytest.raises(BadDataError):
            decode_traces(body[:end])


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    try:
        decoded = decode_traces(body)
    except BadDataError:
        return
    assert decoded.payload is not None and ExportTraceServiceRequest.FromString(decoded.payload) == decoded.request


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_one_changed_byte_is_never_a_crash(position: int, byte: int) -> None:
    body = bytearray(full_export().SerializeToString())
    body[position % len(body)] = byte
    try:
        decoded = decode_traces(bytes(body))
    except BadDataError:
        return
    assert decoded.payload is not None and ExportTraceServiceRequest.FromString(decoded.payload) == decoded.request


@given(st.sets(st.integers(0, 3 * GROUP), max_size=5), st.sets(st.integers(0, 3 * GROUP), max_size=2))
def test_any_of_many_spans_may_be_broken_or_too_deep(broken: set[int], deep: set[int]) -> None:
    """Over the borders of the groups that are given to the parser, with a field nobody knows between."""
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for number in range(3 * GROUP + 1):
        span = scope.spans.add(name="broken" if number in broken else f"{number:06}")
        if number in deep:
            value = span.attributes.add(key="deep").value
            for _ in range(60):
                value = value.array_value.values.add()
    body = framed(0x0A, framed(0x12, scope.SerializeToString() + b"\xf8\x07\x01"))
    decoded = decode_traces(body.replace(b"broken", b"\xff roke"))
    names = [span.name for span in decoded.request.resource_spans[0].scope_spans[0].spans]
    expected = [number for number in range(3 * GROUP + 1) if number not in deep]
    assert names == ["\ufffd roke" if number in broken else f"{number:06}" for number in expected]
    assert (decoded.repaired, sum(decoded.rejected.values())) == (len(broken - deep), len(deep))
    assert decoded.payload is not None and b"\xf8\x07\x01" in decoded.payload


@pytest.mark.parametrize("body", [b"\x0a", b"\x0a\x05", b"\x08" + b"\xff" * 11, b"\x0b", b"\x0c", b"\x09\x01"])
def test_malformed_fields(body: bytes) -> None:
    with pytest.raises(WireError):
        repair(body, ExportTraceServiceRequest)
