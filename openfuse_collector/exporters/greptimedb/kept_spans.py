"""Kept spans read back, to be mapped again. The table refuses deletes and keeps copies: of one source the earliest counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from openfuse_collector.events.event import TOMBSTONE, Entity
from openfuse_collector.exporters.greptimedb import probe
from openfuse_collector.exporters.greptimedb.ddl import quoted, select
from openfuse_collector.exporters.greptimedb.probe import Ask
from openfuse_collector.exporters.greptimedb.schema import RAW_SPANS
from openfuse_collector.signals import Origin, Signal
from openfuse_collector.store.remap import KeptSpan

_COLUMNS = (
    *("trace_id", "source", "received_at", "project_id", "receiver", "public_key", "sdk_name", "sdk_version"),
    "payload",
)


def kept_spans(ask: Ask, traces: Sequence[Entity]) -> Iterator[KeptSpan]:
    """The spans of traces, without those that were received before their trace was deleted. Raises CallError."""
    deleted = {
        entity.id: max((event.ingested_at for event in events if event.type == TOMBSTONE), default=-1)
        for entity, events in probe.history(ask, traces).items()
    }
    parts = list(probe.parts(traces))
    columns = list(map(quoted, _COLUMNS))
    queries = [
        select(columns, quoted(RAW_SPANS.name), probe.these(project, "trace_id", named)) for project, _, named in parts
    ]
    for answer in ask(queries):
        seen: set[tuple[str, str]] = set()
        for trace_id, source, received_at, project, receiver, key, name, version, payload in sorted(answer, key=_age):
            if (trace_id, source) in seen or received_at // 1_000_000 <= deleted.get(trace_id, -1):
                continue
            seen.add((trace_id, source))
            yield (
                source,
                trace_id,
                bytes(payload),
                Origin(Signal.TRACES, receiver, received_at, project, key, name, version),
            )


def _age(row: list[object]) -> tuple[object, object]:
    return row[2], row[1]
