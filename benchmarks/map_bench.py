"""Mapping speed on one core: OTLP protobuf parsed, and parsed plus mapped to events, in spans per second.

    python -m benchmarks.map_bench [--spans 28000] [--batch 140] [--rounds 7] [--file REQUEST.pb ...]

Agent traces of seven spans (agent, three chats, two tools, a retrieval; about 1.4 KB a span), or the given requests. Time is
the processor's, so that other programs on the machine disturb little; the best of the rounds counts. Garbage is collected
as rarely as in the daemon.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.agent_traces import Load, requests
from openfuse_collector.mapping import map_traces
from openfuse_collector.service import GC_THRESHOLD
from openfuse_collector.signals import Origin, Signal

ORIGIN = Origin(Signal.TRACES, "otlp", 1_790_000_000_000_000_000)

_parse = ExportTraceServiceRequest.FromString


def rate(spans: int, rounds: int, work: Callable[[], None]) -> int:
    """Spans per second of processor time, the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return round(spans / best)


def load_of(path: Path) -> Load:
    """A request from a file."""
    body = path.read_bytes()
    groups = _parse(body).resource_spans
    return Load(body, sum(len(scope.spans) for group in groups for scope in group.scope_spans))


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--spans", type=int, default=28_000)
    arguments.add_argument("--batch", type=int, default=140)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--file", type=Path, nargs="*", default=[])
    chosen = arguments.parse_args()
    loads = [load_of(path) for path in chosen.file] or list(requests(chosen.spans, chosen.batch, seed=7))
    spans = sum(load.spans for load in loads)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)

    def parse_only() -> None:
        for load in loads:
            _parse(load.body)

    def parse_and_map() -> None:
        for load in loads:
            map_traces(_parse(load.body), ORIGIN)

    parsed, mapped = rate(spans, chosen.rounds, parse_only), rate(spans, chosen.rounds, parse_and_map)
    print(f"{spans:,} spans of {sum(len(load.body) for load in loads) // spans:,} bytes")
    print(f"parse only      {parsed:>10,} spans/s")
    print(f"parse and map   {mapped:>10,} spans/s   1 in {parsed / mapped:.0f} of parse only")
    print(f"mapping alone   {1e6 / mapped - 1e6 / parsed:>10.1f} us a span")


if __name__ == "__main__":
    main()
