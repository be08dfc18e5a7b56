"""Tool definitions in the shapes frameworks send them, and how those found in metadata move into the input.

Rules: Langfuse's `extractToolsBackend`. The input of a generation is where readers look for its tools.
The mapping moves them for spans, the enrichment for whatever came another way; both by `move_tools`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, NamedTuple

from openfuse_collector.events.text import json_text, parsed

_ATTRIBUTE_TOOLS = (
    ("ai.prompt.tools", True),
    ("gen_ai.tool.definitions", False),
)
"""Attributes that hold a list of tools, and whether provider tools that have a type but no name are fine in it."""

_PARAMETERS = "model_request_parameters"
_INDEXED = re.compile(r"llm\.tools\.(\d{1,9})\.tool\.json_schema")
_IN_TEXT = re.compile(
    r'"(?:ai\.prompt\.tools|gen_ai\.tool\.definitions|model_request_parameters|llm\.tools\.\d+\.tool\.json_schema)"\s*:'
)


class Moved(NamedTuple):
    """An observation whose definitions have moved."""

    metadata: dict[str, Any]
    input: dict[str, Any]


def has_definitions(keys: Collection[str]) -> bool:
    """Whether any of these attribute keys may hold tool definitions."""
    if "ai.prompt.tools" in keys or "gen_ai.tool.definitions" in keys or _PARAMETERS in keys:
        return True
    for key in keys:  # noqa: SIM110 - any() with a generator takes three times as long, and every record comes here
        if key[:10] == "llm.tools.":
            return True
    return False


def move_tools(metadata: dict[str, Any], content: Any) -> Moved | None:
    """Metadata without definitions and the input (a value or text) with them; None when there are none, or no place for them.

    Changes neither argument.
    """
    tools, rest = take_from(metadata)
    merged = input_with(tools, content) if tools else None
    return None if merged is None else Moved(rest, merged)


def take_from(metadata: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The definitions in metadata, each name once, and the metadata without them."""
    listed = "tools" in metadata
    attributes = _attributes(metadata.get("attributes"))
    if not listed and attributes is None:
        return [], metadata
    rest = dict(metadata)
    tools = (_tool_list(metadata["tools"]) or []) if listed else []
    if tools:
        del rest["tools"]
    if attributes is not None:
        found, left = _from_attributes(attributes)
        tools += found
        if left:
            rest["attributes"] = left
        else:
            rest.pop("attributes")
    return _distinct(tools), rest


def input_with(tools: list[Any], content: Any) -> dict[str, Any] | None:
    """The input object with the definitions in it, None when the input cannot carry them."""
    value = parsed(content)
    if value is None:
        return {"tools": tools}
    if isinstance(value, str):
        return {"prompt": value, "tools": tools}
    if isinstance(value, list):
        return {"messages": value, "tools": tools}
    if not isinstance(value, dict):
        return None
    if value.get("tools") is None:
        return {**value, "tools": tools}
    existing = _known_tools(value["tools"])
    return None if existing is None else {**value, "tools": _distinct(existing + tools)}


def may_hold_definitions(text: str | None) -> bool:
    """Whether it is worth parsing an input."""
    if text is None or text.lstrip()[:1] not in ("{", "["):
        return False
    return '"tool' in text and ('"tools"' in text or ('"tool"' in text and '"function"' in text))


def definitions_in(value: Any) -> dict[str, str]:
    """Name -> JSON text of description and parameters, of all tools an input offers; the first of a name counts."""
    if isinstance(value, list):
        value = {"messages": value}
    if not isinstance(value, dict):
        return {}
    found: dict[str, str] = {}
    _add_all(found, value.get("tools"))
    messages = value.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            _add_all(found, message.get("tools"))
            content = message.get("content")
            # LangGraph lists the tools on offer as messages of the role tool.
            if message.get("role") == "tool" and isinstance(content, dict) and content.get("type") == "function":
                _add_all(found, [content] if content.get("function") else None)
    return found


def _add_all(found: dict[str, str], tools: Any) -> None:
    for tool in tools if isinstance(tools, list) else ():
        flat = _flat(tool)
        name = _name(flat)
        if name and name not in found:
            description = flat.get("description", flat.get("desc"))
            schema = next((flat[k] for k in _SCHEMAS if flat.get(k) is not None), None)
            found[name] = json_text(
                {
                    "description": "" if description is None else description,
                    "parameters": "" if schema is None else json_text(schema),
                }
            )


_SCHEMAS = ("parameters", "parameters_json_schema", "inputSchema")


def _attributes(value: Any) -> dict[str, Any] | None:
    """The attributes object when a tool key is in it. Langfuse stores it as text, spans bring it as an object."""
    if type(value) is str:
        attributes = parsed(value) if _IN_TEXT.search(value) else None
        return attributes if isinstance(attributes, dict) else None
    if type(value) is not dict:
        return None
    return value if has_definitions(value) else None


def _from_attributes(attributes: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    rest, tools = dict(attributes), []
    for key, nameless in _ATTRIBUTE_TOOLS:
        listed = _tool_list(attributes.get(key), nameless=nameless)
        if listed is not None:
            tools += listed
            del rest[key]
    parameters = parsed(attributes.get(_PARAMETERS))
    if isinstance(parameters, dict):
        listed = _tool_list(parameters.get("function_tools"))
        if listed is not None:
            tools += listed
            parameters = {key: value for key, value in parameters.items() if key != "function_tools"}
        if not parameters:
            del rest[_PARAMETERS]
        elif listed is not None:
            as_text = isinstance(attributes[_PARAMETERS], str)
            rest[_PARAMETERS] = json_text(parameters) if as_text else parameters
    for key in _indexed_keys(attributes):
        tool = parsed(attributes[key])
        if _name(_flat(tool)):
            tools.append(tool)
            del rest[key]
    return tools, rest


def _indexed_keys(attributes: dict[str, Any]) -> list[str]:
    matches = (match for key in attributes if (match := _INDEXED.fullmatch(key)))
    return [match[0] for match in sorted(matches, key=lambda match: int(match[1]))]


def _tool_list(value: Any, *, nameless: bool = False) -> list[Any] | None:
    """A list (or its JSON text) in which every item is a tool, items parsed; None for anything else."""
    items = _known_items(value)
    if items is None or not all(_is_tool(item, nameless=nameless) for item in items):
        return None
    return items


def _known_tools(value: Any) -> list[Any] | None:
    """The items of an input's own tool list that are tools; None when it is not a list or none of them is one."""
    items = _known_items(value)
    if not items:
        return items
    return [item for item in items if _is_tool(item, nameless=True)] or None


def _known_items(value: Any) -> list[Any] | None:
    value = parsed(value)
    return [parsed(item) for item in value] if isinstance(value, list) else None


def _is_tool(item: Any, *, nameless: bool) -> bool:
    return isinstance(item, dict) and bool(_name(_flat(item)) or (nameless and isinstance(item.get("type"), str)))


def _flat(tool: Any) -> dict[str, Any]:
    """`{type, function: {…}}` as its inner object, a flat definition as it is, anything else as nothing."""
    tool = parsed(tool)
    if not isinstance(tool, dict):
        return {}
    inner = tool.get("function")
    return tool if inner is None else inner if isinstance(inner, dict) else {}


def _name(flat: dict[str, Any]) -> str | None:
    name = flat.get("name")
    return name if isinstance(name, str) and name else None


def _distinct(tools: list[Any]) -> list[Any]:
    """Each name once, the first one; tools without a name all stay."""
    seen: set[str] = set()
    out = []
    for tool in tools:
        name = _name(_flat(tool))
        if name is None or name not in seen:
            out.append(tool)
        if name is not None:
            seen.add(name)
    return out
