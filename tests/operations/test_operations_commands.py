"""The commands on either store: what they say, what they ask, what they end with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from operations_kit import GreptimedbKit, SqliteKit, StoreKit, call, contents, conversation, ids, said, store, verified

from openfuse_collector.cli import rebuild as rebuild_module
from openfuse_collector.cli.main import main
from openfuse_collector.exporters.greptimedb import ddl, pages
from openfuse_collector.exporters.greptimedb import rebuild as greptimedb_rebuild
from openfuse_collector.exporters.greptimedb.schema import TABLES
from openfuse_collector.exporters.sqlite import selection as sqlite_selection

FIRST, SECOND = {"t1", "t1-o", "t1-s"}, {"t2", "t2-o", "t2-s"}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else writes here, so a verification need not wait before it looks again."""
    monkeypatch.setattr(greptimedb_rebuild, "SETTLING", 0)


def damage(kit: StoreKit) -> None:
    kit.tamper("DELETE FROM traces WHERE id = 't1'")


def test_verify(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2"))
    clean = call(kit, "verify")
    assert (clean.exit_code, "6 entities, 0 rows with discrepancies" in clean.stdout) == (0, True), clean.output
    damage(kit)
    found = call(kit, "verify")
    assert found.exit_code == 1
    assert "6 entities, 1 row with discrepancies" in found.stdout
    assert "no row although its events make one" in found.stdout
    assert "p t1" in found.stdout
    assert call(kit, "verify", "--table", "scores").exit_code == 0
    assert call(kit, "verify", "--entity", "t1").exit_code == 1
    assert call(kit, "verify", "--project", "q").exit_code == 0


def test_verify_for_programs(kit: StoreKit) -> None:
    store(kit, conversation("t1"))
    damage(kit)
    result = call(kit, "verify", "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["entities"], found["discrepancies"], found["failures"]) == (3, 1, [])
    assert found["tables"]["traces"]["fields"] == {
        "row missing": {"rows": 1, "examples": [{"project_id": "p", "id": "t1", "stored": None, "expected": None}]}
    }
    assert found["tables"]["scores"]["discrepancies"] == 0


def test_values_in_the_report(sqlite: SqliteKit) -> None:
    store(sqlite, conversation("t1"))
    sqlite.tamper(
        "UPDATE traces SET name = NULL, input = 'something else that is much longer than a column may be wide'"
    )
    lines = call(sqlite, "verify").stdout.splitlines()
    assert any("traces.name" in line and 'p t1: NULL instead of "chat"' in line for line in lines)
    assert any('"something else that is much long' in line for line in lines)


@pytest.mark.parametrize("command", ["verify", "rebuild"])
def test_an_id_cannot_drive_the_terminal(sqlite: SqliteKit, command: str) -> None:
    store(sqlite, [said(f"{name}\x1b]0;owned\x07\u202e") for name in ("changed", "without-row", "unreadable")])
    sqlite.tamper("UPDATE traces SET name = 'x' WHERE id LIKE 'changed%'")
    sqlite.tamper("DELETE FROM traces WHERE id LIKE 'without%'")
    sqlite.tamper("UPDATE raw_events SET body = '' WHERE entity_id LIKE 'unreadable%'")
    said_of_it = call(sqlite, command).stdout
    assert "unreadable\N{REPLACEMENT CHARACTER}]0;owned" in said_of_it
    assert not {"\x1b", "\x07", "\u202e"} & set(said_of_it)


def test_rebuild(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2"))
    damage(kit)
    told = call(kit, "rebuild", "--dry-run")
    assert "6 entities, 1 row would change (dry run)" in told.stdout, told.output
    assert ids(kit) == {"t1-o", "t1-s", *SECOND}
    done = call(kit, "rebuild", "--table", "traces")
    assert (done.exit_code, "2 entities, 1 row changed" in done.stdout) == (0, True), done.output
    assert ids(kit) == FIRST | SECOND
    assert "6 entities, 0 rows changed" in call(kit, "rebuild").stdout


@pytest.mark.parametrize("table", ["traces", "scores"])
def test_spans_are_not_mapped_again_for_one_table(kit: StoreKit, table: str) -> None:
    """Also where the table is another than the one that would have been changed."""
    store(kit, conversation("t1"))
    kit.tamper("DELETE FROM traces WHERE id = 't1'")
    for arguments in (("--remap", "--table", table), ("--table", table, "--remap", "--dry-run")):
        refused = call(kit, "rebuild", *arguments)
        assert (refused.exit_code, refused.stdout) == (2, ""), refused.output
        assert "a span makes rows of several tables" in " ".join(refused.stderr.split())
    assert ids(kit) == {"t1-o", "t1-s"}
    assert call(kit, "rebuild", "--remap").exit_code == 0
    assert ids(kit) == FIRST


def interrupt_after(monkeypatch: pytest.MonkeyPatch, pages_done: int) -> None:
    def interrupted(step: str, shares: object, log: object) -> None:
        for number, _ in enumerate(shares, start=1):  # type: ignore[arg-type]
            if number == pages_done:
                raise KeyboardInterrupt

    monkeypatch.setattr(rebuild_module, "follow", interrupted)


def test_a_rebuild_goes_on_where_it_was_stopped(kit: StoreKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((sqlite_selection, "PAGE_KEYS"), (pages, "PAGE_ENTITIES")):
        monkeypatch.setattr(module, name, 2)
    store(kit, [said(f"t{number}", name="chat") for number in range(9)])
    kit.tamper("DELETE FROM traces WHERE TRUE")
    state = tmp_path / "state.json"
    with monkeypatch.context() as patched:
        interrupt_after(patched, 3)
        stopped = call(kit, "rebuild", "--resume", str(state))
    assert (stopped.exit_code, "run it again for the rest" in stopped.stderr) == (1, True)
    assert len(ids(kit)) == 6
    assert call(kit, "rebuild", "--resume", str(state), "--prune").exit_code == 1, "another rebuild"
    rest = call(kit, "rebuild", "--resume", str(state))
    assert rest.exit_code == 0
    assert ": 3 entities, 3 rows changed" in rest.stdout, rest.output
    assert not state.exists()
    assert verified(kit).discrepancies == 0


def test_a_file_that_is_no_place_to_resume(kit: StoreKit, tmp_path: Path) -> None:
    store(kit, [said("t1")])
    state = tmp_path / "state.json"
    state.write_text("[]")
    result = call(kit, "rebuild", "--resume", str(state))
    assert (result.exit_code, "remove it to begin anew" in result.stderr) == (1, True)
    result = call(kit, "rebuild", "--resume", str(tmp_path / "nowhere" / "state.json"))
    assert (result.exit_code, "name a file in a directory" in result.stderr) == (1, True)


def test_delete_trace(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2"))
    before = contents(kit)
    told = call(kit, "delete", "trace", "t1", "--dry-run")
    assert "1 trace, 1 observation, 1 score would be deleted (dry run)" in told.stdout, told.output
    asked = call(kit, "delete", "trace", "t1")
    assert asked.exit_code == 1
    assert "say --yes, or look first with --dry-run" in asked.stderr
    assert contents(kit) == before
    done = call(kit, "delete", "trace", "t1", "t3", "--yes")
    assert done.exit_code == 1
    assert "no trace t3" in done.stderr
    assert "1 trace, 1 observation, 1 score deleted" in done.stdout
    assert ids(kit) == SECOND
    assert call(kit, "verify").exit_code == 0
    again = call(kit, "delete", "trace", "t1", "--yes")
    assert (again.exit_code, ": nothing deleted" in again.stdout) == (0, True), again.output
    hints = ["not stored yet is not deleted" in one.stdout for one in (told, done, again)]
    assert hints == [False, True, False]


def test_delete_a_trace_that_has_said_nothing_of_itself(kit: StoreKit) -> None:
    store(kit, conversation("t1")[1:], conversation("t2"))
    assert call(kit, "delete", "trace", "t1", "--dry-run").exit_code == 0
    done = call(kit, "delete", "trace", "t1", "--erase", "--yes")
    assert done.exit_code == (0 if kit.kind == "sqlite" else 3), done.output
    assert ": 1 observation, 1 score deleted" in done.stdout
    assert ids(kit) == SECOND
    assert call(kit, "verify").exit_code == 0


def test_delete_asks_on_a_terminal(kit: StoreKit, monkeypatch: pytest.MonkeyPatch) -> None:
    store(kit, conversation("t1"))
    monkeypatch.setattr("openfuse_collector.cli.stores._interactive", lambda: True)
    no = call(kit, "delete", "trace", "t1", input="n\n")
    assert (no.exit_code, ids(kit)) == (1, FIRST)
    assert "Delete t1 of project p from" in no.output
    assert call(kit, "delete", "trace", "t1", input="y\n").exit_code == 0
    assert ids(kit) == set()


def test_a_trace_id_of_several_projects(kit: StoreKit) -> None:
    store(kit, [said("t1"), said("t1", project="q")])
    result = call(kit, "delete", "trace", "t1", "--yes")
    assert (result.exit_code, "in several projects (p, q): name one with --project" in result.stderr) == (2, True)
    assert call(kit, "delete", "trace", "t1", "--project", "q", "--yes").exit_code == 0
    assert call(kit, "delete", "trace", "t1", "--project", "r", "--yes").exit_code == 1
    assert kit.query("SELECT project_id FROM traces") == [("p",)]


def test_bytes_that_are_no_text(kit: StoreKit) -> None:
    store(kit, conversation("t1"))
    odd = "\udcffx"
    assert "no trace \N{REPLACEMENT CHARACTER}x" in call(kit, "delete", "trace", odd, "--yes").stderr
    assert call(kit, "delete", "project", odd, "--yes").exit_code == 0
    for option in ("--project", "--trace", "--entity"):
        assert ": 0 entities" in call(kit, "verify", option, odd).stdout
    assert ids(kit) == FIRST


def test_delete_project(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2", project="q"))
    result = call(kit, "delete", "project", "p", "--yes", "--erase")
    assert result.exit_code == (0 if kit.kind == "sqlite" else 3), result.output
    assert "1 trace, 1 observation, 1 score deleted" in result.stdout
    assert "not erased: " in result.stdout
    assert ids(kit) == SECOND
    assert call(kit, "verify").exit_code == 0


def test_retention(kit: StoreKit) -> None:
    store(kit, conversation("t1", at=-(10**11)), conversation("t2", at=10**11))
    nothing = call(kit, "retention")
    assert (nothing.exit_code, "nothing expires" in nothing.stderr) == (0, True)
    sets = {f"exporters.{kit.kind}.retention.default": "30d"}
    told = call(kit, "retention", "--dry-run", sets=sets)
    assert "1 trace, 1 observation, 1 score would be removed (dry run)" in told.stdout, told.output
    done = call(kit, "retention", sets=sets)
    assert (done.exit_code, "1 trace, 1 observation, 1 score removed" in done.stdout) == (0, True), done.output
    assert ids(kit) == SECOND
    assert call(kit, "verify").exit_code == 0


def test_the_settings_of_projects_are_read(kit: StoreKit) -> None:
    store(kit, conversation("t1", at=-(10**11)), conversation("t2", at=-(10**11), project="q"))
    sets = {f"exporters.{kit.kind}.retention.projects": "{p: 30d, q: null}"}
    assert call(kit, "retention", sets=sets).exit_code == 0
    assert ids(kit) == SECOND


def test_a_link_names_the_store_it_leads_to_with_its_settings(sqlite: SqliteKit, tmp_path: Path) -> None:
    store(sqlite, conversation("t1", at=-(10**11)))
    link = tmp_path / "link.db"
    link.symlink_to(sqlite.path)
    sets = {"exporters.sqlite.retention.default": "30d", "exporters.sqlite/other.path": str(tmp_path / "other.db")}
    told = call(sqlite, "retention", "--dry-run", "--store", str(link), sets=sets)
    assert "1 trace, 1 observation, 1 score would be removed" in told.stdout, told.output


COMMANDS = (
    ("verify",),
    ("rebuild",),
    ("retention",),
    ("delete", "trace", "t1", "--yes"),
    ("delete", "project", "p", "--yes"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_store_that_does_not_answer(greptimedb: GreptimedbKit, command: tuple[str, ...]) -> None:
    away = {"exporters.greptimedb.http_endpoints": "[127.0.0.1:1]", "exporters.greptimedb.retention.default": "1d"}
    result = call(greptimedb, *command, sets=away)
    assert (result.exit_code, "no answer from GreptimeDB" in result.stderr) == (1, True), result.output
    assert "127.0.0.1:1" in result.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_store_that_is_not_there(kit: StoreKit, command: tuple[str, ...]) -> None:
    absent = {"exporters.sqlite.path": "/nowhere/openfuse.db"}
    if kit.kind == "greptimedb":
        absent = {"exporters.greptimedb.database": "nobody"}
    result = call(kit, *command, sets=absent)
    assert (result.exit_code, "no store" in result.stderr) == (1, True), result.output


def test_several_stores(sqlite: SqliteKit, greptimedb: GreptimedbKit, tmp_path: Path) -> None:
    store(sqlite, conversation("t1"))
    store(greptimedb, [*conversation("t1"), *conversation("t2")])
    config = tmp_path / "both.yaml"
    config.write_text(
        """
        receivers: {otlp: {protocols: {http: }}}
        connectors: {genai: }
        exporters: {sqlite: , greptimedb: }
        service:
          pipelines:
            traces: {receivers: [otlp], exporters: [genai]}
            events: {receivers: [genai], exporters: [sqlite, greptimedb]}
        """
    )
    sets = [part for key, value in {**sqlite.sets, **greptimedb.sets}.items() for part in ("--set", f"{key}={value}")]

    def both(*arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--config", str(config), *sets])

    assert both("verify").exit_code == 2
    assert "name the store with --exporter" in both("verify").stderr
    assert ": 3 entities" in both("verify", "--exporter", "sqlite").stdout
    assert ": 6 entities" in both("verify", "--exporter", "greptimedb").stdout
    assert both("verify", "--exporter", "greptimedb/eu").exit_code == 2
    assert ": 3 entities" in both("verify", "--store", str(sqlite.path)).stdout


def test_erasing_is_said_to_have_happened_where_it_has(kit: StoreKit) -> None:
    store(kit, conversation("t1"), conversation("t2"), conversation("t3", project="q"))
    status = 0 if kit.kind == "sqlite" else 3
    asked = call(kit, "delete", "trace", "t1", "--erase")
    assert asked.exit_code == 1
    assert ("erase its payloads for good?" in asked.output) == (kit.kind == "sqlite")
    assert ("cannot erase payloads (they stay in raw_events)?" in asked.output) == (kit.kind == "greptimedb")
    assert call(kit, "delete", "trace", "t1", "--erase", "--dry-run").exit_code == status
    for arguments in (("trace", "t1"), ("project", "p")):
        done = call(kit, "delete", *arguments, "--erase", "--yes")
        assert done.exit_code == status, done.output
        assert ("not erased: raw_events" in done.stdout) == (kit.kind == "greptimedb")
    assert call(kit, "delete", "project", "nobody", "--erase", "--yes").exit_code == 0
    assert call(kit, "delete", "trace", "nobody", "--erase", "--yes").exit_code == 1
    assert call(kit, "delete", "trace", "t3", "--yes").exit_code == 0


def test_erasing_from_greptimedb_by_copying(greptimedb: GreptimedbKit) -> None:
    """As docs/operations.md has it: what was to be erased is in no table, and what is left is a store."""
    secret = "correct-horse-battery-staple"
    store(greptimedb, conversation("t1", secret=secret), conversation("t2", project="q"))
    assert call(greptimedb, "delete", "project", "p", "--erase", "--yes").exit_code == 3
    definition = next(iter(ddl.creation(TABLES["raw_events"])))
    greptimedb.tamper(definition.replace("`raw_events`", "`raw_events_kept`"))
    for statement in (
        "INSERT INTO raw_events_kept SELECT * FROM raw_events WHERE project_id <> 'p' OR event_type = 'langfuse-tombstone'",
        "DROP TABLE raw_events",
        "ALTER TABLE raw_events_kept RENAME raw_events",
    ):
        greptimedb.tamper(statement)
    assert not any(secret in body for (body,) in greptimedb.query("SELECT body FROM raw_events"))
    assert ids(greptimedb) == SECOND
    assert verified(greptimedb).discrepancies == 0
    assert call(greptimedb, "schema", "diff").exit_code == 0
    store(greptimedb, conversation("t1", secret=secret))
    assert ids(greptimedb) == SECOND, "the project's tombstone holds"
    assert call(greptimedb, "delete", "project", "nobody", "--erase", "--yes").exit_code == 0
