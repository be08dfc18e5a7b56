"""A real collector in front of either store, and spans to send to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from click.testing import CliRunner, Result
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from operations_kit import StoreKit

from openfuse_collector.cli.main import main
from tests.collector_process import CollectorProcess, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
CONFIG = {"sqlite": CHECKOUT / "config" / "default.yaml", "greptimedb": CHECKOUT / "config" / "greptimedb.yaml"}
PATIENCE = 240.0
"""Seconds to wait for what takes one or two on an idle machine."""
SPANS = 4
"""Of one trace: a root and its children."""
START = 1_795_000_000_000_000_000

Start = Callable[..., CollectorProcess]


def sets_for(kit: StoreKit, **more: str) -> dict[str, str]:
    """Settings of a collector that keeps what it received for a while, and writes often."""
    return {
        **kit.sets,
        "service.journal.retain": "10m",
        "service.journal.max_size": "1GiB",
        "service.journal.min_free_disk": "1MiB",
        "service.pipelines.traces.batch.timeout": "20ms",
        **({"exporters.sqlite.path": str(kit.path)} if kit.kind == "sqlite" else {}),  # type: ignore[attr-defined]
        **more,
    }


def started(start: Start, kit: StoreKit, **more: str) -> CollectorProcess:
    """A running collector in front of the store."""
    return start(arguments=["--config", str(CONFIG[kit.kind])], sets=sets_for(kit, **more))


def request(trace: int, spans: Iterable[int] = range(SPANS)) -> bytes:
    """Some spans of a trace: 0 is the root, which starts first."""
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for number in spans:
        span = scope.spans.add(name=f"chat {number}", trace_id=(trace + 1).to_bytes(16, "big"))
        span.span_id = (trace * 10 + number + 1).to_bytes(8, "big")
        if number:
            span.parent_span_id = (trace * 10 + 1).to_bytes(8, "big")
        span.start_time_unix_nano = START + trace * 10**9 + number * 10**8
        span.end_time_unix_nano = span.start_time_unix_nano + 10**7
        span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
        span.attributes.add(key="langfuse.trace.tags").value.string_value = json.dumps([f"tag-{number}"])
    return made.SerializeToString()


def send(collector: CollectorProcess, body: bytes) -> None:
    """Until it is acknowledged."""

    def taken() -> bool:
        headers = {"Content-Type": "application/x-protobuf"}
        try:
            with urlopen(Request(f"{collector.http_endpoint}/v1/traces", body, headers), timeout=60) as answer:
                return bool(answer.status == 200)
        except (HTTPError, URLError, ConnectionError, TimeoutError):
            return False

    wait_until(taken, lambda: f"never acknowledged\n{collector.log}", PATIENCE)


def trace_id(trace: int) -> str:
    return f"{trace + 1:032x}"


def span_ids(traces: Iterable[int]) -> set[str]:
    return {f"{trace * 10 + number + 1:016x}" for trace in traces for number in range(SPANS)}


def stored_spans(kit: StoreKit) -> set[str]:
    """Ids of the observations that have rows."""
    return {id for (id,) in kit.query("SELECT id FROM observations")}


def wait_for_spans(kit: StoreKit, collector: CollectorProcess, traces: Iterable[int]) -> None:
    """Until every span of these traces has a row."""
    wanted = span_ids(traces)
    wait_until(lambda: wanted <= _spans(kit), lambda: f"{len(wanted - _spans(kit))} missing\n{collector.log}", PATIENCE)


def _spans(kit: StoreKit) -> set[str]:
    try:
        return stored_spans(kit)
    except Exception:  # no file or table yet
        return set()


def command(kit: StoreKit, collector: CollectorProcess, *arguments: str, **more: str) -> Result:
    """A command with the configuration of the collector, in this process."""
    sets = {**sets_for(kit, **more), "service.journal.directory": str(collector.journal)}
    named = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    return CliRunner().invoke(main, [*arguments, "--config", str(CONFIG[kit.kind]), *named])
