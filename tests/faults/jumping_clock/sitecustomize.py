"""Put first on PYTHONPATH of a collector, makes its wall clock jump: an hour ahead, back, a day back, and on, every few readings."""

import itertools
import time

JUMPS = itertools.cycle((0, 3600, 0, -86_400, 5, -3600))
EVERY = 40
_time, _time_ns = time.time, time.time_ns
_readings = itertools.count(1)
_offset = 0


def _jump() -> int:
    global _offset
    if next(_readings) % EVERY == 0:
        _offset = next(JUMPS)
    return _offset


time.time = lambda: _time() + _jump()
time.time_ns = lambda: _time_ns() + _jump() * 1_000_000_000
