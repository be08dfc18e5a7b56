"""The schema: that of Openfuse to the letter, created once by whoever comes first, and what is missing added to what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from greptimedb_kit import Server

from openfuse_collector.cli.schema import schema
from openfuse_collector.events.columns import COLUMNS, PROJECTIONS, TIME_COLUMN
from openfuse_collector.exporters.greptimedb import ddl, migrations
from openfuse_collector.exporters.greptimedb.inventory import _kinds, _options
from openfuse_collector.exporters.greptimedb.schema import (
    LEDGER,
    OPENFUSE_TABLES,
    OWN_TABLES,
    TABLES,
    Column,
    Table,
)
from openfuse_collector.exporters.greptimedb.side_tables import EMPTIED, SIDE_TABLES
from tests.events.shared_cases import SHARED, needs_shared

SPEC = SHARED / "spec" / "openfuse_schema.json"


@needs_shared
@pytest.mark.shared
def test_tables_columns_keys_indexes_and_options_are_those_of_openfuse() -> None:
    spec = json.loads(SPEC.read_text())
    assert [table.name for table in OPENFUSE_TABLES] == spec["table_order"]
    for table in OPENFUSE_TABLES:
        wanted = spec["tables"][table.name]
        assert table.time_index == wanted["time_index"]
        assert list(table.primary_key) == wanted["primary_key"]
        assert ddl._OPTIONS[table.append] == wanted["options"]
        columns = [(name, _facts(column)) for name, column in wanted["columns"].items()]
        assert [(column.name, _own_facts(column)) for column in table.columns] == columns, table.name


def _facts(column: dict[str, Any]) -> tuple[Any, ...]:
    default = "" if column["default"] is None else json.dumps(column["default"])
    return column["type"], column["nullable"], default, [_index(index) for index in column["indexes"]]


def _index(index: dict[str, Any]) -> tuple[str, str]:
    detail = {"SKIPPING": "" if "note" in index else str(index.get("granularity")), "FULLTEXT": index.get("backend")}
    return index["kind"], str(detail.get(index["kind"], ""))


def _own_facts(column: Column) -> tuple[Any, ...]:
    details = {"1024": "1024", "backend = 'bloom'": "bloom"}
    indexes = [
        (sql.split()[0], next((detail for text, detail in details.items() if text in sql), ""))
        for sql in column.indexes
    ]
    return column.type, column.nullable, column.default, indexes


@pytest.mark.parametrize("entity_type", PROJECTIONS)
def test_projections_have_the_columns_the_fold_makes_in_their_order(entity_type: str) -> None:
    table = TABLES[PROJECTIONS[entity_type]]
    assert tuple(column.name for column in table.columns) == COLUMNS[entity_type]
    assert table.time_index == TIME_COLUMN[entity_type]


def test_every_side_table_is_written_or_at_least_emptied() -> None:
    sides = {table.name for table in OPENFUSE_TABLES if "entity_id" in table.primary_key} - {"raw_events"}
    assert {name for names in EMPTIED.values() for name in names} == sides
    assert sides - {side.name for written in SIDE_TABLES.values() for side in written} == {
        "observations_tags",
        "scores_tags",
    }


def test_applying_twice_changes_nothing_the_second_time(server: Server) -> None:
    config = server.config()
    assert migrations.apply(server.sql, config, "one") > len(TABLES)
    assert list(migrations.differences(server.sql, server.database)) == []
    assert migrations.apply(server.sql, config, "two") == 0
    assert [row["collector"] for row in server.table(LEDGER.name)] == ["one"]


def test_what_the_ledger_has_is_not_looked_at_again(server: Server) -> None:
    config = server.config()
    assert migrations.ensure(server.sql, config, "one") > 0
    server.sql.run("DROP TABLE traces")
    assert migrations.ensure(server.sql, config, "one") == 0
    assert [difference.what for difference in migrations.differences(server.sql, server.database)] == [
        "table traces is missing"
    ]
    assert migrations.apply(server.sql, config, "one") == 1


def test_several_collectors_may_create_the_schema_at_once(server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda name: migrations.ensure(server.sql, server.config(), name), "abcd")
    assert max(done) > 0
    assert list(migrations.differences(server.sql, server.database)) == []


def test_tables_of_an_older_openfuse_gain_what_they_lack(server: Server) -> None:
    """Before its migration 0010 there were no generations."""
    server.sql.run(ddl.create_database(server.database), "public")
    for table in OPENFUSE_TABLES:
        columns = tuple(column for column in table.columns if "generation" not in column.name)
        for statement in ddl.creation(table._replace(columns=columns)):
            server.sql.run(statement)
    added = migrations.apply(server.sql, server.config(), "one")
    own = sum(len(list(ddl.creation(table))) for table in (*OWN_TABLES, LEDGER))
    assert added == own + sum(
        column.name.endswith("generation") for table in OPENFUSE_TABLES for column in table.columns
    )
    assert list(migrations.differences(server.sql, server.database)) == []


def test_openfuses_own_statements_still_pass_after_ours(server: Server) -> None:
    """Its runner runs everything again on every start and lets only "column exists" pass."""
    migrations.apply(server.sql, server.config(), "one")
    for table in OPENFUSE_TABLES:
        server.sql.run(ddl.create_table(table))
        for column in table.columns:
            for index in column.indexes:
                server.sql.run(ddl.set_index(table, column, index))
    assert list(migrations.differences(server.sql, server.database)) == []


def test_a_column_of_another_kind_is_reported_and_left_alone(server: Server) -> None:
    server.sql.run(ddl.create_database(server.database), "public")
    wrong = Table("scores", "timestamp", ("project_id",), TABLES["scores"].columns)
    server.sql.run(ddl.create_table(wrong))
    migrations.apply(server.sql, server.config(), "one")
    assert list(migrations.differences(server.sql, server.database)) == [
        ("column scores.id is FIELD, not TAG: it cannot be changed", None)
    ]


def test_indexes_that_an_older_openfuse_had_not_yet_are_reported_and_added(server: Server) -> None:
    """Before its migrations 0004 to 0007 there were inverted indexes of side tables only."""
    server.sql.run(ddl.create_database(server.database), "public")
    expected = set()
    for table in OPENFUSE_TABLES:
        server.sql.run(ddl.create_table(table._replace(columns=tuple(c._replace(indexes=()) for c in table.columns))))
        expected |= {
            f"column {table.name}.{column.name} has no {index.split()[0]} index"
            for column in table.columns
            for index in column.indexes
        }
    found = list(migrations.differences(server.sql, server.database))
    assert {difference.what for difference in found if "index" in difference.what} == expected
    server.sql.run(next(found_.statement for found_ in found if found_.what.startswith("column traces.input")) or "")
    assert migrations.apply(server.sql, server.config(), "one") > len(expected)
    assert list(migrations.differences(server.sql, server.database)) == []


def test_another_index_beside_ours_is_nobodys_business(server: Server) -> None:
    migrations.apply(server.sql, server.config(), "one")
    server.sql.run("ALTER TABLE `traces` MODIFY COLUMN `name` SET SKIPPING INDEX")
    server.sql.run("ALTER TABLE `traces` ADD COLUMN `mine` STRING NULL")
    assert list(migrations.differences(server.sql, server.database)) == []


@pytest.mark.parametrize(
    ("constraints", "kinds"),
    [
        ("INVERTED INDEX", {"INVERTED"}),
        ("PRIMARY, INVERTED INDEX", {"INVERTED"}),
        ("SKIPPING INDEX, FULLTEXT INDEX", {"SKIPPING", "FULLTEXT"}),
        ("TIME INDEX", set()),
    ],
)
def test_indexes_are_read_one_by_one_or_several_in_a_text(constraints: str, kinds: set[str]) -> None:
    assert set(_kinds(constraints)) == kinds


@pytest.mark.parametrize(
    "text",
    [
        "append_mode=true ttl=7days",
        "CREATE TABLE `t` (\n  `a` STRING DEFAULT 'x=y'\n)\nENGINE=mito\nWITH(\n  append_mode = 'true',\n  'ttl' = '7days'\n)",
    ],
)
def test_options_are_read_wherever_the_server_states_them(text: str) -> None:
    assert {"append_mode=true", "ttl=7days"} <= _options(text)


def test_types_and_ways_of_merging_are_compared(server: Server) -> None:
    server.sql.run(ddl.create_database(server.database), "public")
    scores, raw = TABLES["scores"], TABLES["raw_events"]
    columns = tuple(c._replace(type="STRING") if c.name == "value" else c for c in scores.columns)
    server.sql.run(ddl.create_table(scores._replace(columns=columns)))
    server.sql.run(ddl.create_table(raw._replace(append=False)))
    migrations.apply(server.sql, server.config(), "one")
    assert list(migrations.differences(server.sql, server.database)) == [
        ("table raw_events lacks append_mode=true: it cannot be changed, rows of one key merge otherwise", None),
        ("column scores.value is of type String, not Float64: it is left alone", None),
    ]


def test_the_sql_of_the_page_is_that_of_the_schema(server: Server) -> None:
    page = Path(__file__).parents[3] / "docs" / "greptimedb.md"
    partition, *statements = sorted(re.findall(r"```sql\n(.*?)\n```", page.read_text(), re.DOTALL), reverse=True)
    divided = " ".join(ddl.create_table(TABLES["traces"], 4).split()).replace("( ", "(").replace(" )", ")")
    assert partition in divided
    migrations.apply(server.sql, server.config(), "one")
    assert len(statements) == 2
    for statement in statements:
        server.sql.run(statement)


def test_the_ttl_is_that_of_the_configuration_and_set_on_every_start(server: Server) -> None:
    for ttl in ("30d", "60d"):
        migrations.ensure(server.sql, server.config(ttl=ttl), "one")
        found = server.sql.rows(f"SHOW CREATE DATABASE `{server.database}`")[0][1]
        assert ttl in found or {"30d": "1month", "60d": "1month 29days"}[ttl] in found


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(server: Server, tmp_path: Path) -> Invoke:
    """The command, with a configuration that has this server."""
    path = tmp_path / "collector.yaml"
    store = {
        "endpoints": [str(server.grpc)],
        "http_endpoints": [str(server.http)],
        "database": server.database,
        "ttl": "90d",
    }
    pipelines = {
        "traces": {"receivers": ["otlp"], "exporters": ["genai"]},
        "events": {"receivers": ["genai"], "exporters": ["greptimedb"]},
    }
    config = {
        "receivers": {"otlp": {"protocols": {"http": None}}},
        "connectors": {"genai": None},
        "exporters": {"greptimedb": store},
        "service": {"pipelines": pipelines},
    }
    path.write_text(json.dumps(config))
    return lambda command, *more: CliRunner().invoke(schema, [command, "--config", str(path), *more])


def test_what_the_command_prints_is_the_schema(server: Server, invoke: Invoke) -> None:
    printed = invoke("print")
    assert printed.exit_code == 0
    first, *others = [statement for statement in printed.output.split(";\n") if statement.strip()]
    server.sql.run(first, "public")
    for statement in others:
        server.sql.run(statement)
    assert invoke("diff").exit_code == 0


def test_the_command_prints_a_schema_for_a_cluster(server: Server, invoke: Invoke) -> None:
    printed = invoke("print", "--partitions", "4")
    assert "PARTITION ON COLUMNS (`entity_id`) (\n  `entity_id` < '4'," in printed.output
    assert invoke("print", "--partitions", "3").exit_code == 2
    assert invoke("apply", "--partitions", "4").exit_code == 0
    assert invoke("diff").exit_code == 0
    assert "PARTITION" in server.sql.rows("SHOW CREATE TABLE `observations`")[0][1]


def test_the_command_says_what_is_missing_until_it_is_applied(invoke: Invoke) -> None:
    before = invoke("diff")
    assert before.exit_code == 1
    assert "-- table traces is missing\nCREATE TABLE IF NOT EXISTS `traces`" in before.output
    assert "statements applied" in invoke("apply").output
    assert (invoke("diff").exit_code, invoke("diff").output) == (0, "")
    assert invoke("apply").output == "nothing was missing\n"


def test_a_server_that_is_not_there_is_a_sentence(invoke: Invoke) -> None:
    done = invoke("diff", "--set", "exporters.greptimedb.http_endpoints=[localhost:1]")
    assert done.exit_code == 1
    assert done.output.startswith("Error: no answer from GreptimeDB: localhost:1: ConnectionRefusedError")


def test_a_store_that_is_not_configured_is_asked_for(invoke: Invoke) -> None:
    done = invoke("diff", "--exporter", "greptimedb/other")
    assert done.exit_code == 2
    assert "name the store with --exporter (the configuration has: greptimedb)" in done.output
