"""Events of real libraries and SDKs in any order, in copies, in any batches and over restarts: the rows of the plain fold.

Either store is asked for the history of what is not in memory, which with a cache of nothing is everything.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from openfuse_collector.config.types import Size
from openfuse_collector.events.columns import PROJECTIONS
from openfuse_collector.events.event import Entity, Event
from openfuse_collector.events.reference import fold
from openfuse_collector.events.rows import row
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.mapping import map_traces
from openfuse_collector.receivers.langfuse.ingestion import accept
from openfuse_collector.signals import Origin, Signal
from openfuse_collector.store.enrichment import configured_enrichment
from tests.builders import RECEIVED_AT, settings
from tests.exporters.sqlite_kit import changes, query, rebuild
from tests.greptimedb_double import Double

sys.path.insert(0, str(Path(__file__).parent / "greptimedb"))
sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))
from corpus_inprocess import read_request
from greptimedb_kit import Server, comparable, store

CORPUS = Path(os.environ.get("OPENFUSE_SHARED") or Path(__file__).resolve().parents[2].parent / "shared") / "corpus"
MOST = 40
"""Events of one example."""

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CORPUS.is_dir(), reason=f"NO CORPUS at {CORPUS}: set OPENFUSE_SHARED"),
]
CHECKS = hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))

ENRICH = configured_enrichment(settings())

Rows = dict[Entity, dict[str, Any]]


@functools.cache
def scenarios() -> list[list[Event]]:
    """The events of each scenario that says something of one entity more than once."""
    found = []
    for directory in sorted(path for path in CORPUS.glob("*/*") if path.is_dir()):
        events = [event for number, file in enumerate(sorted(directory.iterdir())) for event in _read(file, number)]
        if len({event.entity for event in events}) < len(events):
            found.append(events)
    return found


def _read(file: Path, number: int) -> Iterator[Event]:
    """The events of one recorded request, received a tenth of a second after the one before it."""
    at = RECEIVED_AT + number * 100_000_000
    if file.name.endswith(".langfuse.json"):
        call = json.loads(file.read_bytes())
        if call["path"] == "/api/public/ingestion":
            yield from accept(call["body"]["batch"], "default", at).events
    elif ".traces." in file.name:
        yield from map_traces(read_request(file), Origin(Signal.TRACES, "otlp", at)).events


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[Event]]:
    """Some events of a scenario in batches: any order, some of them again, received earlier or later than the first time."""
    events = draw(st.sampled_from(scenarios()))
    if len(events) > MOST:
        start = draw(st.integers(0, len(events) - MOST))
        events = events[start : start + MOST]
    copies = [
        msgspec.structs.replace(events[index], ingested_at=events[index].ingested_at + shift)
        for index, shift in draw(st.lists(st.tuples(st.integers(0, len(events) - 1), st.integers(-50, 50)), max_size=8))
    ]
    order = draw(st.permutations([*events, *copies]))
    cuts = draw(st.lists(st.integers(0, len(order)), max_size=6).map(sorted))
    return [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]


def expected(batches: Sequence[Sequence[Event]]) -> Rows:
    """The plain fold of everything, entity by entity."""
    by_entity: dict[Entity, list[Event]] = defaultdict(list)
    for event in (event for batch in batches for event in batch):
        by_entity[event.entity].append(event)
    made = {}
    for entity, events in by_entity.items():
        record = fold(events)
        if record is not None:
            made[entity] = dict(row(entity.type, ENRICH(entity.type, record)))
    return without_generation(made)


def without_generation(rows: Rows) -> Rows:
    return {entity: {c: v for c, v in row.items() if c != "eav_generation"} for entity, row in rows.items()}


def stored(path: Path) -> Rows:
    """The rows of the embedded store."""
    found = {}
    for kind, table in PROJECTIONS.items():
        for values in query(path, f"SELECT * FROM {table}"):
            found[Entity(values["project_id"], kind, values["id"])] = values
    return without_generation(found)


@CHECKS
@given(batches=deliveries(), restarts=st.booleans(), cache=st.sampled_from((0, 4096, 1 << 24)))
def test_the_embedded_store_has_the_rows_of_the_plain_fold(
    batches: list[list[Event]], restarts: bool, cache: int
) -> None:
    with TemporaryDirectory() as directory, ExitStack() as open_stores:
        path = Path(directory) / "openfuse.db"
        config = SqliteConfig(path=str(path), fold_cache_size=Size(cache))
        kept = open_stores.enter_context(closing(Store(config, ENRICH)))
        for batch in batches:
            if restarts:
                open_stores.close()
                kept = open_stores.enter_context(closing(Store(config, ENRICH)))
            kept.write(batch)
        assert stored(path) == expected(batches)
        assert changes(rebuild(path, enrich=ENRICH)) == {}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Double() as double:
        made = Server(double.grpc, double.http, double)
        yield made
        made.sql.close()


@hypothesis_settings(parent=CHECKS, max_examples=20)
@given(batches=deliveries())
def test_greptimedb_has_them_too(server: Server, batches: list[list[Event]]) -> None:
    """Each batch from a new process: everything known is read from the server."""
    project = uuid4().hex
    moved = [
        [msgspec.structs.replace(one, entity=one.entity._replace(project_id=project)) for one in batch]
        for batch in batches
    ]
    store(server, *moved)
    wanted = expected(moved)
    for kind, table in PROJECTIONS.items():
        rows = {found["id"]: found for found in server.table(table, f"project_id = '{project}'")}
        assert rows.keys() == {entity.id for entity in wanted if entity.type == kind}
        for id, found in rows.items():
            assert comparable(kind, found) == comparable(kind, wanted[Entity(project, kind, id)])


def test_there_is_something_to_fold() -> None:
    assert len(scenarios()) > 100
    api = [event for events in scenarios() for event in events if not event.derived]
    assert len(api) > 20
