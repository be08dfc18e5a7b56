"""OpenTelemetry's GenAI semantic conventions: messages in attributes or span events, operations, tools, retrieval."""

from __future__ import annotations

from typing import Any

from openfuse_collector.enrich.log_vocabulary import CHOICE_EVENT, DETAILS_EVENT, MESSAGE_EVENTS
from openfuse_collector.mapping.coercion import json_text, number, parse_json, parsed, spelled, truthy
from openfuse_collector.mapping.room import Room
from openfuse_collector.mapping.rule import (
    Content,
    ContentRule,
    MapRule,
    Rule,
    TypeRule,
    Vocabulary,
    by_spelling,
    by_value,
    if_any,
    sides,
)
from openfuse_collector.mapping.span_view import SpanEvent, SpanView
from openfuse_collector.mapping.timestamps import after
from openfuse_collector.mapping.unflatten import unflatten

OPERATION = "gen_ai.operation.name"
INPUT_MESSAGES, OUTPUT_MESSAGES = "gen_ai.input.messages", "gen_ai.output.messages"
INSTRUCTIONS = "gen_ai.system_instructions"
TOOL_ARGUMENTS, TOOL_RESULT = "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"

AGENT_OPERATIONS = ("invoke_agent", "agent_step")
"""Their usage is the sum of the chat spans below, so Langfuse leaves model, usage and cost out."""

_SUMMING_OPERATIONS = ("invoke_workflow", "invoke_graph", "invoke_swarm", "execute_event_loop_cycle")
"""OpenLIT (Agno, LangGraph) and Strands write the usage of all calls of a workflow on these. Langfuse keeps it."""

_OPERATIONS = {
    **dict.fromkeys(("chat", "completion", "text_completion", "generate_content", "generate"), "GENERATION"),
    "embeddings": "EMBEDDING",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "execute_tool": "TOOL",
}

_MORE_OPERATIONS = {
    **_OPERATIONS,
    **dict.fromkeys(("chat.completions", "chat_completion", "responses"), "GENERATION"),
    **dict.fromkeys(("embedding", "embed"), "EMBEDDING"),
    **dict.fromkeys(("evaluate", "evaluation"), "EVALUATOR"),
    **dict.fromkeys(
        ("rerank", "retrieval", "retrieve", "vectordb", "vector_db_retrieve", "search_memory"), "RETRIEVER"
    ),
    **dict.fromkeys(("agent", "agent_step", "agent.run", "invoke_swarm", "invoke_graph"), "AGENT"),
    **dict.fromkeys(("tool.execute", "tool"), "TOOL"),
    **dict.fromkeys(("invoke_workflow", "workflow", "execute_task", "chain", "parser"), "CHAIN"),
}
"""Operation names outside the conventions, by the libraries that write them; any case."""

OPERATION_TYPE: TypeRule = by_value(OPERATION, _OPERATIONS)
TOOL_TYPE: TypeRule = if_any(("gen_ai.tool.name", "gen_ai.tool.call.id"), "TOOL")


def messages_of(attributes: dict[str, Any]) -> Content | None:
    """Input and output messages, system instructions first; else a tool's arguments and result; None without either."""
    asked, answered = attributes.get(INPUT_MESSAGES), attributes.get(OUTPUT_MESSAGES)
    if truthy(asked) or truthy(answered):
        if truthy(asked) and INSTRUCTIONS in attributes:
            asked = with_instructions(asked, attributes[INSTRUCTIONS])
        return Content(asked, answered)
    arguments, result = attributes.get(TOOL_ARGUMENTS), attributes.get(TOOL_RESULT)
    return Content(arguments, result) if truthy(arguments) or truthy(result) else None


def with_instructions(messages: Any, instructions: Any) -> Any:
    """Messages with the system instructions as a first system message, unless they have one; text stays text."""
    items = parse_json(messages)
    if not isinstance(items, list) or not truthy(instructions) or any(_role(item) == "system" for item in items):
        return messages
    opened = [{"role": "system", "content": _instruction_text(parsed(instructions))}, *items]
    return json_text(opened) if isinstance(messages, str) else opened


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _instruction_text(instructions: Any) -> str:
    if not isinstance(instructions, list):
        return spelled(instructions)
    return "\n".join(
        spelled(item["content"] if isinstance(item, dict) and "content" in item else item) for item in instructions
    )


def _messages(span: SpanView) -> Content | None:
    return messages_of(span.attributes)


def _tool_call(span: SpanView) -> Content:
    return Content(span.attributes.get(TOOL_ARGUMENTS), span.attributes.get(TOOL_RESULT))


def _event_details(span: SpanView) -> Content:
    """Each side from the first event that has it: Strands writes one for the instructions, the input and the output each."""
    asked = answered = None
    for event in span.events:
        found = messages_of(event.attributes) if event.name == DETAILS_EVENT else None
        if found is not None:
            asked = found.input if asked is None else asked
            answered = found.output if answered is None else answered
    return Content(asked, answered)


def _event_messages(span: SpanView) -> Content | None:
    """The older conventions: one span event per message, `gen_ai.choice` for answers."""
    asked = [
        {"role": MESSAGE_EVENTS[event.name], **event.attributes}
        for event in span.events
        if event.name in MESSAGE_EVENTS
    ]
    answers = [event.attributes for event in span.events if event.name == CHOICE_EVENT]
    return Content(asked or None, _one_or_all(answers))


def _one_or_all(answers: list[dict[str, Any]]) -> Any:
    return answers[0] if len(answers) == 1 else answers or None


def _prompt_events(span: SpanView) -> Content | None:
    """The oldest: events `gen_ai.content.prompt` and `.completion` (Semantic Kernel, OpenLIT)."""
    asked, answered = _first(span.events, "gen_ai.content.prompt"), _first(span.events, "gen_ai.content.completion")
    if asked is None and answered is None:
        return None
    room = span.surroundings.room
    return Content(_side_of_event(asked, "gen_ai.prompt", room), _side_of_event(answered, "gen_ai.completion", room))


def _first(events: tuple[SpanEvent, ...], name: str) -> dict[str, Any] | None:
    return next((event.attributes for event in events if event.name == name), None)


def _side_of_event(attributes: dict[str, Any] | None, prefix: str, room: Room) -> Any:
    """What an event says below a prefix, all of its attributes when it says nothing there, `{}` when there is no event."""
    if not attributes:
        return {}
    return unflatten(attributes, prefix, room) or attributes


MESSAGES: ContentRule = Rule(_messages, (INPUT_MESSAGES, OUTPUT_MESSAGES, TOOL_ARGUMENTS, TOOL_RESULT))
EVENT_DETAILS: ContentRule = Rule(_event_details, events=True)
EVENT_MESSAGES: ContentRule = Rule(_event_messages, events=True)
PROMPT_EVENTS: ContentRule = Rule(_prompt_events, events=True)


def _instructions_alone(span: SpanView) -> Content | None:
    """Instructions of a span whose messages were not recorded. Where tools were, Langfuse shows those alone."""
    if span.shape.tool_definitions:
        return None
    written = parsed(span.attributes[INSTRUCTIONS])
    return Content([{"role": "system", "content": _instruction_text(written)}] if truthy(written) else None)


def _cost(span: SpanView) -> dict[str, Any] | None:
    cost = span.attributes["gen_ai.usage.cost"]
    return None if cost is None or cost == "" else {"total": cost}


COST: MapRule = Rule(_cost, ("gen_ai.usage.cost",))

_COST_PARTS = {
    "gen_ai.cost.input": "input",
    "gen_ai.cost.output": "output",
    "gen_ai.cost.total": "total",
    "gen_ai.cost.input_cost": "input",
    "gen_ai.cost.output_cost": "output",
    "gen_ai.cost.total_cost": "total",
}
"""Those that end in `_cost` are LiteLLM's."""
_WHOLE_COST = ("operation.cost", "llm.response.cost")
"""Pydantic AI and Logfire; LiteLLM."""


def _cost_parts(span: SpanView) -> dict[str, Any] | None:
    return {part: span.attributes[key] for key, part in _COST_PARTS.items() if key in span.attributes} or None


def _whole_cost(span: SpanView) -> dict[str, Any] | None:
    cost = span.first_set(_WHOLE_COST)
    return None if cost is None else {"total": cost}


_FIRST_TOKEN = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.server.time_to_first_token",
    "metrics.ttfb",
)
"""The conventions, for streams and (Pydantic AI, Vercel AI SDK 7) for clients; OpenLIT; Pipecat."""


def _seconds_to_first_token(span: SpanView) -> str | None:
    """Seconds by the conventions; Strands writes milliseconds, told apart because no token comes after the end."""
    written = span.first_truthy(_FIRST_TOKEN)
    wait = number(written)
    if wait is None:
        return None
    lasted = (span.end - span.start) / 1e9
    return after(span.start, wait if wait > lasted else wait * 1000)


def _repeats(span: SpanView) -> bool:
    return span.attributes[OPERATION] in _SUMMING_OPERATIONS


VOCABULARY = Vocabulary(
    types=(
        by_spelling(OPERATION, _MORE_OPERATIONS),
        if_any(("gen_ai.retrieval.documents", "gen_ai.retrieval.query.text"), "RETRIEVER"),
    ),
    content=(
        Rule(_tool_call, (TOOL_ARGUMENTS, TOOL_RESULT)),
        sides(("gen_ai.retrieval.query.text",), ("gen_ai.retrieval.documents",)),
        sides(("gen_ai.task.input", "gen_ai.workflow.input"), ("gen_ai.task.output", "gen_ai.workflow.output")),
        sides(("gen_ai.tool.input", "gen_ai.tool.args"), ("gen_ai.tool.output",)),
        sides(("gen_ai.request.embedding_inputs",)),
        Rule(_instructions_alone, (INSTRUCTIONS,)),
    ),
    cost=(Rule(_cost_parts, tuple(_COST_PARTS)), Rule(_whole_cost, _WHOLE_COST)),
    user=("enduser.id", "userId", "user_id", "llm.user", "gen_ai.request.user"),
    session=("conversation.id",),
    first_token=(Rule(_seconds_to_first_token, _FIRST_TOKEN),),
    repeats=(Rule(_repeats, (OPERATION,)),),
    consumed=frozenset((INPUT_MESSAGES, OUTPUT_MESSAGES, INSTRUCTIONS, TOOL_ARGUMENTS, TOOL_RESULT)),
)
