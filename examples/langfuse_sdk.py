"""The Langfuse Python SDK (3 or later), pointed at the collector instead of a Langfuse server.

    pip install -r examples/requirements.txt
    openfuse-collector run             # in another terminal
    python examples/langfuse_sdk.py    # another address: LANGFUSE_HOST=http://host:4318
    openfuse-collector traces

Any keys will do until the collector is given keys of its own.
"""

from __future__ import annotations

import os
import time

from langfuse import Langfuse, observe

langfuse = Langfuse(
    public_key=os.environ.get("LANGFUSE_PUBLIC_KEY", "pk-lf-local"),
    secret_key=os.environ.get("LANGFUSE_SECRET_KEY", "sk-lf-local"),
    host=os.environ.get("LANGFUSE_HOST", "http://localhost:4318"),
)


@observe(name="look_up_weather", as_type="tool")
def look_up_weather(city: str) -> dict[str, object]:
    """A tool; its arguments and result become input and output of the observation."""
    time.sleep(0.02)
    return {"city": city, "celsius": 21, "sky": "clear"}


@observe(name="answer", as_type="generation")
def answer(question: str, weather: dict[str, object]) -> str:
    """A canned model call that says which model it was and what it used."""
    time.sleep(0.08)
    langfuse.update_current_generation(
        model="claude-sonnet-4-5",
        model_parameters={"temperature": 0.1, "max_tokens": 128},
        usage_details={"input": 148, "output": 23, "cache_read_input_tokens": 64},
    )
    return f"It is {weather['celsius']} °C and {weather['sky']} in {weather['city']}."


@observe(name="weather assistant", as_type="agent")
def assistant(question: str) -> str:
    """The root of the trace: its input and output become those of the trace. Prints where to find it."""
    trace_id = langfuse.get_current_trace_id() or ""
    print(f"trace {trace_id}: openfuse-collector traces {trace_id[:8]}")
    return answer(question, look_up_weather("Lisbon"))


def main() -> None:
    """Trace one question."""
    assistant("How is the weather in Lisbon?")
    langfuse.flush()  # sends what is still waiting


if __name__ == "__main__":
    main()
