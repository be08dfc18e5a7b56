"""A trace the connector has announced is announced again to a store it was removed from: no new observation is without its trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from collector_kit import START, request, trace_id
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from operations_kit import ENRICH, NOW, StoreKit, deleted, expired, ids, verified

from openfuse_collector.config.types import Duration
from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.connectors.genai.connector import GenAIConnector
from openfuse_collector.errors import RetryableError
from openfuse_collector.pipeline.split import parts
from openfuse_collector.signals import Batch, Item, Origin, Signal
from openfuse_collector.store.projector import Projector
from openfuse_collector.store.retention import RetentionConfig
from tests.builders import batch, settings

LATER = 10**10
"""Number of a span that starts decades after the others: behind any clock a tombstone is made by."""
DAY = 86_400_000
MONTH = RetentionConfig(default=Duration(30 * 86_400))


def span_id(number: int) -> str:
    return f"{number + 1:016x}"


class Senders:
    """Requests of one trace as the pipeline has them, through one connector."""

    def __init__(self) -> None:
        self._connector = GenAIConnector(settings("genai"), GenAIConfig())

    def child(self, number: int) -> Batch:
        """A span below the root that says nothing of its trace, received when it ends."""
        made = ExportTraceServiceRequest.FromString(request(0, [number]))
        (span,) = made.resource_spans[0].scope_spans[0].spans
        del span.attributes[1]
        origin = Origin(Signal.TRACES, "otlp", START + number * 10**8 + 10**7)
        return self._connector.convert(batch(Item(origin, number, made, 100), signal=Signal.TRACES))


REMOVED: dict[str, Callable[[StoreKit], object]] = {
    "deleted": lambda kit: deleted(kit, trace_id(0)),
    "deleted with its project": lambda kit: deleted(kit, project="default"),
    "expired": lambda kit: expired(kit, MONTH, NOW + 31 * DAY),
}


@pytest.mark.parametrize("how", REMOVED)
def test_a_span_that_starts_later_brings_the_trace_with_it(kit: StoreKit, how: str) -> None:
    senders = Senders()
    with kit.exporter() as made:
        made.export(senders.child(1))
        made.export(senders.child(2))
        assert ids(kit) == {trace_id(0), span_id(1), span_id(2)}
        REMOVED[how](kit)
        assert ids(kit) == set()
        late = senders.child(LATER)
        assert [event.entity.type for event in late.items[0].data] == ["observation"], "the connector knows the trace"
        made.export(late)
        assert ids(kit) == {trace_id(0), span_id(LATER)}
        made.export(senders.child(LATER + 1))
        assert ids(kit) == {trace_id(0), span_id(LATER), span_id(LATER + 1)}
    assert verified(kit).discrepancies == 0


def test_old_spans_do_not(kit: StoreKit) -> None:
    """What started before the deletion is as old as that, whenever it comes."""
    senders = Senders()
    with kit.exporter() as made:
        made.export(senders.child(1))
        deleted(kit, trace_id(0))
        made.export(senders.child(2))
        assert trace_id(0) not in ids(kit)


def test_nothing_is_stored_twice_while_nobody_changes_the_store(kit: StoreKit) -> None:
    senders = Senders()
    with kit.exporter() as made:
        for number in range(1, 9):
            made.export(senders.child(number))
    assert kit.query("SELECT count(*) FROM raw_events WHERE entity_type = 'trace'") == [(1,)]


def test_an_announcement_is_divided_like_any_event() -> None:
    """It may be what a store refuses: its neighbours must not go with it."""
    senders = Senders()
    senders.child(1)
    (one,) = senders.child(2).items
    first, second = parts(batch(one))
    assert [[event.entity.type for event in part.items[0].data] for part in (first, second)] == [
        ["observation"],
        ["trace"],
    ]
    assert not first.items[0].announced and not second.items[0].announced


def test_what_could_not_be_written_is_announced_again() -> None:
    def unreachable(entities: object) -> dict:  # type: ignore[type-arg]
        raise RetryableError("not there")

    senders = Senders()
    (first,), (second,) = senders.child(1).items, senders.child(2).items
    projector = Projector(unreachable, ENRICH, 1 << 20)
    events = projector.with_announcements(list(first.data), first.announced)
    assert projector.with_announcements([], second.announced) == []
    with pytest.raises(RetryableError):
        projector.apply(events)
    projector.forget()
    assert projector.with_announcements([], second.announced) == second.announced
