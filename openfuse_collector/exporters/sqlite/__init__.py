"""The embedded store."""

from openfuse_collector.component import Factory, Kind
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.signals import Signal

FACTORY = Factory(
    kind=Kind.EXPORTER,
    type="sqlite",
    config=SqliteConfig,
    create=SqliteExporter,
    signals=frozenset({Signal.EVENTS}),
    metrics={
        "openfuse_store_written_rows": "Rows committed, by table.",
        "openfuse_store_duplicate_events": "Events that were already stored.",
    },
)
