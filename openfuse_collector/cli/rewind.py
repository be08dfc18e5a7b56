"""`rewind`: what the journal still has is stored once more, for a store that lost its last seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from openfuse_collector.cli.options import config_options, load_config
from openfuse_collector.cli.since import Since
from openfuse_collector.cli.stores import stores_of
from openfuse_collector.component import Kind
from openfuse_collector.components import factory
from openfuse_collector.config.service import CollectorConfig, PipelineConfig, PipelineID
from openfuse_collector.errors import CollectorError
from openfuse_collector.journal.errors import JournalLocked
from openfuse_collector.journal.rewind import KeptRequest, StoppedJournal, stopped
from openfuse_collector.pipeline.graph import cursor_names
from openfuse_collector.store.operations import Operations
from openfuse_collector.telemetry.logs import configure_logs


@click.command()
@click.option(
    "--since",
    type=Since(),
    required=True,
    help="Replay what was received since: 15m, 2h, 1d, or an ISO 8601 time.",
)
@click.option("--pipeline", help="Only this pipeline, such as traces/eu. Default: every one that reads the journal.")
@click.option("--dry-run", is_flag=True, help="Move nothing, only say what would be replayed.")
@config_options
def rewind(sources: tuple[str, ...], sets: tuple[str, ...], since: int, pipeline: str | None, dry_run: bool) -> None:
    """Move the cursors of pipelines back, so that the collector, once started, stores again what it received since.

    The collector must be stopped. What the stores still have is recognised: nothing is stored twice.
    """
    config = load_config(sources, sets)
    pipelines = _journalled(config, pipeline)
    directory = Path(config.service.journal.directory)
    log = configure_logs(config.service.telemetry.logs.level, config.service.telemetry.logs.encoding)
    try:
        with stopped(directory, log) as journal:
            names = [name for name, _ in _cursors(journal, pipelines)]
            in_stores = _in_stores(config, journal.instance, names, 0, dry_run=True)
            every, again = _count(journal, in_stores, pipelines, since * 1_000_000)
            for line in _lines(every, again, journal.oldest, since, dry_run):
                click.echo(line)
            if every.requests and not dry_run:
                # Stores first: where their cursor is behind the journal's it is the one that counts.
                _in_stores(config, journal.instance, names, every.first, dry_run=False)
                journal.rewind(names, every.first)
        _warn_of_forwarders(config, pipelines)
    except JournalLocked as error:
        holder = f"process {error.pid}" if error.pid else "another process"
        raise click.ClickException(
            f"the collector with the journal {error.directory} is running ({holder}): stop it, rewind, start it again"
        ) from error
    except CollectorError as error:
        raise click.ClickException(str(error)) from error


def _in_stores(
    config: CollectorConfig, instance: str, names: Sequence[str], offset: int, *, dry_run: bool
) -> dict[str, int]:
    """Sets the cursors that stores keep back to `offset`, unless `dry_run`; gives where they were, the furthest of each name."""
    furthest: dict[str, int] = {}
    for id, settings in stores_of(config).items():
        operations = factory(Kind.EXPORTER, id.type).operations
        assert operations is not None
        store: Operations = operations(settings)
        with closing(store):
            try:
                for name in names:
                    was = store.rewind(instance, name, offset, dry_run=dry_run)
                    furthest[name] = max(was or 0, furthest.get(name, 0))
            except store.failures as error:
                raise click.ClickException(
                    f"exporters::{id}: {store.explain(error)}; no journal cursor was moved"
                ) from error
    return furthest


def _cursors(
    journal: StoppedJournal, pipelines: dict[PipelineID, PipelineConfig]
) -> Iterator[tuple[str, tuple[PipelineID, PipelineConfig]]]:
    """Every cursor, by its name, and whose it is: a pipeline with several destinations has one for each of them."""
    for id, pipeline in pipelines.items():
        for name in cursor_names(id, pipeline.exporters):
            if name == str(id) or journal.cursor(name) is not None:
                yield name, (id, pipeline)


def _journalled(config: CollectorConfig, wanted: str | None) -> dict[PipelineID, PipelineConfig]:
    """The pipelines that read the journal, or the one that is named. Raises UsageError where there is none of that name."""
    found = {
        id: pipeline
        for id, pipeline in config.service.pipelines.items()
        if any(receiver in config.receivers for receiver in pipeline.receivers)
    }
    named = {id: pipeline for id, pipeline in found.items() if wanted in (None, str(id))}
    if not named:
        raise click.UsageError(f"no pipeline {wanted} reads the journal (there are: {', '.join(map(str, found))})")
    return named


@dataclass
class Again:
    """Some of the requests, summed up."""

    requests: int = 0
    bytes: int = 0
    first: int = 0
    """The lowest offset."""
    received: tuple[int, int] = 0, 0
    """Epoch nanoseconds, from and to."""

    def add(self, one: KeptRequest) -> None:
        """Requests may come in any order."""
        at = one.origin.received_at
        begin, end = self.received if self.requests else (at, at)
        self.first = min(self.first, one.offset) if self.requests else one.offset
        self.requests, self.bytes = self.requests + 1, self.bytes + one.size
        self.received = min(begin, at), max(end, at)


def _count(
    journal: StoppedJournal, in_stores: Mapping[str, int], pipelines: dict[PipelineID, PipelineConfig], since: int
) -> tuple[Again, dict[str, Again]]:
    """What was received since, and by cursor what of it its pipeline has had already."""
    every, again, readers = Again(), dict[str, Again](), []
    for name, (id, pipeline) in _cursors(journal, pipelines):
        # After a crash the journal's cursor is behind the one that was committed with the data.
        cursor = max(journal.cursor(name) or 0, in_stores.get(name, 0))
        again[name] = Again()
        readers.append((again[name], cursor, {(id.signal, str(receiver)) for receiver in pipeline.receivers}))
    for one in journal.since(since):
        every.add(one)
        for of_cursor, cursor, own in readers:
            if one.offset < cursor and (one.origin.signal, one.origin.receiver) in own:
                of_cursor.add(one)
    return every, again


def _lines(every: Again, again: dict[str, Again], oldest: int | None, since: int, dry_run: bool) -> Iterator[str]:
    if oldest is not None and oldest > since * 1_000_000:
        yield f"the journal has nothing older than {_stamp(oldest)}: what was received before is not replayed"
    if not every.requests:
        yield "nothing to replay: the journal has no request received since then (service.journal.retain keeps them longer)"
        return
    yield f"{'pipeline':24}{'requests':>10}{'bytes':>14}  {'would be read again' if dry_run else 'will be read again'}"
    for name, found in again.items():
        begin, end = map(_stamp, found.received)
        when = f"received {begin} to {end}" if found.requests else ""
        yield f"{name:24}{found.requests:10,}{found.bytes:14,}  {when}".rstrip()


def _warn_of_forwarders(config: CollectorConfig, pipelines: dict[PipelineID, PipelineConfig]) -> None:
    """Only stores recognise what they have."""
    stores = stores_of(config)
    others = sorted({str(one) for id in pipelines for one in _behind(config, id) if one not in stores})
    if others:
        click.echo(f"note: {', '.join(others)} will get these requests a second time", err=True)


def _behind(config: CollectorConfig, id: PipelineID) -> Iterator[object]:
    """The exporters of a pipeline, those behind its connectors included."""
    for target in config.service.pipelines[id].exporters:
        if target not in config.connectors:
            yield target
            continue
        for other, pipeline in config.service.pipelines.items():
            if target in pipeline.receivers:
                yield from _behind(config, other)


def _stamp(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
