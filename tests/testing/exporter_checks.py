"""The contract of our exporters, each in front of a destination that answers at random in the destination's own way."""

from __future__ import annotations

import io
import random
import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from openfuse_collector.component import Exporter, Kind, Settings
from openfuse_collector.components import factory
from openfuse_collector.config.types import Address
from openfuse_collector.events.event import Event
from openfuse_collector.exporters.debug.config import DebugConfig
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.testing import Answer, Answers, check_exporter, numbered
from tests.greptimedb_double import Double, Fault, StatusCode, faults
from tests.greptimedb_double.writes import Batch


def made(type: str, config: Any) -> Callable[[Settings], Exporter]:
    """Makes an exporter as the service does."""

    def make(settings: Settings) -> Exporter:
        exporter: Exporter = factory(Kind.EXPORTER, type).create(settings, config)
        return exporter

    return make


def sqlite(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its destination is the file: the writing of a batch fails as SQLite fails. SQLite takes a batch whole or not at all."""
    answers, file = Answers(seed=1, partial_share=0), path / "openfuse.db"
    write = Store.write

    def failing(store: Store, events: Iterable[Event], *more: Any) -> Any:
        taken = list(events)
        answer = answers.judge(numbered.numbers_in(taken))
        if answer is Answer.RETRYABLE:
            raise sqlite3.OperationalError("database is locked")
        if answer is Answer.PERMANENT:
            raise sqlite3.DataError("a value too odd")
        return write(store, taken, *more)

    monkeypatch.setattr(Store, "write", failing)

    def stored() -> list[int]:
        with closing(sqlite3.connect(file)) as connection:
            return [int(id, 16) for (id,) in connection.execute("SELECT id FROM observations")]

    check_exporter(made("sqlite", SqliteConfig(path=str(file))), stored, answers)
    with closing(sqlite3.connect(file)) as connection:
        (raw, distinct) = connection.execute("SELECT count(*), count(DISTINCT event_id) FROM raw_events").fetchone()
    assert raw == distinct > 300


def greptimedb() -> None:
    """Every call with rows of numbered observations is judged: refused for a row, not taken, or torn in the middle. A server never
    takes some rows of a call and refuses the others for good, so there is no partial success."""
    answers, rng = Answers(seed=2, partial_share=0, retry_share=0.15), random.Random(2)

    def choose(batches: Sequence[Batch]) -> Fault | None:
        numbers = sorted({number for batch in batches for number in numbers_of(batch)})
        if not numbers:
            return None
        answer = answers.judge(numbers)
        if answer is Answer.RETRYABLE:
            return faults.reset(applied=0.5) if rng.random() < 0.2 else faults.unavailable_status()
        return faults.status(StatusCode.INVALID_ARGUMENTS, "Invalid row") if answer is Answer.PERMANENT else None

    with Double(database="contract") as double:
        config = GreptimedbConfig(
            endpoints=(Address.parse(double.grpc),),
            http_endpoints=(Address.parse(double.http.removeprefix("http://")),),
            database="contract",
        )
        double.fail(faults.chosen(choose).over("grpc").method("insert"))

        def stored() -> list[int]:
            return [int(row["id"], 16) for row in double.query("SELECT id FROM observations")]

        check_exporter(made("greptimedb", config), stored, answers, count=120)


def numbers_of(batch: Batch) -> list[int]:
    """The numbers of observations in a call, as raw events and as rows."""
    key = {"raw_events": "entity_id", "observations": "id"}.get(batch.table)
    ids = [row[key] for row in batch.dicts() if row.get("entity_type", "observation") == "observation"] if key else []
    return [int(id, 16) for id in ids]


class Terminal(io.StringIO):
    """Standard error that asks the judge."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = answers

    def write(self, text: str) -> int:
        self.answers.judge(printed(text))
        return super().write(text)


def printed(text: str) -> list[int]:
    return [int(id, 16) for id in re.findall(r"observation ([0-9a-f]{16}) span-create", text)]


def debug(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal takes what is printed: it refuses nothing, for good or for now."""
    answers = Answers(seed=3, poison_share=0, retry_share=0)
    terminal = Terminal(answers)
    monkeypatch.setattr("sys.stderr", terminal)
    check_exporter(made("debug", DebugConfig("normal")), lambda: printed(terminal.getvalue()), answers)
