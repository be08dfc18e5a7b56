"""Log records with GenAI content: how they are recognised, and what one of them says went in or came out.

One table for both ends: the mapping keeps the records this file knows, the assembly asks it what a kept record means.
Sources: OpenTelemetry GenAI events (one event per message until 1.36, `operation.details` since 1.37), shapes.md "Where
input and output live", 4. Shapes met: body as map (OpenTelemetry, OpenLLMetry, Pydantic AI), as JSON text (Semantic Kernel),
as the event's name or nothing with everything in attributes (OpenLIT, OpenTelemetry 1.3b0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from openfuse_collector.events.text import parsed, plain_text

Kept = Mapping[str, Any]
"""A log record as an observation's metadata keeps it: `{name?, body?, attributes?}`."""

NAME_ATTRIBUTES = ("event.name", "event_name")
"""Where the name is if not in the record's own field: before OTLP 1.5, and LiteLLM."""

DETAILS_EVENT = "gen_ai.client.inference.operation.details"
CHOICE_EVENT = "gen_ai.choice"
MESSAGE_EVENTS = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}

ROLES = {**MESSAGE_EVENTS, "gen_ai.developer.message": "developer", "gen_ai.content.prompt": "user"}
"""Name of an event that is one message of the input -> its role, where the body names none."""
ANSWERS = frozenset((CHOICE_EVENT, "gen_ai.content.completion"))
"""Names of events that are one answer."""

INPUTS = ("gen_ai.input.messages", "gen_ai.prompt", "gen_ai.content.prompt", "gen_ai.tool.call.arguments")
OUTPUTS = ("gen_ai.output.messages", "gen_ai.completion", "gen_ai.content.completion", "gen_ai.tool.call.result")
INSTRUCTIONS = "gen_ai.system_instructions"
EVENT_CONTENT = "gen_ai.event.content"
"""A whole message as JSON text (Azure AI inference)."""
CONTENT_ATTRIBUTES = frozenset((*INPUTS, *OUTPUTS, INSTRUCTIONS, EVENT_CONTENT))
"""Attributes that make any record one with content, whatever its name."""

CONTENT_NAMES = frozenset((*ROLES, *ANSWERS))
"""Names of records whose content is in the body."""

_MESSAGE_ATTRIBUTES = ("role", "content", "name", "id", "tool_calls", "index", "finish_reason", "message")
"""Parts of a message written as attributes of a record without a body."""
_INDEXES = ("gen_ai.message.index", "CHAT_MESSAGE_INDEX")
"""Place of a message in its conversation: Pydantic AI, Semantic Kernel."""
_RANKS = {role: rank for rank, role in enumerate(("system", "developer", "user", "assistant", "tool"))}


class Said(NamedTuple):
    """What one record says. A message and an answer belong to a list, the input and the output of details are whole."""

    message: dict[str, Any] | None = None
    answer: Any = None
    input: Any = None
    output: Any = None


def holds_content(name: str, body: Any, attributes: Mapping[str, Any]) -> bool:
    """Whether a record says anything about input or output. An event whose content was not captured does not."""
    if name in CONTENT_NAMES:
        return bool(_message(name, body, attributes))
    return any(attributes.get(key) not in (None, "", [], {}) for key in CONTENT_ATTRIBUTES)


def said(record: Kept) -> Said:
    """What a kept record means."""
    name, body, attributes = _parts(record)
    if name in CONTENT_NAMES:
        message = _message(name, body, attributes)
        if name in ANSWERS:
            return Said(answer=message or None)
        return Said(message={"role": ROLES[name], **message} if message else None)
    if attributes.get(EVENT_CONTENT):
        return Said(message=_message(name, None, attributes) or None)
    return Said(input=_input(attributes), output=_first(attributes, OUTPUTS))


def place(record: Kept) -> tuple[int, int]:
    """Where a record stands among those of the same nanosecond: its index if it has one, then the order of a conversation."""
    name, body, attributes = _parts(record)
    index = next((attributes[key] for key in _INDEXES if type(attributes.get(key)) is int), None)
    if index is None and name in ANSWERS and type(body) is dict and type(body.get("index")) is int:
        index = body["index"]
    return index or 0, _RANKS.get(ROLES.get(name, ""), len(_RANKS))


def attributes_of(record: Kept) -> Mapping[str, Any]:
    """The attributes of a kept record, none when it has none."""
    return _parts(record)[2]


def _parts(record: Kept) -> tuple[str, Any, Mapping[str, Any]]:
    """Name, body and attributes. Metadata is anybody's to write, so types are asked for."""
    name, attributes = record.get("name"), record.get("attributes")
    return (
        name if type(name) is str else "",
        record.get("body"),
        attributes if type(attributes) is dict else {},
    )


def _message(name: str, body: Any, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The message of a record as an object, empty when nothing was captured."""
    if body in (None, "", name):
        body = attributes.get(EVENT_CONTENT)
        if body in (None, ""):
            return _message_of_attributes(attributes)
    value = parsed(body)
    if type(value) is dict:
        return value
    return {} if value in (None, "", []) else {"content": value}


def _message_of_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: attributes[key] for key in _MESSAGE_ATTRIBUTES if attributes.get(key) not in (None, "")}
    content = _first(attributes, INPUTS) or _first(attributes, OUTPUTS)
    if content is not None:
        found.setdefault("content", content)
    return found


def _input(attributes: Mapping[str, Any]) -> Any:
    """The messages with the system instructions in front, as Langfuse has them; instructions alone where there is no more."""
    messages, instructions = _first(attributes, INPUTS), parsed(attributes.get(INSTRUCTIONS))
    if not instructions:
        return messages
    system = {"role": "system", "content": _instruction_text(instructions)}
    if messages is None:
        return [system]
    items = parsed(messages)
    if type(items) is not list or any(type(item) is dict and item.get("role") == "system" for item in items):
        return messages
    return [system, *items]


def _instruction_text(instructions: Any) -> str:
    parts = instructions if type(instructions) is list else [instructions]
    return "\n".join(
        plain_text(part["content"] if type(part) is dict and "content" in part else part) for part in parts
    )


def _first(attributes: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """The first value that is something."""
    return next((value for key in keys if (value := attributes.get(key)) not in (None, "", [], {})), None)
