"""A short, always equal stretch of the fuzzers of the ingestion API and of configurations; `make fuzz` runs as long as one likes."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fuzz.configuration import ConfigurationFuzz
from tests.fuzz.ingestion import READERS, IngestionFuzz, captured, check_call, own
from tests.fuzz.run import Target


def verdicts(fuzz: Target, executions: int) -> Counter[str]:
    """What became of the first executions; raises on the first that breaks a rule."""
    return Counter(fuzz.execute(number) for number in range(executions))


def test_damaged_calls() -> None:
    counted = verdicts(IngestionFuzz(3, own()), 800)
    assert min(counted["accepted"], counted["partial"], counted["refused"]) > 20


@pytest.mark.shared
def test_damaged_captured_calls() -> None:
    calls = captured()
    if not calls:
        pytest.skip("no corpus: set OPENFUSE_SHARED")
    assert {"ingestion", "scores"} <= {reader for reader, _ in calls} <= READERS.keys()
    counted = verdicts(IngestionFuzz(4, calls), 500)
    assert min(counted["accepted"], counted["partial"], counted["refused"]) > 20


def test_damaged_configurations() -> None:
    counted = verdicts(ConfigurationFuzz(5), 120)
    assert min(counted["accepted"], counted["refused"]) > 10


def test_an_execution_is_always_the_same() -> None:
    for fuzz in (IngestionFuzz(1, own()), ConfigurationFuzz(1)):
        assert [fuzz.kept(number) for number in range(30)] == [fuzz.kept(number) for number in range(30)]


def test_the_check_notices_a_lost_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.ingestion.decode_events", lambda payload: [])
    body = b'{"batch":[{"id":"e","type":"trace-create","timestamp":"2026-11-21T06:00:00Z","body":{"id":"t"}}]}'
    with pytest.raises(AssertionError):
        check_call("ingestion", body, thorough=False)
