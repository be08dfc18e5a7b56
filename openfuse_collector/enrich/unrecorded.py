"""Calls whose content nobody recorded: what else their spans say of it. Spans only; API clients write what they mean.

* What came back from a call that failed is its error. Instrumentations record the exception (or the status) and no output, and
  Langfuse, which does not read exception events, leaves the output empty or `{}`.
* What went into a tool whose arguments were not recorded is known as far as which call of the model it answers.

Both only fill a side that span and log records left empty; arguments that are explicitly `{}` are arguments.
"""

from __future__ import annotations

from typing import Any

from openfuse_collector.enrich.log_events import EMPTY_TEXTS
from openfuse_collector.events.text import json_text

Record = dict[str, Any]

_CALLS = frozenset(("GENERATION", "EMBEDDING", "TOOL", "RETRIEVER", "AGENT"))
_OF_SPANS = "resourceAttributes"
"""Metadata key every span has and nothing else."""
_EXCEPTION_PARTS = ("type", "message")

_CALL_IDS = ("gen_ai.tool.call.id", "ai.toolCall.id")
_NO_ARGUMENTS = frozenset((None, "", "null", '""'))


def fill_unrecorded(record: Record) -> Record:
    """Fill the output of a failed call with its error, and the input of a tool with the call it answers."""
    if record["type"] not in _CALLS or _OF_SPANS not in record["metadata"]:
        return record
    if record["level"] == "ERROR" and record["output"] in EMPTY_TEXTS and (error := _error(record)):
        record["output"] = json_text({"error": error})
    if record["type"] == "TOOL" and record["input"] in _NO_ARGUMENTS and (call := _call(record)):
        record["input"] = json_text(call)
    return record


def _error(record: Record) -> Any:
    """The exception's type and message, else the status message; None when the span says only that it failed."""
    exception = record["metadata"].get("exception")
    if type(exception) is dict:
        said = {part: exception[part] for part in _EXCEPTION_PARTS if exception.get(part)}
        if said:
            return said
    message = record["status_message"]
    return {"message": message} if message else None


def _call(record: Record) -> dict[str, Any] | None:
    """`{tool_call: {id, name}}`, so that nobody takes it for arguments; None when the span does not name one."""
    attributes = record["metadata"].get("attributes")
    if type(attributes) is not dict:
        return None
    id_ = next((attributes[key] for key in _CALL_IDS if attributes.get(key)), None)
    return None if id_ is None else {"tool_call": {"id": id_, "name": record["name"]}}
