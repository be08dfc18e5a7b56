"""Tool definitions: found in metadata, moved beside the messages they were offered with.

Langfuse shows the tools of a generation from its input (`{messages, tools}`), wherever an instrumentation wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from openfuse_collector.mapping.coercion import BROKEN, parse_json

_FLAT = re.compile(r"llm\.tools\.(\d+)\.tool\.json_schema")
_VERCEL, _GEN_AI, _PYDANTIC = "ai.prompt.tools", "gen_ai.tool.definitions", "model_request_parameters"

Tool = dict[str, Any]


def has_definitions(keys: Iterable[str]) -> bool:
    """Whether any of these attribute keys may hold tool definitions."""
    return any(key in (_VERCEL, _GEN_AI, _PYDANTIC) or key.startswith("llm.tools.") for key in keys)


def move_tools(metadata: dict[str, Any], content: Any) -> tuple[dict[str, Any], Any]:
    """Metadata without tool definitions and the input with them; both as they were when there are none or no place for them."""
    remaining = dict(metadata)
    tools = _take_from_metadata(remaining)
    attributes = metadata.get("attributes")
    if isinstance(attributes, dict):
        left = dict(attributes)
        tools += _take_from_attributes(left)
        if left:
            remaining["attributes"] = left
        else:
            del remaining["attributes"]
    if not tools:
        return metadata, content
    merged = _with_tools(content, tools)
    return (metadata, content) if merged is None else (remaining, merged)


def _take_from_metadata(metadata: dict[str, Any]) -> list[Tool]:
    tools = _tool_list(metadata.get("tools"), _named)
    if tools is None:
        return []
    del metadata["tools"]
    return tools


def _take_from_attributes(attributes: dict[str, Any]) -> list[Tool]:
    """Tools of every known spelling, in order of precedence; the attributes they came from are removed."""
    tools: list[Tool] = []
    for key, accepts in ((_VERCEL, _tool_like), (_GEN_AI, _named)):
        found = _tool_list(attributes.get(key), accepts)
        if found is not None:
            tools += found
            del attributes[key]
    return tools + _take_pydantic(attributes) + _take_flat(attributes)


def _take_pydantic(attributes: dict[str, Any]) -> list[Tool]:
    parameters = parse_json(attributes.get(_PYDANTIC))
    if not isinstance(parameters, dict):
        return []
    tools = _tool_list(parameters.get("function_tools"), _named)
    if tools is None:
        return []
    rest = {key: value for key, value in parameters.items() if key != "function_tools"}
    if rest:
        attributes[_PYDANTIC] = rest
    else:
        del attributes[_PYDANTIC]
    return tools


def _take_flat(attributes: dict[str, Any]) -> list[Tool]:
    """`llm.tools.N.tool.json_schema`, N counted as a number."""
    numbered = sorted((int(match[1]), key) for key in attributes if (match := _FLAT.fullmatch(key)))
    tools: list[Tool] = []
    for _, key in numbered:
        tool = parse_json(attributes[key])
        if _named(tool):
            tools.append(tool)
            del attributes[key]
    return tools


def _tool_list(written: Any, accepts: Callable[[Any], bool]) -> list[Tool] | None:
    """The tools of a list or its JSON text (items may be JSON text too), None unless every item is one."""
    items = parse_json(written)
    if not isinstance(items, list):
        return None
    tools = [parse_json(item) for item in items]
    return tools if all(accepts(tool) for tool in tools) else None


def _name(tool: Any) -> Any:
    if not isinstance(tool, dict):
        return None
    function = tool.get("function")
    return tool.get("name") or (function.get("name") if isinstance(function, dict) else None)


def _named(tool: Any) -> bool:
    return isinstance(_name(tool), str)


def _tool_like(tool: Any) -> bool:
    """A named tool, or one of the provider's own, which has a type alone."""
    return _named(tool) or (isinstance(tool, dict) and isinstance(tool.get("type"), str))


def _with_tools(content: Any, tools: list[Tool]) -> Any:
    """The input with tools beside it, None when it has no place for them."""
    value = parse_json(content)
    if content is None:
        return {"tools": _distinct(tools)}
    if isinstance(value, list):
        return {"messages": value, "tools": _distinct(tools)}
    if isinstance(value, dict):
        existing = value.get("tools", [])
        if not isinstance(existing, list) or not all(_tool_like(tool) for tool in existing):
            return None
        return {**value, "tools": _distinct([*existing, *tools])}
    if value is BROKEN or isinstance(value, str):
        return {"prompt": content if value is BROKEN else value, "tools": _distinct(tools)}
    return None


def _distinct(tools: list[Tool]) -> list[Tool]:
    """Tools by name, the first of a name wins; those without a name stay."""
    seen: set[str] = set()
    kept: list[Tool] = []
    for tool in tools:
        name = _name(tool)
        if not isinstance(name, str) or name not in seen:
            kept.append(tool)
        if isinstance(name, str):
            seen.add(name)
    return kept
