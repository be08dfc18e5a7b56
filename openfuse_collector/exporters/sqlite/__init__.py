"""The embedded store."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.signals import Signal

FACTORY = Factory(
    kind=Kind.EXPORTER,
    type="sqlite",
    config=SqliteConfig,
    create=lazy("openfuse_collector.exporters.sqlite.exporter:SqliteExporter"),
    operations=lazy("openfuse_collector.exporters.sqlite.operations:SqliteOperations"),
    signals=frozenset({Signal.EVENTS}),
    metrics={
        "openfuse_store_written_rows": "Rows committed, by table.",
        "openfuse_store_duplicate_events": "Events that were already stored.",
        "openfuse_store_expired_rows": "Rows removed by retention, by table.",
    },
)
