"""Chat messages as people read them, `role: text`, in the shapes the model APIs and the GenAI conventions write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any


def as_conversation(value: Any) -> str | None:
    """A message or a list of messages as text; None for anything that is not all messages."""
    messages = [value] if isinstance(value, dict) else value
    if not isinstance(messages, list) or not messages or not all(_is_message(message) for message in messages):
        return None
    return "\n".join(f"{message['role']}: {_said(message)}" for message in messages)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and bool(value.keys() & {"content", "parts"})


def _said(message: Mapping[str, Any]) -> str:
    content = message.get("parts") or message.get("content")
    said = [_part(part) for part in content] if isinstance(content, list) else [_part(content)]
    calls = message.get("tool_calls")
    said += (
        [_part({"type": "function", **call}) for call in calls if isinstance(call, dict)]
        if isinstance(calls, list)
        else []
    )
    return "\n".join(part for part in said if part)


def _part(part: Any) -> str:
    if part is None or isinstance(part, str):
        return part or ""
    kind = part.get("type") if isinstance(part, dict) else None
    read = _PARTS.get(kind) if isinstance(kind, str) else None
    return read(part) if read else _compact(part)


def _text(part: Mapping[str, Any]) -> str:
    text = part.get("text", part.get("content"))
    return text if isinstance(text, str) else _compact(part)


def _call(part: Mapping[str, Any]) -> str:
    called = part["function"] if isinstance(part.get("function"), dict) else part
    arguments = called.get("arguments", called.get("input", {}))
    return f"{called.get('name')}({arguments if isinstance(arguments, str) else _compact(arguments)})"


def _response(part: Mapping[str, Any]) -> str:
    response = part.get("response", part.get("content", part.get("result")))
    return response if isinstance(response, str) else _compact(response)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_PARTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "reasoning": _text,
    "function": _call,
    "tool_call": _call,
    "tool_use": _call,
    "tool_call_response": _response,
    "tool_result": _response,
}
"""Type of a part -> how it reads; a part of any other type is shown as JSON."""
