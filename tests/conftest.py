"""Fixtures for every folder."""

from tests.collector_process import collector, start_collector

__all__ = ["collector", "start_collector"]
