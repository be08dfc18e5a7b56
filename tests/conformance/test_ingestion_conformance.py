"""Langfuse's ingestion cases, where the shared data is at hand; and that the runner tells a pass from a fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import corpus_inprocess, ingestion_cases, run
from tests.conformance.case_files import defined, read_cases
from tests.conformance.ingestion_deviations import DEVIATIONS, excuse, not_judged
from tests.conformance.outcomes import Difference, Verdict

CASES = corpus_inprocess.SHARED / "conformance" / "ingestion"

needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"NO CONFORMANCE DATA at {CASES}: set OPENFUSE_SHARED")


@pytest.mark.shared
@needs_cases
@pytest.mark.parametrize("kind", ingestion_cases.JUDGES)
def test_every_case_holds_or_is_a_listed_deviation(kind: str) -> None:
    results = run.run_file(CASES / f"{kind}.jsonl")
    assert results
    assert [result for result in results if result.verdict is Verdict.FAILED] == []


@pytest.mark.shared
@needs_cases
def test_every_deviation_is_used() -> None:
    used = set()
    for kind in ingestion_cases.JUDGES:
        cases = read_cases(CASES / f"{kind}.jsonl")
        reasons = {result.reason for case in cases for result in ingestion_cases.outcomes(kind, case)}
        used |= {(kind, reason) for reason in reasons}
    unused = {(d.file, d.reason) for d in DEVIATIONS} - used
    # Here Langfuse's answer for a score with a stored record does not depend on the record.
    assert {file for file, _ in unused} <= {"merge_score"}


@pytest.mark.shared
@needs_cases
def test_there_is_a_judge_for_every_file() -> None:
    assert {ingestion_cases.kind_of(path) for path in CASES.glob("*.jsonl")} == set(ingestion_cases.JUDGES)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("merge_trace.jsonl", "merge_trace"),
        ("merge_trace.more.jsonl", "merge_trace"),
        ("metadata_record_2.jsonl", "metadata_record"),
        ("otlp_id_validation.jsonl", "otlp_id_validation"),
        ("otelMapping.jsonl", None),
    ],
)
def test_the_name_of_a_file_says_what_is_in_it(name: str, kind: str | None) -> None:
    assert ingestion_cases.kind_of(Path(name)) == kind


FAILING: dict[str, dict[str, Any]] = {
    "schema_validation": {
        "internal": False,
        "valid": False,
        "issues": [],
        "event": {"id": "e", "timestamp": "2026-01-15T12:00:00Z", "type": "trace-create", "body": {"id": "t"}},
    },
    "environment": {"input": "Prod", "internal": False, "expected": "Prod"},
    "process_batch": {
        "access_level": "project",
        "batch": [],
        "expected_response": {"successes": [{"id": "e", "status": 201}], "errors": []},
        "expected_uploads": [],
    },
    "sampling": {"rate": 1.0, "event": {"type": "trace-create", "body": {"id": "t"}}, "expected": {"isSampled": False}},
    "sdk_attribution": {"headers": {}, "expected": {"ingestionSdkName": "python", "ingestionSdkVersion": "unknown"}},
    "otlp_id_validation": {
        "resource_spans": [],
        "expected": {"totalSpanCount": 1, "invalidSpanCount": 0, "malformedCollectionCount": 0},
    },
    "merge_trace": {
        "project_id": "p",
        "entity_id": "t",
        "events": [{"id": "e", "type": "trace-create", "timestamp": "2026-01-15T12:00:00Z", "body": {"id": "t"}}],
        "expected": {"trace": {"id": "t", "name": "n"}},
    },
    "merge_overwrite": {"a": {"name": "a"}, "b": {"name": "b"}, "expected": {"name": "a", "metadata": {}}},
    "metadata_record": {"input": 5, "expected_record": {"metadata": "6"}, "expected_stored": {"metadata": "5"}},
    "score_inflate": {
        "project_id": "p",
        "body": {"name": "n", "traceId": "t", "value": 1},
        "expected": {"score": {"value": 2}},
    },
    "model_match_default": {"model": "gpt-4o", "expected_model": "gpt-5"},
    "pricing_tier_match": {
        "attributes": None,
        "usage": {"input": 1},
        "tiers": [{"name": "S", "is_default": True, "priority": 0, "conditions": [], "prices": {"input": 1.0}}],
        "expected": {"tier_name": "S", "prices": {"input": 2.0}},
    },
    "usage_cost_calc": {
        "prices": {"input": 1.0},
        "usage_in": {"input": 1},
        "provided_cost": {},
        "expected_cost": {"input": 1.01},
        "expected_total_cost": 1.0,
    },
    "cost_default_models": {
        "model": "gpt-4o",
        "usage_in": {"input": 1000},
        "attributes": None,
        "expected_usage": {"input": 1000, "total": 1000},
        "expected_tier": "Standard",
        "expected_cost": {"input": 0.0026, "total": 0.0026},
        "expected_total_cost": 0.0026,
    },
    "tokenization": {"model": "no-such-model", "tokenizer_id": "openai", "tokenizer_config": None, "expected": None},
    "tool_extraction": {
        "fn": "convertCallsToArrays",
        "args": [[{"id": "c", "name": "f", "arguments": "{}"}]],
        "expected": {"tool_calls": [], "tool_call_names": []},
    },
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_wrong_expectation_fails_and_says_where(kind: str) -> None:
    [outcome] = ingestion_cases.outcomes(kind, {"id": "wrong", **FAILING[kind]})
    assert outcome.verdict is Verdict.FAILED
    assert outcome.differences and all(difference.what != "judging" for difference in outcome.differences)


@pytest.mark.parametrize("kind", FAILING)
def test_a_case_that_cannot_be_read_fails_alone(kind: str) -> None:
    [outcome] = ingestion_cases.outcomes(kind, {"id": "odd", **dict.fromkeys(FAILING[kind], 5), "internal": False})
    assert outcome.verdict is Verdict.FAILED


def test_a_deviation_excuses_its_own_fields_only() -> None:
    events = [{"body": {"public": True}}, {"body": {}}]
    case = {"events": events, "existing": None}
    public, name = Difference("public", False, True), Difference("name", "a", "b")
    assert excuse("merge_trace", case, [public]) is not None
    assert excuse("merge_trace", case, [public, name]) is None
    assert excuse("merge_observation", case, [public]) is None
    assert not_judged("merge_trace", case) is None


def test_undefined_is_left_out() -> None:
    undefined = "__undefined__"
    assert defined({"a": undefined, "b": [undefined, {"c": undefined}]}) == {"b": [None, {}]}


def test_the_summary_of_a_file_and_the_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "environment.good.jsonl", tmp_path / "environment_bad.jsonl"
    internal = {"id": "c", "input": "x", "internal": True, "expected": "y"}
    passing = {"id": "a", "input": "Prod", "internal": False, "expected": "prod"}
    good.write_text("".join(json.dumps(case) + "\n" for case in (passing, internal)))
    assert run.main(["--deviations", str(good)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "environment.good.jsonl: 1 passed, 0 failed, 1 deviations"
    bad.write_text(json.dumps({"id": "b", **FAILING["environment"]}) + "\n")
    assert run.main(["--show", str(bad)]) == 1
    shown = capsys.readouterr().out
    assert "environment_bad.jsonl: 0 passed, 1 failed, 0 deviations" in shown
    assert 'want "Prod"' in shown and 'got  "prod"' in shown


def test_a_file_of_no_known_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strange = tmp_path / "shard_index.jsonl"
    strange.write_text('{"id": "a", "expected": 3}\n')
    with pytest.raises(SystemExit):
        run.main([str(strange)])
    assert "no runner for cases of this kind" in capsys.readouterr().err
