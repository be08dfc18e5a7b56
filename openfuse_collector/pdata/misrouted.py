"""Recognises logs and metrics that were sent to the traces path, a common slip: their field numbers coincide with those of spans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

_HINT = "this is a {signal} export sent to the traces path: set the {signal} endpoint of the exporter (OTLP/HTTP: /v1/{signal})"

_JSON_SIGNALS = {"resourceLogs": "logs", "resourceMetrics": "metrics"}


def misrouted_protobuf(body: bytes) -> str | None:
    """A hint when the bytes are another signal's export, None otherwise.

    Meant for bodies without a single valid span: an export of log records never has one, because the numbers of a record stand
    where a span has its ids.
    """
    return next((_HINT.format(signal=signal) for signal, test in _TESTS.items() if _holds(test, body)), None)


def misrouted_json(export: Mapping[str, Any]) -> str | None:
    """A hint when the decoded JSON object is another signal's export, None otherwise."""
    if "resourceSpans" in export:
        return None
    return next((_HINT.format(signal=signal) for key, signal in _JSON_SIGNALS.items() if key in export), None)


def _holds(test: Callable[[bytes], bool], body: bytes) -> bool:
    try:
        return test(body)
    except DecodeError:
        return False


def _is_logs(body: bytes) -> bool:
    """Times and severities are numbers where spans have bytes, so of a span nothing would be read as either."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    return any(
        record.time_unix_nano or record.observed_time_unix_nano or record.severity_number
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )


def _is_metrics(body: bytes) -> bool:
    """Metrics have a name that is text, and points where spans have their name and numbers."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    return any(
        metric.name.isprintable() and metric.WhichOneof("data")
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


_TESTS: dict[str, Callable[[bytes], bool]] = {"logs": _is_logs, "metrics": _is_metrics}
