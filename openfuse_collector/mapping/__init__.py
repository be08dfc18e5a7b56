"""GenAI spans and log records to Langfuse events: vocabularies as tables, precedence in `rules`, `map_traces`, `map_logs`."""

from openfuse_collector.mapping.identity import MAPPING_VERSION
from openfuse_collector.mapping.logs import MappedLogs, map_logs
from openfuse_collector.mapping.spans import Failure, Mapped, map_traces

__all__ = ["MAPPING_VERSION", "Failure", "Mapped", "MappedLogs", "map_logs", "map_traces"]
