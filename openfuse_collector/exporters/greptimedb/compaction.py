"""Merging the files of a table: into one for each window of time, with windows so wide that all of its data is in few of them.

With windows of a day, two years of data are 730 files in every region, and a region of more than 384 files cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from openfuse_collector.config.types import Duration
from openfuse_collector.exporters.greptimedb import ddl
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.greptimedb.sql import SqlClient

PATIENCE = 3600.0
"""Seconds to wait for one statement that merges files: it takes as long as the table is large."""
FEW = 100
"""Files of a region that are left at most. Fewer where the bound of the warning is below twice as many."""
DAY = 86_400
_NANOSECONDS = 10**9

Times = tuple[int, int]
"""The least and the greatest time in a file, in nanoseconds."""


def compact(config: GreptimedbConfig, table: str) -> None:
    """Flush a table and merge its files, after many rows were written or deleted. Raises CallError."""
    with SqlClient(replace(config, timeout=Duration(PATIENCE))) as client:
        client.run(f"ADMIN flush_table({ddl.literal(table)})")
        client.run(statement(client, config, table))


def statement(client: SqlClient, config: GreptimedbConfig, table: str) -> str:
    """What merges the files a table has now. Raises CallError."""
    most = min(FEW, max(2, config.maintenance.warn_at_files // 2))
    window = DAY * days(times(client, config.database, table), most)
    return f"ADMIN compact_table({ddl.literal(table)}, 'strict_window', '{window}')"


def times(client: SqlClient, database: str, table: str) -> list[Times]:
    """Those of all files of a table. From the manifest, for a table that has too many files answers no query. Raises CallError."""
    named = f"table_schema = {ddl.literal(database)} AND table_name = {ddl.literal(table)}"
    found = client.rows(ddl.select(("table_id",), "information_schema.tables", named))
    of_table = f"table_id IN ({', '.join(str(int(id)) for (id,) in found) or 'NULL'})"
    files = client.rows(ddl.select(("min_ts", "max_ts"), "information_schema.ssts_manifest", of_table))
    return [(first, last) for first, last in files if first is not None and last is not None]


def days(files: Iterable[Times], most: int = FEW) -> int:
    """Length of a window, so that files with these times become at most so many, two or more. One day where that is enough."""
    length, ordered = 1, sorted(files)
    while (count := windows(ordered, length)) > most:
        length = -(-length * count // most)  # rounded up, so it grows
    return length


def windows(files: Iterable[Times], length: int) -> int:
    """How many windows of so many days the files, in order, are in.

    They begin at multiples of their length from 1970 on, and a file is merged into all that its times reach into, with rows there or not
    (GreptimeDB, mito2/src/compaction/window.rs).
    """
    window = length * DAY * _NANOSECONDS
    count, reached = 0, None
    for first, last in files:
        begin, end = first // window, last // window
        if reached is not None:
            begin = max(begin, reached + 1)
        count += max(0, end + 1 - begin)
        reached = end if reached is None else max(reached, end)
    return count
