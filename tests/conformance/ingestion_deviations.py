"""Where we deliberately differ from Langfuse's recorded ingestion cases, and what of them describes things we do not have.

What a deviation is known by is its substance, never a case's number: cases that are not at hand here are covered as well.
Numbers of sections are those of spec/ingestion.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from tests.conformance.outcomes import Case, Difference


class Deviation(NamedTuple):
    """Cases of one file that need not hold."""

    file: str
    reason: str
    applies: Callable[[Case], bool]
    fields: frozenset[str] | None = None
    """Only these may differ; None: the case is about something we do not have, and is not judged at all."""


def named(*names: str) -> frozenset[str]:
    """What may differ."""
    return frozenset(names)


def every(case: Case) -> bool:
    """All cases of a file."""
    return True


def lacks(key: str) -> Callable[[Case], bool]:
    """Cases without that key are of another kind."""
    return lambda case: key not in case


def internal(case: Case) -> bool:
    """Calls Langfuse's own worker makes."""
    return bool(case["internal"])


def is_classification(case: Case) -> bool:
    """Cases of how old an SDK is."""
    return "expected_class" in case


def has_stored_record(case: Case) -> bool:
    """The case starts from a record whose events it does not hold."""
    return bool(case.get("existing"))


def resets_public(case: Case) -> bool:
    """An event says `public`, another is silent."""
    stated = {"public" in event["body"] for event in case["events"]}
    return stated == {True, False}


def creates_at_once(case: Case) -> bool:
    """Two creates carry one timestamp."""
    times = [event["timestamp"] for event in case["events"] if not event["type"].endswith("-update")]
    return len(set(times)) < len(times)


def is_mocked(case: Case) -> bool:
    """The recorded test replaced score validation by a failure of its own."""
    failing = re.search(r"score validation drop metric|unexpected score errors", case["source_test"])
    return failing is not None and case["expected"] is None


def repeats_an_event_id(case: Case) -> bool:
    """Two different events carry one envelope id."""
    return len({event["id"] for event in case["events"]}) < len(case["events"])


def has_unknown_prompt(case: Case) -> bool:
    """A prompt is named that no prompt store has."""
    return not case.get("prompts") and any(event["body"].get("promptName") for event in case["events"])


def is_dropped(case: Case) -> bool:
    """Langfuse answers 201 and throws the score away when it looks at it later."""
    return "error" in case


_OTLP_ID = {"traceId": re.compile(r"[0-9a-fA-F]{32}"), "spanId": re.compile(r"[0-9a-fA-F]{16}")}


def has_text_for_an_id(case: Case) -> bool:
    """An id is text that is not the hexadecimal OTLP/JSON asks for."""
    spans = [
        span
        for resource in case["resource_spans"]
        for scope in resource.get("scopeSpans", ())
        for span in scope.get("spans", ())
    ]
    return any(
        isinstance(span.get(key), str) and not form.fullmatch(span[key])
        for span in spans
        for key, form in _OTLP_ID.items()
    )


DEVIATIONS = (
    Deviation("environment", "no internal callers here: every environment is normalised (1.1.4)", internal),
    Deviation("schema_validation", "no internal callers here: dataset run items are Langfuse's own (1.1.2)", internal),
    Deviation(
        "process_batch", "queues and blobs of Langfuse's worker; a journal has neither (4)", lacks("expected_response")
    ),
    Deviation(
        "sdk_attribution", "how old an SDK is, is a figure of Langfuse's own; we keep what was sent", is_classification
    ),
    Deviation("metadata_flatten", "dotted names of the v4 events table, which we do not write (5.3)", every),
    Deviation(
        "otlp_id_validation",
        "an id that is no OTLP id costs its span, whatever text Langfuse takes for one (OTLP: 16 and 8 bytes)",
        has_text_for_an_id,
        named("spans"),
    ),
    Deviation(
        "merge_trace",
        "folds a stored record first; we fold the whole history, which is not in the case",
        has_stored_record,
    ),
    Deviation("merge_observation", "folds a stored record first; the history is not in the case", has_stored_record),
    Deviation("merge_score", "folds a stored record first; the history is not in the case", has_stored_record),
    Deviation(
        "merge_trace",
        "silence about `public` is no statement and keeps it; Langfuse resets it (0.4)",
        resets_public,
        named("public"),
    ),
    Deviation(
        "merge_trace",
        "creates of one timestamp run in the order of arrival, Langfuse's backwards (0.10)",
        creates_at_once,
        named("name"),
    ),
    Deviation(
        "merge_observation",
        "name and version of a prompt no store knows are kept; Langfuse drops them (2.4)",
        has_unknown_prompt,
        named("prompt_name", "prompt_version"),
    ),
    Deviation(
        "merge_score", "the recorded test injects the failure of a validation that passes", is_mocked, named("row")
    ),
    Deviation(
        "merge_score",
        "two events with one envelope id: the second is a copy of the first, whatever it says (7.1)",
        repeats_an_event_id,
        named("row"),
    ),
    Deviation(
        "score_inflate",
        "a score was acknowledged and is kept as it was sent; Langfuse answers 201 and then drops it (2.5)",
        is_dropped,
        named("row"),
    ),
)


def not_judged(file: str, case: Case) -> str | None:
    """Why a case is not about anything we have, None when it is."""
    return next((d.reason for d in DEVIATIONS if d.fields is None and d.file == file and d.applies(case)), None)


def excuse(file: str, case: Case, differences: list[Difference]) -> str | None:
    """Why these differences are meant, None when one of them is not."""
    what = {difference.what for difference in differences}
    return next(
        (d.reason for d in DEVIATIONS if d.file == file and d.fields and what <= d.fields and d.applies(case)), None
    )
