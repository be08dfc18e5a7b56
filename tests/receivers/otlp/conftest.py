"""What `start` starts in this folder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from otlp_harness import Running, run_receiver


@pytest.fixture(name="run_receiver")
def run_receiver_fixture() -> Callable[..., Awaitable[Running]]:
    """Starts one receiver of this kind on free ports."""
    return run_receiver
