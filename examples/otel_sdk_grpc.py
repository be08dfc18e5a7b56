"""The stock OpenTelemetry SDK, exporting OTLP over gRPC.

pip install -r examples/requirements.txt
openfuse-collector run                # in another terminal
python examples/otel_sdk_grpc.py      # another address: OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4317
openfuse-collector traces
"""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from support_agent import run_turn


def main() -> None:
    """Trace one turn and print its trace id."""
    provider = TracerProvider(resource=Resource.create({"service.name": "support-agent"}))
    # Without arguments the exporter goes where the collector listens: http://localhost:4317.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace_id = run_turn(provider.get_tracer("support-agent"), "Where is my order A-1042?", "session-7", "ada")
    provider.shutdown()  # sends what is still waiting
    print(f"trace {trace_id}: openfuse-collector traces {trace_id[:8]}")


if __name__ == "__main__":
    main()
