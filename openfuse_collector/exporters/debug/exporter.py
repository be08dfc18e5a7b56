"""The `debug` exporter: text on standard error, sampled so that it never becomes the bottleneck unasked."""

from __future__ import annotations

import sys
import time

from openfuse_collector.component import Settings
from openfuse_collector.config.nodes import printable
from openfuse_collector.exporters.debug import METRICS
from openfuse_collector.exporters.debug.config import DebugConfig
from openfuse_collector.exporters.debug.render import VERBOSITIES
from openfuse_collector.signals import Batch


class DebugExporter:
    """Prints batches and keeps nothing."""

    def __init__(self, settings: Settings, config: DebugConfig) -> None:
        self._config = config
        self._render = VERBOSITIES[config.verbosity]
        self._second = 0
        self._seen = 0
        name = "openfuse_debug_unprinted_batches"
        self._unprinted = settings.metrics.counter(name, METRICS[name], ["exporter"]).labels(str(settings.id))

    async def start(self) -> None:
        """Nothing to prepare."""

    async def shutdown(self) -> None:
        """Nothing to release."""

    def cursor(self, pipeline: str) -> int | None:
        """It remembers nothing."""
        return None

    def export(self, batch: Batch) -> None:
        """Print the batch unless sampling leaves it out. Where nothing can be printed, nobody is held up: it is only counted."""
        if not self._sampled():
            return
        text = "".join(f"{printable(line)}\n" for line in self._render(batch))
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):  # the disk behind it is full, the terminal is gone; it is closed
            self._unprinted.inc()

    def _sampled(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._seen = second, 0
        self._seen += 1
        beyond = self._seen - self._config.sampling_initial
        return beyond <= 0 or (self._config.sampling_thereafter > 0 and beyond % self._config.sampling_thereafter == 0)
