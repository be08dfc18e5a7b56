"""Back-off between attempts: `retry_on_failure` as users of the OpenTelemetry Collector know it, without giving up."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event as Flag

from openfuse_collector.config.types import Duration


@dataclass(frozen=True)
class RetryConfig:
    """`retry_on_failure` of an exporter. Retrying never ends: the journal holds the data, and its bound is the limit."""

    initial_interval: Duration = Duration(0.5)
    max_interval: Duration = Duration(30)
    multiplier: float = 1.5
    randomization_factor: float = 0.5

    def validate(self) -> Iterator[str]:
        """One sentence per mistake."""
        if self.initial_interval <= 0:
            yield "initial_interval must be greater than 0"
        if self.max_interval < self.initial_interval:
            yield "max_interval must not be less than initial_interval"
        if self.multiplier < 1:
            yield "multiplier must be at least 1"
        if not 0 <= self.randomization_factor <= 1:
            yield "randomization_factor must be between 0 and 1"

    def delays(self) -> Iterator[float]:
        """Seconds to wait before the second attempt, the third, and so on for ever."""
        interval: float = self.initial_interval
        while True:
            yield interval * random.uniform(1 - self.randomization_factor, 1 + self.randomization_factor)
            interval = min(interval * self.multiplier, self.max_interval)


class Stopped(Exception):
    """The service is going down; what is unfinished stays in the journal."""


def pause(stopping: Flag, seconds: float) -> None:
    """Sleep on a pipeline or exporter thread. Raises Stopped at once when `stopping` is or gets set."""
    if stopping.wait(seconds):
        raise Stopped
