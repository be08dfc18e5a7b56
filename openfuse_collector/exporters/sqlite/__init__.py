"""The embedded store."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.signals import Signal

FACTORY = Factory(
    kind=Kind.EXPORTER,
    type="sqlite",
    config=SqliteConfig,
    create=lazy("openfuse_collector.exporters.sqlite.exporter:SqliteExporter"),
    signals=frozenset({Signal.EVENTS}),
    metrics={
        "openfuse_store_written_rows": "Rows committed, by table.",
        "openfuse_store_duplicate_events": "Events that were already stored.",
    },
)
