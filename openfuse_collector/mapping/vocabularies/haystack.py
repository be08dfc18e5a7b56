"""Haystack: components and pipelines, by its own tracer and by Traceloop's instrumentation."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Rule, TypeRule, Vocabulary, if_any, sides
from openfuse_collector.mapping.span_view import SpanView

COMPONENT = "haystack.component.type"

_ENDINGS = (
    ("Generator", "GENERATION"),
    ("Retriever", "RETRIEVER"),
    ("Ranker", "RETRIEVER"),
    ("Embedder", "EMBEDDING"),
    ("ToolInvoker", "TOOL"),
    ("Agent", "AGENT"),
)
"""Haystack names its components by what they do: `OpenAIChatGenerator`, `InMemoryBM25Retriever`."""


def _by_component(span: SpanView) -> str | None:
    component = span.attributes[COMPONENT]
    if not isinstance(component, str):
        return None
    return next((type_ for ending, type_ in _ENDINGS if component.endswith(ending)), "CHAIN")


TYPE: TypeRule = Rule(_by_component, (COMPONENT,))

VOCABULARY = Vocabulary(
    types=(TYPE, if_any(("haystack.pipeline.input_data", "haystack.pipeline.output_data"), "CHAIN")),
    content=(
        sides(("haystack.component.input",), ("haystack.component.output",)),
        sides(("haystack.pipeline.input_data",), ("haystack.pipeline.output_data",)),
    ),
)
