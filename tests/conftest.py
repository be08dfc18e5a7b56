"""Fixtures for every folder."""

from hypothesis import settings

from tests.collector_process import collector, start_collector

__all__ = ["collector", "start_collector"]

settings.register_profile("any machine", deadline=None)  # a slow machine is no failure
settings.load_profile("any machine")
