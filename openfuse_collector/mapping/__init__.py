"""GenAI spans to Langfuse events: vocabularies as tables, precedence in `rules`, and `map_traces` that applies them."""

from openfuse_collector.mapping.identity import MAPPING_VERSION
from openfuse_collector.mapping.spans import Failure, Mapped, map_traces

__all__ = ["MAPPING_VERSION", "Failure", "Mapped", "map_traces"]
