"""The `genai` connector: maps each request of a batch and hands its events on under the same delivery."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.component import Settings
from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.connectors.genai.sightings import Sightings
from openfuse_collector.events.event import Event
from openfuse_collector.mapping import Failure, map_traces
from openfuse_collector.signals import Batch, Item, Signal

FAILED_SPANS = "openfuse_connector_failed_spans"
SUPPRESSED = "openfuse_connector_suppressed_events"
METRICS = {
    FAILED_SPANS: "Spans that could not be mapped to events.",
    SUPPRESSED: "Shallow trace events that said nothing new.",
}


class GenAIConnector:
    """Traces to events. Mapping is pure; the only state is which traces have been announced, an optimisation."""

    def __init__(self, settings: Settings, config: GenAIConfig) -> None:
        self._log = settings.log
        self._sightings = Sightings(config.remembered_traces)
        self._dead_letters = settings.dead_letters
        connector = self._id = str(settings.id)
        self._failed = settings.metrics.counter(FAILED_SPANS, METRICS[FAILED_SPANS], ["connector"]).labels(connector)
        self._suppressed = settings.metrics.counter(SUPPRESSED, METRICS[SUPPRESSED], ["connector"]).labels(connector)

    async def start(self) -> None:
        """Nothing to prepare."""

    async def shutdown(self) -> None:
        """Nothing to release."""

    def convert(self, batch: Batch) -> Batch:
        """The batch with events in place of spans: one item per request, same origin, position and delivery."""
        items = [self._events_of(item, batch.pipeline) for item in batch.items]
        return Batch(Signal.EVENTS, items, batch.pipeline, batch.end, batch.delivery)

    def _events_of(self, item: Item, pipeline: str) -> Item:
        events, failures = map_traces(item.data, item.origin)
        if failures:
            self._set_aside(item, pipeline, failures)
        return msgspec.structs.replace(item, data=self._without_known_sightings(events))

    def _without_known_sightings(self, events: list[Event]) -> list[Event]:
        if not events or not events[-1].shallow:  # mapping puts shallow events last
            return events
        kept = [event for event in events if not event.shallow or self._sightings.is_news(event)]
        self._suppressed.inc(len(events) - len(kept))
        return kept

    def _set_aside(self, item: Item, pipeline: str, failures: Sequence[Failure]) -> None:
        """The spans of a request that could not be mapped become one dead letter."""
        self._failed.inc(len(failures))
        self._log.error("spans not mapped", spans=len(failures), first=failures[0].path, project=item.origin.project_id)
        unmapped = ExportTraceServiceRequest()
        for failure in failures:
            unmapped.MergeFrom(failure.request)
        reason = f"{len(failures)} spans not mapped, the first: {failures[0].reason}"
        self._dead_letters.add(item, pipeline, self._id, reason, Signal.TRACES, unmapped)
