"""Judges of the ingestion API: event schemas, batches, sampling, attribution, ids of OTLP requests."""

from __future__ import annotations

import json
from typing import Any

from openfuse_collector.auth import Scope
from openfuse_collector.events.event import Entity
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.faults import reject_faulty, span_fault
from openfuse_collector.pdata.otlp_json import decode_traces
from openfuse_collector.receivers.langfuse.ingestion import accept
from openfuse_collector.receivers.langfuse.sampling import is_kept, trace_id_of
from openfuse_collector.receivers.langfuse.schemas.envelope import read_envelope
from openfuse_collector.receivers.langfuse.schemas.fields import environment
from openfuse_collector.receivers.langfuse.schemas.issues import MISSING
from openfuse_collector.receivers.requests.sdk import sdk_of
from tests.conformance.case_files import UNDEFINED
from tests.conformance.outcomes import Case, Difference, differing

RECEIVED = 1_795_000_000_123_456_789
"""Epoch nanoseconds at which batches of cases arrive; no case depends on it."""


def schema_validation(case: Case) -> list[Difference]:
    """An event is read in the recorded normal form, or refused with the recorded issues."""
    read = read_envelope(case["event"])
    if isinstance(read, list):
        issues = [{**issue, "path": ".".join(map(str, issue["path"]))} for issue in read]
        told = [{key: issue[key] for key in ("path", "code", "message")} for issue in issues]
        return differing(valid=(case["valid"], False)) or differing(issues=(case["issues"], told))
    parsed = {name: value for name, value in read._asdict().items() if value is not MISSING}
    return differing(valid=(case["valid"], True)) or differing(parsed=(case["parsed"], parsed))


def normalised_environment(case: Case) -> list[Difference]:
    """An environment becomes the recorded one."""
    value = MISSING if case["input"] == UNDEFINED else case["input"]
    return differing(environment=(case["expected"], environment(value, (), [])))


def process_batch(case: Case) -> list[Difference]:
    """The response word for word; and what Langfuse uploads is what we keep, but for bodies without id, which it loses."""
    accepted = accept(case["batch"], "proj-1", RECEIVED, Scope(case["access_level"]))
    groups: dict[Entity, list[str]] = {}
    for event in accepted.events:
        groups.setdefault(event.entity, []).append(event.id)
    with_id = {event["id"] for event in case["batch"] if event["body"].get("id")}
    stored = [ids for ids in groups.values() if with_id.issuperset(ids)]
    uploads = [upload["event_ids"] for upload in case["expected_uploads"]]
    return differing(response=(case["expected_response"], accepted.response), uploads=(uploads, stored))


def sampling(case: Case) -> list[Difference]:
    """The same traces are in a sample."""
    rate, event = case["rate"], case["event"]
    kept = rate is None or is_kept(trace_id_of(event["type"], event["body"]), rate)
    return differing(isSampled=(case["expected"]["isSampled"], kept))


def sdk_attribution(case: Case) -> list[Difference]:
    """The same name and version of an SDK are read from headers."""
    expected, (name, version) = case["expected"], sdk_of(case["headers"])
    return differing(
        ingestionSdkName=(expected["ingestionSdkName"], name),
        ingestionSdkVersion=(expected["ingestionSdkVersion"], version),
    )


def otlp_id_validation(case: Case) -> list[Difference]:
    """As many spans are refused, and requests whose lists are none are refused whole."""
    expected = case["expected"]
    broken = expected["malformedCollectionCount"] > 0
    try:
        kept, refused = _spans_of(case["resource_spans"])
    except BadDataError:
        return differing(refused_whole=(broken, True))
    counts = (expected["totalSpanCount"], expected["invalidSpanCount"])
    return differing(refused_whole=(broken, False)) or differing(spans=(counts, (kept + refused, refused)))


def _spans_of(resource_spans: Any) -> tuple[int, int]:
    """Spans of an OTLP/JSON request that are taken, and that are refused. Raises BadDataError."""
    decoded = decode_traces(json.dumps({"resourceSpans": resource_spans}).encode())
    groups = [scope.spans for resource in decoded.request.resource_spans for scope in resource.scope_spans]
    kept, faulty = reject_faulty(groups, span_fault)
    return kept, sum(decoded.rejected.values()) + faulty.total()
