"""Structured logs on stderr: one line an event, for people (`console`) or for machines (`json`)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import structlog

from openfuse_collector.config.nodes import printable
from openfuse_collector.telemetry.nonsense import NoNonsense

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure_logs(
    level: str = "info", encoding: Literal["console", "json"] = "console"
) -> structlog.stdlib.BoundLogger:
    """Set structlog up for this process and return the root logger. Warnings of the libraries we use come out in the same form."""
    threshold = LEVELS[level]
    # gRPC's own lines, one for each bad handshake, have a form of their own.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    render: structlog.typing.Processor
    if encoding == "json":
        render = structlog.processors.JSONRenderer()
    else:
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    head: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    tail = [structlog.processors.format_exc_info, render] if encoding == "json" else [_printable_values, render]
    _take_over(max(threshold, logging.WARNING), head, tail)
    structlog.configure(
        processors=[*head, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", LossyStream(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger())


class LossyStream:
    """A stream that loses what cannot be written rather than fail its writer.

    Lines are written in the middle of the work, by every thread, and where errors are dealt with: a full disk behind standard error, or
    a pipe whose reader has gone, must not end any of them.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose, the text."""
        with suppress(OSError, ValueError):  # full, gone; closed
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write, or lose, what is waiting."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def _printable_values(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """For people's terminals: values may hold what a sender wrote. Tracebacks keep their lines."""
    for key, value in event.items():
        if isinstance(value, str) and key not in ("exception", "stack") and not value.isprintable():
            event[key] = printable(value)
    return event


def _take_over(
    level: int, head: Sequence[structlog.typing.Processor], tail: Sequence[structlog.typing.Processor]
) -> None:
    """Render what libraries log through the standard library as our own lines are."""
    handler = logging.StreamHandler(cast("TextIO", LossyStream(sys.stderr)))
    handler.addFilter(NoNonsense())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*head, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    logging.basicConfig(level=level, handlers=[handler])
