"""Takes OpenTelemetry traces and logs over gRPC and HTTP (protobuf and JSON)."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.receivers.otlp.config import OtlpConfig
from openfuse_collector.signals import Signal

METRICS = {
    "otelcol_receiver_accepted_spans": "Spans that are in the journal, by receiver and transport.",
    "otelcol_receiver_refused_spans": "Decoded spans the sender was told to send again.",
    "otelcol_receiver_failed_spans": "Decoded spans that were lost to an error of this collector.",
    "otelcol_receiver_accepted_log_records": "Log records that are in the journal.",
    "otelcol_receiver_refused_log_records": "Decoded log records the sender was told to send again.",
    "otelcol_receiver_failed_log_records": "Decoded log records that were lost to an error of this collector.",
    "otelcol_receiver_requests": "Requests by outcome: success, refused (come back later), failure (never).",
    "openfuse_receiver_rejected_spans": "Spans that cannot be stored, reported to the sender by partial success.",
    "openfuse_receiver_rejected_log_records": "Log records that cannot be stored, reported to the sender by partial success.",
    "openfuse_receiver_discarded_metrics_requests": "Metrics exports of Langfuse SDKs, answered with success and not kept.",
    "openfuse_receiver_repaired_strings": "Strings in which invalid Unicode was replaced by U+FFFD.",
    "openfuse_receiver_in_flight_bytes": "Bytes of requests that are being received or written.",
}

FACTORY = Factory(
    kind=Kind.RECEIVER,
    type="otlp",
    config=OtlpConfig,
    create=lazy("openfuse_collector.receivers.otlp.receiver:OtlpReceiver"),
    signals=frozenset({Signal.TRACES, Signal.LOGS}),
    metrics=METRICS,
)
