"""Judges of enrichment: model names, tiers, cost, token counts, tools."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from math import isclose
from pathlib import Path
from typing import Any

import structlog

from openfuse_collector.enrich import enrichment
from openfuse_collector.enrich.tools import extract_tools
from openfuse_collector.events.columns import DEFAULTS
from openfuse_collector.events.text import parse_json, plain_text
from openfuse_collector.pricing import Catalogue, Model, Tier, price
from openfuse_collector.pricing.entry import ModelEntry
from openfuse_collector.pricing.model import AttributeCondition, Condition, Tokenizer, UsageCondition
from openfuse_collector.pricing.money import attodollars, decimal_dollars
from openfuse_collector.pricing.tiers import tier_for
from openfuse_collector.tokens import TokenCounter, Vocabularies
from tests.conformance.case_files import defined
from tests.conformance.outcomes import Case, Difference, NotRunError, differing

BUILT_IN = Catalogue()
ENRICH = enrichment()
VOCABULARIES = Path(os.environ.get("OPENFUSE_VOCABULARIES") or "vocabularies")
Record = dict[str, Any]


def priced_record(model: str | None, usage: Record, attributes: Record | None = None, **more: Any) -> Record:
    """An observation record, with its usage total, as pricing meets it."""
    attributes = attributes or {}
    maps = {"provided_usage_details": usage, "usage_details": usage, "provided_cost_details": {}, "cost_details": {}}
    empty: Record = {"tool_definitions": {}, "tool_calls": [], "tool_call_names": []}
    stated = {
        "project_id": "p",
        "provided_model_name": model,
        "model_parameters": attributes.get("modelParameters"),
        "metadata": attributes.get("metadata") or {},
    }
    return ENRICH("observation", {**DEFAULTS["observation"], **maps, **empty, **stated, **more})


def model_match(case: Case) -> list[Difference]:
    """A model name finds the recorded built-in model."""
    found = BUILT_IN.match("p", case["model"])
    return differing(model=(case["expected_model"], found.name if found else None))


def pricing_tier(case: Case) -> list[Difference]:
    """Usage and attributes choose the recorded tier."""
    case = defined(case)
    attributes, expected = case["attributes"] or {}, case["expected"]
    stated = {"model_parameters": attributes.get("modelParameters"), "metadata": attributes.get("metadata")}
    chosen = tier_for(_model(case["tiers"]), case["usage"], stated)
    prices = {key: float(decimal_dollars(of)) for key, of in chosen.prices.items()}
    return differing(tier=(expected["tier_name"], chosen.name), prices=(expected["prices"], prices))


def usage_cost(case: Case) -> list[Difference]:
    """Cost by given prices, or as provided."""
    case = defined(case)
    prices = {key: repr(value) for key, value in case["prices"].items()}
    models = [ModelEntry("m", "^m$", prices, per="unit").model()] if prices else []
    record = priced_record("m", case["usage_in"], provided_cost_details=case["provided_cost"] or {})
    priced = price(record, Catalogue(models))
    return [
        *_costs(case, priced),
        *_differing_cost("input_cost", case["expected_cost"].get("input"), priced["input_cost"]),
    ]


def built_in_cost(case: Case) -> list[Difference]:
    """Usage, tier and cost of a built-in model."""
    case = defined(case)
    priced = price(priced_record(case["model"], case["usage_in"], case["attributes"]), BUILT_IN)
    found = differing(
        usage=(case["expected_usage"], priced["usage_details"]),
        tier=(case["expected_tier"], priced["usage_pricing_tier_name"]),
    )
    return [*found, *_costs(case, priced)]


def _costs(case: Case, priced: Record) -> list[Difference]:
    want, got = case["expected_cost"], priced["cost_details"]
    if want.keys() != got.keys():
        return [Difference("cost", want, got)]
    found = [difference for key in want for difference in _differing_cost(f"cost.{key}", want[key], got[key])]
    return [*found, *_differing_cost("total_cost", case["expected_total_cost"], priced["total_cost"])]


def _differing_cost(what: str, want: float | None, got: float | None) -> list[Difference]:
    """Sums were made of floats there, of exact amounts here; columns hold 12 places."""
    if want is None or got is None:
        return differing(**{what: (want, got)})
    return [] if isclose(want, got, rel_tol=1e-9, abs_tol=1e-12) else [Difference(what, want, got)]


def _model(facts: list[Record]) -> Model:
    ordered = sorted(facts, key=lambda tier: tier["priority"])
    tiers = [Tier(str(t["priority"]), t["name"], _prices(t), tuple(map(_condition, t["conditions"]))) for t in ordered]
    default = next(tier for tier, fact in zip(tiers, ordered, strict=True) if fact["is_default"])
    return Model("m", "m", "^m$", default, tuple(tier for tier in tiers if tier is not default))


def _prices(tier: Record) -> dict[str, int]:
    return {key: attodollars(repr(value)) for key, value in tier["prices"].items()}


def _condition(facts: Record) -> Condition:
    if "source" in facts:
        return AttributeCondition(facts["source"], facts["key"], tuple(facts["values"]))
    return UsageCondition(facts["usageDetailPattern"], facts["operator"], facts["value"], facts["caseSensitive"])


def tokenizer(model: str) -> Tokenizer | None:
    """The tokenizer the price table names for a model."""
    found = BUILT_IN.match("p", model)
    return None if found is None else found.tokenizer


def tokenizer_choice(case: Case) -> list[Difference]:
    """The price table names the recorded tokenizer."""
    recorded = case["tokenizer_config"] or {}
    hints = (recorded.get("tokenizerModel"), recorded.get("tokensPerMessage"), recorded.get("tokensPerName"))
    expected = Tokenizer(case["tokenizer_id"], *hints) if case["tokenizer_id"] else None
    return differing(tokenizer=(expected, tokenizer(case["model"])))


@cache
def token_counter() -> TokenCounter:
    """Counts with the vocabularies in $OPENFUSE_VOCABULARIES. Raises NotRunError where one of the three is missing."""
    vocabularies = Vocabularies([VOCABULARIES], structlog.get_logger())
    missing = {"cl100k_base", "o200k_base", "claude"} - set(vocabularies.found)
    if missing:
        raise NotRunError(f"no vocabulary {', '.join(sorted(missing))} in {VOCABULARIES}: set OPENFUSE_VOCABULARIES")
    return TokenCounter(vocabularies, max_characters=1_000_000, cache_size=1 << 20)


def tokenization(case: Case) -> list[Difference]:
    """The recorded tokenizer counts the recorded number of tokens, of a value and of its JSON text alike."""
    case = defined(case)
    found = tokenizer_choice(case)
    hints, text = tokenizer(case["model"]), case.get("text")
    if found or hints is None:
        return found or differing(count=(case["expected"], None))
    found = differing(count=(case["expected"], token_counter().count(hints, text)))
    if isinstance(text, list | dict) and text:
        sent = token_counter().count(hints, json.dumps(text, separators=(",", ":")))
        found += differing(count_of_text=(case["expected"], sent))
    return found


def tools_record(input_: Any = None, output: Any = None, metadata: Record | None = None) -> Record:
    """The columns of an observation record that tools reads and writes."""
    texts = {"input": input_, "output": output}
    columns = {side: None if value is None else plain_text(value) for side, value in texts.items()}
    return {**columns, "metadata": metadata or {}, "tool_definitions": {}, "tool_calls": [], "tool_call_names": []}


def tools(case: Case) -> list[Difference]:
    """The tools Langfuse finds, by the function the case was recorded from."""
    case = defined(case)
    given, judge = TOOL_FUNCTIONS[case["fn"]]
    return judge(extract_tools(tools_record(*given(case["args"]))), case["expected"])


def _normalised(found: Record, expected: Record) -> list[Difference]:
    return differing(
        input=(_stored(expected.get("input")), _parsed(found["input"])),
        output=(_stored(expected.get("output")), _parsed(found["output"])),
        metadata=(expected["metadata"], found["metadata"]),
        tool_definitions=(expected["toolDefinitions"], found["tool_definitions"]),
        tool_calls=(expected["toolCalls"], found["tool_calls"]),
        tool_call_names=(expected["toolCallNames"], found["tool_call_names"]),
    )


def _extracted(found: Record, expected: Record) -> list[Difference]:
    definitions = {
        d["name"]: {"description": d.get("description", ""), "parameters": d.get("parameters", "")}
        for d in expected["toolDefinitions"]
    }
    calls = [
        {"id": c["id"], "arguments": c["arguments"], "type": c.get("type", ""), "index": c.get("index", 0)}
        for c in expected["toolArguments"]
    ]
    ours = {name: json.loads(text) for name, text in found["tool_definitions"].items()}
    return differing(
        tool_definitions=(definitions, ours),
        tool_calls=(calls, [json.loads(text) for text in found["tool_calls"]]),
        tool_call_names=([c["name"] for c in expected["toolArguments"]], found["tool_call_names"]),
    )


def _definitions(found: Record, expected: Record) -> list[Difference]:
    return differing(tool_definitions=(expected, found["tool_definitions"]))


def _calls(found: Record, expected: Record) -> list[Difference]:
    return differing(**{column: (expected[column], found[column]) for column in ("tool_calls", "tool_call_names")})


def _as_sent(args: list[Any]) -> list[Any]:
    return args


def _as_definitions(args: list[Any]) -> list[Any]:
    return [{"tools": [{**definition, **_parameters(definition)} for definition in args[0]]}]


def _parameters(definition: Record) -> Record:
    """Parameters as they were before the extraction made text of them."""
    return {"parameters": json.loads(definition["parameters"])} if definition.get("parameters") else {}


def _as_calls(args: list[Any]) -> list[Any]:
    return [None, {"tool_calls": args[0]}]


TOOL_FUNCTIONS: dict[str, tuple[Callable[[list[Any]], list[Any]], Callable[[Record, Record], list[Difference]]]] = {
    "normalizeToolsForObservation": (_as_sent, _normalised),
    "extractToolsFromObservation": (_as_sent, _extracted),
    "convertDefinitionsToMap": (_as_definitions, _definitions),
    "convertCallsToArrays": (_as_calls, _calls),
}
"""Function of Langfuse -> what an observation has to be for its arguments (input, output, metadata), and what is compared.

The conversions are steps of the extraction here: their arguments are put where the extraction finds them.
"""


def _stored(value: Any) -> Any:
    """A value after it was a column's text."""
    return None if value is None else _parsed(plain_text(value))


def _parsed(text: str | None) -> Any:
    try:
        return None if text is None else parse_json(text)
    except ValueError:
        return text
