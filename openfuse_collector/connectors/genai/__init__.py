"""Spans and log records in, Langfuse events out: the connector between OTLP pipelines and the stores."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.signals import Signal

CONSUMED_SPANS = "openfuse_connector_consumed_spans"
CONSUMED_RECORDS = "openfuse_connector_consumed_log_records"
EMITTED = "openfuse_connector_emitted_events"
FAILED_SPANS = "openfuse_connector_failed_spans"
FAILED_RECORDS = "openfuse_connector_failed_log_records"
FILTERED_RECORDS = "openfuse_connector_filtered_log_records"
SUPPRESSED = "openfuse_connector_suppressed_events"
TRUNCATED = "openfuse_connector_truncated_values"
METRICS = {
    CONSUMED_SPANS: "Spans the connector has dealt with: mapped, or set aside.",
    CONSUMED_RECORDS: "The same of log records.",
    EMITTED: "Events handed on to the stores.",
    FAILED_SPANS: "Spans that could not be mapped to events.",
    FAILED_RECORDS: "Log records that could not be mapped to events.",
    FILTERED_RECORDS: "Log records that belong to no span or hold no GenAI content; they are not stored.",
    SUPPRESSED: "Shallow trace events that said nothing new.",
    TRUNCATED: "Attribute values longer than max_attribute_value_bytes, and resources and scopes beyond 16 KiB, cut.",
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
