"""Settings of the `health_check` extension, as the OpenTelemetry Collector names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openfuse_collector.config.types import Address, Duration


@dataclass(frozen=True)
class HealthCheckConfig:
    """Where to answer, and what."""

    endpoint: Address = Address("localhost:13133")
    path: str = "/"
    status_path: str = "/status"
    """Where the state of pipelines, exporters, journal and memory is; nowhere when empty."""
    grace: Duration = Duration(10)
    """How long the journal may take nothing before the answer is 503."""
    response_body: str = ""
    """Sent instead of the JSON status when not empty."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if not self.path.startswith("/"):
            yield "path must start with /"
        if self.status_path and not self.status_path.startswith("/"):
            yield "status_path must start with /"
        if self.status_path == self.path:
            yield "status_path must differ from path"
        if self.grace < 0:
            yield "grace must not be negative"
