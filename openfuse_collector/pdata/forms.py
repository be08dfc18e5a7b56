"""What differs between the exports of two signals: message types, field names, the check of an item. The code they share reads it here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from openfuse_collector.pdata.faults import record_fault, span_fault
from openfuse_collector.signals import Signal


class Fields(NamedTuple):
    """Names of the three nested lists of an export."""

    resources: str
    scopes: str
    items: str


class Form(NamedTuple):
    """The export of one signal."""

    signal: Signal
    package: str
    """Part of the gRPC service name: `opentelemetry.proto.collector.<package>.v1`."""
    export: str
    """What people call it: `trace export`."""
    noun: str
    """What people call its items: `spans`."""
    request: type[Any]
    response: type[Any]
    protobuf: Fields
    json: Fields
    rejected: tuple[str, str]
    """The field of partial_success that counts rejected items, in protobuf and in JSON."""
    fault: Callable[[Any], str | None]
    """Why an item cannot be stored, None when it can."""

    @property
    def path(self) -> str:
        """The OTLP/HTTP path."""
        return f"/v1/{self.signal}"

    def groups(self, request: Any) -> Iterator[Any]:
        """The item lists of a request, one per scope."""
        resources, scopes, items = self.protobuf
        for resource in getattr(request, resources):
            for scope in getattr(resource, scopes):
                yield getattr(scope, items)


TRACES = Form(
    signal=Signal.TRACES,
    package="trace",
    export="trace export",
    noun="spans",
    request=ExportTraceServiceRequest,
    response=ExportTraceServiceResponse,
    protobuf=Fields("resource_spans", "scope_spans", "spans"),
    json=Fields("resourceSpans", "scopeSpans", "spans"),
    rejected=("rejected_spans", "rejectedSpans"),
    fault=span_fault,
)

LOGS = Form(
    signal=Signal.LOGS,
    package="logs",
    export="logs export",
    noun="log records",
    request=ExportLogsServiceRequest,
    response=ExportLogsServiceResponse,
    protobuf=Fields("resource_logs", "scope_logs", "log_records"),
    json=Fields("resourceLogs", "scopeLogs", "logRecords"),
    rejected=("rejected_log_records", "rejectedLogRecords"),
    fault=record_fault,
)

FORMS: tuple[Form, ...] = (TRACES, LOGS)
"""The signals that are taken."""
