"""The ingestion benchmark's load is what its README says, and its verdicts are right."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from benchmarks.agent_traces import Load
from benchmarks.ingestion import complaint
from benchmarks.ingestion_load import expected_rows, is_complete, outcome_of
from benchmarks.ingestion_traces import requests
from openfuse_collector.cli.transport import Fate
from openfuse_collector.receivers.langfuse.ingestion import accept
from openfuse_collector.receivers.langfuse.schemas.bodies import ENTITY_OF


def events_of(load: Load) -> list[dict[str, Any]]:
    batch: list[dict[str, Any]] = json.loads(load.body)["batch"]
    return batch


@pytest.mark.parametrize("batch", [1, 15, 100, 10_000])
def test_batches_are_full_and_hold_a_trace_a_span_a_generation_and_a_score_and_a_third(batch: int) -> None:
    loads = list(requests(300, batch, seed=7))
    sizes = [len(events_of(load)) for load in loads]
    assert set(sizes[:-1]) <= {batch} and 0 < sizes[-1] <= batch
    assert sum(load.spans for load in loads) == 300
    events = [event for load in loads for event in events_of(load)]
    assert Counter(event["type"] for event in events) == {
        "trace-create": 300,
        "span-create": 300,
        "generation-create": 300,
        "score-create": 400,
    }
    assert len({event["body"]["id"] for event in events}) == len({event["id"] for event in events}) == 1300


@pytest.mark.parametrize("traces", [1, 2, 3, 4, 300])
def test_the_rows_waited_for_are_the_rows_that_are_sent(traces: int) -> None:
    events = [event for load in requests(traces, 15, seed=1) for event in events_of(load)]
    sent = Counter(f"{ENTITY_OF[event['type']]}s" for event in events)
    assert dict(sent) == expected_rows(traces)


def test_every_event_is_accepted() -> None:
    for load in requests(50, 15, seed=3):
        assert accept(events_of(load), "p", 1).response["errors"] == []


def test_a_body_counts_the_traces_that_end_in_it() -> None:
    assert [load.spans for load in requests(2, 3, seed=1)] == [0, 1, 1]  # five events, then four


def test_bodies_are_a_function_of_the_seed() -> None:
    first, again, other = ([load.body for load in requests(5, 15, seed)] for seed in (3, 3, 4))
    assert first == again and not set(first) & set(other)


REFUSED = {"successes": [], "errors": [{"id": "e", "status": 400}]}


@pytest.mark.parametrize(
    ("status", "answer", "fate"),
    [
        (207, {"successes": [], "errors": []}, Fate.TAKEN),
        (207, REFUSED, Fate.REFUSED),
        (400, {"message": "Invalid request data"}, Fate.REFUSED),
        (401, {}, Fate.REFUSED),
        (429, {}, Fate.RETRY),
        (503, {}, Fate.RETRY),
    ],
)
def test_only_an_answer_without_errors_counts_as_taken(status: int, answer: dict[str, Any], fate: Fate) -> None:
    assert outcome_of(status, json.dumps(answer).encode()).fate is fate


GOOD = {"traces": 3, "acked": 3, "stored_traces": 3, "stored_observations": 6, "stored_scores": 4}


@pytest.mark.parametrize(
    ("changes", "complete"),
    [
        ({}, True),
        ({"acked": 2}, False),
        ({"stored_traces": 2}, False),
        ({"stored_observations": 5}, False),
        ({"stored_scores": 5}, False),
    ],
)
def test_a_run_is_complete_only_with_every_row_once(changes: dict[str, int], complete: bool) -> None:
    out = {**GOOD, "stored_traces_per_s": 2000, **changes}
    assert is_complete(out) == complete
    assert (complaint(out, bar=1500) is None) == complete


def test_without_a_store_acknowledgements_decide() -> None:
    assert is_complete({"traces": 3, "acked": 3}) and not is_complete({"traces": 3, "acked": 2})


def test_a_slow_run_is_complained_about() -> None:
    said = complaint({**GOOD, "stored_traces_per_s": 1499}, bar=1500)
    assert said is not None and "1499" in said
