"""Mastra: `mastra.span.type`, and input and output under a key of that type's own (`mastra.agent_run.input`)."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Content, Rule, Vocabulary, by_spelling
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.timestamps import instant

SPAN_TYPE = "mastra.span.type"

_TYPES = {
    "agent_run": "AGENT",
    "model_generation": "GENERATION",
    "llm_generation": "GENERATION",
    "model_inference": "GENERATION",
    "tool_call": "TOOL",
    "mcp_tool_call": "TOOL",
    "processor_run": "CHAIN",
    **dict.fromkeys(("workflow_run", "workflow_step", "workflow_conditional", "workflow_parallel"), "CHAIN"),
    **dict.fromkeys(("workflow_loop", "workflow_conditional_eval"), "CHAIN"),
    "scorer_run": "EVALUATOR",
}


def _content(span: SpanView) -> Content:
    kind = span.attributes[SPAN_TYPE]
    return Content(span.attributes.get(f"mastra.{kind}.input"), span.attributes.get(f"mastra.{kind}.output"))


def _first_token(span: SpanView) -> str | None:
    return instant(span.attributes["mastra.completion_start_time"])


VOCABULARY = Vocabulary(
    types=(by_spelling(SPAN_TYPE, _TYPES),),
    content=(Rule(_content, (SPAN_TYPE,)),),
    first_token=(Rule(_first_token, ("mastra.completion_start_time",)),),
    session=("mastra.metadata.sessionId", "mastra.metadata.threadId", "sessionId"),
    user=("mastra.metadata.userId",),
    tags=("mastra.tags",),
)
