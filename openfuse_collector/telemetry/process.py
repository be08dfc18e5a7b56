"""The process's own figures under the names of the OpenTelemetry Collector, read when someone asks."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_STATM = Path("/proc/self/statm")


def rss_bytes() -> int:
    """Resident memory of this process; the peak where the platform tells no more (macOS)."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class ProcessFigures(Collector):
    """`otelcol_process_uptime`, `otelcol_process_cpu_seconds` and `otelcol_process_memory_rss`."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """One sample each."""
        yield CounterMetricFamily(
            "otelcol_process_uptime", "Seconds since start.", value=time.monotonic() - self._started
        )
        yield CounterMetricFamily(
            "otelcol_process_cpu_seconds", "CPU seconds, user and system.", value=time.process_time()
        )
        yield GaugeMetricFamily("otelcol_process_memory_rss", "Resident memory in bytes.", value=rss_bytes())
