"""Prints what passes, for people who are setting a pipeline up."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.exporters.debug.config import DebugConfig
from openfuse_collector.signals import Signal

METRICS = {"openfuse_debug_unprinted_batches": "Batches that could not be written to standard error."}

FACTORY = Factory(
    kind=Kind.EXPORTER,
    type="debug",
    config=DebugConfig,
    create=lazy("openfuse_collector.exporters.debug.exporter:DebugExporter"),
    signals=frozenset({Signal.TRACES, Signal.LOGS, Signal.EVENTS}),
    forwards=True,
    metrics=METRICS,
)
