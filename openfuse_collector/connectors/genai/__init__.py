"""Spans and log records in, Langfuse events out: the connector between OTLP pipelines and the stores."""

from openfuse_collector.component import Factory, Kind
from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.connectors.genai.connector import METRICS, GenAIConnector
from openfuse_collector.signals import Signal

FACTORY = Factory(
    kind=Kind.CONNECTOR,
    type="genai",
    config=GenAIConfig,
    create=GenAIConnector,
    signals=frozenset({Signal.TRACES, Signal.LOGS}),
    emits=frozenset({Signal.EVENTS}),
    metrics=METRICS,
)
