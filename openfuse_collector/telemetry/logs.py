"""Structured logs on stderr: one line an event, for people (`console`) or for machines (`json`)."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, cast

import structlog

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
    """Set structlog up for this process and return the root logger. Standard-library warnings of our libraries go to stderr as they are."""
    threshold = LEVELS[level]
    logging.basicConfig(
        level=max(threshold, logging.WARNING),
        handlers=[_handler()],
    )
    render: structlog.typing.Processor
    if encoding == "json":
        render = structlog.processors.JSONRenderer()
    else:
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    tail = [structlog.processors.format_exc_info, render] if encoding == "json" else [_printable_values, render]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tail,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger())


class _Printable(logging.Formatter):
    """Lines of our libraries, which quote what a sender sent. A broken HTTP request is one line, not a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Escapes control characters in each line."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and type(error).__module__ == "aiohttp.http_exceptions":
            record = logging.makeLogRecord(
                {**record.__dict__, "exc_info": None, "exc_text": None, "msg": _one_line(record, error), "args": None}
            )
        return "\n".join(map(printable, super().format(record).split("\n")))


def _one_line(record: logging.LogRecord, error: BaseException) -> str:
    return f"{record.getMessage()}: {' '.join(str(error).split())[:200]}"


def printable(text: str) -> str:
    """The text with everything escaped that could start a new line or drive a terminal."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _printable_values(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """For people's terminals: values may hold what a sender wrote. Tracebacks keep their lines."""
    for key, value in event.items():
        if isinstance(value, str) and key not in ("exception", "stack") and not value.isprintable():
            event[key] = printable(value)
    return event


def _handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Printable("%(asctime)s [%(levelname)s] %(name)s: %(message)s"))
    return handler
