"""Recognises exports that were sent to another signal's path, a common slip: field numbers of spans and log records coincide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from openfuse_collector.pdata.faults import span_fault
from openfuse_collector.pdata.forms import LOGS, TRACES, Form
from openfuse_collector.signals import Signal

_HINT = (
    "this is a {signal} export sent to the {path} path: "
    "set the {signal} endpoint of the exporter (OTLP/HTTP: /v1/{signal})"
)

_JSON_SIGNALS = {"resourceSpans": Signal.TRACES, "resourceLogs": Signal.LOGS, "resourceMetrics": Signal.METRICS}


def misrouted_protobuf(body: bytes, form: Form) -> str | None:
    """A hint when the bytes, sent as an export of `form`, are another signal's; None otherwise.

    Meant for bodies without a single valid item: what is read of another signal never has one, because the numbers of a log
    record stand where a span has its ids, and a span's parts where a record has its own.
    """
    found = (signal for signal, test in _TESTS.items() if signal is not form.signal and _holds(test, body))
    return next((_hint(signal, form) for signal in found), None)


def misrouted_json(export: Mapping[str, Any], form: Form) -> str | None:
    """A hint when the decoded JSON object, sent as an export of `form`, is another signal's; None otherwise."""
    if form.json.resources in export:
        return None
    return next((_hint(signal, form) for key, signal in _JSON_SIGNALS.items() if key in export), None)


def is_logs(body: bytes) -> bool:
    """Whether protobuf bytes of either are an export of logs rather than of traces."""
    return not _holds(_is_traces, body) and _holds(_is_logs, body)


def _hint(signal: Signal, form: Form) -> str:
    return _HINT.format(signal=signal, path=form.signal)


def _holds(test: Callable[[bytes], bool], body: bytes) -> bool:
    try:
        return test(body)
    except DecodeError:
        return False


def _is_traces(body: bytes) -> bool:
    """Ids of the proper length: a log record has numbers there."""
    request = TRACES.request.FromString(body)
    return any(span_fault(span) is None for spans in TRACES.groups(request) for span in spans)


def _is_logs(body: bytes) -> bool:
    """Times and severities are numbers where spans have bytes, so of a span nothing would be read as either."""
    request = LOGS.request.FromString(body)
    return any(
        record.time_unix_nano or record.observed_time_unix_nano or record.severity_number
        for records in LOGS.groups(request)
        for record in records
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


_TESTS: dict[Signal, Callable[[bytes], bool]] = {
    Signal.TRACES: _is_traces,
    Signal.LOGS: _is_logs,
    Signal.METRICS: _is_metrics,
}
