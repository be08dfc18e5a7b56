"""`openfuse-collector traces`: the list, the waterfall, JSON, filters, and terminals that can show little."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from openfuse_collector.cli.since import since
from openfuse_collector.cli.traces import traces
from openfuse_collector.cli.views import format, store
from openfuse_collector.cli.views.conversation import as_conversation
from openfuse_collector.cli.views.store import Filter, Observation, Rollup, Trace
from openfuse_collector.cli.views.table import trace_lines
from openfuse_collector.cli.views.tree import DEEPEST, branches
from openfuse_collector.cli.views.waterfall import Axis, bar, usage, waterfall

NOON = 1_795_262_400_000
"""2026-11-21 12:00:00 UTC in epoch milliseconds."""

COLUMNS = {
    "traces": "timestamp project_id id name environment session_id user_id release version tags metadata bookmarked public"
    " input output created_at updated_at is_deleted eav_generation",
    "observations": "start_time project_id id type trace_id parent_observation_id environment name level status_message"
    " version end_time completion_start_time provided_model_name internal_model_id model_parameters input output metadata"
    " input_cost output_cost total_cost input_usage output_usage total_usage usage_details cost_details"
    " provided_usage_details provided_cost_details usage_pricing_tier_id usage_pricing_tier_name prompt_id prompt_name"
    " prompt_version tool_definitions tool_calls tool_call_names created_at updated_at is_deleted eav_generation",
    "scores": "timestamp project_id id name environment source data_type value string_value long_string_value comment"
    " metadata trace_id observation_id session_id dataset_run_id execution_trace_id author_user_id config_id queue_id"
    " created_at updated_at is_deleted eav_generation",
}


def create(connection: sqlite3.Connection) -> None:
    for table, columns in COLUMNS.items():
        listed = ", ".join(columns.split()).replace("is_deleted", "is_deleted DEFAULT 0")
        connection.execute(f"CREATE TABLE {table} ({listed}, PRIMARY KEY (project_id, id))")


def insert(connection: sqlite3.Connection, table: str, **row: Any) -> None:
    marks = ",".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({','.join(row)}) VALUES ({marks})", tuple(row.values()))


def trace_row(connection: sqlite3.Connection, id: str, at: int, **row: Any) -> None:
    defaults = {"project_id": "default", "environment": "default", "tags": "[]", "metadata": "{}", "public": 0}
    insert(connection, "traces", **{**defaults, "id": id, "timestamp": at, **row})


def observation_row(connection: sqlite3.Connection, trace: str, id: str, at: int, took: int | None, **row: Any) -> None:
    defaults = {"project_id": "default", "type": "SPAN", "name": id, "level": "DEFAULT", "usage_details": "{}"}
    end = None if took is None else at + took
    insert(
        connection,
        "observations",
        **{**defaults, "id": id, "trace_id": trace, "start_time": at, "end_time": end, **row},
    )


def fill(connection: sqlite3.Connection) -> None:
    trace_row(
        connection, "aa11" * 8, NOON, name="support agent", user_id="u-1", session_id="s-1", tags='["vip","beta"]',
        input='{"question":"Where is my order?"}', output="On its way.\nArrives Friday.",
    )  # fmt: skip
    one = ("aa11" * 8,)
    observation_row(connection, *one, "root", NOON, 1900, type="AGENT", name="invoke_agent support")
    observation_row(
        connection, *one, "chat", NOON + 100, 800, type="GENERATION", parent_observation_id="root", total_cost=0.0042,
        provided_model_name="gpt-4o-mini",
        usage_details='{"input":300,"input_cached_tokens":10,"output":42,"total":352}',
        total_usage=352,
    )  # fmt: skip
    observation_row(
        connection, *one, "tool", NOON + 950, 400, type="TOOL", parent_observation_id="root", level="ERROR",
        status_message="TimeoutError: the shop did not answer",
    )  # fmt: skip
    observation_row(connection, *one, "lost", NOON + 1400, 100, parent_observation_id="feedfacefeedface")
    insert(
        connection, "scores", project_id="default", id="sc", timestamp=NOON, name="helpful", value=0.9, trace_id=one[0],
        comment="quick",
    )  # fmt: skip
    trace_row(connection, "aa22" * 8, NOON + 60_000, name="Nightly 50%_batch", user_id="u-2", environment="staging")
    observation_row(connection, "aa22" * 8, "broken-usage", NOON + 60_000, None, usage_details="{oops")
    trace_row(connection, "bb33" * 8, NOON - 60_000, name="other project", project_id="acme")
    trace_row(connection, "cc44" * 8, NOON, name="deleted", is_deleted=1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """A store with a writer still connected, as when the collector runs."""
    path = tmp_path / "openfuse.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        create(connection)
        fill(connection)
        yield path


def show(database: Path, *arguments: str) -> Result:
    return CliRunner().invoke(traces, ["--store", str(database), *arguments])


def test_the_list_has_the_newest_first_with_sums_and_leaves_deleted_traces_out(database: Path) -> None:
    shown = show(database)
    assert shown.exit_code == 0
    lines = [line for line in shown.output.split("\n") if "11" in line or "22" in line or "33" in line]
    assert ["aa22aa22" in lines[0], "aa11aa11" in lines[1], "bb33bb33" in lines[2]] == [True, True, True]
    for fact in ("support agent", "u-1", "s-1", "1.90s", "352", "$0.004200", "1 error"):
        assert fact in lines[1]
    assert "deleted" not in shown.output
    assert max(map(len, shown.output.split("\n"))) <= 120


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["--user", "u-1"], ["aa11"]),
        (["--session", "s-1"], ["aa11"]),
        (["--environment", "staging"], ["aa22"]),
        (["--project", "acme"], ["bb33"]),
        (["--name", "SUPPORT"], ["aa11"]),
        (["--name", "50%_b"], ["aa22"]),
        (["--name", "%"], ["aa22"]),
        (["--since", "2026-11-21T12:00:00Z"], ["aa22", "aa11"]),
        (["--since", "2026-11-21T14:00:01+02:00"], ["aa22"]),
        (["--limit", "1"], ["aa22"]),
        (["--user", "nobody"], []),
    ],
)
def test_filters(database: Path, arguments: list[str], ids: list[str]) -> None:
    shown = CliRunner().invoke(traces, ["--store", str(database), "--format", "json", *arguments])
    assert shown.exit_code == 0
    assert [trace["id"][:4] for trace in json.loads(shown.stdout)] == ids
    assert ("no trace" in shown.stderr) == (not ids)


def test_a_senseless_age_is_a_usage_error(database: Path) -> None:
    shown = show(database, "--since", "yesterday")
    assert (shown.exit_code, "neither an age like 15m" in shown.output) == (2, True)


def test_the_waterfall_shows_tree_error_orphan_score_and_content(database: Path) -> None:
    shown = show(database, "aa11")
    assert shown.exit_code == 0
    lines = shown.output.split("\n")
    at = {
        word: next(i for i, line in enumerate(lines) if word in line)
        for word in ("invoke_agent", "chat", "tool", "lost")
    }
    assert at["invoke_agent"] < at["chat"] < at["tool"] < at["lost"]
    assert "├─ chat" in lines[at["chat"]]
    assert all(fact in lines[at["chat"]] for fact in ("GENERATION", "gpt-4o-mini", "310→42", "$0.004200", "800ms", "█"))
    assert "error: TimeoutError: the shop did not answer" in lines[at["tool"] + 1]
    assert "parent feedfac… not here" in lines[at["lost"]]
    for fact in ("support agent", "tags vip, beta", "helpful = 0.9", "Where is my order?", "Arrives Friday."):
        assert fact in shown.output
    assert max(map(len, lines)) <= 120


def test_lines_cuts_the_content(database: Path) -> None:
    assert "Arrives Friday." not in show(database, "aa11", "--lines", "1").output
    assert "… 1 more lines" in show(database, "aa11", "--lines", "1").output


def test_one_trace_as_json_has_typed_values(database: Path) -> None:
    trace = json.loads(show(database, "aa11", "--format", "json").stdout)
    assert (trace["tags"], trace["public"], trace["input"]) == (
        ["vip", "beta"],
        False,
        '{"question":"Where is my order?"}',
    )
    assert [o["id"] for o in trace["observations"]] == ["root", "chat", "tool", "lost"]
    assert trace["observations"][1]["usage_details"]["total"] == 352
    assert trace["scores"][0]["name"] == "helpful"


@pytest.mark.parametrize(
    ("prefix", "message"),
    [("aa", "fits several traces"), ("zz", "no trace 'zz' in this store"), ("cc44", "no trace"), ("aa11%", "no trace")],
)
def test_an_id_that_names_no_single_trace_fails_with_a_reason(database: Path, prefix: str, message: str) -> None:
    shown = show(database, prefix)
    assert (shown.exit_code, message in shown.output) == (1, True)


def test_one_id_in_two_projects_needs_the_project(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        trace_row(connection, "aa11" * 8, NOON, project_id="acme", name="namesake")
    assert "fits several traces" in show(database, "aa11").output
    assert "namesake" in show(database, "aa11", "--project", "acme").output


def test_bytes_that_are_no_text(database: Path) -> None:
    odd = "\udcffx"
    assert "no trace '\N{REPLACEMENT CHARACTER}x' in this store" in show(database, odd).output
    for option in ("--project", "--session", "--user", "--name", "--environment"):
        shown = show(database, option, odd)
        assert (shown.exit_code, "no trace in" in shown.output) == (0, True)


def test_counts_beyond_64_bits_cost_no_other_trace_its_line(database: Path) -> None:
    most = 2**63 - 1
    with closing(sqlite3.connect(database)) as connection, connection:
        for id in ("huge-1", "huge-2"):
            details = json.dumps({"input": most, "output": most, "total": most})
            observation_row(connection, "aa22" * 8, id, NOON, 1, usage_details=details, total_usage=most)
    listed = json.loads(show(database, "--format", "json").stdout)
    assert {one["id"][:4]: one["usage"]["total"] for one in listed} == {"aa11": 352, "aa22": 2**64, "bb33": 0}
    assert show(database, "aa22").exit_code == 0


def test_a_missing_store_and_a_file_that_is_none_are_named(tmp_path: Path) -> None:
    missing = show(tmp_path / "none.db")
    assert (missing.exit_code, "no store at" in missing.output) == (1, True)
    text = tmp_path / "notes.db"
    text.write_text("these are notes, not a database, and there is rather more than a page of nothing here" * 20)
    foreign = show(text)
    assert (foreign.exit_code, "cannot be read as a store" in foreign.output) == (1, True)
    with closing(sqlite3.connect(tmp_path / "empty.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
    assert "cannot be read as a store" in show(tmp_path / "empty.db").output


def test_reading_goes_on_while_a_writer_holds_its_lock_and_writes_nothing(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        trace_row(writer, "dd55" * 8, NOON, name="not yet committed")
        shown = show(database)
        assert (shown.exit_code, "not yet committed" in shown.output, "support agent" in shown.output) == (
            0,
            False,
            True,
        )
        writer.execute("ROLLBACK")
    with store.open_store(database) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM traces")


def test_a_link_is_not_read_past_the_log_beside_the_file_it_leads_to(database: Path, tmp_path: Path) -> None:
    """Without the index of the log, which cannot be made in some directories, a file may be read only when there is no log."""
    volume, link = tmp_path / "volume", tmp_path / "link.db"
    volume.mkdir()
    for file in (database, Path(f"{database}-wal")):
        shutil.copy(file, volume)
    (volume / "openfuse.db-shm").symlink_to("nowhere")
    link.symlink_to(volume / "openfuse.db")
    shown = show(link)
    assert (shown.exit_code, "unable to open" in shown.output) == (1, True)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_of_the_terminal_will_do(database: Path, encoding: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        trace_row(connection, "ee66" * 8, NOON, name="天気は？ 🌦️", input="größer")
        observation_row(connection, "ee66" * 8, "子", NOON, 10)
    code = "from openfuse_collector.cli.traces import traces; traces()"
    for arguments in ([], ["ee66"]):
        run = subprocess.run(
            [sys.executable, "-c", code, "--store", str(database), *arguments],
            env={"PYTHONIOENCODING": encoding, "PATH": ""},
            capture_output=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, b"")
        shown = run.stdout.decode(encoding)
        assert ("天気" in shown) == (encoding == "utf-8")
        assert ("█" in shown) == (encoding == "utf-8" and bool(arguments))


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("", 120), ("many", 120), ("0", 120)])
def test_without_a_terminal_columns_decide(
    database: Path, monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = show(database, "aa11").output.split("\n")
    assert max(map(cell_len, lines)) == width


def test_telemetry_cannot_drive_the_terminal(database: Path) -> None:
    evil = "\x1b]0;owned\x07 [red]x[/red] \x1b[2Jname\r\n\u202eback\x9b31m"
    with closing(sqlite3.connect(database)) as connection, connection:
        trace_row(
            connection,
            "ff77" * 8,
            NOON,
            name=evil,
            user_id=evil,
            session_id=evil,
            input=evil,
            output=json.dumps([evil]),
        )
        observation_row(
            connection, "ff77" * 8, "x" + evil, NOON, 10, name=evil, level="ERROR", status_message=evil, type=evil,
            provided_model_name=evil, parent_observation_id=evil,
        )  # fmt: skip
    for shown, kept in ((show(database), "]0;owned"), (show(database, "ff77"), "[red]x[/red]")):
        assert shown.exit_code == 0
        assert not set(shown.output) & set("\x1b\x07\r\x9b\u202e")
        assert kept in shown.output


def seen(id: str, parent: str | None = None, at: int = 0, end: int | None = 10, **changes: Any) -> Observation:
    known = {"type": "SPAN", "name": id, "level": "DEFAULT", "status_message": None, "provided_model_name": None}
    known |= {"usage_details": None, "total_cost": None}
    return Observation(id=id, parent_observation_id=parent, start_time=at, end_time=end, **{**known, **changes})


TREES: dict[str, tuple[list[Observation], list[str]]] = {
    "siblings in order of start": (
        [seen("b", "r", 2), seen("a", "r", 1), seen("r"), seen("a1", "a", 3)],
        ["└─ r", "   ├─ a", "   │  └─ a1", "   └─ b"],
    ),
    "two roots": ([seen("x"), seen("y", at=1), seen("x1", "x", 2)], ["├─ x", "│  └─ x1", "└─ y"]),
    "an orphan": ([seen("x"), seen("o", "gone", 1), seen("o1", "o", 2)], ["├─ x", "└─ o", "   └─ o1"]),
    "its own parent": ([seen("s", "s")], ["└─ s"]),
    "a loop": ([seen("p", "q", 5), seen("q", "p", 1), seen("r")], ["├─ r", "└─ q", "   └─ p"]),
}


@pytest.mark.parametrize("case", TREES)
def test_trees(case: str) -> None:
    observations, drawn = TREES[case]
    assert [branch.stem + branch.observation.id for branch in branches(observations)] == drawn
    assert {b.observation.id for b in branches(observations) if b.orphan} <= {"o", "s", "q"}


def test_a_chain_of_thousands_is_drawn_with_a_bounded_indent() -> None:
    chain = [seen(f"n{i:05}", f"n{i - 1:05}" if i else None, at=i) for i in range(5000)]
    drawn = branches(chain)
    assert [branch.observation.id for branch in drawn] == [o.id for o in chain]
    assert max(len(branch.stem) for branch in drawn) < 3 * (DEEPEST + 1) + len("(+5000) ") + 1
    assert drawn[-1].stem.endswith(f"(+{4999 - DEEPEST}) ")


@pytest.mark.parametrize(
    ("start", "end", "place"),
    [(0, 100, (0, 10)), (0, 50, (0, 5)), (50, 50, (5, 1)), (95, 100, (9, 1)), (100, 100, (9, 1)), (33, 34, (3, 1))],
)
def test_bars_lie_on_the_common_axis(start: int, end: int, place: tuple[int, int]) -> None:
    assert Axis(0, 100, 10).place(start, end) == place


def test_open_ends_events_and_clocks_that_run_backwards_still_have_a_bar() -> None:
    axis = Axis(0, 100, 10)
    assert bar(seen("a", at=50, end=None), axis) == " " * 5 + "░" * 5
    assert bar(seen("a", at=50, end=None, type="EVENT"), axis) == " " * 5 + "◆"
    assert bar(seen("a", at=50, end=20), axis) == " " * 5 + "█"
    assert bar(seen("a", at=7, end=7), Axis(7, 7, 10)) == "█"


@pytest.mark.parametrize(
    ("details", "counts"),
    [
        ('{"input":5,"output":2,"total":7}', (5, 2, 7)),
        ('{"input":5,"input_cached_tokens":3,"output_reasoning":4}', (8, 4, 0)),
        ("[1]", (0, 0, 0)),
        ("nonsense", (0, 0, 0)),
        (None, (0, 0, 0)),
    ],
)
def test_tokens_add_up_by_side(details: str | None, counts: tuple[int, int, int]) -> None:
    assert usage(seen("a", usage_details=details)) == counts


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200, 400])
def test_no_width_breaks_the_layout(width: int) -> None:
    long = [
        seen("长" * 80, at=1, status_message="why " * 90, level="ERROR", provided_model_name="m" * 50, total_cost=1.5)
    ]
    long += [seen(f"child {i}", "长" * 80, at=i, usage_details='{"input":1}') for i in range(3)]
    for line in waterfall(long, width, format.UNICODE):
        assert cell_len(line.plain) <= max(width, 48)
    trace = Trace(
        "default", "a" * 60, NOON, "长" * 80, "u" * 50, "s" * 50, "default", None, None, None, None, None, None
    )
    sums = {("default", "a" * 60): Rollup(9, 0, 99, 1, 1, 2, 0.5, "WARNING")}
    listed = [line.plain for line in trace_lines([trace], sums, width, UTC)]
    assert max(map(cell_len, listed)) <= max(width, 79)
    assert listed[1].startswith("2026-11-21 12:00:00")


@pytest.mark.parametrize("id", ["0af7651916cd43dd8448eb211c80319c", "1aff5d1c-be57-486e-93d9-8afc1c366e16", "x" * 60])
def test_an_id_is_whole_or_visibly_cut(id: str) -> None:
    """Commands that delete want it whole. SDKs make OpenTelemetry's 32 digits, or UUIDs; what users choose may be longer."""
    trace = Trace("default", id, NOON, "chat", None, None, "default", None, None, None, None, None, None)
    line = trace_lines([trace], {}, 120, UTC)[1].plain
    assert (f" {id} " in line) is (len(id) <= 36)
    assert ("…" in line) is (len(id) > 36)


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (120, ["type", "model", "tokens", "cost", "time"]),
        (80, ["type", "model", "tokens", "time"]),
        (60, ["type", "tokens", "time"]),
        (45, ["time"]),
    ],
)
def test_what_a_terminal_has_no_room_for_leaves_least_important_first(width: int, titles: list[str]) -> None:
    call = seen(
        "chat gpt-4o-mini",
        type="GENERATION",
        at=1,
        provided_model_name="gpt-4o-mini-2024-07-18",
        usage_details='{"input":1399,"output":70}',
        total_cost=0.000252,
    )
    lines = [line.plain for line in waterfall([call], width)]
    assert [title for title in ("type", "model", "tokens", "cost", "time") if title in lines[0]] == titles
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (format.duration(None), ""),
        (format.duration(999), "999ms"),
        (format.duration(1999), "2.00s"),
        (format.duration(125_000), "2m05s"),
        (format.duration(11_220_000), "3h07m"),
        (format.tokens(0), ""),
        (format.tokens(99_999), "99,999"),
        (format.tokens(123_456), "123k"),
        (format.tokens(4_500_000), "4.5M"),
        (format.cost(None), ""),
        (format.cost(0), "$0.00"),
        (format.cost(0.0000001), "<$0.000001"),
        (format.cost(0.00012), "$0.000120"),
        (format.cost(1234.5), "$1,234.50"),
        (format.clock(NOON, UTC), "2026-11-21 12:00:00"),
        (format.clock(10**17, UTC), "100000000000000000"),
        (format.one_line("a\n b\tc", 10), "a b c"),
        (format.one_line("abcdefghij", 5), "abcd…"),
        (format.one_line("abcdefghij", 5, format.ASCII), "ab..."),
    ],
)
def test_numbers_and_times(made: str, text: str) -> None:
    assert made == text


CONVERSATIONS: list[tuple[object, str | None]] = [
    ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}], "user: Hi\nassistant: "),
    ({"role": "assistant", "content": "Hello"}, "assistant: Hello"),
    ([{"role": "user", "parts": [{"type": "text", "content": "a"}, {"type": "text", "content": "b"}]}], "user: a\nb"),
    (
        [{"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "image", "n": 1}]}],
        'user: a\n{"type":"image","n":1}',
    ),
    (
        [{"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {"x": 1}}]}],
        'assistant: f({"x":1})',
    ),
    (
        [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
            }
        ],
        "assistant: f({})",
    ),
    ([{"role": "tool", "parts": [{"type": "tool_call_response", "response": {"ok": True}}]}], 'tool: {"ok":true}'),
    ([{"role": "user", "content": 5}], "user: 5"),
    ([{"role": "user", "content": [{"type": ["odd"], "text": "x"}]}], 'user: {"type":["odd"],"text":"x"}'),
    ([{"role": "user", "content": "x"}, {"note": 1}], None),
    ([], None),
    ({"question": "x"}, None),
    ({"role": "admin", "permissions": []}, None),
    ("text", None),
    (None, None),
]


@pytest.mark.parametrize(("value", "text"), CONVERSATIONS)
def test_messages_read_as_a_conversation(value: object, text: str | None) -> None:
    assert as_conversation(value) == text


def test_ages_count_back_from_now() -> None:
    assert since("1h30m", NOON) == NOON - 5_400_000
    assert since("2d", NOON) == NOON - 172_800_000
    assert since("2026-11-21", 0) == NOON - 43_200_000
    assert since("99999999999999999999d", NOON) == since("9" * 400 + "d", NOON) == 0  # SQLite takes no larger numbers


def test_a_filter_without_wishes_lists_everything(database: Path) -> None:
    with store.open_store(database) as connection:
        assert len(store.newest_traces(connection, Filter(), 100)) == 3
        assert store.rollups(connection, []) == {}


def test_the_store_is_the_one_of_the_configuration(database: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(traces, ["--set", f"exporters.sqlite.path={database}"])
    assert (shown.exit_code, "support agent" in shown.output) == (0, True)
    two = ["--set", "exporters.sqlite/old.path=old.db", "--set", f"exporters.sqlite.path={database}"]
    unclear = CliRunner().invoke(traces, two)
    assert (unclear.exit_code, "name the store with --exporter" in unclear.output) == (2, True)
    assert CliRunner().invoke(traces, [*two, "--exporter", "sqlite"]).exit_code == 0


def test_another_kind_of_store_is_a_clear_error(tmp_path: Path) -> None:
    config = tmp_path / "greptimedb.yaml"
    config.write_text(
        "receivers: {langfuse: {}}\nexporters: {greptimedb: {}}\n"
        "service: {pipelines: {events: {receivers: [langfuse], exporters: [greptimedb]}}}\n"
    )
    refused = CliRunner().invoke(traces, ["--config", str(config)])
    assert (refused.exit_code, "traces reads SQLite" in refused.output, "queries.md" in refused.output) == (
        2,
        True,
        True,
    )
