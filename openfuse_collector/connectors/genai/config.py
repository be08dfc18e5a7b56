"""Settings of the `genai` connector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class GenAIConfig:
    """What the connector remembers and keeps."""

    remembered_traces: int = 10_000
    """Traces whose first sight is remembered, so that it is not announced with every request; 0 remembers none."""

    raw_spans: bool = False
    """Whether the store keeps every span beside its events, so that `rebuild --remap` can map it again."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.remembered_traces < 0:
            yield "remembered_traces must not be negative"
