"""Where the mapping deliberately differs from Langfuse. A deviating fact counts as neither pass nor fail.

Facts recorded from Langfuse's own output may deviate. What Langfuse's tests assert has to hold, but for deviations that say
they mean these too.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, NamedTuple


class Deviation(NamedTuple):
    """Facts that are not ours to meet."""

    cases: str
    """Case ids, shell pattern."""
    field: str
    """First part of the fact's path."""
    reason: str
    asserted: bool = False
    """Whether Langfuse's tests assert it."""


_PROMPTS = "a prompt link is kept on every type that carries one; Langfuse keeps those of generations"

DEVIATIONS: tuple[Deviation, ...] = (
    Deviation("synth-ts-*", "endTime", "0 is proto3's absent, not 1970: the other edge is copied"),
    Deviation("synth-val-*", "metadata", "key-value lists, bytes, unset values and 64-bit integers keep their value"),
    Deviation("synth-tags-form-empty-array", "metadata", "an empty list is shown as Langfuse shows it over protobuf"),
    Deviation("synth-metadata-kv*", "metadata", "a key-value list is a map, not the text of its OTLP encoding"),
    Deviation(
        "synth-name-*", "name", "a trace name past the schema's 1000 characters is cut; Langfuse drops the trace"
    ),
    Deviation("synth-env-internal*", "environment", "no internal callers here: every environment is normalised"),
    Deviation("*environment*lfe-14403*", "environment", "no internal callers here: every environment is normalised"),
    Deviation("synth-version-*", "version", "a number becomes text; Langfuse's schema drops the event"),
    Deviation("synth-version-*", "release", "a number becomes text; Langfuse's schema drops the event"),
    Deviation("synth-status-attr-*", "statusMessage", "a number becomes text; Langfuse's schema drops the event"),
    Deviation("synth-status-error-string-code", "level", "the enum's name is proto3 JSON for its number"),
    Deviation(
        "synth-modelparams-*", "modelParameters", "parameters that are no object fail the schema; the next source"
    ),
    Deviation("synth-cst-number", "completionStartTime", "epoch milliseconds become ISO-8601, which the schema wants"),
    Deviation(
        "synth-cst-naive", "completionStartTime", "a time without zone is UTC; Langfuse's schema drops the event"
    ),
    Deviation("synth-io-prompt-prefix-collision", "input", "gen_ai.prompt_name is no message"),
    Deviation("*prompt-linking-gated-to-generation*", "promptName", _PROMPTS, asserted=True),
    Deviation("*prompt-linking-gated-to-generation*", "promptVersion", _PROMPTS, asserted=True),
    Deviation("*promptname-from-langfuse-prompt-name-on-non-generation*", "promptName", _PROMPTS, asserted=True),
)

FILLED = frozenset(("input", "output", "model", "usageDetails", "costDetails", "statusMessage", "completionStartTime"))
FILLED_REASON = "Langfuse leaves the field empty, a later rule fills it"
REFINED_REASON = "a vocabulary Langfuse has no rule for says what kind of span it is"


def deviation_of(case_id: str, fact: dict[str, Any], got: Any) -> str | None:
    """Why a fact that does not hold need not hold, None when it should. `got` is None for a field left out."""
    recorded = fact["from"] == "oracle"
    field = str(fact["path_parts"][0]) if fact["path_parts"] else ""
    for deviation in DEVIATIONS:
        if (recorded or deviation.asserted) and field == deviation.field and fnmatchcase(case_id, deviation.cases):
            return deviation.reason
    if not recorded:
        return None
    wants_nothing = fact["op"] == "absent" or (fact["op"] == "equals" and fact.get("value") is None)
    if wants_nothing and field in FILLED and got is not None:
        return FILLED_REASON
    if field == "event_type" and fact.get("value") == "span-create" and got is not None:
        return REFINED_REASON
    return None
