"""Mapping kept spans again, on either store: the rows of a fresh one, and nothing deleted comes back."""

from __future__ import annotations

from contextlib import closing

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from operations_kit import ENRICH, EVERYTHING, StoreKit, deleted, ids, verified

from openfuse_collector.connectors.genai.raw_spans import remapping
from openfuse_collector.store.rebuild import Report
from tests.exporters.sqlite_kit import converted
from tests.mapping.span_requests import CHILD, ROOT, TRACE, request, span

OTHER = "2" * 32


def requests() -> list[ExportTraceServiceRequest]:
    """A trace of two spans in two requests, a trace without a root, and a span nothing can be made of."""
    child = span({"gen_ai.request.model": "gpt-4o"}, name="chat", span_id=CHILD, parent=ROOT)
    return [
        request(child, span(span_id="1" * 16, parent=ROOT, trace_id=OTHER, name="step")),
        request(span({"user.id": "u"}, name="agent")),
        request(span(span_id="")),
    ]


def upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later release: names in upper case."""
    from openfuse_collector.mapping import common, spans

    name_of = common.name_of
    monkeypatch.setattr(common, "name_of", lambda view: name_of(view).upper())
    monkeypatch.setattr(spans, "MAPPING_VERSION", 2)
    monkeypatch.setattr(spans, "_VERSION", "2")


def received(kit: StoreKit) -> None:
    with kit.exporter() as made:
        made.export(converted(requests()))


def remapped(kit: StoreKit, *, dry_run: bool = False) -> Report:
    with closing(kit.operations()) as operations:
        made = operations.rebuild(ENRICH, EVERYTHING, dry_run=dry_run)
        with operations.changing("rebuild"):
            assert list(made.remap(remapping()))
            list(made.refold())
        return made.report


def names(kit: StoreKit) -> set[str]:
    return {name for (name,) in kit.query("SELECT name FROM observations")}


def test_a_newer_mapping_of_old_spans(kit: StoreKit, monkeypatch: pytest.MonkeyPatch) -> None:
    received(kit)
    assert names(kit) == {"chat", "agent", "step"}
    assert (remapped(kit).discrepancies, remapped(kit).events) == (0, 0)
    upgrade(monkeypatch)
    dry = remapped(kit, dry_run=True)
    assert names(kit) == {"chat", "agent", "step"}
    done = remapped(kit)
    for report in (dry, done):
        assert (report.spans, report.unmapped, report.events, report.failures) == (4, 1, 4, [])
        assert (report.table("observation").checked, report.table("observation").changed) == (3, 3)
    assert names(kit) == {"CHAT", "AGENT", "STEP"}
    assert verified(kit).discrepancies == 0
    assert remapped(kit).events == 0
    received(kit)
    assert verified(kit).discrepancies == 0


@pytest.mark.parametrize("what", ["trace", "project"])
def test_spans_of_what_was_deleted_are_not_mapped_again(
    kit: StoreKit, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    received(kit)
    _ = deleted(kit, TRACE) if what == "trace" else deleted(kit, project="default")
    upgrade(monkeypatch)
    remapped(kit)
    left = {OTHER, "1" * 16} if what == "trace" else set()
    assert ids(kit) == left
    assert verified(kit).discrepancies == 0
    received(kit)
    assert ids(kit) == left
    assert verified(kit).discrepancies == 0
