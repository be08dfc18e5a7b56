"""What a database knows of its tables: columns, keys, time index, indexes and options."""

from __future__ import annotations

import msgspec

from tests.greptimedb_double.datatypes import DataType
from tests.greptimedb_double.status import invalid

TABLE_OPTIONS = frozenset(
    [
        "ttl",
        "append_mode",
        "merge_mode",
        "sst_format",
        "skip_wal",
        "comment",
        "storage",
        "compaction.type",
        "compaction.twcs.trigger_file_num",
        "compaction.twcs.time_window",
        "compaction.twcs.max_output_file_size",
        "memtable.type",
        "write_buffer_size",
        "auto_flush_interval",
        "max_row_group_row_count",
    ]
)


class Column(msgspec.Struct, frozen=True):
    """`indexes` maps INVERTED, SKIPPING or FULLTEXT to its options; `default` is the SQL text after DEFAULT."""

    name: str
    type: DataType
    nullable: bool = True
    default: str | None = None
    indexes: dict[str, dict[str, str]] = {}
    comment: str | None = None


class Table(msgspec.Struct, frozen=True):
    """A mito table. Rows are the same row when primary key and time index are."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    time_index: str
    options: dict[str, str] = {}
    table_id: int = 0
    partitions: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        return (*self.primary_key, self.time_index)

    @property
    def append_mode(self) -> bool:
        return self.options.get("append_mode", "false").lower() == "true"

    @property
    def last_non_null(self) -> bool:
        return self.options.get("merge_mode") == "last_non_null"

    @property
    def ticks(self) -> int:
        """Of the time index, in a second."""
        column = self.column(self.time_index)
        assert column is not None and column.type.unit is not None
        return column.type.unit

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def semantic(self, name: str) -> str:
        """TAG, FIELD or TIMESTAMP."""
        return "TIMESTAMP" if name == self.time_index else "TAG" if name in self.primary_key else "FIELD"

    def replacing(self, column: Column) -> Table:
        """The table with the column of that name changed."""
        columns = tuple(column if old.name == column.name else old for old in self.columns)
        return msgspec.structs.replace(self, columns=columns)


def checked(table: Table) -> Table:
    """The table as the server would create it. Raises InvalidArguments where its rules forbid it."""
    names = [column.name for column in table.columns]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise invalid(f"Duplicate columns in table {table.name}: {sorted(repeated)}")
    for name in table.key:
        if name not in names:
            raise invalid(f"Column {name} not found in the definition of {table.name}")
    if table.time_index in table.primary_key:
        raise invalid(f"Time index {table.time_index} cannot be part of the primary key")
    _check_options(table)
    index = table.column(table.time_index)
    if index is None or index.type.unit is None:
        raise invalid(f"Column {table.time_index} of the time index must be a timestamp")
    return table.replacing(msgspec.structs.replace(index, nullable=False))


def _check_options(table: Table) -> None:
    for key in table.options:
        if key not in TABLE_OPTIONS:
            raise invalid(f"Unrecognized table option key: {key}")
    if table.append_mode and table.last_non_null:
        raise invalid("merge_mode last_non_null is not allowed when append_mode is enabled")
    if table.options.get("merge_mode", "last_row") not in ("last_row", "last_non_null"):
        raise invalid(f"Unknown merge_mode: {table.options['merge_mode']}")
