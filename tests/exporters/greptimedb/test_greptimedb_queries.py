"""docs/queries.md: every query runs as it is written, and both stores answer the same."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from greptimedb_kit import Server, export, exporter

from openfuse_collector.events.event import Entity, Event
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from tests.builders import batch, item, settings

PAGE = Path(__file__).parents[3] / "docs" / "queries.md"
QUERY = re.compile(r"In (both|SQLite|GreptimeDB)\b[^\n]*:\n\n```sql\n(.*?)```", re.DOTALL)

HOUR = 3_600_000
TRACES = 12
MODELS = ("gpt-4o-mini", "gpt-4o", "house-1")

Rows = list[tuple[Any, ...]]


class Question(NamedTuple):
    """A query of the page for each store; `sqlite` is None where only GreptimeDB has the function."""

    title: str
    sqlite: str | None
    greptimedb: str


def questions() -> Iterator[Question]:
    """What the page asks, in its order."""
    text = PAGE.read_text()
    found = [(text.rfind("\n## ", 0, match.start()), match[1], match[2]) for match in QUERY.finditer(text)]
    pending: str | None = None
    for at, store, sql in found:
        title = text[at + 1 : text.index("\n", at + 1)].lstrip("# ")
        if store == "SQLite":
            assert pending is None, f"a query for SQLite alone: {pending}"
            pending = sql
        else:
            yield Question(title, sql if store == "both" else pending, sql)
            pending = None
    assert pending is None


QUESTIONS = list(questions())


def stamp(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{millis % 1000:03d}Z"


def said(kind: str, event_type: str, id: str, at: int, **body: Any) -> Event:
    entity = Entity("default", kind, id)
    return Event(entity, f"{kind}-{id}", event_type, stamp(at), {"id": id, **body}, at)


def trace(number: int, at: int) -> Iterator[Event]:
    """A trace with two calls of a model and a tool between them; one in four fails, one in three is judged badly."""
    id = f"trace-{number}"
    yield said(
        *("trace", "trace-create", id, at),
        timestamp=stamp(at),
        name="support" if number % 2 else "sales",
        userId=f"user-{number % 3}",
        sessionId=f"session-{number % 4}" if number % 5 else None,
        tags=["live", *(["refunds"] if number % 3 == 0 else [])],
        metadata={"region": "eu" if number % 2 else "us", "tries": number},
    )
    for turn in range(2):
        began = at + 100 + 1000 * turn
        failed = turn == 1 and number % 4 == 0
        yield said(
            *("observation", "generation-create", f"{id}-call-{turn}", began),
            traceId=id,
            name=f"chat {turn}",
            model=MODELS[(number + turn) % 3],
            startTime=stamp(began),
            endTime=stamp(began + 300 + 17 * number),
            completionStartTime=stamp(began + 120 + number),
            input="I want a refund, please" if number % 3 == 0 else "Where is my parcel?",
            output={
                "role": "assistant",
                "tool_calls": [{"id": "1", "function": {"name": "find_order", "arguments": "{}"}}],
            }
            if turn == 0
            else "It arrives tomorrow.",
            usageDetails={"input": 1000 + number, "input_cached_tokens": 200 + turn, "output": 50 + number},
            level="ERROR" if failed else "DEFAULT",
            statusMessage="rate limit" if failed else None,
            promptName="answer",
            promptVersion=1 + number % 2,
        )
    yield said(
        *("observation", "span-create", f"{id}-tool", at + 600),
        traceId=id,
        name="find_order",
        parentObservationId=f"{id}-call-0",
        startTime=stamp(at + 600),
        endTime=stamp(at + 650 + number),
    )
    yield said(
        *("score", "score-create", f"{id}-quality", at),
        traceId=id,
        name="quality",
        value=(number % 3) / 2,
        dataType="NUMERIC",
    )
    yield said(
        *("score", "score-create", f"{id}-tone", at), traceId=id, name="tone", value="kind", dataType="CATEGORICAL"
    )


def telemetry() -> list[Event]:
    """Traces of this hour and of the one a day before, so that there are two days."""
    now = time.time_ns() // 1_000_000
    return [event for number in range(TRACES) for event in trace(number, now - HOUR - (number % 2) * 24 * HOUR)]


def plain(rows: Rows) -> Rows:
    """One form for numbers: SQLite has floats where GreptimeDB has decimals."""
    return [tuple(round(float(v), 6) if isinstance(v, int | float | Decimal) else v for v in row) for row in rows]


class Answers:
    """What the two stores say to a question."""

    def __init__(self, server: Server, path: Path) -> None:
        events = telemetry()
        embedded = SqliteExporter(settings("sqlite"), SqliteConfig(path=str(path)))
        embedded.export(batch(item(events)))
        with exporter(server) as made:
            export(made, events)
        self._server, self._path = server, path

    def sqlite(self, sql: str) -> Rows:
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as connection:
            return plain(connection.execute(sql).fetchall())

    def greptimedb(self, sql: str) -> Rows:
        return plain([tuple(row) for row in self._server.sql.rows(sql)])


@pytest.fixture
def answers(server: Server, tmp_path: Path) -> Answers:
    return Answers(server, tmp_path / "openfuse.db")


def test_both_stores_answer_every_question_alike(answers: Answers) -> None:
    for title, sqlite, greptimedb in QUESTIONS:
        there = answers.greptimedb(greptimedb)
        assert there, title
        if sqlite is not None:
            assert answers.sqlite(sqlite) == there, title


def test_sketches_are_near_the_exact_percentiles(answers: Answers) -> None:
    exact, sketch = (question for question in QUESTIONS if question.title == "Latency by name")
    assert exact.sqlite is not None and sketch.sqlite is None
    bounds = {name: (p50, slowest) for name, _, p50, _, slowest in answers.sqlite(exact.sqlite)}
    found = {name: p95 for name, _, p95 in answers.greptimedb(sketch.greptimedb)}
    assert found.keys() == bounds.keys()
    assert all(low <= found[name] <= 1.02 * high for name, (low, high) in bounds.items())


def test_the_answers_are_right(answers: Answers) -> None:
    """Some, worked out by hand from the telemetry above; that the stores agree would not show a wrong question."""
    by_title: dict[str, list[Rows]] = {}
    for title, sqlite, _ in QUESTIONS:
        if sqlite is not None:
            by_title.setdefault(title, []).append(answers.sqlite(sqlite))
    failures, rates = by_title["Errors"]
    assert len(failures) == 3 and {row[4] for row in failures} == {"rate limit"}
    assert rates == [("chat 1", 12, 3, 25)]
    assert sum(row[1] for row in by_title["Sessions"][0]) == sum(1 for number in range(TRACES) if number % 5)
    days = {row[0] for row in by_title["Cost by model and day"][0]}
    assert len(days) == 2
    # Trace 9 called gpt-4o-mini first and gpt-4o then, with 1009 tokens in, 59 out, and 200 and 201 cached.
    mini = (1009 * 0.15 + 200 * 0.075 + 59 * 0.6) / 1e6
    large = (1009 * 2.5 + 201 * 1.25 + 59 * 10) / 1e6
    dearest = by_title["The dearest traces"][0][0]
    assert (dearest[0], dearest[4]) == ("trace-9", pytest.approx(mini + large, abs=1e-6))
    assert by_title["Models without a price"][0][0][:2] == ("house-1", 8)
    extra, tools, tags, regions = by_title["Side tables"]
    assert {row[1] for row in extra} == {"input_cached_tokens"}
    assert tools == [("find_order", 12)]
    assert tags == [("live", 12), ("refunds", 4)]
    assert len(regions) == 6
    assert len(by_title["Words in prompts and answers"][0]) == 8
