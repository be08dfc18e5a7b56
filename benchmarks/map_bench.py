"""Mapping speed on one core: OTLP protobuf parsed, and parsed plus mapped to events, in spans per second.

    python -m benchmarks.map_bench [--spans 28000] [--batch 140] [--rounds 5] [--file REQUEST.pb ...]

Agent traces of seven spans (agent, three chats, two tools, a retrieval; about 1.4 KB a span), or the given requests.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from openfuse_collector.mapping import map_traces
from openfuse_collector.signals import Origin, Signal

WORDS = ("retrieval", "span", "token", "model", "agent", "tool", "latency", "vector", "prompt", "answer", "context", "cache")
ORIGIN = Origin(Signal.TRACES, "otlp", 1_790_000_000_000_000_000)


def text(rng: random.Random, words: int) -> str:
    """Some words."""
    return " ".join(rng.choices(WORDS, k=words))


def put(span: Span, attributes: dict[str, Any]) -> None:
    """Add attributes to a span."""
    for key, value in attributes.items():
        pair = span.attributes.add(key=key)
        if isinstance(value, int):
            pair.value.int_value = value
        elif isinstance(value, float):
            pair.value.double_value = value
        elif isinstance(value, list):
            for item in value:
                pair.value.array_value.values.add(string_value=item)
        else:
            pair.value.string_value = value


def messages(rng: random.Random, role: str, words: int) -> str:
    """One message as GenAI semantic conventions write it."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text(rng, words)}]}])


def chat(rng: random.Random) -> dict[str, Any]:
    """Attributes of a chat completion."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 512,
        "gen_ai.usage.input_tokens": rng.randrange(50, 3000),
        "gen_ai.usage.output_tokens": rng.randrange(5, 600),
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": messages(rng, "user", 60),
        "gen_ai.output.messages": messages(rng, "assistant", 60),
        "server.address": "api.openai.com",
        "server.port": 443,
    }


def tool(rng: random.Random) -> dict[str, Any]:
    """Attributes of a tool call."""
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "lookup",
        "gen_ai.tool.call.id": f"call_{rng.randrange(10**9)}",
        "gen_ai.tool.call.arguments": json.dumps({"q": text(rng, 6)}),
        "gen_ai.tool.call.result": text(rng, 40),
    }


def retrieval(rng: random.Random) -> dict[str, Any]:
    """Attributes of a retrieval."""
    return {
        "openinference.span.kind": "RETRIEVER",
        "input.value": text(rng, 30),
        "output.value": json.dumps([{"id": i, "text": text(rng, 30)} for i in range(3)]),
    }


def agent(rng: random.Random) -> dict[str, Any]:
    """Attributes of the root."""
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "support",
        "session.id": f"s-{rng.randrange(5000)}",
        "user.id": f"u-{rng.randrange(2000)}",
        "langfuse.trace.tags": ["load", "agent"],
        "input.value": text(rng, 30),
        "output.value": text(rng, 60),
    }


def add_trace(scope: ScopeSpans, rng: random.Random) -> None:
    """One trace of seven spans."""
    trace_id, root = rng.randbytes(16), rng.randbytes(8)
    for name, make in (
        ("invoke_agent support", agent),
        *(("chat gpt-4o-mini", chat),) * 3,
        *(("execute_tool lookup", tool),) * 2,
        ("retrieve", retrieval),
    ):
        is_root = make is agent
        start = 1_790_000_000_000_000_000 + rng.randrange(10**10)
        span = scope.spans.add(
            trace_id=trace_id,
            span_id=root if is_root else rng.randbytes(8),
            parent_span_id=b"" if is_root else root,
            name=name,
            start_time_unix_nano=start,
            end_time_unix_nano=start + 90_000_000,
        )
        put(span, make(rng))


def bodies(spans: int, batch: int) -> list[bytes]:
    """Requests of `batch` spans each, `spans` in all."""
    rng, made = random.Random(7), []
    for _ in range(spans // batch):
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        for key, value in {
            "service.name": "load",
            "service.version": "1.0",
            "deployment.environment.name": "bench",
        }.items():
            group.resource.attributes.add(key=key).value.string_value = value
        scope = group.scope_spans.add()
        scope.scope.name = "load"
        for _ in range(batch // 7):
            add_trace(scope, rng)
        made.append(request.SerializeToString())
    return made


def rate(spans: int, rounds: int, work: Callable[[], None]) -> int:
    """Spans per second of the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return round(spans / best)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--spans", type=int, default=28_000)
    arguments.add_argument("--batch", type=int, default=140)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--file", type=Path, nargs="*", default=[])
    chosen = arguments.parse_args()
    work = [path.read_bytes() for path in chosen.file] or bodies(chosen.spans, chosen.batch)
    parse = ExportTraceServiceRequest.FromString
    spans = sum(
        len(scope.spans) for body in work for group in parse(body).resource_spans for scope in group.scope_spans
    )

    def parse_only() -> None:
        for body in work:
            parse(body)

    def parse_and_map() -> None:
        for body in work:
            map_traces(parse(body), ORIGIN)

    parsed, mapped = rate(spans, chosen.rounds, parse_only), rate(spans, chosen.rounds, parse_and_map)
    each = 1e6 / mapped - 1e6 / parsed
    print(f"{spans} spans: parse {parsed:,}/s, parse and map {mapped:,}/s, mapping alone {each:.1f} us a span")


if __name__ == "__main__":
    main()
