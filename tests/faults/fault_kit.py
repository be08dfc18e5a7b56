"""What every fault test shares: numbered work, a client that keeps count, and the comparison with a collector nothing happened to."""

from __future__ import annotations

import http.client
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from benchmarks.agent_traces import SPANS_PER_TRACE, add_trace
from tests.builders import RECEIVED_AT
from tests.collector_process import CollectorProcess, wait_until

TRACES = 160
SPANS_PER_REQUEST = 20
VOLATILE = frozenset(("created_at", "updated_at", "eav_generation"))
"""Times of receipt and the count of rewrites: the only columns in which a run with faults may differ from one without."""
PATIENCE = 180.0
TABLES = ("observations", "traces")
Rows = dict[str, dict[tuple[str, str], dict[str, Any]]]
Tally = Counter[str]
TALLY = Tally()
"""What the test under way has done and seen; `figures.py` makes a table of it."""


class Request(NamedTuple):
    """One request body and the spans in it."""

    body: bytes
    spans: frozenset[str]
    """Span ids, hex."""


def work(traces: int = TRACES, seed: int = 7) -> list[Request]:
    """The same requests every time: agent traces whose spans are spread over requests, so that most traces arrive in parts."""
    rng, made = random.Random(seed), ScopeSpans()
    for _ in range(traces):
        add_trace(made, rng, RECEIVED_AT)
    spans = list(made.spans)
    window = 4 * SPANS_PER_TRACE
    for start in range(0, len(spans), window):
        part = spans[start : start + window]
        rng.shuffle(part)
        spans[start : start + window] = part
    return [_request(spans[at : at + SPANS_PER_REQUEST]) for at in range(0, len(spans), SPANS_PER_REQUEST)]


def _request(spans: Sequence[Any]) -> Request:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    return Request(request.SerializeToString(), frozenset(span.span_id.hex() for span in spans))


def post(port: int, body: bytes, timeout: float = 30) -> int | None:
    """The HTTP status, None when there was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@dataclass
class Client:
    """Sends requests and keeps what was acknowledged apart from what was not."""

    collector: CollectorProcess
    acknowledged: list[Request] = field(default_factory=list)
    unanswered: list[Request] = field(default_factory=list)

    def send(self, requests: Iterable[Request]) -> None:
        """Each once."""
        for request in requests:
            taken = post(self.collector.http_port, request.body) == 200
            (self._acknowledge if taken else self.unanswered.append)(request)

    def resend(self) -> None:
        """What was not acknowledged, as often as it takes, as every SDK with a queue does."""
        again, self.unanswered = self.unanswered, []
        TALLY["requests sent again"] += len(again)
        for request in again:
            deadline = time.monotonic() + PATIENCE
            while post(self.collector.http_port, request.body) != 200:
                assert time.monotonic() < deadline, f"never taken:\n{self.collector.log[-4000:]}"
                time.sleep(0.05)
            self._acknowledge(request)

    def _acknowledge(self, request: Request) -> None:
        self.acknowledged.append(request)
        TALLY["spans acknowledged"] += len(request.spans)


def wait_stored(collector: CollectorProcess, requests: Iterable[Request]) -> None:
    """Until every span of these requests is an observation."""
    wanted = set[str]().union(*(request.spans for request in requests))

    def missing() -> set[str]:
        return wanted - {row["id"] for row in collector.query("SELECT id FROM observations")}

    wait_until(
        lambda: not missing(), lambda: f"{len(missing())} spans are not stored:\n{collector.log[-4000:]}", PATIENCE
    )


def rows(collector: CollectorProcess) -> Rows:
    """Every row by table and key, without what may differ."""
    return {
        table: {
            (row["project_id"], row["id"]): {column: value for column, value in row.items() if column not in VOLATILE}
            for row in collector.query(f"SELECT * FROM {table}")
        }
        for table in TABLES
    }


def check(collector: CollectorProcess, clean: Rows) -> None:
    """The stopped collector holds exactly what a collector holds that nothing happened to, each thing once."""
    doubled = collector.query(
        "SELECT event_id FROM raw_events GROUP BY project_id, entity_type, entity_id, event_id HAVING count(*) > 1"
    )
    have = rows(collector)
    astray = [(table, key) for table in TABLES for key in have[table].keys() ^ clean[table].keys()]
    unequal = [
        (table, key)
        for table in TABLES
        for key in have[table].keys() & clean[table].keys()
        if have[table][key] != clean[table][key]
    ]
    TALLY.update(
        {
            "process starts": collector.starts,
            "rows compared": sum(map(len, clean.values())),
            "lost": len(astray),
            "doubled": len(doubled),
            "unequal": len(unequal),
        }
    )
    assert not doubled, "raw events doubled"
    assert not astray, astray[:3]
    assert not unequal, [(have[table][key], clean[table][key]) for table, key in unequal[:3]]
