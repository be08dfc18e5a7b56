"""One Prometheus registry per running service; every component asks it for the metrics it owns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]
# A `_created` series beside every counter and histogram would double the page for a date nobody asks for.

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Histogram buckets for durations."""


M = TypeVar("M", Counter, Gauge, Histogram)


class Metrics:
    """Makes metrics, each name once per registry: two components that ask for one name share it. Thread-safe.

    Counters are named without `_total`; the exposition adds it.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        self._making = Lock()

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """The counter of that name."""
        return self._get(Counter, name, lambda: Counter(name, help, labels, registry=self.registry))

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        """The gauge of that name."""
        return self._get(Gauge, name, lambda: Gauge(name, help, labels, registry=self.registry))

    def histogram(
        self, name: str, help: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """The histogram of that name."""
        return self._get(
            Histogram, name, lambda: Histogram(name, help, labels, buckets=buckets, registry=self.registry)
        )

    def _get(self, kind: type[M], name: str, make: Callable[[], M]) -> M:
        with self._making:
            made = self._made.get(name)
            if made is None:
                made = self._made[name] = make()
        assert isinstance(made, kind)
        return made
