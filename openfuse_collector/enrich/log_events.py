"""Assembly: an empty input or output of an observation, from the log records that were joined to it.

Records stand in metadata under `gen_ai.log_events`, keyed `<20-digit nanoseconds>-<digest>`, each as `{name, body, attributes}`.
Which of span and records came first makes no difference: this runs on the folded record.
"""

from __future__ import annotations

from typing import Any

from openfuse_collector.enrich.log_vocabulary import Kept, Said, attributes_of, place, said
from openfuse_collector.enrich.tool_definitions import input_with, take_from
from openfuse_collector.events.text import json_text, parsed, plain_text

Record = dict[str, Any]

LOG_EVENTS = "gen_ai.log_events"
"""Metadata key of an observation's log records."""

_TIME_DIGITS = 20
EMPTY_TEXTS = frozenset((None, "", "{}", "[]", "null", '""'))
"""Texts of a side that says nothing; Google's ADK writes `{}` where content goes to logs."""


def log_event_key(time: int, digest: str) -> str:
    """The key of a record: `time` in epoch nanoseconds, so that keys sort by it."""
    return f"{time:0{_TIME_DIGITS}d}-{digest}"


def assemble(record: Record) -> Record:
    """Fill an input or output that is empty from the record's log events; a side the span gave stays."""
    kept = record["metadata"].get(LOG_EVENTS)
    if type(kept) is not dict:
        return record
    tools = _tools_alone(record["input"])
    lacks_input, lacks_output = record["input"] in EMPTY_TEXTS or tools is not None, record["output"] in EMPTY_TEXTS
    if lacks_input or lacks_output:
        events = _in_order(kept)
        every = [said(event) for event in events]
        if lacks_input and (asked := _input(every)) is not None:
            tools = tools or _offered(events)
            whole = input_with(tools, plain_text(asked)) if tools else None
            record["input"] = plain_text(asked) if whole is None else json_text(whole)
        if lacks_output and (answered := _output(every)) is not None:
            record["output"] = plain_text(answered)
    return record


def _in_order(kept: dict[str, Any]) -> list[Kept]:
    """By time; within a nanosecond by place in the conversation, then by digest, so that the order is always the same."""
    events = [(key[:_TIME_DIGITS], *place(event), key, event) for key, event in kept.items() if type(event) is dict]
    return [event for *_, event in sorted(events, key=lambda entry: entry[:-1])]


def _input(every: list[Said]) -> Any:
    """What the first record of details says, else all messages."""
    whole = next((one.input for one in every if one.input is not None), None)
    return [one.message for one in every if one.message is not None] or None if whole is None else whole


def _output(every: list[Said]) -> Any:
    """What the last record of details says, else the answer, or the list of them where there are several (as Langfuse has it)."""
    whole = next((one.output for one in reversed(every) if one.output is not None), None)
    if whole is not None:
        return whole
    answers = [one.answer for one in every if one.answer is not None]
    return answers[0] if len(answers) == 1 else answers or None


def _offered(events: list[Kept]) -> list[Any]:
    """Tool definitions among the attributes of the records."""
    return next((tools for event in events if (tools := take_from({"attributes": dict(attributes_of(event))})[0])), [])


def _tools_alone(text: str | None) -> list[Any] | None:
    """The tools of an input that holds nothing else: where the mapping puts definitions of a span without messages."""
    if text is None or not text.startswith('{"tools":'):
        return None
    value = parsed(text)
    if type(value) is dict and len(value) == 1 and type(value["tools"]) is list:
        return value["tools"]
    return None
