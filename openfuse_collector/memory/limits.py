"""From settings to bytes: the two limits of the memory limiter."""

from __future__ import annotations

from typing import NamedTuple

from openfuse_collector.config.types import MIB
from openfuse_collector.memory.config import MemoryLimiterConfig

DEFAULT_MIB = 1024
DEFAULT_PERCENTAGE = 75
"""Without any setting: as much as a busy collector uses, and never all of a small container."""


class Limits(NamedTuple):
    """Bytes of resident memory."""

    soft: int
    """Beyond it nothing more is taken."""
    hard: int
    """Beyond it what can be given back is given back."""


def limits_of(config: MemoryLimiterConfig, available: int) -> Limits | None:
    """The limits where so many bytes are available; None when the limiter is off."""
    hard = _limit(config, available)
    if not hard:
        return None
    spike = config.spike_limit_mib * MIB or available * config.spike_limit_percentage // 100 or hard // 5
    return Limits(max(hard - spike, 1), hard)


def _limit(config: MemoryLimiterConfig, available: int) -> int:
    mib, percentage = config.limit_mib, config.limit_percentage
    if mib is None and percentage is None:
        mib, percentage = DEFAULT_MIB, DEFAULT_PERCENTAGE
    given = [] if mib is None else [mib * MIB]
    return min(given if percentage is None else [*given, available * percentage // 100])
