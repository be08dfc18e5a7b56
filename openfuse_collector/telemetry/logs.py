"""Structured logs on stderr: one line an event, for people (`console`) or for machines (`json`)."""

from __future__ import annotations

import logging
import sys
from typing import Literal, cast

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
        stream=sys.stderr,
        level=max(threshold, logging.WARNING),
        format="%(asctime)s [%(levelname)s] %(name)s: %(message)s",
    )
    render: structlog.typing.Processor
    if encoding == "json":
        render = structlog.processors.JSONRenderer()
    else:
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    tail = [structlog.processors.format_exc_info, render] if encoding == "json" else [render]
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
