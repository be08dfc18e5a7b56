"""Numbers as every store and every reader of JSON can hold them."""

from __future__ import annotations

import sys
from typing import Any, Final

LARGEST: Final = sys.float_info.max


def is_number(value: Any) -> bool:
    """Whether it is a number a double holds. An integer beyond that is infinite to JavaScript, and no JSON to GreptimeDB's client."""
    return type(value) in (int, float) and -LARGEST <= value <= LARGEST
