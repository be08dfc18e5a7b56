"""The `genai` connector: maps each request of a batch and hands its events on under the same delivery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import Counter

from openfuse_collector.component import Settings
from openfuse_collector.connectors.genai import (
    CONSUMED_RECORDS,
    CONSUMED_SPANS,
    EMITTED,
    FAILED_RECORDS,
    FAILED_SPANS,
    FILTERED_RECORDS,
    METRICS,
    SUPPRESSED,
    TRUNCATED,
)
from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.connectors.genai.long_values import without_long_values
from openfuse_collector.connectors.genai.raw_spans import raw_spans
from openfuse_collector.events.event import Event
from openfuse_collector.mapping import Failure, map_logs, map_traces
from openfuse_collector.pipeline.count import count_items
from openfuse_collector.signals import COUNTED, Batch, Item, Signal
from openfuse_collector.store.sightings import Sightings
from openfuse_collector.telemetry.limited import Limited


class GenAIConnector:
    """Traces and logs to events. Mapping is pure; the only state is which traces have been announced, an optimisation."""

    def __init__(self, settings: Settings, config: GenAIConfig) -> None:
        self._log = Limited(settings.log)
        self._sightings = Sightings(config.remembered_traces)
        self._keep_spans = config.raw_spans
        self._dead_letters = settings.dead_letters
        connector = self._id = str(settings.id)

        def counter(name: str) -> Counter:
            return settings.metrics.counter(name, METRICS[name], ["connector"]).labels(connector)

        self._failed = {Signal.TRACES: counter(FAILED_SPANS), Signal.LOGS: counter(FAILED_RECORDS)}
        self._consumed = {Signal.TRACES: counter(CONSUMED_SPANS), Signal.LOGS: counter(CONSUMED_RECORDS)}
        self._emitted = counter(EMITTED)
        self._filtered = counter(FILTERED_RECORDS)
        self._suppressed = counter(SUPPRESSED)
        self._truncated = counter(TRUNCATED)
        self._longest = config.max_attribute_value_bytes
        self._convert: dict[Signal, Callable[[Item, str], Item]] = {
            Signal.TRACES: self._events_of_spans,
            Signal.LOGS: self._events_of_records,
        }

    async def start(self) -> None:
        """Nothing to prepare."""

    async def shutdown(self) -> None:
        """Nothing to release."""

    def convert(self, batch: Batch) -> Batch:
        """The batch with events in place of spans or log records: one item per request, same origin, position and delivery."""
        events_of = self._convert[batch.signal]
        try:
            items = [events_of(self._bounded(item), batch.pipeline) for item in batch.items]
        except BaseException:
            self._sightings.forget()  # what was let through of this batch has gone nowhere
            raise
        self._consumed[batch.signal].inc(sum(map(count_items, batch.items)))
        self._emitted.inc(sum(map(count_items, items)))
        return Batch(Signal.EVENTS, items, batch.pipeline, batch.end, batch.delivery)

    def _bounded(self, item: Item) -> Item:
        """The item within the bounds of `long_values`. A request smaller than the bound of a value has none beyond it, so most are not
        searched for one."""
        data, cut = without_long_values(item.data, self._longest if self._longest < item.size else 0)
        if not cut:
            return item
        self._truncated.inc(len(cut))
        self._log.warning(
            "cut",
            "attribute values cut",
            values=len(cut),
            first=cut[0],
            project=item.origin.project_id,
            limit=self._longest,
        )
        return msgspec.structs.replace(item, data=data)

    def _events_of_spans(self, item: Item, pipeline: str) -> Item:
        events, failures = map_traces(item.data, item.origin)
        if failures:
            self._set_aside(item, pipeline, failures, Signal.TRACES, ExportTraceServiceRequest())
        spans = raw_spans(item.data) if self._keep_spans else ()
        events, announced = self._without_known_sightings(events)
        return msgspec.structs.replace(item, data=events, spans=spans, announced=announced)

    def _events_of_records(self, item: Item, pipeline: str) -> Item:
        events, failures, filtered = map_logs(item.data, item.origin)
        if failures:
            self._set_aside(item, pipeline, failures, Signal.LOGS, ExportLogsServiceRequest())
        self._filtered.inc(filtered)
        return msgspec.structs.replace(item, data=events)

    def _without_known_sightings(self, events: list[Event]) -> tuple[list[Event], Sequence[Event]]:
        """Events that may be news, and those that are none as far as is known here: only stores know of deletions."""
        if not events or not events[-1].shallow:  # mapping puts shallow events last
            return events, ()
        kept: list[Event] = []
        announced: list[Event] = []
        for event in events:
            (kept if not event.shallow or self._sightings.is_news(event) else announced).append(event)
        self._suppressed.inc(len(announced))
        return kept, announced

    def _set_aside(self, item: Item, pipeline: str, failures: Sequence[Failure], signal: Signal, unmapped: Any) -> None:
        """What could not be mapped of a request becomes one dead letter; `unmapped` is the empty request to put it in."""
        count, counted = len(failures), COUNTED[signal]
        what = counted.replace("_", " ")
        self._failed[signal].inc(count)
        where = {"first": failures[0].path, "project": item.origin.project_id}
        self._log.error(what, f"{what} not mapped", **{counted: count}, **where)
        for failure in failures:
            unmapped.MergeFrom(failure.request)
        reason = f"{count} {what} not mapped, the first: {failures[0].reason}"
        self._dead_letters.add(item, pipeline, self._id, reason, signal, unmapped)
