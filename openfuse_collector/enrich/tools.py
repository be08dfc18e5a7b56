"""Tools of an observation: which ones the model was offered (input, metadata) and which ones it called (output)."""

from __future__ import annotations

from typing import Any

from openfuse_collector.enrich.offered_tools import offered_in
from openfuse_collector.enrich.tool_calls import NESTED_CALLS, calls_in, may_hold_calls
from openfuse_collector.enrich.tool_definitions import definitions_in, may_hold_definitions, move_tools
from openfuse_collector.events.text import json_text, parsed_or_none

Record = dict[str, Any]


def extract_tools(record: Record) -> Record:
    """Move definitions from metadata into the input, then fill tool_definitions, tool_calls and tool_call_names.

    Most records have none of it: they are recognised by a few looks at keys and text, without parsing anything.
    """
    source: Any = None
    moved = move_tools(record["metadata"], record["input"])
    if moved is not None:
        source, record["input"], record["metadata"] = moved.input, json_text(moved.input), moved.metadata
    if source is None and may_hold_definitions(record["input"]):
        source = parsed_or_none(record["input"])
    definitions = {} if source is None else definitions_in(source)
    if not definitions and record.get("type") == "GENERATION":
        definitions = offered_in(record["metadata"].get("attributes"))
    if definitions:
        record["tool_definitions"] = definitions
    calls = calls_in(parsed_or_none(record["output"])) if may_hold_calls(record["output"]) else []
    if not calls and NESTED_CALLS in record["metadata"]:
        calls = calls_in({"tool_calls": record["metadata"][NESTED_CALLS]})
    if calls:
        record["tool_calls"] = [call.text for call in calls]
        record["tool_call_names"] = [call.name for call in calls]
    return record
