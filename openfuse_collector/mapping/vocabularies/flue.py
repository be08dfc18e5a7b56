"""Flue (scope `@flue/opentelemetry`): turns, tools, tasks, operations and workflows of coding agents."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Content, ContentRule, Rule, TypeRule, Vocabulary, if_any
from openfuse_collector.mapping.span_view import SpanView

SCOPE = "@flue/opentelemetry"

TOOL: TypeRule = if_any(("flue.tool.name", "flue.tool.call_id"), "TOOL")
TASK: TypeRule = if_any(("flue.task.id", "flue.task.agent"), "AGENT")

_INPUTS = ("flue.turn.input", "flue.tool.arguments", "flue.task.prompt", "flue.workflow.payload")
_OUTPUTS = ("flue.turn.output", "flue.tool.result", "flue.task.result", "flue.operation.result", "flue.workflow.result")


def _content(span: SpanView) -> Content:
    return Content(span.parsed(span.first_set(_INPUTS)), span.parsed(span.first_set(_OUTPUTS)))


CONTENT: ContentRule = Rule(_content, (*_INPUTS, *_OUTPUTS), scope=SCOPE)

VOCABULARY = Vocabulary(consumed=frozenset((*_INPUTS, *_OUTPUTS)))
