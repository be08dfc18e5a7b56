"""Langfuse's own mapping cases and captured telemetry of real libraries, where the shared data is at hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from openfuse_collector.mapping import map_traces
from tests.conformance import corpus_inprocess, run
from tests.conformance.deviations import DEVIATIONS
from tests.conformance.otel_cases import is_of
from tests.conformance.outcomes import Verdict
from tests.mapping.span_requests import ORIGIN, singles, substance

CASES = corpus_inprocess.SHARED / "conformance" / "otel"
FILES = sorted(CASES.glob("*.jsonl"))

pytestmark = pytest.mark.shared


@pytest.fixture(autouse=True)
def _shared_data() -> None:
    if not CASES.is_dir():
        pytest.skip(f"no shared conformance data at {CASES}: set OPENFUSE_SHARED")


@pytest.mark.parametrize("path", FILES or [CASES], ids=lambda path: path.stem)
def test_every_fact_holds_or_is_a_listed_deviation(path: Path) -> None:
    results = run.run_file(path)
    assert results
    assert [result for result in results if result.verdict is Verdict.FAILED] == []


def test_deviations_are_used_and_rare() -> None:
    results = [result for path in FILES for result in run.run_file(path)]
    verdicts = Counter(result.verdict for result in results)
    assert verdicts[Verdict.DEVIATION] < 0.01 * verdicts[Verdict.PASSED]
    deviating = [result for result in results if result.verdict is Verdict.DEVIATION]
    used = {(d.cases, d.field) for d in DEVIATIONS for result in deviating if is_of(d, result)}
    assert used == {(deviation.cases, deviation.field) for deviation in DEVIATIONS}


def test_real_spans_give_the_same_events_one_by_one() -> None:
    """However exporters group spans into requests, the events are the same."""
    compared = 0
    for path in sorted((corpus_inprocess.SHARED / "corpus").glob("py-*/*/*.traces.pb"))[::5]:
        whole = corpus_inprocess.read_request(path)
        events = map_traces(whole, ORIGIN).events
        assert substance([event for one in singles(whole) for event in map_traces(one, ORIGIN).events]) == substance(
            events
        )
        compared += len(events)
    assert compared > 500


def test_agreement_on_real_telemetry() -> None:
    scores = corpus_inprocess.scores()
    assert scores["all"]["failure"] == 0
    assert corpus_inprocess.agreement(scores["all"]) >= 99.9
    poor = {name: corpus_inprocess.agreement(score) for name, score in scores.items()}
    assert {name: share for name, share in poor.items() if share < 95} == {}
