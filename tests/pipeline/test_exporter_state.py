"""What is told of an exporter: its last error without secrets, and whether it is trying again."""

from __future__ import annotations

from openfuse_collector.pipeline.exporter_state import MOST_TEXT, ExporterState, shown


def test_secrets_of_urls_are_not_shown() -> None:
    assert shown("POST https://user:hunter2@host:4000/v1/sql: 401") == "POST https://host:4000/v1/sql: 401"
    assert len(shown("x" * 10_000)) == MOST_TEXT


def test_states() -> None:
    state = ExporterState()
    assert state.status() == {"state": "ok", "attempts": 0, "last_success": None, "last_error": None}
    state.failed("locked")
    state.failed("still locked")
    status = state.status()
    assert (status["state"], status["attempts"], status["last_error"]["error"]) == ("retrying", 2, "still locked")
    state.succeeded()
    status = state.status()
    assert (status["state"], status["attempts"]) == ("ok", 0)
    assert status["last_success"] and status["last_error"]["error"] == "still locked"
    state.refused("not this one")
    assert state.status()["last_error"]["error"] == "not this one"
