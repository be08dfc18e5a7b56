"""The store for what one machine cannot hold: GreptimeDB, in the tables Openfuse reads."""

from openfuse_collector.component import Factory, Kind, lazy
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.signals import Signal

FACTORY = Factory(
    kind=Kind.EXPORTER,
    type="greptimedb",
    config=GreptimedbConfig,
    create=lazy("openfuse_collector.exporters.greptimedb.exporter:GreptimedbExporter"),
    durable=False,  # a write is in the memory of the server before it is on disk
    operations=lazy("openfuse_collector.exporters.greptimedb.operations:GreptimedbOperations"),
    signals=frozenset({Signal.EVENTS}),
    metrics={
        "openfuse_store_written_rows": "Rows the server has accepted, by table.",
        "openfuse_store_duplicate_events": "Events that were already stored.",
        "openfuse_store_expired_rows": "Rows removed by retention, by table.",
        "openfuse_greptimedb_call_seconds": "Time of one gRPC call that succeeded, by table.",
        "openfuse_greptimedb_encode_cpu_seconds": "CPU time of the threads that convert and encode rows.",
        "openfuse_greptimedb_failed_exports": "Attempts at a batch that failed, by cause.",
        "openfuse_greptimedb_replaced_rows": "Rows removed because their entity moved in time, was cleared or deleted.",
        "openfuse_greptimedb_files": "Files of the region that has most of them, by table.",
        "openfuse_settle_checked": "Entities gone over some time after they were written.",
        "openfuse_settle_refolded": "Entities whose rows were wrong and made again.",
        "openfuse_settle_missing": "Entities of which the store has lost events it had accepted.",
        "openfuse_settle_waiting": "Entities that are waiting to be gone over.",
    },
)
