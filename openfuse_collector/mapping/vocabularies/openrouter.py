"""OpenRouter broadcasts: the environment of Langfuse's own evaluators, hidden in a failed request."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.span_view import SpanView

SERVICE = "openrouter"
"""Its `service.name`."""
_EVALUATOR = "langfuse-llm-as-a-judge"


def evaluator_environment(span: SpanView) -> str | None:
    """The environment a failed evaluator request of OpenRouter's was made for, None for its other spans."""
    if span.attributes.get("openrouter.source") != "openrouter":
        return None
    completion = span.json_object("gen_ai.completion")
    if completion.get("completion", 0) is not None:
        return None
    environment: Any = completion
    for key in ("rawRequest", "trace", "environment"):
        environment = environment.get(key) if isinstance(environment, dict) else None
    return _EVALUATOR if environment == _EVALUATOR else None
