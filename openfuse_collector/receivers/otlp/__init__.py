"""Takes OpenTelemetry traces and logs over gRPC and HTTP (protobuf and JSON)."""

from openfuse_collector.component import Factory, Kind
from openfuse_collector.receivers.otlp.config import OtlpConfig
from openfuse_collector.receivers.otlp.receiver import OtlpReceiver
from openfuse_collector.receivers.otlp.telemetry import METRICS
from openfuse_collector.signals import Signal

FACTORY = Factory(
    kind=Kind.RECEIVER,
    type="otlp",
    config=OtlpConfig,
    create=OtlpReceiver,
    signals=frozenset({Signal.TRACES, Signal.LOGS}),
    metrics=METRICS,
)
