"""LiveKit agents (scope `livekit-agents`): the type and level follow from span names."""

from __future__ import annotations

from openfuse_collector.mapping.rule import ContentRule, Rule, TypeRule, Vocabulary, sides
from openfuse_collector.mapping.span_view import SpanView

SCOPE = "livekit-agents"

_TYPES = {"agent_turn": "AGENT", "start_agent_activity": "AGENT", "function_tool": "TOOL"}

DEBUG_SPANS = frozenset(
    (
        "user_speaking",
        "eou_detection",
        "llm_request_run",
        "tts_node",
        "tts_request",
        "tts_request_run",
        "tts_stream_adapter",
        "agent_speaking",
        "drain_agent_activity",
        "on_exit",
        "on_enter",
        "llm_fallback_adapter",
        "tts_fallback_adapter",
        "start_agent_activity",
    )
)
"""Machinery of a voice session, shown at level DEBUG unless it failed."""


def _by_name(span: SpanView) -> str | None:
    return _TYPES.get(span.name)


TYPE: TypeRule = Rule(_by_name, scope=SCOPE)
CONTENT: ContentRule = sides(
    ("lk.input_text", "lk.user_transcript", "lk.chat_ctx"), ("lk.function_tool.output", "lk.response.text")
)

VOCABULARY = Vocabulary(
    content=(
        sides(
            (
                "lk.function_tool.arguments",
                "lk.user_input",
                "lk.pii.input_text",
                "lk.pii.user_transcript",
                "lk.pii.chat_ctx",
                "lk.pii.user_input",
            ),
            ("lk.response.function_calls", "lk.pii.function_tool.output", "lk.pii.response.text"),
        ),
    ),
    consumed=frozenset(
        (
            "lk.input_text",
            "lk.user_transcript",
            "lk.chat_ctx",
            "lk.user_input",
            "lk.function_tool.output",
            "lk.response.text",
        )
    ),
)
