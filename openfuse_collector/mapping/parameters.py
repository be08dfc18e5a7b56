"""Model, model parameters and prompt link."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping import rules
from openfuse_collector.mapping.coercion import scalar, text, truthy, whole_number
from openfuse_collector.mapping.rule import first_answer
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.vocabularies import genkit, langfuse

REQUEST_PREFIXES = ("gen_ai.request.", "llm.invocation_parameters.")
_LARGEST_VERSION = 2**31 - 1

Parameters = dict[str, Any]


def model_of(span: SpanView) -> str | None:
    """The model a span used, as the provider or the application names it."""
    model = span.first_truthy(span.shape.model)
    if model is None and span.attributes.get(genkit.SUBTYPE) == "model":
        model = span.attributes.get(genkit.NAME)
    if model is None or not truthy(model):
        model = span.first_truthy(span.shape.more_model)
    if model is None:
        model = first_answer(span, span.shape.model_rules)
    return None if model is None else text(model)


def parameters_of(span: SpanView) -> Parameters:
    """Model parameters: strings, numbers or JSON text by name, empty when there are none."""
    found = first_answer(span, span.shape.parameters)
    if found is not None:
        return found
    single = {name: scalar(span.attributes[key]) for key, name in span.shape.request}
    return single or first_answer(span, span.shape.more_parameters) or {}


def request_keys(keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Attribute keys that each hold one request parameter, with the parameter's name."""
    named = ((key, key[len(prefix) :]) for prefix in REQUEST_PREFIXES for key in keys if key.startswith(prefix))
    return tuple((key, name) for key, name in named if name != "model")


def prompt_of(span: SpanView) -> tuple[str | None, int | None]:
    """Name and version of the prompt a span was made with."""
    link = langfuse.prompt_link(span)
    name, version = span.first_set(rules.PROMPT_NAME), span.first_set(rules.PROMPT_VERSION)
    name = link.get("name") if name is None else name
    version = link.get("version") if version is None else version
    return (None if name is None else text(name)), (None if version is None else _version(span, version))


def _version(span: SpanView, written: Any) -> int | None:
    number = whole_number(written)
    if number is not None and number <= _LARGEST_VERSION and str(number) == text(written).strip():
        return number
    span.note("langfuse.observation.prompt.version", "not a version number")
    return None
