"""Tool calls a model asked for, found in the output in the shapes of the providers and of the GenAI conventions.

What Langfuse finds (`extractToolsBackend`) is found alike. It passes over what is ours: `parts` of the type `tool_call`, the
wrapping of OpenInference, OpenAI responses, LangChain generations, and the calls of Gemini, Bedrock Converse and Genkit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from openfuse_collector.events.text import json_text, parsed_or_none

_MARKERS = (
    *("tool_call", '"arguments"', "tool_use", "tool-call", "toolCall", "toolName"),
    *("toolUse", "toolRequest", "function_call", "functionCall"),
)
"""Every shape below has one of these in its text. Searches for words beat one search for a pattern."""

_STEMS = ("tool", "unction", '"arguments"')
"""Every marker contains one of these: three searches say of most outputs that they hold no call."""

NESTED_CALLS = "openfuse_tool_calls"
"""Metadata key for calls that a span states in flattened attributes while its output, taken from elsewhere, has none."""

_MESSAGE_KEYS = frozenset(("role", "content", "tool_calls", "additional_kwargs", "parts"))
_ID_KEYS = ("call_id", "id", "toolCallId", "toolUseId", "ref")
_CALL_TYPES = frozenset(("function", "function_call", "tool-call", "tool_use", "tool_call"))
_PART_TYPES = frozenset(("tool_use", "tool-call", "tool_call"))
_PART_KEYS = ("toolUse", "toolRequest", "function_call", "functionCall")
"""Bedrock Converse, Genkit, Gemini in Python and in JSON."""


class ToolCall(NamedTuple):
    """One call: the name of the tool, and `{id, arguments, type, index}` as JSON text the way Langfuse stores it."""

    name: str
    text: str
    identity: Any
    """What makes it the same call when it is met again: its id, or name and arguments."""


def may_hold_calls(text: str | None) -> bool:
    """Whether it is worth parsing an output."""
    if text is None or text.lstrip()[:1] not in ("{", "["):
        return False
    return any(map(text.__contains__, _STEMS)) and any(map(text.__contains__, _MARKERS))


def calls_in(output: Any) -> list[ToolCall]:
    """Every call of an output once, in the order met."""
    found: dict[Any, ToolCall] = {}
    for item in output if isinstance(output, list) else (output,):
        if isinstance(item, dict):
            for call in _calls_of(item):
                flat = _flat(call)
                if flat is not None:
                    found.setdefault(flat.identity, flat)
    return list(found.values())


def _calls_of(item: dict[str, Any]) -> Iterator[Any]:
    """The calls of a message, a completion, or of an object that is a call itself."""
    if _is_call(item) and not _MESSAGE_KEYS & item.keys():
        yield item
        return
    for message in _messages_of(item):
        yield from _calls_of_message(message)
    # The Responses API lists calls beside texts; Azure's inference SDK has one JSON text in an event.
    yield from (
        part for part in _list(item.get("output")) if isinstance(part, dict) and part.get("type") == "function_call"
    )
    event = _object(item.get("gen_ai.event.content"))
    if event:
        yield from _calls_of(event)


def _messages_of(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects of an item that may be messages: itself, and what providers and frameworks wrap them in."""
    yield item
    for wrapper in (*_list(item.get("choices")), *_list(item.get("candidates")), item, *_generations(item)):
        if isinstance(wrapper, dict):
            # Laminar and Azure wrap a message in {index, message, finish_reason}, Gemini in a candidate's content.
            for inner in (wrapper.get("message"), wrapper.get("content")):
                if isinstance(inner, dict):
                    yield inner
                    if isinstance(inner.get("kwargs"), dict):
                        yield inner["kwargs"]


def _generations(item: dict[str, Any]) -> Iterator[Any]:
    """LangChain: lists of alternatives, `{generations: [[{message: {lc, kwargs}}]]}`."""
    for alternatives in _list(item.get("generations")):
        yield from alternatives if isinstance(alternatives, list) else ()


def _calls_of_message(message: dict[str, Any]) -> Iterator[Any]:
    listed = _list(message.get("tool_calls"))
    yield from listed or _list(message.get("toolCalls"))
    yield from _parts(message.get("content"))
    yield from _parts(message.get("parts"))
    extra = message.get("additional_kwargs")
    if isinstance(extra, dict):
        yield from _list(extra.get("tool_calls"))


def _parts(parts: Any) -> Iterator[Any]:
    """Calls among the parts of a message, by their type or by the key of the provider that they are under."""
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            if isinstance(part.get("type"), str) and part["type"] in _PART_TYPES:
                yield part
            else:
                yield from (part[key] for key in _PART_KEYS if key in part)


def _is_call(value: dict[str, Any]) -> bool:
    """Whether an object without a message around it asks for a call: neither a definition, nor a result, nor data."""
    kind, named = value.get("type"), bool(value.get("name"))
    if kind == "tool-result":
        return False
    function = value.get("function")
    return bool(
        (isinstance(function, dict) and function.get("name") and "arguments" in function)
        or (value.get("toolName") and (kind == "tool-call" or "input" in value or "args" in value))
        or (named and "arguments" in value and (value.get("call_id") or _marked(value)))
        or (named and kind == "tool_use" and "input" in value)
    )


def _marked(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    return "id" in value or "index" in value or (isinstance(kind, str) and kind in _CALL_TYPES)


def _flat(call: Any) -> ToolCall | None:
    if isinstance(call, dict) and isinstance(call.get("tool_call"), dict):
        call = call["tool_call"]  # OpenInference: each of its flattened items is one level deeper
    if not isinstance(call, dict):
        return None
    function = call.get("function")
    inner = function if isinstance(function, dict) else {}
    name = _first(inner.get("name"), call.get("name"), call.get("toolName"))
    if not isinstance(name, str) or not name:
        return None
    arguments = _first(inner.get("arguments"), call.get("arguments"), call.get("args"), call.get("input"))
    if not isinstance(arguments, str):
        arguments = json_text({} if arguments is None else arguments)
    id_ = _first(*(call.get(key) for key in _ID_KEYS), "")
    kind = _first(call.get("type"), "function" if inner else None, "")
    text = json_text({"id": id_, "arguments": arguments, "type": kind, "index": _first(call.get("index"), 0)})
    return ToolCall(name, text, json_text(id_) if id_ else (name, arguments))


def _first(*values: Any) -> Any:
    """The first value that is there."""
    return next((value for value in values if value is not None), None)


def _list(value: Any) -> list[Any]:
    """A list, or the list a JSON text stands for."""
    value = parsed_or_none(value)
    return value if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    """An object, or the object a JSON text stands for."""
    value = parsed_or_none(value)
    return value if isinstance(value, dict) else {}
