"""Pydantic AI and Logfire: message logs in one attribute, agent results, tool arguments."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from openfuse_collector.enrich.log_vocabulary import CHOICE_EVENT
from openfuse_collector.mapping.coercion import truthy
from openfuse_collector.mapping.rule import Content, ContentRule, Rule, Vocabulary, sides
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.vocabularies.gen_ai import INSTRUCTIONS, OPERATION, with_instructions

SCOPE = "pydantic-ai"

LOGFIRE_PROMPT: ContentRule = sides(("prompt",), ("all_messages_events",))
PLAIN: ContentRule = sides(("input",), ("output",))
TOOL: ContentRule = sides(("tool_arguments",), ("tool_response",))


def _events(span: SpanView) -> Content:
    """Attribute `events`: a list of message events, of which the first choice is the answer."""
    items = span.json("events")
    if not isinstance(items, list):
        return Content()
    choices = [item for item in items if _is_choice(item)]
    return Content([item for item in items if not _is_choice(item)], choices[0] if choices else None)


def _is_choice(item: Any) -> bool:
    return isinstance(item, dict) and item.get("event.name") == CHOICE_EVENT


def _agent(span: SpanView) -> Content:
    messages = span.attributes.get("pydantic_ai.all_messages")
    if truthy(messages) and INSTRUCTIONS in span.attributes:
        messages = with_instructions(messages, span.attributes[INSTRUCTIONS])
    return Content(messages, span.attributes.get("final_result"))


EVENTS: ContentRule = Rule(_events, ("events",))
AGENT: ContentRule = Rule(_agent, ("pydantic_ai.all_messages", "final_result"), scope=SCOPE)


def _agent_of_version_0(span: SpanView) -> Content:
    """Before 1.0 an agent run holds its whole log, answers included, which Langfuse shows as output: it begins with the input."""
    log = span.json("all_messages_events")
    if not isinstance(log, list):
        return Content()
    return Content(list(takewhile(lambda item: not _is_answer(item), log)) or None)


def _is_answer(item: Any) -> bool:
    return isinstance(item, dict) and item.get("role") in ("assistant", "tool")


def _repeats(span: SpanView) -> bool:
    """Before 2.0 agent runs have the usage of all their requests, and only requests name an operation."""
    return OPERATION not in span.attributes


def _run(span: SpanView) -> str | None:
    """Before 2.0 neither agent runs nor the rounds of tools in them name an operation."""
    if OPERATION in span.attributes:
        return None
    return "AGENT" if "agent_name" in span.attributes else "CHAIN"


VOCABULARY = Vocabulary(
    types=(Rule(_run, ("agent_name", "tools"), scope=SCOPE),),
    repeats=(Rule(_repeats, scope=SCOPE),),
    content=(
        sides(("request_data",), ("response_data", "response")),
        sides(("raw_input",), ("final_result",)),
        Rule(_agent_of_version_0, ("all_messages_events",)),
    ),
    consumed=frozenset(
        (
            "prompt",
            "all_messages_events",
            "events",
            "input",
            "output",
            "final_result",
            "pydantic_ai.all_messages",
        )
    ),
)
