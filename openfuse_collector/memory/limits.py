"""From settings to bytes: the two limits of the memory limiter."""

from __future__ import annotations

from typing import NamedTuple

from openfuse_collector.config.types import MIB
from openfuse_collector.errors import ConfigError
from openfuse_collector.memory.config import MemoryLimiterConfig


class Limits(NamedTuple):
    """Bytes of resident memory."""

    soft: int
    """Beyond it nothing more is taken."""
    hard: int
    """Beyond it what can be given back is given back."""


def limits_of(config: MemoryLimiterConfig, available: int) -> Limits | None:
    """The limits where so many bytes are available; None when the limiter is off.

    Raises ConfigError when the room kept free comes to as much as the limit.
    """
    hard = _limit(config, available)
    if not hard:
        return None
    spike = config.spike_limit_mib * MIB or available * config.spike_limit_percentage // 100 or hard // 5
    if spike >= hard:
        raise ConfigError(_too_much(config, spike // MIB, hard // MIB, available // MIB))
    return Limits(hard - spike, hard)


def _limit(config: MemoryLimiterConfig, available: int) -> int:
    mib, percentage = config.limits
    given = [] if mib is None else [mib * MIB]
    return min(given if percentage is None else [*given, available * percentage // 100])


def _too_much(config: MemoryLimiterConfig, spike: int, hard: int, available: int) -> str:
    """The sentence for room that is not smaller than the limit it is taken from."""
    key = "spike_limit_mib" if config.spike_limit_mib else "spike_limit_percentage"
    return (
        f"service::memory_limiter: {key} keeps {spike} MiB free of a limit of {hard} MiB ({available} MiB are available): "
        f"nothing could ever be taken; set spike_limit_mib below {hard}, or leave {key} out to keep a fifth of the limit"
    )
