"""Spans and log records in, Langfuse events out: the connector between OTLP pipelines and the stores."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.signals import Signal

FAILED_SPANS = "openfuse_connector_failed_spans"
FAILED_RECORDS = "openfuse_connector_failed_log_records"
FILTERED_RECORDS = "openfuse_connector_filtered_log_records"
SUPPRESSED = "openfuse_connector_suppressed_events"
TRUNCATED = "openfuse_connector_truncated_values"
METRICS = {
    FAILED_SPANS: "Spans that could not be mapped to events.",
    FAILED_RECORDS: "Log records that could not be mapped to events.",
    FILTERED_RECORDS: "Log records that belong to no span or hold no GenAI content; they are not stored.",
    SUPPRESSED: "Shallow trace events that said nothing new.",
    TRUNCATED: "Attribute values longer than max_attribute_value_bytes, cut.",
}

FACTORY = Factory(
    kind=Kind.CONNECTOR,
    type="genai",
    config=GenAIConfig,
    create=lazy("openfuse_collector.connectors.genai.connector:GenAIConnector"),
    signals=frozenset({Signal.TRACES, Signal.LOGS}),
    emits=frozenset({Signal.EVENTS}),
    metrics=METRICS,
)
