"""The OpenAI client, instrumented by OpenInference; a model server on this machine answers in OpenAI's place.

    pip install -r examples/requirements.txt
    openfuse-collector run                     # in another terminal
    python examples/openinference_openai.py    # another address: OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318
    openfuse-collector traces

With OPENAI_API_KEY set, OPENAI_BASE_URL=https://api.openai.com/v1 asks the real one instead.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

MODEL = "gpt-4o-mini"


class FakeModel(BaseHTTPRequestHandler):
    """Answers `POST /v1/chat/completions` with the same words every time."""

    def do_POST(self) -> None:
        """One completion."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1_795_262_400,
                "model": f"{MODEL}-2024-07-18",
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris."}}
                ],
                "usage": {"prompt_tokens": 24, "completion_tokens": 2, "total_tokens": 26},
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@contextmanager
def model_server() -> Iterator[str]:
    """Base URL of a model: $OPENAI_BASE_URL, else the fake one for as long as the context lasts."""
    if "OPENAI_BASE_URL" in os.environ:
        yield os.environ["OPENAI_BASE_URL"]
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeModel) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def main() -> None:
    """Trace one question with the client's own call as its only model call, and print the trace id."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    tracer = provider.get_tracer("openinference-example")
    attributes = {"openinference.span.kind": "CHAIN", "input.value": "capital of France", "session.id": "geography"}
    with model_server() as url, tracer.start_as_current_span("quiz", attributes=attributes) as root:
        client = OpenAI(base_url=url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
        completion = client.chat.completions.create(
            model=MODEL,
            temperature=0.0,
            messages=[
                {"role": "system", "content": "Answer in one word."},
                {"role": "user", "content": "What is the capital of France?"},
            ],
        )
        root.set_attribute("output.value", completion.choices[0].message.content or "")
        trace_id = f"{root.get_span_context().trace_id:032x}"
    provider.shutdown()  # sends what is still waiting
    print(f"trace {trace_id}: openfuse-collector traces {trace_id[:8]}")


if __name__ == "__main__":
    main()
