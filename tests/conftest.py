"""Fixtures for every folder."""

import asyncio
import os
from collections.abc import Callable

import uvloop
from hypothesis import settings

from tests.collector_process import collector, start_collector

__all__ = ["collector", "start_collector"]

os.environ.pop("COLUMNS", None)  # xdist exports it; what a command prints is as wide as the command says
settings.register_profile("any machine", deadline=None)  # a slow machine is no failure
settings.load_profile("any machine")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop collectors run on: uvloop, or asyncio's own with `OPENFUSE_EVENT_LOOP=asyncio`."""
    if os.environ.get("OPENFUSE_EVENT_LOOP") == "asyncio":
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}
