"""A short, always equal stretch of the fuzzer; `make fuzz` runs as long as one likes."""

from __future__ import annotations

from collections import Counter

import pytest

from openfuse_collector.pdata.forms import FORMS
from tests.fuzz.checks import check
from tests.fuzz.run import Fuzz
from tests.fuzz.seeds import corpus_seeds, own_seeds


def verdicts(fuzz: Fuzz, executions: int) -> Counter[str]:
    """What became of the first executions; raises on the first that breaks a rule."""
    return Counter(fuzz.execute(number) for number in range(executions))


def test_damaged_agent_traces() -> None:
    counted = verdicts(Fuzz(seed=7, seeds=own_seeds()), 400)
    assert min(counted["accepted"], counted["partial"], counted["refused"]) > 10


@pytest.mark.shared
def test_damaged_captured_requests() -> None:
    seeds = corpus_seeds()
    if not seeds:
        pytest.skip("no corpus: set OPENFUSE_SHARED")
    assert {form.signal for form, _ in seeds} == {form.signal for form in FORMS}
    counted = verdicts(Fuzz(seed=11, seeds=seeds), 600)
    assert min(counted["accepted"], counted["partial"], counted["refused"]) > 20


def test_an_execution_is_always_the_same_request() -> None:
    fuzz = Fuzz(seed=3, seeds=own_seeds())
    assert [fuzz.body(number)[0] for number in range(40)] == [fuzz.body(number)[0] for number in range(40)]


def test_the_check_notices_a_lost_item(monkeypatch: pytest.MonkeyPatch) -> None:
    form, request = own_seeds()[0]
    monkeypatch.setattr("tests.fuzz.checks.map_traces", lambda *_: ([], []))
    with pytest.raises(AssertionError, match="spans, 0 events"):
        check(request.SerializeToString(), form, "protobuf", thorough=False)
