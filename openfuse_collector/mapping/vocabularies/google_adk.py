"""Google's Agent Development Kit 1.x (scope `gcp.vertex.agent`)."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.coercion import number, truthy
from openfuse_collector.mapping.rule import Content, ContentRule, Rule, Vocabulary
from openfuse_collector.mapping.span_view import SpanView

SCOPE = "gcp.vertex.agent"
LLM_REQUEST, LLM_RESPONSE = "gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response"
_TOOL_ARGUMENTS, _TOOL_RESPONSE = "gcp.vertex.agent.tool_call_args", "gcp.vertex.agent.tool_response"


def _content(span: SpanView) -> Content:
    attributes = span.attributes
    return Content(
        _side(attributes, LLM_REQUEST, _TOOL_ARGUMENTS),
        _side(attributes, LLM_RESPONSE, _TOOL_RESPONSE),
    )


def _side(attributes: dict[str, Any], llm: str, tool: str) -> Any:
    """Tool spans carry `{}` where an LLM call would have its request."""
    value = attributes.get(llm)
    return value if truthy(value) and value != "{}" else attributes.get(tool)


CONTENT: ContentRule = Rule(_content, (LLM_REQUEST, LLM_RESPONSE, _TOOL_ARGUMENTS, _TOOL_RESPONSE))


def cached_tokens(span: SpanView) -> int | float:
    """Cached input tokens that only the recorded response mentions, 0 when there are none."""
    usage = span.json_object(LLM_RESPONSE).get("usage_metadata")
    count = usage.get("cached_content_token_count") if isinstance(usage, dict) else None
    known = number(count) if isinstance(count, int | float) and not isinstance(count, bool) else None
    return known if known is not None and known > 0 else 0


VOCABULARY = Vocabulary(
    session=("gcp.vertex.agent.session_id",),
    consumed=frozenset((LLM_REQUEST, LLM_RESPONSE, _TOOL_ARGUMENTS, _TOOL_RESPONSE)),
)
