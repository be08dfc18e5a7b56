"""The payload of a kept span: its resource, its scope and itself as one OTLP `ResourceSpans`, compressed.

Concatenating encoded fields encodes a message, so what spans have in common is encoded once per group, and bytes that a newer
version of OTLP defines survive. Each span is a payload of its own, so that it can be found, mapped again or deleted by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import zstandard
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from openfuse_collector.pdata.wire import framed

LEVEL = 1
"""Of zstd. Level 3 takes a tenth more time for one percent less space: single spans are too short for it to find more."""

LARGEST = 1 << 30
"""Bytes a payload may unpack to; what a receiver takes is far below."""

# Field numbers of opentelemetry/proto/trace/v1/trace.proto.
_RESOURCE, _SCOPE_SPANS = 1, 2
_SCOPE, _SPAN = 1, 2
_SCHEMA_URL = 3

Packer = Callable[[bytes], bytes]
"""Encoded span -> payload."""


def packer(group: ResourceSpans, scope_spans: ScopeSpans, compressor: zstandard.ZstdCompressor) -> Packer:
    """Makes the payloads of the spans of one scope. A compressor belongs to one thread."""
    around = framed(_RESOURCE, group.resource.SerializeToString()) if group.HasField("resource") else b""
    around += _schema(group)
    within = framed(_SCOPE, scope_spans.scope.SerializeToString()) if scope_spans.HasField("scope") else b""
    within += _schema(scope_spans)
    compress = compressor.compress

    def pack(span: bytes) -> bytes:
        return compress(around + framed(_SCOPE_SPANS, within + framed(_SPAN, span)))

    return pack


def unpack(payload: bytes) -> ResourceSpans:
    """The span with its scope and resource. Raises ValueError for bytes that hold none."""
    try:
        return ResourceSpans.FromString(zstandard.ZstdDecompressor().decompress(payload, max_output_size=LARGEST))
    except Exception as error:  # zstd and protobuf have error classes of their own
        raise ValueError(f"not the payload of a span: {error}") from error


def _schema(group: ResourceSpans | ScopeSpans) -> bytes:
    return framed(_SCHEMA_URL, group.schema_url.encode()) if group.schema_url else b""
