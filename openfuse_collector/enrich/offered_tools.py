"""Tool definitions that stay in the attributes: Langfuse neither moves them into the input nor counts them.

OpenLLMetry and LiteLLM flatten them, Langtrace writes a list of JSON lists, and OpenInference has some behind a schema without a
name of its own (Bedrock Converse) or beside an input that cannot carry them.
"""

from __future__ import annotations

import re
from typing import Any

from openfuse_collector.enrich.tool_definitions import definitions_in
from openfuse_collector.events.text import parsed

_WHOLE = "gen_ai.request.tools"
_BEGINNINGS = ("llm.request.functions.", "llm.tools.", _WHOLE)
_FLAT = re.compile(r"llm\.(?:request\.functions|tools)\.(\d{1,9})\.(name|description|parameters|tool\.json_schema)")
_SCHEMA = "tool.json_schema"


def offered_in(attributes: Any) -> dict[str, str]:
    """Name -> JSON text of description and parameters, as `definitions_in` gives them; empty when there are none."""
    if type(attributes) is not dict:
        return {}
    keys = [key for key in attributes if key.startswith(_BEGINNINGS)]
    if not keys:
        return {}
    return definitions_in({"tools": [*_flattened(attributes, keys), *_listed(attributes.get(_WHOLE))]})


def _flattened(attributes: dict[str, Any], keys: list[str]) -> list[dict[str, Any]]:
    tools: dict[int, dict[str, Any]] = {}
    for key in keys:
        found = _FLAT.fullmatch(key)
        if found is not None:
            tool = tools.setdefault(int(found[1]), {})
            value = parsed(attributes[key]) if found[2] in ("parameters", _SCHEMA) else attributes[key]
            tool.update(_of_schema(value) if found[2] == _SCHEMA else {found[2]: value})
    return [tools[place] for place in sorted(tools)]


def _of_schema(value: Any) -> dict[str, Any]:
    """A definition as it is, or the one Bedrock wraps: `{toolSpec: {name, description, inputSchema: {json}}}`."""
    if not isinstance(value, dict):
        return {}
    spec = value.get("toolSpec")
    if not isinstance(spec, dict):
        return value
    schema = spec.get("inputSchema")
    return {**spec, "inputSchema": schema.get("json", schema) if isinstance(schema, dict) else schema}


def _listed(value: Any) -> list[Any]:
    items = parsed(value)
    inner = [parsed(item) for item in items] if isinstance(items, list) else []
    return [tool for item in inner for tool in (item if isinstance(item, list) else [item])]
