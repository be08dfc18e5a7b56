"""What has to hold for any body whatsoever: it is refused as a whole with a reason, or every item of it is accounted for."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from google.protobuf.message import DecodeError

from openfuse_collector.enrich import enrich
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.reference import fold
from openfuse_collector.events.rows import raw_row, row
from openfuse_collector.mapping import map_logs, map_traces
from openfuse_collector.pdata import otlp_json, otlp_protobuf
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.pdata.exports import Export, read_export
from openfuse_collector.pdata.forms import Form
from openfuse_collector.signals import Origin, Signal

RECEIVED_AT = 1_795_000_005_000_000_000
DECODERS = {"protobuf": otlp_protobuf.decode, "json": otlp_json.decode}
_INT64 = range(-(2**63), 2**63)


def check(body: bytes, form: Form, encoding: str, *, thorough: bool) -> str:
    """Send a body through decoding, mapping, fold, enrichment and rows; gives what became of it in one word.

    `refused`, `partial` or `accepted`. Raises AssertionError, or whatever escapes. `thorough` also holds the fold against
    the plain sequential one and maps a second time.
    """
    try:
        export = read_export(body, form, DECODERS[encoding])
    except BadDataError as error:
        assert str(error), "refused without a reason"
        return "refused"
    assert not export.rejected or export.message, "items left out without a word"
    sent = _items_in(body, form, encoding)
    assert sent is None or sent == export.items + export.refused, (
        f"{sent} sent, {export.items} + {export.refused} known"
    )
    assert _written(form.request.FromString(export.payload)) == _written(export.request), (
        "journalled otherwise than mapped"
    )
    events = _events(export)
    if thorough:
        assert list(map(raw_row, events)) == list(map(raw_row, _events(export))), "mapped differently twice"
    check_rows(events, thorough)
    return "partial" if export.rejected else "accepted"


def _items_in(body: bytes, form: Form, encoding: str) -> int | None:
    """How many items a body holds as another reader counts them; None where only this project's can read it."""
    if encoding == "protobuf":
        try:
            return sum(len(group) for group in form.groups(form.request.FromString(body)))
        except DecodeError:
            return None
    try:
        resources = json.loads(body).get(form.json.resources) or []
        scopes = [scope for group in resources if group for scope in group.get(form.json.scopes) or [] if scope]
        return sum(len(scope.get(form.json.items) or []) for scope in scopes)
    except (ValueError, TypeError, AttributeError):
        return None


def _events(export: Export) -> list[Event]:
    """The events of an export, every item of which gave one or is a failure."""
    origin = Origin(export.form.signal, "otlp", RECEIVED_AT)
    if export.form.signal == Signal.TRACES:
        events, failures = map_traces(export.request, origin)
        observed = sum(event.entity.type == "observation" and not event.remark for event in events)
        assert observed + len(failures) == export.items, (
            f"{export.items} spans, {observed} events, {len(failures)} failures"
        )
    else:
        events, failures, filtered = map_logs(export.request, origin)
        assert len(events) + len(failures) + filtered == export.items
    assert not failures, f"{failures[0].path}: {failures[0].reason}"
    return events


def _written(request: Any) -> bytes:
    """Messages with a NaN differ from themselves, their bytes do not."""
    written: bytes = request.SerializeToString(deterministic=True)
    return written


def check_rows(events: list[Event], thorough: bool) -> None:
    """Every event and what its entity folds to can be written to a store; `thorough` compares with the reference fold."""
    grouped: dict[Entity, list[Event]] = defaultdict(list)
    for event in events:
        grouped[event.entity].append(event)
        _check_scalars(raw_row(event))
    for entity, group in grouped.items():
        accumulator = Accumulator()
        for event in group:
            accumulator.apply(event)
        record = accumulator.record()
        if all(event.remark for event in group):
            assert record is None and fold(group) is None, f"a remark alone makes {entity}"
            continue
        assert record is not None, f"nothing stored of {entity}"
        if thorough:
            assert row(entity.type, record) == row(entity.type, fold(group) or {}), (
                "the fold differs from the reference"
            )
        written = row(entity.type, enrich(entity.type, accumulator.record() or {}))
        _check_scalars(tuple(written.values()))
        for column in ("metadata", "usage_details", "tags", "tool_calls"):
            json.loads(str(written.get(column) or "{}"))


def _check_scalars(values: tuple[Any, ...]) -> None:
    """What SQLite and GreptimeDB take: 64-bit integers, finite numbers, text that is UTF-8 and has no NUL."""
    for value in values:
        if isinstance(value, str):
            value.encode()
            assert "\0" not in value
        elif isinstance(value, int):
            assert value in _INT64
        elif isinstance(value, float):
            assert value - value == 0, "not finite"
        else:
            assert value is None, f"{type(value)} in a row"
