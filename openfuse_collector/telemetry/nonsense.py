"""What arrives on an HTTP port and is no HTTP, or not all of it: the sender's doing, told in one line a minute and kind instead of a
stack each time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from openfuse_collector.telemetry.limited import EVERY, Seldom

GRPC = "PRI/Upgrade"
"""In what aiohttp's parser says of the first line of HTTP/2."""

LEFT = "the client left before it was answered"
"""Handlers let a ConnectionError pass, because there is nobody to answer; aiohttp takes it for a bug."""

SHOWN = 200
"""Characters of the parser's message that are shown."""


class NoNonsense(logging.Filter):
    """Rewrites the record of a request that cannot be parsed, or whose client left, and drops it when one of its kind was written lately.
    Thread-safe."""

    def __init__(self, every: float = EVERY, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._seldom = Seldom(every, clock)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record; all others are."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        said, kind = " ".join(str(error).split())[:SHOWN], type(error).__name__
        if isinstance(error, ConnectionError) and record.name == "aiohttp.server":
            said = kind = LEFT
        elif type(error).__module__ != "aiohttp.http_exceptions":
            return True
        elif GRPC in said:
            said = kind = "gRPC on an HTTP port; give the sender the gRPC endpoint, port 4317 unless configured"
        left_out = self._seldom.due(kind)
        more = f" (and {left_out} more like this since the last line)" if left_out else ""
        record.msg, record.args = f"{record.getMessage()}: {said}{more}", None
        record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        return left_out is not None
