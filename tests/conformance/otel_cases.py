"""Langfuse's OTLP mapping cases against this mapping (format: conformance/otel/README.md).

Facts on traces and observations are judged. They state Langfuse's event bodies before its schema check, ours are after ours.
So before comparing: times are cut to milliseconds, usage and cost of the expectation pass the schema, an empty expectation is
met by a field left out, our notes in metadata are left aside, and ids OTLP does not have (empty, or not hexadecimal) are
replaced by some that it has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from openfuse_collector.enrich.repeated import REPEATED
from openfuse_collector.enrich.tool_calls import NESTED_CALLS
from openfuse_collector.events.event import Event
from openfuse_collector.mapping import map_traces
from openfuse_collector.mapping.metadata import EXCEPTION, NOTES
from openfuse_collector.mapping.timestamps import iso_milliseconds
from openfuse_collector.mapping.usage import clean_cost, clean_usage
from openfuse_collector.pdata.otlp_json import decode_traces
from openfuse_collector.signals import Origin, Signal
from tests.conformance.deviations import Deviation, deviation_of
from tests.conformance.outcomes import ABSENT, Case, Difference, Outcome, Verdict

NOW = 1_790_000_000_123_000_000
SCORED = ("trace", "observation")
Fact = dict[str, Any]

_CLEAN: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"usageDetails": clean_usage, "costDetails": clean_cost}
_OURS = (NOTES, EXCEPTION, REPEATED, NESTED_CALLS)
_NANOSECONDS = re.compile(r"(\.\d{3})\d{6}Z$")


def events_of(case: dict[str, Any]) -> list[Event]:
    """The events this mapping makes of a case; shallow ones of traces the case declares as seen are dropped."""
    origin = Origin(Signal.TRACES, "otlp", NOW, public_key=case["config"].get("publicKey", ""))
    seen = case["config"].get("seenTraces", [])
    request = decode_traces(json.dumps(with_hex_ids(case["input"])).encode()).request
    mapped = map_traces(request, origin)
    return [event for event in mapped.events if not (event.shallow and event.entity.id in seen)]


def outcomes(case: Case) -> Iterator[Outcome]:
    """All scored facts of a case, each an outcome of its own."""
    events = events_of(case)
    for fact in case["expected"]:
        if fact["entity"] not in SCORED:
            continue
        got = found(events, fact)
        if holds(fact, got):
            yield Outcome(case["id"], Verdict.PASSED)
            continue
        reason = deviation_of(case["id"], fact, None if got is ABSENT else got)
        what = f"{'.'.join(map(str, fact['path_parts']))} {fact['op']} ({fact['entity']}, from {fact['from']})"
        verdict = Verdict.DEVIATION if reason else Verdict.FAILED
        yield Outcome(case["id"], verdict, (Difference(what, fact.get("value"), got),), reason or "")


def is_of(deviation: Deviation, outcome: Outcome) -> bool:
    """Whether a deviating outcome is one of a deviation's."""
    fields = {difference.what.partition(" ")[0].partition(".")[0] for difference in outcome.differences}
    return deviation.field in fields and fnmatchcase(outcome.case, deviation.cases)


def found(events: list[Event], fact: Fact) -> Any:
    """What our event says at the path of a fact, `ABSENT` when nothing."""
    match = fact["match"]
    candidates = [event for event in events if event.entity.type == fact["entity"] and matches(event, match)]
    nth = match.get("nth") or 0
    if nth >= len(candidates):
        return ABSENT
    event = candidates[nth]
    value: Any = {**event.body, "event_type": event.type}
    for part in fact["path_parts"]:
        value = step(value, part)
        if value is ABSENT:
            return ABSENT
    if isinstance(value, dict) and fact["path_parts"] == ["metadata"]:
        return {key: item for key, item in value.items() if key not in _OURS}
    return cut(value)


def matches(event: Event, match: dict[str, Any]) -> bool:
    """Whether an event is of the entity a fact names."""
    if "id" in match and hex_id(match["id"]) != event.entity.id:
        return False
    trace_id = match.get("traceId")
    return trace_id is None or event.body.get("traceId") == hex_id(trace_id)


_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_IDS = frozenset(("traceId", "spanId"))
_ID_FIELDS = frozenset(("id", "traceId", "parentObservationId"))


def hex_id(written: Any) -> str:
    """An id as OTLP/JSON can carry it: hexadecimal and not empty."""
    if isinstance(written, list):
        return bytes(written).hex()
    text = str(written).lower()
    return text if _HEX.fullmatch(text) else f"id {written}".encode().hex()


def with_hex_ids(value: Any) -> Any:
    """A request whose text ids are all hexadecimal."""
    if isinstance(value, list):
        return [with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: hex_id(item) if key in _IDS or (key == "parentSpanId" and item) else with_hex_ids(item)
        for key, item in value.items()
    }


def step(value: Any, part: Any) -> Any:
    """One step along a path, into a map or a list."""
    if isinstance(value, dict):
        return value.get(str(part), ABSENT)
    if isinstance(value, list) and str(part).isdecimal() and int(part) < len(value):
        return value[int(part)]
    return ABSENT


def cut(value: Any) -> Any:
    """Nanosecond times at the precision Langfuse has."""
    return _NANOSECONDS.sub(r"\1Z", value) if isinstance(value, str) else value


def is_empty(value: Any) -> bool:
    """Null or an empty container: what our bodies leave out."""
    return value is None or value == {} or value == []


def expected_of(fact: Fact) -> Any:
    """The expectation after Langfuse's schema."""
    value, path = fact.get("value"), fact["path_parts"]
    clean = _CLEAN.get(str(path[0])) if len(path) == 1 else None
    if len(path) == 1 and path[0] in _ID_FIELDS and isinstance(value, str):
        return hex_id(value)
    return clean(value) if clean and isinstance(value, dict) else value


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _contains(got: Any, want: Any) -> bool:
    if isinstance(want, dict) and isinstance(got, dict):
        return all(key in got and _contains(got[key], value) for key, value in want.items())
    if isinstance(got, str):
        return str(want) in got
    return isinstance(got, list) and (all(item in got for item in want) if isinstance(want, list) else want in got)


def _equal(got: Any, want: Any) -> bool:
    if got is ABSENT:
        return is_empty(want)
    return bool(got == want) and isinstance(got, bool) == isinstance(want, bool)


def _present(got: Any, _: Any) -> bool:
    return got is not ABSENT and got is not None


OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": _equal,
    "deep_equals": _equal,
    "present": _present,
    "absent": lambda got, want: not _present(got, want),
    "truthy": lambda got, _: got is not ABSENT and bool(got),
    "falsy": lambda got, _: got is ABSENT or not got,
    "contains": lambda got, want: got is not ABSENT and _contains(got, want),
    "contains_item": lambda got, want: isinstance(got, list) and want in got,
    "length": lambda got, want: (0 if got is ABSENT else len(got)) == want,
    "matches": lambda got, want: isinstance(got, str) and re.search(want, got) is not None,
    "gt": lambda got, want: got is not ABSENT and got > want,
    "gte": lambda got, want: got is not ABSENT and got >= want,
    "lt": lambda got, want: got is not ABSENT and got < want,
    "lte": lambda got, want: got is not ABSENT and got <= want,
    "json_equals": lambda got, want: got is not ABSENT and _parsed(got) == _parsed(want),
    "json_contains": lambda got, want: got is not ABSENT and _contains(_parsed(got), _parsed(want)),
    "json_length": lambda got, want: got is not ABSENT and len(_parsed(got)) == want,
    "keys_equal": lambda got, want: isinstance(got, dict) and sorted(got) == sorted(want),
    "is_now": lambda got, _: got == iso_milliseconds(NOW),
}


def holds(fact: Fact, got: Any) -> bool:
    """Whether a fact is true of what we have."""
    name = fact["op"]
    if name.startswith("not_"):
        return not OPERATIONS[name.removeprefix("not_")](got, expected_of(fact))
    return OPERATIONS[name](got, expected_of(fact))
