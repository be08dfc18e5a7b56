"""Damaged calls of the Langfuse API: the reading of the body, the schemas, the journal's form, the fold and the rows."""

from __future__ import annotations

import json
import random
from typing import Any

from openfuse_collector.auth import Scope
from openfuse_collector.pdata.errors import BadDataError
from openfuse_collector.receivers.langfuse.calls import MOST_ELEMENTS, Context, Read, deprecated, ingestion, scores
from openfuse_collector.receivers.langfuse.deprecated import ENDPOINTS
from openfuse_collector.receivers.langfuse.failures import AnswerError
from openfuse_collector.receivers.langfuse.records import decode_events
from openfuse_collector.receivers.langfuse.schemas.bodies import BODIES, SDK_LOG_TYPE
from tests.fuzz.checks import RECEIVED_AT, check_rows
from tests.fuzz.mutations import FLOATS, INTEGERS, TEXTS, flipped, with_bad_text
from tests.fuzz.seeds import SHARED

CONTEXT = Context("default", Scope.PROJECT, RECEIVED_AT, None)
READERS: dict[str, Read] = {
    "ingestion": ingestion,
    "scores": scores,
    **{f"{method} {resource}": deprecated(method, resource) for method, resource in ENDPOINTS},
}
Call = tuple[str, Any]
"""Whose reader, and the value of the body."""

_TIMES = ("2026-11-21T06:00:00Z", "2026-11-21T06:00:00.123456789+02:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
_ODD: tuple[Any, ...] = (
    *TEXTS,
    *INTEGERS,
    *FLOATS,
    *_TIMES,
    None,
    True,
    False,
    [],
    {},
    [None],
    2**64,
    10**30,
    "\ud800",
)
_KEYS = ("__proto__", "", "source", "mapping", "shallow", "metadata", "usage", "usageDetails", "id", "a.b", "x" * 500)


def captured() -> list[Call]:
    """The recorded calls of SDKs, whole batches in pieces of three events; empty where there is no corpus."""
    found: list[Call] = []
    for path in sorted((SHARED / "corpus").glob("*/*/*.langfuse.json")):
        call = json.loads(path.read_bytes())
        reader = _reader(call["path"].partition("?")[0])
        if reader == "ingestion":
            batch = call["body"]["batch"]
            found += [(reader, {"batch": batch[at : at + 3]}) for at in range(0, len(batch), 3)]
        elif reader and call["body"] is not None:
            found.append((reader, call["body"]))
    return found


def own() -> list[Call]:
    """One event of each type, and a call of each endpoint."""
    body = {
        "id": "1",
        "traceId": "t",
        "name": "n",
        "startTime": _TIMES[0],
        "value": 1,
        "metadata": {"a": [1]},
        "usage": {},
    }
    envelopes = [{"id": f"e-{kind}", "type": kind, "timestamp": _TIMES[0], "body": body} for kind in sorted(BODIES)]
    return [("ingestion", {"batch": [one]}) for one in envelopes] + [(reader, body) for reader in READERS]


class IngestionFuzz:
    """Executions by number."""

    def __init__(self, seed: int, calls: list[Call]) -> None:
        self._seed = seed
        self._calls = calls

    def body(self, number: int) -> tuple[str, bytes]:
        """Whose reader, and the body of an execution."""
        rng = random.Random(self._seed * 1_000_003 + number)
        reader, value = rng.choice(self._calls)
        value = varied(value, rng, rng.choice((0, 0.02, 0.1)))
        body = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")
        draw = rng.random()
        if draw < 0.15:
            body = flipped(body, rng)
        elif draw < 0.25:
            body = with_bad_text(body, rng)
        elif draw < 0.26:
            body = rng.choice((b"[" * 200_000, b'{"batch":' * 50_000, b'{"batch":[' + b"0," * MOST_ELEMENTS + b"0]}"))
        return reader, body

    def kept(self, number: int) -> tuple[str, bytes]:
        """A file name's ending and content, for an execution that failed."""
        reader, body = self.body(number)
        return f"{reader.replace(' ', '-')}.json", body

    def execute(self, number: int) -> str:
        """Run one execution and say what became of it. Raises AssertionError, or whatever escapes."""
        reader, body = self.body(number)
        return check_call(reader, body, thorough=number % 8 == 0)


def check_call(reader: str, body: bytes, *, thorough: bool) -> str:
    """`refused` as a whole with a reason, or every event of it is answered for and stored."""
    try:
        judged = READERS[reader](body, CONTEXT)
    except (BadDataError, AnswerError) as error:
        assert str(error) or getattr(error, "body", None), "refused without a reason"
        return "refused"
    json.dumps(judged.answer)
    accepted = judged.accepted
    if reader == "ingestion":
        assert len(accepted.events) == len(accepted.response["successes"])
        assert judged.rejected == len(accepted.response["errors"])
        answered, sent = len(accepted.events) + judged.rejected, _elements(body)
        assert sent is None or sent[0] <= answered <= sent[1], f"{sent} sent, {answered} answered for"
    kept = decode_events(judged.payload)
    assert len(kept) == len(accepted.events)
    check_rows(kept, thorough)
    return "partial" if judged.rejected else "accepted"


def varied(node: Any, rng: random.Random, share: float) -> Any:
    """Values of other types, missing and foreign keys, elements twice, here and there."""
    if share and rng.random() < share:
        return rng.choice(_ODD)
    if isinstance(node, dict):
        made = {key: varied(item, rng, share) for key, item in node.items() if rng.random() >= share / 4}
        if share and rng.random() < share:
            made[rng.choice(_KEYS)] = rng.choice(_ODD)
        return made
    if isinstance(node, list):
        items = [varied(item, rng, share) for item in node]
        return items * 2 if share and rng.random() < share else items
    return node


def _elements(body: bytes) -> tuple[int, int] | None:
    """How many events are in a body as another reader counts them, without and with log lines of the SDK: those are taken
    without a word, unless they are damaged."""
    try:
        batch = json.loads(body)["batch"]
        logs = sum(isinstance(one, dict) and one.get("type") == SDK_LOG_TYPE for one in batch)
        return len(batch) - logs, len(batch)
    except (ValueError, RecursionError, UnicodeDecodeError, TypeError, KeyError):
        return None


def _reader(path: str) -> str | None:
    name = path.removeprefix("/api/public/")
    return next((reader for reader in READERS if reader.rpartition(" ")[2] == name), None)
