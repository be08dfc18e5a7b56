"""Verification: nothing is found in a store nobody has tampered with, and everything that somebody has done to one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from operations_kit import (
    GreptimedbKit,
    SqliteKit,
    StoreKit,
    contents,
    conversation,
    rebuilt,
    said,
    side_entities,
    store,
    verified,
)

from openfuse_collector.events.event import Event
from openfuse_collector.store.rebuild import (
    DOUBLED,
    LEFT_BEHIND,
    MISSING,
    UNWANTED,
    WITHOUT_EVENTS,
    Selection,
    TableReport,
)
from tests.events.event_sets import histories
from tests.greptimedb_double import Double

KINDS = ("trace", "observation", "score", "dataset_run_item")


def numbered(sets: list[list[Event]]) -> list[Event]:
    """The histories as those of different entities."""
    return [
        Event(
            one.entity._replace(id=f"e{number}"),
            one.id,
            one.type,
            one.timestamp,
            {**one.body, "id": f"e{number}"},
            one.ingested_at,
            one.metadata,
        )
        for number, history in enumerate(sets)
        for one in history
    ]


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(KINDS).flatmap(histories), max_size=3), st.integers(1, 4))
def test_whatever_was_written_however_is_what_its_events_say(sets: list[list[Event]], size: int) -> None:
    """The row that came about step by step is that of a fold from scratch, as the server gives it back, side rows included."""
    events = numbered(sets)
    with Double() as double:
        kit = GreptimedbKit(double)
        with kit.exporter() as made:
            from operations_kit import export

            for start in range(0, len(events), size):
                export(made, events[start : start + size])
        report = verified(kit)
        assert (report.discrepancies, report.failures) == (0, []), report
        before = contents(kit)
        assert rebuilt(kit, prune=True).discrepancies == 0
        assert contents(kit) == before
        kit.sql.close()


FIELDS = {
    "name": ("UPDATE traces SET name = 'x'", "'x'"),
    "user_id": ("UPDATE traces SET user_id = 'somebody'", "'somebody'"),
    "input": ("UPDATE traces SET input = NULL", "NULL"),
    "metadata": ("""UPDATE traces SET metadata = '{"k":"other"}'""", """'{"k":"other"}'"""),
    "public": ("UPDATE traces SET public = NOT public", "true"),
    "created_at": ("UPDATE traces SET created_at = 5", "5"),
}


def table(kit: StoreKit, kind: str) -> TableReport:
    """The part of a verification about one projection; the rest is clean."""
    report = verified(kit)
    assert [name for name, one in report.tables.items() if one.discrepancies] == [kind]
    assert report.failures == []
    return report.tables[kind]


@pytest.mark.parametrize("column", FIELDS)
def test_a_field_that_differs_is_named_with_both_values(kit: StoreKit, column: str) -> None:
    store(kit, conversation("t1"), [said("t2", name="other")])
    change(kit, "traces", "t1", column, FIELDS[column][1])
    found = table(kit, "trace")
    assert dict(found.columns) == {column: 1}
    assert found.changed == found.discrepancies == 1
    ((project, id, stored, expected),) = found.examples[column]
    assert (project, id) == ("p", "t1")
    assert stored != expected
    assert rebuilt(kit).tables["trace"].changed == 1
    assert verified(kit).discrepancies == 0


def change(kit: StoreKit, table: str, id: str, column: str, value: str) -> None:
    """Tamper with one field of one row. GreptimeDB has no UPDATE: the row is deleted and written with another value."""
    if kit.kind == "sqlite":
        kit.tamper(f"UPDATE {table} SET {column} = {value} WHERE id = '{id}'")
        return
    from openfuse_collector.exporters.greptimedb.schema import TABLES

    columns = [c.name for c in TABLES[table].columns]
    shown = ", ".join(
        f"json_to_string(`{c.name}`)" if c.type == "JSON" else f"`{c.name}`" for c in TABLES[table].columns
    )
    (row,) = kit.query(f"SELECT {shown} FROM {table} WHERE id = '{id}'")
    values = [value if name == column else literal(was) for name, was in zip(columns, row, strict=True)]
    kit.tamper(f"DELETE FROM {table} WHERE id = '{id}'")
    kit.tamper(f"INSERT INTO {table} ({', '.join(f'`{c}`' for c in columns)}) VALUES ({', '.join(values)})")


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value).lower() if isinstance(value, bool | int | float) else "'" + value.replace("'", "''") + "'"


def test_a_row_that_is_missing(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2"))
    kit.tamper("DELETE FROM observations WHERE id = 't2-o'")
    found = table(kit, "observation")
    assert (found.added, [example.id for example in found.examples[MISSING]]) == (1, ["t2-o"])
    assert rebuilt(kit).tables["observation"].added == 1
    assert verified(kit).discrepancies == 0


def insert(kit: StoreKit, id: str, time: int = 5) -> None:
    names = "timestamp, project_id, id, environment, name, tags, metadata, created_at, updated_at, is_deleted"
    quoted = ", ".join(f"`{name}`" for name in names.split(", "))
    kit.tamper(f"INSERT INTO traces ({quoted}) VALUES ({time}, 'p', '{id}', 'e', 'n', '[]', '{{}}', 5, 5, false)")


def test_a_row_without_events(kit: StoreKit) -> None:
    store(kit, conversation("t1"))
    insert(kit, "ghost")
    found = table(kit, "trace")
    assert (found.without_events, [example.id for example in found.examples[WITHOUT_EVENTS]]) == (1, ["ghost"])
    assert rebuilt(kit).tables["trace"].without_events == 1
    assert verified(kit).discrepancies == 1
    rebuilt(kit, prune=True)
    assert verified(kit).discrepancies == 0


def test_a_row_of_something_deleted(kit: StoreKit) -> None:
    gone = Event(said("t1").entity, "gone", "langfuse-tombstone", "2026-11-21T06:00:00Z", {"id": "t1"}, 2**42)
    store(kit, [said("t1"), said("t2")], [gone])
    insert(kit, "t1")
    found = table(kit, "trace")
    assert (found.removed, [example.id for example in found.examples[UNWANTED]]) == (1, ["t1"])
    rebuilt(kit)
    assert verified(kit).discrepancies == 0


def test_two_rows_of_one_entity(greptimedb: GreptimedbKit) -> None:
    store(greptimedb, conversation("t1"))
    insert(greptimedb, "t1")
    found = table(greptimedb, "trace")
    assert (found.doubled, found.discrepancies) == (1, 1)
    assert [example.id for example in found.examples[DOUBLED]] == ["t1"]
    rebuilt(greptimedb)
    assert verified(greptimedb).discrepancies == 0
    assert greptimedb.query("SELECT count(*) FROM traces") == [(1,)]


GENERATION = "(SELECT eav_generation FROM traces WHERE id = 't1')"
SIDE = {
    "a row missing": "DELETE FROM traces_tags WHERE entity_id = 't1' AND tag = 'a'",
    "a row too many": "INSERT INTO traces_tags (`timestamp`, project_id, entity_id, tag, is_deleted, generation) "
    "SELECT `timestamp`, project_id, id, 'more', false, eav_generation FROM traces WHERE id = 't1'",
    "a row at another time": "INSERT INTO traces_tags (`timestamp`, project_id, entity_id, tag, is_deleted, generation) "
    "SELECT 7, project_id, id, 'a', false, eav_generation FROM traces WHERE id = 't1'",
    "rows of another generation": "INSERT INTO traces_tags (`timestamp`, project_id, entity_id, tag, is_deleted, generation) "
    "SELECT `timestamp`, project_id, entity_id, tag, false, 1 FROM traces_tags WHERE entity_id = 't1'",
}


@pytest.mark.parametrize("how", SIDE)
def test_side_rows_that_do_not_fit(greptimedb: GreptimedbKit, how: str) -> None:
    store(greptimedb, conversation("t1"), conversation("t2"))
    greptimedb.tamper(SIDE[how])
    found = table(greptimedb, "trace")
    assert dict(found.columns) == {"traces_tags": 1}
    assert [example.id for example in found.examples["traces_tags"]] == ["t1"]
    rebuilt(greptimedb)
    assert verified(greptimedb).discrepancies == 0


def test_side_rows_of_something_deleted(greptimedb: GreptimedbKit) -> None:
    gone = Event(said("t1").entity, "gone", "langfuse-tombstone", "2026-11-21T06:00:00Z", {"id": "t1"}, 2**42)
    store(greptimedb, [said("t1", tags=["a"])], [gone])
    greptimedb.tamper(
        "INSERT INTO traces_tags (`timestamp`, project_id, entity_id, tag, is_deleted, generation) "
        "VALUES (5, 'p', 't1', 'a', false, 1)"
    )
    assert dict(table(greptimedb, "trace").columns) == {"traces_tags": 1}
    rebuilt(greptimedb)
    assert verified(greptimedb).discrepancies == 0
    assert greptimedb.query("SELECT * FROM traces_tags") == []


STRAY = (
    "INSERT INTO {} (`timestamp`, project_id, entity_id, tag, is_deleted{}) VALUES (5, 'p', '{}', '{}', false{})",
    "INSERT INTO {} (`timestamp`, project_id, entity_id, `key`, value, is_deleted, generation) VALUES (5, 'p', '{}', 'k', 'v', false, 1)",
)


def test_side_rows_of_something_nobody_spoke_of(greptimedb: GreptimedbKit) -> None:
    """Counted once, whatever side tables they are in, and not beside a row that has no events either."""
    store(greptimedb, conversation("t1"))
    insert(greptimedb, "ghost")
    tag, key = STRAY
    for id, value in (("ghost", "a"), ("stray", "a"), ("stray", "b")):
        greptimedb.tamper(tag.format("traces_tags", ", generation", id, value, ", 1"))
    for table_name, id in (
        ("traces_metadata", "stray"),
        ("observations_metadata", "stray-o"),
        ("scores_metadata", "stray-s"),
    ):
        greptimedb.tamper(key.format(table_name, id))
    greptimedb.tamper(tag.format("observations_tags", "", "stray-o", "old", ""))
    report = verified(greptimedb)
    counts = {kind: (one.without_events, one.left_behind) for kind, one in report.tables.items() if one.discrepancies}
    assert counts == {"trace": (1, 1), "observation": (0, 1), "score": (0, 1)}
    assert [example.id for example in report.tables["observation"].examples[LEFT_BEHIND]] == ["stray-o"]
    assert verified(greptimedb, Selection(entity="stray")).discrepancies == 1
    assert verified(greptimedb, Selection(trace="stray")).discrepancies == 1
    assert verified(greptimedb, Selection(project="q")).discrepancies == 0
    rebuilt(greptimedb)
    assert verified(greptimedb).discrepancies == 4
    rebuilt(greptimedb, prune=True)
    assert verified(greptimedb).discrepancies == 0
    assert side_entities(greptimedb) == {"t1", "t1-o"}
    assert greptimedb.query("SELECT * FROM observations_tags") == []


SELECTIONS = {
    "project": (Selection(project="q"), {"t3", "t3-o", "t3-s"}),
    "trace": (Selection(trace="t1"), {"t1", "t1-o", "t1-s"}),
    "entity": (Selection(entity="t1-o"), {"t1-o"}),
    "table": (Selection(entity_type="score"), {"t1-s", "t2-s", "t3-s"}),
    "since": (Selection(since=said("x", at=10).ingested_at), {"t2", "t2-o", "t2-s", "t3", "t3-o", "t3-s"}),
}


@pytest.mark.parametrize("by", SELECTIONS)
def test_only_what_is_selected_is_rebuilt(kit: StoreKit, by: str) -> None:
    store(kit, conversation("t1"), conversation("t2", at=10), conversation("t3", at=20, project="q"))
    for table_name in ("traces", "observations", "scores"):
        kit.tamper(f"DELETE FROM {table_name} WHERE TRUE")
    selection, repaired = SELECTIONS[by]
    assert rebuilt(kit, selection, dry_run=True).discrepancies == len(repaired)
    rebuilt(kit, selection)
    from operations_kit import ids

    assert ids(kit) == repaired
    assert verified(kit, selection).discrepancies == 0


def test_a_dry_run_writes_nothing(kit: StoreKit) -> None:
    store(kit, conversation("t1"))
    kit.tamper("DELETE FROM scores WHERE TRUE")
    insert(kit, "ghost")
    before = contents(kit)
    verified(kit)
    assert contents(kit) == before


def test_events_nobody_can_fold_are_told_and_the_others_compared(sqlite: SqliteKit) -> None:
    store(sqlite, conversation("t1"))
    sqlite.tamper("UPDATE raw_events SET body = json_set(body, '$.timestamp', 17) WHERE entity_id = 't1'")
    report = verified(sqlite)
    assert [failure.split(":")[0] for failure in report.failures] == ["trace t1"]
    assert report.tables["observation"].checked == 1
