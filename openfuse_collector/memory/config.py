"""Settings of the memory limiter (`service::memory_limiter`), named as in the OpenTelemetry Collector's processor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openfuse_collector.config.types import Duration

DEFAULT_MIB = 1024
DEFAULT_PERCENTAGE = 75
"""Without any limit set: as much as a busy collector uses, and never all of a small container."""


@dataclass(frozen=True)
class MemoryLimiterConfig:
    """Beyond limit minus spike senders are told to retry; beyond the limit memory is given back as well."""

    check_interval: Duration = Duration(0.1)
    """How often the resident memory of the process is read."""
    limit_mib: int | None = None
    """The limit in MiB; 0 turns the limiter off. Without it and without `limit_percentage`: 1024, or 75 % where that is less."""
    limit_percentage: int | None = None
    """The limit as a share of the memory there is. Where both are given the smaller one counts."""
    spike_limit_mib: int = 0
    """Room kept for what is under way already, smaller than the limit. 0 and no percentage: a fifth of the limit."""
    spike_limit_percentage: int = 0
    """The same as a share of the memory there is."""

    @property
    def limits(self) -> tuple[int | None, int | None]:
        """The limit in MiB and as a percentage, the defaults where neither is set."""
        if self.limit_mib is None and self.limit_percentage is None:
            return DEFAULT_MIB, DEFAULT_PERCENTAGE
        return self.limit_mib, self.limit_percentage

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.check_interval <= 0:
            yield "check_interval must be greater than 0"
        if self.limit_mib is not None and self.limit_mib < 0:
            yield "limit_mib must not be negative"
        if self.limit_percentage is not None and not 1 <= self.limit_percentage <= 100:
            yield "limit_percentage must be between 1 and 100"
        if self.spike_limit_mib < 0:
            yield "spike_limit_mib must not be negative"
        mib, percentage = self.limits
        if mib and mib > 0 and self.spike_limit_mib >= mib:
            default = "" if self.limit_mib else f", which is {mib} by default"
            yield f"spike_limit_mib must be smaller than limit_mib{default}"
        if not 0 <= self.spike_limit_percentage <= 100:
            yield "spike_limit_percentage must be between 0 and 100"
        if percentage and percentage > 0 and self.spike_limit_percentage >= percentage:
            default = "" if self.limit_percentage else f", which is {percentage} by default"
            yield f"spike_limit_percentage must be smaller than limit_percentage{default}"
