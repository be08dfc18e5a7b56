"""The clock in the unit stores keep times in. Mapping and fold never look at it: what they make depends on their input alone."""

from __future__ import annotations

import time


def epoch_millis() -> int:
    """Milliseconds since 1970, now."""
    return time.time_ns() // 1_000_000
