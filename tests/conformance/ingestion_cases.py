"""Langfuse's ingestion cases (spec/ingestion.md 8): which judge a file has, and how a case fares before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.conformance import api_cases, enrichment_cases, fold_cases, score_cases
from tests.conformance.ingestion_deviations import excuse, not_judged
from tests.conformance.outcomes import Case, Difference, Judge, NotRunError, Outcome, Verdict


def unjudged(case: Case) -> list[Difference]:
    """The judge of a file that is a deviation as a whole."""
    return [Difference("file", "a deviation for every case", case["id"])]


JUDGES: dict[str, Judge] = {
    "schema_validation": api_cases.schema_validation,
    "environment": api_cases.normalised_environment,
    "process_batch": api_cases.process_batch,
    "sampling": api_cases.sampling,
    "sdk_attribution": api_cases.sdk_attribution,
    "otlp_id_validation": api_cases.otlp_id_validation,
    "merge_trace": fold_cases.merge("trace"),
    "merge_observation": fold_cases.merge("observation"),
    "merge_score": fold_cases.merge("score"),
    "merge_overwrite": fold_cases.merge_overwrite,
    "metadata_record": fold_cases.metadata_roots,
    "metadata_flatten": unjudged,
    "score_inflate": score_cases.score_inflate,
    "model_match_default": enrichment_cases.model_match,
    "pricing_tier_match": enrichment_cases.pricing_tier,
    "usage_cost_calc": enrichment_cases.usage_cost,
    "cost_default_models": enrichment_cases.built_in_cost,
    "tokenization": enrichment_cases.tokenization,
    "tool_extraction": enrichment_cases.tools,
}
"""How the name of a case file begins -> its judge."""


def kind_of(path: Path) -> str | None:
    """The key of `JUDGES` for a case file, whatever follows it in the name; None for other files."""
    return max((kind for kind in JUDGES if path.name.startswith(kind)), key=len, default=None)


def outcome(kind: str, case: Case) -> Outcome:
    """How one case fares. A judge that raises has failed its case, not the run."""
    if reason := not_judged(kind, case):
        return Outcome(case["id"], Verdict.DEVIATION, reason=reason)
    try:
        found = JUDGES[kind](case)
    except NotRunError as error:
        return Outcome(case["id"], Verdict.NOT_RUN, reason=str(error))
    except Exception as error:
        found = [Difference("judging", "an answer", f"{type(error).__name__}: {error}")]
    if not found:
        return Outcome(case["id"], Verdict.PASSED)
    excused = excuse(kind, case, found)
    return Outcome(case["id"], Verdict.DEVIATION if excused else Verdict.FAILED, tuple(found), excused or "")


def outcomes(kind: str, case: Case) -> Iterator[Outcome]:
    """The one outcome a case has."""
    yield outcome(kind, case)
