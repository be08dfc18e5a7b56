"""Settings of the `health_check` extension, as the OpenTelemetry Collector names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openfuse_collector.config.types import Address


@dataclass(frozen=True)
class HealthCheckConfig:
    """Where to answer, and what."""

    endpoint: Address = Address("localhost:13133")
    path: str = "/"
    response_body: str = ""
    """Sent instead of the JSON status when not empty."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if not self.path.startswith("/"):
            yield "path must start with /"
