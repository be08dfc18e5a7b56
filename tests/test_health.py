"""What the health endpoint is told."""

from __future__ import annotations

from openfuse_collector.component import Health


def test_a_service_one_thread_of_which_has_ended_never_says_it_is_well() -> None:
    """A pipeline may break on what it finds in the journal while the rest of the service still starts."""
    health = Health()
    health.fail()
    health.set(ready=True)
    assert not health.ready


def test_it_is_ready_from_start_to_stop() -> None:
    health = Health()
    assert not health.ready
    health.set(ready=True)
    assert health.ready
    health.set(ready=False)
    assert not health.ready
