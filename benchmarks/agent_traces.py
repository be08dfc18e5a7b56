"""OTLP requests like those of an agent in production: seven spans a trace, about 1.4 KB a span, different every time.

A trace is an agent, three model calls with messages and usage, two tool calls and a retrieval.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

SPANS_PER_TRACE = 7
MODEL = "gpt-4o-mini"

_WORDS = (
    "account arrival balance basket booking carrier claim code contract counter coupon courier credit customer damage "
    "delivery deposit discount dispute exchange express fee form freight gift guarantee holiday insurance invoice label "
    "letter limit loyalty manual meter model month notice number offer office order outlet package parcel part payment "
    "period pickup plan policy portal postage price product proof quantity question rate receipt refund region reminder "
    "repair request return route sale schedule season service shipment shop signature size status stock store street"
)
_VOCABULARY = _WORDS.split()

_RESOURCE = {
    "service.name": "support-agent",
    "service.version": "2.4.1",
    "deployment.environment.name": "production",
    "telemetry.sdk.language": "python",
}


class Load(NamedTuple):
    """One request body and the spans in it."""

    body: bytes
    spans: int


def requests(spans: int, batch: int, seed: int) -> Iterator[Load]:
    """Requests of at least `batch` spans, whole traces each, until there are `spans`. Ids are a function of the seed."""
    rng, made, now = random.Random(seed), 0, time.time_ns()
    while made < spans:
        request = ExportTraceServiceRequest()
        resource_spans = request.resource_spans.add()
        for key, text in _RESOURCE.items():
            resource_spans.resource.attributes.add(key=key, value=_any_value(text))
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.name, scope_spans.scope.version = "support-agent", "2.4.1"
        while len(scope_spans.spans) < batch:
            add_trace(scope_spans, rng, now)
        made += len(scope_spans.spans)
        yield Load(request.SerializeToString(), len(scope_spans.spans))


def add_trace(scope_spans: ScopeSpans, rng: random.Random, now: int) -> None:
    """One trace that ended some seconds before `now` (epoch nanoseconds), children before the root, as SDKs send them."""
    trace_id, root_id = rng.randbytes(16), rng.randbytes(8)
    start, question = now - rng.randrange(2, 9) * 1_000_000_000, _prose(rng, 28)

    def add(name: str, window: tuple[int, int], attributes: Mapping[str, Any], span_id: bytes | None = None) -> None:
        span = scope_spans.spans.add(trace_id=trace_id, span_id=span_id or rng.randbytes(8), name=name)
        span.start_time_unix_nano, span.end_time_unix_nano = (start + ms * 1_000_000 for ms in window)
        span.kind = Span.SPAN_KIND_INTERNAL
        if span_id is None:
            span.parent_span_id = root_id
        for key, value in attributes.items():
            span.attributes.add(key=key, value=_any_value(value))

    add("retrieval pages", (2, 40), _retrieval(rng, question))
    for turn in range(3):
        add(f"chat {MODEL}", (50 + turn * 600, 450 + turn * 600), _chat(rng, question))
    for turn in range(2):
        add("execute_tool find_order", (460 + turn * 600, 640 + turn * 600), _tool(rng))
    add("invoke_agent support", (0, 1700), _agent(rng, question), root_id)


def _agent(rng: random.Random, question: str) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "support",
        "session.id": f"session-{rng.randrange(4000)}",
        "user.id": f"user-{rng.randrange(1500)}",
        "langfuse.trace.tags": ["production", "support"],
        "gen_ai.input.messages": _messages("user", question),
        "gen_ai.output.messages": _messages("assistant", _prose(rng, 60)),
    }


def _chat(rng: random.Random, question: str) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": f"{MODEL}-2024-07-18",
        "gen_ai.request.temperature": 0.3,
        "gen_ai.request.max_tokens": 800,
        "gen_ai.usage.input_tokens": rng.randrange(80, 4000),
        "gen_ai.usage.output_tokens": rng.randrange(10, 700),
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": _prose(rng, 30)}]),
        "gen_ai.input.messages": _messages("user", question + " " + _prose(rng, 24)),
        "gen_ai.output.messages": _messages("assistant", _prose(rng, 70)),
        "server.address": "api.openai.com",
        "server.port": 443,
    }


def _tool(rng: random.Random) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "find_order",
        "gen_ai.tool.call.id": f"call_{rng.getrandbits(48):x}",
        "gen_ai.tool.call.arguments": json.dumps({"order": rng.randrange(10**8), "why": _prose(rng, 12)}),
        "gen_ai.tool.call.result": json.dumps({"found": True, "notes": _prose(rng, 90)}),
    }


def _retrieval(rng: random.Random, question: str) -> dict[str, Any]:
    pages = [{"id": f"page-{at}", "score": round(rng.random(), 3), "content": _prose(rng, 40)} for at in range(3)]
    return {"openinference.span.kind": "RETRIEVER", "input.value": question, "output.value": json.dumps(pages)}


def _messages(role: str, content: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": content}]}])


def _prose(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_VOCABULARY, k=words))


def _any_value(value: Any) -> AnyValue:
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_any_value(item) for item in value]))
    kind = {int: "int_value", float: "double_value", str: "string_value"}[type(value)]
    return AnyValue(**{kind: value})
