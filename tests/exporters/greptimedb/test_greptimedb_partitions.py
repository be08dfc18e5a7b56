"""Partitions: every id is in one, tables are divided by what tells entities apart, and the divided schema is the schema."""

from __future__ import annotations

import pytest
from greptimedb_kit import Server

from openfuse_collector.exporters.greptimedb import migrations
from openfuse_collector.exporters.greptimedb.partitions import COUNTS, partition_column, ranges
from openfuse_collector.exporters.greptimedb.schema import LEDGER, TABLES, Table

UNDIVIDED = {
    *(
        "project_tombstones",
        "openfuse_expired",
        "openfuse_settle_marks",
        "openfuse_store_epoch",
        "openfuse_dead_letters",
    ),
    LEDGER.name,
}
"""A few rows each, and not by entity."""


@pytest.mark.parametrize("count", COUNTS)
def test_partitions_cover_every_id_once(count: int) -> None:
    conditions = (
        [condition.replace("`id`", "id").replace("AND", "and") for condition in ranges("`id`", count)]
        if count > 1
        else []
    )
    for id in ("", "00ff", "3fff", "4", "9", "ab", "cm4x", "f", "zebra", "Ä", "A-1", "~"):
        assert sum(bool(eval(condition, {"id": id})) for condition in conditions) == (1 if count > 1 else 0)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_tables_are_divided_by_a_column_of_their_key_or_not_at_all(table: Table) -> None:
    column = partition_column(table)
    assert column in table.primary_key or (column is None and table.name in UNDIVIDED)


def test_a_divided_schema_is_the_schema(server: Server) -> None:
    migrations.apply(server.sql, server.config(), "one", partitions=4)
    assert list(migrations.differences(server.sql, server.database)) == []
    divided = "PARTITION ON COLUMNS"
    made = {table: server.sql.rows(f"SHOW CREATE TABLE `{table}`")[0][1] for table in TABLES}
    assert {table for table in made if divided not in made[table]} == UNDIVIDED
