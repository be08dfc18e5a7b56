"""Settings of the `genai` connector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openfuse_collector.config.types import Size


@dataclass(frozen=True)
class GenAIConfig:
    """What the connector remembers and keeps."""

    remembered_traces: int = 10_000
    """Traces whose first sight is remembered, so that it is not announced with every request; 0 remembers none."""

    raw_spans: bool = False
    """Whether the store keeps every span beside its events, so that `rebuild --remap` can map it again."""

    max_attribute_value_bytes: Size = Size(16 * 1024 * 1024)
    """Longer values of attributes and log bodies are cut, with a marker; 0 keeps them whole."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.remembered_traces < 0:
            yield "remembered_traces must not be negative"
        if 0 < self.max_attribute_value_bytes < 1024:
            yield "max_attribute_value_bytes must be 0 or at least 1KiB"
