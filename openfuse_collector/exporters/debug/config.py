"""Settings of the `debug` exporter, as the OpenTelemetry Collector names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DebugConfig:
    """How much to print."""

    verbosity: Literal["basic", "normal", "detailed"] = "basic"
    """basic: a line per batch with counts; normal: a line per span or event; detailed: every field."""
    sampling_initial: int = 2
    """Batches printed in each second before sampling begins."""
    sampling_thereafter: int = 1
    """After those, every n-th batch is printed; 1 prints all, 0 none."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.sampling_initial < 0 or self.sampling_thereafter < 0:
            yield "sampling_initial and sampling_thereafter must not be negative"
