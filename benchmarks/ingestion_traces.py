"""Batches of the ingestion API as SDKs send them: traces of one span, one generation and four scores for three traces.

That is the workload Openfuse published its rate for. All events are creates with what they mean to say, no two alike.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.agent_traces import Load

_STEMS = (
    "fund",
    "form",
    "vert",
    "spect",
    "sign",
    "tract",
    "duct",
    "fer",
    "mit",
    "pose",
    "cede",
    "dict",
    "port",
    "sist",
)
OBSERVATIONS_PER_TRACE = 2
MODELS = ("gpt-4o-mini", "gpt-4o", "claude-3-5-sonnet-20241022")
START = datetime(2026, 11, 21, 6, tzinfo=UTC)
SCORES = (("quality", "NUMERIC"), ("helpful", "BOOLEAN"))

VOCABULARY = tuple(f"{first}{second}" for first in ("re", "con", "pro", "in", "un") for second in _STEMS)

Envelope = dict[str, Any]


def scores_of(traces: int) -> int:
    """Scores that go with the first so many traces: one each, and a second for every third."""
    return traces + (traces + 2) // 3


def requests(traces: int, batch: int, seed: int) -> Iterator[Load]:
    """Bodies of `batch` events, whatever traces those belong to; `spans` counts the traces that are whole with a body."""
    rng, pending, whole = random.Random(seed), [], 0
    for number in range(traces):
        events = trace(number, rng)
        for event in events:
            pending.append(event)
            whole += event is events[-1]
            if len(pending) == batch:
                yield _load(pending, whole)
                pending, whole = [], 0
    if pending:
        yield _load(pending, whole)


def trace(number: int, rng: random.Random) -> list[Envelope]:
    """The events of one trace, in the order an SDK makes them."""
    at = START + timedelta(milliseconds=7 * number)
    trace_id, span_id = _id(rng), _id(rng)
    question, answer = _text(rng, 40), _text(rng, 90)
    times = {"startTime": _iso(at), "endTime": _iso(at + timedelta(milliseconds=120))}
    found = {"input": {"query": question}, "output": {"documents": [_text(rng, 30)]}}
    span = {"id": span_id, "traceId": trace_id, "name": "retrieve", **times, **found}
    events = [
        _envelope(rng, "trace-create", at, _trace_body(trace_id, number, at, question, answer)),
        _envelope(rng, "span-create", at, span),
        _envelope(rng, "generation-create", at, _generation_body(rng, trace_id, span_id, at, question, answer)),
    ]
    named = SCORES if number % 3 == 0 else SCORES[:1]
    return events + [_score(rng, trace_id, at, name, data_type) for name, data_type in named]


def _trace_body(trace_id: str, number: int, at: datetime, question: str, answer: str) -> Envelope:
    named = {"id": trace_id, "timestamp": _iso(at), "name": "support-question", "userId": f"user-{number % 500}"}
    kept = {"sessionId": f"session-{number // 5}", "metadata": {"tenant": f"t{number % 20}", "plan": "team"}}
    return {**named, **kept, "tags": ["support", "web"], "release": "2.4.1", "input": question, "output": answer}


def _generation_body(
    rng: random.Random, trace_id: str, parent: str, at: datetime, question: str, answer: str
) -> Envelope:
    named = {"id": _id(rng), "traceId": trace_id, "parentObservationId": parent, "name": "answer"}
    began, ended = at + timedelta(milliseconds=125), at + timedelta(milliseconds=125 + rng.randrange(200, 4000))
    called = {"model": rng.choice(MODELS), "modelParameters": {"temperature": 0.2, "max_tokens": 800}}
    messages = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": question}]
    usage = {"input": rng.randrange(100, 2000), "output": rng.randrange(20, 600)}
    said = {"input": messages, "output": {"role": "assistant", "content": answer}, "usageDetails": usage}
    return {**named, **called, **said, "startTime": _iso(began), "endTime": _iso(ended)}


def _score(rng: random.Random, trace_id: str, at: datetime, name: str, data_type: str) -> Envelope:
    value = rng.randrange(2) if data_type == "BOOLEAN" else round(rng.random(), 3)
    body = {"id": _id(rng), "traceId": trace_id, "name": name, "value": value, "dataType": data_type}
    return _envelope(rng, "score-create", at + timedelta(seconds=5), body)


def _envelope(rng: random.Random, type_: str, at: datetime, body: Envelope) -> Envelope:
    return {"id": _id(rng), "type": type_, "timestamp": _iso(at), "body": body}


def _load(batch: list[Envelope], whole: int) -> Load:
    metadata = {"batch_size": len(batch), "sdk_name": "python", "sdk_version": "2.60.10"}
    return Load(json.dumps({"batch": batch, "metadata": metadata}).encode(), whole)


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _id(rng: random.Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(VOCABULARY, k=words))
