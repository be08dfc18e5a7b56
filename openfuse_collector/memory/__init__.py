"""The bound on this process's memory: how much there is, how much is in use, and whether a request may still be taken."""

from openfuse_collector.memory.config import MemoryLimiterConfig
from openfuse_collector.memory.limiter import MemoryLimiter
from openfuse_collector.memory.limits import Limits, limits_of

__all__ = ["Limits", "MemoryLimiter", "MemoryLimiterConfig", "limits_of"]
