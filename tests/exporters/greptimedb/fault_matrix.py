"""Every fault of the double under load, one run each: is every row there once at the end, and what did the collector say?

    python -m tests.exporters.greptimedb.fault_matrix [--load 30] [--fault 10] [--rate 700] [name ...]

A collector with config/greptimedb.yaml takes agent traces at a steady rate; a third of the way in, the fault is switched on. Prints a
table for people and as Markdown; the exit code is 1 when a run lost, doubled or set aside what it should not have. Linux only.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table

from benchmarks.agent_traces import Load, requests
from benchmarks.load import send_all
from openfuse_collector.cli.transport import HttpTransport
from openfuse_collector.exporters.greptimedb.errors import Cause
from openfuse_collector.mapping.spans import map_traces
from openfuse_collector.signals import Origin, Signal
from tests.collector_process import CollectorProcess, wait_until
from tests.greptimedb_double import Double, DoubleProcess, Fault, ServerError, StatusCode, faults

CONFIG = Path(__file__).parents[3] / "config" / "greptimedb.yaml"
DATABASE = "openfuse"
USER, PASSWORD = "writer", "right-password"
PATIENCE = 300.0
"""Bound on waiting for the last row, far above what is needed."""
VISIBLE_TAGS = """
SELECT g.tag FROM traces_tags g JOIN traces t ON g.project_id = t.project_id AND g.entity_id = t.id AND g.generation = t.eav_generation
WHERE g.is_deleted = FALSE
"""
TAGS = 2
"""Each trace of the load has so many."""
TROUBLE = ("warning", "error", "critical")


@dataclass(frozen=True)
class Case:
    """A fault, and what it may do."""

    fault: Callable[[Sequence[Load]], Fault | None]
    """Made for the load, which has the row to refuse in it. None: another password is needed while the fault is on."""
    causes: frozenset[Cause]
    """What the exporter counts it as: one of these."""
    seconds: float = 0.0
    """How long it is on; 0 for as long as the others."""
    copies: bool = False
    """Whether a retry may append a copy to raw_events, because the outcome of an attempt is unknown."""
    dead: int = 0
    """Entities that have to end as dead letters."""


def _of(fault: Callable[[], Fault], *causes: Cause, **more: Any) -> Case:
    return Case(lambda _: fault(), frozenset(causes), **more)


def refused_row(load: Sequence[Load]) -> str:
    """The id of one span in the middle of the load, which no trace depends on."""
    spans = _spans(load[len(load) // 2])
    return next(span.span_id.hex() for span in spans if span.parent_span_id)


def _refused(load: Sequence[Load]) -> Fault:
    return faults.bad_row(id=refused_row(load))


def _poison(load: Sequence[Load]) -> Fault:
    return faults.bad_row(id=refused_row(load), code=StatusCode.INTERNAL)


CASES: dict[str, Case] = {
    "server stopped": _of(faults.unavailable, Cause.UNREACHABLE, Cause.UNCLEAR, copies=True),
    "storage unavailable": _of(faults.unavailable_status, Cause.UNREACHABLE, Cause.BUSY),
    "slow, 1 s a call": _of(lambda: faults.slow(1.0)),
    "busy": _of(faults.region_busy, Cause.BUSY),
    "disk full": _of(faults.disk_full, Cause.SERVER),
    "disk full for one table": _of(lambda: faults.disk_full().on("traces"), Cause.SERVER),
    "connection reset": _of(lambda: faults.reset(applied=0), Cause.UNCLEAR, Cause.UNREACHABLE),
    "reset in the middle of a write": _of(lambda: faults.reset(applied=0.5).over("grpc"), Cause.UNCLEAR, copies=True),
    "half-written flush": _of(
        lambda: faults.status(StatusCode.DEADLINE_EXCEEDED, applied=0.5).over("grpc"), Cause.UNCLEAR, copies=True
    ),
    "written, answer lost": _of(
        lambda: faults.status(StatusCode.DEADLINE_EXCEEDED, applied=1).over("grpc"), Cause.UNCLEAR, copies=True
    ),
    "tables dropped, data with them": _of(lambda: faults.schema_missing("observations_metadata", "traces_tags")),
    "one row invalid": Case(_refused, frozenset((Cause.ROWS,)), dead=1),
    "one row fails the server": Case(_poison, frozenset((Cause.SERVER,)), dead=1),
    "credentials refused": _of(faults.locked_out, Cause.CREDENTIALS),
    "wrong password for a minute": Case(lambda _: None, frozenset((Cause.CREDENTIALS,)), seconds=60.0),
}


@dataclass
class Outcome:
    """What was found at the end of a run."""

    spans: int
    missing: int = 0
    """Spans and traces without a row, dead letters apart, raw events, and tags a reader of the traces does not see."""
    doubled: int = 0
    """Spans and traces with more than one row."""
    copies: int = 0
    """Rows of raw_events beyond one for each event id."""
    dead: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """Attempts that failed, by cause."""
    lines: list[str] = field(default_factory=list)
    """Warnings and errors in the log."""
    caught_up: float = 0.0
    """Seconds from the end of fault and load to the last row."""

    def faults(self, case: Case) -> list[str]:
        """What of it must not be."""
        return [
            sentence
            for wrong, sentence in (
                (self.missing, f"{self.missing} rows are missing"),
                (self.doubled, f"{self.doubled} rows are there twice"),
                (self.copies and not case.copies, f"{self.copies} copies in raw_events"),
                (self.dead != case.dead, f"{self.dead} dead letters instead of {case.dead}"),
                (case.causes and not case.causes.intersection(map(Cause, self.failed)), f"failed: {self.failed}"),
            )
            if wrong
        ]


class Run:
    """One collector in front of one double, the load, and the fault in the middle of it."""

    def __init__(
        self,
        double: Double | DoubleProcess,
        directory: Path,
        case: Case,
        load: Sequence[Load],
        rate: float = 0,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """`rate` is in spans a second, 0 for as fast as it goes; `more` are settings of the collector."""
        self._double, self._case, self._load, self._rate = double, case, load, rate
        self._fault = case.fault(load)
        self.collector = CollectorProcess(directory, {**settings(double), **(more or {})}, ["--config", str(CONFIG)])

    def run(self, before: int, during: Callable[[Run], None]) -> Outcome:
        """So many requests before the fault, the others from the moment it is on; it is on until `during` returns."""
        self.collector.start()
        self._send(self._load[:before])
        wait_until(lambda: self.stored() > 0, lambda: self.collector.log, PATIENCE)
        self._switch(on=True)
        sender = threading.Thread(target=self._send, args=(self._load[before:],))
        sender.start()
        try:
            during(self)
            if not self._case.dead:  # a row that is refused is refused for ever
                self._switch(on=False)
        finally:
            sender.join(PATIENCE)
        return self._settled()

    def stored(self) -> int:
        """Rows of observations; 0 before there are tables."""
        try:
            return int(self._double.query("SELECT count(*) AS n FROM observations", DATABASE)[0]["n"])
        except ServerError:
            return 0

    def failed(self) -> dict[str, int]:
        """Failed attempts so far, by cause."""
        found = {cause.value: self._failed(cause) for cause in Cause}
        return {cause: number for cause, number in found.items() if number}

    def struck(self) -> bool:
        """Whether the collector has met the fault."""
        if not self._case.causes:
            return self._fault is None or self._fault.kind == "schema_missing" or self._double.struck(self._fault) > 2
        return sum(map(self._failed, self._case.causes)) > 2 * (not self._case.dead)

    def _failed(self, cause: Cause) -> int:
        return int(self.collector.metric("openfuse_greptimedb_failed_exports_total", cause=cause.value))

    def _send(self, load: Sequence[Load]) -> None:
        connect = lambda: HttpTransport(self.collector.http_endpoint, {})  # noqa: E731
        send_all(load, connect, 4, self._rate, time.perf_counter() + PATIENCE)

    def _switch(self, on: bool) -> None:
        if self._fault is None:
            self._double.require(USER, "another" if on else PASSWORD)
        elif on:
            self._double.fail(self._fault)
        elif self._fault.kind != "schema_missing":
            self._double.heal(self._fault)

    def _settled(self) -> Outcome:
        """Everything that can be stored is: stop the collector and look."""
        began, dead, outcome = time.monotonic(), self._case.dead, Outcome(sum(load.spans for load in self._load))
        wait_until(
            lambda: self.stored() >= outcome.spans - dead and self._letters() >= dead,
            lambda: f"{self.stored()} of {outcome.spans} spans\n{self.collector.log[-3000:]}",
            PATIENCE,
        )
        outcome.caught_up = time.monotonic() - began
        outcome.failed = self.failed()
        outcome.dead = self._letters()
        assert self.collector.stop() == 0, self.collector.log
        outcome.lines = [line["event"] for line in _lines(self.collector.log) if _is_trouble(line)]
        self._count(outcome)
        return outcome

    def _letters(self) -> int:
        return int(self.collector.metric("openfuse_dead_letters_total"))

    def _count(self, outcome: Outcome) -> None:
        spans = [span for load in self._load for span in _spans(load)]
        dead = {refused_row(self._load)} if self._case.dead else set()
        traces = {span.trace_id.hex() for span in spans}
        for table, wanted in (("observations", {span.span_id.hex() for span in spans} - dead), ("traces", traces)):
            rows = Counter(row["id"] for row in self._double.query(f"SELECT id FROM {table}", DATABASE))
            outcome.missing += len(wanted - rows.keys())
            outcome.doubled += sum(number > 1 for number in rows.values())
        if self._fault is None or self._fault.kind != "schema_missing":
            visible = self._double.query(VISIBLE_TAGS, DATABASE)
            outcome.missing += TAGS * len(traces) - len(visible)
        raw = Counter(row["event_id"] for row in self._double.query("SELECT event_id FROM raw_events", DATABASE))
        outcome.missing += len(_events(self._load, dead) - raw.keys())
        outcome.copies = raw.total() - len(raw)


def settings(double: Double | DoubleProcess) -> dict[str, Any]:
    """Of a collector that writes to the double."""
    return {
        "exporters.greptimedb.endpoints": f"[{double.grpc}]",
        "exporters.greptimedb.http_endpoints": f"[{urlsplit(double.http).netloc}]",
        "exporters.greptimedb.database": DATABASE,
        "exporters.greptimedb.username": USER,
        "exporters.greptimedb.password": PASSWORD,
        "service.journal.max_size": "2GiB",
        "service.journal.min_free_disk": "1MiB",
    }


def _spans(load: Load) -> Sequence[Any]:
    request = ExportTraceServiceRequest.FromString(load.body)
    return [span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]


def _events(load: Iterable[Load], dead: set[str]) -> set[str]:
    """Ids of the events that have to be in raw_events: all but the shallow ones, which may be left out, and those of dead letters."""
    origin = Origin(Signal.TRACES, "otlp", 0)
    mapped = (map_traces(ExportTraceServiceRequest.FromString(one.body), origin)[0] for one in load)
    return {event.id for events in mapped for event in events if not event.shallow and event.entity.id not in dead}


def _is_trouble(line: Mapping[str, Any]) -> bool:
    """A warning or an error of ours: in development mode asyncio warns of every step that took long."""
    return line.get("level") in TROUBLE and line.get("logger") != "asyncio"


def _lines(log: str) -> Iterable[dict[str, Any]]:
    """The lines of a log in JSON; what libraries write otherwise is passed over."""
    return (json.loads(line) for line in log.splitlines() if line.startswith("{"))


def agent_load(spans: int, batch: int = 140) -> list[Load]:
    """Requests for a run."""
    return list(requests(spans, batch, seed=time.time_ns()))


HEADINGS = (
    "fault", "on for", "spans", "missing", "twice", "raw copies", "dead letters", "failed attempts", "log lines", "last row after",
)  # fmt: skip


def cells(name: str, seconds: float, outcome: Outcome) -> list[str]:
    """One line of the table."""
    failed = ", ".join(f"{number} {cause}" for cause, number in outcome.failed.items()) or "none"
    counts = (outcome.spans, outcome.missing, outcome.doubled, outcome.copies, outcome.dead)
    return [
        name, f"{seconds:g} s", *(f"{count:,}" for count in counts), failed, str(len(outcome.lines)), f"{outcome.caught_up:.1f} s",
    ]  # fmt: skip


def long_run(name: str, load: float, fault: float, rate: float) -> tuple[list[str], list[str]]:
    """One case by the clock: the line of the table, and what was wrong."""
    case = CASES[name]
    seconds = case.seconds or fault
    work = agent_load(round((load - fault + seconds) * rate))
    with tempfile.TemporaryDirectory(prefix="openfuse-faults-") as directory, DoubleProcess(USER, PASSWORD) as double:
        run = Run(double, Path(directory), case, work, rate)
        try:
            before = round(len(work) * (load - fault) / 2 / (load - fault + seconds))
            outcome = run.run(before, lambda _: time.sleep(seconds))
        finally:
            run.collector.kill()
    for sentence, number in Counter(outcome.lines).items():
        print(f"  {number} x {sentence}", flush=True)
    return cells(name, seconds, outcome), outcome.faults(case)


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(CASES)}; all without one")
    parser.add_argument("--load", type=float, default=30, help="seconds of load")
    parser.add_argument("--fault", type=float, default=10, help="seconds of the fault")
    parser.add_argument("--rate", type=float, default=700, help="spans a second")
    options = parser.parse_args()
    table, markdown, wrong = Table(*HEADINGS), [HEADINGS, ("---",) * len(HEADINGS)], 0
    for name in options.names or CASES:
        print(f"{name} …", flush=True)
        line, sentences = long_run(name, options.load, options.fault, options.rate)
        table.add_row(*line)
        markdown.append(tuple(line))
        for sentence in sentences:
            wrong += 1
            print(f"  WRONG: {sentence}", flush=True)
    Console(width=180).print(table)
    print("\n".join(f"| {' | '.join(line)} |" for line in markdown))
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
