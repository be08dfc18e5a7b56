"""Score the mapping against real telemetry without starting a collector.

    python tests/conformance/corpus_inprocess.py [--only SUBSTRING] [--show N] [--field traces.name] [--verdict differ,missing]

Maps every request of the shared corpus, folds and enriches the events per scenario, and judges the rows with the judge of
`check/corpus.py`. Exit status 0 when agreement reaches --min.
"""

from __future__ import annotations

import argparse
import collections
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it also runs as a file

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from openfuse_collector.enrich import Enrich, enrich
from openfuse_collector.events.event import Event
from openfuse_collector.events.reference import fold
from openfuse_collector.events.rows import row
from openfuse_collector.mapping import map_traces
from openfuse_collector.pdata.otlp_json import decode_traces
from openfuse_collector.signals import Origin, Signal

SHARED = Path(os.environ.get("OPENFUSE_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
SCORED = ("equal", "differ", "missing")
Row = dict[str, Any]


def load_module(path: Path, name: str) -> ModuleType:
    """A module by its file, for scripts that are no package."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_request(path: Path) -> ExportTraceServiceRequest:
    """A captured request, protobuf or OTLP/JSON."""
    body = path.read_bytes()
    if path.suffix == ".json":
        decoded: ExportTraceServiceRequest = decode_traces(body).request
        return decoded
    return ExportTraceServiceRequest.FromString(body)


def row_of(events: list[Event], enriched: Enrich = enrich) -> Row:
    """The row a store keeps of an entity: its events folded, enriched and written out."""
    record = fold(events)
    assert record is not None
    kind = events[0].entity.type
    return dict(row(kind, enriched(kind, record)))


def rows_of(case: dict[str, Any], enriched: Enrich = enrich) -> tuple[dict[str, Row], dict[str, Row], list[str]]:
    """Observations and traces of a scenario by id, and the spans that were not mapped. Costs nothing unless `enriched` says so."""
    grouped: dict[tuple[str, str], list[Event]] = collections.defaultdict(list)
    failures: list[str] = []
    for number, name in enumerate(case["requests"]):
        origin = Origin(Signal.TRACES, "otlp", 1_790_000_000_000_000_000 + number * 1_000_000_000)
        mapped = map_traces(read_request(SHARED / "corpus" / case["scenario"] / name), origin)
        failures += [f"{case['scenario']}/{name} {failure.path}: {failure.reason}" for failure in mapped.failures]
        for event in mapped.events:
            grouped[event.entity.type, event.entity.id].append(event)
    rows: dict[str, dict[str, Row]] = {"observation": {}, "trace": {}}
    for (kind, id_), events in grouped.items():
        rows[kind][id_] = row_of(events, enriched)
    return rows["observation"], rows["trace"], failures


def judged(judge: ModuleType, cases: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """(scenario, `table.column`, verdict, explanation) for every expected value."""
    cases = list(cases)
    shared = {t for t, n in collections.Counter(t for c in cases for t in c["traces"]).items() if n > 1}
    for case in cases:
        observations, traces, failures = rows_of(case)
        yield from ((case["scenario"], "request", "failure", failure) for failure in failures)
        for table, have in (("observations", observations), ("traces", traces)):
            for id_, fields in case[table].items():
                if table == "traces" and id_ in shared:
                    continue
                row, genai = have.get(id_), judge.has_genai_key(fields)
                for field, accepted in fields.items():
                    got = None if row is None else row.get(field)
                    verdict = judge.judge(field, accepted, got, genai)
                    why = f"{id_}\n    want {str(accepted)[:600]}\n    got  {str(got)[:600]}"
                    yield case["scenario"], f"{table}.{field}", verdict, why


Scores = dict[str, collections.Counter[str]]


def load_judge() -> ModuleType:
    """The judge of the shared corpus check."""
    return load_module(SHARED / "check" / "corpus.py", "shared_corpus_judge")


def load_cases(only: str = "") -> list[dict[str, Any]]:
    """Scenarios whose name contains `only`."""
    with (SHARED / "corpus" / "expected.jsonl").open(encoding="utf-8") as lines:
        return [case for case in map(json.loads, lines) if only in case["scenario"]]


def scores() -> Scores:
    """Verdicts counted by library and over all."""
    counted: Scores = collections.defaultdict(collections.Counter)
    for scenario, _, verdict, _ in judged(load_judge(), load_cases()):
        counted[scenario.split("/")[0]][verdict] += 1
        counted["all"][verdict] += 1
    return counted


def agreement(score: collections.Counter[str]) -> float:
    """Percentage of scored values that agree."""
    return 100 * score["equal"] / max(1, sum(score[verdict] for verdict in SCORED))


def main() -> int:
    """Score and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--field", default="")
    arguments.add_argument("--show", type=int, default=0)
    arguments.add_argument("--verdict", default="differ,missing,failure")
    arguments.add_argument("--min", type=float, default=99.5)
    chosen = arguments.parse_args()
    by_field: Scores = collections.defaultdict(collections.Counter)
    by_library: Scores = collections.defaultdict(collections.Counter)
    for scenario, field, verdict, why in judged(load_judge(), load_cases(chosen.only)):
        by_field[field][verdict] += 1
        by_library[scenario.split("/")[0]][verdict] += 1
        if verdict in chosen.verdict.split(",") and chosen.field in field and chosen.show > 0:
            chosen.show -= 1
            print(f"{verdict} {scenario} {field} {why}")
    print_table("field", by_field)
    print_table("library", by_library)
    total = sum(by_field.values(), collections.Counter())
    print(f"\nunmapped spans {total['failure']}; agreement {agreement(total):.2f}%")
    return 0 if agreement(total) >= chosen.min and not total["failure"] else 1


def print_table(title: str, table: Scores) -> None:
    """One line per row: counts and agreement."""
    print(f"\n{title:52} equal differ missing beyond   agree")
    for key, n in sorted(table.items()):
        print(f"{key:52} {n['equal']:5} {n['differ']:6} {n['missing']:7} {n['beyond']:6} {agreement(n):6.2f}%")


if __name__ == "__main__":
    sys.exit(main())
